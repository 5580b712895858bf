// Accounts: the row that is the lock for all that is the account's.
//
// Locks: account_for_update() takes RowExclusiveLock on all tables that an act may write, always in the same order, then the row FOR
// NO KEY UPDATE in its newest version. Whatever changes an account, its tokens or its sessions calls it first and only then
// reads, with a fresh snapshot. (Read first, a table would be locked weakly, then strongly, and between the two a REINDEX
// could come that waits for the one and holds up the other.)
#pragma once

#include "pg/prelude.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::store {

inline constexpr std::size_t kMaxUserIdChars = 255;

// Copies in the memory context of the call.
struct Account {
    std::int64_t account_id;  // 0: none
    struct varlena* user_id;
    Datum permissions;        // mirox.scopes
    std::int32_t rate_limit;  // -1: the configured default
    std::int32_t burst;
    bool locked;
    TimestampTz locked_at;
};

// What a check needs of the account that a scan stands on; the Datums point into the scan's row.
struct RowScan;
struct AccountState {
    Datum user_id;            // text
    Datum permissions;        // mirox.scopes
    std::int32_t rate_limit;  // -1: the configured default
    std::int32_t burst;
    bool locked;
};
AccountState account_state(RowScan& scan);

// False when there is no such account (any more).
bool account_for_update(std::int64_t account_id, Account& out);
// The same in two steps, for who must still read something by which to know the account: the tables come first.
void lock_tables();
bool account_row_for_update(std::int64_t account_id, Account& out);
bool account_for_update(std::string_view user_id, Account& out);
bool find_account(std::int64_t account_id, Account& out);  // no lock
bool find_account_of(std::string_view user_id, Account& out);

// As account_for_update(), with P0002 when there is none.
void require_account(std::string_view user_id, Account& out);

// P0002; 23503 for a row that refers to the account `referred`.
[[noreturn]] void no_such_account(const std::int64_t* referred = nullptr);

// 22023 unless it may be an account's user id: 1 to 255 characters, none of them a control character.
void check_user_id(std::string_view user_id);

}  // namespace mirox::store

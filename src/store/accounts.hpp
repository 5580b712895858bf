// Accounts. An account's row is the lock for its tokens and sessions.
//
// Locks: account_for_update() takes RowExclusiveLock on all tables that an act may write, always in the same order. Then it locks
// the row FOR NO KEY UPDATE in its newest version. Whatever changes an account, its tokens or its sessions calls it before it
// reads anything, and reads with a fresh snapshot. (If an act read first, it would take a weak table lock and later a strong one.
// A REINDEX that came in between would wait for the weak lock and block the strong one.)
#pragma once

#include "pg/prelude.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::store {

inline constexpr std::size_t kMaxUserIdChars = 255;

// The Datums are copies in the caller's memory context.
struct Account {
    std::int64_t account_id;  // 0: none
    struct varlena* user_id;
    Datum permissions;        // mirox.scopes
    std::int32_t rate_limit;  // -1: the configured default
    std::int32_t burst;
    bool locked;
    TimestampTz locked_at;
};

// What a check needs of the account under a scan. The Datums point into the scan's row.
struct RowScan;
struct AccountState {
    Datum user_id;            // text
    Datum permissions;        // mirox.scopes
    std::int32_t rate_limit;  // -1: the configured default
    std::int32_t burst;
    bool locked;
};
AccountState account_state(RowScan& scan);

// False if there is no such account, or no longer.
bool account_for_update(std::int64_t account_id, Account& out);
// The same in two steps, for a caller that must read a row to learn the account's id: lock the tables before that.
void lock_tables();
bool account_row_for_update(std::int64_t account_id, Account& out);
bool account_for_update(std::string_view user_id, Account& out);
bool find_account(std::int64_t account_id, Account& out);  // no lock
bool find_account_of(std::string_view user_id, Account& out);

// Like account_for_update(), but raises P0002 if there is no such account.
void require_account(std::string_view user_id, Account& out);

// Raises P0002; with `referred`, 23503 for a row that refers to that account.
[[noreturn]] void no_such_account(const std::int64_t* referred = nullptr);

// Raises 22023 unless the text can be a user id: 1 to 255 characters, none of them a control character.
void check_user_id(std::string_view user_id);

}  // namespace mirox::store

// Decides which account gets which id while the events of a transaction on users tables are judged (see bound.hpp). A
// subtransaction works on a copy, which replaces the original when it commits.
//
// Locks: the accounts' rows (manage.hpp).
#pragma once

#include "pg/prelude.hpp"

extern "C" {
#include "storage/itemptr.h"
#include "utils/rel.h"
}

namespace mirox::store {

// A version of a row. Its bytes are the hash key, so the struct has no padding.
struct Version {
    Oid table;  // InvalidOid: none
    ItemPointerData tid;
    std::uint16_t none;
};
static_assert(sizeof(Version) == 12);

inline Version version_of(Relation table, const ItemPointerData& tid) {
    return {RelationGetRelid(table), tid, 0};
}

inline bool is_same(const Version& a, const Version& b) {
    return memcmp(&a, &b, sizeof(Version)) == 0;
}

// What is known of an account whose user's row changed in this transaction, or for which another account waits.
struct ChangedUser {
    std::int64_t account_id;  // the key
    Version row;              // its user's row as last judged; none: not judged yet
    const char* target;       // the id that it waits for; null: it does not wait
    std::int64_t waits_for;   // the account that has that id; 0: it does not wait
    std::int64_t waiter;      // the account that is to get its id; 0: none
    bool left;                // its user's row was deleted, but a row with its id exists
};

// A row that was changed in this transaction and then moved to another partition. Its chain of versions ends at the move.
struct Crossing {
    Version from;             // the key
    Version to;               // none: not known yet
    bool left;                // judged before `to` was known (SET CONSTRAINTS … IMMEDIATE)
    std::int64_t account_id;  // in that case: the row's account
};

// Created if it does not exist.
Crossing* crossing_from(const Version& from);
ChangedUser* changed_user(std::int64_t account_id);
// Null if there is none.
ChangedUser* find_changed_user(std::int64_t account_id);

// The account with this id, 0 if there is none.
std::int64_t account_named(std::string_view user_id);

// The row exists and has the id `id`. account_id 0: its user has no account.
void arrive(std::int64_t account_id, const char* id, const Version& row);

// The row continued from `row`, and an event about that is still to be judged. This is recorded for a user without an account
// too, because the ids that the row has in between may belong to other users.
void pass(std::int64_t account_id, const Version& row);
// True once if pass() recorded this version. `account_id` is the row's account.
bool take_passage(const Version& row, std::int64_t& account_id);

// The user no longer exists.
void end_account(std::int64_t account_id);

// Called once from _PG_init. At the transaction's end an account that still waits is refused.
void watch_changed_users();

}  // namespace mirox::store

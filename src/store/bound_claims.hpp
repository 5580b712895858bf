// Which account is to have which id, while the events of a transaction on users tables are judged (see bound.hpp). A subtransaction
// has a copy of what is known, which takes the place of the original when it commits.
//
// Locks: the accounts' rows (manage.hpp).
#pragma once

#include "pg/prelude.hpp"

extern "C" {
#include "storage/itemptr.h"
#include "utils/rel.h"
}

namespace mirox::store {

// A version of a row. Hashed as it is, so without a gap.
struct Version {
    Oid table;  // InvalidOid: none
    ItemPointerData place;
    std::uint16_t none;
};
static_assert(sizeof(Version) == 12);

inline Version version_of(Relation table, const ItemPointerData& place) {
    return {RelationGetRelid(table), place, 0};
}

inline bool is_same(const Version& a, const Version& b) {
    return memcmp(&a, &b, sizeof(Version)) == 0;
}

// What is known of an account whose user's row has changed in this transaction, or that another waits for.
struct Claim {
    std::int64_t account_id;  // the key
    Version row;              // its user's, as it was last judged; none: not yet
    const char* target;       // the id that it is to have, and waits for; null: it has its own
    std::int64_t waits_for;   // who has that id; 0: it does not wait
    std::int64_t waiter;      // who is to have its id; 0: nobody
    bool left;                // its user's row is gone, though there is a row of its id
};

// A row that was changed in this transaction and then moved to another partition, where its versions do not lead.
struct Crossing {
    Version from;             // the key
    Version to;               // none: not known yet
    bool left;                // judged before that was known (SET CONSTRAINTS … IMMEDIATE)
    std::int64_t account_id;  // the row's, then
};

// Made where there is none.
Crossing* crossing_from(const Version& from);
Claim* make_claim(std::int64_t account_id);
// Null where there is none.
Claim* find_claim(std::int64_t account_id);

// The account with this id, 0 when there is none.
std::int64_t account_named(std::string_view user_id);

// The row stands, and its id is `id`. account_id 0: its user has no account.
void arrive(std::int64_t account_id, const char* id, const Version& row);

// The row went on from `row`, of which an event is still to be judged. That its user has no account is kept too: the ids that the
// row has in between may be those of others.
void pass(std::int64_t account_id, const Version& row);
// True, once, where it did; whose row it was.
bool take_passage(const Version& row, std::int64_t& account_id);

// Its user is gone.
void end_account(std::int64_t account_id);

// Called once from _PG_init: at the transaction's end whoever still waits is refused.
void watch_claims();

}  // namespace mirox::store

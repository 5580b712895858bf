// Accounts that follow the rows of a users table of the platform's, by the trigger function account_bound.
//
// What becomes of a user is judged by deferred triggers, so at the end of the transaction or where it says SET CONSTRAINTS …
// IMMEDIATE, one event at a time in the order in which they happened:
// - a row that is gone, or has no id any more, ends its account, unless a row with its id is there again;
// - a row with another id takes its account along. A row that changed more than once is followed to its last version first.
// Until all events are judged, the id that an account shall have may still be another's, who shall have another one himself. So
// an account waits for the one that has its id, is renamed as soon as that has left it, and where they wait for one another in
// a circle, one steps aside under an id of its own. What waits when the transaction ends is refused.
//
// Locks: AccessShareLock on the users table for the look-up; the accounts' rows (manage.hpp), of more than one account in a
// transaction that changes more than one user.
#pragma once

#include "pg/prelude.hpp"

namespace mirox::store {

// Why a table that is bound neither inherits nor is inherited from, and what to do.
inline constexpr char kChildUnseen[] = "Rows of a child are not seen by its parent's triggers.";
inline constexpr char kOneTable[] = "Keep the users in one table, or in a partitioned one.";

// A trigger on a table that calls our account_bound.
struct BoundTrigger {
    Oid oid, table;
    Oid parent;  // the trigger of the partitioned table that it was made from
    NameData name;
    bool ends;      // judges the end of rows
    bool in_force;  // neither disabled nor idle under session_replication_role
};

// Calls each(state, trigger) for those of the table.
void for_each_bound_trigger(Oid table, void (*each)(void* state, const BoundTrigger& trigger), void* state);
// False when the trigger is none of ours, or gone.
bool find_bound_trigger(Oid trigger, BoundTrigger& out);
// The one that it was made from, and that from, …, at last: the one on the table that is bound. False when that is gone.
bool find_topmost(Oid trigger, BoundTrigger& out);

// Called once from _PG_init: the transaction's end; and the hooks that refuse what takes users away without a trigger
// (bound_guard.cpp).
void watch_bound_accounts();
void watch_bound_tables();

}  // namespace mirox::store

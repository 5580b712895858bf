// Accounts that follow the rows of the platform's users table, by the trigger function account_bound.
//
// Deferred triggers judge each change of a user at the end of the transaction, or at SET CONSTRAINTS … IMMEDIATE, one event at a
// time in the order of the changes:
// - A row that was deleted, or has no id any more, ends its account, unless there is a row with the same id again.
// - A row with a new id takes its account along. A row that changed more than once is first followed to its last version.
// Until all events are judged, the id that an account is to get may still belong to another account that is to be renamed too. So
// the account waits for that account, and is renamed when the id becomes free. If accounts wait for each other in a circle, one
// of them takes a temporary id. An account that still waits when the transaction ends is refused.
//
// Locks: AccessShareLock on the users table for the look-up; the accounts' rows (manage.hpp), more than one in a transaction that
// changes more than one user.
#pragma once

#include "pg/prelude.hpp"

namespace mirox::store {

// Why a bound table can neither inherit nor have children, and what to do instead.
inline constexpr char kChildUnseen[] = "Rows of a child are not seen by its parent's triggers.";
inline constexpr char kOneTable[] = "Keep the users in one table, or in a partitioned one.";

// A trigger on a table that calls our account_bound.
struct BoundTrigger {
    Oid oid, table;
    Oid parent;  // the partitioned table's trigger that this is a copy of
    NameData name;
    bool ends;      // fires when rows are deleted
    bool in_force;  // not disabled, neither by itself nor by session_replication_role
};

// Calls each(state, trigger) for each such trigger of the table.
void for_each_bound_trigger(Oid table, void (*each)(void* state, const BoundTrigger& trigger), void* state);
// False if the trigger does not call account_bound, or no longer exists.
bool find_bound_trigger(Oid trigger, BoundTrigger& out);
// Follows the parents of a trigger to the one on the bound table. False if that no longer exists.
bool find_topmost(Oid trigger, BoundTrigger& out);

// Called once from _PG_init: watch_bound_accounts() registers callbacks of the transaction's end, watch_bound_tables() the hooks
// that refuse commands which remove users without firing a trigger (bound_guard.cpp).
void watch_bound_accounts();
void watch_bound_tables();

}  // namespace mirox::store

// What the triggers of the management tables share: the event, the row before and after, and the act that the trigger belongs to.
// Each table's own triggers are in triggers_TABLE.cpp. Their rules hold for direct DML as well as for the functions.
//
// Locks: a trigger on a token or session locks its account's row (accounts.hpp) unless the running act has locked it. A direct
// UPDATE or DELETE locks the token's or session's row before any row trigger runs, which is the wrong order. So its statement
// trigger (statement_lock) first takes ShareRowExclusiveLock on table account. That lock waits for all management and keeps it
// out, since open_locked() takes RowExclusiveLock there.
#pragma once

#include "pg/prelude.hpp"
//
#include <initializer_list>

#include "pg/catalog.hpp"
#include "pg/columns.hpp"
#include "pg/entry.hpp"
#include "pg/values.hpp"
#include "store/audit.hpp"

extern "C" {
#include "access/htup_details.h"
#include "commands/trigger.h"
#include "utils/rel.h"
}

namespace mirox::store::triggers {

using pg::Query;
using pg::Type;

// The event that fired a trigger.
struct Change {
    TriggerData* data;
    TupleDesc columns;
    HeapTuple before;  // null on INSERT
    HeapTuple after;   // null on DELETE
    HeapTuple row;     // before, or after where there is none
    bool inserted, updated, deleted;
};

// How the install script created a trigger: when it fires, and for which events.
struct Fires {
    bool before, row;
    const char* events;  // letters of insert, update, delete, truncate
};
inline constexpr Fires kBeforeRow = {true, true, "iud"};
inline constexpr Fires kAfterRow = {false, true, "ud"};

// The change. Raises 39P01 unless the trigger is on the table, and fires, as the script created it. Anybody who may call the
// function can put it on another table, whose rows have other columns, or none.
Change read_change(FunctionCallInfo fcinfo, Oid pg::Catalog::*table, const Fires& as);

struct Value {
    Datum datum;
    bool is_null;
};
Value get(HeapTuple row, const Change& change, int column);
std::int64_t get_int8(HeapTuple row, const Change& change, int column);
// Empty for NULL.
std::string_view get_text(HeapTuple row, const Change& change, int column);

bool differs(const Change& change, int column);
// True if the column has a new value: the row is inserted, or the column is changed.
bool is_new(const Change& change, int column);

// Raises 22023 if a column that other rows or people refer to is changed.
void refuse_move(const Change& change, int column);
// Checks a text for people if it is new.
void check_new_line(const Change& change, int column, const char* what);

// True for an INSERT that brings the key of an audit row: it is a replay, from a restore or a publisher.
bool is_replay(const Change& change, int audit_id_column);

// The act that a trigger belongs to: the running one or, for direct DML, one of its own.
struct Act {
    Actor own;
    Actor* actor;
    bool direct;  // DML on this very table, not a consequence of an act
    MemoryContext caller;
};
void begin(Act& act);
void end(Act& act);

// The account of a row, locked: the act's own, or read. If it no longer exists, raises an ERROR if `needed`.
Account account_of(const Act& act, std::int64_t account_id, bool needed);

// Takes over the key of the audit row that the change has just written: the rows that follow from the change carry the same key.
void take_key(Act& act, const Change& change, int audit_node_column);

struct Events {
    const char *inserted, *updated, *deleted;
};
// Adds the row or, for an update, the changes and the values of `keys`, which identify the row.
void describe(Detail& detail, const Change& change, HeapTuple row, std::initializer_list<int> keys = {});
// The row to store, with the key of the audit row.
Datum stamped(const Change& change, HeapTuple stored, int audit_node_column, AuditKey key);
// The row of an act that has its audit row already: ends the act, and stamps the row with the key of that one.
Datum stamped_by_act(Act& act, const Change& change, int audit_node_column);
// Writes the audit row, ends the act, and returns the row to store.
Datum audited(Act& act, const Change& change, HeapTuple stored, int audit_node_column, const Events& events,
              const Subject& subject, Detail& detail);

}  // namespace mirox::store::triggers

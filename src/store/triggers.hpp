// What the triggers of the management tables share: what fired, the row before and after, the act that it belongs to. Each table's
// own are in triggers_TABLE.cpp; what they say holds for direct DML as well as for the functions.
//
// Locks: a trigger on a token or session takes its account's row (accounts.hpp) unless the act that runs has it already. A
// direct UPDATE or DELETE has locked the token's or session's row before any row trigger runs, the wrong way round; its
// statement trigger (statement_lock) therefore first takes ShareRowExclusiveLock on the account table, which waits for, and keeps
// out, all management (open_locked() takes RowExclusiveLock there).
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

// What a trigger was called for.
struct Change {
    TriggerData* data;
    TupleDesc columns;
    HeapTuple before;  // null on INSERT
    HeapTuple after;   // null on DELETE
    HeapTuple row;     // before, or after where there is none
    bool inserted, updated, deleted;
};

// How the install script has put a trigger: when it fires, and for which events.
struct Fires {
    bool before, row;
    const char* events;  // letters of insert, update, delete, truncate
};
inline constexpr Fires kBeforeRow = {true, true, "iud"};
inline constexpr Fires kAfterRow = {false, true, "ud"};

// The change, where the trigger stands as the script has put it; else 39P01. Anybody who may call the function can put it elsewhere,
// where rows have other columns, or there are none.
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
// True where the row brings a value of its own: it is inserted, or changed there.
bool is_new(const Change& change, int column);

// 22023 for a column that others go by.
void refuse_move(const Change& change, int column);
// Checks a text that people read, where it is new.
void check_new_line(const Change& change, int column, const char* what);

// An INSERT that brings the key of an audit row is a replay: a restore, or a subscriber's copy.
bool is_replay(const Change& change, int audit_id_column);

// The act that a trigger belongs to: the one that runs, or, for direct DML, one of its own.
struct Act {
    Actor own;
    Actor* actor;
    bool direct;  // DML on this very table, not a consequence of an act
    MemoryContext caller;
};
void begin(Act& act);
void end(Act& act);

// The account of a row, locked: the act's own, or fetched. One that is gone is an ERROR where `needed`.
Account account_of(const Act& act, std::int64_t account_id, bool needed);

// Of the audit row that the change has just been given: what follows from it carries the same key.
void take_key(Act& act, const Change& change, int audit_node_column);

struct Events {
    const char *inserted, *updated, *deleted;
};
// Adds the row, or what an update changed of it and the values of `keys` by which to know it.
void describe(Detail& detail, const Change& change, HeapTuple row, std::initializer_list<int> keys = {});
// What the server is to store, with the key of the audit row on it.
Datum stamped(const Change& change, HeapTuple stored, int audit_node_column, AuditKey key);
// Writes the audit row, ends the act, stamps what the server is to store.
Datum audited(Act& act, const Change& change, HeapTuple stored, int audit_node_column, const Events& events,
              const Subject& subject, Detail& detail);

}  // namespace mirox::store::triggers

// What the triggers of the management tables share, and the triggers that are on several tables (see triggers.hpp, also for the
// locks).
#include "store/triggers.hpp"

#include "pg/members.hpp"
#include "store/tokens.hpp"

extern "C" {
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/extension.h"
#include "storage/lmgr.h"
#include "utils/datum.h"
#include "utils/inval.h"
}

namespace mirox::store::triggers {
namespace {

Change read_change(FunctionCallInfo fcinfo) {
    if (!CALLED_AS_TRIGGER(fcinfo))
        MIROX_RAISE(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, errword(ErrorWord::trigger_misplaced),
                    errmsg("not called as a trigger"));
    auto* data = reinterpret_cast<TriggerData*>(fcinfo->context);
    Change change = {};
    change.data = data;
    change.columns = RelationGetDescr(data->tg_relation);
    change.inserted = TRIGGER_FIRED_BY_INSERT(data->tg_event);
    change.updated = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
    change.deleted = TRIGGER_FIRED_BY_DELETE(data->tg_event);
    if (change.inserted) change.after = data->tg_trigtuple;
    if (change.updated) {
        change.before = data->tg_trigtuple;
        change.after = data->tg_newtuple;
    }
    if (change.deleted) change.before = data->tg_trigtuple;
    change.row = change.before != nullptr ? change.before : change.after;
    return change;
}

bool fires(const Change& change, const Fires& as) {
    const TriggerEvent event = change.data->tg_event;
    const char letter = change.inserted ? 'i' : change.updated ? 'u' : change.deleted ? 'd' : 't';
    return (as.before ? TRIGGER_FIRED_BEFORE(event) : TRIGGER_FIRED_AFTER(event)) &&
           (TRIGGER_FIRED_FOR_ROW(event) != 0) == as.row && strchr(as.events, letter) != nullptr;
}

[[noreturn]] void not_ours(const Change& change) {
    MIROX_RAISE(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, errword(ErrorWord::trigger_misplaced),
                errmsg("trigger \"%s\" does not belong on \"%s\" as it is", change.data->tg_trigger->tgname,
                       RelationGetRelationName(change.data->tg_relation)),
                errdetail("Its function reads rows of one table of mirox_tokens, at one moment."), errhint("Drop this trigger."));
}

// The install script writes rows before all of its tables exist.
bool is_installing() {
    return creating_extension && CurrentExtensionObject == get_extension_oid(pg::kExtension, true);
}

}  // namespace

Change read_change(FunctionCallInfo fcinfo, Oid pg::Catalog::*table, const Fires& as) {
    const Change change = read_change(fcinfo);
    if (!fires(change, as) || (!is_installing() && RelationGetRelid(change.data->tg_relation) != pg::catalog().*table))
        not_ours(change);
    return change;
}

Value get(HeapTuple row, const Change& change, int column) {
    Value value;
    value.datum = heap_getattr(row, column, change.columns, &value.is_null);
    return value;
}

std::int64_t get_int8(HeapTuple row, const Change& change, int column) {
    return DatumGetInt64(get(row, change, column).datum);
}

std::string_view get_text(HeapTuple row, const Change& change, int column) {
    const Value value = get(row, change, column);
    return value.is_null ? std::string_view{} : pg::text_view(value.datum);
}

bool differs(const Change& change, int column) {
    const Value before = get(change.before, change, column), after = get(change.after, change, column);
    if (before.is_null || after.is_null) return before.is_null != after.is_null;
    const Form_pg_attribute attribute = TupleDescAttr(change.columns, column - 1);
    return !datum_image_eq(before.datum, after.datum, attribute->attbyval, attribute->attlen);
}

bool is_new(const Change& change, int column) {
    return change.inserted || (change.updated && differs(change, column));
}

void refuse_move(const Change& change, int column) {
    if (!change.updated || !differs(change, column)) return;
    MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE,
                errword(ErrorWord::column_fixed, NameStr(TupleDescAttr(change.columns, column - 1)->attname)),
                errmsg("column \"%s\" of %s cannot be changed", NameStr(TupleDescAttr(change.columns, column - 1)->attname),
                       RelationGetRelationName(change.data->tg_relation)),
                errdetail("Other rows refer to it."), errhint("Insert a new row instead."));
}

void check_new_line(const Change& change, int column, const char* what) {
    if (is_new(change, column)) check_line(what, get_text(change.after, change, column));
}

bool is_replay(const Change& change, int audit_id_column) {
    return change.inserted && !get(change.after, change, audit_id_column).is_null;
}

void begin(Act& act) {
    act.caller = CurrentMemoryContext;
    act.actor = current_actor();
    act.direct = act.actor == nullptr;
    if (act.direct) {
        enter(act.own, true);
        act.actor = &act.own;
    } else {
        pg::spi_open();
    }
}

void end(Act& act) {
    if (act.direct)
        leave(act.own);
    else
        pg::spi_close();
    MemoryContextSwitchTo(act.caller);
}

Account account_of(const Act& act, std::int64_t account_id, bool needed) {
    if (act.actor->account.account_id == account_id) return act.actor->account;
    Account account;
    if (!account_for_update(account_id, account) && needed) no_such_account(&account_id);
    return account;
}

void take_key(Act& act, const Change& change, int audit_node_column) {
    act.actor->last = {DatumGetInt32(get(change.after, change, audit_node_column).datum),
                       get_int8(change.after, change, audit_node_column + 1)};
}

void describe(Detail& detail, const Change& change, HeapTuple row, std::initializer_list<int> keys) {
    if (!change.updated) {
        detail.add_row(row, change.columns);
        return;
    }
    for (const int column : keys) {
        const Form_pg_attribute attribute = TupleDescAttr(change.columns, column - 1);
        detail.add_value(NameStr(attribute->attname), get(change.before, change, column).datum, attribute->atttypid);
    }
    detail.add_changes(change.before, row, change.columns);
}

Datum stamped(const Change& change, HeapTuple stored, int audit_node_column, AuditKey key) {
    if (change.deleted) return PointerGetDatum(change.before);
    int columns[] = {audit_node_column, audit_node_column + 1};
    Datum values[] = {Int32GetDatum(key.node), Int64GetDatum(key.id)};
    bool nulls[] = {false, false};
    return PointerGetDatum(heap_modify_tuple_by_cols(stored, change.columns, 2, columns, values, nulls));
}

Datum stamped_by_act(Act& act, const Change& change, int audit_node_column) {
    const AuditKey key = act.actor->last;
    end(act);
    return stamped(change, change.after, audit_node_column, key);
}

Datum audited(Act& act, const Change& change, HeapTuple stored, int audit_node_column, const Events& events,
              const Subject& subject, Detail& detail) {
    const AuditKey key = audit(change.inserted  ? events.inserted
                               : change.updated ? events.updated
                                                : events.deleted,
                               subject, detail);
    end(act);
    return stamped(change, stored, audit_node_column, key);
}

// On permission_group, group_policy and endpoint, for statements, and for rows because a subscriber's apply worker fires row triggers only.
MIROX_FUNCTION(cache_changed) {
    const Change change = read_change(fcinfo);
    const Oid table = RelationGetRelid(change.data->tg_relation);
    if ((!fires(change, {false, false, "iudt"}) && !fires(change, {false, true, "iud"})) ||
        (!is_installing() && table != pg::catalog().permission_group && table != pg::catalog().group_policy &&
         table != pg::catalog().endpoint))
        not_ours(change);
    // A policy is kept with its group.
    const bool policy = !is_installing() && table == pg::catalog().group_policy;
    CacheInvalidateRelcacheByRelid(policy ? pg::catalog().permission_group : table);
    return PointerGetDatum(nullptr);
}

MIROX_FUNCTION(statement_lock) {
    const Change change = read_change(fcinfo);
    const pg::Catalog& ours = pg::catalog();
    const Oid table = RelationGetRelid(change.data->tg_relation);
    if (!fires(change, {true, false, "ud"}) ||
        (table != ours.session && table != ours.token && table != ours.token_secret && table != ours.service_account))
        not_ours(change);
    if (current_actor() == nullptr) LockRelationOid(ours.account, ShareRowExclusiveLock);
    return PointerGetDatum(nullptr);
}

// For tables that only the extension's scripts may write: what their rows name is granted or executed with the owner's
// privileges.
MIROX_FUNCTION(script_only) {
    const Change change = read_change(fcinfo);
    const Oid extension = getExtensionOfObject(RelationRelationId, RelationGetRelid(change.data->tg_relation));
    const bool placed = fires(change, kBeforeRow) || fires(change, {true, false, "t"});
    const bool scripted = creating_extension && CurrentExtensionObject == extension;
    if (!placed || !OidIsValid(extension) || (!scripted && extension != pg::catalog().extension)) not_ours(change);
    if (!scripted)
        MIROX_RAISE(
            ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::change_refused),
            errmsg("%s is filled by the scripts of mirox_tokens alone", RelationGetRelationName(change.data->tg_relation)),
            errdetail("What stands there is done with the rights of the extension's owner."),
            errhint("Grant rights with mirox.grant_access or GRANT."));
    return PointerGetDatum(change.deleted ? change.before : change.after);
}

// For tables whose rows an act or the worker alone changes or takes away.
MIROX_FUNCTION(acts_only) {
    const Change change = read_change(fcinfo);
    if (!fires(change, {true, false, "udt"}) || !pg::is_own_table(RelationGetRelid(change.data->tg_relation))) not_ours(change);
    if (current_actor() == nullptr)
        MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::change_refused),
                    errmsg("%s cannot be changed by hand", RelationGetRelationName(change.data->tg_relation)),
                    errdetail("Acts change its rows, and the worker takes them away when their time is over."));
    return PointerGetDatum(nullptr);
}

// Refuses TRUNCATE, and on the audit log and recorded use also UPDATE and DELETE. On most tables it fires for each statement and not
// for each row, so that it costs the worker nothing per row. On the store by time it fires for rows, which reaches partitions.
MIROX_FUNCTION(refuse_change) {
    const Change change = read_change(fcinfo);
    const Oid table = RelationGetRelid(change.data->tg_relation);
    const pg::Catalog& ours = pg::catalog();
    if ((!fires(change, {true, false, "udt"}) && !fires(change, {true, true, "ud"})) || !pg::is_own_table(table))
        not_ours(change);
    const bool audit = table == ours.audit_log, row = TRIGGER_FIRED_FOR_ROW(change.data->tg_event) != 0;
    const Actor* actor = current_actor();
    const bool may = actor != nullptr && (actor->erases ? change.updated : actor->worker && !row && (change.deleted || !audit));
    if (may && (change.updated || change.deleted))
        return PointerGetDatum(!row ? nullptr : change.deleted ? change.before : change.after);
    if (audit)
        MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::change_refused), errmsg("the audit log is append-only"),
                    errdetail("Only the retention job takes rows from it."),
                    errhint("Set how long rows are kept with mirox_tokens.audit_retention."));
    const char* name = RelationGetRelationName(change.data->tg_relation);
    if (row || TRIGGER_FOR_UPDATE(change.data->tg_trigger->tgtype))
        MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::change_refused), errmsg("recorded use cannot be changed"),
                    errdetail("Only the worker changes rows of %s, or takes them away.", name),
                    errhint("Set how long rows are kept with mirox_tokens.minute_retention, hour_retention, day_retention and "
                            "address_retention. mirox.erase_traces takes a user out of them."));
    MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::change_refused), errmsg("%s cannot be truncated", name),
                errdetail("Each row's end is checked, audited and carried to what depends on it."),
                errhint("Delete rows, or accounts with mirox.delete_account."));
    return PointerGetDatum(nullptr);
}

}  // namespace mirox::store::triggers

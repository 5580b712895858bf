// Refuses commands that remove users without firing a row trigger: TRUNCATE of a bound table or one of its partitions, and DROP
// and DETACH of a partition, while it holds users. Also refuses tables that inherit from a bound one, whose rows would have no
// trigger. An empty partition may be dropped or detached, and so may a partition of a table that is no longer bound, or the whole
// table.
//
// A partition that is dropped or detached loses its copy of the trigger. Only when the command is done is it known whether the
// parent trigger stays. If it stays, the command removed the partition alone.
//
// Locks: AccessExclusiveLock on a partition that must be empty, which the command itself takes too; AccessShareLock before DETACH
// CONCURRENTLY, released again. The check for emptiness runs without a plan, so it executes nobody's code.
#include "pg/catalog.hpp"
#include "store/bound.hpp"
#include "store/rows.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
}

namespace mirox::store {
namespace {

// ---- the extension's triggers, found in the catalog ------------------------------------------------------------------------

// True if the function is the extension's account_bound. Raises no ERROR if it is missing or broken.
bool is_account_bound(Oid function) {
    HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(row)) return false;
    bool is_null;
    const Datum source = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_prosrc, &is_null);
    const bool named = !is_null && strcmp(TextDatumGetCString(source), "mirox_account_bound") == 0;
    ReleaseSysCache(row);
    if (!named) return false;
    const Oid extension = getExtensionOfObject(ProcedureRelationId, function);
    return OidIsValid(extension) && extension == get_extension_oid(pg::kExtension, true);
}

bool fires(char enabled) {
    if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
        return enabled == TRIGGER_FIRES_ON_REPLICA || enabled == TRIGGER_FIRES_ALWAYS;
    return enabled == TRIGGER_FIRES_ON_ORIGIN || enabled == TRIGGER_FIRES_ALWAYS;
}

// Scans the triggers in whose `column`, the first column of `index`, stands `value`. Calls each() for those of the extension
// until it returns false.
template <class Each>
void scan_triggers(Oid index, AttrNumber column, Oid value, Each each) {
    Relation triggers = table_open(TriggerRelationId, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value));
    SysScanDesc scan = systable_beginscan(triggers, index, true, nullptr, 1, &key);
    HeapTuple tuple;
    bool more = true;
    while (more && HeapTupleIsValid(tuple = systable_getnext(scan))) {
        const auto* row = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
        if (row->tgisinternal || !is_account_bound(row->tgfoid)) continue;
        BoundTrigger trigger = {row->oid,
                                row->tgrelid,
                                row->tgparentid,
                                row->tgname,
                                row->tgdeferrable && TRIGGER_FOR_DELETE(row->tgtype) != 0,
                                fires(row->tgenabled)};
        more = each(trigger);
    }
    systable_endscan(scan);
    table_close(triggers, AccessShareLock);
}

}  // namespace

void for_each_bound_trigger(Oid table, void (*each)(void* state, const BoundTrigger& trigger), void* state) {
    scan_triggers(TriggerRelidNameIndexId, Anum_pg_trigger_tgrelid, table, [&](const BoundTrigger& trigger) {
        each(state, trigger);
        return true;
    });
}

bool find_bound_trigger(Oid trigger, BoundTrigger& out) {
    bool found = false;
    scan_triggers(TriggerOidIndexId, Anum_pg_trigger_oid, trigger, [&](const BoundTrigger& one) {
        out = one;
        found = true;
        return false;
    });
    return found;
}

bool find_topmost(Oid trigger, BoundTrigger& out) {
    bool found = find_bound_trigger(trigger, out);
    while (found && OidIsValid(out.parent)) found = find_bound_trigger(out.parent, out);
    return found;
}

namespace {

// ---- removed users ---------------------------------------------------------------------------------------------------------

// A partition that holds users and has lost its trigger in the command that runs.
struct Gone {
    Gone* next;
    Oid topmost;
    const char* part;
    int nest_level;
};
constinit Gone* gone = nullptr;

bool holds_rows(Oid table, LOCKMODE lock, LOCKMODE release) {
    Relation relation = table_open(table, lock);
    bool found = false;
    for_all_rows(relation, newest_snapshot(), [&](TupleTableSlot*) {
        found = true;
        return false;
    });
    table_close(relation, release);
    return found;
}

// Finds a trigger in force that fires when rows of the table are deleted.
bool is_watched(Oid table, BoundTrigger& out) {
    bool found = false;
    scan_triggers(TriggerRelidNameIndexId, Anum_pg_trigger_tgrelid, table, [&](const BoundTrigger& trigger) {
        found = trigger.ends && trigger.in_force;
        if (found) out = trigger;
        return !found;
    });
    return found;
}

[[noreturn]] void refuse(const char* table) {
    MIROX_RAISE(ERRCODE_OBJECT_IN_USE, errword(ErrorWord::users_present),
                errmsg("table \"%s\" holds users that accounts are bound to", table),
                errdetail("Their rows would go without a trigger, and their accounts would stay."),
                errhint("Delete the rows in an earlier transaction, which deletes their accounts too, or drop the triggers that "
                        "call mirox.account_bound."));
}

bool has_triggers(Oid table) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
    if (!HeapTupleIsValid(tuple)) return false;
    const auto* row = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    const bool has = row->relkind == RELKIND_RELATION && row->relhastriggers;
    ReleaseSysCache(tuple);
    return has;
}

void before_truncate(Oid table) {
    BoundTrigger trigger;
    if (!has_triggers(table) || !is_watched(table, trigger)) return;
    // The server checks the privilege after this hook. A role without it must neither learn anything here nor lock the table.
    if (!pg::may_truncate(table, GetUserId())) return;
    if (holds_rows(table, AccessExclusiveLock, NoLock)) refuse(get_rel_name(table));
}

void before_drop(Oid oid) {
    BoundTrigger trigger, topmost;
    if (!find_bound_trigger(oid, trigger) || !OidIsValid(trigger.parent) || !trigger.ends || !trigger.in_force ||
        get_rel_relkind(trigger.table) != RELKIND_RELATION || !find_topmost(oid, topmost) ||
        !holds_rows(trigger.table, AccessExclusiveLock, NoLock))
        return;
    auto* one = static_cast<Gone*>(MemoryContextAlloc(TopTransactionContext, sizeof(Gone)));
    *one = {gone, topmost.oid, MemoryContextStrdup(TopTransactionContext, get_rel_name(trigger.table)),
            GetCurrentTransactionNestLevel()};
    gone = one;
}

void judge_gone() {
    BoundTrigger topmost;
    while (gone != nullptr) {
        const Gone* one = gone;
        gone = one->next;
        if (find_bound_trigger(one->topmost, topmost)) refuse(one->part);
    }
}

// DETACH CONCURRENTLY removes the triggers in its second transaction, after the first has marked the partition as detached. So
// the partition is checked before the command. Rows inserted meanwhile are found in the second transaction, which FINALIZE can
// repeat.
void before_detach(const AlterTableStmt* statement) {
    ListCell* cell;
    foreach (cell, statement->cmds) {
        const auto* command = static_cast<AlterTableCmd*>(lfirst(cell));
        if (command->subtype != AT_DetachPartition) continue;
        const auto* detach = reinterpret_cast<PartitionCmd*>(command->def);
        if (!detach->concurrent) continue;
        const Oid whole = RangeVarGetRelid(statement->relation, NoLock, true);
        const Oid part = RangeVarGetRelid(detach->name, NoLock, true);
        if (!OidIsValid(whole) || !OidIsValid(part) || !pg::owns_relation(whole, GetUserId()) ||
            !pg::owns_relation(part, GetUserId()))
            return;  // the server refuses it
        ListCell* below;
        foreach (below, find_all_inheritors(part, NoLock, nullptr)) {
            const Oid table = lfirst_oid(below);
            BoundTrigger trigger;
            if (has_triggers(table) && is_watched(table, trigger) && OidIsValid(trigger.parent) &&
                holds_rows(table, AccessShareLock, AccessShareLock))
                refuse(get_rel_name(table));
        }
    }
}

// The parent's triggers do not see rows of a child. This runs after the command, whose lock on the parent prevents a new binding.
void after_inherit(const List* parents) {
    ListCell* cell;
    foreach (cell, parents) {
        BoundTrigger trigger;
        const Oid parent = RangeVarGetRelid(static_cast<RangeVar*>(lfirst(cell)), NoLock, true);
        if (OidIsValid(parent) && has_triggers(parent) && is_watched(parent, trigger))
            MIROX_RAISE(ERRCODE_FEATURE_NOT_SUPPORTED, errword(ErrorWord::inheritance_unsupported),
                        errmsg("accounts are bound to table \"%s\", so no table can inherit from it", get_rel_name(parent)),
                        errdetail("%s", kChildUnseen), errhint("%s", kOneTable));
    }
}

void after_inherit(const Node* statement) {
    if (IsA(statement, CreateStmt)) {
        const auto* create = reinterpret_cast<const CreateStmt*>(statement);
        if (create->partbound == nullptr) after_inherit(create->inhRelations);
    }
    if (!IsA(statement, AlterTableStmt)) return;
    ListCell* cell;
    foreach (cell, reinterpret_cast<const AlterTableStmt*>(statement)->cmds) {
        const auto* command = static_cast<AlterTableCmd*>(lfirst(cell));
        if (command->subtype == AT_AddInherit) after_inherit(list_make1(command->def));
    }
}

object_access_hook_type next_access = nullptr;
ProcessUtility_hook_type next_utility = nullptr;

void access(ObjectAccessType what, Oid catalog, Oid object, int part, void* argument) {
    if (next_access != nullptr) next_access(what, catalog, object, part, argument);
    if (what == OAT_TRUNCATE && catalog == RelationRelationId) before_truncate(object);
    if (what == OAT_DROP && catalog == TriggerRelationId) before_drop(object);
}

void utility(PlannedStmt* planned, const char* text, bool read_only_tree, ProcessUtilityContext context, ParamListInfo parameters,
             QueryEnvironment* environment, DestReceiver* destination, QueryCompletion* completion) {
    if (IsA(planned->utilityStmt, AlterTableStmt)) before_detach(reinterpret_cast<AlterTableStmt*>(planned->utilityStmt));
    (next_utility != nullptr ? next_utility : standard_ProcessUtility)(planned, text, read_only_tree, context, parameters,
                                                                       environment, destination, completion);
    if (gone != nullptr) judge_gone();
    after_inherit(planned->utilityStmt);
}

// What was dropped outside of an SQL command is judged here.
void on_transaction(XactEvent event, void*) {
    if (gone == nullptr) return;
    if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE) judge_gone();
    if (event == XACT_EVENT_ABORT) gone = nullptr;
}

void on_subtransaction(SubXactEvent event, SubTransactionId, SubTransactionId, void*) {
    if (event != SUBXACT_EVENT_ABORT_SUB) return;
    while (gone != nullptr && gone->nest_level >= GetCurrentTransactionNestLevel()) gone = gone->next;
}

}  // namespace

void watch_bound_tables() {
    next_access = object_access_hook;
    object_access_hook = access;
    next_utility = ProcessUtility_hook;
    ProcessUtility_hook = utility;
    RegisterXactCallback(on_transaction, nullptr);
    RegisterSubXactCallback(on_subtransaction, nullptr);
}

}  // namespace mirox::store

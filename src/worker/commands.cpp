// A ProcessUtility hook. It refuses limits of accounts that are set for a role (pg/settings.hpp), and sees to it that a database has
// no worker during commands that need it away:
// - those that need a database empty: DROP DATABASE, ALTER DATABASE … SET TABLESPACE and RENAME, CREATE DATABASE … TEMPLATE;
// - those that drop or change the extension's tables: DROP and ALTER EXTENSION, DROP SCHEMA, DROP OWNED. They lock the tables in
//   an order that could deadlock with a drain.
//
// The worker of that database is asked to exit, and none starts until the command's transaction has ended, by commit or rollback.
// This is done only for roles that may run the command, and only when it concerns the extension: no other open transaction can
// keep recorded uses from being written.
//
// Locks: region_lock() exclusive for the list of databases that workers are kept away from. The list is plain data in shared
// memory. Its entries are removed when the transaction ends or the process exits; after a crash of any process the list is empty.
#include "worker/worker.hpp"

#include "pg/catalog.hpp"
#include "pg/settings.hpp"
#include "shmem/control.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "nodes/parsenodes.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
}

namespace mirox::worker {
namespace {

// How long the command waits for the worker, which exits between two of its short transactions. The server itself waits as long
// for other sessions to leave a database.
constexpr TimestampTz kPatience = 5 * USECS_PER_SEC;

ProcessUtility_hook_type next_utility = nullptr;
constinit bool keeping_away = false;

void let_workers_back() {
    if (!keeping_away) return;
    keeping_away = false;
    LWLockAcquire(shmem::region_lock(), LW_EXCLUSIVE);
    for (shmem::KeptAway& kept : shmem::control().kept_away)
        if (kept.database != InvalidOid && kept.pid == MyProcPid) kept = {};
    LWLockRelease(shmem::region_lock());
    shmem::wake_launcher();
}

void on_exit(int, Datum) {
    let_workers_back();
}

void on_transaction(XactEvent event, void*) {
    if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE) let_workers_back();
}

// A command that failed after a savepoint no longer keeps the worker away, even if its transaction stays open.
void on_subtransaction(SubXactEvent event, SubTransactionId, SubTransactionId, void*) {
    if (event == SUBXACT_EVENT_ABORT_SUB) let_workers_back();
}

void keep_worker_away(Oid database) {
    static constinit bool registered = false;
    if (!OidIsValid(database) || !shmem::region() || !IsUnderPostmaster) return;
    if (!registered) before_shmem_exit(on_exit, 0);
    registered = true;
    keeping_away = true;
    LWLockAcquire(shmem::region_lock(), LW_EXCLUSIVE);
    for (shmem::KeptAway& kept : shmem::control().kept_away)
        if (kept.database == InvalidOid || (kept.database == database && kept.pid == MyProcPid)) {
            kept = {database, MyProcPid};
            break;
        }
    LWLockRelease(shmem::region_lock());
    const TimestampTz until = GetCurrentTimestamp() + kPatience;
    ConditionVariablePrepareToSleep(&shmem::control().drained);
    while (shmem::worker_of(database) != nullptr && GetCurrentTimestamp() < until) {
        shmem::wake_worker(database);
        (void)ConditionVariableTimedSleep(&shmem::control().drained, 100, PG_WAIT_EXTENSION);
    }
    ConditionVariableCancelSleep();
}

Oid template_of(const CreatedbStmt* statement) {
    const char* name = "template1";
    ListCell* cell;
    foreach (cell, statement->options) {
        auto* option = static_cast<DefElem*>(lfirst(cell));
        if (strcmp(option->defname, "template") == 0 && option->arg != nullptr) name = defGetString(option);
    }
    return get_database_oid(name, true);
}

bool moves(const AlterDatabaseStmt* statement) {
    ListCell* cell;
    foreach (cell, statement->options)
        if (strcmp(static_cast<DefElem*>(lfirst(cell))->defname, "tablespace") == 0) return true;
    return false;
}

bool may_create_databases() {
    if (superuser()) return true;
    HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
    if (!HeapTupleIsValid(tuple)) return false;
    const bool may = reinterpret_cast<Form_pg_authid>(GETSTRUCT(tuple))->rolcreatedb;
    ReleaseSysCache(tuple);
    return may;
}

Oid if_owned(Oid database) {
    return OidIsValid(database) && pg::owns_database(database, GetUserId()) ? database : InvalidOid;
}

// Only its owner may copy a database that is not marked as a template.
Oid if_copied(Oid database) {
    if (!may_create_databases()) return InvalidOid;
    HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
    if (!HeapTupleIsValid(tuple)) return InvalidOid;
    const bool marked = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple))->datistemplate;
    ReleaseSysCache(tuple);
    return marked ? database : if_owned(database);
}

bool owns_extension() {
    if (!IsTransactionState()) return false;
    const Oid extension = get_extension_oid(pg::kExtension, true);
    return OidIsValid(extension) && pg::owns_extension(extension, GetUserId());
}

// Whether the statement may drop the extension: it names the extension or one of its schemas, or it cascades.
bool drops_extension(const DropStmt* drop) {
    if (drop->removeType != OBJECT_EXTENSION && drop->removeType != OBJECT_SCHEMA) return false;
    if (drop->behavior == DROP_CASCADE) return true;
    ListCell* cell;
    foreach (cell, drop->objects) {
        const char* name = strVal(lfirst(cell));
        for (const char* own : {pg::kExtension, pg::kSchema, pg::kInternalSchema})
            if (strcmp(name, own) == 0) return true;
    }
    return false;
}

// The database that the statement needs empty, if any.
Oid wanted_empty(Node* statement) {
    switch (nodeTag(statement)) {
        case T_DropdbStmt:
            return if_owned(get_database_oid(reinterpret_cast<DropdbStmt*>(statement)->dbname, true));
        case T_CreatedbStmt:
            return if_copied(template_of(reinterpret_cast<CreatedbStmt*>(statement)));
        case T_AlterDatabaseStmt: {
            auto* alter = reinterpret_cast<AlterDatabaseStmt*>(statement);
            return moves(alter) ? if_owned(get_database_oid(alter->dbname, true)) : InvalidOid;
        }
        case T_RenameStmt: {
            auto* rename = reinterpret_cast<RenameStmt*>(statement);
            return rename->renameType == OBJECT_DATABASE ? if_owned(get_database_oid(rename->subname, true)) : InvalidOid;
        }
        case T_DropStmt:
            return drops_extension(reinterpret_cast<DropStmt*>(statement)) && owns_extension() ? MyDatabaseId : InvalidOid;
        case T_AlterExtensionStmt:
        case T_DropOwnedStmt:
            return owns_extension() ? MyDatabaseId : InvalidOid;
        default:
            return InvalidOid;
    }
}

void on_utility(PlannedStmt* planned, const char* text, bool read_only_tree, ProcessUtilityContext context,
                ParamListInfo parameters, QueryEnvironment* environment, DestReceiver* destination, QueryCompletion* completion) {
    if (IsA(planned->utilityStmt, AlterRoleSetStmt))
        pg::refuse_limits_of_roles(reinterpret_cast<AlterRoleSetStmt*>(planned->utilityStmt));
    keep_worker_away(wanted_empty(planned->utilityStmt));
    (next_utility != nullptr ? next_utility : standard_ProcessUtility)(planned, text, read_only_tree, context, parameters,
                                                                       environment, destination, completion);
}

}  // namespace

void watch_commands() {
    next_utility = ProcessUtility_hook;
    ProcessUtility_hook = on_utility;
    RegisterXactCallback(on_transaction, nullptr);
    RegisterSubXactCallback(on_subtransaction, nullptr);
}

}  // namespace mirox::worker

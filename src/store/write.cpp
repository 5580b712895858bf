// Single rows without a plan (see write.hpp, also for the locks).
#include "store/write.hpp"

#include "pg/catalog.hpp"
#include "pg/members.hpp"

extern "C" {
#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "nodes/makefuncs.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
}

namespace mirox::store {
namespace {

// The executor's state for one row of one table, with its AFTER triggers queued.
struct Write {
    Relation table;
    EState* state;
    ResultRelInfo* target;
    TupleTableSlot* slot;
    MemoryContext before;
};

void begin(Write& write, Oid table, Bitmapset* changed) {
    write.table = pg::open_table(table, RowExclusiveLock);
    pg::require_own_members();  // checked again, since this may have waited for the lock
    if (write.table->rd_rel->relkind != RELKIND_RELATION)
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::extension_damaged),
                    errmsg("\"%s\" is no ordinary table", RelationGetRelationName(write.table)),
                    errdetail("Rows of mirox_tokens are written to the tables that its script makes."),
                    errhint("Restore the table from the install script or a backup."));
    write.state = CreateExecutorState();
    write.before = MemoryContextSwitchTo(write.state->es_query_cxt);
    pg::init_range_table(write.state, write.table, changed);
    write.state->es_output_cid = GetCurrentCommandId(true);
    write.target = makeNode(ResultRelInfo);
    InitResultRelInfo(write.target, write.table, 1, nullptr, 0);
    // Where AFTER triggers look for it.
    write.state->es_opened_result_relations = lappend(write.state->es_opened_result_relations, write.target);
    write.slot = ExecInitExtraTupleSlot(write.state, RelationGetDescr(write.table), table_slot_callbacks(write.table));
    AfterTriggerBeginQuery();
}

// Fills columns that a DBA has added with their defaults.
void fill_added(Write& write, const Columns& columns) {
    const TupleDesc all = RelationGetDescr(write.table);
    for (int i = 0; i < all->natts; i++) {
        const Form_pg_attribute column = TupleDescAttr(all, i);
        if ((!column->atthasdef && !column->attidentity) || column->attgenerated || column->attisdropped) continue;
        bool named = false;
        for (int k = 0; k < columns.count; k++) named = named || columns.numbers[k] == i + 1;
        if (named) continue;
        auto* const value = reinterpret_cast<Expr*>(build_column_default(write.table, i + 1));
        if (value == nullptr) continue;
        write.slot->tts_values[i] =
            ExecEvalExpr(ExecPrepareExpr(value, write.state), GetPerTupleExprContext(write.state), &write.slot->tts_isnull[i]);
    }
}

// A BEFORE trigger of somebody else that skips the row must not leave half an act behind.
[[noreturn]] void left_out(const Write& write) {
    MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::row_left_out),
                errmsg("a row of \"%s\" was not written", RelationGetRelationName(write.table)),
                errdetail("A BEFORE trigger on the table has left it out."),
                errhint("Make the trigger raise an error to refuse a row."));
}

void put(Write& write, const Columns& columns) {
    for (int i = 0; i < columns.count; i++) {
        write.slot->tts_values[columns.numbers[i] - 1] = columns.values[i];
        write.slot->tts_isnull[columns.numbers[i] - 1] = columns.nulls[i];
    }
    ExecStoreVirtualTuple(write.slot);
}

void end(Write& write) {
    AfterTriggerEndQuery(write.state);
    ExecCloseResultRelations(write.state);
    ExecResetTupleTable(write.state->es_tupleTable, false);
    MemoryContextSwitchTo(write.before);
    FreeExecutorState(write.state);
    table_close(write.table, NoLock);
}

// A session with disabled triggers can change rows without the account's lock. Then what the act has read of the row is outdated.
[[noreturn]] void changed_meanwhile(const Write& write) {
    MIROX_RAISE(ERRCODE_T_R_SERIALIZATION_FAILURE, errword(ErrorWord::row_changed_meanwhile),
                errmsg("a row of \"%s\" was changed meanwhile", RelationGetRelationName(write.table)),
                errdetail("By somebody who has its triggers off, and so does not wait for the account's row."),
                errhint("Run the transaction again."));
}

// Locks the row version that the scan has read, and puts it in the slot. The triggers and the update then find this version, and
// never have to look for a newer one.
void lock_as_read(const Write& write, const RowScan& scan, TupleTableSlot* out) {
    TM_FailureData failure;
    ItemPointerData at = scan.slot->tts_tid;
    const TM_Result outcome =
        table_tuple_lock(write.table, &at, scan.snapshot, out, write.state->es_output_cid, LockTupleNoKeyExclusive, LockWaitBlock,
                         TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS | TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
    if (outcome != TM_Ok || !ItemPointerEquals(&at, &scan.slot->tts_tid)) changed_meanwhile(write);
}

}  // namespace

ItemPointerData insert_row(Oid table, const Columns& columns) {
    Write write;
    begin(write, table, nullptr);
    ExecClearTuple(write.slot);
    memset(write.slot->tts_isnull, true, sizeof(bool) * RelationGetDescr(write.table)->natts);
    fill_added(write, columns);
    put(write, columns);
    ExecOpenIndices(write.target, false);
    ExecSimpleRelationInsert(write.target, write.state, write.slot);
    if (!ItemPointerIsValid(&write.slot->tts_tid)) left_out(write);
    const ItemPointerData written = write.slot->tts_tid;
    end(write);
    return written;
}

ItemPointerData update_row(RowScan& scan, const Columns& columns) {
    Bitmapset* changed = nullptr;
    for (int i = 0; i < columns.count; i++)
        changed = bms_add_member(changed, columns.numbers[i] - FirstLowInvalidHeapAttributeNumber);
    Write write;
    begin(write, RelationGetRelid(scan.heap), changed);
    const TupleDesc form = RelationGetDescr(write.table);
    TupleTableSlot* const before = ExecInitExtraTupleSlot(write.state, form, table_slot_callbacks(write.table));
    lock_as_read(write, scan, before);
    slot_getallattrs(before);
    ExecClearTuple(write.slot);
    memcpy(write.slot->tts_values, before->tts_values, sizeof(Datum) * form->natts);
    memcpy(write.slot->tts_isnull, before->tts_isnull, sizeof(bool) * form->natts);
    put(write, columns);
    EPQState nobody_else;
    pg::init_recheck(nobody_else, write.state);
    ExecOpenIndices(write.target, false);
    ItemPointerSetInvalid(&write.slot->tts_tid);
    ExecSimpleRelationUpdate(write.target, write.state, &nobody_else, before, write.slot);
    if (!ItemPointerIsValid(&write.slot->tts_tid)) left_out(write);
    const ItemPointerData written = write.slot->tts_tid;
    EvalPlanQualEnd(&nobody_else);
    end(write);
    return written;
}

std::int64_t next_value(Oid sequence) {
    return nextval_internal(sequence, false);
}

}  // namespace mirox::store

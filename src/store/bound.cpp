// Accounts that follow the rows of a users table (see bound.hpp, also for the locks).
#include "store/bound.hpp"

#include "pg/catalog.hpp"
#include "pg/entry.hpp"
#include "pg/query.hpp"
#include "pg/values.hpp"
#include "store/bound_ids.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/parsenodes.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

namespace mirox::store {
namespace {

[[noreturn]] void refuse_call() {
    MIROX_RAISE(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, errword(ErrorWord::trigger_misplaced),
                errmsg("not called as mirox.bind_accounts sets it up"),
                errdetail("It is a trigger on the platform's users table, and of no use otherwise."),
                errhint("Call mirox.bind_accounts to put the trigger on your users table."));
}

// ---- the bound table -------------------------------------------------------------------------------------------------------

// What a trigger is for. Looked up once for all events of a table that are judged in a row.
struct Binding {
    Oid table;    // the bound table, in which ids are looked up
    Oid owner;    // its owner
    bool parted;  // the table is partitioned
    int column;   // the id's number in the table that the trigger fires on
    Oid type;     // the id's type; for a domain its base type
    NameData name;
};

const Binding& binding_of(FunctionCallInfo fcinfo, const TriggerData* data) {
    FmgrInfo* function = fcinfo->flinfo;
    if (function->fn_extra != nullptr) return *static_cast<Binding*>(function->fn_extra);
    BoundTrigger topmost;
    if (data->tg_trigger->tgnargs != 1 || !find_topmost(data->tg_trigger->tgoid, topmost)) refuse_call();
    Binding found = {};
    found.table = topmost.table;
    Relation table = table_open(topmost.table, AccessShareLock);
    found.owner = table->rd_rel->relowner;
    found.parted = table->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
    table_close(table, NoLock);
    // Without this check, a role that put the trigger on its own table could delete anybody's account.
    if (!pg::may_execute(function->fn_oid, found.owner))
        MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::binding_outdated),
                    errmsg("accounts are not bound to table \"%s\" of its present owner", get_rel_name(found.table)),
                    errdetail("The owner has no EXECUTE on mirox.account_bound, which bind_accounts gives."),
                    errhint("Call mirox.bind_accounts again, or drop the triggers that call it."));
    const char* name = data->tg_trigger->tgargs[0];
    found.column = SPI_fnumber(RelationGetDescr(data->tg_relation), name);
    if (found.column <= 0)
        MIROX_RAISE(ERRCODE_UNDEFINED_COLUMN, errword(ErrorWord::column_unknown), errmsg("column \"%s\" does not exist", name),
                    errhint("Call mirox.bind_accounts again with the new name of the id column."));
    found.type = getBaseType(TupleDescAttr(RelationGetDescr(data->tg_relation), found.column - 1)->atttypid);
    if (!pg::is_id_type(found.type)) refuse_call();
    namestrcpy(&found.name, name);
    function->fn_extra = MemoryContextAlloc(function->fn_mcxt, sizeof(Binding));
    return *static_cast<Binding*>(function->fn_extra) = found;
}

// The query that looks up an id in a bound table. Prepared once in a backend, and again when the table has changed.
struct LookUp {
    Oid table;  // the key
    Oid type;
    NameData name;
    SPIPlanPtr plan;
};

SPIPlanPtr plan_of(const Binding& binding) {
    static constinit HTAB* look_ups = nullptr;
    if (look_ups == nullptr) {
        HASHCTL info = {};
        info.keysize = sizeof(Oid);
        info.entrysize = sizeof(LookUp);
        look_ups = hash_create("mirox_tokens bound tables", 8, &info, HASH_ELEM | HASH_BLOBS);
    }
    bool known;
    auto* look_up = static_cast<LookUp*>(hash_search(look_ups, &binding.table, HASH_ENTER, &known));
    if (!known) look_up->plan = nullptr;
    if (look_up->plan != nullptr) {
        // A replanned query would still use the old names.
        if (SPI_plan_is_valid(look_up->plan) && look_up->type == binding.type &&
            strcmp(NameStr(look_up->name), NameStr(binding.name)) == 0)
            return look_up->plan;
        SPI_freeplan(look_up->plan);
        look_up->plan = nullptr;
    }
    const char* sql =
        psprintf("SELECT 1 FROM %s%s WHERE %s OPERATOR(pg_catalog.=) $1", binding.parted ? "" : "ONLY ",
                 quote_qualified_identifier(get_namespace_name(get_rel_namespace(binding.table)), get_rel_name(binding.table)),
                 quote_identifier(NameStr(binding.name)));
    Oid type = binding.type;
    SPIPlanPtr plan = SPI_prepare_cursor(sql, 1, &type, CURSOR_OPT_GENERIC_PLAN);
    if (plan == nullptr) MIROX_DEFECT("SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
    if (SPI_keepplan(plan) != 0) MIROX_DEFECT("SPI_keepplan failed");
    look_up->type = binding.type;
    look_up->name = binding.name;
    return look_up->plan = plan;
}

// Reads the newest committed state, whatever the transaction's isolation level.
bool is_there(const Binding& binding, Datum id) {
    const pg::OwnerScope scope = pg::enter_table_owner(binding.owner);
    pg::spi_open();
    SPIPlanPtr plan = plan_of(binding);
    CommandCounterIncrement();
    Datum values[] = {id};
    if (SPI_execute_snapshot(plan, values, nullptr, GetLatestSnapshot(), InvalidSnapshot, true, false, 1) != SPI_OK_SELECT)
        MIROX_DEFECT("could not look up an id in \"%s\"", get_rel_name(binding.table));
    const bool found = SPI_processed > 0;
    pg::spi_close();
    pg::leave_owner(scope);
    return found;
}

// ---- which account belongs to which row ------------------------------------------------------------------------------------

bool is_made_by_us(HeapTupleHeader row) {
    return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(row));
}

bool is_changed_by_us(HeapTupleHeader row) {
    return (row->t_infomask & HEAP_XMAX_INVALID) == 0 && !HEAP_XMAX_IS_LOCKED_ONLY(row->t_infomask) &&
           TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetUpdateXid(row));
}

bool is_same_id(const char* a, const char* b) {
    return a == nullptr || b == nullptr ? a == b : strcmp(a, b) == 0;
}

// Follows a row from one of its versions to the last version with the same id. Returns true if that is the current version of the
// row. Returns false if the row continued with another id or in another partition, or was deleted: then another event tells of
// it.
bool last_version(Relation table, int column, Version& row, const char* id) {
    TupleTableSlot* slot = table_slot_create(table, nullptr);
    ItemPointerData at = row.tid;
    bool stands = true;
    while (table_tuple_fetch_row_version(table, &at, SnapshotAny, slot)) {
        bool copied;
        HeapTuple tuple = ExecFetchSlotHeapTuple(slot, false, &copied);
        if (!is_same_id(SPI_getvalue(tuple, RelationGetDescr(table), column), id)) {
            stands = false;
            break;
        }
        row.tid = at;
        if (!is_changed_by_us(tuple->t_data)) break;
        if (HeapTupleHeaderIndicatesMovedPartitions(tuple->t_data) || ItemPointerEquals(&tuple->t_data->t_ctid, &at)) {
            stands = false;
            break;
        }
        at = tuple->t_data->t_ctid;
    }
    ExecDropSingleTupleTableSlot(slot);
    return stands;
}

// ---- one event -------------------------------------------------------------------------------------------------------------

struct Event {
    const Binding* binding;
    Relation table;
    Version before, after;
    const char* old_id;  // null: none
    const char* new_id;
    Datum old_value;
};

// True if the user's row became the event's old version with no event in between.
bool leads_to(const ChangedUser& user, const Event& event) {
    if (user.row.table != event.before.table) return false;
    Version row = user.row;
    (void)last_version(event.table, event.binding->column, row, event.old_id);
    return is_same(row, event.before);
}

// The account of the event's row, 0 if it has none. The account's user id is not always the row's id: the account may wait for
// that id, or the row had it only for a moment. Call it once for each event.
std::int64_t account_of_row(const Event& event) {
    std::int64_t passed;
    if (take_passage(event.before, passed)) return passed;
    if (event.old_id == nullptr) return 0;
    const std::int64_t named = account_named(event.old_id);
    const ChangedUser* user = named == 0 ? nullptr : find_changed_user(named);
    if (user == nullptr) return named;
    if (user->waiter > 0) {
        const ChangedUser* waiting = find_changed_user(user->waiter);
        if (leads_to(*waiting, event)) return waiting->account_id;
    }
    if (OidIsValid(user->row.table) && !leads_to(*user, event)) return 0;
    return named;
}

// The row was deleted, or no longer has an id.
void judge_end(const Event& event, std::int64_t account_id) {
    if (account_id == 0) return;
    if (event.old_id == nullptr || !is_there(*event.binding, event.old_value)) {
        end_account(account_id);
        return;
    }
    // A row with that id exists. It may belong to another user, renamed to this id; and it does if the account never had the id.
    const ChangedUser* user = find_changed_user(account_id);
    if (account_named(event.old_id) != account_id || (user != nullptr && user->waiter != 0)) {
        end_account(account_id);
        return;
    }
    // The row was inserted again, and the account stays with it, unless a later event shows that another user was renamed to the
    // id.
    ChangedUser* kept = changed_user(account_id);
    kept->row = {};
    kept->left = true;
}

// The row exists, or continued from `after`.
void judge_version(Event& event, std::int64_t account_id, Relation table, int column) {
    if (!last_version(table, column, event.after, event.new_id))
        pass(account_id, event.after);
    else if (event.new_id != nullptr)
        arrive(account_id, event.new_id, event.after);
    else
        judge_end(event, account_id);
}

// The row continues in another partition with the same id (note_move). A row that this transaction had not changed before is
// found by its id.
void judge_move(Event& event, std::int64_t account_id) {
    Crossing* crossing = crossing_from(event.before);
    if (!OidIsValid(crossing->to.table)) {
        crossing->left = true;
        crossing->account_id = account_id;
        return;
    }
    event.after = crossing->to;
    event.new_id = event.old_id;
    Relation table = table_open(event.after.table, AccessShareLock);
    judge_version(event, account_id, table, SPI_fnumber(RelationGetDescr(table), NameStr(event.binding->name)));
    table_close(table, AccessShareLock);
}

char* id_of(HeapTuple row, Relation table, const Binding& binding) {
    return SPI_getvalue(row, RelationGetDescr(table), binding.column);
}

// A row that moves to another partition is deleted from one and then inserted into the other, with nothing in between. If its id
// changes at the same time, nothing later could tell whose account it was.
struct Move {
    bool open;
    const char* id;
    bool changed_before;
    Version from;
    int nest_level;
};
constinit Move move = {};

[[noreturn]] void refuse_move() {
    move = {};
    MIROX_RAISE(ERRCODE_FEATURE_NOT_SUPPORTED, errword(ErrorWord::move_unsupported),
                errmsg("a user cannot move to another partition and get another id at once"),
                errdetail("The account could not be told from another user's."),
                errhint("Move the row and change its id in two statements. Where the id decides the partition, insert a new user "
                        "with the new id."));
}

[[noreturn]] void refuse_loss() {
    move = {};
    MIROX_RAISE(ERRCODE_FEATURE_NOT_SUPPORTED, errword(ErrorWord::move_unsupported),
                errmsg("a user on the way to another partition did not arrive there"),
                errdetail("A BEFORE trigger kept the row out: the user would be gone, and the account stay."),
                errhint("Delete the user, or let the trigger pass the row."));
}

void note_move(FunctionCallInfo fcinfo, const TriggerData* data) {
    HeapTuple row = data->tg_trigtuple;
    const bool leaves = TRIGGER_FIRED_BY_DELETE(data->tg_event);
    if (leaves && !HeapTupleHeaderIndicatesMovedPartitions(row->t_data)) return;
    if (!leaves && !move.open) return;
    const Binding& binding = binding_of(fcinfo, data);
    const char* id = id_of(row, data->tg_relation, binding);
    if (!leaves) {
        if (!is_same_id(move.id, id)) refuse_move();
        Event event = {};
        event.before = move.from;
        const bool changed_before = move.changed_before;
        move = {};
        if (!changed_before) return;
        Crossing* crossing = crossing_from(event.before);
        crossing->to = version_of(data->tg_relation, row->t_self);
        if (!crossing->left) return;
        event.binding = &binding;
        event.table = data->tg_relation;
        event.after = crossing->to;
        event.old_id = event.new_id = id;
        judge_version(event, crossing->account_id, event.table, binding.column);
        return;
    }
    if (move.open) refuse_loss();
    move = {true, id == nullptr ? nullptr : MemoryContextStrdup(TopTransactionContext, id), is_made_by_us(row->t_data),
            version_of(data->tg_relation, row->t_self), GetCurrentTransactionNestLevel()};
}

// ---- the transaction's end -------------------------------------------------------------------------------------------------

void on_transaction(XactEvent event, void*) {
    if (!move.open) return;
    if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE) refuse_loss();
    if (event == XACT_EVENT_ABORT) move = {};
}

void on_subtransaction(SubXactEvent event, SubTransactionId, SubTransactionId, void*) {
    const int level = GetCurrentTransactionNestLevel();
    if (!move.open || move.nest_level < level) return;
    if (event == SUBXACT_EVENT_ABORT_SUB) move = {};
    if (event == SUBXACT_EVENT_COMMIT_SUB) move.nest_level = level - 1;
}

}  // namespace

void watch_bound_accounts() {
    watch_changed_users();
    RegisterXactCallback(on_transaction, nullptr);
    RegisterSubXactCallback(on_subtransaction, nullptr);
}

MIROX_FUNCTION(account_bound) {
    if (!CALLED_AS_TRIGGER(fcinfo)) refuse_call();
    const auto* data = reinterpret_cast<TriggerData*>(fcinfo->context);
    const TriggerEvent event = data->tg_event;
    if (!TRIGGER_FIRED_FOR_ROW(event) || !TRIGGER_FIRED_AFTER(event)) refuse_call();
    const Trigger* trigger = data->tg_trigger;
    if (!trigger->tgdeferrable) {
        if (!TRIGGER_FOR_INSERT(trigger->tgtype) || !TRIGGER_FOR_DELETE(trigger->tgtype) || TRIGGER_FOR_UPDATE(trigger->tgtype) ||
            trigger->tgnargs != 1 || !data->tg_relation->rd_rel->relispartition)
            refuse_call();
        note_move(fcinfo, data);
        return PointerGetDatum(nullptr);
    }
    if (TRIGGER_FIRED_BY_INSERT(event)) refuse_call();

    const Binding& binding = binding_of(fcinfo, data);
    HeapTuple row = data->tg_trigtuple;
    Event judged = {};
    judged.binding = &binding;
    judged.table = data->tg_relation;
    judged.before = version_of(judged.table, row->t_self);
    judged.old_id = id_of(row, judged.table, binding);
    bool is_null;
    judged.old_value = heap_getattr(row, binding.column, RelationGetDescr(judged.table), &is_null);
    if (TRIGGER_FIRED_BY_UPDATE(event)) {
        judged.after = version_of(judged.table, data->tg_newtuple->t_self);
        judged.new_id = id_of(data->tg_newtuple, judged.table, binding);
        if (is_same_id(judged.old_id, judged.new_id)) return PointerGetDatum(nullptr);
    }
    const bool moved = TRIGGER_FIRED_BY_DELETE(event) && HeapTupleHeaderIndicatesMovedPartitions(row->t_data);
    if (moved && !is_made_by_us(row->t_data)) return PointerGetDatum(nullptr);
    const std::int64_t account_id = account_of_row(judged);
    if (TRIGGER_FIRED_BY_UPDATE(event))
        judge_version(judged, account_id, judged.table, binding.column);
    else if (moved)
        judge_move(judged, account_id);
    else
        judge_end(judged, account_id);
    return PointerGetDatum(nullptr);
}

}  // namespace mirox::store

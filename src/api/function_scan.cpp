// A scan node for our functions in FROM that return one row: `SELECT status, user_id FROM mirox.verify_token($1)`. The server
// runs every function in FROM through a tuplestore, as if it could return a million rows. Starting the tuplestore takes longer
// than a check. This node calls the function when the query reads the row. It keeps the row for a rescan and extracts the columns
// that the query names. It calls the function through an expression, as the server does, so EXECUTE is checked and function
// statistics are kept.
//
// The server's own scan handles everything else: sets, ORDINALITY, ROWS FROM, whole-row references, and queries that lock or
// change rows (EvalPlanQual may need the row again).
//
// Takes no locks.
#include "api/function_scan.hpp"

#include "pg/catalog.hpp"
#include "pg/settings.hpp"
#include "pg/wiped.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "commands/explain.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif
#include "executor/executor.h"
#include "executor/nodeCustom.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"
}

namespace mirox::api {
namespace {

constexpr char kName[] = "Mirox Function Scan";

// ---- planning --------------------------------------------------------------------------------------------------------

FuncExpr* our_call(const RangeTblEntry* entry) {
    if (entry->rtekind != RTE_FUNCTION || entry->funcordinality || list_length(entry->functions) != 1) return nullptr;
    const auto* function = static_cast<RangeTblFunction*>(linitial(entry->functions));
    if (function->funccolnames != NIL || !IsA(function->funcexpr, FuncExpr)) return nullptr;
    auto* call = castNode(FuncExpr, function->funcexpr);
    if (call->funcretset || get_typtype(call->funcresulttype) != TYPTYPE_COMPOSITE || !pg::is_our_function(call->funcid))
        return nullptr;
    return call;
}

bool wants_whole_row(const RelOptInfo* rel) {
    Bitmapset* wanted = nullptr;
    pull_varattnos(reinterpret_cast<Node*>(rel->reltarget->exprs), rel->relid, &wanted);
    ListCell* cell;
    foreach (cell, rel->baserestrictinfo)
        pull_varattnos(reinterpret_cast<Node*>(static_cast<RestrictInfo*>(lfirst(cell))->clause), rel->relid, &wanted);
    const int first = bms_next_member(wanted, -1);
    return first >= 0 && first + FirstLowInvalidHeapAttributeNumber <= 0;
}

Plan* plan(PlannerInfo*, RelOptInfo* rel, CustomPath* path, List* targets, List* clauses, List*);

constinit CustomPathMethods path_methods = {kName, plan, nullptr};

set_rel_pathlist_hook_type next_pathlist = nullptr;

void add_custom_path(PlannerInfo* root, RelOptInfo* rel, Index index, RangeTblEntry* entry) {
    if (next_pathlist != nullptr) next_pathlist(root, rel, index, entry);
    if (!pg::settings().enable_function_scan) return;
    const CmdType command = root->parse->commandType;
    if (rel->reloptkind != RELOPT_BASEREL || (command != CMD_SELECT && command != CMD_INSERT) || root->rowMarks != NIL) return;
    FuncExpr* call = our_call(entry);
    if (call == nullptr || wants_whole_row(rel)) return;
    Path* server_path = nullptr;
    ListCell* cell;
    foreach (cell, rel->pathlist)
        if (static_cast<Path*>(lfirst(cell))->pathtype == T_FunctionScan) server_path = static_cast<Path*>(lfirst(cell));
    if (server_path == nullptr) return;
    auto* custom_path = reinterpret_cast<CustomPath*>(newNode(sizeof(CustomPath), T_CustomPath));
    custom_path->path = *server_path;  // the same costs, rows and parameters
    custom_path->path.type = T_CustomPath;
    custom_path->path.pathtype = T_CustomScan;
    custom_path->flags = CUSTOMPATH_SUPPORT_PROJECTION | CUSTOMPATH_SUPPORT_BACKWARD_SCAN;
    custom_path->custom_private = list_make1(call);
    custom_path->methods = &path_methods;
    rel->pathlist = lappend(list_delete_ptr(rel->pathlist, server_path), custom_path);
}

// ---- running ---------------------------------------------------------------------------------------------------------

struct FunctionScan {
    CustomScanState base;
    ExprState* call;
    HeapTupleHeader row;  // the function's answer, in the query's memory; null if it was NULL
    std::uint64_t form;   // version of the row type when `row` was built
    bool called;          // `row` holds the answer
    bool uses_subplans;   // the arguments contain subplans
    Bitmapset* given;     // parameters that the arguments use
    int position;         // 0: before the row, 1: on it, 2: after it
};

Node* create(CustomScan*);
void begin(CustomScanState* node, EState* state, int);
TupleTableSlot* next(CustomScanState* node);
void end(CustomScanState*) {}
void rescan(CustomScanState* node);
void explain(CustomScanState* node, List* ancestors, ExplainState* out);

constinit CustomScanMethods scan_methods = {kName, create};

constinit const CustomExecMethods run_methods = [] {
    CustomExecMethods all = {};
    all.CustomName = kName;
    all.BeginCustomScan = begin;
    all.ExecCustomScan = next;
    all.EndCustomScan = end;
    all.ReScanCustomScan = rescan;
    all.ExplainCustomScan = explain;
    return all;
}();

// The scan's row has the columns that the query names, in the order in which the query lists them. A query that lists nothing
// else needs no projection: the row is the result.
Plan* plan(PlannerInfo*, RelOptInfo* rel, CustomPath* path, List* targets, List* clauses, List*) {
    auto* scan = reinterpret_cast<CustomScan*>(newNode(sizeof(CustomScan), T_CustomScan));
    scan->scan.plan.targetlist = targets;
    scan->scan.plan.qual = extract_actual_clauses(clauses, false);
    scan->scan.scanrelid = 0;  // there is no table to open
    scan->flags = path->flags;
    scan->custom_exprs = path->custom_private;
    scan->methods = &scan_methods;
    // A projection above this node may replace our target list. It can use any column that the relation's target list names.
    List* variables = NIL;
    for (List* const exprs : {targets, rel->reltarget->exprs, scan->scan.plan.qual})
        variables =
            list_concat(variables, pull_var_clause(reinterpret_cast<Node*>(exprs),
                                                   PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS | PVC_RECURSE_PLACEHOLDERS));
    Bitmapset* seen = nullptr;
    ListCell* cell;
    foreach (cell, variables) {
        auto* variable = static_cast<Var*>(lfirst(cell));
        if (variable->varno != static_cast<decltype(variable->varno)>(rel->relid) || variable->varlevelsup != 0 ||
            bms_is_member(variable->varattno, seen))
            continue;
        if (variable->varattno <= 0) MIROX_DEFECT("unexpected column %d of a function's row", variable->varattno);
        seen = bms_add_member(seen, variable->varattno);
        auto* copy = static_cast<Expr*>(copyObjectImpl(variable));
        scan->custom_scan_tlist =
            lappend(scan->custom_scan_tlist,
                    makeTargetEntry(copy, static_cast<AttrNumber>(list_length(scan->custom_scan_tlist) + 1), nullptr, false));
    }
    return &scan->scan.plan;
}

Node* create(CustomScan*) {
    auto* node = reinterpret_cast<FunctionScan*>(newNode(sizeof(FunctionScan), T_CustomScanState));
    node->base.methods = &run_methods;
    return reinterpret_cast<Node*>(node);
}

void begin(CustomScanState* base, EState*, int) {
    auto* node = reinterpret_cast<FunctionScan*>(base);
    const auto* scan = castNode(CustomScan, base->ss.ps.plan);
    auto* const call = static_cast<Expr*>(linitial(scan->custom_exprs));
    node->call = ExecInitExpr(call, &base->ss.ps);
    node->given = pull_paramids(call);
    node->uses_subplans = contain_subplans(reinterpret_cast<Node*>(call));
}

// Calls the function and keeps its answer.
void call_function(FunctionScan* node, ExprContext* context) {
    bool is_null;
    const Datum answer = ExecEvalExprSwitchContext(node->call, context, &is_null);
    if (node->row != nullptr) pg::wiped_free(node->row);
    node->row = nullptr;
    if (!is_null) {
        const HeapTupleHeader row = DatumGetHeapTupleHeader(answer);
        const Size size = HeapTupleHeaderGetDatumLength(row);
        const MemoryContext query = node->base.ss.ps.state->es_query_cxt;
        // The row may hold a new secret. Its memory is wiped when the query ends.
        node->row = static_cast<HeapTupleHeader>(HeapTupleHeaderGetTypeId(row) == pg::catalog_known().issued_type
                                                     ? pg::wiped_alloc(query, size)
                                                     : MemoryContextAlloc(query, size));
        memcpy(node->row, row, size);
        node->form = lookup_type_cache(HeapTupleHeaderGetTypeId(row), TYPECACHE_TUPDESC)->tupDesc_identifier;
    }
    node->called = true;
}

// Copies the columns that the query names from the row into the scan's slot.
void store_columns(FunctionScan* node, TupleTableSlot* slot) {
    ExecClearTuple(slot);
    if (node->row == nullptr) {
        (void)ExecStoreAllNullTuple(slot);
        return;
    }
    HeapTupleData row;
    row.t_len = HeapTupleHeaderGetDatumLength(node->row);
    ItemPointerSetInvalid(&row.t_self);
    row.t_tableOid = InvalidOid;
    row.t_data = node->row;
    // The type needs no pin: until its last use below, nothing is called that processes invalidations.
    const TypeCacheEntry* type = lookup_type_cache(HeapTupleHeaderGetTypeId(node->row), TYPECACHE_TUPDESC);
    const TupleDesc have = type->tupDesc;
    const List* wanted = castNode(CustomScan, node->base.ss.ps.plan)->custom_scan_tlist;
    int i = 0;
    ListCell* cell;
    foreach (cell, wanted) {
        const auto* variable = castNode(Var, static_cast<TargetEntry*>(lfirst(cell))->expr);
        const int number = variable->varattno;
        if (have == nullptr || type->tupDesc_identifier != node->form || number > have->natts ||
            (TupleDescAttr(have, number - 1)->atttypid != variable->vartype && !TupleDescAttr(have, number - 1)->attisdropped)) {
            // The call in the query may hold a secret, so the error carries no context.
            error_context_stack = nullptr;
            MIROX_RAISE(ERRCODE_DATATYPE_MISMATCH, errword(ErrorWord::row_type_changed),
                        errmsg("the row of a function is not what the query was planned for"),
                        errdetail("Column %d is of another type, or is missing.", number), errhint("Run the query again."));
        }
        slot->tts_values[i] = heap_getattr(&row, number, have, &slot->tts_isnull[i]);
        i++;
    }
    (void)ExecStoreVirtualTuple(slot);
}

TupleTableSlot* next(CustomScanState* base) {
    auto* node = reinterpret_cast<FunctionScan*>(base);
    PlanState& state = base->ss.ps;
    ExprContext* context = state.ps_ExprContext;
    ResetExprContext(context);
    const bool forward = !ScanDirectionIsBackward(state.state->es_direction);
    const int position = node->position + (forward ? 1 : -1);
    node->position = Min(Max(position, 0), 2);
    TupleTableSlot* const slot = base->ss.ss_ScanTupleSlot;
    if (node->position == 1) {
        if (!node->called) call_function(node, context);
        store_columns(node, slot);
        context->ecxt_scantuple = slot;
        if (state.qual == nullptr || ExecQual(state.qual, context))
            return state.ps_ProjInfo != nullptr ? ExecProject(state.ps_ProjInfo) : slot;
        InstrCountFiltered1(node, 1);
        node->position = forward ? 2 : 0;
    }
    return ExecClearTuple(state.ps_ProjInfo != nullptr ? state.ps_ProjInfo->pi_state.resultslot : slot);
}

// The function is called again only if one of its own parameters may have changed. Other changed parameters belong to conditions
// and results.
void rescan(CustomScanState* base) {
    auto* node = reinterpret_cast<FunctionScan*>(base);
    if (base->ss.ps.chgParam != nullptr && (node->uses_subplans || bms_overlap(base->ss.ps.chgParam, node->given)))
        node->called = false;
    node->position = 0;
}

// Returns a copy of the expression in which $n replaces each value passed to the function: constants (in a custom plan a bind
// parameter is one too) and results of other nodes. A NULL reveals nothing and stays. `last`: the highest number in use.
Node* without_values(Node* node, void* last) {
    if (node == nullptr) return nullptr;
    const bool constant = IsA(node, Const) && !castNode(Const, node)->constisnull;
    if (constant || (IsA(node, Param) && castNode(Param, node)->paramkind != PARAM_EXTERN)) {
        auto* instead = makeNode(Param);
        instead->paramkind = PARAM_EXTERN;
        instead->paramid = ++*static_cast<int*>(last);
        instead->paramtype = exprType(node);
        instead->paramtypmod = exprTypmod(node);
        instead->paramcollid = exprCollation(node);
        instead->location = -1;
        return reinterpret_cast<Node*>(instead);
    }
    return pg::change_expression(node, without_values, last);
}

bool find_last_number(Node* node, void* last) {
    if (node == nullptr) return false;
    auto* const number = static_cast<int*>(last);
    if (IsA(node, Param) && castNode(Param, node)->paramkind == PARAM_EXTERN)
        *number = Max(*number, castNode(Param, node)->paramid);
    return pg::walk_expression(node, find_last_number, last);
}

void explain(CustomScanState* base, List* ancestors, ExplainState* out) {
    const auto* scan = castNode(CustomScan, base->ss.ps.plan);
    auto* call = static_cast<Node*>(linitial(scan->custom_exprs));
    if (!out->verbose) {
        // Only the name, as the server shows it.
        const char* function = get_func_name(castNode(FuncExpr, call)->funcid);
        if (function != nullptr)  // null if it was dropped since
            ExplainPropertyText("Function", quote_qualified_identifier("mirox", function), out);
        return;
    }
    List* context = set_deparse_context_plan(out->deparse_cxt, base->ss.ps.plan, ancestors);
    int last = 0;
    (void)find_last_number(call, &last);
    ExplainPropertyText("Function Call",
                        deparse_expression(without_values(call, &last), context, list_length(out->rtable) > 1, false), out);
}

}  // namespace

void watch_planner() {
    RegisterCustomScanMethods(&scan_methods);
    next_pathlist = set_rel_pathlist_hook;
    set_rel_pathlist_hook = add_custom_path;
}

}  // namespace mirox::api

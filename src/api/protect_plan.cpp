// Planner support for mirox.scopes_reach_row(), the condition of a resource column: an estimate of how many rows pass, and an
// index range that holds all of them. A plan may be kept and run under another identity. So the identity at planning time gives
// an estimate only, and each execution computes the range again.
//
// Takes no locks. Reads statistics as the planner does.
#include "core/row_scope.hpp"
#include "pg/catalog.hpp"
#include "pg/entry.hpp"
#include "pg/values.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"
}

using namespace mirox;

namespace {

// If the range covers more than this fraction of the index, a sequential scan is as fast.
constexpr double kWorthAnIndex = 0.1;

// A text that sorts after every text in an index: it repeats the last character more often than an index entry of 2704 bytes can,
// even if the entry is compressed 255 to one.
constexpr int kLastCharacters = 256 * 1024;
constexpr char kLastCharacter[] = "\xF4\x8F\xBF\xBF";  // U+10FFFF

// The set as a Const, as the plan would see it if it ran now; null if that is unknown.
Const* present_set(PlannerInfo* root, Node* set) {
    if (set != nullptr && IsA(set, Param) && castNode(Param, set)->paramkind == PARAM_EXEC) {
        const int wanted = castNode(Param, set)->paramid;
        set = nullptr;
        for (PlannerInfo* level = root; level != nullptr && set == nullptr; level = level->parent_root) {
            ListCell* cell;
            foreach (cell, level->init_plans) {
                auto* sub = static_cast<SubPlan*>(lfirst(cell));
                if (!list_member_int(sub->setParam, wanted)) continue;
                auto* plan = static_cast<Plan*>(list_nth(root->glob->subplans, sub->plan_id - 1));
                if (plan->targetlist != NIL && plan->lefttree == nullptr && plan->qual == NIL)
                    set = reinterpret_cast<Node*>(static_cast<TargetEntry*>(linitial(plan->targetlist))->expr);
                break;
            }
        }
    }
    if (root == nullptr || set == nullptr) return nullptr;
    Node* value = estimate_expression_value(root, static_cast<Node*>(copyObjectImpl(set)));
    if (value == nullptr || !IsA(value, Const) || castNode(Const, value)->constisnull) return nullptr;
    return castNode(Const, value);
}

List* arguments_of(Node* call) {
    if (IsA(call, FuncExpr)) return castNode(FuncExpr, call)->args;
    if (IsA(call, OpExpr)) return castNode(OpExpr, call)->args;
    return NIL;
}

bool estimate(SupportRequestSelectivity* request) {
    if (request->is_join || list_length(request->args) != 2) return false;
    Const* set = present_set(request->root, static_cast<Node*>(linitial(request->args)));
    if (set == nullptr) return false;
    const core::ScopeSet below = pg::scope_set(set->constvalue);
    // The transaction has no identity yet. A later one may have access to everything.
    if (below.count() == 0) return false;
    if (below.covers_everything()) {
        request->selectivity = 1.0;
        return true;
    }
    const Oid reach = pg::catalog().reach_operator;
    if (!OidIsValid(reach)) return false;
    request->selectivity =
        generic_restriction_selectivity(request->root, reach, request->inputcollid, list_make2(set, lsecond(request->args)),
                                        request->varRelid, DEFAULT_EQ_SEL * below.count());
    return true;
}

bool column_is_not_null(SupportRequestIndexCondition* request) {
    const AttrNumber number = request->index->indexkeys[request->indexcol];
    if (number <= 0) return false;
    const RangeTblEntry* table = planner_rt_fetch(request->index->rel->relid, request->root);
    if (table->rtekind != RTE_RELATION) return false;
    HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(table->relid), Int16GetDatum(number));
    if (!HeapTupleIsValid(tuple)) return false;
    const bool not_null = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attnotnull;
    ReleaseSysCache(tuple);
    return not_null;
}

// True if the index orders texts by their bytes, as scopes are compared.
bool orders_bytes(const SupportRequestIndexCondition* request) {
    if (request->opfamily == TEXT_PATTERN_BTREE_FAM_OID) return true;
    return request->opfamily == TEXT_BTREE_FAM_OID && pg::collation_orders_bytes(request->indexcollation);
}

List* range(SupportRequestIndexCondition* request, Node* value, Node* least, Node* bound) {
    const Oid from = get_opfamily_member(request->opfamily, TEXTOID, TEXTOID, BTGreaterEqualStrategyNumber);
    const Oid to = get_opfamily_member(request->opfamily, TEXTOID, TEXTOID, BTLessStrategyNumber);
    if (!OidIsValid(from) || !OidIsValid(to)) return NIL;
    const auto compare = [&](Oid op, Node* with) {
        return make_opclause(op, BOOLOID, false, static_cast<Expr*>(copyObjectImpl(value)), reinterpret_cast<Expr*>(with),
                             InvalidOid, request->indexcollation);
    };
    return list_make2(compare(from, least), compare(to, bound));
}

Node* bound_text(Datum text) {
    return reinterpret_cast<Node*>(makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1, text, false, false));
}

Datum least_row(core::ScopeSet below) {
    core::Scope first = {};
    core::ScopeSet::Cursor cursor = below.begin();
    cursor.next(first);
    return pg::text_datum(first.resource);
}

// '/' sorts directly after '.', so all texts that begin with a resource and '.' sort before the resource and '/'.
Datum row_bound(core::ScopeSet below) {
    struct varlena* last = nullptr;
    core::ScopeSet::Cursor cursor = below.begin();
    core::Scope scope;
    while (cursor.next(scope)) {
        const int size = static_cast<int>(scope.resource.size()) + 1;
        auto* next = static_cast<struct varlena*>(palloc(VARHDRSZ + size));
        SET_VARSIZE(next, VARHDRSZ + size);
        memcpy(VARDATA(next), scope.resource.data(), size - 1);
        VARDATA(next)[size - 1] = '/';
        if (last == nullptr || pg::view_of(next) > pg::view_of(last)) last = next;
    }
    return PointerGetDatum(last);
}

// The range is computed at each execution. It is offered if it is small for the identity at planning time.
List* offer_range(SupportRequestIndexCondition* request) {
    List* arguments = arguments_of(request->node);
    // No range contains NULLs, but a grant of the whole resource reaches them.
    if (request->indexarg != 1 || list_length(arguments) != 2 || GetDatabaseEncoding() != PG_UTF8 || !orders_bytes(request) ||
        !column_is_not_null(request))
        return NIL;
    Node* set = static_cast<Node*>(linitial(arguments));
    Node* value = static_cast<Node*>(lsecond(arguments));
    Const* present = present_set(request->root, set);
    if (present == nullptr || !is_pseudo_constant_for_index(request->root, set, request->index)) return NIL;
    const core::ScopeSet below = pg::scope_set(present->constvalue);
    if (below.count() == 0 || below.covers_everything()) return NIL;
    List* now = range(request, value, bound_text(least_row(below)), bound_text(row_bound(below)));
    if (now == NIL || clauselist_selectivity(request->root, now, request->index->rel->relid, JOIN_INNER, nullptr) > kWorthAnIndex)
        return NIL;

    const Oid least = pg::catalog().least_operator, bound = pg::catalog().bound_operator;
    if (!OidIsValid(least) || !OidIsValid(bound)) return NIL;
    const auto apply = [&](Oid op) {
        auto* call = reinterpret_cast<OpExpr*>(make_opclause(op, TEXTOID, false, static_cast<Expr*>(copyObjectImpl(set)), nullptr,
                                                             DEFAULT_COLLATION_OID, InvalidOid));
        set_opfuncid(call);
        return reinterpret_cast<Node*>(call);
    };
    List* conditions = range(request, value, apply(least), apply(bound));
    ListCell* cell;
    foreach (cell, conditions) set_opfuncid(castNode(OpExpr, lfirst(cell)));
    // The range also contains rows between two grants.
    request->lossy = true;
    return conditions;
}

}  // namespace

MIROX_FUNCTION(scopes_reach_row_support) {
    Node* request = reinterpret_cast<Node*>(PG_GETARG_POINTER(0));
    if (IsA(request, SupportRequestSelectivity)) {
        auto* selectivity = reinterpret_cast<SupportRequestSelectivity*>(request);
        if (estimate(selectivity)) return PointerGetDatum(selectivity);
    } else if (IsA(request, SupportRequestIndexCondition)) {
        auto* index = reinterpret_cast<SupportRequestIndexCondition*>(request);
        return PointerGetDatum(offer_range(index));
    }
    return PointerGetDatum(nullptr);
}

MIROX_FUNCTION(scopes_least_row) {
    const core::ScopeSet below = pg::scope_set(PG_GETARG_DATUM(0));
    if (below.count() == 0) PG_RETURN_NULL();
    if (below.covers_everything()) return pg::text_datum({});
    return least_row(below);
}

MIROX_FUNCTION(scopes_row_bound) {
    const core::ScopeSet below = pg::scope_set(PG_GETARG_DATUM(0));
    if (below.count() == 0 || GetDatabaseEncoding() != PG_UTF8) PG_RETURN_NULL();
    if (!below.covers_everything()) return row_bound(below);
    constexpr int kSize = sizeof(kLastCharacter) - 1;
    auto* last = static_cast<struct varlena*>(palloc(VARHDRSZ + kSize * kLastCharacters));
    SET_VARSIZE(last, VARHDRSZ + kSize * kLastCharacters);
    for (int i = 0; i < kLastCharacters; i++) memcpy(VARDATA(last) + i * kSize, kLastCharacter, kSize);
    return PointerGetDatum(last);
}

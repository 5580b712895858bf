// `SELECT (mirox.verify_token($1)).status` without the row that the column would be taken out of: a row to form, its type to look
// up and a tuple to take apart cost a twentieth of a check.
//
// The planner asks a function's support function for something simpler than a call of it (SupportRequestSimplify), without saying
// where the call stands. Only where every call of the function in the query has a column taken out of it does the support
// function answer, with a ROW() of calls of one column each, of which the planner at once takes the one that is wanted.
// Such a call is one of the same function, so that EXECUTE on it is checked and plans hang on it, with the column's type as its
// result's and the column's number in the place of a collation. For columns that nobody asks for it has no column's number: were
// such a ROW() ever to stand as it is, it would be an ERROR and no answer.
//
// Takes no locks.
#include "api/one_column.hpp"

#include "pg/entry.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "utils/datum.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
}

namespace mirox::api {
namespace {

// What is known of the calls of a function in a query.
struct Calls {
    Oid function;
    TupleDesc columns;
    Bitmapset* asked;  // numbers of columns that are taken out of one
    int seen;          // nodes of the query
};

// Each call has the whole query looked at: one of hundreds of calls is left as it is.
constexpr int kMostNodes = 1000;

// A call of one column answers with a Datum of its own: by value, or a text.
bool can_stand_alone(const Form_pg_attribute column) {
    return !column->attisdropped && column->atttypid < FirstNormalObjectId && column->atttypmod == -1 &&
           (column->attbyval || column->atttypid == TEXTOID);
}

constexpr int kUnasked = kMostColumns;
static_assert(kMostColumns < DEFAULT_COLLATION_OID && kMostColumns < C_COLLATION_OID);

// Whether the planner may put something in place of the function's call in which another of ours stands: the body of a function in
// SQL, or an argument's default. Nothing of the server's own does.
bool may_hide_a_call(Oid function) {
    if (function < FirstNormalObjectId) return false;
    const HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(row)) return true;
    const auto* known = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
    const bool may = known->prolang == SQLlanguageId || known->pronargdefaults > 0;
    ReleaseSysCache(row);
    return may;
}

bool may_hide_one_of(Oid function, void* context) {
    return function != static_cast<const Calls*>(context)->function && may_hide_a_call(function);
}

bool stands_otherwise(Node* node, void* context);

bool stands_otherwise_in(Node* node, void* context) {
    return pg::walk_expression(node, pg::guarded<stands_otherwise>, context);
}

// True where the walk meets a call whose row is wanted, or what may hide one.
bool stands_otherwise(Node* node, void* context) {
    if (node == nullptr) return false;
    auto* calls = static_cast<Calls*>(context);
    if (++calls->seen > kMostNodes) return true;
    if (IsA(node, Query))
        return pg::walk_query(reinterpret_cast<Query*>(node), pg::guarded<stands_otherwise>, context);
    if (IsA(node, FieldSelect)) {
        const auto* field = castNode(FieldSelect, node);
        auto* call = reinterpret_cast<FuncExpr*>(field->arg);
        if (IsA(call, FuncExpr) && call->funcid == calls->function) {
            if (field->fieldnum <= 0 || field->fieldnum > calls->columns->natts) return true;
            const Form_pg_attribute column = TupleDescAttr(calls->columns, field->fieldnum - 1);
            if (!can_stand_alone(column) || field->resulttype != column->atttypid ||
                field->resulttypmod != column->atttypmod || field->resultcollid != column->attcollation)
                return true;
            calls->asked = bms_add_member(calls->asked, field->fieldnum);
            return stands_otherwise_in(reinterpret_cast<Node*>(call->args), context);
        }
    } else if (IsA(node, FuncExpr) && castNode(FuncExpr, node)->funcid == calls->function) {
        auto* call = castNode(FuncExpr, node);
        // One of a column alone, as another call of this query has become.
        if (call->inputcollid == InvalidOid || call->inputcollid > kMostColumns) return true;
        return stands_otherwise_in(reinterpret_cast<Node*>(call->args), context);
    }
    return check_functions_in_node(node, pg::guarded<may_hide_one_of>, context) ||
           stands_otherwise_in(node, context);
}

Expr* call_of_column(const FuncExpr* call, const TupleDesc columns, int number) {
    auto* one = makeNode(FuncExpr);
    *one = *call;
    if (number != kUnasked) {
        const Form_pg_attribute column = TupleDescAttr(columns, number - 1);
        one->funcresulttype = column->atttypid;
        one->funccollid = column->attcollation;
    } else {
        one->funcresulttype = INT4OID;
        one->funccollid = InvalidOid;
    }
    one->inputcollid = static_cast<Oid>(number);
    return reinterpret_cast<Expr*>(one);
}

Node* simpler(const PlannerInfo* root, const FuncExpr* call) {
    if (root == nullptr || call->funcresulttype < FirstNormalObjectId) return nullptr;
    // What is grouped by is found in HAVING by being alike, and the two may be looked at with different answers.
    const Query* query = root->parse;
    if (query->havingQual != nullptr && (query->groupClause != NIL || query->groupingSets != NIL))
        return nullptr;
    const TypeCacheEntry* type = lookup_type_cache(call->funcresulttype, TYPECACHE_TUPDESC);
    if (type->tupDesc == nullptr || type->tupDesc->natts >= kMostColumns) return nullptr;
    // Ours to keep: the walk looks up catalogs, and may hear of a change.
    Calls calls = {call->funcid, CreateTupleDescCopy(type->tupDesc), nullptr, 0};
    if (stands_otherwise(reinterpret_cast<Node*>(root->parse), &calls) || calls.asked == nullptr)
        return nullptr;
    auto* row = makeNode(RowExpr);
    row->row_typeid = call->funcresulttype;
    row->row_format = COERCE_IMPLICIT_CAST;
    row->location = -1;
    Expr* const unasked = call_of_column(call, calls.columns, kUnasked);
    for (int number = 1; number <= calls.columns->natts; number++)
        row->args = lappend(row->args, bms_is_member(number, calls.asked)
                                           ? call_of_column(call, calls.columns, number)
                                           : unasked);
    return reinterpret_cast<Node*>(row);
}

}  // namespace

Datum one_column(FunctionCallInfo fcinfo, int number, const Datum* values, const bool* nulls, int count) {
    if (number == kUnasked) MIROX_DEFECT("unexpected column of a function's row");
    if (number > count || nulls[number - 1]) PG_RETURN_NULL();
    const Datum value = values[number - 1];
    const auto* call = castNode(FuncExpr, fcinfo->flinfo->fn_expr);
    return call->funcresulttype == TEXTOID ? datumCopy(value, false, -1) : value;
}

}  // namespace mirox::api

using namespace mirox;

MIROX_FUNCTION(one_column_support) {
    auto* request = reinterpret_cast<SupportRequestSimplify*>(PG_GETARG_POINTER(0));
    if (!IsA(request, SupportRequestSimplify)) PG_RETURN_POINTER(nullptr);
    PG_RETURN_POINTER(api::simpler(request->root, request->fcall));
}

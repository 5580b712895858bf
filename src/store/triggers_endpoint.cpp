// The trigger of table endpoint: it brings a rule to normal form, limits their number, and writes the audit log.
//
// Locks: those of its queries.
#include "store/triggers.hpp"

#include "store/endpoints.hpp"

namespace mirox::store::triggers {

using namespace endpoint_column;

namespace {

Query count_endpoints = {"SELECT count(*) FROM mirox_internal.endpoint", {}};

// The row with the rule in normal form.
HeapTuple normal_row(const Change& change) {
    core::EndpointText rule;
    const Value scope = get(change.after, change, kScope), is_public = get(change.after, change, kPublic);
    normalise_rule(
        rule_of({get_text(change.after, change, kMethod), true}, {get_text(change.after, change, kPath), true},
                {get_text(change.after, change, kScope), !scope.is_null}, !is_public.is_null && DatumGetBool(is_public.datum)),
        rule);
    int columns[] = {kMethod, kPath};
    Datum values[] = {pg::text_datum(pg::from_utf8(rule.method())), pg::text_datum(pg::from_utf8(rule.path()))};
    bool nulls[2] = {};
    return heap_modify_tuple_by_cols(change.after, change.columns, 2, columns, values, nulls);
}

}  // namespace

MIROX_FUNCTION(endpoint_guard) {
    const Change change = read_change(fcinfo, &pg::Catalog::endpoint, kBeforeRow);
    if (is_replay(change, kAuditId)) return PointerGetDatum(change.after);
    refuse_move(change, kMethod);
    refuse_move(change, kPath);
    HeapTuple stored = change.deleted ? nullptr : normal_row(change);
    Act act;
    begin(act);
    if (act.actor->audited) {
        end(act);
        return stamped(change, stored, kAuditNode, act.actor->last);
    }
    if (change.inserted) {
        pg::Args none;
        pg::run(count_endpoints, none);
        if (DatumGetInt64(pg::result_value(0, 1)) >= static_cast<std::int64_t>(core::kMaxEndpoints)) too_many_endpoints();
    }
    Detail detail;
    describe(detail, change, change.updated ? change.after : change.row, {kMethod, kPath});
    return audited(act, change, stored, kAuditNode, {"endpoint_added", "endpoint_changed", "endpoint_dropped"}, {}, detail);
}

}  // namespace mirox::store::triggers

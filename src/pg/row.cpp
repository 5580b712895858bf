// The row type of a function's result (see row.hpp).
#include "pg/row.hpp"

#include "pg/catalog.hpp"

namespace mirox::pg {
namespace {

// Kept for the backend, because asking for it costs as much as a look-up. The server keeps the entry of a type at the same
// address for the backend's life, and updates it when the type changes.
struct RowType {
    Oid function;
    std::uint64_t epoch;
    TypeCacheEntry* type;
};
constinit RowType row_types[8] = {};
constinit unsigned next_row_type = 0;

}  // namespace

const TypeCacheEntry& result_type(FunctionCallInfo fcinfo) {
    const Oid function = fcinfo->flinfo->fn_oid;
    const std::uint64_t epoch = catalog_known().epoch;
    for (const RowType& known : row_types) {
        if (known.function != function || known.epoch != epoch) continue;
        if (known.type->tupDesc == nullptr) (void)lookup_type_cache(known.type->type_id, TYPECACHE_TUPDESC);
        if (known.type->tupDesc != nullptr) return *known.type;
    }
    Oid type;
    TupleDesc columns;
    if (get_call_result_type(fcinfo, &type, &columns) != TYPEFUNC_COMPOSITE) MIROX_DEFECT("unexpected result type");
    TypeCacheEntry* const entry = lookup_type_cache(type, TYPECACHE_TUPDESC);
    if (entry->tupDesc == nullptr) MIROX_DEFECT("unexpected result type");
    row_types[next_row_type++ % lengthof(row_types)] = {function, epoch, entry};
    return *entry;
}

TupleDesc result_columns(FunctionCallInfo fcinfo) {
    TupleDesc columns;
    if (get_call_result_type(fcinfo, nullptr, &columns) != TYPEFUNC_COMPOSITE) MIROX_DEFECT("unexpected result type");
    return columns;
}

}  // namespace mirox::pg

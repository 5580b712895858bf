// SQL-callable checks of a secret: none raises an error for what a client sent; each answers with a verdict.
#include "api/verdict.hpp"
#include "core/crypto.hpp"
#include "pg/catalog.hpp"
#include "pg/entry.hpp"
#include "pg/network.hpp"
#include "pg/values.hpp"

extern "C" {
#include "access/htup_details.h"
#include "utils/typcache.h"
}

namespace mirox::api {

using namespace verdict_column;
using store::Check;
using store::Checked;
using store::Holders;
using store::Reason;

namespace {

// Which row type a function returns, kept for the backend: to ask for it costs as much as a look-up. The server's entry of a type
// stays where it is for the backend's life, and hears of changes to the type itself.
struct RowType {
    Oid function;
    std::uint64_t epoch;
    TypeCacheEntry* type;
};
constinit RowType row_types[8] = {};
constinit unsigned next_row_type = 0;

// A reason as a text Datum, made once.
constexpr std::size_t kMostReasonBytes = 24;
struct ReasonText {
    alignas(int) char bytes[VARHDRSZ + kMostReasonBytes];
};
constinit ReasonText reason_texts[store::kReasons] = {};

Datum reason_text(Reason reason) {
    ReasonText& text = reason_texts[static_cast<int>(reason)];
    if (VARSIZE(text.bytes) == 0) {
        const std::string_view word = store::outcome_of(reason).reason;
        Assert(word.size() <= kMostReasonBytes);
        memcpy(VARDATA(text.bytes), word.data(), word.size());
        SET_VARSIZE(text.bytes, VARHDRSZ + word.size());
    }
    return PointerGetDatum(text.bytes);
}

}  // namespace

const TypeCacheEntry& result_type(FunctionCallInfo fcinfo, int known_columns) {
    const Oid function = fcinfo->flinfo->fn_oid;
    const std::uint64_t epoch = pg::catalog_known().epoch;
    for (const RowType& known : row_types) {
        if (known.function != function || known.epoch != epoch) continue;
        if (known.type->tupDesc == nullptr) (void)lookup_type_cache(known.type->type_id, TYPECACHE_TUPDESC);
        const TupleDesc columns = known.type->tupDesc;
        if (columns != nullptr && columns->natts <= known_columns + kLaterColumns) return *known.type;
    }
    Oid type;
    TupleDesc columns;
    if (get_call_result_type(fcinfo, &type, &columns) != TYPEFUNC_COMPOSITE ||
        columns->natts > known_columns + kLaterColumns)
        MIROX_DEFECT("unexpected result type");
    TypeCacheEntry* const entry = lookup_type_cache(type, TYPECACHE_TUPDESC);
    if (entry->tupDesc == nullptr) MIROX_DEFECT("unexpected result type");
    row_types[next_row_type++ % lengthof(row_types)] = {function, epoch, entry};
    return *entry;
}

void fill_verdict(const Checked& checked, bool everything, Datum* values, bool* nulls) {
    const store::Outcome& outcome = store::outcome_of(checked.reason);
    values[kStatus] = Int32GetDatum(outcome.status);
    values[kReason] = reason_text(checked.reason);
    nulls[kStatus] = nulls[kReason] = false;
    // Who is refused learns nothing of the token.
    if (!checked.authenticated && !(everything && checked.holder != store::Holder::none)) return;
    if (checked.holder == store::Holder::token) {
        values[kTokenId] = Int64GetDatum(checked.token_id);
        nulls[kTokenId] = false;
    }
    values[kUserId] = checked.user_id;
    values[kPermissions] = store::effective_permissions(checked);
    values[kExpiresAt] = TimestampTzGetDatum(checked.expires_at);
    nulls[kUserId] = nulls[kPermissions] = nulls[kExpiresAt] = false;
    if (checked.group != nullptr) {
        values[kGroup] = checked.group->name_text;
        nulls[kGroup] = false;
    }
    if (checked.reason == Reason::rate_limited) {
        // Rounded up: who waits this long is let in.
        const std::int64_t wait = (checked.decision.retry_after_us + 999) / 1000;
        values[kRetryAfterMs] =
            Int32GetDatum(static_cast<std::int32_t>(Min(wait, std::int64_t{PG_INT32_MAX})));
        nulls[kRetryAfterMs] = false;
    }
}

namespace {

// The arguments that follow the secret: client_ip, user_agent, required_scope.
Check read_check(FunctionCallInfo fcinfo) {
    const pg::OptionalText scope = pg::text_arg(fcinfo, 3);
    return {pg::address_arg(fcinfo, 1), pg::text_arg(fcinfo, 2).text, scope.text,
            scope.given ? store::Need::scope : store::Need::nothing, store::Counting::full};
}

HeapTuple verdict_row(const TypeCacheEntry& type, const Checked& checked) {
    Datum values[kCount + kLaterColumns] = {};
    bool nulls[kCount + kLaterColumns];
    memset(nulls, true, sizeof(nulls));
    fill_verdict(checked, false, values, nulls);
    return heap_form_tuple(type.tupDesc, values, nulls);
}

// What is answered to everyone who is refused for a reason: a status and the reason, made once for a form of the row type.
struct Refusal {
    std::uint64_t form;
    HeapTupleHeader row;
};
constinit Refusal refusals[store::kReasons] = {};

Datum refusal(const TypeCacheEntry& type, const Checked& checked) {
    Refusal& known = refusals[static_cast<int>(checked.reason)];
    if (known.form != type.tupDesc_identifier) {
        const HeapTuple made = verdict_row(type, checked);
        const MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);
        HeapTupleHeader row = DatumGetHeapTupleHeader(heap_copy_tuple_as_datum(made, type.tupDesc));
        MemoryContextSwitchTo(before);
        if (known.row != nullptr) pfree(known.row);
        known = {type.tupDesc_identifier, row};
    }
    const Size size = HeapTupleHeaderGetDatumLength(known.row);
    void* copy = palloc(size);
    memcpy(copy, known.row, size);
    return PointerGetDatum(copy);
}

Datum verdict(FunctionCallInfo fcinfo, Checked& checked) {
    const TypeCacheEntry& type = result_type(fcinfo, kCount);
    const Datum result =
        checked.authenticated ? HeapTupleGetDatum(verdict_row(type, checked)) : refusal(type, checked);
    store::end_check(checked);
    return result;
}

}  // namespace

MIROX_SECRET_FUNCTION(verify_token) {
    const Check check = read_check(fcinfo);
    Checked checked;
    // A session's secret is no token: it is not looked up.
    store::begin_secret(pg::secret_arg(fcinfo, 0).text, Holders::token, check.client, checked);
    store::conclude(checked, check);
    return verdict(fcinfo, checked);
}

MIROX_SECRET_FUNCTION(verify_digest) {
    const Check check = read_check(fcinfo);
    const std::string_view bytes = pg::text_arg(fcinfo, 0).text;
    Checked checked;
    core::Digest digest;
    if (bytes.size() == digest.size()) {
        memcpy(digest.data(), bytes.data(), digest.size());
        store::begin_digest(digest, check.client, checked);
    } else {
        store::begin_refused(Reason::malformed, checked);
    }
    store::conclude(checked, check);
    return verdict(fcinfo, checked);
}

}  // namespace mirox::api

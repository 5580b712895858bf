// SQL-callable checks of a secret. Whatever a client sent, a check raises no error: it answers with a verdict.
#include "api/verdict.hpp"
#include "core/crypto.hpp"
#include "pg/entry.hpp"
#include "pg/network.hpp"
#include "pg/values.hpp"

namespace mirox::api {

using store::Accept;
using store::Check;
using store::Checked;
using store::Reason;

namespace {

// A reason as a text Datum, built at its first use.
struct ReasonText {
    alignas(int) char bytes[VARHDRSZ + core::kMaxReasonChars];
};
constinit ReasonText reason_texts[core::kReasons] = {};

Datum reason_text(Reason reason) {
    ReasonText& text = reason_texts[static_cast<int>(reason)];
    if (VARSIZE(text.bytes) == 0) {
        const std::string_view word = store::outcome_of(reason).word;
        memcpy(VARDATA(text.bytes), word.data(), word.size());
        SET_VARSIZE(text.bytes, VARHDRSZ + word.size());
    }
    return PointerGetDatum(text.bytes);
}

}  // namespace

void fill_verdict(const Checked& checked, bool everything, pg::Row& row) {
    row.set("status", Int32GetDatum(store::outcome_of(checked.reason).status)).set("reason", reason_text(checked.reason));
    // A refused caller learns nothing about the token.
    if (!checked.in_force && !(everything && checked.credential != store::Credential::none)) return;
    row.set_if(checked.credential == store::Credential::token, "token_id", Int64GetDatum(checked.token_id))
        .set("user_id", checked.user_id);
    if (checked.group != nullptr) row.set("permission_group", checked.group->name_text);
    row.set("permissions", store::effective_permissions(checked)).set("expires_at", TimestampTzGetDatum(checked.expires_at));
    if (checked.reason != Reason::rate_limited) return;
    // Rounded up, so that a caller who waits this long is admitted.
    const core::Decision& refused = store::own_limit_binds(checked) ? checked.own_decision : checked.decision;
    const std::int64_t wait = (refused.retry_after_us + 999) / 1000;
    row.set("retry_after_ms", Int32GetDatum(static_cast<std::int32_t>(Min(wait, std::int64_t{PG_INT32_MAX}))));
}

namespace {

// The arguments that follow the secret: client_ip, user_agent, required_scope.
Check read_check(FunctionCallInfo fcinfo) {
    const pg::OptionalText scope = pg::text_arg(fcinfo, 3);
    Check check = {pg::address_arg(fcinfo, 1), scope.given ? store::Need::scope : store::Need::nothing, store::Counting::full};
    check.texts[shmem::kAgent] = pg::text_arg(fcinfo, 2).text;
    check.texts[shmem::kScope] = scope.text;
    return check;
}

HeapTuple verdict_row(const TypeCacheEntry& type, const Checked& checked) {
    pg::Row row(type.tupDesc);
    fill_verdict(checked, false, row);
    return row.tuple();
}

// The verdict of a refused check, which holds a status and a reason only. It is built once for each version of the row type.
struct Refusal {
    std::uint64_t form;
    HeapTupleHeader row;
};
constinit Refusal refusals[core::kReasons] = {};

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
    const TypeCacheEntry& type = pg::result_type(fcinfo);
    const Datum result = checked.in_force ? HeapTupleGetDatum(verdict_row(type, checked)) : refusal(type, checked);
    store::end_check(checked);
    return result;
}

}  // namespace

MIROX_SECRET_FUNCTION(verify_token) {
    const Check check = read_check(fcinfo);
    Checked checked;
    // A session's secret is not a token's, so it is not looked up.
    store::begin_secret(pg::secret_arg(fcinfo, 0).text, Accept::token, check.client, checked);
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

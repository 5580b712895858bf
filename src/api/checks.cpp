// SQL-callable checks: none raises an error for what a client sent; each answers with a verdict.
#include "core/crypto.hpp"
#include "pg/entry.hpp"
#include "pg/network.hpp"
#include "pg/values.hpp"
#include "store/check.hpp"
#include "store/secrets.hpp"

extern "C" {
#include "access/htup_details.h"
#include "utils/typcache.h"
}

using namespace mirox;
using store::Check;
using store::Checked;
using store::Reason;

namespace {

enum Column { kStatus, kReason, kTokenId, kUserId, kGroup, kPermissions, kExpiresAt, kRetryAfterMs, kColumns };

Check read_check(FunctionCallInfo fcinfo) {
    const pg::OptionalText scope = pg::text_arg(fcinfo, 3);
    return {pg::address_arg(fcinfo, 1), scope.text, scope.given};
}

// The row type, looked up once for each place in a query that calls us.
TupleDesc verdict_columns(FunctionCallInfo fcinfo) {
    auto* columns = static_cast<TupleDesc>(fcinfo->flinfo->fn_extra);
    if (columns != nullptr) return columns;
    const MemoryContext before = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
    if (get_call_result_type(fcinfo, nullptr, &columns) != TYPEFUNC_COMPOSITE) elog(ERROR, "unexpected result type");
    columns = BlessTupleDesc(CreateTupleDescCopy(columns));
    MemoryContextSwitchTo(before);
    fcinfo->flinfo->fn_extra = columns;
    return columns;
}

// On a 401 every column but status and reason is NULL: who is refused learns nothing of the token.
Datum verdict(FunctionCallInfo fcinfo, Reason reason, const Checked* checked) {
    const store::Outcome& outcome = store::outcome_of(reason);
    Datum values[kColumns] = {};
    bool nulls[kColumns];
    memset(nulls, true, sizeof(nulls));
    values[kStatus] = Int32GetDatum(outcome.status);
    values[kReason] = pg::text_datum(outcome.reason);
    nulls[kStatus] = nulls[kReason] = false;
    if (checked != nullptr && checked->authenticated) {
        values[kTokenId] = Int64GetDatum(checked->fixed.token_id);
        values[kUserId] = checked->user_id;
        values[kPermissions] = store::effective_permissions(*checked);
        values[kExpiresAt] = TimestampTzGetDatum(checked->fixed.state == store::kOverlapping
                                                     ? Min(checked->fixed.ends_at, checked->fixed.expires_at)
                                                     : checked->fixed.expires_at);
        nulls[kTokenId] = nulls[kUserId] = nulls[kPermissions] = nulls[kExpiresAt] = false;
        if (checked->group != nullptr) {
            values[kGroup] = checked->group->name_text;
            nulls[kGroup] = false;
        }
    }
    return HeapTupleGetDatum(heap_form_tuple(verdict_columns(fcinfo), values, nulls));
}

Datum check_by_digest(FunctionCallInfo fcinfo, const core::Digest& digest) {
    Checked checked;
    store::begin_check(digest, read_check(fcinfo), checked);
    const Datum result = verdict(fcinfo, checked.reason, &checked);
    store::end_check(checked);
    return result;
}

}  // namespace

MIROX_FUNCTION(verify_token) {
    const pg::OptionalText secret = pg::text_arg(fcinfo, 0);
    // A session's secret is no token: it is not looked up.
    if (!secret.given || store::kind_of(secret.text) != core::SecretKind::token)
        return verdict(fcinfo, Reason::malformed, nullptr);
    return check_by_digest(fcinfo, store::digest_of(secret.text));
}

MIROX_FUNCTION(verify_digest) {
    const pg::OptionalText bytes = pg::text_arg(fcinfo, 0);
    core::Digest digest;
    if (!bytes.given || bytes.text.size() != digest.size()) return verdict(fcinfo, Reason::malformed, nullptr);
    memcpy(digest.data(), bytes.text.data(), digest.size());
    return check_by_digest(fcinfo, digest);
}

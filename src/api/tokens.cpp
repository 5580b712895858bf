// SQL-callable functions on tokens. The work is in store/tokens.hpp. The plaintext of a new secret is in the buffer of
// store/secrets.hpp and in the result, and both are wiped.
#include "store/tokens.hpp"
#include "api/tokens.sql.hpp"
#include "pg/entry.hpp"
#include "pg/row.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "store/acts.hpp"
#include "store/check.hpp"
#include "store/idempotency.hpp"
#include "store/manage.hpp"
#include "store/services.hpp"
#include "store/sessions.hpp"

extern "C" {
#include "access/xact.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
}

using namespace mirox;
using store::Actor;

namespace {

std::int64_t token_arg(FunctionCallInfo fcinfo, int n) {
    if (PG_ARGISNULL(n)) store::no_such_token();
    return PG_GETARG_INT64(n);
}

// expires_at in argument `n`, expires_in in the next.
store::ExpiryRequest expiry_arg(FunctionCallInfo fcinfo, int n) {
    store::ExpiryRequest expiry = {};
    expiry.has_expires_at = !PG_ARGISNULL(n);
    if (expiry.has_expires_at) expiry.expires_at = PG_GETARG_TIMESTAMPTZ(n);
    expiry.has_expires_in = !PG_ARGISNULL(n + 1);
    if (expiry.has_expires_in) expiry.expires_in = PG_GETARG_INTERVAL_P(n + 1);
    return expiry;
}

Datum metadata_arg(FunctionCallInfo fcinfo, int n) {
    return PG_ARGISNULL(n) ? DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")) : PG_GETARG_DATUM(n);
}

std::string_view name_arg(FunctionCallInfo fcinfo, int n) {
    // NULL is refused like an empty name, with the same error.
    return pg::text_arg(fcinfo, n).text;
}

// The arguments of a token that is issued, from its name on. Its rate limit is the last one.
store::IssueRequest issue_args(FunctionCallInfo fcinfo, int rate_limit) {
    store::IssueRequest request = {};
    request.name = name_arg(fcinfo, 1);
    const pg::OptionalText group = pg::text_arg(fcinfo, 2);
    request.group = group.text;
    request.expiry = expiry_arg(fcinfo, 3);
    request.permissions = PG_ARGISNULL(5) ? 0 : PG_GETARG_DATUM(5);
    request.allowed_ips = PG_ARGISNULL(6) ? 0 : PG_GETARG_DATUM(6);
    const pg::OptionalText format = pg::text_arg(fcinfo, 7);
    request.jwt = format.given && format.text == "jwt";
    if (format.given && !request.jwt && format.text != "opaque")
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::format_unknown, "format"),
                    errmsg("no such format of a token"), errdetail_internal("{opaque,jwt}"),
                    errhint("Use one of these, or leave it out for an opaque token."));
    request.metadata = metadata_arg(fcinfo, 8);
    request.rate_limit = pg::int_arg(fcinfo, rate_limit);
    return request;
}

// The act and all arguments but the session, whose id goes with the key, and the key itself.
store::IdempotencyKey idempotency_key(FunctionCallInfo fcinfo, int key, const char* act) {
    StringInfoData request;
    initStringInfo(&request);
    appendStringInfoString(&request, act);
    Oid* types;
    int count;
    get_func_signature(fcinfo->flinfo->fn_oid, &types, &count);
    for (int n = 1; n < count; n++) {
        if (n == key) continue;
        // Each with its size, so that no two calls run together into the same bytes. NULL has a size that no value has.
        std::uint32_t size = PG_UINT32_MAX;
        Datum value = 0;
        const char* bytes = "";
        if (!PG_ARGISNULL(n)) {
            std::int16_t length;
            bool by_value;
            get_typlenbyval(types[n], &length, &by_value);
            value = PG_GETARG_DATUM(n);
            if (length < 0) value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
            bytes = by_value ? reinterpret_cast<const char*>(&value) : length < 0 ? VARDATA_ANY(value) : DatumGetPointer(value);
            size = by_value ? sizeof(value) : length < 0 ? VARSIZE_ANY_EXHDR(value) : static_cast<std::uint32_t>(length);
        }
        appendBinaryStringInfo(&request, reinterpret_cast<const char*>(&size), sizeof(size));
        if (!PG_ARGISNULL(n)) appendBinaryStringInfo(&request, bytes, static_cast<int>(size));
    }
    return {pg::text_arg(fcinfo, key), {request.data, static_cast<std::size_t>(request.len)}};
}

Datum show(FunctionCallInfo fcinfo, store::Issued& issued) {
    const store::Group* group = store::group_by_id(issued.group_id);
    if (group == nullptr) MIROX_DEFECT("permission group %d is gone", issued.group_id);
    pg::Row row(pg::result_type(fcinfo).tupDesc);
    row.set("token_id", Int64GetDatum(issued.token_id))
        .set_if(issued.secret != nullptr, "secret", issued.secret == nullptr ? 0 : pg::secret_text_datum(issued.secret->view()))
        .set("name", pg::text_datum(issued.name.view()))
        .set("permission_group", group->name_text)
        .set("place", Int32GetDatum(issued.place))
        .set("expires_at", TimestampTzGetDatum(issued.expires_at))
        .set("created_at", TimestampTzGetDatum(issued.created_at));
    const Datum shown = pg::secret_row_datum(row.tuple());
    if (issued.secret != nullptr) store::forget(*issued.secret);
    return shown;
}

// What the act returns (0: NULL), copied before the act's own memory ends.
template <class What>
Datum copied(FunctionCallInfo fcinfo, What what) {
    const MemoryContext caller = CurrentMemoryContext;
    const Datum value = store::in_session(fcinfo, true, [&](Actor& actor) {
        const Datum made = what(actor);
        if (made == 0) return made;
        const MemoryContext inner = MemoryContextSwitchTo(caller);
        const Datum copy = PointerGetDatum(PG_DETOAST_DATUM_COPY(made));
        MemoryContextSwitchTo(inner);
        return copy;
    });
    fcinfo->isnull = value == 0;
    return value;
}

}  // namespace

MIROX_OWN_ACT(issue_token) {
    const store::IssueRequest request = issue_args(fcinfo, 10);
    store::Issued issued;
    const store::IdempotencyKey call = idempotency_key(fcinfo, 9, "issue");
    store::in_session(fcinfo, true, [&](Actor& actor) {
        if (store::answered_before(actor, call, issued)) return;
        store::issue(actor, request, issued);
        store::keep_answer(actor, call, issued);
    });
    return show(fcinfo, issued);
}

MIROX_SECRET_ACT(issue_service_token) {
    const store::IssueRequest request = issue_args(fcinfo, 9);
    const pg::OptionalText user = pg::text_arg(fcinfo, 0);
    store::Issued issued;
    store::as_act([&](Actor& actor) {
        store::require_account(user.text, actor.account);
        if (!store::is_service_account(actor.account.account_id))
            MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::account_of_person, "user_id"),
                        errmsg("it is no service account"),
                        errdetail("A person's tokens are issued by the owner, with a session."),
                        errhint("Mark a program's account with mirox.set_service_account."));
        store::issue(actor, request, issued);
    });
    return show(fcinfo, issued);
}

MIROX_ACT(set_service_account) {
    const pg::OptionalText user = pg::text_arg(fcinfo, 0);
    const bool service = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);
    store::as_act([&](Actor& actor) {
        store::require_account(user.text, actor.account);
        store::set_service_account(actor, service);
    });
    PG_RETURN_VOID();
}

MIROX_OWN_ACT(rotate_token) {
    constexpr Interval none = {};
    const Interval* overlap = PG_ARGISNULL(2) ? &none : PG_GETARG_INTERVAL_P(2);
    store::Issued issued;
    const store::IdempotencyKey call = idempotency_key(fcinfo, 3, "rotate");
    store::in_session(fcinfo, true, [&](Actor& actor) {
        const std::int64_t token_id = token_arg(fcinfo, 1);
        if (store::answered_before(actor, call, issued)) return;
        store::rotate(actor, token_id, *overlap, issued);
        store::keep_answer(actor, call, issued);
    });
    return show(fcinfo, issued);
}

MIROX_OWN_ACT(revoke_token) {
    const pg::OptionalText reason = pg::text_arg(fcinfo, 2);
    return TimestampTzGetDatum(store::in_session(
        fcinfo, true, [&](Actor& actor) { return store::revoke(actor, token_arg(fcinfo, 1), reason.text, reason.given); }));
}

MIROX_OWN_ACT(revoke_all_tokens) {
    const pg::OptionalText reason = pg::text_arg(fcinfo, 1);
    const bool sessions_too = pg::bool_arg(fcinfo, 2);
    return Int32GetDatum(store::in_session(fcinfo, true, [&](Actor& actor) {
        // All sessions but the caller's, whose page must still show the outcome.
        if (sessions_too) store::close_sessions(actor, reason, actor.session_id);
        return store::revoke_all(actor, reason.text, reason.given, false);
    }));
}

MIROX_OWN_ACT(revoke_expired_tokens) {
    return Int32GetDatum(
        store::in_session(fcinfo, true, [&](Actor& actor) { return store::revoke_all(actor, "expired", true, true); }));
}

// A secret may revoke its token if it is in force or has only expired. A secret that was rotated away may not: whoever finds an
// old secret must not be able to end the new one.
MIROX_SECRET_FUNCTION(revoke_self) {
    const pg::OptionalText secret = pg::secret_arg(fcinfo, 0);
    const pg::OptionalText reason = pg::text_arg(fcinfo, 1);
    if (!secret.given || !store::looks_like_token(secret.text)) store::no_such_token();
    const core::Digest digest = store::digest_of(secret.text);
    Actor actor;
    store::enter(actor);
    store::Checked found;
    store::begin_digest(digest, {}, found);
    const std::int64_t token_id = found.token_id;
    const std::int64_t account_id = found.account_id;
    store::end_check(found);
    if (token_id != 0) store::require_own_token(token_id);
    if (account_id != 0) store::require_writable("revoke_self");
    if (account_id == 0 || !store::account_for_update(account_id, actor.account)) store::no_such_token();
    store::begin_digest(digest, {}, found);
    const store::Reason now = found.reason;
    store::end_check(found);
    if (now == store::Reason::unknown || now == store::Reason::rotated) store::no_such_token();
    const TimestampTz at = store::revoke(actor, token_id, reason.given ? reason.text : "revoked by its own secret", true);
    store::leave(actor);
    return TimestampTzGetDatum(at);
}

MIROX_ACT(revoke_any_token) {
    const std::int64_t token_id = token_arg(fcinfo, 0);
    const pg::OptionalText reason = pg::text_arg(fcinfo, 1);
    return TimestampTzGetDatum(store::as_act([&](Actor& actor) {
        const std::int64_t account_id = store::account_of_token(token_id);
        if (account_id == 0 || !store::account_for_update(account_id, actor.account)) store::no_such_token();
        return store::revoke(actor, token_id, reason.text, reason.given);
    }));
}

MIROX_OWN_ACT(rename_token) {
    const std::string_view given = name_arg(fcinfo, 2);
    store::Name name;
    store::in_session(fcinfo, true, [&](Actor& actor) { store::rename(actor, token_arg(fcinfo, 1), given, name); });
    return pg::text_datum(name.view());
}

MIROX_OWN_ACT(set_token_permissions) {
    const Datum asked = PG_ARGISNULL(2) ? 0 : PG_GETARG_DATUM(2);
    return copied(fcinfo, [&](Actor& actor) { return store::set_permissions(actor, token_arg(fcinfo, 1), asked); });
}

MIROX_OWN_ACT(set_token_networks) {
    const Datum given = PG_ARGISNULL(2) ? 0 : PG_GETARG_DATUM(2);
    return copied(fcinfo, [&](Actor& actor) { return store::set_networks(actor, token_arg(fcinfo, 1), given); });
}

MIROX_OWN_ACT(set_token_expiration) {
    const store::ExpiryRequest expiry = expiry_arg(fcinfo, 2);
    return TimestampTzGetDatum(store::in_session(
        fcinfo, true, [&](Actor& actor) { return store::set_expiration(actor, token_arg(fcinfo, 1), expiry); }));
}

MIROX_OWN_ACT(set_token_metadata) {
    const Datum metadata = metadata_arg(fcinfo, 2);
    store::in_session(fcinfo, true, [&](Actor& actor) { store::set_metadata(actor, token_arg(fcinfo, 1), metadata); });
    return metadata;
}

MIROX_OWN_ACT(set_token_rate_limit) {
    store::in_session(fcinfo, true, [&](Actor& actor) {
        store::set_rate_limit(actor, token_arg(fcinfo, 1), pg::int_arg(fcinfo, 2), pg::int_arg(fcinfo, 3));
    });
    PG_RETURN_VOID();
}

MIROX_OWN_ACT(suspend_token) {
    const pg::OptionalText reason = pg::text_arg(fcinfo, 2);
    return TimestampTzGetDatum(
        store::in_session(fcinfo, true, [&](Actor& actor) { return store::suspend(actor, token_arg(fcinfo, 1), reason); }));
}

MIROX_OWN_ACT(resume_token) {
    return BoolGetDatum(
        store::in_session(fcinfo, true, [&](Actor& actor) { return store::resume(actor, token_arg(fcinfo, 1)); }));
}

MIROX_OWN_ACT(end_overlap) {
    return BoolGetDatum(
        store::in_session(fcinfo, true, [&](Actor& actor) { return store::end_overlap(actor, token_arg(fcinfo, 1)); }));
}

MIROX_OWN_READ_ONLY_ACT(list_tokens) {
    InitMaterializedSRF(fcinfo, 0);
    const bool revoked = pg::bool_arg(fcinfo, 1);
    store::in_session(fcinfo, false, [&](Actor& actor) {
        pg::Args args;
        args.int8(actor.account.account_id).add(BoolGetDatum(revoked));
        // Planning takes longer than running: one plan for all accounts from the first call on, until the end of the act.
        (void)set_config_option("plan_cache_mode", "force_generic_plan", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                                false);
        pg::run(api::select_list, args);
        pg::return_rows(fcinfo);
    });
    return (Datum)0;
}

// ---- what the list and the views show of a token's lifetime --------------------------------------------------------------

MIROX_FUNCTION(token_status) {
    if (!PG_ARGISNULL(0)) return pg::text_datum("revoked");
    if (PG_ARGISNULL(1) || PG_ARGISNULL(2)) PG_RETURN_NULL();
    const TimestampTz expires_at = PG_GETARG_TIMESTAMPTZ(1), now = PG_GETARG_TIMESTAMPTZ(2);
    // In the order in which a check judges.
    if (expires_at <= now) return pg::text_datum("expired");
    if (!PG_ARGISNULL(4)) return pg::text_datum("locked");
    if (!PG_ARGISNULL(3)) return pg::text_datum("suspended");
    return pg::text_datum(expires_at <= pg::add_in_utc(now, pg::settings().expiry_notice) ? "expiring" : "active");
}

MIROX_FUNCTION(ends) {
    if (TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(0)))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::expiration_infinite),
                    errmsg("an expiration must be finite"), errdetail("Tokens, their secrets and web sessions end some day."),
                    errhint("Give a date, such as now() + interval '30 days'."));
    PG_RETURN_BOOL(true);
}

MIROX_FUNCTION(expiry_horizon) {
    return TimestampTzGetDatum(pg::add_in_utc(GetCurrentStatementStartTimestamp(), pg::settings().expiry_notice));
}

MIROX_FUNCTION(places) {
    return Int32GetDatum(pg::settings().max_tokens_per_account);
}

MIROX_FUNCTION(days_until) {
    const TimestampTz left = PG_GETARG_TIMESTAMPTZ(0) - PG_GETARG_TIMESTAMPTZ(1);
    return Int32GetDatum(left <= 0 ? 0 : static_cast<std::int32_t>(left / USECS_PER_DAY));
}

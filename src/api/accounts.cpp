// SQL-callable functions on accounts and sessions, those of the profile page too. The work is in store/manage.hpp.
#include "pg/prelude.hpp"
//
#include "api/accounts.sql.hpp"
#include "pg/entry.hpp"
#include "pg/network.hpp"
#include "pg/row.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "shmem/limits.hpp"
#include "store/acts.hpp"
#include "store/manage.hpp"
#include "store/sessions.hpp"
#include "store/tokens.hpp"
#include "store/traces.hpp"

extern "C" {
#include "utils/timestamp.h"
}

using namespace mirox;
using store::Actor;

namespace {

// A text argument that must not be NULL.
std::string_view required_text(FunctionCallInfo fcinfo, int n, const char* name) {
    const pg::OptionalText value = pg::text_arg(fcinfo, n);
    if (!value.given)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::argument_missing, name),
                    errmsg("%s must not be NULL", name));
    return value.text;
}

// The account's user id in argument 0, its limits in `n` and the next.
store::AccountRequest account_arg(FunctionCallInfo fcinfo, int n) {
    store::AccountRequest request = {};
    request.user_id = required_text(fcinfo, 0, "user_id");
    request.rate_limit = pg::int_arg(fcinfo, n);
    request.burst = pg::int_arg(fcinfo, n + 1);
    return request;
}

}  // namespace

MIROX_ACT(put_account) {
    store::AccountRequest request = account_arg(fcinfo, 2);
    if (PG_ARGISNULL(1))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::argument_missing, "permissions"),
                    errmsg("permissions must not be NULL"), errhint("Give the owner's scopes; an empty array for none."));
    request.permissions = pg::scopes_from_text_array(PG_GETARG_DATUM(1), "permissions");
    store::as_act([&](Actor& actor) { store::put_account(actor, request); });
    PG_RETURN_VOID();
}

MIROX_ACT(set_rate_limit) {
    const store::AccountRequest request = account_arg(fcinfo, 1);
    store::as_act([&](Actor& actor) { store::set_rate_limit(actor, request); });
    PG_RETURN_VOID();
}

MIROX_ACT(lock_account) {
    const std::string_view user = required_text(fcinfo, 0, "user_id");
    const pg::OptionalText reason = pg::text_arg(fcinfo, 1);
    return TimestampTzGetDatum(
        store::as_act([&](Actor& actor) { return store::lock_account(actor, user, reason.text, reason.given); }));
}

MIROX_ACT(unlock_account) {
    const std::string_view user = required_text(fcinfo, 0, "user_id");
    return BoolGetDatum(store::as_act([&](Actor& actor) { return store::unlock_account(actor, user); }));
}

MIROX_ACT(delete_account) {
    const std::string_view user = required_text(fcinfo, 0, "user_id");
    return BoolGetDatum(store::as_act([&](Actor& actor) { return store::delete_account(actor, user); }));
}

MIROX_ACT(erase_traces) {
    const std::string_view user = required_text(fcinfo, 0, "user_id");
    const TimestampTz now = GetCurrentTimestamp();
    const TimestampTz until = PG_ARGISNULL(1) ? now : Min(PG_GETARG_TIMESTAMPTZ(1), now);
    return Int64GetDatum(store::as_act([&](Actor& actor) { return store::erase_traces(actor, user, until); }));
}

MIROX_SECRET_ACT(open_session) {
    store::SessionRequest request = {};
    request.user_id = required_text(fcinfo, 0, "user_id");
    if (PG_ARGISNULL(1))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::argument_missing, "lifetime"),
                    errmsg("lifetime must not be NULL"), errhint("Leave the argument out for 12 hours."));
    request.lifetime = PG_GETARG_INTERVAL_P(1);
    const core::Address client = pg::address_arg(fcinfo, 2);
    if (client.family != core::AddressFamily::none) request.client_ip = pg::inet_datum(client);
    const pg::OptionalText agent = pg::text_arg(fcinfo, 3);
    request.user_agent = agent.text;
    request.has_user_agent = agent.given;
    store::NewSecret& secret = *store::as_act([&](Actor& actor) { return &store::open_session(actor, request); });
    const Datum shown = pg::secret_text_datum(secret.view());
    store::forget(secret);
    return shown;
}

MIROX_OWN_ACT(close_session) {
    const pg::OptionalText secret = pg::secret_arg(fcinfo, 0);
    if (!secret.given) return BoolGetDatum(false);
    return BoolGetDatum(store::as_act([&](Actor& actor) { return store::close_session(actor, secret.text); }));
}

MIROX_ACT(close_sessions) {
    const std::string_view user = required_text(fcinfo, 0, "user_id");
    const pg::OptionalText reason = pg::text_arg(fcinfo, 1);
    return Int32GetDatum(store::as_act([&](Actor& actor) {
        store::require_account(user, actor.account);
        return store::close_sessions(actor, reason, 0);
    }));
}

MIROX_ACT(revoke_tokens) {
    const std::string_view user = required_text(fcinfo, 0, "user_id");
    const pg::OptionalText reason = pg::text_arg(fcinfo, 1);
    return Int32GetDatum(store::as_act([&](Actor& actor) {
        store::require_account(user, actor.account);
        return store::revoke_all(actor, reason.text, reason.given, false);
    }));
}

// ---- the profile page ------------------------------------------------------------------------------------------------------

MIROX_OWN_READ_ONLY_ACT(my_account) {
    const MemoryContext caller = CurrentMemoryContext;
    return store::in_session(fcinfo, false, [&](Actor& actor) {
        const store::Account& account = actor.account;
        const pg::Settings& settings = pg::settings();
        const std::int32_t limit = account.rate_limit < 0 ? settings.rate_limit : account.rate_limit;
        const std::int32_t burst = account.burst < 0 ? settings.rate_burst : account.burst;
        const std::int64_t remaining = shmem::peek_at_limit(account.account_id, limit, burst).remaining;
        const int held = store::places_of(account.account_id).held;
        Interval default_lifetime = store::default_lifetime(), max_lifetime = settings.max_lifetime;
        // The act's own memory ends with the act.
        const MemoryContext inner = MemoryContextSwitchTo(caller);
        const Datum shown = pg::Row(pg::result_type(fcinfo).tupDesc)
                                .set("user_id", PointerGetDatum(account.user_id))
                                .set("permissions", account.permissions)
                                .set("tokens", Int32GetDatum(held))
                                .set("places_free", Int32GetDatum(Max(settings.max_tokens_per_account - held, 0)))
                                .set("max_tokens", Int32GetDatum(settings.max_tokens_per_account))
                                .set("default_lifetime", IntervalPGetDatum(&default_lifetime))
                                .set("max_lifetime", IntervalPGetDatum(&max_lifetime))
                                .set("rate_limit", Int32GetDatum(limit))
                                .set("burst", Int32GetDatum(burst))
                                .set("remaining", Int32GetDatum(static_cast<std::int32_t>(remaining)))
                                .set("session_id", Int64GetDatum(actor.session_id))
                                .set("session_expires_at", TimestampTzGetDatum(actor.session_expires_at))
                                .datum();
        MemoryContextSwitchTo(inner);
        return shown;
    });
}

MIROX_OWN_READ_ONLY_ACT(list_groups) {
    InitMaterializedSRF(fcinfo, 0);
    store::in_session(fcinfo, false, [&](Actor& actor) {
        pg::Args args;
        args.int8(actor.account.account_id);
        pg::run(api::select_groups, args);
        pg::return_rows(fcinfo);
    });
    return (Datum)0;
}

MIROX_OWN_READ_ONLY_ACT(list_sessions) {
    InitMaterializedSRF(fcinfo, 0);
    store::in_session(fcinfo, false, [&](Actor& actor) {
        pg::Args args;
        args.int8(actor.account.account_id).int8(actor.session_id);
        pg::run(api::select_sessions, args);
        pg::return_rows(fcinfo);
    });
    return (Datum)0;
}

MIROX_OWN_ACT(close_session_by_id) {
    return BoolGetDatum(store::in_session(
        fcinfo, true, [&](Actor& actor) { return !PG_ARGISNULL(1) && store::close_session(actor, PG_GETARG_INT64(1)); }));
}

MIROX_OWN_ACT(close_other_sessions) {
    return Int32GetDatum(
        store::in_session(fcinfo, true, [&](Actor& actor) { return store::close_sessions(actor, {}, actor.session_id); }));
}

MIROX_OWN_READ_ONLY_ACT(account_log) {
    InitMaterializedSRF(fcinfo, 0);
    store::in_session(fcinfo, false, [&](Actor& actor) {
        pg::Args args;
        args.int8(actor.account.account_id).add_or_null(PG_ARGISNULL(1) ? 0 : PG_GETARG_DATUM(1), !PG_ARGISNULL(1));
        pg::add_max_rows(args, fcinfo, 2);
        pg::run(api::select_log, args);
        pg::return_rows(fcinfo);
    });
    return (Datum)0;
}

// SQL-callable functions on accounts and sessions. The work is in store/manage.hpp.
#include "pg/entry.hpp"
#include "pg/network.hpp"
#include "pg/values.hpp"
#include "store/acts.hpp"
#include "store/manage.hpp"

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

}  // namespace

MIROX_ACT(put_account) {
    store::AccountRequest request = {};
    request.user_id = required_text(fcinfo, 0, "user_id");
    if (PG_ARGISNULL(1))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::argument_missing, "permissions"),
                    errmsg("permissions must not be NULL"), errhint("Give the owner's scopes; an empty array for none."));
    request.permissions = pg::scopes_from_text_array(PG_GETARG_DATUM(1), "permissions");
    request.has_rate_limit = !PG_ARGISNULL(2);
    if (request.has_rate_limit) request.rate_limit = PG_GETARG_INT32(2);
    request.has_burst = !PG_ARGISNULL(3);
    if (request.has_burst) request.burst = PG_GETARG_INT32(3);
    store::as_act([&](Actor& actor) { store::put_account(actor, request); });
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

// SQL-callable functions on whole requests: the check of a request, the endpoint rules that name the scope it needs, and the
// client's address behind proxies. Takes no locks of its own.
#include "api/verdict.hpp"
#include "core/authorization.hpp"
#include "core/jwt.hpp"
#include "pg/entry.hpp"
#include "pg/network.hpp"
#include "pg/values.hpp"
#include "store/actor.hpp"
#include "store/acts.hpp"
#include "store/endpoints.hpp"
#include "store/secrets.hpp"

extern "C" {
#include "utils/inet.h"
}

namespace mirox::api {

using core::AuthorizationKind;
using store::Actor;
using store::Check;
using store::Checked;
using store::Counting;
using store::Need;
using store::Reason;

namespace {

// The host part of an inet, whatever its netmask; no address for NULL.
core::Address host_arg(FunctionCallInfo fcinfo, int n) {
    return core::host_of(pg::address_arg(fcinfo, n));
}

Datum http_verdict(FunctionCallInfo fcinfo, Checked& checked, const Check& check, AuthorizationKind kind, bool everything) {
    pg::Row row(pg::result_type(fcinfo).tupDesc);
    fill_verdict(checked, everything, row);
    char text[core::kMaxChallengeChars];
    const core::Challenge challenge = core::challenge_for(store::outcome_of(checked.reason).status, kind);
    const std::size_t size = core::write_challenge(challenge, check.texts[shmem::kScope], text);
    if (size > 0) row.set("www_authenticate", pg::text_datum({text, size}));
    if (checked.limited) {
        const core::RateLimitFields fields = core::rate_limit_fields(checked.decision, checked.limit);
        row.set_if(checked.reason == Reason::rate_limited, "retry_after", Int32GetDatum(fields.retry_after))
            .set("ratelimit_limit", Int32GetDatum(fields.limit))
            .set("ratelimit_remaining", Int32GetDatum(fields.remaining))
            .set("ratelimit_reset", Int32GetDatum(fields.reset));
    }
    if (check.need == Need::scope && (checked.authenticated || everything))
        row.set("required_scope", pg::text_datum(check.texts[shmem::kScope]));
    const Datum result = row.datum();
    store::end_check(checked);
    return result;
}

// Finds who sends the request: the header field holds a secret, or is refused for its form.
void begin_authorization(const core::Authorization& given, const core::Address& client, Checked& out) {
    switch (given.kind) {
        case AuthorizationKind::bearer:
            store::begin_secret(given.credential, store::Accept::both, client, out);
            return;
        case AuthorizationKind::malformed:
            store::begin_refused(Reason::invalid_request, out);
            return;
        default:
            store::begin_refused(Reason::malformed, out);
    }
}

// Puts the scope that method and path need into the check, and what is recorded of them.
void ask_for_endpoint(Check& check, const pg::OptionalText& method, const pg::OptionalText& path) {
    const store::RequestScope needed = store::scope_of_request(method.text, path.text);
    check.need = needed.valid ? Need::scope : Need::invalid;
    check.texts[shmem::kScope] = needed.scope;
    check.texts[shmem::kMethod] = needed.method;
    check.texts[shmem::kEndpoint] = needed.endpoint;
}

}  // namespace

MIROX_SECRET_FUNCTION(check_request) {
    const pg::OptionalText method = pg::text_arg(fcinfo, 1), path = pg::text_arg(fcinfo, 2);
    Check check = {host_arg(fcinfo, 3), Need::nothing, Counting::full};
    check.texts[shmem::kAgent] = pg::text_arg(fcinfo, 4).text;
    const core::Authorization given = core::parse_authorization(pg::secret_arg(fcinfo, 0).text);
    Checked checked;
    if (given.kind == AuthorizationKind::bearer) store::ready_endpoints();
    begin_authorization(given, check.client, checked);
    // An unauthenticated caller is not asked for a scope, but the log shows what the request tried to reach.
    if (given.kind == AuthorizationKind::bearer) ask_for_endpoint(check, method, path);
    store::conclude(checked, check);
    return http_verdict(fcinfo, checked, check, given.kind, false);
}

MIROX_READ_ONLY_ACT(explain_check) {
    const pg::OptionalText method = pg::text_arg(fcinfo, 1), path = pg::text_arg(fcinfo, 2);
    const pg::OptionalText scope = pg::text_arg(fcinfo, 5);
    Check check = {host_arg(fcinfo, 3), scope.given ? Need::scope : Need::nothing, Counting::dry_run};
    check.texts[shmem::kScope] = scope.text;
    const std::string_view credential = pg::secret_arg(fcinfo, 0).text;
    // A secret alone stands for the header field that would carry it.
    core::Authorization given = {AuthorizationKind::bearer, credential};
    if (store::kind_of(credential) == core::SecretKind::malformed && !core::looks_like_jwt(credential))
        given = core::parse_authorization(credential);
    Checked checked;
    begin_authorization(given, check.client, checked);
    if (method.given || path.given) {
        if (scope.given)
            MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::arguments_exclusive, "required_scope"),
                        errmsg("a scope and a request cannot both be given"),
                        errhint("Give method and path as check_request takes them, or required_scope as "
                                "verify_token does."));
        ask_for_endpoint(check, method, path);
    }
    store::conclude(checked, check);
    return http_verdict(fcinfo, checked, check, given.kind, true);
}

MIROX_FUNCTION(client_ip) {
    const core::Address peer = host_arg(fcinfo, 1);
    std::span<const core::Address> trusted;
    if (!PG_ARGISNULL(2)) trusted = pg::addresses_of(PG_GETARG_DATUM(2));
    const core::Address client = core::client_address(pg::text_arg(fcinfo, 0).text, peer, trusted);
    if (client.family == core::AddressFamily::none) PG_RETURN_NULL();
    return pg::inet_datum(client);
}

MIROX_ACT(put_endpoint) {
    store::as_act([&](Actor&) {
        store::put_endpoint(pg::text_arg(fcinfo, 0).text, pg::text_arg(fcinfo, 1).text, pg::text_arg(fcinfo, 2).text);
    });
    PG_RETURN_VOID();
}

MIROX_ACT(drop_endpoint) {
    return BoolGetDatum(
        store::as_act([&](Actor&) { return store::drop_endpoint(pg::text_arg(fcinfo, 0).text, pg::text_arg(fcinfo, 1).text); }));
}

MIROX_FUNCTION(valid_endpoint) {
    return BoolGetDatum(store::is_normal_rule(pg::text_view(PG_GETARG_DATUM(0)), pg::text_view(PG_GETARG_DATUM(1)),
                                              pg::text_view(PG_GETARG_DATUM(2))));
}

}  // namespace mirox::api

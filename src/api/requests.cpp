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
#include "utils/inval.h"
}

namespace mirox::api {

using core::AuthorizationKind;
using core::EndpointAccess;
using store::Actor;
using store::Check;
using store::Checked;
using store::Counting;
using store::Need;
using store::Reason;
using store::RequestScope;

namespace {

// The host part of an inet, whatever its netmask; no address for NULL.
core::Address host_arg(FunctionCallInfo fcinfo, int n) {
    return core::host_of(pg::address_arg(fcinfo, n));
}

// `request`: what the rules say of it; not valid where the check is of a scope alone.
Datum http_verdict(FunctionCallInfo fcinfo, Checked& checked, const Check& check, const RequestScope& request,
                   AuthorizationKind kind, bool everything) {
    const bool shown = checked.in_force || everything || checked.reason == Reason::public_endpoint;
    const bool is_public = request.access == EndpointAccess::everybody;
    pg::Row row(pg::result_type(fcinfo).tupDesc);
    fill_verdict(checked, everything, row);
    char text[core::kMaxChallengeChars];
    const core::Challenge challenge = core::challenge_for(store::outcome_of(checked.reason).status, kind);
    const std::size_t size = core::write_challenge(challenge, check.texts[shmem::kScope], text);
    if (size > 0) row.set("www_authenticate", pg::text_datum({text, size}));
    core::RateLimitAnswer answer = {};
    if (checked.limited) answer = store::rate_limit_answer(checked);
    const core::RateLimitFields& fields = answer.binding();
    row.set_if(checked.reason == Reason::rate_limited, "retry_after", Int32GetDatum(fields.retry_after));
    const bool limits = checked.limited && !is_public;
    if (limits)
        row.set("ratelimit_limit", Int32GetDatum(fields.limit))
            .set("ratelimit_remaining", Int32GetDatum(fields.remaining))
            .set("ratelimit_reset", Int32GetDatum(fields.reset));
    if (check.need == Need::scope && shown) row.set("required_scope", pg::text_datum(check.texts[shmem::kScope]));
    if (limits) {
        char field[core::kMaxRateLimitChars];
        row.set("ratelimit_policy", pg::text_datum(core::write_rate_limit_policy(answer, field)))
            .set("ratelimit", pg::text_datum(core::write_rate_limit(answer, field)));
    }
    if (request.valid && shown) {
        // A path that the database's encoding cannot hold stays NULL: with a character replaced it would be another path.
        std::string_view text;
        if (pg::try_from_utf8(request.path, text)) row.set("path", pg::text_datum(text));
        if (!request.endpoint.empty()) row.set("endpoint", pg::text_datum(pg::from_utf8_lossy(request.endpoint)));
    }
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

// Puts what method and path need into the check, and what is recorded of them.
void ask_for_endpoint(Check& check, const RequestScope& request) {
    check.need = !request.valid ? Need::invalid : request.access == EndpointAccess::scope ? Need::scope : Need::nothing;
    check.texts[shmem::kScope] = request.scope;
    check.texts[shmem::kMethod] = request.method;
    check.texts[shmem::kEndpoint] = request.endpoint;
}

// Whether the request needs no credentials, and has none.
bool is_open(AuthorizationKind kind, const RequestScope& request) {
    return kind == AuthorizationKind::missing && request.access == EndpointAccess::everybody;
}

}  // namespace

MIROX_SECRET_FUNCTION(check_request) {
    const pg::OptionalText method = pg::text_arg(fcinfo, 1), path = pg::text_arg(fcinfo, 2);
    Check check = {host_arg(fcinfo, 3), Need::nothing, Counting::full};
    check.texts[shmem::kAgent] = pg::text_arg(fcinfo, 4).text;
    const core::Authorization given = core::parse_authorization(pg::secret_arg(fcinfo, 0).text);
    Checked checked;
    RequestScope request = {};
    if (given.kind == AuthorizationKind::missing) {
        AcceptInvalidationMessages();
        request = store::scope_of_request(method.text, path.text);
        store::begin_refused(is_open(given.kind, request) ? Reason::public_endpoint : Reason::malformed, checked);
    } else {
        if (given.kind == AuthorizationKind::bearer) store::ready_endpoints();
        begin_authorization(given, check.client, checked);
        // An unauthenticated caller is not asked for a scope, but the log shows what the request tried to reach.
        if (given.kind == AuthorizationKind::bearer) request = store::scope_of_request(method.text, path.text);
    }
    if (given.kind == AuthorizationKind::bearer) ask_for_endpoint(check, request);
    store::conclude(checked, check);
    return http_verdict(fcinfo, checked, check, request, given.kind, false);
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
    RequestScope request = {};
    begin_authorization(given, check.client, checked);
    if (method.given || path.given) {
        if (scope.given)
            MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::arguments_exclusive, "required_scope"),
                        errmsg("a scope and a request cannot both be given"),
                        errhint("Give method and path as check_request takes them, or required_scope as "
                                "verify_token does."));
        request = store::scope_of_request(method.text, path.text);
        ask_for_endpoint(check, request);
        if (is_open(given.kind, request)) store::begin_refused(Reason::public_endpoint, checked);
    }
    store::conclude(checked, check);
    return http_verdict(fcinfo, checked, check, request, given.kind, true);
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
        store::put_endpoint(store::rule_of(pg::text_arg(fcinfo, 0), pg::text_arg(fcinfo, 1), pg::text_arg(fcinfo, 2), false));
    });
    PG_RETURN_VOID();
}

MIROX_ACT(put_public_endpoint) {
    store::as_act(
        [&](Actor&) { store::put_endpoint(store::rule_of(pg::text_arg(fcinfo, 0), pg::text_arg(fcinfo, 1), {}, true)); });
    PG_RETURN_VOID();
}

MIROX_ACT(put_endpoints) {
    if (PG_ARGISNULL(0))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::argument_missing, "rules"),
                    errmsg("rules must not be NULL"), errhint("Give [] to drop every rule."));
    const store::RulesChanged changed =
        store::as_act([&](Actor&) { return store::put_endpoints(PG_GETARG_DATUM(0), PG_ARGISNULL(1) ? 0 : PG_GETARG_DATUM(1)); });
    return pg::Row(pg::result_columns(fcinfo))
        .set("added", Int32GetDatum(changed.added))
        .set("changed", Int32GetDatum(changed.changed))
        .set("dropped", Int32GetDatum(changed.dropped))
        .datum();
}

MIROX_ACT(drop_endpoint) {
    return BoolGetDatum(
        store::as_act([&](Actor&) { return store::drop_endpoint(pg::text_arg(fcinfo, 0).text, pg::text_arg(fcinfo, 1).text); }));
}

MIROX_FUNCTION(valid_endpoint) {
    if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(3)) PG_RETURN_NULL();
    return BoolGetDatum(store::is_normal_rule(
        store::rule_of(pg::text_arg(fcinfo, 0), pg::text_arg(fcinfo, 1), pg::text_arg(fcinfo, 2), PG_GETARG_BOOL(3))));
}

}  // namespace mirox::api

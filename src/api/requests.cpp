// SQL-callable functions on whole requests: the check of one, the endpoint rules that say what it needs, and the client's
// address behind proxies.
//
// Locks: a change of a rule takes an object lock on its name, so that two of them wait for each other instead of meeting in
// the unique index.
#include "api/verdict.hpp"
#include "core/authorization.hpp"
#include "core/endpoint.hpp"
#include "core/jwt.hpp"
#include "pg/catalog.hpp"
#include "pg/entry.hpp"
#include "pg/network.hpp"
#include "pg/query.hpp"
#include "pg/values.hpp"
#include "store/actor.hpp"
#include "store/acts.hpp"
#include "store/endpoints.hpp"
#include "store/secrets.hpp"

extern "C" {
#include "common/hashfn.h"
#include "storage/lmgr.h"
#include "utils/inet.h"
}

namespace mirox::api {

using core::AuthorizationKind;
using pg::Type;
using store::Actor;
using store::Check;
using store::Checked;
using store::Counting;
using store::Need;
using store::Reason;

namespace {

// The address of an inet; NULL, and anything but a host, as it is: the host part counts.
core::Address host_arg(FunctionCallInfo fcinfo, int n) {
    return core::host_of(pg::address_arg(fcinfo, n));
}

Datum http_verdict(FunctionCallInfo fcinfo, Checked& checked, const Check& check, AuthorizationKind kind,
                   bool everything) {
    pg::Row row(pg::result_type(fcinfo).tupDesc);
    fill_verdict(checked, everything, row);
    char text[core::kMaxChallengeChars];
    const core::Challenge challenge = core::challenge_for(store::outcome_of(checked.reason).status, kind);
    const std::size_t size = core::write_challenge(challenge, check.scope, text);
    if (size > 0) row.set("www_authenticate", pg::text_datum({text, size}));
    if (checked.limited) {
        const core::RateLimitFields fields = core::rate_limit_fields(checked.decision, checked.limit);
        row.set_if(checked.reason == Reason::rate_limited, "retry_after", Int32GetDatum(fields.retry_after))
            .set("ratelimit_limit", Int32GetDatum(fields.limit))
            .set("ratelimit_remaining", Int32GetDatum(fields.remaining))
            .set("ratelimit_reset", Int32GetDatum(fields.reset));
    }
    if (check.need == Need::scope && (checked.authenticated || everything))
        row.set("required_scope", pg::text_datum(check.scope));
    const Datum result = row.datum();
    store::end_check(checked);
    return result;
}

// Who sends the request: what the field holds is taken as a secret, or refused for its form.
void begin_authorization(const core::Authorization& given, const core::Address& client, Checked& out) {
    switch (given.kind) {
        case AuthorizationKind::bearer:
            store::begin_secret(given.credential, store::Holders::both, client, out);
            return;
        case AuthorizationKind::malformed:
            store::begin_refused(Reason::invalid_request, out);
            return;
        default:
            store::begin_refused(Reason::malformed, out);
    }
}

// What method and path need, into the check.
void ask_for_endpoint(Check& check, const pg::OptionalText& method, const pg::OptionalText& path) {
    const store::RequestScope needed = store::scope_of_request(method.text, path.text);
    check.need = needed.valid ? Need::scope : Need::invalid;
    check.scope = needed.scope;
}

// ---- rules -----------------------------------------------------------------------------------------------------------

pg::Query select_rule = {
    "SELECT scope OPERATOR(pg_catalog.=) $3 FROM mirox_internal.endpoint "
    "WHERE method OPERATOR(pg_catalog.=) $1 AND path OPERATOR(pg_catalog.=) $2",
    {Type::text, Type::text, Type::text}};
pg::Query insert_rule = {"INSERT INTO mirox_internal.endpoint (method, path, scope) VALUES ($1, $2, $3)",
                         {Type::text, Type::text, Type::text}};
pg::Query update_rule = {
    "UPDATE mirox_internal.endpoint SET scope = $3 "
    "WHERE method OPERATOR(pg_catalog.=) $1 AND path OPERATOR(pg_catalog.=) $2",
    {Type::text, Type::text, Type::text}};
pg::Query delete_rule = {
    "DELETE FROM mirox_internal.endpoint "
    "WHERE method OPERATOR(pg_catalog.=) $1 AND path OPERATOR(pg_catalog.=) $2",
    {Type::text, Type::text}};

// Held until the transaction's end.
void lock_rule(const core::EndpointText& rule) {
    const auto hash = [](std::string_view text) {
        return hash_bytes(reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
    };
    LockDatabaseObject(pg::catalog().endpoint, hash_combine(hash(rule.method()), hash(rule.path())), 0,
                       ExclusiveLock);
}

}  // namespace

MIROX_SECRET_FUNCTION(check_request) {
    const pg::OptionalText method = pg::text_arg(fcinfo, 1), path = pg::text_arg(fcinfo, 2);
    Check check = {host_arg(fcinfo, 3), pg::text_arg(fcinfo, 4).text, {}, Need::nothing, Counting::full};
    const core::Authorization given = core::parse_authorization(pg::secret_arg(fcinfo, 0).text);
    Checked checked;
    if (given.kind == AuthorizationKind::bearer) store::ready_endpoints();
    begin_authorization(given, check.client, checked);
    // Of whom we do not know nothing more is asked, but that the log says what was tried.
    if (given.kind == AuthorizationKind::bearer) ask_for_endpoint(check, method, path);
    store::conclude(checked, check);
    return http_verdict(fcinfo, checked, check, given.kind, false);
}

MIROX_SECRET_ACT(explain_check) {
    const pg::OptionalText method = pg::text_arg(fcinfo, 1), path = pg::text_arg(fcinfo, 2);
    const pg::OptionalText scope = pg::text_arg(fcinfo, 5);
    Check check = {host_arg(fcinfo, 3), pg::text_arg(fcinfo, 4).text, scope.text,
                   scope.given ? Need::scope : Need::nothing, Counting::look};
    const std::string_view credential = pg::secret_arg(fcinfo, 0).text;
    // A secret alone does for the header that would carry it.
    core::Authorization given = {AuthorizationKind::bearer, credential};
    if (store::kind_of(credential) == core::SecretKind::malformed && !core::looks_like_jwt(credential))
        given = core::parse_authorization(credential);
    Checked checked;
    begin_authorization(given, check.client, checked);
    if (method.given || path.given) {
        if (scope.given)
            MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("a scope and a request cannot both be given"),
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
    const std::string_view scope = pg::text_arg(fcinfo, 2).text;
    core::EndpointText rule;
    store::normalise_rule(pg::text_arg(fcinfo, 0).text, pg::text_arg(fcinfo, 1).text, scope, rule);
    Actor actor;
    store::enter(actor);
    lock_rule(rule);
    pg::Args args;
    args.text(pg::from_utf8(rule.method())).text(pg::from_utf8(rule.path())).text(scope);
    if (pg::run(select_rule, args) == 0)
        pg::run(insert_rule, args);
    else if (!DatumGetBool(pg::result_value(0, 1)))
        pg::run(update_rule, args);
    store::leave(actor);
    PG_RETURN_VOID();
}

MIROX_ACT(drop_endpoint) {
    core::EndpointText rule;
    store::normalise_rule(pg::text_arg(fcinfo, 0).text, pg::text_arg(fcinfo, 1).text, "*", rule);
    Actor actor;
    store::enter(actor);
    lock_rule(rule);
    pg::Args args;
    args.text(pg::from_utf8(rule.method())).text(pg::from_utf8(rule.path()));
    const std::uint64_t dropped = pg::run(delete_rule, args);
    store::leave(actor);
    return BoolGetDatum(dropped > 0);
}

MIROX_FUNCTION(valid_endpoint) {
    return BoolGetDatum(store::is_normal_rule(pg::text_view(PG_GETARG_DATUM(0)),
                                              pg::text_view(PG_GETARG_DATUM(1)),
                                              pg::text_view(PG_GETARG_DATUM(2))));
}

}  // namespace mirox::api

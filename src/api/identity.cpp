// SQL-callable functions that set the transaction's identity (for PostgREST too) and read it.
#include "store/identity.hpp"
#include "core/authorization.hpp"
#include "core/row_scope.hpp"
#include "pg/entry.hpp"
#include "pg/json.hpp"
#include "pg/network.hpp"
#include "pg/values.hpp"
#include "store/check.hpp"
#include "store/endpoints.hpp"

extern "C" {
#include "lib/stringinfo.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/json.h"
#include "utils/jsonb.h"
}

using namespace mirox;
using store::Check;
using store::Checked;
using store::Counting;

namespace {

// The outcome of authentication: all that a caller may learn.
struct Answer {
    int status;  // 200, 401, 403, 429, 503
    core::Challenge challenge;
    bool limited;
    core::RateLimitAnswer limits;
};

// Sets the identity if the status is 200. `authorization` is the header field's value, empty if there is none.
Answer authenticate(std::string_view authorization, const Check& check) {
    store::require_no_identity();
    const core::Authorization parsed = core::parse_authorization(authorization);
    Checked checked;
    if (parsed.kind == core::AuthorizationKind::bearer)
        store::begin_secret(parsed.credential, store::Accept::both, check.client, checked);
    else
        store::begin_refused(store::Reason::malformed, checked);
    store::conclude(checked, check);
    Answer answer = {};
    answer.status = store::outcome_of(checked.reason).status;
    answer.challenge = core::challenge_for(answer.status, parsed.kind);
    answer.limited = checked.limited;
    if (checked.limited) answer.limits = store::rate_limit_answer(checked);
    if (answer.status == 200) store::set_identity(checked, check);
    store::end_check(checked);
    return answer;
}

// The name of a status, and what to do about it. All 401s share one text, so that a client cannot tell an unknown secret from a
// revoked or expired one.
struct Refusal {
    int status, sqlstate;
    int postgrest;  // PTnnn: PostgREST answers with the status nnn
    ErrorWord word;
    const char *message, *hint;
};
constexpr Refusal kRefusals[] = {
    {403, ERRCODE_INSUFFICIENT_PRIVILEGE, MAKE_SQLSTATE('P', 'T', '4', '0', '3'), ErrorWord::permission_missing, "not permitted",
     "Use a token that has the permission."},
    {429, ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, MAKE_SQLSTATE('P', 'T', '4', '2', '9'), ErrorWord::rate_limited,
     "rate limit exceeded", "Wait that long, then retry."},
    {503, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, MAKE_SQLSTATE('P', 'T', '5', '0', '3'), ErrorWord::keys_unavailable,
     "no file of JWT keys can be used",
     "Repair the file of mirox_tokens.jwt_key_file: the server log tells what is wrong with it."},
    {401, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, MAKE_SQLSTATE('P', 'T', '4', '0', '1'), ErrorWord::credentials_invalid,
     "no valid credentials", "Send a token or session in force as \"Authorization: Bearer SECRET\"."},
};

const Refusal& refusal_of(int status) {
    for (const Refusal& refusal : kRefusals)
        if (refusal.status == status) return refusal;
    return kRefusals[3];
}

// ---- PostgREST -------------------------------------------------------------------------------------------------------

constexpr const char* kRequestHeaders = "request.headers";
constexpr const char* kResponseHeaders = "response.headers";
constexpr const char* kRequestMethod = "request.method";
constexpr const char* kRequestPath = "request.path";

std::string_view setting(const char* name) {
    const char* value = GetConfigOption(name, true, false);
    return value == nullptr ? std::string_view{} : std::string_view(value);
}

// Notes method and endpoint of the request for the record. PostgREST's own grants and policies decide what the request may reach,
// so no scope is asked for.
void record_request(Check& check) {
    AcceptInvalidationMessages();
    const store::RequestScope request = store::scope_of_request(setting(kRequestMethod), setting(kRequestPath));
    check.texts[shmem::kMethod] = request.method;
    check.texts[shmem::kEndpoint] = request.endpoint;
}

void add_header(StringInfo json, const char* name, const char* value) {
    if (json->len > 1) appendStringInfoString(json, ", ");
    appendStringInfoString(json, "{");
    escape_json(json, name);
    appendStringInfoString(json, ": ");
    escape_json(json, value);
    appendStringInfoString(json, "}");
}

// The form that PostgREST takes: a list of objects, each with one header.
const char* headers_of(const Answer& answer) {
    StringInfoData json;
    initStringInfo(&json);
    appendStringInfoChar(&json, '[');
    char challenge[core::kMaxChallengeChars];
    const std::size_t size = core::write_challenge(answer.challenge, {}, challenge);
    if (size != 0) add_header(&json, "WWW-Authenticate", pnstrdup(challenge, size));
    if (answer.limited) {
        char text[core::kMaxRateLimitChars];
        std::string_view value = core::write_rate_limit_policy(answer.limits, text);
        add_header(&json, "RateLimit-Policy", pnstrdup(value.data(), value.size()));
        value = core::write_rate_limit(answer.limits, text);
        add_header(&json, "RateLimit", pnstrdup(value.data(), value.size()));
        add_header(&json, "RateLimit-Limit", psprintf("%d", answer.limits.binding().limit));
        add_header(&json, "RateLimit-Remaining", psprintf("%d", answer.limits.binding().remaining));
        add_header(&json, "RateLimit-Reset", psprintf("%d", answer.limits.binding().reset));
    }
    if (answer.status == 429) add_header(&json, "Retry-After", psprintf("%d", answer.limits.binding().retry_after));
    appendStringInfoChar(&json, ']');
    return json.data;
}

// Adds our headers to those that other functions of the request have set. They last until the end of the transaction.
void set_response_headers(const char* headers) {
    const char* before = GetConfigOption(kResponseHeaders, true, false);
    const char* value = headers;
    // If the setting holds a valid list, our headers are appended. Anything else is replaced.
    if (before != nullptr && pg::json_list_size(before) > 0)
        value = psprintf("%.*s, %s", static_cast<int>(strrchr(before, ']') - before), before, headers + 1);
    (void)set_config_option(kResponseHeaders, value, superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true,
                            0, false);
}

}  // namespace

MIROX_SECRET_FUNCTION(authenticate) {
    const bool counted = PG_ARGISNULL(3) || PG_GETARG_BOOL(3);
    Check check = {pg::address_arg(fcinfo, 1), store::Need::nothing, counted ? Counting::full : Counting::none};
    check.texts[shmem::kAgent] = pg::text_arg(fcinfo, 2).text;
    const Answer answer = authenticate(pg::secret_arg(fcinfo, 0).text, check);
    if (answer.status == 200) PG_RETURN_VOID();
    const Refusal& refusal = refusal_of(answer.status);
    MIROX_RAISE(refusal.sqlstate, errword(refusal.word), errmsg_internal("%s", refusal.message),
                answer.status == 429 ? errdetail("Retry after %d s.", answer.limits.binding().retry_after) : 0,
                errhint("%s", refusal.hint));
}

MIROX_SECRET_FUNCTION(postgrest_pre_request) {
    // PostgREST itself checks `Authorization: Bearer` as a JWT with its own key before it calls us. A credential that is not such
    // a JWT must come in another field, to which the proxy in front of PostgREST moves it.
    enum { kMoved, kAuthorization, kForwarded, kAgent };
    pg::JsonField headers[] = {
        {"x-mirox-authorization", {}, 0}, {"authorization", {}, 0}, {"x-forwarded-for", {}, 0}, {"user-agent", {}, 0}};
    const char* request = GetConfigOption(kRequestHeaders, true, false);
    const bool readable = request != nullptr && pg::read_json_fields(request, headers);
    // Two fields count as one field that holds both, which is not a credential.
    const bool one = readable && headers[kMoved].found + headers[kAuthorization].found <= 1;
    const std::string_view credential = pg::wiped_copy(headers[headers[kMoved].found > 0 ? kMoved : kAuthorization].value);
    pg::wipe_json_value(headers[kMoved]);
    pg::wipe_json_value(headers[kAuthorization]);
    // PostgREST does not tell us the client's address. Only the proxy in front of PostgREST knows it.
    Check check = {readable ? core::nearest_hop(headers[kForwarded].value) : core::Address{}, store::Need::nothing,
                   Counting::full};
    if (readable) check.texts[shmem::kAgent] = headers[kAgent].value;
    record_request(check);
    const Answer answer = authenticate(one ? credential : std::string_view{}, check);
    const char* response = headers_of(answer);
    if (answer.status == 200) {
        set_response_headers(response);
        PG_RETURN_VOID();
    }
    // PostgREST drops response.headers with the transaction, so DETAIL carries the header fields.
    const Refusal& refusal = refusal_of(answer.status);
    MIROX_RAISE(refusal.postgrest, errword(refusal.word), errmsg_internal("%s", refusal.message),
                errdetail_internal("%s", response), errhint("%s", refusal.hint));
}

// ---- readers: they use backend memory only and never raise an error ------------------------------------------------------

MIROX_FUNCTION(current_user_id) {
    const store::Identity* identity = store::current_identity();
    if (identity == nullptr) PG_RETURN_NULL();
    return pg::text_datum(pg::text_view(identity->user_id));
}

MIROX_FUNCTION(current_token_id) {
    const store::Identity* identity = store::current_identity();
    if (identity == nullptr || identity->token_id == 0) PG_RETURN_NULL();
    return Int64GetDatum(identity->token_id);
}

MIROX_FUNCTION(granted) {
    const store::Identity* identity = store::current_identity();
    if (identity == nullptr || PG_ARGISNULL(0)) return pg::scopes_datum({});
    return store::granted(*identity, pg::text_view(PG_GETARG_DATUM(0)));
}

MIROX_FUNCTION(allows) {
    const store::Identity* identity = store::current_identity();
    if (identity == nullptr || PG_ARGISNULL(0)) return BoolGetDatum(false);
    return BoolGetDatum(store::allows(*identity, pg::text_view(PG_GETARG_DATUM(0))));
}

// Secrets and their digests (see secrets.hpp). Takes no locks; reads no table.
#include "store/secrets.hpp"

#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "store/keys.hpp"

extern "C" {
#include "access/xact.h"
#include "datatype/timestamp.h"
}

namespace mirox::store {
namespace {

// The newest secret that is not wiped yet. A trigger of the platform may create one while another exists.
constinit NewSecret* newest = nullptr;

NewSecret& begin_secret_text() {
    auto* const out = static_cast<NewSecret*>(MemoryContextAllocZero(CurTransactionContext, sizeof(NewSecret)));
    out->previous = newest;
    out->nest_level = GetCurrentTransactionNestLevel();
    out->scheme = 's';
    newest = out;
    return *out;
}

void draw(std::span<char, core::kSecretRandomChars> random) {
    if (!core::random_base62(random))
        MIROX_RAISE(ERRCODE_INTERNAL_ERROR, errword(ErrorWord::defect), errmsg("could not get random bytes for a secret"),
                    errhint("Check that the system's random number generator works, then retry."));
}

}  // namespace

void forget(NewSecret& secret) {
    NewSecret** at = &newest;
    while (*at != nullptr && *at != &secret) at = &(*at)->previous;
    if (*at != nullptr) *at = secret.previous;
    core::wipe(&secret, sizeof(secret));
    pfree(&secret);
}

void wipe_secrets(int nest_level) {
    while (newest != nullptr && newest->nest_level >= nest_level) {
        NewSecret* const dead = newest;
        newest = dead->previous;
        core::wipe(dead, sizeof(*dead));
    }
}

core::Digest digest_of(std::string_view secret) {
    core::Digest digest;
    if (!core::sha256(secret, digest)) pg::raise_out_of_memory("hashing a secret");
    return digest;
}

core::SecretKind kind_of(std::string_view secret) {
    return core::classify_secret(secret, pg::settings().prefixes);
}

NewSecret& make_secret(core::SecretKind kind) {
    NewSecret& out = begin_secret_text();
    char random[core::kSecretRandomChars];
    draw(random);
    out.size = core::format_secret(kind, pg::settings().prefixes, random,
                                   std::span<char, core::kMaxSecretChars>(out.text, core::kMaxSecretChars));
    core::wipe(random, sizeof(random));
    out.hint_size = core::redact_secret(out.view(), out.hint);
    out.digest = digest_of(out.view());
    return out;
}

NewSecret& make_jwt(const JwtRequest& request) {
    // Everything that can raise an ERROR comes before the token is written.
    const core::JwtKey& key = jwt_signing_key();
    const auto unix_seconds = [](TimestampTz instant) {
        const std::int64_t before_2000 = std::int64_t{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * SECS_PER_DAY;
        return instant / USECS_PER_SEC - (instant % USECS_PER_SEC < 0 ? 1 : 0) + before_2000;
    };
    core::JwtClaims claims;
    claims.issuer = pg::settings().jwt_issuer;
    claims.subject = pg::to_utf8(request.user_id);
    claims.issued_at = unix_seconds(request.issued_at);
    claims.expires_at = unix_seconds(request.expires_at);
    claims.group = pg::to_utf8(request.group);
    NewSecret& out = begin_secret_text();
    // A random jti makes the JWT unguessable: not even the key is enough to forge one.
    char id[core::kSecretRandomChars];
    draw(id);
    claims.token_id = {id, sizeof(id)};
    const bool written = core::write_jwt(key, claims, out.text, out.size);
    core::wipe(id, sizeof(id));
    if (!written)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::user_id_invalid, "format"),
                    errmsg("the account's user id cannot stand in a JWT"),
                    errdetail("A JWT holds UTF-8 text and has at most %d characters.", static_cast<int>(core::kMaxJwtChars)),
                    errhint("Issue the token as 'opaque'."));
    out.digest = digest_of(out.view());
    static_assert(sizeof(out.hint) >= core::kMaxJwtHintBytes);
    out.hint_size = core::redact_jwt(out.view(), std::span<char, core::kMaxJwtHintBytes>(out.hint, core::kMaxJwtHintBytes));
    return out;
}

bool looks_like_token(std::string_view secret) {
    return kind_of(secret) == core::SecretKind::token || core::looks_like_jwt(secret);
}

}  // namespace mirox::store

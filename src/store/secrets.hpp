// From a secret to its digest, and making new ones. The plaintext stays in the caller's struct, which wipes it; no secret
// enters a memory context, a table or an error.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/crypto.hpp"
#include "core/jwt.hpp"
#include "core/secret.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::store {

// A new secret, its digest and its redacted form. wipe() before leaving.
struct NewSecret {
    char text[core::kMaxJwtChars];
    std::size_t size;
    char hint[core::kMaxHintBytes];
    std::size_t hint_size;
    core::Digest digest;
    std::int16_t key_id;
    char scheme;

    std::string_view view() const { return {text, size}; }
    void wipe() { core::wipe(text, sizeof(text)); }
};

NewSecret make_secret(core::SecretKind kind);

// A token in the form of a JWT, signed with the first key (keys.hpp).
struct JwtRequest {
    std::string_view user_id;
    std::string_view group;
    TimestampTz issued_at;
    TimestampTz expires_at;
};
NewSecret make_jwt(const JwtRequest& request);

// SHA-256 of the bytes; ERROR 53200-like when OpenSSL fails (never a digest of nothing).
core::Digest digest_of(std::string_view secret);

core::SecretKind kind_of(std::string_view secret);

// True for what can be a token's secret by its looks; a JWT's signature is not judged.
bool looks_like_token(std::string_view secret);

}  // namespace mirox::store

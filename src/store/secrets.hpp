// Computes digests of secrets, and creates secrets. The plaintext is in one place only. It is wiped once it is shown, or when the
// transaction or savepoint that created it aborts. It enters no table and no error.
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

// A new secret, its digest and its redacted form. It is in the (sub)transaction's memory and not on the stack, because an ERROR
// leaves the stack unwiped.
struct NewSecret {
    NewSecret* previous;  // the one created before, if it is not wiped yet
    int nest_level;
    std::size_t size;
    std::size_t hint_size;
    char hint[core::kMaxHintBytes];
    core::Digest digest;
    std::int16_t key_id;
    char scheme;
    char text[core::kMaxJwtChars];

    std::string_view view() const { return {text, size}; }
};

NewSecret& make_secret(core::SecretKind kind);

// Wipes and frees it.
void forget(NewSecret& secret);

// Wipes the secrets created at this nesting level or a deeper one (see actor.cpp).
void wipe_secrets(int nest_level);

// For a token in the form of a JWT, signed with the first key (keys.hpp).
struct JwtRequest {
    std::string_view user_id;
    std::string_view group;
    TimestampTz issued_at;
    TimestampTz expires_at;
};
NewSecret& make_jwt(const JwtRequest& request);

// SHA-256 of the bytes. Raises an ERROR if OpenSSL fails, so it never returns a wrong digest.
core::Digest digest_of(std::string_view secret);

core::SecretKind kind_of(std::string_view secret);

// True if the text has the form of a token's secret. The signature of a JWT is not verified.
bool looks_like_token(std::string_view secret);

}  // namespace mirox::store

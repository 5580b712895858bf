// From a secret to its digest, and making new ones. The plaintext stands in one place, which is wiped once it is shown, or by the
// abort of the transaction or savepoint that it was made in; it enters no table and no error.
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

// A new secret, its digest and its redacted form. In the (sub)transaction's memory, not on the stack, since an ERROR leaves the
// stack as it is.
struct NewSecret {
    NewSecret* previous;  // the one made before, if that is not wiped yet
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

// Wipes it and frees it.
void forget(NewSecret& secret);

// Wipes what was made at this level of nesting or above (see actor.cpp).
void wipe_secrets(int nest_level);

// A token in the form of a JWT, signed with the first key (keys.hpp).
struct JwtRequest {
    std::string_view user_id;
    std::string_view group;
    TimestampTz issued_at;
    TimestampTz expires_at;
};
NewSecret& make_jwt(const JwtRequest& request);

// SHA-256 of the bytes; ERROR 53200-like when OpenSSL fails (never a digest of nothing).
core::Digest digest_of(std::string_view secret);

core::SecretKind kind_of(std::string_view secret);

// True for what can be a token's secret by its looks; a JWT's signature is not judged.
bool looks_like_token(std::string_view secret);

}  // namespace mirox::store

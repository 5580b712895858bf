// The `Authorization` request field and the `WWW-Authenticate` answer of bearer tokens.
//
// What each input gives (RFC 6750 sections 2.1 and 3, RFC 9110 sections 5.5, 5.6.2, 11.4 and 11.6.2):
//   nothing, or only SP and HTAB        missing        401, with a challenge that names no error (6750, 3.1)
//   another scheme (`Basic …`)          other_scheme   401, as if nothing had been sent; a bare secret reads as a scheme's name
//   `Bearer`, SP, a b64token            bearer         the credential is judged next; a bad one gives 401
//   HTAB between scheme and credential  malformed      400, invalid_request: the grammar has 1*SP (9110, 11.4)
//   `Bearer` alone                      malformed      400 (6750, 3.1)
//   anything after the token            malformed      400: the field holds one credential (9110, 11.6.2). So too with a space, a
//                                                      comma, a second credential (two fields joined) or a bad byte
//   a control byte other than HTAB      malformed      400, whatever the scheme; also a scheme that is no token (5.5, 5.6.2)
// SP and HTAB around the whole value are dropped: they are no part of a field's value (9110, 5.5). Size changes nothing of this:
// a value of 64 KiB is read in one pass and nothing is copied. A well-formed credential of that size is no token of this server:
// 401.
//
// Pure: may include the C++ library only. Nothing here allocates, throws or logs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/scopes.hpp"

namespace mirox::core {

enum class AuthorizationKind : std::uint8_t { missing, other_scheme, malformed, bearer };

struct Authorization {
    AuthorizationKind kind = AuthorizationKind::missing;
    std::string_view credential;  // of bearer only; points into the value
};

// An absent field is an empty value.
Authorization parse_authorization(std::string_view value) noexcept;

// What the client is told. Every token that is refused gets the same word: the answer does not tell an unknown token from a
// revoked, rotated or expired one, or from one whose owner is locked.
enum class Challenge : std::uint8_t {
    none,                // no field at all (200, 429)
    credentials_needed,  // 401, none were sent
    invalid_request,     // 400
    invalid_token,       // 401
    insufficient_scope,  // 403
};

// The challenge that goes with a status. The exact reason is no argument, so it cannot leak.
Challenge challenge_for(int status, AuthorizationKind kind) noexcept;

inline constexpr std::string_view kRealm = "mirox";
inline constexpr std::size_t kMaxChallengeChars = 96 + kMaxScopeChars;

// Writes the value of `WWW-Authenticate` and returns its length, 0 for none. Only insufficient_scope uses `scope`. It is left out
// when it is empty, longer than a scope can be, or holds a byte that RFC 6750 does not allow in a scope, so that nothing can be
// injected into the field.
std::size_t write_challenge(Challenge challenge, std::string_view scope, std::span<char, kMaxChallengeChars> out) noexcept;

}  // namespace mirox::core

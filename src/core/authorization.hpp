// The `Authorization` request field and the `WWW-Authenticate` answer of bearer tokens.
//
// What each input gives (RFC 6750 section 2.1 and 3, RFC 9110 sections 5.5, 11.4 and 11.6.2, RFC 7235 before it):
//   nothing, or only SP and HTAB                    missing        401, a challenge without an error
//   (6750, 3.1) another scheme (`Basic …`, `Negotiate`), also a
//     bare secret, which reads as a scheme's name   other_scheme   401, as if nothing had been sent
//   `Bearer`, one or more SP, a b64token            bearer         the credential is then judged; 401 when no
//   good SP and HTAB before and after the whole value    dropped: they are no part of a field's value
//   (9110, 5.5) HTAB between scheme and credential              malformed      the grammar has 1*SP
//   (9110, 11.4) `Bearer` alone                                  malformed      400, invalid_request
//   (6750, 3.1) anything after the token, a space or a comma and
//     a second credential (two fields joined by a
//     proxy), bytes outside the b64token alphabet   malformed      the field holds one credential
//     (9110, 11.6.2)
//   NUL, CR, LF, any control byte but HTAB, whatever
//     the scheme; a scheme that is no token         malformed      9110, 5.5 and 5.6.2
//   64 KiB                                          as above: size is no syntax. One pass, nothing copied; a
//   well
//                                                   formed credential of that size is no token of ours: 401
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

// What the client is told. There is one word for every token that is no good: whether it is unknown, revoked,
// rotated, expired or its owner locked cannot be said with these.
enum class Challenge : std::uint8_t {
    none,                // no field at all (200, 429)
    credentials_needed,  // 401, none were sent
    invalid_request,     // 400
    invalid_token,       // 401
    insufficient_scope,  // 403
};

// The challenge that goes with a status. The exact reason has no way in.
Challenge challenge_for(int status, AuthorizationKind kind) noexcept;

inline constexpr std::string_view kRealm = "mirox";
inline constexpr std::size_t kMaxChallengeChars = 96 + kMaxScopeChars;

// Writes the value of `WWW-Authenticate` and returns its length, 0 for none. `scope` is used by
// insufficient_scope alone, and left out when it is empty, longer than a scope can be, or holds a byte that
// RFC 6750 does not allow in a scope (so that nothing can be injected into the field).
std::size_t write_challenge(Challenge challenge, std::string_view scope, std::span<char, kMaxChallengeChars> out) noexcept;

}  // namespace mirox::core

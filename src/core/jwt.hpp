// Tokens in the form of a JWT (RFC 7519): a JWS in compact form (RFC 7515) with HS256 (RFC 7518, 3.2) and nothing else.
//
//   header  {"alg":"HS256","typ":"JWT","kid":…}
//   claims  {"iss":…,"sub":…,"jti":…,"iat":…,"exp":…,"grp":…}
//
// A token is one of this server when its header is, byte for byte, the one that write_jwt() writes for one of its keys, and the
// signature is that of the key. So nothing is parsed: no header can choose an algorithm, name a key of its own or add a field.
// The claims are not read either: they are copies for other readers, and the stored row decides.
//
// Pure: may include the C++ library, OpenSSL and its own room only. Nothing here allocates, throws or logs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mirox::core {

inline constexpr std::size_t kMaxJwtChars = 8192;
inline constexpr std::size_t kMinJwtKeyBytes = 32;  // RFC 7518, 3.2: no shorter than the hash
inline constexpr std::size_t kMaxJwtKeyIdChars = 64;

struct JwtKey {
    std::string_view id;                  // is_jwt_key_id()
    std::span<const std::uint8_t> bytes;  // kMinJwtKeyBytes or more
};

struct JwtClaims {
    std::string_view issuer;      // iss
    std::string_view subject;     // sub: the account
    std::string_view token_id;    // jti
    std::int64_t issued_at = 0;   // iat, seconds since 1970
    std::int64_t expires_at = 0;  // exp
    std::string_view group;       // grp
};

// True for an id that a key may have: 1 to kMaxJwtKeyIdChars of [A-Za-z0-9._-].
bool is_jwt_key_id(std::string_view id) noexcept;

// Writes a signed token; `size` is its length. False when a string is not UTF-8, the key id is invalid, or the token would not
// fit; the content of `out` is undefined then.
bool write_jwt(const JwtKey& key, const JwtClaims& claims, std::span<char, kMaxJwtChars> out, std::size_t& size) noexcept;

// Whether one of the keys signed the token. Compares the signature in constant time.
bool verify_jwt(std::string_view token, std::span<const JwtKey> keys) noexcept;

// A cheap test: `eyJ`, three parts in the base64url alphabet, the third as long as a signature, at most kMaxJwtChars. A text that
// fails it would fail verify_jwt() too. A text that passes may still be no valid token.
bool looks_like_jwt(std::string_view text) noexcept;

// The redacted form: `eyJ…` and the last four characters. All JWTs begin alike, so the end lets the owner tell two apart.
// looks_like_jwt() must hold for `jwt`.
inline constexpr std::size_t kMaxJwtHintBytes = 16;
std::size_t redact_jwt(std::string_view jwt, std::span<char, kMaxJwtHintBytes> out) noexcept;

}  // namespace mirox::core

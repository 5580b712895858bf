// Tokens in the form of a JWT (RFC 7519): a JWS in compact form (RFC 7515) with HS256 (RFC 7518, 3.2) and nothing else.
//
//   header  {"alg":"HS256","typ":"JWT","kid":…}
//   claims  {"iss":…,"sub":…,"jti":…,"iat":…,"exp":…,"grp":…}
//
// A token that is shown to us is one of ours when its header is, byte for byte, the one that we write for a key that we hold, and
// the signature is that key's. So there is nothing to parse: no header can choose an algorithm, name a key of its own or say
// anything that we do not. The claims are not read: they are copies for others, and the stored row decides.
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

// Writes a signed token; `size` is its length. False when a string is no UTF-8, the key's id is no good, or the token would not
// fit; what `out` then holds means nothing.
bool write_jwt(const JwtKey& key, const JwtClaims& claims, std::span<char, kMaxJwtChars> out, std::size_t& size) noexcept;

// Whether a token is one of ours; compares the signature in constant time.
bool verify_jwt(std::string_view token, std::span<const JwtKey> keys) noexcept;

// A quick look: `eyJ`, three parts in the alphabet of base64url, the third one as long as a signature, not too long. What fails
// here would fail verify_jwt(); what passes may still be anything.
bool looks_like_jwt(std::string_view text) noexcept;

// The redacted form, `eyJ…` and the last four characters: all begin alike, and what tells two of them apart to their owner is the
// end. `jwt` must look like one.
inline constexpr std::size_t kMaxJwtHintBytes = 16;
std::size_t redact_jwt(std::string_view jwt, std::span<char, kMaxJwtHintBytes> out) noexcept;

}  // namespace mirox::core

// Tokens in the form of a JWT (RFC 7519): a JWS in compact form (RFC 7515) with HS256 (RFC 7518, 3.2) and
// nothing else.
//
//   header  {"alg":"HS256","typ":"JWT","kid":…}
//   claims  {"iss":…,"sub":…,"jti":…,"iat":…,"exp":…,"grp":…}
//
// verify_jwt() trusts nothing before the signature: the size, three parts of base64url without padding and
// with no stray bits, a header with exactly that algorithm and no member that we do not write (`crit`, `jwk`,
// `jku`, `x5c` and the like are refused, not skipped), a key id that we hold; then the signature, in constant
// time; only then is the payload decoded. Every failure has the one outcome, false. The key's algorithm is
// fixed: no header can choose it. Time is not judged here (`exp` is a copy; the stored row and its clock
// decide), nor the issuer.
//
// The reader of JSON takes flat objects of strings, integers, true, false and null; it refuses a member that
// stands twice, nesting, fractions, escapes of NUL and lone surrogates, text that is no UTF-8, and anything
// after the object. Claims that we do not know are skipped.
//
// Pure: may include the C++ library and its own room only. Nothing here allocates, throws or logs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mirox::core {

inline constexpr std::size_t kMaxJwtChars = 8192;
inline constexpr std::size_t kMinJwtKeyBytes = 32;  // RFC 7518, 3.2: no shorter than the hash
inline constexpr std::size_t kMaxJwtKeyIdChars = 64;
inline constexpr std::size_t kJwtWorkBytes = kMaxJwtChars / 4 * 3;

struct JwtKey {
    std::string_view id;  // 1 to kMaxJwtKeyIdChars of [A-Za-z0-9._-]
    std::span<const std::uint8_t> bytes;
};

// Strings are UTF-8 without NUL.
struct JwtClaims {
    std::string_view issuer;      // iss
    std::string_view subject;     // sub: the account
    std::string_view token_id;    // jti
    std::int64_t issued_at = 0;   // iat, seconds since 1970
    std::int64_t expires_at = 0;  // exp
    std::string_view group;       // grp
};

// True for an id that a key may have.
bool is_jwt_key_id(std::string_view id) noexcept;

// Writes a signed token; `size` is its length. False when a string or the key is no good, or the token would
// be longer than kMaxJwtChars or `out`; what `out` then holds means nothing.
bool write_jwt(const JwtKey& key, const JwtClaims& claims, std::span<char> out, std::size_t& size) noexcept;

// Checks a token against the keys; the claims point into `work`. See above.
bool verify_jwt(std::string_view token, std::span<const JwtKey> keys, std::span<char, kJwtWorkBytes> work,
                JwtClaims& out) noexcept;

// A quick look: `eyJ`, three parts in the alphabet, the third one as long as this signature, not too long.
// What fails here would fail verify_jwt(); what passes may still be anything.
bool looks_like_jwt(std::string_view text) noexcept;

// The redacted form, `eyJ…` and the last four characters: all begin alike, and what tells two of them apart to their owner is the
// end. `jwt` must look like one.
inline constexpr std::size_t kMaxJwtHintBytes = 16;
std::size_t redact_jwt(std::string_view jwt, std::span<char, kMaxJwtHintBytes> out) noexcept;

// ---- base64url without padding (RFC 4648, 5; RFC 7515, 2)
// -------------------------------------------------------

constexpr std::size_t base64url_size(std::size_t bytes) noexcept {
    return (bytes * 4 + 2) / 3;
}

// Writes base64url_size(bytes.size()) characters; false, with nothing written, when `out` has less room.
bool base64url_encode(std::span<const std::uint8_t> bytes, std::span<char> out) noexcept;

// False for anything but what base64url_encode() writes, or when `out` has too little room.
bool base64url_decode(std::string_view text, std::span<char> out, std::size_t& size) noexcept;

}  // namespace mirox::core

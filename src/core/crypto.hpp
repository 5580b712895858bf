// Digest, MAC, random bytes, base64, constant-time comparison and wiping: thin names over OpenSSL.
//
// May include the C++ library and OpenSSL only. Nothing here throws or logs. Each process makes its contexts once and reuses
// them. A failure (no entropy, no provider) returns false, and the caller must refuse.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mirox::core {

inline constexpr std::size_t kDigestBytes = 32;
using Digest = std::array<std::uint8_t, kDigestBytes>;

bool sha256(std::string_view bytes, Digest& out) noexcept;  // FIPS 180-4
bool hmac_sha256(std::span<const std::uint8_t> key, std::string_view bytes,
                 Digest& out) noexcept;                   // RFC 2104
bool random_bytes(std::span<std::uint8_t> out) noexcept;  // the system's CSPRNG, by OpenSSL

// Uniform base62 characters, by rejection sampling over random_bytes().
bool random_base62(std::span<char> out) noexcept;

// base64url without padding (RFC 4648, 5). Returns the number of characters; `out` has base64url_room().
constexpr std::size_t base64url_size(std::size_t bytes) noexcept {
    return (bytes * 4 + 2) / 3;
}
constexpr std::size_t base64url_room(std::size_t bytes) noexcept {
    return (bytes + 2) / 3 * 4 + 1;  // OpenSSL pads, and ends the text
}
std::size_t base64url_encode(std::span<const std::uint8_t> bytes, std::span<char> out) noexcept;

// base64 in either alphabet, padded or not. Returns the number of bytes, 0 when the text is no base64 or does not fit.
std::size_t base64_decode(std::string_view text, std::span<std::uint8_t> out) noexcept;

// The time depends on the size only.
bool equal_constant_time(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) noexcept;

// Overwrites the memory; the compiler does not optimise this away.
void wipe(void* at, std::size_t size) noexcept;

}  // namespace mirox::core

// Digest, MAC, random bytes, constant-time comparison and wiping: thin names over OpenSSL.
//
// May include the C++ library and OpenSSL only. Nothing here throws or logs; contexts are made once a process and
// reused. Failure (no entropy, no provider) is false, and the caller refuses.
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

// kSecretRandomChars and the like: uniform base62 characters by rejection sampling over random_bytes().
bool random_base62(std::span<char> out) noexcept;

// Time depends on the size alone.
bool equal_constant_time(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) noexcept;

// Not optimised away.
void wipe(void* at, std::size_t size) noexcept;

}  // namespace mirox::core

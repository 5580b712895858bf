// The format of a secret: `<prefix>_<43 base62 characters><6 base62 characters of CRC-32 over all before>`.
//
// Pure: may include the C++ library, zlib and its own room only. Nothing here allocates, throws or logs. Secrets are not copied;
// the caller wipes its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mirox::core {

inline constexpr std::size_t kSecretRandomChars = 43;   // 43 * log2(62) = 256.03 bits
inline constexpr std::size_t kSecretChecksumChars = 6;  // 62^6 > 2^32
inline constexpr std::size_t kMaxStemChars = 16;
inline constexpr std::size_t kMaxStems = 8;
// stem, 's' of a session, '_', random part, checksum
inline constexpr std::size_t kMaxSecretChars = kMaxStemChars + 2 + kSecretRandomChars + kSecretChecksumChars;
inline constexpr char kSessionSuffix = 's';

enum class SecretKind : std::uint8_t { malformed, token, session };

// The stems that checks accept; new secrets get the first. A stem is a lower-case letter, then lower-case letters and digits. Two
// stems are refused when the token prefix of one equals the session prefix of the other.
struct PrefixList {
    std::array<std::array<char, kMaxStemChars + 1>, kMaxStems> stems;  // NUL-terminated
    std::uint8_t count;

    std::string_view stem(std::size_t i) const noexcept { return stems[i].data(); }
};

// Reads a comma-separated list ("mirox, acme"). False, with `out` unchanged, when the list is empty or too long, or has a stem
// that is malformed, a duplicate, or the session prefix of another.
bool parse_prefix_list(std::string_view text, PrefixList& out) noexcept;

// The kind of a secret, by prefix, length, alphabet and checksum. Not constant-time: the shape and the checksum are public.
SecretKind classify_secret(std::string_view text, const PrefixList& prefixes) noexcept;

// Writes the secret of the given kind whose random part is `random` (kSecretRandomChars base62 characters).
// Returns its length, at most kMaxSecretChars.
std::size_t format_secret(SecretKind kind, const PrefixList& prefixes, std::span<const char, kSecretRandomChars> random,
                          std::span<char, kMaxSecretChars> out) noexcept;

// Turns uniform random bytes into uniform base62 characters by rejection: a byte counts when its low six bits are below 62.
// Returns the number of characters written. The caller passes more bytes until `out` is full.
std::size_t base62_from_random(std::span<const std::uint8_t> bytes, std::span<char> out) noexcept;

// Writes `value` as exactly six base62 digits, most significant first ('0'-'9', 'A'-'Z', 'a'-'z').
void base62_checksum(std::uint32_t value, std::span<char, kSecretChecksumChars> out) noexcept;

// The CRC-32 of gzip (ISO-HDLC, reflected 0xEDB88320).
std::uint32_t crc32(std::string_view bytes) noexcept;

inline constexpr std::size_t kHintRandomChars = 4;
inline constexpr std::string_view kEllipsis = "\xE2\x80\xA6";  // U+2026 in UTF-8
inline constexpr std::size_t kMaxHintBytes = kMaxStemChars + 2 + kHintRandomChars + kEllipsis.size();

// The redacted form, `mirox_Ab3d…`: prefix and the first four random characters. `secret` must be well formed.
// Returns the number of bytes written.
std::size_t redact_secret(std::string_view secret, std::span<char, kMaxHintBytes> out) noexcept;

}  // namespace mirox::core

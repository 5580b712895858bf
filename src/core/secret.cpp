// The format of a secret: building, judging and redacting it.
//
// Pure: the C++ library and zlib (CRC-32). Takes no lock, allocates nothing, keeps no state.
#include "core/secret.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "core/chars.hpp"
#include "core/slice.hpp"

namespace mirox::core {
namespace {

// One cache line, so that a look-up by a secret index touches the same line for every index.
alignas(64) constexpr char kBase62[64] = {
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K',
    'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'a', 'b', 'c', 'd', 'e', 'f',
    'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
};

// 1 for each byte that is no base62 character, so that a secret is checked without a branch for each character.
constexpr std::array<std::uint8_t, 256> kNotBase62 = [] {
    std::array<std::uint8_t, 256> table{};
    table.fill(1);
    for (std::size_t i = 0; i < 62; ++i) {
        table[static_cast<unsigned char>(kBase62[i])] = 0;
    }
    return table;
}();

bool is_stem(std::string_view text) noexcept {
    if (text.empty() || text.size() > kMaxStemChars || !is_lower(text[0])) {
        return false;
    }
    for (char c : text) {
        if (!is_lower(c) && !is_digit(c)) {
            return false;
        }
    }
    return true;
}

// True when the token prefix of `other` equals the session prefix of `stem`.
bool is_session_stem_of(std::string_view other, std::string_view stem) noexcept {
    return other.size() == stem.size() + 1 && other.back() == kSessionSuffix && other.starts_with(stem);
}

constexpr std::size_t kTailChars = kSecretRandomChars + kSecretChecksumChars;

}  // namespace

bool parse_prefix_list(std::string_view text, PrefixList& out) noexcept {
    PrefixList list{};
    for (;;) {
        const std::size_t end = std::min(text.find(','), text.size());
        const std::string_view stem = trim(slice(text, 0, end), is_space);
        if (!is_stem(stem) || list.count == kMaxStems) {
            return false;
        }
        for (std::size_t i = 0; i < list.count; ++i) {
            const std::string_view earlier = list.stem(i);
            if (earlier == stem || is_session_stem_of(earlier, stem) || is_session_stem_of(stem, earlier)) {
                return false;
            }
        }
        std::memcpy(list.stems[list.count].data(), stem.data(), stem.size());
        ++list.count;
        if (end == text.size()) {
            break;
        }
        text.remove_prefix(end + 1);
    }
    out = list;
    return true;
}

SecretKind classify_secret(std::string_view text, const PrefixList& prefixes) noexcept {
    // The shortest secret has a stem of one character and an underscore. A longer text than the longest secret is refused unread,
    // so a header of a megabyte costs nothing.
    if (text.size() < 2 + kTailChars || text.size() > kMaxSecretChars) {
        return SecretKind::malformed;
    }
    const std::string_view prefix = slice(text, 0, text.size() - kTailChars);
    if (prefix.back() != '_') {
        return SecretKind::malformed;
    }
    const std::string_view name = slice(prefix, 0, prefix.size() - 1);
    SecretKind kind = SecretKind::malformed;
    for (std::size_t i = 0; i < prefixes.count && kind == SecretKind::malformed; ++i) {
        const std::string_view stem = prefixes.stem(i);
        if (name == stem) {
            kind = SecretKind::token;
        } else if (is_session_stem_of(name, stem)) {
            kind = SecretKind::session;
        }
    }
    if (kind == SecretKind::malformed) {
        return kind;
    }
    unsigned others = 0;
    for (char c : slice(text, prefix.size(), kSecretRandomChars)) {
        others |= kNotBase62[static_cast<unsigned char>(c)];
    }
    if (others != 0) {
        return SecretKind::malformed;
    }
    const std::size_t body = text.size() - kSecretChecksumChars;
    std::array<char, kSecretChecksumChars> checksum;
    base62_checksum(crc32(slice(text, 0, body)), checksum);
    if (std::memcmp(text.data() + body, checksum.data(), checksum.size()) != 0) {
        return SecretKind::malformed;
    }
    return kind;
}

std::size_t format_secret(SecretKind kind, const PrefixList& prefixes, std::span<const char, kSecretRandomChars> random,
                          std::span<char, kMaxSecretChars> out) noexcept {
    if (kind == SecretKind::malformed || prefixes.count == 0) {
        return 0;
    }
    const std::string_view stem = prefixes.stem(0);
    std::size_t at = stem.size();
    std::memcpy(out.data(), stem.data(), at);
    if (kind == SecretKind::session) {
        out[at++] = kSessionSuffix;
    }
    out[at++] = '_';
    std::memcpy(out.data() + at, random.data(), random.size());
    at += random.size();
    base62_checksum(crc32({out.data(), at}), std::span<char, kSecretChecksumChars>(out.data() + at, kSecretChecksumChars));
    return at + kSecretChecksumChars;
}

std::size_t base62_from_random(std::span<const std::uint8_t> bytes, std::span<char> out) noexcept {
    std::size_t written = 0;
    for (std::uint8_t byte : bytes) {
        if (written == out.size()) {
            break;
        }
        const unsigned low = byte & 63U;
        if (low < 62U) {
            out[written++] = kBase62[low];
        }
    }
    return written;
}

void base62_checksum(std::uint32_t value, std::span<char, kSecretChecksumChars> out) noexcept {
    for (std::size_t i = kSecretChecksumChars; i-- > 0;) {
        out[i] = kBase62[value % 62U];
        value /= 62U;
    }
}

std::uint32_t crc32(std::string_view bytes) noexcept {
    if (bytes.empty()) {
        return 0;  // zlib takes a null pointer as a request for the initial value, which is 0 too
    }
    return static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

std::size_t redact_secret(std::string_view secret, std::span<char, kMaxHintBytes> out) noexcept {
    // Checked again, although the caller must have done so: no part of another text may be shown.
    const std::size_t underscore = slice(secret, 0, kMaxStemChars + 2).find('_');
    if (underscore == std::string_view::npos || secret.size() != underscore + 1 + kTailChars) {
        return 0;
    }
    const std::size_t shown = underscore + 1 + kHintRandomChars;
    std::memcpy(out.data(), secret.data(), shown);
    std::memcpy(out.data() + shown, kEllipsis.data(), kEllipsis.size());
    return shown + kEllipsis.size();
}

}  // namespace mirox::core

// A short piece of UTF-8 text that ends at a bound, never inside a character: what the enrichers give back.
//
// Pure: holds no server call, allocates nothing, throws nothing. Trivially copyable, so it may live across
// server calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mirox::enrich {

// The length of the longest prefix of `text` that has at most `limit` bytes and does not end inside a
// character.
constexpr std::size_t utf8_prefix(std::string_view text, std::size_t limit) noexcept {
    if (text.size() <= limit) return text.size();
    std::size_t end = limit;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u) --end;
    return end;
}

// The length of the character that starts at `at` when it is well-formed UTF-8 (no surrogate, nothing
// overlong, nothing above U+10FFFF), or 0.
constexpr std::size_t utf8_character(std::string_view text, std::size_t at) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const auto follows = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
        return i < text.size() && byte(i) >= low && byte(i) <= high;
    };
    const unsigned lead = byte(at);
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) return follows(at + 1) ? 2 : 0;
    if (lead >= 0xE0 && lead <= 0xEF) {
        const unsigned low = lead == 0xE0 ? 0xA0 : 0x80;
        const unsigned high = lead == 0xED ? 0x9F : 0xBF;
        return follows(at + 1, low, high) && follows(at + 2) ? 3 : 0;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        const unsigned low = lead == 0xF0 ? 0x90 : 0x80;
        const unsigned high = lead == 0xF4 ? 0x8F : 0xBF;
        return follows(at + 1, low, high) && follows(at + 2) && follows(at + 3) ? 4 : 0;
    }
    return 0;
}

template <std::size_t kCapacity>
struct ShortText {
    static_assert(kCapacity <= 255);

    char bytes[kCapacity];
    std::uint8_t size;

    constexpr std::string_view view() const noexcept { return {bytes, size}; }
    constexpr bool empty() const noexcept { return size == 0; }
    static constexpr std::size_t capacity() noexcept { return kCapacity; }

    constexpr void clear() noexcept { size = 0; }

    // Puts `text` at the end whole, or leaves all as it was.
    constexpr bool append(std::string_view text) noexcept {
        if (text.size() > kCapacity - size) return false;
        for (const char c : text) bytes[size++] = c;
        return true;
    }

    // Takes as much of `text` as fits, with every byte that is not UTF-8 and every control character (C0,
    // DEL, C1) as '?', and spaces at both ends removed.
    constexpr void assign_clean(std::string_view text) noexcept {
        size = 0;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t length = utf8_character(text, at);
            const unsigned lead = static_cast<unsigned char>(text[at]);
            const bool control =
                lead < 0x20 || lead == 0x7F ||
                (length == 2 && lead == 0xC2 && static_cast<unsigned char>(text[at + 1]) < 0xA0);
            std::string_view piece = text.substr(at, length);
            if (length == 0 || control) piece = "?";
            if (size == 0 && piece == " ") piece = {};
            if (!append(piece)) break;
            at += length == 0 ? 1 : length;
        }
        while (size > 0 && bytes[size - 1] == ' ') --size;
    }
};

}  // namespace mirox::enrich

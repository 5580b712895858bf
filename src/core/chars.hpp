// Classes of characters, and the functions that trim, compare and decode by them. ASCII only, whatever the locale.
//
// Pure: may include the C++ library only. Nothing here allocates, throws or logs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mirox::core {

constexpr bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}
constexpr bool is_lower(char c) noexcept {
    return c >= 'a' && c <= 'z';
}
constexpr bool is_upper(char c) noexcept {
    return c >= 'A' && c <= 'Z';
}
constexpr bool is_alphanumeric(char c) noexcept {
    return is_digit(c) || is_lower(c) || is_upper(c);
}
// White space that HTTP allows around a value.
constexpr bool is_blank(char c) noexcept {
    return c == ' ' || c == '\t';
}
// White space that people write between the elements of a list.
constexpr bool is_space(char c) noexcept {
    return is_blank(c) || c == '\n' || c == '\r';
}

constexpr char to_lower(char c) noexcept {
    return is_upper(c) ? static_cast<char>(c + ('a' - 'A')) : c;
}
constexpr char to_upper(char c) noexcept {
    return is_lower(c) ? static_cast<char>(c - ('a' - 'A')) : c;
}

// Folds ASCII only: the Kelvin sign is not equal to `k`.
constexpr bool equals_ignoring_case(std::string_view text, std::string_view lower) noexcept {
    if (text.size() != lower.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i)
        if (to_lower(text[i]) != lower[i]) return false;
    return true;
}

constexpr std::string_view trim(std::string_view text, bool (*cut)(char) noexcept = is_blank) noexcept {
    while (!text.empty() && cut(text.front())) text.remove_prefix(1);
    while (!text.empty() && cut(text.back())) text.remove_suffix(1);
    return text;
}

// -1 when the character is no hex digit.
constexpr int hex_value(char c) noexcept {
    if (is_digit(c)) return c - '0';
    c = to_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// False unless `text` is two hex digits for each byte of `out`.
constexpr bool decode_hex(std::string_view text, std::span<std::uint8_t> out) noexcept {
    if (text.size() != 2 * out.size()) return false;
    for (std::size_t i = 0; i < out.size(); ++i) {
        const int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    return true;
}

}  // namespace mirox::core

// Names and user agents: trims, normalises and checks UTF-8 from outside.
//
// Pure: the C++ library and utf8proc. Takes no lock, allocates nothing (utf8proc works in fixed buffers), keeps no state. Inputs
// may be of any length; the work stops as soon as the answer is known.
#include "core/text.hpp"
#include "core/slice.hpp"

#include <utf8proc.h>

#include <array>
#include <cstring>

namespace mirox::core {
namespace {

// A canonical decomposition has at most this many code points (UAX 15), so composition shortens a text at most by this factor. A
// text of more than kMaxUnnormalised code points has more than kMaxNameChars after NFC.
constexpr std::size_t kMaxDecomposition = 4;
constexpr std::size_t kMaxUnnormalised = kMaxDecomposition * kMaxNameChars;

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// The first code point of `text`, and its size in bytes; 0 when the text does not begin with well-formed UTF-8.
std::size_t decode(std::string_view text, utf8proc_int32_t& code_point) noexcept {
    if (text.empty()) {
        return 0;
    }
    const auto first = static_cast<unsigned char>(text[0]);
    if (first < 0x80) {
        code_point = first;
        return 1;
    }
    const utf8proc_ssize_t size = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                                   static_cast<utf8proc_ssize_t>(text.size() < 4 ? text.size() : 4), &code_point);
    return size > 0 ? static_cast<std::size_t>(size) : 0;
}

// Unicode's White_Space property; utf8proc has the separators of this class, but not its control characters.
bool is_white_space(utf8proc_int32_t c) noexcept {
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
           c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

// Characters that can break a line, disturb a terminal or change the order in which text is read.
bool is_control(utf8proc_int32_t c) noexcept {
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

// Characters that are letters or symbols by category but show nothing.
bool is_blank_filler(utf8proc_int32_t c) noexcept {
    return c == 0x115F || c == 0x1160 || c == 0x3164 || c == 0xFFA0 ||  // Hangul fillers
           c == 0x2800 ||                                               // Braille blank
           c == 0x1D159;                                                // null notehead
}

// Unassigned code points that Unicode reserves as ignorable (DerivedCoreProperties). utf8proc has that property for assigned ones
// only.
bool is_reserved_ignorable(utf8proc_int32_t c) noexcept {
    return c == 0x2065 || (c >= 0xFFF0 && c <= 0xFFF8) || (c >= 0xE0000 && c <= 0xE0FFF);
}

bool is_visible(utf8proc_int32_t c) noexcept {
    if (is_white_space(c) || is_control(c) || is_blank_filler(c) || is_reserved_ignorable(c)) {
        return false;
    }
    const utf8proc_property_t* property = utf8proc_get_property(c);
    switch (property->category) {
        case UTF8PROC_CATEGORY_MN:
        case UTF8PROC_CATEGORY_ME:
        case UTF8PROC_CATEGORY_CF:
        case UTF8PROC_CATEGORY_CC:
        case UTF8PROC_CATEGORY_ZS:
        case UTF8PROC_CATEGORY_ZL:
        case UTF8PROC_CATEGORY_ZP:
            return false;
        default:
            return property->ignorable == 0;
    }
}

// `text` without white space at its ends. Stops at the code point that proves that the text is too long.
NameStatus trim(std::string_view text, std::string_view& trimmed) noexcept {
    std::size_t at = 0;
    std::size_t start = 0;
    std::size_t end = 0;
    std::size_t chars = 0;  // from start to here
    while (at < text.size()) {
        utf8proc_int32_t c;
        const std::size_t size = decode(slice(text, at), c);
        if (size == 0) {
            return NameStatus::invalid_utf8;
        }
        const bool blank = is_white_space(c);
        if (chars == 0 && blank) {
            start = at + size;
        } else {
            ++chars;
        }
        at += size;
        if (!blank) {
            end = at;
            if (chars > kMaxUnnormalised) {
                return NameStatus::too_long;
            }
        }
    }
    if (end <= start) {
        return NameStatus::empty;
    }
    trimmed = slice(text, start, end - start);
    return NameStatus::ok;
}

}  // namespace

NameStatus normalise_name(std::string_view utf8, std::span<char, kMaxNameBytes> out, std::size_t& size) noexcept {
    if (utf8.size() > kMaxRawNameBytes) {
        return NameStatus::too_long;
    }
    std::string_view trimmed;
    const NameStatus status = trim(utf8, trimmed);
    if (status != NameStatus::ok) {
        return status;
    }

    // With UTF8PROC_STABLE utf8proc observes the composition exclusions, as NFC demands.
    constexpr auto kNfc = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    std::array<utf8proc_int32_t, kMaxUnnormalised * kMaxDecomposition> points;
    const utf8proc_ssize_t decomposed = utf8proc_decompose(reinterpret_cast<const utf8proc_uint8_t*>(trimmed.data()),
                                                           static_cast<utf8proc_ssize_t>(trimmed.size()), points.data(),
                                                           static_cast<utf8proc_ssize_t>(points.size()), kNfc);
    if (decomposed < 0) {
        return NameStatus::invalid_utf8;
    }
    if (static_cast<std::size_t>(decomposed) > points.size()) {
        return NameStatus::too_long;  // only if a future Unicode version broke its guarantee
    }
    const utf8proc_ssize_t composed = utf8proc_normalize_utf32(points.data(), decomposed, kNfc);
    if (composed < 0) {
        return NameStatus::invalid_utf8;
    }
    const auto count = static_cast<std::size_t>(composed);
    if (count > kMaxNameChars) {
        return NameStatus::too_long;
    }

    bool visible = false;
    for (std::size_t i = 0; i < count; ++i) {
        if (is_control(points[i])) {
            return NameStatus::control_character;
        }
        visible = visible || is_visible(points[i]);
    }
    if (!visible) {
        return NameStatus::nothing_visible;
    }
    std::size_t written = 0;
    for (std::size_t i = 0; i < count; ++i) {
        written +=
            static_cast<std::size_t>(utf8proc_encode_char(points[i], reinterpret_cast<utf8proc_uint8_t*>(out.data()) + written));
    }
    size = written;
    return NameStatus::ok;
}

std::size_t clean_text(std::string_view raw, std::span<char> out) noexcept {
    std::size_t written = 0;
    while (!raw.empty()) {
        utf8proc_int32_t c = 0;
        const std::size_t size = decode(raw, c);
        // An invalid byte is replaced alone: the next bytes may be valid.
        const std::string_view piece = size == 0 ? kReplacement : is_control(c) ? "?" : slice(raw, 0, size);
        if (piece.size() > out.size() - written) {
            break;
        }
        std::memcpy(out.data() + written, piece.data(), piece.size());
        written += piece.size();
        raw.remove_prefix(size == 0 ? 1 : size);
    }
    return written;
}

NameStatus check_line(std::string_view utf8) noexcept {
    for (std::size_t chars = 0; !utf8.empty(); ++chars) {
        utf8proc_int32_t c;
        const std::size_t size = decode(utf8, c);
        if (size == 0) {
            return NameStatus::invalid_utf8;
        }
        if (is_control(c)) {
            return NameStatus::control_character;
        }
        if (chars == kMaxLineChars) {
            return NameStatus::too_long;
        }
        utf8.remove_prefix(size);
    }
    return NameStatus::ok;
}

bool valid_utf8(std::string_view text) noexcept {
    constexpr std::uint64_t kHighBits = 0x8080808080808080U;
    while (!text.empty()) {
        std::uint64_t eight;
        if (text.size() >= sizeof eight) {
            std::memcpy(&eight, text.data(), sizeof eight);
            if ((eight & kHighBits) == 0) {
                text.remove_prefix(sizeof eight);
                continue;
            }
        }
        utf8proc_int32_t c;
        const std::size_t size = decode(text, c);
        if (size == 0) {
            return false;
        }
        text.remove_prefix(size);
    }
    return true;
}

}  // namespace mirox::core

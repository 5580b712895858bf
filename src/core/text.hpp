// Text from people and clients: token names and user agents, as UTF-8.
//
// Pure: may include the C++ library, utf8proc (normalisation and character classes) and its own room only.
// Nothing here allocates, throws or logs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mirox::core {

inline constexpr std::size_t kMaxNameChars = 100;  // code points, after NFC
inline constexpr std::size_t kMaxNameBytes = 4 * kMaxNameChars;
// A longer input is too_long whatever it holds, also if it is only white space: no client may make the server read a gigabyte.
inline constexpr std::size_t kMaxRawNameBytes = 1 << 16;
inline constexpr std::size_t kMaxUserAgentBytes = 512;

enum class NameStatus : std::uint8_t {
    ok,
    invalid_utf8,
    empty,              // nothing left after trimming
    too_long,           // more than kMaxNameChars, or more than kMaxRawNameBytes before trimming
    control_character,  // Cc, line and paragraph separators, bidirectional overrides and isolates
    nothing_visible,    // only spaces, marks, format characters, fillers, blanks
};

// Trims Unicode white space, normalises to NFC (Unicode TR15) and checks the name. `size` is the number of bytes written.
NameStatus normalise_name(std::string_view utf8, std::span<char, kMaxNameBytes> out, std::size_t& size) noexcept;

// Writes as much of a text as fits and may be stored: bytes that are not UTF-8 become U+FFFD, control characters `?`. It ends on
// a character boundary. Returns the number of bytes written.
std::size_t clean_text(std::string_view raw, std::span<char> out) noexcept;

inline std::size_t clean_user_agent(std::string_view raw, std::span<char, kMaxUserAgentBytes> out) noexcept {
    return clean_text(raw, out);
}

bool valid_utf8(std::string_view text) noexcept;

// A line that people read, such as a reason or a description. It has at most kMaxLineChars code points and no character that a
// name may not hold (NameStatus::control_character). It may be empty.
inline constexpr std::size_t kMaxLineChars = 500;
NameStatus check_line(std::string_view utf8) noexcept;

}  // namespace mirox::core

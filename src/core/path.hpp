// A request's method and target, brought to the one spelling that endpoint rules are written in.
//
// Every target either gives exactly one plain path or is refused. It is refused wherever two honest servers
// could read it as two different paths, since one of them could then serve what the other judged.
//
//   origin-form `/a/b`, absolute-form `http://host/a/b` (http and https, no user information, a host): the
//   path.
//     `*`, an authority, a relative path, an empty one: refused
//   query string                         dropped (it begins at the first `?`)
//   fragment                             dropped; refused when it holds `/`, `\`, `%` or `?`, for a server
//   that
//                                        takes `#` as a letter would read a longer path there (RFC 9112 has
//                                        none)
//   percent-encoding                     decoded once. Refused: not two hex digits; an escape of `/`, `\`,
//   `?`, `#`,
//                                        `;`, NUL or a control byte; what a second decoder would decode again
//                                        (`%252e`, `%25u002f`)
//   `.` and `..`                         resolved after decoding; above the root: refused
//   doubled slashes, a trailing slash    merged, dropped; `..` directly after an empty segment is refused,
//   for
//                                        RFC 3986 goes up from the empty one, and servers that merge first do
//                                        not
//   parameters, `/a;x=1/b`               dropped from each segment; refused when nothing, `.` or `..` is
//   left, for a
//                                        servlet container goes up at `..;x` and others do not
//   `\`, space, NUL, control bytes, C1   refused, in the query too
//   bytes that are no UTF-8 (overlong, surrogates, past U+10FFFF), raw or decoded: refused
//   characters that compatibility normalisation turns into one of `. / \ % ; ? #` (U+FF0F, U+2024, U+037E):
//   refused
//
// Paths are case-sensitive (RFC 3986, 6.2.2.1). Left to whoever runs the gateway, since no reader of a path can know it: a back
// end that ignores case, or trailing dots and spaces (a Windows file system), or normalises Unicode, or takes `//name/…` for a
// host, must be handed the plain path rather than the target as it came.
//
// Pure: may include the C++ library, utf8proc and its own room only. Nothing here allocates, throws or logs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mirox::core {

inline constexpr std::size_t kMaxPathBytes = 8192;  // of the target's path, as sent
inline constexpr std::size_t kMaxMethodChars = 32;

enum class PathStatus : std::uint8_t { ok, malformed, too_long };

// Writes the plain path: `/` alone, or segments each after one slash, decoded. A slash in it always divides.
PathStatus normalise_path(std::string_view target, std::span<char, kMaxPathBytes> out, std::size_t& size) noexcept;

// Writes the method in upper case; false when it is no token (RFC 9110, 9.1) or too long. Methods are
// case-sensitive, so that `get` is not GET; but a back end may well run it as GET, and as GET it is judged.
bool normalise_method(std::string_view method, std::span<char, kMaxMethodChars> out, std::size_t& size) noexcept;

// True for text that can stand as a segment of a plain path and as nothing else (endpoint patterns are made of it).
bool is_plain_segment(std::string_view text) noexcept;

}  // namespace mirox::core

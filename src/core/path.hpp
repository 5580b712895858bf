// A request's method and target in the one normal form that endpoint rules are written in.
//
// Every target either gives exactly one plain path or is refused. It is refused wherever two correct servers could read it as two
// different paths, since one of them could then serve a path that the other did not check.
//
//   origin-form `/a/b`, absolute-form    the path; absolute-form must be http or https, with a host and without user information
//     `http://host/a/b`
//   `*`, an authority, a relative path,  refused
//     an empty target
//   query string                         dropped (it begins at the first `?`)
//   fragment                             dropped; refused when it holds `/`, `\`, `%` or `?`: RFC 9112 has no fragment, and a
//                                      server that takes `#` for a letter would read a longer path
//   percent-encoding                     decoded once. Refused: not two hex digits; an escape of `/`, `\`, `?`, `#`, `;`, NUL or
//                                      a control byte; what a second decoder would decode again (`%252e`, `%25u002f`)
//   `.` and `..`                         resolved after decoding; refused when they lead above the root
//   doubled slashes, a trailing slash    merged, dropped; `..` directly after an empty segment is refused: RFC 3986 goes up from
//                                      the empty segment, and servers that merge first do not
//   parameters, `/a;x=1/b`               dropped from each segment; refused when nothing, `.` or `..` is left: a servlet
//                                      container goes up at `..;x`, and others do not
//   `\`, space, NUL, control bytes, C1   refused, in the query too
//   bytes that are not UTF-8             refused, raw or decoded (overlong forms, surrogates, beyond U+10FFFF)
//   characters that compatibility        refused (U+FF0F, U+2024, U+037E)
//     normalisation turns into one of
//     `. / \ % ; ? #`
//
// Paths are case-sensitive (RFC 3986, 6.2.2.1). Some back ends ignore case, ignore trailing dots and spaces (Windows file
// systems), normalise Unicode, or take `//name/…` for a host. No reader of a path can know that, so the gateway must pass the
// plain path to such a back end, not the target as it came.
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

// Writes the plain path: `/` alone, or decoded segments with a slash before each. A slash in the result always separates
// segments.
PathStatus normalise_path(std::string_view target, std::span<char, kMaxPathBytes> out, std::size_t& size) noexcept;

// Writes the method in upper case. False when it is no token (RFC 9110, 9.1) or is too long. Methods are case-sensitive, so `get`
// is not GET. But a back end may execute it as GET, so it is judged as GET.
bool normalise_method(std::string_view method, std::span<char, kMaxMethodChars> out, std::size_t& size) noexcept;

// Whether HTTP's registry of methods names this one. Others are a client's or a back end's own.
bool is_registered_method(std::string_view method) noexcept;

// True for text that is exactly one segment of a plain path. Endpoint patterns are made of such segments.
bool is_plain_segment(std::string_view text) noexcept;

}  // namespace mirox::core

// Request targets and methods in their plain spelling; the header says what is refused and why.
//
// Pure: may include the C++ library, utf8proc and its own room only. Nothing here allocates, throws or logs.
#include "core/path.hpp"

#include <utf8proc.h>

#include <cstring>

#include "core/chars.hpp"
#include "core/slice.hpp"

namespace mirox::core {
namespace {

bool is_control(char c) noexcept {
    return static_cast<std::uint8_t>(c) < 0x20 || c == 0x7f;
}

bool is_delimiter(std::int32_t c) noexcept {
    return c == '/' || c == '\\' || c == '?' || c == '#' || c == ';';
}

// Strict UTF-8 without control characters, and without characters that a normalising server would turn into path punctuation.
bool is_safe_utf8(std::string_view text) noexcept {
    const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
    auto left = static_cast<utf8proc_ssize_t>(text.size());
    while (left > 0) {
        if (*at < 0x80) {
            if (is_control(static_cast<char>(*at))) return false;
            ++at;
            --left;
            continue;
        }
        utf8proc_int32_t code = -1;
        const utf8proc_ssize_t taken = utf8proc_iterate(at, left, &code);
        if (taken <= 0) return false;
        if (code < 0xa0) return false;  // C1
        utf8proc_int32_t parts[32];
        int boundary = UTF8PROC_BOUNDCLASS_START;
        const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE);
        const utf8proc_ssize_t count = utf8proc_decompose_char(code, parts, 32, options, &boundary);
        if (count < 0 || count > 32) return false;
        for (utf8proc_ssize_t i = 0; i < count; ++i)
            if (is_delimiter(parts[i]) || parts[i] == '.' || parts[i] == '%') return false;
        at += taken;
        left -= taken;
    }
    return true;
}

// A `%` that a second decoder would take for an escape, in either of the two common forms.
bool holds_escape(std::string_view text) noexcept {
    for (std::size_t i = 0; i + 2 < text.size(); ++i) {
        if (text[i] != '%') continue;
        if (hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) return true;
        if (text[i + 1] == 'u' || text[i + 1] == 'U') return true;
    }
    return false;
}

bool is_dots(std::string_view text) noexcept {
    return text == "." || text == "..";
}

// A host and a port, checked loosely: no character that a parser could take for the end of the authority, no user information.
bool is_authority(std::string_view text) noexcept {
    if (text.empty() || text.front() == ':') return false;
    for (const char c : text)
        if (!is_alphanumeric(c) && std::string_view("-._~:[]").find(c) == std::string_view::npos) return false;
    return true;
}

// Reduces `target` to its path. False when it has none.
bool cut_to_path(std::string_view& target) noexcept {
    if (target.empty()) return false;
    if (target.front() != '/') {
        if (equals_ignoring_case(slice(target, 0, 7), "http://"))
            target.remove_prefix(7);
        else if (equals_ignoring_case(slice(target, 0, 8), "https://"))
            target.remove_prefix(8);
        else
            return false;
        const std::size_t end = target.find_first_of("/?#\\");
        if (!is_authority(slice(target, 0, end))) return false;
        if (end != std::string_view::npos && target[end] == '\\') return false;
        target = end == std::string_view::npos ? std::string_view{} : slice(target, end);
    }

    const std::size_t end = target.find_first_of("?#");
    if (end == std::string_view::npos) return true;
    if (target[end] == '#' && target.find_first_of("/\\%?", end + 1) != std::string_view::npos) return false;
    target = slice(target, 0, end);
    return true;
}

// Decodes one segment to `out`, which has room for it. `size` is its length without parameters. False when the segment is
// refused.
bool decode_segment(std::string_view segment, char* out, std::size_t& size) noexcept {
    std::size_t written = 0;
    std::size_t parameters = std::string_view::npos;
    for (std::size_t i = 0; i < segment.size(); ++i) {
        char c = segment[i];
        if (c == '\\') return false;
        if (c == ';' && parameters == std::string_view::npos) parameters = written;
        if (c == '%') {
            if (segment.size() - i < 3) return false;
            const int high = hex_value(segment[i + 1]);
            const int low = hex_value(segment[i + 2]);
            if (high < 0 || low < 0) return false;
            c = static_cast<char>(high << 4 | low);
            if (is_delimiter(c) || is_control(c)) return false;
            i += 2;
        }
        out[written++] = c;
    }
    const std::string_view decoded(out, written);
    if (holds_escape(decoded) || !is_safe_utf8(decoded)) return false;
    size = written;
    if (parameters != std::string_view::npos) {
        size = parameters;
        if (size == 0 || is_dots(slice(decoded, 0, size))) return false;
    }
    return true;
}

}  // namespace

PathStatus normalise_path(std::string_view target, std::span<char, kMaxPathBytes> out, std::size_t& size) noexcept {
    size = 0;
    for (const char c : target)
        if (is_control(c) || c == ' ') return PathStatus::malformed;
    if (!cut_to_path(target)) return PathStatus::malformed;
    if (target.empty()) target = "/";  // `http://host`
    if (target.size() > out.size()) return PathStatus::too_long;

    // Dots are resolved while empty segments are still there, so that `..` after an empty one is noticed. The output is never
    // longer than the input read so far.
    std::size_t length = 0;
    std::size_t at = 0;
    while (at < target.size()) {
        std::size_t end = target.find('/', at + 1);
        if (end == std::string_view::npos) end = target.size();
        char* const text = out.data() + length + 1;
        std::size_t text_size = 0;
        if (!decode_segment(slice(target, at + 1, end - at - 1), text, text_size)) return PathStatus::malformed;
        at = end;

        const std::string_view segment(text, text_size);
        if (segment == ".") continue;
        if (segment == "..") {
            if (length == 0) return PathStatus::malformed;
            const std::size_t slash = std::string_view(out.data(), length).rfind('/');
            if (slash + 1 == length) return PathStatus::malformed;
            length = slash;
            continue;
        }
        out[length] = '/';
        length += 1 + text_size;
    }

    std::size_t kept = 0;
    for (std::size_t i = 0; i < length; ++i)
        if (out[i] != '/' || (i + 1 < length && out[i + 1] != '/')) out[kept++] = out[i];
    if (kept == 0) out[kept++] = '/';
    size = kept;
    return PathStatus::ok;
}

bool normalise_method(std::string_view method, std::span<char, kMaxMethodChars> out, std::size_t& size) noexcept {
    size = 0;
    if (method.empty() || method.size() > out.size()) return false;
    for (std::size_t i = 0; i < method.size(); ++i) {
        const char c = method[i];
        if (!is_alphanumeric(c) && std::string_view("!#$%&'*+-.^_`|~").find(c) == std::string_view::npos) return false;
        out[i] = to_upper(c);
    }
    size = method.size();
    return true;
}

bool is_registered_method(std::string_view method) noexcept {
    // https://www.iana.org/assignments/http-methods, the common ones first.
    constexpr std::string_view kRegistered =
        " GET POST PUT DELETE PATCH HEAD OPTIONS QUERY TRACE CONNECT ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY LABEL "
        "LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE ORDERPATCH PRI PROPFIND PROPPATCH "
        "REBIND REPORT SEARCH UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL ";
    if (method.empty() || method.find(' ') != std::string_view::npos) return false;
    for (std::size_t at = kRegistered.find(method); at != std::string_view::npos; at = kRegistered.find(method, at + 1))
        if (kRegistered[at - 1] == ' ' && kRegistered[at + method.size()] == ' ') return true;
    return false;
}

bool is_plain_segment(std::string_view text) noexcept {
    if (text.empty() || is_dots(text)) return false;
    for (const char c : text)
        if (is_delimiter(c) || c == '%') return false;
    return is_safe_utf8(text);
}

}  // namespace mirox::core

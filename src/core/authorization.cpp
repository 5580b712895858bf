// The `Authorization` request field and its challenge; see the header for the table of outcomes.
//
// Pure: may include the C++ library only. Nothing here allocates, throws or logs.
#include "core/authorization.hpp"

#include <array>
#include <cstring>

#include "core/chars.hpp"
#include "core/slice.hpp"

namespace mirox::core {
namespace {

enum : std::uint8_t { kTokenChar = 1, kToken68Char = 2 };

constexpr std::array<std::uint8_t, 256> make_classes() noexcept {
    std::array<std::uint8_t, 256> classes{};
    for (int c = '0'; c <= '9'; ++c) classes[c] = kTokenChar | kToken68Char;
    for (int c = 'a'; c <= 'z'; ++c) classes[c] = kTokenChar | kToken68Char;
    for (int c = 'A'; c <= 'Z'; ++c) classes[c] = kTokenChar | kToken68Char;
    for (const char c : std::string_view("!#$%&'*+-.^_`|~")) classes[static_cast<std::uint8_t>(c)] |= kTokenChar;
    for (const char c : std::string_view("-._~+/")) classes[static_cast<std::uint8_t>(c)] |= kToken68Char;
    return classes;
}

constexpr std::array<std::uint8_t, 256> kClasses = make_classes();

bool is_class(char c, std::uint8_t which) noexcept {
    return kClasses[static_cast<std::uint8_t>(c)] & which;
}

bool is_b64token(std::string_view text) noexcept {
    std::size_t at = 0;
    while (at < text.size() && is_class(text[at], kToken68Char)) ++at;
    if (at == 0) return false;
    while (at < text.size() && text[at] == '=') ++at;
    return at == text.size();
}

// RFC 6750 section 3: scope-val is %x21 / %x23-5B / %x5D-7E, and spaces between.
bool is_scope_value(std::string_view text) noexcept {
    if (text.empty() || text.size() > kMaxScopeChars) return false;
    for (const char c : text)
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') return false;
    return true;
}

}  // namespace

Authorization parse_authorization(std::string_view value) noexcept {
    value = trim(value);
    if (value.empty()) return {AuthorizationKind::missing, {}};

    for (const char c : value) {
        const auto byte = static_cast<std::uint8_t>(c);
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f) return {AuthorizationKind::malformed, {}};
    }

    std::size_t end = 0;
    while (end < value.size() && is_class(value[end], kTokenChar)) ++end;
    if (end == 0) return {AuthorizationKind::malformed, {}};
    if (end < value.size() && value[end] != ' ') return {AuthorizationKind::malformed, {}};

    if (!equals_ignoring_case(slice(value, 0, end), "bearer")) return {AuthorizationKind::other_scheme, {}};

    while (end < value.size() && value[end] == ' ') ++end;
    const std::string_view credential = slice(value, end);
    if (!is_b64token(credential)) return {AuthorizationKind::malformed, {}};
    return {AuthorizationKind::bearer, credential};
}

Challenge challenge_for(int status, AuthorizationKind kind) noexcept {
    switch (status) {
        case 400:
            return Challenge::invalid_request;
        case 401:
            return kind == AuthorizationKind::missing || kind == AuthorizationKind::other_scheme ? Challenge::credentials_needed
                                                                                                 : Challenge::invalid_token;
        case 403:
            return Challenge::insufficient_scope;
        default:
            return Challenge::none;
    }
}

std::size_t write_challenge(Challenge challenge, std::string_view scope, std::span<char, kMaxChallengeChars> out) noexcept {
    std::size_t size = 0;
    const auto put = [&](std::string_view text) noexcept {
        std::memcpy(out.data() + size, text.data(), text.size());
        size += text.size();
    };

    if (challenge == Challenge::none) return 0;
    put("Bearer realm=\"");
    put(kRealm);
    put("\"");
    switch (challenge) {
        case Challenge::invalid_request:
            put(", error=\"invalid_request\"");
            break;
        case Challenge::invalid_token:
            put(", error=\"invalid_token\"");
            break;
        case Challenge::insufficient_scope:
            put(", error=\"insufficient_scope\"");
            if (is_scope_value(scope)) {
                put(", scope=\"");
                put(scope);
                put("\"");
            }
            break;
        case Challenge::none:
        case Challenge::credentials_needed:
            break;
    }
    return size;
}

}  // namespace mirox::core

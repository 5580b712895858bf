// Endpoint rules, `method, path pattern -> scope`, and finding the most specific one for a request.
//
// A pattern is a plain path (core/path.hpp) of literal segments, of `*` (exactly one segment), and of `**` (the rest: no segment
// or more), which stands last. So `/api/**` names `/api` too. The method `*` stands for every method.
//
// The most specific rule wins, by a total order: patterns are compared segment by segment from the left, a literal before `*`
// before `**`, and the end of a pattern before `**`; of rules with one pattern, the exact method before `*`. The path goes first:
// among the rules that know the request's method, `GET /admin/*` beats `* /**`. HEAD answers what GET would, without the body
// (RFC 9110, 9.3.2): at each pattern HEAD takes its own rule, then GET's, then `*`. So a HEAD rule on a wide pattern opens
// nothing below a narrower GET rule. OPTIONS has no such rule: a CORS preflight carries no credentials, and the gateway answers
// it before it asks anybody.
//
// Pure: may include the C++ library and its own room only. Nothing here allocates, throws or logs; a compiled
// matcher lives in memory of the caller's, holds copies of all it needs and no pointer into the rules.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/path.hpp"

namespace mirox::core {

inline constexpr std::size_t kMaxPatternBytes = 1024;
inline constexpr std::size_t kMaxPatternSegments = 32;
inline constexpr std::size_t kMaxEndpoints = 65536;

enum class EndpointStatus : std::uint8_t {
    ok,
    bad_method,         // no token (RFC 9110), or longer than kMaxMethodChars
    not_absolute,       // the path does not begin with a slash
    path_too_long,      // more than kMaxPatternBytes
    too_many_segments,  // more than kMaxPatternSegments
    empty_segment,      // doubled slashes
    dot_segment,        // `.` or `..`
    bad_character,      // no UTF-8, controls, `% ; ? # \`: patterns are written decoded
    partial_wildcard,   // `*` beside something else in a segment
    rest_not_last,      // a segment after `**`
    bad_scope,          // parse_scope() refuses it
    duplicate,          // two rules with one method and pattern
    too_many_rules,     // more than kMaxEndpoints
    no_room,            // the memory is less than compiled_size()
};

struct Endpoint {
    std::string_view method;
    std::string_view path;
    std::string_view scope;
};

// A rule's normal form, which is what is stored and compared: the method in upper case, no trailing slash.
struct EndpointText {
    std::array<char, kMaxMethodChars> method_text;
    std::array<char, kMaxPatternBytes> path_text;
    std::size_t method_size = 0;
    std::size_t path_size = 0;

    std::string_view method() const noexcept { return {method_text.data(), method_size}; }
    std::string_view path() const noexcept { return {path_text.data(), path_size}; }
};

// Checks a rule as a person wrote it.
EndpointStatus normalise_endpoint(const Endpoint& rule, EndpointText& out) noexcept;

struct EndpointMatch {
    bool found = false;      // when not, the request needs `*`
    std::uint32_t rule = 0;  // the index among the rules compiled
    std::string_view scope;  // points into the matcher's memory
};

class EndpointMatcher {
  public:
    EndpointMatcher() noexcept = default;  // no rule

    // How much memory compile() wants for these rules.
    static std::size_t compiled_size(std::span<const Endpoint> rules) noexcept;

    // Rules must be in normal form (any other is refused). The memory may be freed when the matcher is gone.
    static EndpointStatus compile(std::span<const Endpoint> rules, std::span<std::byte> memory, EndpointMatcher& out) noexcept;

    // Method and path as normalise_method() and normalise_path() gave them.
    EndpointMatch match(std::string_view method, std::string_view path) const noexcept;

  private:
    // A tree by segments. Children by a literal stand together, sorted, so that they are found by halving.
    // Rules are sorted by specificity, so that those which end at a node, or have `**` there, are one run.
    struct Node {
        std::uint32_t label;  // where the literal stands in text_
        std::uint32_t label_size;
        std::uint32_t children;  // first of those by a literal
        std::uint32_t child_count;
        std::uint32_t star;  // child by `*`, 0 for none (0 is the root)
        std::uint32_t ends;  // rules that end here
        std::uint32_t end_count;
        std::uint32_t rests;  // rules with `**` here
        std::uint32_t rest_count;
    };
    struct Rule {
        std::uint32_t index;  // among those compiled
        std::uint32_t method;
        std::uint32_t method_size;  // 0: every method
        std::uint32_t scope;
        std::uint32_t scope_size;
    };

    struct Build;

    static std::size_t most_nodes(std::span<const Endpoint> rules) noexcept;
    std::string_view text(std::uint32_t at, std::uint32_t size) const noexcept { return {text_ + at, size}; }
    const Node* child(const Node& node, std::string_view label) const noexcept;
    const Rule* pick(std::uint32_t first, std::uint32_t count, std::string_view method) const noexcept;
    const Rule* walk(const Node& node, std::string_view path, std::string_view method) const noexcept;

    const Node* nodes_ = nullptr;
    const Rule* rules_ = nullptr;
    const char* text_ = nullptr;
};

}  // namespace mirox::core

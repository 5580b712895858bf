// Endpoint rules, `method, path pattern -> scope`, and finding the most specific one for a request.
//
// A pattern is a plain path (core/path.hpp) of literal segments, `*` (exactly one segment) and `**` (any number of segments, also
// none), which may only stand last. So `/api/**` matches `/api` too. The method `*` matches every method.
//
// The most specific rule wins, by a total order. Patterns are compared segment by segment from the left: a literal comes before
// `*`, and `*` before `**`; the end of a pattern comes before `**`. Of rules with the same pattern, the exact method comes before
// `*`. So the path decides first: for a request that both match, `GET /admin/*` beats `* /**`. HEAD asks for what GET would
// return, without the body (RFC 9110, 9.3.2): at each pattern HEAD uses its own rule, then that of GET, then `*`. So a HEAD rule
// on a wide pattern opens nothing below a narrower GET rule. OPTIONS has no such rule: a CORS preflight carries no credentials,
// and the gateway answers it without a check.
//
// Pure: may include the C++ library and its own room only. Nothing here allocates, throws or logs. A compiled matcher lives in
// the caller's memory. It copies all that it needs and keeps no pointer into the rules.
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
inline constexpr std::size_t kMaxEndpointBytes = kMaxMethodChars + 1 + kMaxPatternBytes;  // a rule as text: "GET /parks/*"
inline constexpr std::size_t kMaxEndpoints = 65536;

// What a rule asks of a request.
enum class EndpointAccess : std::uint8_t {
    scope,      // credentials that cover its scope
    any,        // credentials in force, whatever they cover
    everybody,  // nothing; credentials that are sent must be in force all the same
};

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
    placeholder,        // `{id}`, `:id`, `<id>`: other notations of `*`, which would be literals here
    rest_not_last,      // a segment after `**`
    bad_scope,          // parse_scope() refuses it
    needless_scope,     // the access is not by scope
    duplicate,          // two rules with one method and pattern
    too_many_rules,     // more than kMaxEndpoints
    no_room,            // the memory is less than compiled_size()
};

struct Endpoint {
    std::string_view method;
    std::string_view path;
    std::string_view scope;  // empty unless the access is by scope
    EndpointAccess access = EndpointAccess::scope;
};

// A rule's normal form, as it is stored and compared: the method in upper case, no trailing slash.
struct EndpointText {
    std::array<char, kMaxMethodChars> method_text;
    std::array<char, kMaxPatternBytes> path_text;
    std::size_t method_size = 0;
    std::size_t path_size = 0;

    std::string_view method() const noexcept { return {method_text.data(), method_size}; }
    std::string_view path() const noexcept { return {path_text.data(), path_size}; }
};

// Checks a rule as a person wrote it, and brings it into normal form.
EndpointStatus normalise_endpoint(const Endpoint& rule, EndpointText& out) noexcept;

struct EndpointMatch {
    bool found = false;  // if false, the request needs the scope `*`
    EndpointAccess access = EndpointAccess::scope;
    std::uint32_t rule = 0;  // the index among the rules compiled
    std::string_view scope;  // points into the matcher's memory
};

class EndpointMatcher {
  public:
    EndpointMatcher() noexcept = default;  // no rule

    // The size of the memory that compile() needs for these rules.
    static std::size_t compiled_size(std::span<const Endpoint> rules) noexcept;

    // The rules must be in normal form; others are refused. The memory must live as long as the matcher.
    static EndpointStatus compile(std::span<const Endpoint> rules, std::span<std::byte> memory, EndpointMatcher& out) noexcept;

    // The method comes from normalise_method(), the path from normalise_path().
    EndpointMatch match(std::string_view method, std::string_view path) const noexcept;

  private:
    // A tree of segments. The literal children of a node stand together and are sorted, for a binary search. Rules are sorted by
    // specificity, so the rules that end at a node are contiguous, and so are its rules with `**`.
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
        EndpointAccess access;
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

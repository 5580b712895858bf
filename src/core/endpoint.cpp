// Endpoint rules: validation, compilation to a tree of segments, look-up.
//
// Pure: may include the C++ library and its own room only. Nothing here allocates, throws or logs.
#include "core/endpoint.hpp"

#include <algorithm>
#include <cstring>

#include "core/scopes.hpp"
#include "core/slice.hpp"

namespace mirox::core {
namespace {

constexpr std::string_view kAnyMethod = "*";

// Takes the next segment off a plain path or a pattern. False at its end.
bool next_segment(std::string_view& path, std::string_view& segment) noexcept {
    if (path.size() < 2) return false;  // nothing, or the root's slash
    const std::size_t end = std::min(path.find('/', 1), path.size());
    segment = slice(path, 1, end - 1);
    path.remove_prefix(end);
    return true;
}

// In the order of specificity. The end of a pattern comes first, which matters only against `**`.
enum class Kind : std::uint8_t { end, literal, star, rest };

Kind kind_of(std::string_view segment) noexcept {
    if (segment == "*") return Kind::star;
    if (segment == "**") return Kind::rest;
    return Kind::literal;
}

Kind take(std::string_view& pattern, std::string_view& segment) noexcept {
    return next_segment(pattern, segment) ? kind_of(segment) : Kind::end;
}

int compare_rules(const Endpoint& a, const Endpoint& b) noexcept {
    std::string_view a_path = a.path;
    std::string_view b_path = b.path;
    for (;;) {
        std::string_view a_segment;
        std::string_view b_segment;
        const Kind a_kind = take(a_path, a_segment);
        const Kind b_kind = take(b_path, b_segment);
        if (a_kind != b_kind) return a_kind < b_kind ? -1 : 1;
        if (a_kind == Kind::end) break;
        if (a_kind == Kind::literal)
            if (const int order = a_segment.compare(b_segment); order != 0) return order;
    }
    const bool a_any = a.method == kAnyMethod;
    const bool b_any = b.method == kAnyMethod;
    if (a_any != b_any) return a_any ? 1 : -1;
    return a.method.compare(b.method);
}

// A segment in a notation for variables of OpenAPI, Rails and Express, or Flask and Django.
bool is_placeholder(std::string_view segment) noexcept {
    return segment.find_first_of("{}") != std::string_view::npos || segment.front() == ':' ||
           (segment.front() == '<' && segment.back() == '>');
}

EndpointStatus check_path(std::string_view path) noexcept {
    if (path.empty() || path.front() != '/') return EndpointStatus::not_absolute;
    if (path.size() > kMaxPatternBytes) return EndpointStatus::path_too_long;
    bool rest = false;
    std::size_t count = 0;
    std::string_view segment;
    while (next_segment(path, segment)) {
        if (rest) return EndpointStatus::rest_not_last;
        if (++count > kMaxPatternSegments) return EndpointStatus::too_many_segments;
        if (segment.empty()) return EndpointStatus::empty_segment;
        if (segment == "." || segment == "..") return EndpointStatus::dot_segment;
        const Kind kind = kind_of(segment);
        rest = kind == Kind::rest;
        if (kind != Kind::literal) continue;
        if (segment.find('*') != std::string_view::npos) return EndpointStatus::partial_wildcard;
        if (is_placeholder(segment)) return EndpointStatus::placeholder;
        if (!is_plain_segment(segment)) return EndpointStatus::bad_character;
    }
    return EndpointStatus::ok;
}

// The normal form has no trailing slash, except for the root.
std::string_view without_trailing_slash(std::string_view path) noexcept {
    if (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
    return path;
}

constexpr std::size_t kAlignment = 8;

}  // namespace

EndpointStatus normalise_endpoint(const Endpoint& rule, EndpointText& out) noexcept {
    if (!normalise_method(rule.method, out.method_text, out.method_size)) return EndpointStatus::bad_method;

    if (rule.path.ends_with("//")) return EndpointStatus::empty_segment;
    const std::string_view path = without_trailing_slash(rule.path);
    if (const EndpointStatus status = check_path(path); status != EndpointStatus::ok) return status;
    std::memcpy(out.path_text.data(), path.data(), path.size());
    out.path_size = path.size();

    if (rule.access != EndpointAccess::scope) return rule.scope.empty() ? EndpointStatus::ok : EndpointStatus::needless_scope;
    Scope scope;
    return parse_scope(rule.scope, scope) == ScopeStatus::ok ? EndpointStatus::ok : EndpointStatus::bad_scope;
}

// One node for each segment, and the root.
std::size_t EndpointMatcher::most_nodes(std::span<const Endpoint> rules) noexcept {
    std::size_t nodes = 1;
    for (const Endpoint& rule : rules) {
        std::string_view path = rule.path;
        std::string_view segment;
        while (next_segment(path, segment)) ++nodes;
    }
    return nodes;
}

std::size_t EndpointMatcher::compiled_size(std::span<const Endpoint> rules) noexcept {
    std::size_t text = 0;
    for (const Endpoint& rule : rules) text += rule.path.size() + rule.method.size() + rule.scope.size();
    return kAlignment + most_nodes(rules) * sizeof(Node) + rules.size() * sizeof(Rule) + text;
}

// A matcher while it is built, in the caller's memory.
struct EndpointMatcher::Build {
    std::span<const Endpoint> rules;
    Node* nodes;
    Rule* sorted;
    char* text;
    std::uint32_t node_count = 0;
    std::uint32_t text_size = 0;

    std::uint32_t keep(std::string_view words) noexcept {
        const std::uint32_t at = text_size;
        if (!words.empty()) std::memcpy(text + at, words.data(), words.size());
        text_size += static_cast<std::uint32_t>(words.size());
        return at;
    }

    // Sorts the rules by specificity. False when two have the same method and pattern.
    bool sort() noexcept {
        for (std::size_t i = 0; i < rules.size(); ++i) sorted[i] = {static_cast<std::uint32_t>(i), 0, 0, 0, 0, rules[i].access};
        std::sort(sorted, sorted + rules.size(),
                  [&](const Rule& a, const Rule& b) noexcept { return compare_rules(rules[a.index], rules[b.index]) < 0; });
        for (std::size_t i = 0; i < rules.size(); ++i) {
            const Endpoint& rule = rules[sorted[i].index];
            if (i > 0 && compare_rules(rules[sorted[i - 1].index], rule) == 0) return false;
            sorted[i].method = keep(rule.method);
            sorted[i].method_size = rule.method == kAnyMethod ? 0 : static_cast<std::uint32_t>(rule.method.size());
            sorted[i].scope = keep(rule.scope);
            sorted[i].scope_size = static_cast<std::uint32_t>(rule.scope.size());
        }
        return true;
    }

    // Adds a node for the contiguous rules that pass through it. Until open() has processed the node, `ends` and `end_count` hold
    // those rules, and `rests` the number of segments before it.
    void add(std::string_view label, std::uint32_t first, std::uint32_t count, std::uint32_t depth) noexcept {
        nodes[node_count++] = {keep(label), static_cast<std::uint32_t>(label.size()), 0, 0, 0, first, count, depth, 0};
    }

    void open(Node& node) noexcept {
        const std::uint32_t first = node.ends;
        const std::uint32_t last = first + node.end_count;
        const std::uint32_t depth = node.rests;
        const auto step = [&](std::uint32_t rule, std::string_view& segment) noexcept {
            std::string_view path = rules[sorted[rule].index].path;
            for (std::uint32_t i = 0; i < depth; ++i) next_segment(path, segment);
            segment = {};
            return take(path, segment);
        };

        std::uint32_t at = first;
        std::string_view segment;
        while (at < last && step(at, segment) == Kind::end) ++at;
        node.end_count = at - first;
        node.children = node_count;
        while (at < last && step(at, segment) == Kind::literal) {
            const std::uint32_t run = at;
            std::string_view other;
            while (at < last && step(at, other) == Kind::literal && other == segment) ++at;
            add(segment, run, at - run, depth + 1);
            ++node.child_count;
        }
        const std::uint32_t stars = at;
        while (at < last && step(at, segment) == Kind::star) ++at;
        if (at > stars) {
            node.star = node_count;
            add({}, stars, at - stars, depth + 1);
        }
        node.rests = at;
        node.rest_count = last - at;
    }
};

EndpointStatus EndpointMatcher::compile(std::span<const Endpoint> rules, std::span<std::byte> memory,
                                        EndpointMatcher& out) noexcept {
    if (rules.size() > kMaxEndpoints) return EndpointStatus::too_many_rules;
    for (const Endpoint& rule : rules) {
        EndpointText normal;
        const EndpointStatus status = normalise_endpoint(rule, normal);
        if (status != EndpointStatus::ok) return status;
        if (normal.method() != rule.method) return EndpointStatus::bad_method;
        if (normal.path() != rule.path) return EndpointStatus::empty_segment;
    }
    if (memory.size() < compiled_size(rules)) return EndpointStatus::no_room;

    // Layout: the nodes, then the rules, after room for the most nodes there can be, then the text.
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    std::byte* const base = memory.data() + (kAlignment - address % kAlignment) % kAlignment;
    Node* const nodes = reinterpret_cast<Node*>(base);
    Rule* const sorted = reinterpret_cast<Rule*>(base + most_nodes(rules) * sizeof(Node));
    Build build{rules, nodes, sorted, reinterpret_cast<char*>(sorted + rules.size())};
    if (!build.sort()) return EndpointStatus::duplicate;
    build.add({}, 0, static_cast<std::uint32_t>(rules.size()), 0);
    for (std::uint32_t n = 0; n < build.node_count; ++n) build.open(nodes[n]);  // breadth first

    out.nodes_ = nodes;
    out.rules_ = sorted;
    out.text_ = build.text;
    return EndpointStatus::ok;
}

const EndpointMatcher::Node* EndpointMatcher::child(const Node& node, std::string_view label) const noexcept {
    std::uint32_t low = node.children;
    std::uint32_t high = low + node.child_count;
    while (low < high) {
        const std::uint32_t middle = low + (high - low) / 2;
        const int order = text(nodes_[middle].label, nodes_[middle].label_size).compare(label);
        if (order == 0) return &nodes_[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return nullptr;
}

const EndpointMatcher::Rule* EndpointMatcher::pick(std::uint32_t first, std::uint32_t count,
                                                   std::string_view method) const noexcept {
    const bool is_head = method == "HEAD";
    const Rule* best = nullptr;
    for (const Rule* rule = rules_ + first; rule != rules_ + first + count; ++rule) {
        const std::string_view known = text(rule->method, rule->method_size);
        if (rule->method_size != 0 && known == method) return rule;
        // Rules for every method are sorted last, so a rule for GET has been seen before them.
        const bool answers = rule->method_size == 0 || (is_head && known == "GET");
        if (answers && best == nullptr) best = rule;
    }
    return best;
}

// Recurses at most kMaxPatternSegments deep and visits no node twice, so no request can make it slow.
const EndpointMatcher::Rule* EndpointMatcher::walk(const Node& node, std::string_view path,
                                                   std::string_view method) const noexcept {
    std::string_view segment;
    if (!next_segment(path, segment)) {
        if (const Rule* rule = pick(node.ends, node.end_count, method)) return rule;
        return pick(node.rests, node.rest_count, method);
    }
    if (node.child_count != 0)
        if (const Node* below = child(node, segment))
            if (const Rule* rule = walk(*below, path, method)) return rule;
    if (node.star != 0)
        if (const Rule* rule = walk(nodes_[node.star], path, method)) return rule;
    return pick(node.rests, node.rest_count, method);
}

EndpointMatch EndpointMatcher::match(std::string_view method, std::string_view path) const noexcept {
    if (nodes_ == nullptr) return {};
    const Rule* rule = walk(nodes_[0], path, method);
    if (rule == nullptr) return {};
    return {true, rule->access, rule->index, text(rule->scope, rule->scope_size)};
}

}  // namespace mirox::core

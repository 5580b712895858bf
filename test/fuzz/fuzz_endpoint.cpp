// libFuzzer: lines `method path scope` as rules, as far as they are good, and the last line as a request.
#include <array>

#include "core/endpoint.hpp"

using namespace mirox::core;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t kMost = 32;
    static std::array<EndpointText, kMost> texts;
    static std::array<Endpoint, kMost> rules;
    static std::array<std::byte, 1 << 20> memory;
    std::size_t count = 0;
    std::string_view left(reinterpret_cast<const char*>(data), size);
    std::string_view method;
    std::string_view path;
    while (!left.empty()) {
        const std::size_t end = std::min(left.find('\n'), left.size());
        std::string_view line = left.substr(0, end);
        left.remove_prefix(std::min(end + 1, left.size()));
        const std::size_t first = line.find(' ');
        const std::size_t second = line.rfind(' ');
        if (first == std::string_view::npos || first == second) {
            method = line.substr(0, std::min(first, line.size()));
            path = first == std::string_view::npos ? std::string_view{} : line.substr(first + 1);
            continue;
        }
        if (count == kMost) continue;
        const Endpoint rule{line.substr(0, first), line.substr(first + 1, second - first - 1), line.substr(second + 1)};
        if (normalise_endpoint(rule, texts[count]) != EndpointStatus::ok) continue;
        rules[count] = {texts[count].method(), texts[count].path(), rule.scope};
        ++count;
    }

    const std::span<const Endpoint> all(rules.data(), count);
    const std::size_t needed = EndpointMatcher::compiled_size(all);
    if (needed > memory.size()) __builtin_trap();
    EndpointMatcher matcher;
    const EndpointStatus status = EndpointMatcher::compile(all, std::span(memory).last(needed), matcher);
    if (status != EndpointStatus::ok && status != EndpointStatus::duplicate) __builtin_trap();
    if (status != EndpointStatus::ok) return 0;

    // Each rule without wildcards is found by its own path.
    for (std::size_t i = 0; i < count; ++i) {
        if (rules[i].path.find('*') != std::string_view::npos || rules[i].method == "*") continue;
        const EndpointMatch match = matcher.match(rules[i].method, rules[i].path);
        if (!match.found || match.rule != i || match.scope != rules[i].scope) __builtin_trap();
    }
    static std::array<char, kMaxPathBytes> plain;
    std::size_t plain_size = 0;
    std::array<char, kMaxMethodChars> upper;
    std::size_t upper_size = 0;
    if (normalise_path(path, plain, plain_size) != PathStatus::ok || !normalise_method(method, upper, upper_size)) return 0;
    const EndpointMatch match = matcher.match({upper.data(), upper_size}, {plain.data(), plain_size});
    if (match.found && match.scope != rules[match.rule].scope) __builtin_trap();
    return 0;
}

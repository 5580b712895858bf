// Browser and operating system of a user agent, by the rules of uap-core (regexes.yaml).
//
// This file holds no server call. Plain data in and out, nothing throws, no static object: the state is made
// by open_agents and lives behind a pointer. One user at a time: the worker's single thread; it takes no
// lock.
//
// The rules are read at the first agent, so a worker that sees none pays nothing. They are read again when
// the file changes (looked at once a minute at most); when it cannot be read the rules at hand stay, and it
// is tried again a minute later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "enrich/text.hpp"

namespace mirox::enrich {

inline constexpr char kAgentRulesPath[] =
    "/usr/share/uap-core/regexes.yaml";               // where Debian's package puts them
inline constexpr std::size_t kMaxAgentBytes = 512;    // what of an agent is looked at: as much as is stored
inline constexpr std::size_t kAgentErrorBytes = 256;  // a buffer that holds every message

enum class AgentStatus : std::uint8_t {
    ok,
    rules_unreadable,  // no such file, no right to read it, not a file, or too large
    rules_invalid,     // not YAML, or not of uap-core's form, or no rule that RE2 takes
    out_of_memory,
};

// Empty where the rules find nothing (uap-core's "Other").
struct AgentInfo {
    ShortText<64> browser;          // for people: family and version, "Chrome 126.0", "curl 8.5.0"
    ShortText<64> browser_family;   // "Chrome"
    ShortText<32> browser_version;  // all parts the rules found: "126.0.0"
    ShortText<64> os;               // "Windows 10", "iOS 17.4"
    ShortText<64> os_family;
    ShortText<32> os_version;
};

// What reading the rules came to.
struct AgentRules {
    std::uint32_t browser_rules = 0;
    std::uint32_t os_rules = 0;
    std::uint32_t refused_rules = 0;  // those that RE2 cannot take (look-around, back references): left out
    std::uint32_t unfiltered_rules = 0;  // those without a fixed part, tried on every agent
    std::uint32_t load_microseconds = 0;
    std::uint32_t loads = 0;  // how often the rules have been read with success
};

struct AgentParser;

// Makes the state for the rules in `path`, which need not exist yet. Null when out of memory.
AgentParser* open_agents(std::string_view path) noexcept;
void close_agents(AgentParser* parser) noexcept;

// Reads the rules now when they are not at hand or have changed, without the minute's wait. `rules` may be
// null. `error` gets a message that ends in a zero byte.
AgentStatus load_agent_rules(AgentParser& parser, AgentRules* rules, std::span<char> error) noexcept;

// Resolves one agent. When the status is not ok, `info` is empty and `error` says why.
AgentStatus resolve_agent(AgentParser& parser, std::string_view agent, AgentInfo& info,
                          std::span<char> error) noexcept;

}  // namespace mirox::enrich

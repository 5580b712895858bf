// Browser and operating system of a user agent, by the rules of uap-core (regexes.yaml).
//
// Holds no server call. Plain data in and out, nothing throws, no static objects: open_agents makes the state, which lives behind
// a pointer. Only the worker's single thread uses it, so it takes no lock.
//
// The rules are read at the first agent, so a worker that sees none pays nothing. They are read again when the file changes.
#pragma once

#include <span>
#include <string_view>

#include "enrich/text.hpp"

namespace mirox::enrich {

// For people: family and version, "Chrome 126.0", "iOS 17.4". Empty where the rules find nothing (uap-core's "Other").
struct AgentInfo {
    Text browser;
    Text os;
};

struct Agents;

// Makes the state for the rules in `path`, which need not exist yet. Null when out of memory.
Agents* open_agents(const char* path) noexcept;
void close_agents(Agents* agents) noexcept;

// Resolves one agent. While the rule file cannot be read, the rules read before stay in use. The status is ok only when there are
// rules; otherwise `why` gets the reason.
Status resolve_agent(Agents& agents, std::string_view agent, AgentInfo& info, std::span<char> why) noexcept;

}  // namespace mirox::enrich

// The interface of mirox_tokens_enrich.so, which only the worker loads: a table of functions over plain structs. The library
// links the parsers of user agents and locations (RE2, yaml-cpp, libmaxminddb). So when one of these is missing, only enrichment
// stops, and no server.
//
// Holds no server call; nothing throws. The caller compares the version before it reads anything else of the table.
#pragma once

#include <cstddef>
#include <cstdint>

#include "enrich/agents.hpp"
#include "enrich/places.hpp"

namespace mirox::enrich {

// Raise it with every change of the table or of a struct that its functions take.
inline constexpr std::uint32_t kTableVersion = 2;
inline constexpr char kLibrary[] = "$libdir/mirox_tokens_enrich";
inline constexpr char kTableFunction[] = "mirox_enrich_table";

struct Table {
    std::uint32_t version;
    Agents* (*open_agents)(const char* path) noexcept;
    void (*close_agents)(Agents* agents) noexcept;
    Status (*resolve_agent)(Agents& agents, std::string_view agent, AgentInfo& info, std::span<char> why) noexcept;
    Locations* (*open_locations)(const char* path) noexcept;
    void (*close_locations)(Locations* locations) noexcept;
    Status (*refresh_locations)(Locations& locations, std::span<char> why) noexcept;
    void (*locate)(const Locations& locations, std::span<const std::uint8_t> address, Place& out) noexcept;
};

using GetTable = const Table* (*)() noexcept;

}  // namespace mirox::enrich

// What mirox_tokens_enrich.so offers to the worker, which alone loads it: a table of functions over plain structs. The library links
// what reads user agents and locations (RE2, yaml-cpp, libmaxminddb), so that a missing one of these stops enrichment and no server.
//
// Holds no server call; nothing throws. The caller compares the version before it reads anything else of the table.
#pragma once

#include <cstddef>
#include <cstdint>

#include "enrich/agents.hpp"
#include "enrich/places.hpp"

namespace mirox::enrich {

// Changes with any change of the table or of a struct that its functions take.
inline constexpr std::uint32_t kTableVersion = 1;
inline constexpr char kLibrary[] = "$libdir/mirox_tokens_enrich";
inline constexpr char kTableFunction[] = "mirox_enrich_table";

struct Table {
    std::uint32_t version;
    AgentParser* (*open_agents)(std::string_view path) noexcept;
    void (*close_agents)(AgentParser* parser) noexcept;
    AgentStatus (*resolve_agent)(AgentParser& parser, std::string_view agent, AgentInfo& info,
                                 std::span<char> error) noexcept;
    LocationDatabase* (*open_locations)(std::string_view path) noexcept;
    void (*close_locations)(LocationDatabase* database) noexcept;
    LocationStatus (*refresh_locations)(LocationDatabase& database, LocationFile* file,
                                        std::span<char> error) noexcept;
    LocationStatus (*locate)(const LocationDatabase& database, std::span<const std::uint8_t> address,
                             Location& location, std::span<char> error) noexcept;
};

using GetTable = const Table* (*)() noexcept;

}  // namespace mirox::enrich

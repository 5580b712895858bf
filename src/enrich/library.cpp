// The library mirox_tokens_enrich.so as the server loads it: the magic block, and the table that the worker reads. Takes no
// locks.
#include "pg/prelude.hpp"
//
#include "enrich/table.hpp"

extern "C" {
MIROX_MODULE_MAGIC;
PGDLLEXPORT const mirox::enrich::Table* mirox_enrich_table() noexcept;

const mirox::enrich::Table* mirox_enrich_table() noexcept {
    using namespace mirox::enrich;
    static constexpr Table table = {kTableVersion,  open_agents,     close_agents,      resolve_agent,
                                    open_locations, close_locations, refresh_locations, locate};
    return &table;
}
}

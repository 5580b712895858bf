// Browser, system and location for the worker, from mirox_tokens_enrich.so (enrich/table.hpp) with the files that the settings
// name. An error is logged once, and mirox.stat shows it. Takes no locks; reads files, no tables.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/client_address.hpp"
#include "enrich/table.hpp"
#include "shmem/control.hpp"

namespace mirox::worker {

// Call once a round, outside a transaction. Loads the library when it is not loaded yet, opens the files that the settings name,
// and checks whether the file of locations has changed.
void refresh_lookups(shmem::DatabaseStats* stats);

// False when the rules cannot be read, or this round's time for user agents is used up; then `out` is empty, and a later round
// tries again.
bool look_up_agent(shmem::DatabaseStats* stats, std::string_view agent, enrich::AgentInfo& out);

// Whether there is a file of locations.
bool has_places();
// Country, region, city, position and the text that joins them. Each part is empty when unknown.
enrich::Place look_up_place(const core::Address& address);

}  // namespace mirox::worker

// Browser, system and location for the worker: the enrichers (enrich_agent.hpp, enrich_geo.hpp) under the settings, with what
// fails said once in the log and in mirox.stat. Takes no locks; reads files, no tables.
#pragma once

#include "pg/prelude.hpp"
//
#include "shmem/core_base.hpp"
#include "shmem/events.hpp"
#include "worker/enrich_agent.hpp"
#include "worker/enrich_geo.hpp"

namespace mirox::worker {

// Once a round: opens what the settings name, and looks whether the location file is new.
void refresh_lookups(shmem::Seat* seat);

// False: the rules cannot be read now; ask again later. `out` is empty then.
bool look_up_agent(shmem::Seat* seat, std::string_view agent, AgentInfo& out);

// Where the address is, empty when not known.
void look_up_location(const shmem::Address& address, Location& out);

}  // namespace mirox::worker

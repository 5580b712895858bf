// Browser, system and location for the worker: mirox_tokens_enrich.so (enrich/table.hpp) under the settings, with what
// fails said once in the log and in mirox.stat. Takes no locks; reads files, no tables.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/client_address.hpp"
#include "enrich/table.hpp"
#include "shmem/control.hpp"

namespace mirox::worker {

// Once a round, outside of a transaction: loads the library when it is not there yet, opens what the settings name, and looks
// whether the location file is new.
void refresh_lookups(shmem::DatabaseStats* stats);

// False: the rules cannot be read now, or this round has given enough time to agents; ask again later. `out` is empty then.
bool look_up_agent(shmem::DatabaseStats* stats, std::string_view agent, enrich::AgentInfo& out);

// Where the address is, as a text Datum; empty when not known.
Datum location_datum(const core::Address& address);

}  // namespace mirox::worker

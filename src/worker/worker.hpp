// The background processes: one launcher, and a worker for each database while it has something to do.
#pragma once

#include "pg/prelude.hpp"

namespace mirox::worker {

// A worker's errand, in bgw_extra: it was asked for, or it looks in as it does every hour and leaves when it finds nothing.
inline constexpr char kOnDemand[] = "demand";
inline constexpr char kVisit[] = "visit";

// Called from _PG_init while shared_preload_libraries is worked off.
void register_launcher();

// Keeps workers out of databases that a command needs empty (utility.cpp); called from _PG_init.
void watch_commands();

}  // namespace mirox::worker

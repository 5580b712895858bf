// The background processes: one launcher, and a worker for each database that has work.
#pragma once

#include "pg/prelude.hpp"

namespace mirox::worker {

// Why a worker was started, in bgw_extra: events wait, or it is the hourly visit, from which it leaves when there is no work.
inline constexpr char kOnDemand[] = "demand";
inline constexpr char kVisit[] = "visit";

// Called from _PG_init when the library is in shared_preload_libraries.
void register_launcher();

// Keeps workers out of databases that a command needs empty (commands.cpp); called from _PG_init.
void watch_commands();

}  // namespace mirox::worker

// What the extension keeps in shared memory: asked for while the server starts, found by each backend.
//
// Locks: AddinShmemInitLock while it is set up; what stands in it is lock-free or brings its own locks (core_*.hpp).
#pragma once

#include "pg/prelude.hpp"
//
#include "shmem/core_limits.hpp"

namespace mirox::shmem {

// Called from _PG_init while shared_preload_libraries is worked off, after the settings were defined.
void request_region();

// The words of the rate limits. 55000 when the server was started without us.
Limits& limits();

// How much ordinary shared memory was asked for.
std::size_t region_size();

}  // namespace mirox::shmem

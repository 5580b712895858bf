// What the extension keeps in shared memory: asked for while the server starts, and set up before any child runs. Each part is
// found by the function in the header named after it: region(), control(), limits(), key_shelf().
//
// Locks: AddinShmemInitLock while it is set up; what stands in it is lock-free or brings its own locks.
#pragma once

#include "pg/prelude.hpp"

namespace mirox::shmem {

// Called from _PG_init while shared_preload_libraries is worked off, after the settings were defined.
void request_shared_memory();

// How much there is of it, the region's file included.
std::size_t shared_bytes();

// Asks the server for so many bytes under this name, on a cache line; *found when they were there before.
std::byte* shared_part(const char* name, std::size_t bytes, bool* found);

}  // namespace mirox::shmem

// The extension's shared memory, requested while the server starts and set up before any child runs. Each part has a header with
// a function of the same name: region(), control(), limits(), shared_keys().
//
// Locks: AddinShmemInitLock while it is set up. The parts are lock-free or have their own locks.
#pragma once

#include "pg/prelude.hpp"

namespace mirox::shmem {

// Called from _PG_init when the library is in shared_preload_libraries, after the settings were defined.
void request_shared_memory();

// Its size in bytes, the region's file included.
std::size_t shared_bytes();

// Gets memory of this name and size from the server, aligned to a cache line. *found is true when it existed before.
std::byte* shared_part(const char* name, std::size_t bytes, bool* found);

}  // namespace mirox::shmem

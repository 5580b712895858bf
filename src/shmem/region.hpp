// The file-backed region of the event ring, the counters and the refusals of unauthenticated callers (core_region.hpp), and this
// backend's queue in it.
//
// The file is in pg_stat_tmp, which base backups and pg_rewind leave out. The postmaster makes or attaches it before any child
// runs, at start and again after a crash of a child; children inherit the mapping. The file outlives all processes, so events
// that were published and not drained are there at the next start.
//
// Locks: region_lock(), one LWLock, exclusive for functions that core_*.hpp marks exclusive, shared for those marked shared. A
// check takes no lock once its backend knows its queue.
#pragma once

#include "pg/prelude.hpp"
//
#include "shmem/core_region.hpp"

extern "C" {
#include "storage/lwlock.h"
}

namespace mirox::shmem {

inline constexpr int kMaxDatabases = 64;

// The region of this server; false when the library is not in shared_preload_libraries.
Region& region();
// The same, with ERROR 55000 in that case.
Region& required_region();
LWLock* region_lock();

// The queue of this backend's database, opened when it has none yet; empty when all queues are taken.
QueueRef my_queue();
void forget_queue();

// Bytes of the file.
std::size_t region_size();

// Called by startup.cpp in the postmaster; start_region() also after a crash of a child.
void request_region();
void start_region();

}  // namespace mirox::shmem

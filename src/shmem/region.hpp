// The file-backed region of the event ring, the counters and the refusals of unauthenticated callers (core_region.hpp), and this
// backend's queue in it.
//
// The file lies in pg_stat_tmp, which base backups and pg_rewind leave out. The postmaster makes or attaches it before any child
// runs, at the start and again after a crash of one; children inherit the mapping. It outlives every process, so what was
// published and not drained is there at the next start.
//
// Locks: region_lock() (one LWLock) exclusive for what core_*.hpp marks exclusive, shared for what it marks shared; none on a
// check's path once a backend knows its queue.
#pragma once

#include "pg/prelude.hpp"
//
#include "shmem/core_region.hpp"

extern "C" {
#include "storage/lwlock.h"
}

namespace mirox::shmem {

inline constexpr int kMaxDatabases = 64;

// The region of this server; invalid (false) in a server that was started without us.
Region& region();
// 55000 in such a server.
Region& required_region();
LWLock* region_lock();

// This backend's queue, opened when the database has none yet; empty when there is no room for one.
QueueRef my_queue();
void forget_queue();

// Bytes of the file.
std::size_t region_size();

// Called by startup.cpp, in the postmaster; start_region() again after a crash of a child.
void request_region();
void start_region();

}  // namespace mirox::shmem

// Recorded use in shared memory: the file-backed region of the event ring, counters and strangers (core_region.hpp), and the
// control block by which backends, workers and the launcher find each other.
//
// The file lies in pg_stat_tmp, which base backups and pg_rewind leave out. The postmaster makes or attaches it before any child
// runs, at the start and again after a crash of one; children inherit the mapping. It outlives every process, so what was
// published and not drained is there at the next start.
//
// Locks: region_lock() (one LWLock) exclusive for what core_*.hpp marks exclusive, shared for what it marks shared, and for the
// control block's seats and bars; none on a check's path.
#pragma once

#include "pg/prelude.hpp"
//
#include <atomic>

#include "shmem/core_region.hpp"

extern "C" {
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
}

namespace mirox::shmem {

inline constexpr int kMaxDatabases = 64;
inline constexpr int kReasonCodes = 16;  // room for store::Reason

// The worker of a database, while it runs, and what it has done since the start of the server (or the last reset).
struct Seat {
    std::atomic<std::uint32_t> database;  // 0: free
    std::atomic<std::int32_t> pid;        // 0: no worker
    std::atomic<Latch*> latch;            // of the worker; null: none
    std::atomic<std::uint64_t> checks[kReasonCodes];
    std::atomic<std::uint64_t> drains;
    std::atomic<std::uint64_t> flushed;        // events written to the tables
    std::atomic<std::uint64_t> drain_us;       // time spent in drains
    std::atomic<std::int64_t> last_drain_at;   // TimestampTz, 0: none
    std::atomic<std::int64_t> stats_reset_at;  // TimestampTz, 0: never
    std::atomic<std::uint64_t> dropped_before_reset;
    std::atomic<std::uint32_t> geo_state;  // worker's own codes, for mirox.stat
    std::atomic<std::uint32_t> agent_state;
};

// A database whose worker must stay away while a command needs it empty.
struct Bar {
    std::uint32_t database;  // 0: free
    std::int32_t pid;        // whose command it is
};

struct Control {
    std::atomic<Latch*> launcher;
    ConditionVariable drained;  // broadcast after each drain and when a worker leaves
    Seat seats[kMaxDatabases];
    Bar bars[kMaxDatabases];
};

// Called by region.cpp's hooks, in the postmaster.
void request_events();
void start_events();

// The region of this server; invalid (false) in a server that was started without us.
Region& region();
Control& control();
LWLock* region_lock();

// This backend's lane, opened when the database has none yet; empty when there is no room for one.
LaneRef my_lane();
void forget_lane();

// The seat of a database; made when `make`. Null when there is none or no room. Call with region_lock() held (exclusive to
// make).
Seat* seat_of(std::uint32_t database, bool make);

// Wakes the database's worker, or else the launcher, which starts one. No lock, no ERROR.
void wake_worker(std::uint32_t database);

// Bytes of the file.
std::size_t events_size();

}  // namespace mirox::shmem

// The control block in shared memory, by which backends, workers and the launcher find each other, and what has happened in each
// database since the server's start.
//
// Locks: region_lock() exclusive for making slots, for workers and for databases that workers are kept away from; none on a
// check's path once a backend knows its slot.
#pragma once

#include "pg/prelude.hpp"
//
#include <atomic>

#include "core/reason.hpp"
#include "shmem/core_base.hpp"
#include "shmem/region.hpp"

extern "C" {
#include "datatype/timestamp.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
}

namespace mirox::shmem {

inline constexpr int kStripes = 16;  // so that backends that count at once meet seldom

// How reading the rules of agents and the file of locations went, for mirox.stat.
enum class Enricher : std::uint32_t { unused, ok, none, unreadable, invalid, missing };

// What a worker does, each in transactions of its own.
enum class Duty : std::uint32_t { uses, unauthenticated, minutes, notices, house };
inline constexpr int kDuties = 5;
// For a message that begins with who could not.
const char* could_not(Duty duty);

// What went wrong last, and what still does. Read and written under region_lock(), but for `failing`.
struct Failure {
    std::atomic<std::uint32_t> failing;  // a bit for each Duty
    Duty duty;
    std::int32_t sqlstate;
    TimestampTz at;     // 0: nothing has failed yet
    TimestampTz since;  // of what fails still
    struct {
        TimestampTz at;      // when the log was told, since this duty fails; 0: not yet
        std::uint32_t what;  // hash of what it was told
    } said[kDuties];
    char message[256];  // the server's, for level admin alone: it may quote values
};

// What has happened in a database since the start of the server. It is given to another database only when its own is gone.
struct DatabaseStats {
    std::atomic<std::uint32_t> database;      // 0: free
    std::atomic<std::uint32_t> geo;           // Enricher
    std::atomic<std::uint32_t> agents;        // Enricher
    std::atomic<std::uint64_t> requested;     // calls of flush()
    std::atomic<std::uint64_t> completed;     // of those, which a whole drain has followed
    std::atomic<std::uint64_t> failed;        // of those, which a drain that failed has followed
    std::atomic<std::uint64_t> steps;         // transactions of the worker that have ended, however
    std::atomic<std::int64_t> missing_since;  // TimestampTz since when no worker could be started, 0: not so
    Failure failure;
    std::atomic<std::uint64_t> drains;
    std::atomic<std::uint64_t> failures;
    std::atomic<std::uint64_t> flushed;        // events written to the tables
    std::atomic<std::uint64_t> drain_us;       // time spent in drains
    std::atomic<std::int64_t> last_drain_at;   // TimestampTz, 0: none
    std::atomic<std::int64_t> stats_reset_at;  // TimestampTz, 0: never
    struct alignas(kCacheLine) {
        std::atomic<std::uint64_t> of[core::kReasons];
    } checks[kStripes];
};

// A worker that runs, and the database that it works on.
struct Worker {
    std::atomic<std::uint32_t> database;  // 0: free
    std::atomic<std::int32_t> pid;
    std::atomic<Latch*> latch;  // null until it is connected
    // 1: woken by one of us since it last looked; the server sets latches for reasons of its own.
    std::atomic<std::uint32_t> woken;
};

// A database whose worker must stay away while a command needs it empty.
struct KeptAway {
    std::uint32_t database;  // 0: free
    std::int32_t pid;        // whose command it is
};

struct Control {
    std::atomic<Latch*> launcher;
    std::atomic<std::uint32_t> starved;  // 1: a database waits for a worker and there is no room for one more
    ConditionVariable drained;           // broadcast after each drain and when a worker leaves
    Worker workers[kMaxDatabases];
    KeptAway kept_away[kMaxDatabases];
    DatabaseStats stats[kMaxDatabases];
};

Control& control();

// This database's stats, made when it has none yet; null when there is no room for one.
DatabaseStats* my_stats();

// The stats of a database, null when it has none. No lock.
DatabaseStats* stats_of(std::uint32_t database);
// The same, made when there is room. Call with region_lock() held exclusively.
DatabaseStats* make_stats(std::uint32_t database);

// The worker of a database, null when none runs. No lock; hold one to act on it.
Worker* worker_of(std::uint32_t database);
// Whether a command wants the database empty. Call with region_lock() held.
bool is_kept_away(std::uint32_t database);

// Whether anything of the database waits for a worker. No lock.
bool wants_worker(std::uint32_t database);

// Takes down that a duty failed, with the server's message. True when the log, which `tell` asks for, was not told of the same
// within the last hour. Takes region_lock().
bool note_failure(DatabaseStats& stats, Duty duty, int sqlstate, const char* message, bool tell);
// … or that it is well (again). Takes region_lock() when it was not.
void note_success(DatabaseStats& stats, Duty duty);

// Wakes the database's worker, or else the launcher, which starts one. No lock, no ERROR.
void wake_worker(std::uint32_t database);
void wake_launcher();

// Called by startup.cpp. False in a process that finds it made.
bool start_control();

}  // namespace mirox::shmem

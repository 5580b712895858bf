// The control block in shared memory. Through it backends, workers and the launcher find each other. It also holds the statistics
// of each database since the server's start.
//
// Locks: region_lock() exclusive to take a slot for stats or a worker, and to change the list of databases that workers are kept
// away from. A check takes no lock once its backend knows its slot.
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

inline constexpr int kStripes = 16;  // so that backends that count at the same time rarely write the same cache line

// The state of the user agent rules and of the file of locations, for mirox.stat.
enum class Enricher : std::uint32_t { unused, ok, none, unreadable, invalid, missing };

// The jobs of a worker. Each has transactions of its own.
enum class Job : std::uint32_t { uses, unauthenticated, minutes, sums, notices, maintenance, policies, erasures };
inline constexpr int kJobs = 8;
// The predicate of an error message, as in "could not send notices of expiration".
const char* could_not(Job job);

// The last failure, and which jobs still fail. Read and written under region_lock(), except `failing`.
struct Failure {
    std::atomic<std::uint32_t> failing;  // a bit for each Job
    Job job;
    std::int32_t sqlstate;
    TimestampTz at;     // 0: nothing has failed yet
    TimestampTz since;  // since when a job has been failing; 0: none is
    struct {
        TimestampTz at;      // when this failure was logged last; 0: not yet
        std::uint32_t hash;  // of that message
    } logged[kJobs];
    char message[256];  // the server's; only for level admin, since it may quote values
};

// How many texts of a kind that the tables did not have yet were written in a day. Only the database's worker uses it.
struct NewTexts {
    TimestampTz day;  // number of the day
    std::int32_t count;
};

// The statistics of a database since the server's start. The slot is given to another database only when this one no longer
// exists.
struct DatabaseStats {
    std::atomic<std::uint32_t> database;      // 0: free
    std::atomic<std::uint32_t> geo;           // Enricher
    std::atomic<std::uint32_t> agents;        // Enricher
    std::atomic<std::uint64_t> requested;     // calls of flush()
    std::atomic<std::uint64_t> completed;     // how many of those had a successful drain after them
    std::atomic<std::uint64_t> failed;        // how many of those had a failed drain after them
    std::atomic<std::uint64_t> steps;         // transactions of the worker that have ended, by commit or rollback
    std::atomic<std::int64_t> missing_since;  // TimestampTz since when no worker could be started; 0: none is missing
    // The walk over all tokens for their groups' policies (worker/policies.hpp).
    std::atomic<std::int64_t> walked;         // the last token_id seen; 0: the next walk begins
    std::atomic<std::int64_t> unused_so_far;  // unused tokens that the present walk has met
    std::atomic<std::int64_t> unused_tokens;  // the same, of the last whole walk
    std::atomic<std::int64_t> walked_at;      // TimestampTz of the end of the last whole walk; 0: none yet
    NewTexts new_texts[kTexts];
    Failure failure;
    std::atomic<std::uint64_t> drains;
    std::atomic<std::uint64_t> failures;
    std::atomic<std::uint64_t> flushed;          // events written to the tables
    std::atomic<std::uint64_t> drain_us;         // time spent in drains
    std::atomic<std::uint64_t> too_late;         // uses older than minute_retention
    std::atomic<std::int64_t> drop_waits_since;  // TimestampTz since when a partition cannot be dropped; 0: none waits
    std::atomic<std::int64_t> last_drain_at;     // TimestampTz, 0: none
    std::atomic<std::int64_t> stats_reset_at;    // TimestampTz, 0: never
    struct alignas(kCacheLine) {
        std::atomic<std::uint64_t> of[core::kReasons];
    } checks[kStripes];
};

// A worker that runs, and the database that it works on.
struct Worker {
    std::atomic<std::uint32_t> database;  // 0: free
    std::atomic<std::int32_t> pid;
    std::atomic<Latch*> latch;  // null until it is connected
    // 1: this extension has woken it since it last looked. The server sets latches for other reasons too.
    std::atomic<std::uint32_t> woken;
};

// A database whose worker must stay away while a command needs it empty.
struct KeptAway {
    std::uint32_t database;  // 0: free
    std::int32_t pid;        // the backend that runs the command
};

struct Control {
    std::atomic<Latch*> launcher;
    std::atomic<std::uint32_t> starved;  // 1: a database waits for a worker and no background worker slot is free
    ConditionVariable drained;           // broadcast after each drain and when a worker exits
    Worker workers[kMaxDatabases];
    KeptAway kept_away[kMaxDatabases];
    DatabaseStats stats[kMaxDatabases];
};

Control& control();

// This database's stats, made when it has none yet; null when no slot is free.
DatabaseStats* my_stats();

// The stats of a database, null when it has none. No lock.
DatabaseStats* stats_of(std::uint32_t database);
// The same, made when a slot is free. Call with region_lock() held exclusively.
DatabaseStats* make_stats(std::uint32_t database);

// The slot of a database's worker, null when none runs. Takes no lock; without one the answer may be out of date.
Worker* worker_of(std::uint32_t database);
// Whether a command needs the database empty. Call with region_lock() held.
bool is_kept_away(std::uint32_t database);

// Whether the database has work for a worker. No lock.
bool wants_worker(std::uint32_t database);

// Notes that a job failed, with the server's message. True when the caller should log it: `log` is set, and the same failure was
// not logged within the last hour. Takes region_lock().
bool note_failure(DatabaseStats& stats, Job job, int sqlstate, const char* message, bool log);
// Notes that a job succeeded. Takes region_lock() when it had failed before.
void note_success(DatabaseStats& stats, Job job);

// Wakes the database's worker, or the launcher, which starts one. No lock, no ERROR.
void wake_worker(std::uint32_t database);
void wake_launcher();

// Called by startup.cpp. False in a process that finds the control block made.
bool start_control();

}  // namespace mirox::shmem

// The launcher. It starts a worker for each database whose events wait in the ring, and every hour one for each database in turn.
// It is connected to no database, and reads pg_database as autovacuum's launcher does. Events of databases that no longer exist
// are discarded and counted.
//
// Locks: region_lock(), shared to read and exclusive to close queues and free stats; AccessShareLock on pg_database in short
// transactions.
#include "worker/worker.hpp"

#include "pg/entry.hpp"
#include "pg/settings.hpp"
#include "pg/transaction.hpp"
#include "shmem/control.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_database.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
}

namespace mirox::worker {
namespace {

constexpr TimestampTz kVisits = USECS_PER_HOUR;
constexpr TimestampTz kFirstVisits = 30 * USECS_PER_SEC;
constexpr TimestampTz kStarting = 10 * USECS_PER_SEC;  // how long a start may take before the retry
constexpr TimestampTz kLogAgain = USECS_PER_HOUR;
constexpr int kMissingAfter = 5;  // starts in a row without a result, after which the worker counts as missing
constexpr int kAtOnce = 2;        // visits
constexpr int kMaxStarts = shmem::kMaxDatabases * 2;

constexpr char kLauncherMain[] = "mirox_launcher_main";

// A worker that the postmaster was asked to start.
struct Start {
    Oid database;  // InvalidOid: free
    BackgroundWorkerHandle* handle;
    TimestampTz at;
    int attempts;  // starts in a row after which no worker ran
    bool visit;
};

struct State {
    Start starts[kMaxStarts];
    Oid* databases;  // those that accept connections; palloc'd in `kept`
    int database_count;
    Oid* every;  // all databases
    int every_count;
    Oid* to_visit;
    int visit_count;
    TimestampTz next_visits;
    TimestampTz full_logged_at;  // when the log was told that no slot is free
    MemoryContext kept;
};

void leave(int, Datum) {
    shmem::control().launcher.store(nullptr, std::memory_order_release);
}

void list_databases(void* at) {
    State& state = *static_cast<State*>(at);
    Relation databases = table_open(DatabaseRelationId, AccessShareLock);
    TableScanDesc scan = table_beginscan_catalog(databases, 0, nullptr);
    MemoryContextReset(state.kept);
    int room = 64;
    state.databases = static_cast<Oid*>(MemoryContextAlloc(state.kept, sizeof(Oid) * room));
    state.every = static_cast<Oid*>(MemoryContextAlloc(state.kept, sizeof(Oid) * room));
    state.database_count = state.every_count = 0;
    while (HeapTuple tuple = heap_getnext(scan, ForwardScanDirection)) {
        const auto* database = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
        if (state.every_count == room) {
            room *= 2;
            state.databases = static_cast<Oid*>(repalloc(state.databases, sizeof(Oid) * room));
            state.every = static_cast<Oid*>(repalloc(state.every, sizeof(Oid) * room));
        }
        state.every[state.every_count++] = database->oid;
        if (database->datallowconn && database->datconnlimit != -2) state.databases[state.database_count++] = database->oid;
    }
    table_endscan(scan);
    table_close(databases, AccessShareLock);
}

bool holds(const Oid* list, int count, Oid database) {
    for (int i = 0; i < count; i++)
        if (list[i] == database) return true;
    return false;
}

// Discards what shared memory holds of databases that no longer exist.
void forget_gone(const State& state) {
    shmem::Region& region = shmem::region();
    for (std::uint32_t i = 0; i < region.ring().max_queues(); i++) {
        const shmem::QueueRef queue = region.ring().queue_at(i);
        if (!queue || holds(state.every, state.every_count, queue.database())) continue;
        LWLockAcquire(shmem::region_lock(), LW_EXCLUSIVE);
        const bool closed = region.close_queue(queue.database());
        LWLockRelease(shmem::region_lock());
        if (closed)
            MIROX_LOG(LOG, errmsg("mirox_tokens gave up the recorded uses of database %u, which is gone", queue.database()));
    }
    for (std::uint32_t i = 0; i < region.unauthenticated().capacity(); i++) {
        const Oid database = region.unauthenticated().database_at(i);
        if (!OidIsValid(database) || holds(state.every, state.every_count, database)) continue;
        LWLockAcquire(shmem::region_lock(), LW_EXCLUSIVE);
        region.unauthenticated().forget(database);
        LWLockRelease(shmem::region_lock());
    }
    for (shmem::DatabaseStats& stats : shmem::control().stats) {
        const Oid database = stats.database.load(std::memory_order_relaxed);
        if (!OidIsValid(database) || holds(state.every, state.every_count, database)) continue;
        LWLockAcquire(shmem::region_lock(), LW_EXCLUSIVE);
        stats.database.store(InvalidOid, std::memory_order_release);
        LWLockRelease(shmem::region_lock());
    }
}

Start* start_of(State& state, Oid database) {
    for (Start& start : state.starts)
        if (start.database == database) return &start;
    return nullptr;
}

// True while the requested worker is starting or running.
bool is_starting(Start& start, TimestampTz now) {
    if (start.handle == nullptr) return false;
    pid_t pid;
    const BgwHandleStatus status = GetBackgroundWorkerPid(start.handle, &pid);
    if (status == BGWH_NOT_YET_STARTED && now - start.at < kStarting) return true;
    if (status == BGWH_STARTED) return true;
    pfree(start.handle);
    start.handle = nullptr;
    return false;
}

enum class Asked : std::uint8_t { started, waits, full };

// Asks the postmaster for a worker. When the last ones ended without a result, the pause before the retry grows, up to a minute.
Asked ask_for(State& state, Oid database, bool visit, TimestampTz now) {
    Start* start = start_of(state, database);
    if (start == nullptr) start = start_of(state, InvalidOid);
    if (start == nullptr) {
        for (Start& old : state.starts)
            if (!is_starting(old, now)) {
                start = &old;
                break;
            }
        if (start == nullptr) return Asked::waits;
        *start = {};
    }
    if (start->database != database) *start = {};
    start->database = database;
    if (is_starting(*start, now)) return Asked::waits;
    const TimestampTz pause = Min(USECS_PER_MINUTE, (start->attempts > 8 ? 600 : (1L << start->attempts)) * 100'000L);
    if (start->at != 0 && start->attempts > 0 && now - start->at < pause) return Asked::waits;
    LWLockAcquire(shmem::region_lock(), LW_SHARED);
    const bool kept_away = shmem::is_kept_away(database);
    LWLockRelease(shmem::region_lock());
    if (kept_away) return Asked::waits;
    BackgroundWorker worker = {};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    worker.bgw_main_arg = ObjectIdGetDatum(database);
    worker.bgw_notify_pid = MyProcPid;
    strlcpy(worker.bgw_library_name, "mirox_tokens", BGW_MAXLEN);
    strlcpy(worker.bgw_function_name, "mirox_worker_main", BGW_MAXLEN);
    strlcpy(worker.bgw_type, "mirox_tokens worker", BGW_MAXLEN);
    snprintf(worker.bgw_name, BGW_MAXLEN, "mirox_tokens worker for database %u", database);
    strlcpy(worker.bgw_extra, visit ? kVisit : kOnDemand, BGW_EXTRALEN);
    const MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);
    const bool registered = RegisterDynamicBackgroundWorker(&worker, &start->handle);
    MemoryContextSwitchTo(before);
    if (!registered) {
        start->handle = nullptr;
        shmem::control().starved.store(1, std::memory_order_relaxed);
        if (now - state.full_logged_at >= kLogAgain)
            MIROX_LOG(WARNING, errmsg("mirox_tokens could not start a worker: no background worker slot is free"),
                      errdetail("Recorded uses wait in shared memory; it is tried again."),
                      errhint("Raise max_worker_processes, which is %d.", max_worker_processes));
        state.full_logged_at = now - state.full_logged_at >= kLogAgain ? now : state.full_logged_at;
        return Asked::full;
    }
    start->attempts++;
    start->at = now;
    start->visit = visit;
    return Asked::started;
}

// A worker that runs, or has nothing left to do, ends the series of attempts.
void note_work(State& state, Oid database) {
    Start* start = start_of(state, database);
    if (start != nullptr) start->attempts = 0;
}

// Notes whether the events that wait in a database have no worker.
void note_missing(Oid database, bool missing, TimestampTz now) {
    shmem::DatabaseStats* stats = shmem::stats_of(database);
    if (stats == nullptr && missing) {
        LWLockAcquire(shmem::region_lock(), LW_EXCLUSIVE);
        stats = shmem::make_stats(database);
        LWLockRelease(shmem::region_lock());
    }
    if (stats == nullptr || (stats->missing_since.load(std::memory_order_relaxed) != 0) == missing) return;
    stats->missing_since.store(missing ? now : 0, std::memory_order_relaxed);
}

void start_workers(State& state) {
    pg::Trouble trouble;
    const TimestampTz now = GetCurrentTimestamp();
    if (!pg::in_transaction(list_databases, &state, trouble)) {
        MIROX_LOG(LOG, errmsg("mirox_tokens could not list the databases: %s", trouble.message));
        return;
    }
    forget_gone(state);
    bool full = false;
    for (int i = 0; i < state.database_count; i++) {
        const Oid database = state.databases[i];
        if (!shmem::wants_worker(database)) {
            note_work(state, database);
            note_missing(database, false, now);
            continue;
        }
        if (const shmem::Worker* worker = shmem::worker_of(database); worker != nullptr) {
            if (worker->latch.load(std::memory_order_relaxed) != nullptr) note_work(state, database);
            continue;
        }
        const bool none = ask_for(state, database, false, now) == Asked::full;
        const Start* start = start_of(state, database);
        if (none || (start != nullptr && start->attempts >= kMissingAfter)) note_missing(database, true, now);
        full = none || full;
    }
    if (!full) shmem::control().starved.store(0, std::memory_order_relaxed);

    if (now >= state.next_visits) {
        state.next_visits = now + kVisits;
        if (state.to_visit != nullptr) pfree(state.to_visit);
        state.to_visit = static_cast<Oid*>(MemoryContextAlloc(TopMemoryContext, sizeof(Oid) * Max(state.database_count, 1)));
        memcpy(state.to_visit, state.databases, sizeof(Oid) * state.database_count);
        state.visit_count = state.database_count;
    }
    int visiting = 0;
    for (Start& start : state.starts)
        if (start.visit && OidIsValid(start.database) && is_starting(start, now)) visiting++;
    while (state.visit_count > 0 && visiting < kAtOnce) {
        const Oid database = state.to_visit[state.visit_count - 1];
        // Templates too: CREATE DATABASE keeps the worker of its template away while it runs.
        if (holds(state.databases, state.database_count, database) && shmem::worker_of(database) == nullptr) {
            if (ask_for(state, database, true, now) != Asked::started) break;
            note_work(state, database);
            visiting++;
        }
        state.visit_count--;
    }
}

}  // namespace

void register_launcher() {
    BackgroundWorker worker = {};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = 1;
    strlcpy(worker.bgw_library_name, "mirox_tokens", BGW_MAXLEN);
    strlcpy(worker.bgw_function_name, kLauncherMain, BGW_MAXLEN);
    strlcpy(worker.bgw_name, "mirox_tokens launcher", BGW_MAXLEN);
    strlcpy(worker.bgw_type, "mirox_tokens launcher", BGW_MAXLEN);
    RegisterBackgroundWorker(&worker);
    // Logged here, since without a slot no process runs later that could write this warning.
    if (!IsPostmasterEnvironment || IsUnderPostmaster) return;
    bool found;
    const int count = pg::registered_workers(kLauncherMain, found);
    if (found && count < max_worker_processes) return;
    MIROX_LOG(WARNING,
              errmsg(found ? "mirox_tokens has no background worker slot for its workers"
                           : "mirox_tokens has no background worker slot for its launcher"),
              errdetail("Recorded uses will not be written to the tables."),
              errhint("Raise max_worker_processes, which is %d: one for the launcher, one for each database in use.",
                      max_worker_processes));
}

}  // namespace mirox::worker

MIROX_WORKER(launcher_main) {
    using namespace mirox::worker;
    pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
    BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);
    before_shmem_exit(leave, 0);
    mirox::shmem::control().launcher.store(MyLatch, std::memory_order_release);
    auto* state = static_cast<State*>(MemoryContextAllocZero(TopMemoryContext, sizeof(State)));
    state->kept = AllocSetContextCreate(TopMemoryContext, "mirox_tokens databases", ALLOCSET_SMALL_SIZES);
    state->next_visits = GetCurrentTimestamp() + kFirstVisits;
    for (;;) {
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
        if (ShutdownRequestPending) proc_exit(1);  // after 0 the postmaster would never start it again
        if (ConfigReloadPending) {
            ConfigReloadPending = false;
            ProcessConfigFile(PGC_SIGHUP);
        }
        start_workers(*state);
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
                        state->visit_count > 0 ? 1000 : Max(mirox::pg::settings().flush_interval, 100), PG_WAIT_EXTENSION);
        // A pause, in case the launcher is woken very often, as by a ring that stays full.
        pg_usleep(10'000);
    }
}

// A database's worker. It drains the ring into the tables every mirox_tokens.flush_interval, or when it is woken. It closes
// minutes, sends notices, and does maintenance in slices between drains. It exits when it has had no work for a while, so that an
// idle database has no process, and immediately when a command needs the database empty. Told to stop, it cancels its running
// statement, waits for the backends of its database to exit, and drains once more. Between its short transactions it holds no
// lock.
//
// Locks: region_lock() exclusive for its slot among the workers.
#include "worker/worker.hpp"

#include "pg/catalog.hpp"
#include "pg/entry.hpp"
#include "pg/query.hpp"
#include "pg/settings.hpp"
#include "pg/transaction.hpp"
#include "shmem/control.hpp"
#include "worker/batch.hpp"
#include "worker/closing.hpp"
#include "worker/drain.hpp"
#include "worker/erasing.hpp"
#include "worker/maintenance.hpp"
#include "worker/partitions.hpp"
#include "worker/policies.hpp"
#include "worker/summing.hpp"

extern "C" {
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
}

namespace mirox::worker {
namespace {

constexpr TimestampTz kIdle = 60 * USECS_PER_SEC;
constexpr TimestampTz kEachMinute = 60 * USECS_PER_SEC;  // notices, and a look for hours and days that are over
constexpr TimestampTz kLater = 10'000;                   // by then the backend has written its event
constexpr long kLeastBackoffMs = 250, kMostBackoffMs = 30000;
// When more uses are open, they move to the closed tables before their minute is over, so that no view has to unpack more.
constexpr std::uint64_t kMostOpen = 100'000;
// The number of failures in a row after which they are logged.
constexpr int kLogAfter = 2;
// When told to stop: how long it waits for the database's backends, and how long all of the stop takes at most.
constexpr TimestampTz kOthersLeave = 2 * USECS_PER_SEC, kStops = 3 * USECS_PER_SEC;

constinit Oid database = InvalidOid;
constinit shmem::Worker* slot = nullptr;
constinit shmem::DatabaseStats* stats = nullptr;  // null when the database has none

void leave(int, Datum) {
    if (slot == nullptr) return;
    LWLockAcquire(shmem::region_lock(), LW_EXCLUSIVE);
    slot->latch.store(nullptr, std::memory_order_relaxed);
    slot->pid.store(0, std::memory_order_relaxed);
    slot->database.store(InvalidOid, std::memory_order_release);
    LWLockRelease(shmem::region_lock());
    slot = nullptr;
    ConditionVariableBroadcast(&shmem::control().drained);
    shmem::wake_launcher();
}

// False when a command needs the database empty, when it has a worker already, or when all slots are taken.
bool take_slot() {
    LWLockAcquire(shmem::region_lock(), LW_EXCLUSIVE);
    if (!shmem::is_kept_away(database) && shmem::worker_of(database) == nullptr) {
        slot = shmem::worker_of(InvalidOid);
        if (slot != nullptr) {
            stats = shmem::stats_of(database);
            slot->pid.store(MyProcPid, std::memory_order_relaxed);
            slot->database.store(database, std::memory_order_release);
        }
    }
    LWLockRelease(shmem::region_lock());
    return slot != nullptr;
}

bool must_leave() {
    LWLockAcquire(shmem::region_lock(), LW_SHARED);
    const bool kept_away = shmem::is_kept_away(database);
    LWLockRelease(shmem::region_lock());
    return kept_away;
}

// Settings of ALTER DATABASE, ALTER ROLE and ALTER SYSTEM must not change what the worker writes, nor prevent it.
void fix_settings() {
    constexpr struct {
        const char *name, *value;
    } kSettings[] = {
        // The worker waits no longer than this for a user's open transaction. It is below the default deadlock_timeout, so that
        // in a deadlock the worker's statement fails, not the user's.
        {"lock_timeout", "400"},
        // A drain has no time limit. Steps that have one set it themselves.
        {"statement_timeout", "0"},
        {"transaction_timeout", "0"},  // since PostgreSQL 17; it would end the process
        {"idle_in_transaction_session_timeout", "0"},
        {"default_transaction_read_only", "off"},
        {"default_transaction_isolation", "read committed"},
        {"default_transaction_deferrable", "off"},
        {"session_replication_role", "origin"},
        // An error rolls back one transaction and does not end the process.
        {"exit_on_error", "off"},
        // The worker's statements read views of the extension.
        {"restrict_nonsystem_relation_kind", ""},
        {"row_security", "off"},
        // Plans that use keys (see plan_by_keys()), made once, without parallel workers.
        {"plan_cache_mode", "force_generic_plan"},
        {"enable_indexscan", "on"},
        {"enable_nestloop", "on"},
        {"enable_tidscan", "on"},
        {"max_parallel_workers_per_gather", "0"},
        {"jit", "off"},
        // Partitions are made where the other tables are, whatever the database's owner may name.
        {"default_tablespace", ""},
        {"temp_tablespaces", ""},
        {"default_table_access_method", "heap"},
        // How values and texts are written.
        {"timezone", "UTC"},
        {"datestyle", "ISO"},
        {"intervalstyle", "postgres"},
        {"standard_conforming_strings", "on"},
        // The ring is freed only after the commit is on disk here. A standby that does not answer holds up no drain.
        {"synchronous_commit", "local"},
    };
    for (const auto& setting : kSettings)
        if (GetConfigOption(setting.name, true, false) != nullptr)
            SetConfigOption(setting.name, setting.value, PGC_SUSET, PGC_S_OVERRIDE);
}

struct State {
    bool visit;
    int failures;  // of drains, in a row
    Closing closing;
    Summing summing;
    Policies policies;
    Erasing erasing;
    Notices notices;
    bool more_notices;
    Maintenance maintenance;
    TimestampTz last_work, last_minute, next_round;
    TimestampTz closed;   // minutes before this one are closed
    TimestampTz closes;   // the same when the closing that goes on has ended
    std::uint64_t open;   // about how many uses by minute and caller were written since
    std::uint64_t asked;  // calls of flush() before the last round
    MemoryContext round;
};

// Notes the result of a job, and logs a failure that lasts. A job that was cancelled because the worker stops has not failed.
void report(shmem::Job job, bool well, const pg::Trouble& trouble, int failures) {
    if (well) {
        if (stats != nullptr) shmem::note_success(*stats, job);
        return;
    }
    if (ShutdownRequestPending) return;
    if (stats != nullptr) stats->failures.fetch_add(1, std::memory_order_relaxed);
    const bool lasts = failures >= kLogAfter;
    const bool news = stats == nullptr || shmem::note_failure(*stats, job, trouble.sqlstate, trouble.message, lasts);
    if (!lasts || !news) return;
    MIROX_LOG(LOG, errcode(trouble.sqlstate),
              errmsg("mirox_tokens %s, and tries again: %s", shmem::could_not(job), trouble.message),
              trouble.detail[0] == '\0' ? 0 : errdetail_internal("%s", trouble.detail));
}

std::uint64_t requests() {
    return stats == nullptr ? 0 : stats->requested.load(std::memory_order_acquire);
}

// Whether a call of flush() has had no drain after it yet.
bool flush_waits() {
    return stats != nullptr &&
           requests() > Max(stats->completed.load(std::memory_order_relaxed), stats->failed.load(std::memory_order_relaxed));
}

// Tells the processes that wait in flush() the result of a drain that began after `asked` calls.
void answer(std::uint64_t asked, Drained drained) {
    if (stats != nullptr && (drained == Drained::all || drained == Drained::absent))
        stats->completed.store(asked, std::memory_order_release);
    if (stats != nullptr && drained == Drained::failed && !ShutdownRequestPending)
        stats->failed.store(asked, std::memory_order_release);
    ConditionVariableBroadcast(&shmem::control().drained);
}

// Stats are few, and every database is visited. So they are made only once the database is known to have the extension.
void claim_stats() {
    if (stats != nullptr) return;
    LWLockAcquire(shmem::region_lock(), LW_EXCLUSIVE);
    stats = shmem::make_stats(database);
    LWLockRelease(shmem::region_lock());
}

Drained drain(State& state, TimestampTz until) {
    pg::Trouble trouble = {};
    shmem::Job job = shmem::Job::uses;
    Drained drained = drain_events(stats, state.open, trouble, until);
    if (drained == Drained::all) {
        claim_stats();
        report(job, true, trouble, 0);
        job = shmem::Job::unauthenticated;
        drained = drain_unauthenticated(stats, trouble, until);
    }
    if (drained == Drained::failed) state.failures++;
    if (drained == Drained::all) state.failures = 0;
    if (drained == Drained::all || drained == Drained::failed) report(job, drained == Drained::all, trouble, state.failures);
    return drained;
}

// Maintenance that was due too soon after the last, or is to be tried again, does not wait for the next drain.
void await_maintenance(State& state) {
    const TimestampTz soon = GetCurrentTimestamp() + USECS_PER_SEC;
    state.next_round = Min(state.next_round, Max(next_maintenance(state.maintenance), soon));
}

// Drains, and does what is due after a drain. False when the database does not have the extension.
bool work(State& state) {
    if (stats == nullptr) stats = shmem::stats_of(database);
    const bool asked_for = flush_waits();
    state.asked = requests();
    const std::uint64_t flushed = stats == nullptr ? 0 : stats->flushed.load(std::memory_order_relaxed);
    const TimestampTz began = GetCurrentTimestamp();
    const std::uint64_t rotated = count_rotated(stats);
    pgstat_report_activity(STATE_RUNNING, "draining recorded usage");
    const Drained drained = drain(state, 0);
    // A failure of the jobs below does not make flush() fail.
    if (drained == Drained::all) {
        const TimestampTz minute = shmem::minute_of(began);
        const bool many = state.open > kMostOpen;
        if (!state.closing.active && (minute > state.closed || many)) {
            begin_closing(state.closing, many ? DT_NOEND : minute);
            state.closes = minute;
            state.open = 0;
        }
        if (asked_for || began - state.last_minute >= kEachMinute) {
            state.last_minute = began;
            pg::Trouble trouble = {};
            report(shmem::Job::minutes, write_lost(stats, trouble), trouble, kLogAfter);
            report(shmem::Job::notices, send_notices(state.notices, stats, trouble, state.more_notices), trouble, kLogAfter);
            state.summing.active = true;
            state.erasing.active = true;
        }
        state.erasing.drained_at = began;
        begin_policies(state.policies, stats, rotated, began);
        if (!state.maintenance.active && began >= next_maintenance(state.maintenance)) begin_maintenance(state.maintenance);
    }
    answer(state.asked, drained);
    pgstat_report_stat(true);
    pgstat_report_activity(STATE_IDLE, nullptr);
    if (asked_for || (stats != nullptr && stats->flushed.load(std::memory_order_relaxed) != flushed)) state.last_work = began;
    TimestampTz pause = static_cast<TimestampTz>(pg::settings().flush_interval) * 1000;
    if (drained == Drained::later) pause = kLater;
    if (drained == Drained::failed) pause = Min(kMostBackoffMs, kLeastBackoffMs << Min(state.failures - 1, 7)) * 1000;
    state.next_round = GetCurrentTimestamp() + pause;
    if (drained == Drained::all && !state.maintenance.active) await_maintenance(state);
    return drained != Drained::absent;
}

bool busy(const State& state) {
    return state.closing.active || state.more_notices || state.policies.active || state.erasing.active || state.summing.active ||
           state.maintenance.active;
}

// One slice of what is due besides draining, in order of urgency.
void run_slice(State& state) {
    pg::Trouble trouble = {};
    pgstat_report_activity(STATE_RUNNING, "maintenance");
    if (state.closing.active) {
        const bool well = close_slice(state.closing, stats, trouble);
        if (!well) forget_partitions();
        if (well && !state.closing.active) {
            state.closed = state.closes;
            state.summing.active = true;
            forget_crowds(state.closed);
        }
        if (!well || !state.closing.active) report(shmem::Job::minutes, well, trouble, kLogAfter);
        if (!well) state.next_round = Max(state.next_round, GetCurrentTimestamp() + kLater);
    } else if (state.more_notices) {
        report(shmem::Job::notices, send_notices(state.notices, stats, trouble, state.more_notices), trouble, kLogAfter);
    } else if (state.policies.active) {
        const bool well = apply_policies(state.policies, stats, trouble);
        if (!well || !state.policies.active) report(shmem::Job::policies, well, trouble, kLogAfter);
    } else if (state.erasing.active) {
        const bool well = erase_slice(state.erasing, stats, trouble);
        if (!well || !state.erasing.active) report(shmem::Job::erasures, well, trouble, kLogAfter);
    } else if (state.summing.active) {
        const bool well = sum_slice(state.summing, stats, trouble);
        if (!well) forget_partitions();
        if (!well || !state.summing.active) report(shmem::Job::sums, well, trouble, kLogAfter);
    } else if (state.maintenance.active) {
        if (!run_maintenance(state.maintenance, stats, trouble)) report(shmem::Job::maintenance, false, trouble, kLogAfter);
        if (!state.maintenance.active && !state.maintenance.failed) report(shmem::Job::maintenance, true, trouble, 0);
        if (!state.maintenance.active) await_maintenance(state);
    }
    pgstat_report_stat(true);
    pgstat_report_activity(STATE_IDLE, nullptr);
}

bool may_leave(const State& state, TimestampTz now) {
    if (state.failures > 0 || flush_waits()) return false;
    shmem::Region& region = shmem::region();
    const shmem::QueueRef queue = region.ring().find_queue(database);
    if (region.ring().claimed(queue) > region.ring().freed(queue)) return false;
    if (shmem::control().starved.load(std::memory_order_relaxed) != 0) return true;
    if (busy(state)) return false;
    if (state.visit) return true;
    return now - state.last_work >= Max(kIdle, 2 * static_cast<TimestampTz>(pg::settings().flush_interval) * 1000);
}

// Whether a client is connected to the database.
bool clients_connected() {
    pgstat_clear_backend_activity_snapshot();
    const int count = pgstat_fetch_stat_numbackends();
    for (int i = 1; i <= count; i++) {
        const PgBackendStatus* process = pg::process_at(i);
        if (process != nullptr && process->st_procpid > 0 && process->st_databaseid == database &&
            process->st_backendType == B_BACKEND)
            return true;
    }
    return false;
}

// A server that stops signals backends and workers at the same moment. If the backends exit in time, their last events are
// written too. What is not written stays in the ring's file.
void stop(State& state) {
    const TimestampTz now = GetCurrentTimestamp(), until = now + kStops;
    while (clients_connected() && GetCurrentTimestamp() < now + kOthersLeave) {
        if (must_leave()) return;
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 20, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
    }
    pg::serve_interrupts();
    const std::uint64_t asked = requests();
    answer(asked, drain(state, until));
    pg::Trouble trouble = {};
    (void)write_lost(stats, trouble);
}

void serve() {
    State state = {};
    state.visit = strcmp(MyBgworkerEntry->bgw_extra, kVisit) == 0;
    state.last_work = GetCurrentTimestamp();
    state.round = AllocSetContextCreate(TopMemoryContext, "mirox_tokens round", ALLOCSET_DEFAULT_SIZES);
    MemoryContextSwitchTo(state.round);
    for (;;) {
        ResetLatch(MyLatch);
        MemoryContextReset(state.round);
        pg::serve_interrupts();
        if (ShutdownRequestPending) return stop(state);
        if (ConfigReloadPending) {
            ConfigReloadPending = false;
            ProcessConfigFile(PGC_SIGHUP);
            // Retention may have changed, and how often to drain.
            all_due(state.maintenance);
            state.next_round = GetCurrentTimestamp();
        }
        if (must_leave()) return;
        // After a failure the worker waits for the retry, even when it is woken; only flush() makes it try at once.
        const bool woken = slot->woken.exchange(0, std::memory_order_acquire) != 0;
        const bool due = GetCurrentTimestamp() >= state.next_round || flush_waits() || (woken && state.failures == 0);
        if (due && !work(state)) return;
        // One slice at a time, so that drains and the rest alternate.
        if (busy(state)) run_slice(state);
        if (may_leave(state, GetCurrentTimestamp())) return;
        // A wait for a lock inside those steps may have reset the latch.
        if (busy(state) || ShutdownRequestPending || ConfigReloadPending || requests() != state.asked ||
            slot->woken.load(std::memory_order_relaxed) != 0)
            continue;
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
                        TimestampDifferenceMilliseconds(GetCurrentTimestamp(), state.next_round), PG_WAIT_EXTENSION);
    }
}

// The first SIGTERM cancels the running statement. Later ones do not, since they would cancel the last drain.
extern "C" void on_stop([[maybe_unused]] SIGNAL_ARGS) {
    const int saved = errno;
    if (!ShutdownRequestPending) {
        QueryCancelPending = 1;
        InterruptPending = 1;
    }
    ShutdownRequestPending = 1;
    SetLatch(MyLatch);
    errno = saved;
}

}  // namespace
}  // namespace mirox::worker

MIROX_WORKER(worker_main) {
    using namespace mirox::worker;
    database = DatumGetObjectId(argument);
    pqsignal(SIGTERM, on_stop);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
    if (!take_slot()) return;
    before_shmem_exit(leave, 0);
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
    fix_settings();
    mirox::pg::restrict_process();
    pgstat_report_appname("mirox_tokens worker");
    slot->latch.store(MyLatch, std::memory_order_release);
    if (stats != nullptr) stats->missing_since.store(0, std::memory_order_relaxed);
    serve();
}

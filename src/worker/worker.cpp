// A database's worker: drains the ring into the tables every mirox_tokens.flush_interval, or when it is woken; closes minutes;
// sends notices; keeps house, in slices between drains. It leaves when there is nothing to do for a while, so that a database at rest
// holds no process, and at once when a command needs the database empty. Told to stop, it ends the statement that runs, lets the
// backends of its database go first, and drains once more. Between its short transactions it holds no lock at all.
//
// Locks: region_lock() exclusive for its place among the workers.
#include "worker/worker.hpp"

#include "pg/catalog.hpp"
#include "pg/entry.hpp"
#include "pg/query.hpp"
#include "pg/settings.hpp"
#include "pg/transaction.hpp"
#include "shmem/control.hpp"
#include "worker/drain.hpp"
#include "worker/upkeep.hpp"

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
constexpr TimestampTz kHouse = USECS_PER_HOUR;
constexpr TimestampTz kHouseAgain = 5 * USECS_PER_MINUTE;  // after one that failed
constexpr TimestampTz kNotices = 60 * USECS_PER_SEC;
constexpr TimestampTz kLater = 10'000;  // an event that is being written will be there
constexpr long kLeastBackoffMs = 250, kMostBackoffMs = 30000;
// So many open uses are moved on before their minute has closed, so that no reader of a view has to unpack more.
constexpr std::uint64_t kMostOpen = 100'000;
// After this many failures on end it is in the log.
constexpr int kSaidAfter = 2;
// Told to stop: how long the backends of the database may take to leave, and all of it.
constexpr TimestampTz kOthersLeave = 2 * USECS_PER_SEC, kStops = 3 * USECS_PER_SEC;

constinit Oid database = InvalidOid;
constinit shmem::Worker* place = nullptr;
constinit shmem::DatabaseStats* stats = nullptr;  // null: there is none yet, or none left

void leave(int, Datum) {
    if (place == nullptr) return;
    LWLockAcquire(shmem::region_lock(), LW_EXCLUSIVE);
    place->latch.store(nullptr, std::memory_order_relaxed);
    place->pid.store(0, std::memory_order_relaxed);
    place->database.store(InvalidOid, std::memory_order_release);
    LWLockRelease(shmem::region_lock());
    place = nullptr;
    ConditionVariableBroadcast(&shmem::control().drained);
    shmem::wake_launcher();
}

// False when a command wants the database for itself, another worker is there, or all places are taken.
bool take_place() {
    LWLockAcquire(shmem::region_lock(), LW_EXCLUSIVE);
    if (!shmem::is_kept_away(database) && shmem::worker_of(database) == nullptr) {
        place = shmem::worker_of(InvalidOid);
        if (place != nullptr) {
            stats = shmem::stats_of(database);
            place->pid.store(MyProcPid, std::memory_order_relaxed);
            place->database.store(database, std::memory_order_release);
        }
    }
    LWLockRelease(shmem::region_lock());
    return place != nullptr;
}

bool wanted_elsewhere() {
    LWLockAcquire(shmem::region_lock(), LW_SHARED);
    const bool kept_away = shmem::is_kept_away(database);
    LWLockRelease(shmem::region_lock());
    return kept_away;
}

// What ALTER DATABASE, ALTER ROLE and ALTER SYSTEM may have set must not change how we write, nor keep us from it.
void settle_session() {
    constexpr struct {
        const char *name, *value;
    } kOurs[] = {
        // A user's open transaction that holds what it should not costs us this much; and it is below the server's
        // deadlock_timeout, so that of the two it is we who give way.
        {"lock_timeout", "400"},
        // A drain takes its time; what may be cut short sets its own.
        {"statement_timeout", "0"},
        {"transaction_timeout", "0"},  // from 17 on; it ends the process
        {"idle_in_transaction_session_timeout", "0"},
        {"default_transaction_read_only", "off"},
        {"default_transaction_isolation", "read committed"},
        {"default_transaction_deferrable", "off"},
        {"session_replication_role", "origin"},
        // An error rolls one step back, and does not end the process.
        {"exit_on_error", "off"},
        // Our statements read views of ours.
        {"restrict_nonsystem_relation_kind", ""},
        {"row_security", "off"},
        // Plans: by keys (see plan_by_keys()), once for all, by this process alone.
        {"plan_cache_mode", "force_generic_plan"},
        {"enable_indexscan", "on"},
        {"enable_nestloop", "on"},
        {"enable_tidscan", "on"},
        {"max_parallel_workers_per_gather", "0"},
        {"jit", "off"},
        // What texts say.
        {"timezone", "UTC"},
        {"datestyle", "ISO"},
        {"intervalstyle", "postgres"},
        {"standard_conforming_strings", "on"},
        // Freed from the ring only what no crash can take back; a standby that does not answer holds up no drain.
        {"synchronous_commit", "local"},
    };
    for (const auto& setting : kOurs)
        if (GetConfigOption(setting.name, true, false) != nullptr)
            SetConfigOption(setting.name, setting.value, PGC_SUSET, PGC_S_OVERRIDE);
}

struct State {
    bool visit;
    int failures;  // of drains, on end
    House house;
    TimestampTz last_work, last_notices, next_round, next_house;
    TimestampTz closed;   // minutes before this one are
    std::uint64_t open;   // uses by minute and caller that were written since, about
    std::uint64_t asked;  // calls of flush() that the last round has seen
    MemoryContext round;
};

// Takes down how a duty went, and tells the log of what lasts. What was cut short since we are to stop has not failed.
void report(shmem::Duty duty, bool well, const pg::Trouble& trouble, int failures) {
    if (well) {
        if (stats != nullptr) shmem::note_success(*stats, duty);
        return;
    }
    if (ShutdownRequestPending) return;
    if (stats != nullptr) stats->failures.fetch_add(1, std::memory_order_relaxed);
    const bool lasts = failures >= kSaidAfter;
    const bool news = stats == nullptr || shmem::note_failure(*stats, duty, trouble.sqlstate, trouble.message, lasts);
    if (!lasts || !news) return;
    MIROX_LOG(LOG, errcode(trouble.sqlstate),
              errmsg("mirox_tokens %s, and tries again: %s", shmem::could_not(duty), trouble.message),
              trouble.detail[0] == '\0' ? 0 : errdetail_internal("%s", trouble.detail));
}

std::uint64_t requests() {
    return stats == nullptr ? 0 : stats->requested.load(std::memory_order_acquire);
}

// Whether somebody waits in flush() whose call no drain has followed yet.
bool asked_anew() {
    return stats != nullptr &&
           requests() > Max(stats->completed.load(std::memory_order_relaxed), stats->failed.load(std::memory_order_relaxed));
}

// Tells whoever waits in flush() how the drain went that began after `asked` calls.
void answer(std::uint64_t asked, Drained drained) {
    if (stats != nullptr && (drained == Drained::all || drained == Drained::absent))
        stats->completed.store(asked, std::memory_order_release);
    if (stats != nullptr && drained == Drained::failed && !ShutdownRequestPending)
        stats->failed.store(asked, std::memory_order_release);
    ConditionVariableBroadcast(&shmem::control().drained);
}

// Made once it is known that the extension is here: there are few, and every database is visited.
void claim_stats() {
    if (stats != nullptr) return;
    LWLockAcquire(shmem::region_lock(), LW_EXCLUSIVE);
    stats = shmem::make_stats(database);
    LWLockRelease(shmem::region_lock());
}

Drained drain(State& state, TimestampTz until) {
    pg::Trouble trouble = {};
    shmem::Duty duty = shmem::Duty::uses;
    Drained drained = drain_events(stats, state.open, trouble, until);
    if (drained == Drained::all) {
        claim_stats();
        report(duty, true, trouble, 0);
        duty = shmem::Duty::unauthenticated;
        drained = drain_unauthenticated(stats, trouble, until);
    }
    if (drained == Drained::failed) state.failures++;
    if (drained == Drained::all) state.failures = 0;
    if (drained == Drained::all || drained == Drained::failed) report(duty, drained == Drained::all, trouble, state.failures);
    return drained;
}

// Drains, and does what is due after it. False when there is nothing for us here.
bool work(State& state) {
    if (stats == nullptr) stats = shmem::stats_of(database);
    const bool asked_for = asked_anew();
    state.asked = requests();
    const std::uint64_t flushed = stats == nullptr ? 0 : stats->flushed.load(std::memory_order_relaxed);
    const TimestampTz began = GetCurrentTimestamp();
    pg::Trouble trouble = {};
    pgstat_report_activity(STATE_RUNNING, "draining recorded usage");
    const Drained drained = drain(state, 0);
    // What fails below fails no call of flush(), and keeps nobody waiting.
    if (drained == Drained::all) {
        const TimestampTz minute = shmem::minute_of(began);
        const bool many = state.open > kMostOpen;
        if (minute > state.closed || many) {
            const bool well = close_minutes_before(stats, many ? DT_NOEND : minute, trouble);
            if (well) {
                state.closed = minute;
                state.open = 0;
            }
            report(shmem::Duty::minutes, well, trouble, kSaidAfter);
        }
        if (asked_for || began - state.last_notices >= kNotices) {
            state.last_notices = began;
            report(shmem::Duty::notices, send_notices(stats, trouble), trouble, kSaidAfter);
        }
        if (!state.house.active && began >= state.next_house) begin_house(state.house);
    }
    answer(state.asked, drained);
    pgstat_report_stat(true);
    pgstat_report_activity(STATE_IDLE, nullptr);
    if (asked_for || (stats != nullptr && stats->flushed.load(std::memory_order_relaxed) != flushed)) state.last_work = began;
    TimestampTz pause = static_cast<TimestampTz>(pg::settings().flush_interval) * 1000;
    if (drained == Drained::later) pause = kLater;
    if (drained == Drained::failed) pause = Min(kMostBackoffMs, kLeastBackoffMs << Min(state.failures - 1, 7)) * 1000;
    state.next_round = GetCurrentTimestamp() + pause;
    return drained != Drained::absent;
}

void keep_house(State& state) {
    pg::Trouble trouble = {};
    pgstat_report_activity(STATE_RUNNING, "taking old rows away");
    if (!keep_house(state.house, stats, trouble)) report(shmem::Duty::house, false, trouble, kSaidAfter);
    pgstat_report_stat(true);
    pgstat_report_activity(STATE_IDLE, nullptr);
    if (state.house.active) return;
    if (!state.house.failed) report(shmem::Duty::house, true, trouble, 0);
    state.next_house = GetCurrentTimestamp() + (state.house.failed ? kHouseAgain : kHouse);
}

bool may_leave(const State& state, TimestampTz now) {
    if (state.failures > 0 || asked_anew()) return false;
    shmem::Region& region = shmem::region();
    const shmem::QueueRef queue = region.ring().find_queue(database);
    if (region.ring().claimed(queue) > region.ring().freed(queue)) return false;
    if (shmem::control().starved.load(std::memory_order_relaxed) != 0) return true;
    if (state.house.active) return false;
    if (state.visit) return true;
    return now - state.last_work >= Max(kIdle, 2 * static_cast<TimestampTz>(pg::settings().flush_interval) * 1000);
}

// Whether a client is connected to the database.
bool others_here() {
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

// A server that stops tells backends and workers at the same moment: what the last ones record is written too, if they leave in time.
// What is not written stays in the ring's file.
void stop(State& state) {
    const TimestampTz now = GetCurrentTimestamp(), until = now + kStops;
    while (others_here() && GetCurrentTimestamp() < now + kOthersLeave) {
        if (wanted_elsewhere()) return;
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 20, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
    }
    pg::serve_interrupts();
    const std::uint64_t asked = requests();
    answer(asked, drain(state, until));
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
        }
        if (wanted_elsewhere()) return;
        // One that has just failed waits, whoever wakes it, but for a call of flush().
        const bool woken = place->woken.exchange(0, std::memory_order_acquire) != 0;
        const bool due = GetCurrentTimestamp() >= state.next_round || asked_anew() || (woken && state.failures == 0);
        if (due && !work(state)) return;
        // A slice each time, so that neither keeps the other waiting.
        if (state.house.active) keep_house(state);
        if (may_leave(state, GetCurrentTimestamp())) return;
        // A wait for a lock, within all that, may have taken the latch.
        if (state.house.active || ShutdownRequestPending || ConfigReloadPending || requests() != state.asked ||
            place->woken.load(std::memory_order_relaxed) != 0)
            continue;
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
                        TimestampDifferenceMilliseconds(GetCurrentTimestamp(), state.next_round), PG_WAIT_EXTENSION);
    }
}

// Told to stop, a worker lets no statement go on; it is no longer cancelled once it has begun to leave.
extern "C" void hear_stop([[maybe_unused]] SIGNAL_ARGS) {
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
    pqsignal(SIGTERM, hear_stop);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
    if (!take_place()) return;
    before_shmem_exit(leave, 0);
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
    settle_session();
    mirox::pg::restrict_process();
    pgstat_report_appname("mirox_tokens worker");
    place->latch.store(MyLatch, std::memory_order_release);
    if (stats != nullptr) stats->missing_since.store(0, std::memory_order_relaxed);
    serve();
}

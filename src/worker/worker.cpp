// A database's worker: drains the ring into the tables every mirox_tokens.flush_interval, or when it is woken; closes minutes;
// sends notices; keeps house. It leaves when there is nothing to do for a while, so that a database at rest holds no process, and
// at once when a command needs the database empty. Between its short transactions it holds no lock at all.
//
// Locks: region_lock() exclusive for its place among the workers.
#include "worker/worker.hpp"

#include "pg/catalog.hpp"
#include "pg/entry.hpp"
#include "pg/query.hpp"
#include "pg/settings.hpp"
#include "pg/transaction.hpp"
#include "shmem/events.hpp"
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
constexpr TimestampTz kNotices = 60 * USECS_PER_SEC;
constexpr long kLeastBackoffMs = 250, kMostBackoffMs = 30000;
// So many open uses are moved on before their minute has closed, so that no reader of a view has to unpack more.
constexpr std::uint64_t kMostOpen = 100'000;
// After this many failures on end it is in the log, once until something else goes wrong or all is well again.
constexpr int kSaidAfter = 2;

constinit Oid database = InvalidOid;
constinit shmem::Worker* place = nullptr;

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
    if (!shmem::is_barred(database) && shmem::worker_of(database) == nullptr) {
        place = shmem::worker_of(InvalidOid);
        if (place != nullptr) {
            place->pid.store(MyProcPid, std::memory_order_relaxed);
            place->latch.store(MyLatch, std::memory_order_relaxed);
            place->database.store(database, std::memory_order_release);
        }
    }
    LWLockRelease(shmem::region_lock());
    return place != nullptr;
}

bool wanted_elsewhere() {
    LWLockAcquire(shmem::region_lock(), LW_SHARED);
    const bool barred = shmem::is_barred(database);
    LWLockRelease(shmem::region_lock());
    return barred;
}

// What ALTER DATABASE and ALTER ROLE may have set must not change how we write.
void settle_session() {
    constexpr struct {
        const char *name, *value;
    } kOurs[] = {
        // A user's open transaction that holds what it should not costs us this much; and it is below the server's
        // deadlock_timeout, so that of the two it is we who give way.
        {"lock_timeout", "400"},
        {"statement_timeout", "0"},
        {"default_transaction_read_only", "off"},
        {"default_transaction_isolation", "read committed"},
        {"session_replication_role", "origin"},
        {"plan_cache_mode", "force_generic_plan"},
        {"jit", "off"},
        {"timezone", "UTC"},
        // Freed from the ring only what no crash can take back; a standby that does not answer holds up no drain.
        {"synchronous_commit", "local"},
        {"row_security", "off"},
    };
    for (const auto& setting : kOurs) SetConfigOption(setting.name, setting.value, PGC_SUSET, PGC_S_OVERRIDE);
}

struct State {
    bool visit;
    int failures;
    pg::Trouble said;
    TimestampTz last_work, last_house, last_notices, not_before;
    TimestampTz closed;  // minutes before this one are
    std::uint64_t open;  // uses by minute and caller that were written since, about
    MemoryContext round;
};

void say_trouble(State& state, const pg::Trouble& trouble) {
    state.failures++;
    const long wait = Min(kMostBackoffMs, kLeastBackoffMs << Min(state.failures - 1, 7));
    state.not_before = GetCurrentTimestamp() + wait * 1000;
    if (shmem::Seat* seat = shmem::seat_of(database); seat != nullptr)
        seat->failures.fetch_add(1, std::memory_order_relaxed);
    if (state.failures < kSaidAfter ||
        (state.said.sqlstate == trouble.sqlstate && strcmp(state.said.message, trouble.message) == 0))
        return;
    state.said = trouble;
    MIROX_LOG(LOG, errcode(trouble.sqlstate),
              errmsg("mirox_tokens could not write recorded usage, and tries again: %s", trouble.message),
              trouble.detail[0] == '\0' ? 0 : errdetail_internal("%s", trouble.detail));
}

// False when there is nothing for us here.
bool work(State& state) {
    shmem::Seat* seat = shmem::seat_of(database);
    const std::uint64_t asked = seat == nullptr ? 0 : seat->requested.load(std::memory_order_acquire);
    const bool asked_for = seat != nullptr && asked != seat->completed.load(std::memory_order_relaxed);
    const std::uint64_t flushed = seat == nullptr ? 0 : seat->flushed.load(std::memory_order_relaxed);
    const TimestampTz began = GetCurrentTimestamp();
    pg::Trouble trouble = {};
    pgstat_report_activity(STATE_RUNNING, "draining recorded usage");
    Drained drained = drain_events(seat, state.open, trouble);
    if (drained == Drained::all) drained = drain_strangers(trouble);
    bool well = drained == Drained::all;
    if (well) {
        const TimestampTz minute = shmem::minute_of(began);
        const bool many = state.open > kMostOpen;
        if (minute > state.closed || many) {
            well = close_minutes_before(many ? DT_NOEND : minute, trouble);
            if (well) {
                state.closed = minute;
                state.open = 0;
            }
        }
    }
    // What fails below is not what flush() waits for, and keeps nobody else waiting.
    if (well && (asked_for || began - state.last_notices >= kNotices)) {
        state.last_notices = began;
        well = send_notices(trouble);
    }
    if (well && began - state.last_house >= kHouse) {
        state.last_house = began;
        well = keep_house(seat, trouble);
    }
    if (drained == Drained::all || drained == Drained::absent) {
        if (seat != nullptr) seat->completed.store(asked, std::memory_order_release);
        ConditionVariableBroadcast(&shmem::control().drained);
    }
    pgstat_report_stat(true);
    pgstat_report_activity(STATE_IDLE, nullptr);
    if (drained == Drained::absent) return false;
    if (asked_for || (seat != nullptr && seat->flushed.load(std::memory_order_relaxed) != flushed))
        state.last_work = began;
    if (well) {
        state.failures = 0;
        state.said = {};
        state.not_before = 0;
    } else if (drained == Drained::later) {
        state.not_before = GetCurrentTimestamp() + 10'000;
    } else {
        say_trouble(state, trouble);
    }
    return true;
}

bool may_leave(const State& state, TimestampTz now) {
    if (state.failures > 0) return false;
    shmem::Region& region = shmem::region();
    const shmem::LaneRef lane = region.ring().find_lane(database);
    if (region.ring().claimed(lane) > region.ring().freed(lane)) return false;
    if (shmem::Seat* seat = shmem::seat_of(database);
        seat != nullptr &&
        seat->requested.load(std::memory_order_acquire) != seat->completed.load(std::memory_order_relaxed))
        return false;
    if (state.visit || shmem::control().starved.load(std::memory_order_relaxed) != 0) return true;
    return now - state.last_work >=
           Max(kIdle, 2 * static_cast<TimestampTz>(pg::settings().flush_interval) * 1000);
}

void serve() {
    State state = {};
    state.visit = strcmp(MyBgworkerEntry->bgw_extra, kVisit) == 0;
    state.last_work = GetCurrentTimestamp();
    state.round = AllocSetContextCreate(TopMemoryContext, "mirox_tokens round", ALLOCSET_DEFAULT_SIZES);
    for (;;) {
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
        if (ShutdownRequestPending) return;
        if (ConfigReloadPending) {
            ConfigReloadPending = false;
            ProcessConfigFile(PGC_SIGHUP);
        }
        if (wanted_elsewhere()) return;
        const TimestampTz now = GetCurrentTimestamp();
        if (now >= state.not_before) {
            MemoryContextReset(state.round);
            const MemoryContext before = MemoryContextSwitchTo(state.round);
            const bool here = work(state);
            MemoryContextSwitchTo(before);
            if (!here || may_leave(state, GetCurrentTimestamp())) return;
        }
        long wait = pg::settings().flush_interval;
        if (state.not_before != 0)
            wait = Max(TimestampDifferenceMilliseconds(GetCurrentTimestamp(), state.not_before), 1L);
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait, PG_WAIT_EXTENSION);
    }
}

}  // namespace
}  // namespace mirox::worker

MIROX_WORKER(worker_main) {
    using namespace mirox::worker;
    database = DatumGetObjectId(argument);
    pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
    if (!take_place()) return;
    before_shmem_exit(mirox::pg::guarded<leave>, 0);
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
    settle_session();
    mirox::pg::restrict_process();
    pgstat_report_appname("mirox_tokens worker");
    serve();
}

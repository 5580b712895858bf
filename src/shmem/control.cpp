// The control block. For its locks see control.hpp.
#include "shmem/control.hpp"

#include "shmem/region.hpp"
#include "shmem/startup.hpp"

extern "C" {
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/timestamp.h"
}

namespace mirox::shmem {
namespace {

constinit Control* control_block = nullptr;
constinit DatabaseStats* own_stats = nullptr;
// When all slots are taken, the next try is a second later, so that checks do not wait for the lock.
constinit TimestampTz no_stats_until = 0;

}  // namespace

bool start_control() {
    bool found;
    control_block = reinterpret_cast<Control*>(shared_part("mirox_tokens control", sizeof(Control), &found));
    if (found) return false;
    memset(static_cast<void*>(control_block), 0, sizeof(Control));
    ConditionVariableInit(&control_block->drained);
    own_stats = nullptr;
    return true;
}

Control& control() {
    return *control_block;
}

DatabaseStats* my_stats() {
    if (own_stats != nullptr && own_stats->database.load(std::memory_order_relaxed) == MyDatabaseId) return own_stats;
    if (!OidIsValid(MyDatabaseId)) return nullptr;
    own_stats = stats_of(MyDatabaseId);
    if (own_stats != nullptr) return own_stats;
    const TimestampTz now = GetCurrentTimestamp();
    if (now < no_stats_until) return nullptr;
    LWLockAcquire(region_lock(), LW_EXCLUSIVE);
    own_stats = make_stats(MyDatabaseId);
    LWLockRelease(region_lock());
    if (own_stats == nullptr) no_stats_until = now + USECS_PER_SEC;
    return own_stats;
}

DatabaseStats* stats_of(std::uint32_t database) {
    for (DatabaseStats& stats : control_block->stats)
        if (stats.database.load(std::memory_order_acquire) == database) return &stats;
    return nullptr;
}

DatabaseStats* make_stats(std::uint32_t database) {
    DatabaseStats* stats = stats_of(database);
    if (stats != nullptr) return stats;
    stats = stats_of(InvalidOid);
    if (stats == nullptr) return nullptr;
    memset(static_cast<void*>(stats), 0, sizeof(DatabaseStats));
    stats->database.store(database, std::memory_order_release);
    return stats;
}

const char* could_not(Job job) {
    switch (job) {
        case Job::uses:
            return "could not write recorded usage";
        case Job::unauthenticated:
            return "could not write refusals of unauthenticated callers";
        case Job::minutes:
            return "could not close minutes";
        case Job::sums:
            return "could not add up hours and days";
        case Job::notices:
            return "could not send notices of expiration";
        case Job::maintenance:
            return "could not do maintenance";
        case Job::policies:
            return "could not apply the policies of permission groups";
        case Job::erasures:
            return "could not take out traces";
    }
    return "could not do its work";
}

bool wants_worker(std::uint32_t database) {
    const QueueRef queue = region().ring().find_queue(database);
    if (queue && region().ring().claimed(queue) > region().ring().freed(queue)) return true;
    const DatabaseStats* stats = stats_of(database);
    if (stats != nullptr && stats->requested.load(std::memory_order_acquire) != stats->completed.load(std::memory_order_relaxed))
        return true;
    const Unauthenticated& unauthenticated = region().unauthenticated();
    if (unauthenticated.used() == 0 && unauthenticated.overflowed() == 0) return false;
    for (std::uint32_t i = 0; i < unauthenticated.capacity(); i++)
        if (unauthenticated.database_at(i) == database) return true;
    return false;
}

bool note_failure(DatabaseStats& stats, Job job, int sqlstate, const char* message, bool log) {
    Failure& failure = stats.failure;
    const TimestampTz now = GetCurrentTimestamp();
    LWLockAcquire(region_lock(), LW_EXCLUSIVE);
    const std::uint32_t bit = 1U << static_cast<std::uint32_t>(job);
    const std::uint32_t hash = hash_bytes(reinterpret_cast<const unsigned char*>(message), static_cast<int>(strlen(message))) ^
                               static_cast<std::uint32_t>(sqlstate);
    auto& logged = failure.logged[static_cast<std::uint32_t>(job)];
    if (failure.since == 0) failure.since = now;
    if ((failure.failing.fetch_or(bit, std::memory_order_relaxed) & bit) == 0 || logged.hash != hash) logged.at = 0;
    failure.job = job;
    failure.sqlstate = sqlstate;
    failure.at = now;
    strlcpy(failure.message, message, sizeof(failure.message));
    logged.hash = hash;
    const bool due = log && now - logged.at >= USECS_PER_HOUR;
    if (due) logged.at = now;
    LWLockRelease(region_lock());
    return due;
}

void note_success(DatabaseStats& stats, Job job) {
    Failure& failure = stats.failure;
    const std::uint32_t bit = 1U << static_cast<std::uint32_t>(job);
    if ((failure.failing.load(std::memory_order_relaxed) & bit) == 0) return;
    LWLockAcquire(region_lock(), LW_EXCLUSIVE);
    if (failure.failing.fetch_and(~bit, std::memory_order_relaxed) == bit) failure.since = 0;
    LWLockRelease(region_lock());
}

Worker* worker_of(std::uint32_t database) {
    for (Worker& worker : control_block->workers)
        if (worker.database.load(std::memory_order_acquire) == database) return &worker;
    return nullptr;
}

bool is_kept_away(std::uint32_t database) {
    for (const KeptAway& kept : control_block->kept_away)
        if (kept.database == database) return true;
    return false;
}

// A latch stays valid memory after its process has exited. If another process has it by then, that process wakes once too often,
// which does no harm.
void wake_worker(std::uint32_t database) {
    if (control_block == nullptr) return;
    if (Worker* worker = worker_of(database); worker != nullptr) {
        Latch* latch = worker->latch.load(std::memory_order_acquire);
        if (latch != nullptr) {
            worker->woken.store(1, std::memory_order_release);
            SetLatch(latch);
            return;
        }
    }
    wake_launcher();
}

void wake_launcher() {
    if (control_block == nullptr) return;
    Latch* launcher = control_block->launcher.load(std::memory_order_acquire);
    if (launcher != nullptr) SetLatch(launcher);
}

}  // namespace mirox::shmem

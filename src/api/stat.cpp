// SQL-callable functions behind the view stat: the worker's health and its counters.
//
// Locks: region_lock() shared while the ring is read, exclusive to create a database's stats.
#include "pg/entry.hpp"
#include "pg/row.hpp"
#include "pg/values.hpp"
#include "shmem/control.hpp"
#include "shmem/region.hpp"
#include "shmem/startup.hpp"
#include "store/acts.hpp"
#include "store/keys.hpp"

extern "C" {
#include "access/xlog.h"
#include "utils/timestamp.h"
}

using namespace mirox;

namespace {

const char* enricher_text(const std::atomic<std::uint32_t>& state) {
    constexpr const char* kWords[] = {"unused", "ok", "none", "unreadable", "invalid", "missing"};
    static_assert(std::size(kWords) == static_cast<std::size_t>(shmem::Enricher::missing) + 1);
    return kWords[state.load(std::memory_order_relaxed)];
}

std::uint64_t checks_of(const shmem::DatabaseStats& stats, int reason) {
    std::uint64_t sum = 0;
    for (const auto& stripe : stats.checks) sum += stripe.of[reason].load(std::memory_order_relaxed);
    return sum;
}

// The worker's state, which says more than whether it runs.
const char* worker_state(bool runs, const shmem::DatabaseStats& stats) {
    if (!runs && !RecoveryInProgress() &&
        (stats.missing_since.load(std::memory_order_relaxed) != 0 ||
         shmem::control().launcher.load(std::memory_order_relaxed) == nullptr) &&
        shmem::wants_worker(MyDatabaseId))
        return "missing";
    if (stats.failure.failing.load(std::memory_order_relaxed) != 0) return "failing";
    return runs ? "running" : "idle";
}

Datum count_datum(std::uint64_t count) {
    return Int64GetDatum(static_cast<std::int64_t>(count));
}
Datum count_datum(const std::atomic<std::uint64_t>& count) {
    return count_datum(count.load(std::memory_order_relaxed));
}

// Counts of checks by outcome.
void set_checks(pg::Row& row, const shmem::DatabaseStats& stats) {
    std::uint64_t all = 0;
    for (const core::Outcome& outcome : core::kOutcomes) {
        const std::uint64_t count = checks_of(stats, static_cast<int>(outcome.reason));
        row.set(outcome.stat_column, count_datum(count));
        if (outcome.check) all += count;
    }
    row.set("checks", count_datum(all));
}

// What waits to be drained, and how the drains went.
void set_drains(pg::Row& row, const shmem::DatabaseStats& stats) {
    const shmem::Ring& ring = shmem::region().ring();
    LWLockAcquire(shmem::region_lock(), LW_SHARED);
    const shmem::QueueRef queue = ring.find_queue(MyDatabaseId);
    const std::uint64_t waiting = ring.waiting(queue);
    const std::uint64_t dropped = ring.dropped_since_reset(queue), torn = ring.torn_since_reset(queue);
    const shmem::Worker* worker = shmem::worker_of(MyDatabaseId);
    const std::int32_t pid = worker == nullptr ? 0 : worker->pid.load(std::memory_order_relaxed);
    const TimestampTz failed_at = stats.failure.at, failing_since = stats.failure.since;
    const shmem::Job job = stats.failure.job;
    const std::int32_t sqlstate = stats.failure.sqlstate;
    LWLockRelease(shmem::region_lock());
    row.set("events_waiting", count_datum(waiting))
        .set("events_flushed", count_datum(stats.flushed))
        .set("events_dropped", count_datum(dropped))
        .set("events_torn", count_datum(torn))
        .set("flushes", count_datum(stats.drains))
        .set("flush_failures", count_datum(stats.failures))
        .set("flush_time", Float8GetDatum(static_cast<double>(stats.drain_us.load(std::memory_order_relaxed)) / 1000.0))
        .set_time("last_flush_at", stats.last_drain_at.load(std::memory_order_relaxed))
        .set_if(pid != 0, "worker_pid", Int32GetDatum(pid))
        .set("worker_state", pg::text_datum(worker_state(pid != 0, stats)))
        .set_time("last_error_at", failed_at)
        .set_time("failing_since", failing_since)
        .set("too_late", count_datum(stats.too_late))
        .set_time("drop_waits_since", stats.drop_waits_since.load(std::memory_order_relaxed));
    // The server's own message is left out: it quotes values, and readers of this view may not be allowed to see personal data.
    if (failed_at != 0)
        row.set("last_error", pg::text_datum(psprintf("%s: %s", unpack_sql_state(sqlstate), shmem::could_not(job))));
}

// Values that all databases share.
void set_shared(pg::Row& row) {
    const shmem::Region& region = shmem::region();
    const double segments = region.ring().segments();
    row.set("ring_bytes", count_datum(region.ring().segments() * std::uint64_t{shmem::kSegmentBytes}))
        .set("ring_used", Float8GetDatum((segments - region.ring().free_segments()) / segments))
        .set("shared_memory", count_datum(shmem::shared_bytes()))
        .set("counters_missed", count_datum(region.counters().misses()))
        .set("unauthenticated_uncounted", count_datum(region.unauthenticated().uncounted()))
        .set("discarded", count_datum(region.ring().lost_discarded()))
        .set("lost", count_datum(region.ring().lost_drops()));
}

}  // namespace

MIROX_FUNCTION(stat_now) {
    (void)shmem::required_region();
    static const shmem::DatabaseStats nothing = {};
    const shmem::DatabaseStats* found = shmem::stats_of(MyDatabaseId);
    const shmem::DatabaseStats& stats = found == nullptr ? nothing : *found;
    const store::JwtKeyState keys = store::jwt_key_state();
    pg::Row row(pg::result_columns(fcinfo));
    set_checks(row, stats);
    set_drains(row, stats);
    set_shared(row);
    return row.set("agent_rules", pg::text_datum(enricher_text(stats.agents)))
        .set("geoip", pg::text_datum(enricher_text(stats.geo)))
        .set_time("stats_reset", stats.stats_reset_at.load(std::memory_order_relaxed))
        .set("jwt_keys", Int32GetDatum(keys.keys))
        .set("jwt_key_file", pg::text_datum(keys.file))
        .set_time("jwt_key_file_since", keys.since)
        .datum();
}

MIROX_READ_ONLY_ACT(stat_reset) {
    shmem::Region& region = shmem::required_region();
    shmem::DatabaseStats* stats = shmem::my_stats();
    if (stats == nullptr) PG_RETURN_VOID();
    const shmem::QueueRef queue = region.ring().find_queue(MyDatabaseId);
    for (auto& stripe : stats->checks)
        for (auto& count : stripe.of) count.store(0, std::memory_order_relaxed);
    for (auto* count : {&stats->drains, &stats->failures, &stats->flushed, &stats->drain_us, &stats->too_late})
        count->store(0, std::memory_order_relaxed);
    region.ring().reset_statistics(queue);
    stats->stats_reset_at.store(GetCurrentTimestamp(), std::memory_order_relaxed);
    PG_RETURN_VOID();
}

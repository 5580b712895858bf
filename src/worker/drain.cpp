// From the ring to the tables (see drain.hpp, also for the locks): the transactions, their positions, and what they free.
#include "worker/drain.hpp"

#include "pg/catalog.hpp"
#include "pg/network.hpp"
#include "pg/settings.hpp"
#include "worker/batch.hpp"
#include "worker/lookup.hpp"
#include "worker/presence.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "utils/array.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
}

namespace mirox::worker {
namespace {

using pg::Query;
using pg::Type;
using shmem::QueueRef;
using shmem::ReadStatus;
using shmem::Region;

// Events a transaction of a last drain, so that what was written before its time is up stays written.
constexpr std::uint64_t kLastBatch = 10'000;

// clang-format off
Query select_position = {
    "SELECT COALESCE(max(\"position\"), 0) FROM mirox_internal.drain_position WHERE ring_id = ANY ($1) AND database = $2",
    {Type::int8_array, Type::oid}};

Query put_position = {
    "INSERT INTO mirox_internal.drain_position (node, ring_id, database, \"position\", at) "
    "VALUES ($1, $2, $3, $4, clock_timestamp()) "
    "ON CONFLICT (node, ring_id, database) DO UPDATE SET \"position\" = excluded.\"position\", at = excluded.at",
    {Type::int4, Type::int8, Type::oid, Type::int8}};
// clang-format on

struct Step {
    shmem::DatabaseStats* stats;
    QueueRef queue;
    std::uint64_t from, to;
    std::uint64_t ring_id;
    std::uint64_t most;  // events
    std::uint64_t events;
    std::uint64_t uses;  // by minute and caller
    ReadStatus ended;
    bool absent;
    bool settles;  // what an earlier start wrote is only made known to the counters
};

std::uint64_t stored_position(Region& region) {
    std::uint64_t ids[shmem::kKeptRingIds];
    const std::size_t count = region.ring_ids(ids);
    Datum* values = datums(static_cast<std::uint32_t>(count));
    for (std::size_t i = 0; i < count; i++) values[i] = Int64GetDatum(static_cast<std::int64_t>(ids[i]));
    pg::Args args;
    args.add(array_datum(INT8OID, values, nullptr, static_cast<int>(count))).add(ObjectIdGetDatum(MyDatabaseId));
    pg::run(select_position, args);
    return static_cast<std::uint64_t>(DatumGetInt64(pg::result_value(0, 1)));
}

void batch_step(void* state) {
    Step& step = *static_cast<Step*>(state);
    store::Actor actor;
    if (!begin_step(actor)) {
        step.absent = true;
        discard_absent();
        return;
    }
    Region& region = shmem::region();
    plan_by_keys();
    const std::uint64_t freed = region.ring().freed(step.queue);
    // Positions grow as long as the file lives, whatever ring id an event has; so the greatest one holds for all.
    const std::uint64_t stored = stored_position(region);
    Batch batch;
    make_batch(batch);
    shmem::RingReader reader(region.ring(), step.queue);
    shmem::StoredEvent event;
    step.settles = stored > freed;
    step.from = step.settles ? freed : stored;
    step.to = step.settles ? stored : Max(stored, freed);
    step.events = 0;
    for (;;) {
        step.ended = reader.next(event);
        // A batch ends with its ring id; what nothing was read of yet has none.
        if (step.ended == ReadStatus::new_ring_id && (step.events == 0 || step.settles)) continue;
        if (step.ended != ReadStatus::event) break;
        if (step.settles && event.begin >= stored) break;
        if (!step.settles && event.begin < stored) continue;
        gather(batch, event);
        step.ring_id = event.ring_id;
        if (!step.settles) step.to = event.end;
        step.events++;
        if (step.events >= step.most && !step.settles) break;
    }
    if (!step.settles && step.ended != ReadStatus::event && step.ended != ReadStatus::new_ring_id)
        step.to = Max(step.to, reader.position());  // past what was torn
    if (step.events > 0 && !step.settles) step.uses = write_batch(step.stats, batch);
    if (step.to > stored && !step.settles) {
        if (step.events == 0) step.ring_id = region.ring().ring_id();
        pg::Args args;
        args.int4(pg::settings().node_id)
            .int8(static_cast<std::int64_t>(step.ring_id))
            .add(ObjectIdGetDatum(MyDatabaseId))
            .int8(static_cast<std::int64_t>(step.to));
        pg::run(put_position, args);
    }
    tell_counters(region, batch, step.from, step.to);
    store::leave(actor);
}

}  // namespace

bool begin_step(store::Actor& actor) {
    if (!pg::extension_present()) return false;
    store::enter(actor);
    actor.maintenance = true;
    return true;
}

void plan_by_keys() {
    for (const char* setting : {"enable_seqscan", "enable_hashjoin", "enable_mergejoin"})
        (void)set_config_option(setting, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

Datum stored_network(const core::Address& network) {
    constexpr core::Address kAll = {core::AddressFamily::ipv4, 0, {}};
    return pg::cidr_datum(network.family == core::AddressFamily::none ? kAll : network);
}

Datum* datums(std::uint32_t count) {
    return static_cast<Datum*>(palloc(sizeof(Datum) * Max(count, std::uint32_t{1})));
}

bool run_step(shmem::DatabaseStats* stats, void (*step)(void*), void* state, pg::Trouble& trouble, int most_ms) {
    const bool well = pg::in_transaction(step, state, trouble, most_ms);
    if (stats != nullptr) stats->steps.fetch_add(1, std::memory_order_relaxed);
    return well;
}

int left_ms(TimestampTz until) {
    if (until == 0) return 0;
    return static_cast<int>(Max(TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until), 1L));
}

Drained drain_events(shmem::DatabaseStats* stats, std::uint64_t& open, pg::Trouble& trouble, TimestampTz until) {
    Region& region = shmem::region();
    const QueueRef queue = region.ring().find_queue(MyDatabaseId);
    const std::uint64_t target = region.ring().claimed(queue);
    refresh_lookups(stats);
    for (;;) {
        Step step = {};
        step.stats = stats;
        step.queue = queue;
        step.most = until == 0 ? kBatch : kLastBatch;
        const TimestampTz began = GetCurrentTimestamp();
        if (!run_step(stats, batch_step, &step, trouble, left_ms(until))) return Drained::failed;
        if (step.absent) return Drained::absent;
        if (!queue) return Drained::all;
        region.ring().set_applied(queue, step.to);
        LWLockAcquire(shmem::region_lock(), LW_EXCLUSIVE);
        region.ring().free_to(queue, step.to);
        LWLockRelease(shmem::region_lock());
        if (!step.settles) region.settled(queue);
        open += step.uses;
        if (stats != nullptr && step.events > 0 && !step.settles) {
            const TimestampTz now = GetCurrentTimestamp();
            stats->drains.fetch_add(1, std::memory_order_relaxed);
            stats->flushed.fetch_add(step.events, std::memory_order_relaxed);
            stats->drain_us.fetch_add(static_cast<std::uint64_t>(Max(now - began, 0)), std::memory_order_relaxed);
            stats->last_drain_at.store(now, std::memory_order_relaxed);
        }
        ConditionVariableBroadcast(&shmem::control().drained);
        pgstat_report_stat(true);
        pg::serve_interrupts();
        if (until == 0 ? ShutdownRequestPending != 0 : GetCurrentTimestamp() >= until) return Drained::later;
        if (step.settles) continue;
        if (step.to >= target) return Drained::all;
        if (step.events == 0) return step.ended == ReadStatus::empty ? Drained::all : Drained::later;
    }
}

}  // namespace mirox::worker

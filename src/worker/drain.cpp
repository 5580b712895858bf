// From the ring to the tables: the transactions, their positions, and what they free. For the locks see drain.hpp.
#include "worker/drain.hpp"

#include "pg/catalog.hpp"
#include "pg/network.hpp"
#include "pg/settings.hpp"
#include "worker/batch.hpp"
#include "worker/drain.sql.hpp"
#include "worker/erasing.hpp"
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

using shmem::QueueRef;
using shmem::ReadStatus;
using shmem::Region;

// The most events in a transaction of the last drain before a stop. Small batches: each that has committed before the time is up
// stays written.
constexpr std::uint64_t kLastBatch = 10'000;
// Memory of each sort and each stored part of a slice's statements, in kB. A slice of some 20,000 uses needs 4 to 8 MB, and its days
// twice that. Beyond it the server writes temporary files.
constexpr char kSliceMemory[] = "32768";

struct Step {
    shmem::DatabaseStats* stats;
    QueueRef queue;
    std::uint64_t from, to;
    std::uint64_t ring_id;
    std::uint64_t most;  // events
    std::uint64_t events;
    std::uint64_t uses;  // rows by minute and caller
    ReadStatus ended;
    bool absent;
    bool post_only;  // these events are in the tables already, since before a restart: they are only posted to the counters
};

// Adds the parameters that name this database's positions in the ring.
void add_rings(pg::Args& args) {
    std::uint64_t ids[shmem::kKeptRingIds];
    const std::size_t count = shmem::region().ring_ids(ids);
    Datum* values = datums(static_cast<std::uint32_t>(count));
    for (std::size_t i = 0; i < count; i++) values[i] = Int64GetDatum(static_cast<std::int64_t>(ids[i]));
    args.add(array_datum(INT8OID, values, nullptr, static_cast<int>(count))).add(ObjectIdGetDatum(MyDatabaseId));
}

std::uint64_t stored_position() {
    pg::Args args;
    add_rings(args);
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
    // Positions grow for as long as the file lives, whatever the ring id. So the greatest one is valid for all ring ids.
    const std::uint64_t stored = stored_position();
    Batch batch;
    make_batch(batch);
    know_erased();
    shmem::RingReader reader(region.ring(), step.queue);
    shmem::StoredEvent event;
    step.post_only = stored > freed;
    step.from = step.post_only ? freed : stored;
    step.to = step.post_only ? stored : Max(stored, freed);
    step.events = 0;
    for (;;) {
        step.ended = reader.next(event);
        // A batch ends where the ring id changes. A batch without events has none yet.
        if (step.ended == ReadStatus::new_ring_id && (step.events == 0 || step.post_only)) continue;
        if (step.ended != ReadStatus::event) break;
        if (step.post_only && event.begin >= stored) break;
        if (!step.post_only && event.begin < stored) continue;
        gather(batch, event);
        step.ring_id = event.ring_id;
        if (!step.post_only) step.to = event.end;
        step.events++;
        if (step.events >= step.most && !step.post_only) break;
    }
    if (!step.post_only && step.ended != ReadStatus::event && step.ended != ReadStatus::new_ring_id)
        step.to = Max(step.to, reader.position());  // past torn records
    if (step.events > 0 && !step.post_only) step.uses = write_batch(step.stats, batch);
    if (step.to > stored && !step.post_only) {
        if (step.events == 0) step.ring_id = region.ring().ring_id();
        pg::Args args;
        args.int4(pg::settings().node_id)
            .int8(static_cast<std::int64_t>(step.ring_id))
            .add(ObjectIdGetDatum(MyDatabaseId))
            .int8(static_cast<std::int64_t>(step.to));
        pg::run(put_position, args);
    }
    post_counts(region, batch, step.from, step.to);
    store::leave(actor);
}

}  // namespace

bool begin_step(store::Actor& actor) {
    if (!pg::extension_present()) return false;
    store::enter(actor);
    actor.worker = true;
    return true;
}

bool records_uses() {
    pg::Args args;
    add_rings(args);
    pg::run(uses_own, args);
    return DatumGetBool(pg::result_value(0, 1));
}

namespace {

void set_for_step(const char* setting, const char* value) {
    (void)set_config_option(setting, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

}  // namespace

void plan_by_keys() {
    for (const char* setting : {"enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin"})
        set_for_step(setting, "off");
}

void plan_slices() {
    plan_by_keys();
    set_for_step("plan_cache_mode", "force_custom_plan");
    set_for_step("work_mem", kSliceMemory);
}

Cell Cell::network(const core::Address& address) {
    return address.family == core::AddressFamily::none ? null() : Cell(pg::cidr_datum(address));
}

Cell Cell::text(std::string_view utf8) {
    return utf8.empty() ? null() : Cell(pg::text_datum(pg::from_utf8_lossy(utf8)));
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
        if (!step.post_only) region.set_posted(queue);
        open += step.uses;
        if (stats != nullptr && step.events > 0 && !step.post_only) {
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
        if (step.post_only) continue;
        if (step.to >= target) return Drained::all;
        if (step.events == 0) return step.ended == ReadStatus::empty ? Drained::all : Drained::later;
    }
}

namespace {

struct Lost {
    shmem::TokenKey key;
    shmem::PendingCounts counts;
};
struct LostStep {
    const Lost* all;
    int count;
};

void lost_step(void* state) {
    const LostStep& step = *static_cast<LostStep*>(state);
    store::Actor actor;
    if (!begin_step(actor)) return;
    Arrays rows(add_lost, 1, static_cast<std::uint32_t>(step.count));
    const auto at = [](std::int64_t last, std::uint64_t count) {
        return count == 0 || last == 0 ? Cell::null() : Cell(TimestampTzGetDatum(last));
    };
    for (int i = 0; i < step.count; i++) {
        const Lost& lost = step.all[i];
        rows.add_row({Int64GetDatum(lost.key.token), Int32GetDatum(lost.key.generation),
                      Int64GetDatum(static_cast<std::int64_t>(lost.counts.uses)),
                      Int64GetDatum(static_cast<std::int64_t>(lost.counts.refusals)), at(lost.counts.last_used, lost.counts.uses),
                      at(lost.counts.last_refused, lost.counts.refusals)});
    }
    pg::Args args;
    rows.add_to(args);
    pg::run(add_lost, args);
    store::leave(actor);
}

}  // namespace

bool write_lost(shmem::DatabaseStats* stats, pg::Trouble& trouble) {
    shmem::Counters& counters = shmem::region().counters();
    auto* const all = static_cast<Lost*>(palloc(sizeof(Lost) * counters.entries()));
    LostStep step = {all, 0};
    shmem::TokenKey key;
    for (std::uint32_t i = 0; i < counters.entries(); i++)
        if (counters.key_at(i, MyDatabaseId, key) && key.token > 0 && counters.lost(key, all[step.count].counts))
            all[step.count++].key = key;
    if (step.count == 0) return true;
    if (!run_step(stats, lost_step, &step, trouble)) return false;
    for (int i = 0; i < step.count; i++) counters.take_lost(all[i].key, all[i].counts.uses, all[i].counts.refusals);
    return true;
}

}  // namespace mirox::worker

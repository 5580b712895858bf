// Refusals of unauthenticated callers, from shared memory to the tables. For the locks see drain.hpp.
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "shmem/region.hpp"
#include "worker/drain.hpp"
#include "worker/lookup.hpp"
#include "worker/places.hpp"
#include "worker/unauthenticated.sql.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::worker {
namespace {

struct Step {
    shmem::UnauthenticatedCount* counts;
    std::uint32_t* at;
    int count;
};

void write_step(void* state) {
    const Step& step = *static_cast<Step*>(state);
    store::Actor actor;
    if (!begin_step(actor)) return;
    PlaceIds places;
    begin_places(places);
    auto* const place = static_cast<std::int32_t*>(palloc0(sizeof(std::int32_t) * static_cast<std::size_t>(step.count)));
    for (int i = 0; has_places() && i < step.count; i++)
        if (step.counts[i].network.family != core::AddressFamily::none)
            place[i] = number_of_place(places, step.counts[i].network);
    end_places(places);
    Arrays rows(put_unauthenticated, 2, static_cast<std::uint32_t>(step.count));
    for (int i = 0; i < step.count; i++) {
        const shmem::UnauthenticatedCount& slot = step.counts[i];
        rows.add_row({Int64GetDatum(static_cast<std::int64_t>(slot.ring_id)),
                      Int64GetDatum(static_cast<std::int64_t>(slot.serial)), TimestampTzGetDatum(slot.minute),
                      Cell::network(slot.network), Cell::key(places.ids[place[i]]),
                      Int16GetDatum(static_cast<std::int16_t>(slot.status)), pg::text_datum(core::reason_word(slot.reason)),
                      Int64GetDatum(static_cast<std::int64_t>(slot.requests)), TimestampTzGetDatum(slot.first_at),
                      TimestampTzGetDatum(slot.last_at)});
    }
    pg::Args args;
    args.int4(pg::settings().node_id);
    rows.add_to(args);
    pg::run(put_unauthenticated, args);
    store::leave(actor);
}

}  // namespace

Drained drain_unauthenticated(shmem::DatabaseStats* stats, pg::Trouble& trouble, TimestampTz until) {
    shmem::Unauthenticated& slots = shmem::region().unauthenticated();
    const std::uint32_t capacity = slots.capacity();
    Step step = {};
    step.counts = static_cast<shmem::UnauthenticatedCount*>(palloc(sizeof(shmem::UnauthenticatedCount) * capacity));
    step.at = static_cast<std::uint32_t*>(palloc(sizeof(std::uint32_t) * capacity));
    for (std::uint32_t i = 0; i < capacity; i++)
        if (slots.read(i, MyDatabaseId, step.counts[step.count])) step.at[step.count++] = i;
    if (step.count == 0) return Drained::all;
    if (!run_step(stats, write_step, &step, trouble, left_ms(until))) return Drained::failed;
    // A slot is kept until its minute is over, since it may go on counting until then.
    const TimestampTz over = GetCurrentTimestamp() - shmem::kMinute;
    for (int i = 0; i < step.count; i++)
        if (step.counts[i].minute < over) slots.release(step.at[i], step.counts[i]);
    return Drained::all;
}

}  // namespace mirox::worker

// Refusals of unauthenticated callers, from shared memory to the tables (see drain.hpp, also for the locks).
#include "pg/query.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "shmem/region.hpp"
#include "worker/drain.hpp"
#include "worker/lookup.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::worker {
namespace {

using pg::Type;

// A slot's count only grows, so writing it twice changes nothing.
// clang-format off
pg::Query put_unauthenticated = {
    "INSERT INTO mirox_internal.stranger AS s "
    "(node, ring_id, serial, minute, network, location, status, reason, requests, first_at, last_at) "
    "SELECT $1, g.ring, g.serial, g.minute, NULLIF(g.network, '0.0.0.0/0')::cidr, NULLIF(g.location, ''), "
    "g.status, g.reason, g.requests, g.first_at, g.last_at "
    "FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11) "
    "g (ring, serial, minute, network, location, status, reason, requests, first_at, last_at) "
    "ON CONFLICT (node, ring_id, serial) DO UPDATE SET requests = GREATEST(s.requests, excluded.requests), "
    "first_at = LEAST(s.first_at, excluded.first_at), last_at = GREATEST(s.last_at, excluded.last_at) "
    "WHERE s.requests < excluded.requests",
    {Type::int4, Type::int8_array, Type::int8_array, Type::timestamptz_array, Type::inet_array, Type::text_array,
     Type::int2_array, Type::text_array, Type::int8_array, Type::timestamptz_array, Type::timestamptz_array}};
// clang-format on

struct Step {
    shmem::UnauthenticatedCount* counts;
    std::uint32_t* at;
    int count;
};

void write_step(void* state) {
    const Step& step = *static_cast<Step*>(state);
    store::Actor actor;
    if (!begin_step(actor)) return;
    Arrays rows(put_unauthenticated, 2, static_cast<std::uint32_t>(step.count));
    for (int i = 0; i < step.count; i++) {
        const shmem::UnauthenticatedCount& slot = step.counts[i];
        rows.add_row({Int64GetDatum(static_cast<std::int64_t>(slot.ring_id)),
                      Int64GetDatum(static_cast<std::int64_t>(slot.serial)), TimestampTzGetDatum(slot.minute),
                      stored_network(slot.network), location_datum(slot.network),
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
    // Only once the minute is over: until then more of the same comes.
    const TimestampTz over = GetCurrentTimestamp() - shmem::kMinute;
    for (int i = 0; i < step.count; i++)
        if (step.counts[i].minute < over) slots.release(step.at[i], step.counts[i]);
    return Drained::all;
}

}  // namespace mirox::worker

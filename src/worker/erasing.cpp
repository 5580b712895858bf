// Takes out traces (see erasing.hpp, also for the locks).
#include "worker/erasing.hpp"

#include "pg/query.hpp"
#include "pg/values.hpp"
#include "shmem/region.hpp"
#include "store/actor.hpp"
#include "worker/drain.hpp"
#include "worker/erasing.sql.hpp"
#include "worker/partitions.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
}

namespace mirox::worker {
namespace {

// About how long a slice takes. A drain waits no longer than that.
constexpr TimestampTz kSlice = 300'000;
constexpr std::int32_t kFirstRows = 1000, kLeastRows = 50, kMostRows = 20'000;
// The stages: open minutes and totals, the stores that have callers in their order, acts.
constexpr std::int32_t kOpen = 0, kActs = static_cast<std::int32_t>(Store::refusal_day) + 2;

constinit pg::Query of_store[kStores] = {};

pg::Query& statement_of(Store store) {
    pg::Query& query = of_store[static_cast<int>(store)];
    if (query.sql == nullptr) {
        query.types = erase_store.types;
        query.sql = MemoryContextStrdup(TopMemoryContext, psprintf(erase_store.sql, name_of(store), key_of(store)));
    }
    return query;
}

struct Erased {
    std::int64_t account_id;
    TimestampTz until;
};
constinit HTAB* erased = nullptr;

void remember(HTAB* accounts, std::int64_t account_id, TimestampTz until) {
    bool found;
    auto* const entry = static_cast<Erased*>(hash_search(accounts, &account_id, HASH_ENTER, &found));
    entry->until = found ? Max(entry->until, until) : until;
}

struct Step {
    Erasing* erasing;
    bool done;
};

void erase_step(void* state) {
    Step& step = *static_cast<Step*>(state);
    Erasing& erasing = *step.erasing;
    store::Actor actor;
    step.done = true;
    if (!begin_step(actor)) return;
    plan_by_keys();
    pg::Args next;
    std::uint64_t ids[shmem::kKeptRingIds];
    Datum rings[shmem::kKeptRingIds];
    const std::size_t kept = shmem::region().ring_ids(ids);
    for (std::size_t i = 0; i < kept; i++) rings[i] = Int64GetDatum(static_cast<std::int64_t>(ids[i]));
    next.add(TimestampTzGetDatum(erasing.drained_at)).add(BoolGetDatum(records_uses()));
    next.add(array_datum(INT8OID, rings, nullptr, static_cast<int>(kept)));
    if (pg::run(next_erasure, next) == 0) return store::leave(actor);
    step.done = false;
    const std::int64_t erasure_id = DatumGetInt64(pg::result_value(0, 1)), account_id = DatumGetInt64(pg::result_value(0, 2));
    const bool whole = DatumGetBool(pg::result_value(0, 3));
    // Of a former account nothing is kept, also what was used until its deletion was committed.
    const TimestampTz until = whole ? DT_NOEND : DatumGetTimestampTz(pg::result_value(0, 4));
    std::int32_t stage = DatumGetInt32(pg::result_value(0, 5));
    TimestampTz cursor = DatumGetTimestampTz(pg::result_value(0, 6));
    know_erased();
    remember(erased, account_id, until);
    actor.erases = true;
    pg::Args args;
    args.int8(account_id).add(TimestampTzGetDatum(until));
    if (stage != kOpen) args.add(TimestampTzGetDatum(cursor)).int4(erasing.rows);
    if (stage == kActs) args.add(BoolGetDatum(whole));
    pg::run(stage == kOpen ? erase_open : stage == kActs ? erase_acts : statement_of(static_cast<Store>(stage - 1)), args);
    bool is_null;
    const Datum upto = pg::result(0, 1, &is_null);
    const bool through = is_null || DatumGetInt32(pg::result_value(0, 2)) < erasing.rows;
    std::int64_t changed = DatumGetInt64(pg::result_value(0, 3));
    if (stage == kOpen) {
        pg::run(erase_totals, args);
        changed += DatumGetInt64(pg::result_value(0, 1));
    }
    const bool finished = through && stage == kActs;
    stage += through && !finished ? 1 : 0;
    cursor = through ? DT_NOBEGIN : DatumGetTimestampTz(upto);
    pg::Args put;
    put.int8(erasure_id).int8(account_id).int4(stage).add(TimestampTzGetDatum(cursor)).int8(changed).add(BoolGetDatum(finished));
    pg::run(put_erasure, put);
    store::leave(actor);
}

}  // namespace

void know_erased() {
    if (erased != nullptr) return;
    pg::Args none;
    const std::uint64_t count = pg::run(select_erased, none);
    HASHCTL how = {};
    how.keysize = sizeof(std::int64_t);
    how.entrysize = sizeof(Erased);
    how.hcxt = TopMemoryContext;
    HTAB* const accounts = hash_create("mirox_tokens erased accounts", 64, &how, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    for (std::uint64_t i = 0; i < count; i++)
        remember(accounts, DatumGetInt64(pg::result_value(i, 1)), DatumGetTimestampTz(pg::result_value(i, 2)));
    erased = accounts;
}

bool is_erased(std::int64_t account_id, TimestampTz at) {
    if (hash_get_num_entries(erased) == 0) return false;
    const auto* const entry = static_cast<const Erased*>(hash_search(erased, &account_id, HASH_FIND, nullptr));
    return entry != nullptr && at < entry->until;
}

bool erase_slice(Erasing& erasing, shmem::DatabaseStats* stats, pg::Trouble& trouble) {
    if (erasing.rows == 0) erasing.rows = kFirstRows;
    Step step = {&erasing, false};
    const TimestampTz began = GetCurrentTimestamp();
    const bool well = run_step(stats, erase_step, &step, trouble);
    const TimestampTz took = GetCurrentTimestamp() - began;
    if (took < kSlice / 2) erasing.rows = Min(erasing.rows * 2, kMostRows);
    if (took > kSlice * 2 || !well) erasing.rows = Max(erasing.rows / 4, kLeastRows);
    erasing.active = well && !step.done;
    return well;
}

}  // namespace mirox::worker

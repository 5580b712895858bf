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

// About how long a slice takes, and when it is cancelled. A drain waits no longer than that.
constexpr TimestampTz kSlice = 300'000;
constexpr int kMostSliceMs = 1000;
constexpr std::int32_t kFirstRows = 1000, kLeastRows = 50, kMostRows = 20'000;
// A row of open minutes holds about so many uses.
constexpr std::int32_t kPacked = 50;

// Stage 0 is what is open, and the totals of tokens. Then come the tables that have callers or tell of tokens, in this order.
constexpr struct Table {
    const char *name, *at, *columns, *bound;
    bool callers;
} kTables[] = {
    {"usage_minute", "first_at", "first_at", "$%d", true},
    {"refusal_minute", "first_at", "first_at", "$%d", true},
    {"usage_hour", "first_at", "hour, first_at", "date_trunc('hour', $%1$d, 'UTC'), $%1$d", true},
    {"refusal_hour", "first_at", "hour, first_at", "date_trunc('hour', $%1$d, 'UTC'), $%1$d", true},
    {"usage_day", "first_at", "day, first_at", "timezone('UTC', $%1$d)::date, $%1$d", true},
    {"refusal_day", "first_at", "day, first_at", "timezone('UTC', $%1$d)::date, $%1$d", true},
    {"audit_log", "at", "at", "$%d", false},
    {"token_day", "first_at", "day, first_at", "timezone('UTC', $%1$d)::date, $%1$d", false},
};
constexpr std::int32_t kTableCount = static_cast<std::int32_t>(std::size(kTables)), kActs = 6;
static_assert(std::string_view(kTables[kActs].name) == "audit_log");

constinit struct Queries { pg::Query stretch, uses, totals; } queries_of[kTableCount] = {};

// `last`: the last parameter that is an instant.
pg::Query& filled(pg::Query& query, const pg::Query& pattern, const Table& table, int last) {
    if (query.sql != nullptr) return query;
    query.types = pattern.types;
    query.sql = MemoryContextStrdup(TopMemoryContext, psprintf(pattern.sql, table.name, table.columns, psprintf(table.bound, 3),
                                                               psprintf(table.bound, last), table.at));
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

// How far an erasure has come.
struct Order {
    std::int64_t erasure_id, account_id;
    bool whole;
    TimestampTz until;
    std::int32_t stage;
    TimestampTz cursor;
    std::int64_t changed;  // rows, by this slice
};

bool next_order(const Erasing& erasing, Order& out) {
    std::uint64_t ids[shmem::kKeptRingIds];
    Datum rings[shmem::kKeptRingIds];
    const std::size_t kept = shmem::region().ring_ids(ids);
    for (std::size_t i = 0; i < kept; i++) rings[i] = Int64GetDatum(static_cast<std::int64_t>(ids[i]));
    pg::Args args;
    args.add(TimestampTzGetDatum(erasing.drained_at)).add(BoolGetDatum(records_uses()));
    args.add(array_datum(INT8OID, rings, nullptr, static_cast<int>(kept)));
    if (pg::run(next_erasure, args) == 0) return false;
    out = {DatumGetInt64(pg::result_value(0, 1)),
           DatumGetInt64(pg::result_value(0, 2)),
           DatumGetBool(pg::result_value(0, 3)),
           DatumGetTimestampTz(pg::result_value(0, 4)),
           DatumGetInt32(pg::result_value(0, 5)),
           DatumGetTimestampTz(pg::result_value(0, 6)),
           0};
    // Of a former account nothing is kept, also what was used until its deletion was committed.
    if (out.whole) out.until = DT_NOEND;
    return true;
}

// True when nothing of it is left.
bool erase_open(Order& order, std::int32_t rows) {
    const std::int32_t packed = Max(rows / kPacked, 1);
    pg::Args open, totals;
    open.int8(order.account_id).add(TimestampTzGetDatum(order.until)).int4(packed);
    totals.int8(order.account_id).add(TimestampTzGetDatum(order.until)).int4(rows);
    const auto minutes = static_cast<std::int64_t>(pg::run(blank_open, open));
    const auto tokens = static_cast<std::int64_t>(pg::run(blank_last_uses, totals));
    order.changed = minutes + tokens;
    return minutes < packed && tokens < rows;
}

// True when the account has no later rows in the table.
bool erase_table(Order& order, int n, std::int32_t rows) {
    const Table& table = kTables[n];
    Queries& queries = queries_of[n];
    const Datum account = Int64GetDatum(order.account_id), until = TimestampTzGetDatum(order.until);
    const Datum after = TimestampTzGetDatum(order.cursor);
    pg::Args next, args, acts;
    next.add(account).add(until).add(after).int4(rows);
    pg::run(filled(queries.stretch, stretch, table, 2), next);
    bool none;
    const Datum upto = pg::result(0, 1, &none);
    if (none) return true;
    const bool through = DatumGetInt32(pg::result_value(0, 2)) < rows;
    args.add(account).add(until).add(after).add(upto);
    acts.add(account).add(BoolGetDatum(order.whole)).add(after).add(upto);
    order.cursor = DatumGetTimestampTz(upto);
    if (table.callers) order.changed += static_cast<std::int64_t>(pg::run(filled(queries.uses, blank_uses, table, 4), args));
    if (n == kActs) order.changed += static_cast<std::int64_t>(pg::run(blank_acts, acts));
    order.changed += static_cast<std::int64_t>(pg::run(filled(queries.totals, blank_totals, table, 4), args));
    return through;
}

void erase_step(void* state) {
    Step& step = *static_cast<Step*>(state);
    store::Actor actor;
    step.done = true;
    if (!begin_step(actor)) return;
    plan_by_keys();
    Order order;
    if (!next_order(*step.erasing, order)) return store::leave(actor);
    step.done = false;
    know_erased();
    actor.erases = true;
    const std::int32_t rows = step.erasing->rows;
    const bool through = order.stage == 0 ? erase_open(order, rows) : erase_table(order, order.stage - 1, rows);
    const bool finished = through && order.stage == kTableCount;
    if (through && !finished) order.stage++;
    if (through) order.cursor = DT_NOBEGIN;
    pg::Args put;
    put.int8(order.erasure_id).int8(order.account_id).int4(order.stage).add(TimestampTzGetDatum(order.cursor));
    put.int8(order.changed).add(BoolGetDatum(finished));
    pg::run(put_erasure, put);
    store::leave(actor);
}

}  // namespace

void know_erased() {
    const bool first = erased == nullptr;
    pg::Args which;
    which.add(BoolGetDatum(first));
    const std::uint64_t count = pg::run(select_erased, which);
    HTAB* accounts = erased;
    if (first) {
        HASHCTL how = {};
        how.keysize = sizeof(std::int64_t);
        how.entrysize = sizeof(Erased);
        how.hcxt = TopMemoryContext;
        accounts = hash_create("mirox_tokens erased accounts", 64, &how, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    }
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
    bool well = run_step(stats, erase_step, &step, trouble, kMostSliceMs);
    // What was cancelled because it took too long goes on with fewer rows.
    if (!well && trouble.sqlstate == ERRCODE_QUERY_CANCELED && erasing.rows > kLeastRows) well = true;
    const TimestampTz took = GetCurrentTimestamp() - began;
    if (took < kSlice / 2) erasing.rows = Min(erasing.rows * 2, kMostRows);
    if (took > kSlice * 2 || !well) erasing.rows = Max(erasing.rows / 4, kLeastRows);
    erasing.active = well && !step.done;
    return well;
}

}  // namespace mirox::worker

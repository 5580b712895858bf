// What the worker does besides draining (see upkeep.hpp).
//
// Locks: ordinary row locks. Ended sessions are deleted as all else is changed: the account's row first, and one that is held by
// somebody is left for the next time, so that nobody waits for us.
#include "worker/upkeep.hpp"

#include "pg/catalog.hpp"
#include "pg/query.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "store/actor.hpp"
#include "worker/drain.hpp"
#include "worker/lookup.hpp"
#include "worker/upkeep.sql.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/timestamp.h"
}

namespace mirox::worker {
namespace {

using pg::Query;

// A session that ended is of interest for a while (who was logged in when?), then the audit log alone tells of it.
constexpr TimestampTz kSessionsKept = 30 * USECS_PER_DAY;
// Networks of unauthenticated requests that keep a row of their own in a minute, and in an hour, that is over.
constexpr int kNetworksKept = 200;
constexpr TimestampTz kStrangerMinutesKept = USECS_PER_DAY;
// A slice is cut so that it takes about this long, and gives up when it takes too long: nobody waits longer for a drain.
constexpr TimestampTz kSlice = 100'000;
constexpr int kMostSliceMs = 1000;
constexpr std::int32_t kLeastRows = 50, kFirstRows = 1000, kMostRows = 50000;

TimestampTz days_before(TimestampTz now, const Interval& span) {
    return DatumGetTimestampTz(DirectFunctionCall2(timestamp_mi_interval, TimestampGetDatum(now), IntervalPGetDatum(&span)));
}

void close_step(void* state) {
    store::Actor actor;
    if (!begin_step(actor)) return;
    plan_by_keys();
    pg::Args args;
    args.add(TimestampTzGetDatum(*static_cast<TimestampTz*>(state)));
    pg::run(close_minutes, args);
    store::leave(actor);
}

void notices_step(void*) {
    store::Actor actor;
    if (!begin_step(actor)) return;
    const TimestampTz now = GetCurrentTimestamp();
    const TimestampTz horizon = pg::add_in_utc(now, pg::settings().expiry_notice);
    // The widest is known by its days as the server orders intervals, a month for 30 of them: what it is called must not change
    // with the length of the month that it falls into, or it would be told again.
    const Interval& notice = pg::settings().expiry_notice;
    const std::int64_t notice_days = notice.month * std::int64_t{DAYS_PER_MONTH} + notice.day + notice.time / USECS_PER_DAY;
    const auto widest = static_cast<std::int32_t>(Min(Max(notice_days, 0), std::int64_t{PG_INT32_MAX}));
    Datum days[3], until[3];
    days[0] = Int32GetDatum(widest);
    until[0] = TimestampTzGetDatum(horizon);
    int count = 1;
    for (const std::int32_t threshold : {7, 1}) {
        if (threshold >= widest) continue;
        days[count] = Int32GetDatum(threshold);
        until[count++] = TimestampTzGetDatum(now + threshold * USECS_PER_DAY);
    }
    pg::Args args;
    args.add(TimestampTzGetDatum(now))
        .add(array_datum(INT4OID, days, nullptr, count))
        .add(TimestampTzGetDatum(horizon))
        .add(array_datum(TIMESTAMPTZOID, until, nullptr, count));
    pg::run(send_due_notices, args);
    pg::Args old;
    old.add(TimestampTzGetDatum(now - 30 * USECS_PER_DAY));
    pg::run(delete_notices, old);
    store::leave(actor);
}

// ---- the house, in slices -----------------------------------------------------------------------------------------------

// One transaction of a task: where it begins, how much it may do, and where the next goes on.
struct Slice {
    const House* house;
    shmem::DatabaseStats* stats;
    std::int64_t next;  // the next one's cursor
    bool done;          // there is none
};

// Only minutes of which no slot is left in shared memory, so that no slot writes its row again.
TimestampTz oldest_slot(TimestampTz before) {
    const shmem::Unauthenticated& slots = shmem::region().unauthenticated();
    shmem::UnauthenticatedCount slot;
    for (std::uint32_t i = 0; i < slots.capacity(); i++)
        if (slots.read(i, MyDatabaseId, slot)) before = Min(before, slot.minute);
    return before;
}

// Unauthenticated requests between two instants, as many minutes or hours at a time as the number of rows stands for.
void fold(Slice& slice, const char* unit_name, TimestampTz unit, TimestampTz from, TimestampTz to) {
    const TimestampTz begin = Max(from, slice.house->cursor);
    const TimestampTz end = Min(to, begin + Max(slice.house->rows / kNetworksKept, 1) * unit);
    slice.next = end;
    slice.done = end >= to;
    if (begin >= end) return;
    pg::Args args;
    args.add(TimestampTzGetDatum(end)).add(TimestampTzGetDatum(begin)).int4(kNetworksKept);
    args.int4(pg::settings().node_id).text(unit_name);
    pg::run(fold_unauthenticated, args);
}

void fold_recent(Slice& slice) {
    const House& house = *slice.house;
    const TimestampTz closed = oldest_slot(shmem::minute_of(house.began - 10 * USECS_PER_MINUTE));
    const TimestampTz day_ago = house.began - kStrangerMinutesKept;
    fold(slice, "minute", USECS_PER_MINUTE, day_ago - day_ago % USECS_PER_HOUR, closed);
}

void fold_old(Slice& slice) {
    const TimestampTz day_ago = oldest_slot(shmem::minute_of(slice.house->began - kStrangerMinutesKept));
    const TimestampTz hour = day_ago - day_ago % USECS_PER_HOUR;
    fold(slice, "hour", USECS_PER_HOUR, hour - 7 * USECS_PER_DAY, hour);
}

void forget_positions(Slice& slice) {
    std::uint64_t ids[shmem::kKeptRingIds];
    const std::size_t count = shmem::region().ring_ids(ids);
    Datum values[shmem::kKeptRingIds];
    for (std::size_t i = 0; i < count; i++) values[i] = Int64GetDatum(static_cast<std::int64_t>(ids[i]));
    pg::Args args;
    args.add(array_datum(INT8OID, values, nullptr, static_cast<int>(count)));
    pg::run(delete_positions, args);
    slice.done = true;
}

void resolve_agents(Slice& slice) {
    const std::int32_t most = Min(slice.house->rows, kFirstRows);
    pg::Args none;
    none.int4(most);
    const std::uint64_t agents = pg::run(select_unresolved, none);
    SPITupleTable* const table = SPI_tuptable;
    slice.done = agents < static_cast<std::uint64_t>(most);
    for (std::uint64_t i = 0; i < agents; i++) {
        bool is_null;
        const Datum id = SPI_getbinval(table->vals[i], table->tupdesc, 1, &is_null);
        const Datum agent = SPI_getbinval(table->vals[i], table->tupdesc, 2, &is_null);
        enrich::AgentInfo info;
        if (!look_up_agent(slice.stats, pg::to_utf8(pg::text_view(agent)), info)) {
            slice.done = true;
            break;
        }
        pg::Args args;
        args.add(id).text(pg::from_utf8_lossy(info.browser.view())).text(pg::from_utf8_lossy(info.os.view()));
        pg::run(resolve_agent, args);
    }
}

// The next stretch of a walk, from the cursor to slice.next; false when there is none.
bool next_stretch(Slice& slice, Query& step) {
    pg::Args args;
    args.int8(slice.house->cursor).int4(slice.house->rows);
    pg::run(step, args);
    bool is_null;
    slice.next = DatumGetInt64(pg::result(0, 1, &is_null));
    slice.done = is_null;
    return !is_null;
}

void forget_sessions(Slice& slice) {
    if (!next_stretch(slice, step_of_sessions)) return;
    const TimestampTz before = slice.house->began - kSessionsKept;
    pg::Args args;
    args.int8(slice.house->cursor).int8(slice.next).add(TimestampTzGetDatum(before));
    const std::uint64_t count = pg::run(select_ended, args);
    auto* accounts = static_cast<std::int64_t*>(palloc(sizeof(std::int64_t) * Max(count, std::uint64_t{1})));
    for (std::uint64_t i = 0; i < count; i++) accounts[i] = DatumGetInt64(pg::result_value(i, 1));
    store::Actor& actor = *store::current_actor();
    for (std::uint64_t i = 0; i < count; i++) {
        pg::Args hold;
        hold.int8(accounts[i]);
        if (pg::run(hold_account, hold) == 0 || !store::account_for_update(accounts[i], actor.account)) continue;
        pg::Args gone;
        gone.int8(slice.house->cursor).int8(slice.next).add(TimestampTzGetDatum(before)).int8(accounts[i]);
        pg::run(delete_ended, gone);
    }
}

void forget_rows(Slice& slice, Query& query, TimestampTz before) {
    pg::Args args;
    args.add(TimestampTzGetDatum(before)).int4(slice.house->rows);
    slice.done = pg::run(query, args) < static_cast<std::uint64_t>(slice.house->rows);
}
void forget_minutes(Slice& slice) {
    forget_rows(slice, delete_minutes, slice.house->before);
}
// Of hours and days, whole ones.
void forget_hours(Slice& slice) {
    forget_rows(slice, delete_hours, slice.house->before - slice.house->before % USECS_PER_HOUR);
}
void forget_days(Slice& slice) {
    forget_rows(slice, delete_days, slice.house->before - slice.house->before % USECS_PER_DAY);
}
void forget_unauthenticated(Slice& slice) {
    forget_rows(slice, delete_unauthenticated, slice.house->before);
}
void forget_audit(Slice& slice) {
    forget_rows(slice, delete_audit, slice.house->before);
}

void forget_usage(Slice& slice) {
    if (!next_stretch(slice, step_of_usage)) return;
    pg::Args args;
    args.int8(slice.house->cursor).int8(slice.next).add(TimestampTzGetDatum(slice.house->before));
    pg::run(delete_usage, args);
}

void forget_callers(Slice& slice) {
    if (!next_stretch(slice, step_of_callers)) return;
    pg::Args args;
    args.int8(slice.house->cursor).int8(slice.next);
    const std::uint64_t count = pg::run(select_unused, args);
    if (count == 0) return;
    auto* unused = static_cast<Datum*>(palloc(sizeof(Datum) * count));
    for (std::uint64_t i = 0; i < count; i++) unused[i] = pg::result_value(i, 1);
    pg::Args gone;
    gone.add(array_datum(INT8OID, unused, nullptr, static_cast<int>(count)));
    pg::run(delete_callers, gone);
}

enum class When : std::uint8_t {
    ever,
    retained,  // only with audit_retention
    last       // likewise, and only when nothing before it has failed
};
constexpr struct Task {
    void (*run)(Slice&);
    When when;
} kTasks[] = {
    {fold_recent, When::ever},      {fold_old, When::ever},         {forget_positions, When::ever},
    {resolve_agents, When::ever},   {forget_sessions, When::ever},  {forget_minutes, When::retained},
    {forget_hours, When::retained}, {forget_days, When::retained},  {forget_unauthenticated, When::retained},
    {forget_audit, When::retained}, {forget_usage, When::retained}, {forget_callers, When::last},
};
constexpr int kTaskCount = static_cast<int>(std::size(kTasks));

bool is_due(const House& house, const Task& task) {
    return task.when == When::ever || (house.retains && !(task.when == When::last && house.failed));
}

void next_task(House& house, int from) {
    house.task = from;
    house.cursor = PG_INT64_MIN;
    house.rows = kFirstRows;
    while (house.task < kTaskCount && !is_due(house, kTasks[house.task])) house.task++;
    house.active = house.task < kTaskCount;
}

void slice_step(void* state) {
    Slice& slice = *static_cast<Slice*>(state);
    store::Actor actor;
    slice.done = true;
    if (!begin_step(actor)) return;
    plan_by_keys();
    slice.done = false;
    kTasks[slice.house->task].run(slice);
    store::leave(actor);
}

}  // namespace

bool close_minutes_before(shmem::DatabaseStats* stats, TimestampTz minute, pg::Trouble& trouble) {
    return run_step(stats, close_step, &minute, trouble);
}

bool send_notices(shmem::DatabaseStats* stats, pg::Trouble& trouble) {
    return run_step(stats, notices_step, nullptr, trouble);
}

void begin_house(House& house) {
    house = {};
    house.began = GetCurrentTimestamp();
    house.retains = !pg::settings().keep_audit;
    if (house.retains) house.before = days_before(house.began, pg::settings().audit_retention);
    next_task(house, 0);
}

bool keep_house(House& house, shmem::DatabaseStats* stats, pg::Trouble& trouble) {
    Slice slice = {&house, stats, house.cursor, false};
    const TimestampTz began = GetCurrentTimestamp();
    if (!run_step(stats, slice_step, &slice, trouble, kMostSliceMs)) {
        if (trouble.sqlstate == ERRCODE_QUERY_CANCELED && house.rows > kLeastRows) {
            house.rows = Max(house.rows / 8, kLeastRows);
            return true;
        }
        house.failed = true;
        next_task(house, house.task + 1);
        return false;
    }
    const TimestampTz took = GetCurrentTimestamp() - began;
    house.cursor = slice.next;
    if (took < kSlice / 2) house.rows = Min(house.rows * 2, kMostRows);
    if (took > kSlice * 2) house.rows = Max(house.rows / 2, kLeastRows);
    if (slice.done) next_task(house, house.task + 1);
    return true;
}

}  // namespace mirox::worker

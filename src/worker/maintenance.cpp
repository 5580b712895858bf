// What the worker does besides draining (see maintenance.hpp).
//
// Locks: ordinary row locks. Before sessions are deleted, the account's row is locked, as for every change of an account. If
// another transaction has locked it, its sessions are left for the next run, so that the worker never waits for users or they for
// it.
#include "worker/maintenance.hpp"

#include "pg/catalog.hpp"
#include "pg/query.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "store/actor.hpp"
#include "worker/drain.hpp"
#include "worker/lookup.hpp"
#include "worker/maintenance.sql.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/timestamp.h"
}

namespace mirox::worker {
namespace {

using pg::Query;

// How long an ended session is kept. After that only the audit log shows it.
constexpr TimestampTz kSessionsKept = 30 * USECS_PER_DAY;
// The networks of unauthenticated requests that keep a row of their own for each past minute, and later for each past hour.
constexpr int kNetworksKept = 200;
constexpr TimestampTz kUnauthenticatedMinutesKept = USECS_PER_DAY;
// About how long a slice takes, and when it is cancelled. A drain waits no longer than that.
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
    // The longest threshold has a fixed number of days, with 30 for a month, as the server compares intervals. If the number
    // depended on the length of the current month, the notice would be sent again.
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

// ---- maintenance, in slices --------------------------------------------------------------------------------------------

// One transaction of a task.
struct Slice {
    const Maintenance* maintenance;
    shmem::DatabaseStats* stats;
    std::int64_t next;  // the cursor of the next slice
    bool done;          // no slice follows
};

// The earlier of `before` and the oldest minute that still has a slot in shared memory, whose row the worker may write again.
TimestampTz oldest_slot(TimestampTz before) {
    const shmem::Unauthenticated& slots = shmem::region().unauthenticated();
    shmem::UnauthenticatedCount slot;
    for (std::uint32_t i = 0; i < slots.capacity(); i++)
        if (slots.read(i, MyDatabaseId, slot)) before = Min(before, slot.minute);
    return before;
}

// Merges unauthenticated requests between two instants. The slice's number of rows determines how many minutes or hours it takes.
void fold(Slice& slice, const char* unit_name, TimestampTz unit, TimestampTz from, TimestampTz to) {
    const TimestampTz begin = Max(from, slice.maintenance->cursor);
    const TimestampTz end = Min(to, begin + Max(slice.maintenance->rows / kNetworksKept, 1) * unit);
    slice.next = end;
    slice.done = end >= to;
    if (begin >= end) return;
    pg::Args args;
    args.add(TimestampTzGetDatum(end)).add(TimestampTzGetDatum(begin)).int4(kNetworksKept);
    args.int4(pg::settings().node_id).text(unit_name);
    pg::run(fold_unauthenticated, args);
}

void fold_recent(Slice& slice) {
    const Maintenance& maintenance = *slice.maintenance;
    const TimestampTz closed = oldest_slot(shmem::minute_of(maintenance.began - 10 * USECS_PER_MINUTE));
    const TimestampTz day_ago = maintenance.began - kUnauthenticatedMinutesKept;
    fold(slice, "minute", USECS_PER_MINUTE, day_ago - day_ago % USECS_PER_HOUR, closed);
}

void fold_old(Slice& slice) {
    const TimestampTz day_ago = oldest_slot(shmem::minute_of(slice.maintenance->began - kUnauthenticatedMinutesKept));
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
    const std::int32_t most = Min(slice.maintenance->rows, kFirstRows);
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

// Finds the next range of keys, from the cursor to slice.next. False when no rows are left.
bool next_stretch(Slice& slice, Query& step) {
    pg::Args args;
    args.int8(slice.maintenance->cursor).int4(slice.maintenance->rows);
    pg::run(step, args);
    bool is_null;
    slice.next = DatumGetInt64(pg::result(0, 1, &is_null));
    slice.done = is_null;
    return !is_null;
}

void forget_sessions(Slice& slice) {
    if (!next_stretch(slice, step_of_sessions)) return;
    const TimestampTz before = slice.maintenance->began - kSessionsKept;
    pg::Args args;
    args.int8(slice.maintenance->cursor).int8(slice.next).add(TimestampTzGetDatum(before));
    const std::uint64_t count = pg::run(select_ended, args);
    auto* accounts = static_cast<std::int64_t*>(palloc(sizeof(std::int64_t) * Max(count, std::uint64_t{1})));
    for (std::uint64_t i = 0; i < count; i++) accounts[i] = DatumGetInt64(pg::result_value(i, 1));
    store::Actor& actor = *store::current_actor();
    for (std::uint64_t i = 0; i < count; i++) {
        pg::Args hold;
        hold.int8(accounts[i]);
        if (pg::run(hold_account, hold) == 0 || !store::account_for_update(accounts[i], actor.account)) continue;
        pg::Args gone;
        gone.int8(slice.maintenance->cursor).int8(slice.next).add(TimestampTzGetDatum(before)).int8(accounts[i]);
        pg::run(delete_ended, gone);
    }
}

void forget_rows(Slice& slice, Query& query, TimestampTz before) {
    pg::Args args;
    args.add(TimestampTzGetDatum(before)).int4(slice.maintenance->rows);
    slice.done = pg::run(query, args) < static_cast<std::uint64_t>(slice.maintenance->rows);
}
void forget_minutes(Slice& slice) {
    forget_rows(slice, delete_minutes, slice.maintenance->before);
}
// Only whole hours and days are deleted.
void forget_hours(Slice& slice) {
    forget_rows(slice, delete_hours, slice.maintenance->before - slice.maintenance->before % USECS_PER_HOUR);
}
void forget_days(Slice& slice) {
    forget_rows(slice, delete_days, slice.maintenance->before - slice.maintenance->before % USECS_PER_DAY);
}
void forget_unauthenticated(Slice& slice) {
    forget_rows(slice, delete_unauthenticated, slice.maintenance->before);
}
void forget_audit(Slice& slice) {
    forget_rows(slice, delete_audit, slice.maintenance->before);
}

void forget_usage(Slice& slice) {
    if (!next_stretch(slice, step_of_usage)) return;
    pg::Args args;
    args.int8(slice.maintenance->cursor).int8(slice.next).add(TimestampTzGetDatum(slice.maintenance->before));
    pg::run(delete_usage, args);
}

void forget_callers(Slice& slice) {
    if (!next_stretch(slice, step_of_callers)) return;
    pg::Args args;
    args.int8(slice.maintenance->cursor).int8(slice.next);
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
    last       // the same, and only when no task before it has failed
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

bool is_due(const Maintenance& maintenance, const Task& task) {
    return task.when == When::ever || (maintenance.retains && !(task.when == When::last && maintenance.failed));
}

void next_task(Maintenance& maintenance, int from) {
    maintenance.task = from;
    maintenance.cursor = PG_INT64_MIN;
    maintenance.rows = kFirstRows;
    while (maintenance.task < kTaskCount && !is_due(maintenance, kTasks[maintenance.task])) maintenance.task++;
    maintenance.active = maintenance.task < kTaskCount;
}

void slice_step(void* state) {
    Slice& slice = *static_cast<Slice*>(state);
    store::Actor actor;
    slice.done = true;
    if (!begin_step(actor)) return;
    plan_by_keys();
    slice.done = false;
    kTasks[slice.maintenance->task].run(slice);
    store::leave(actor);
}

}  // namespace

bool close_minutes_before(shmem::DatabaseStats* stats, TimestampTz minute, pg::Trouble& trouble) {
    return run_step(stats, close_step, &minute, trouble);
}

bool send_notices(shmem::DatabaseStats* stats, pg::Trouble& trouble) {
    return run_step(stats, notices_step, nullptr, trouble);
}

void begin_maintenance(Maintenance& maintenance) {
    maintenance = {};
    maintenance.began = GetCurrentTimestamp();
    maintenance.retains = !pg::settings().keep_audit;
    if (maintenance.retains) maintenance.before = days_before(maintenance.began, pg::settings().audit_retention);
    next_task(maintenance, 0);
}

bool run_maintenance(Maintenance& maintenance, shmem::DatabaseStats* stats, pg::Trouble& trouble) {
    Slice slice = {&maintenance, stats, maintenance.cursor, false};
    const TimestampTz began = GetCurrentTimestamp();
    if (!run_step(stats, slice_step, &slice, trouble, kMostSliceMs)) {
        if (trouble.sqlstate == ERRCODE_QUERY_CANCELED && maintenance.rows > kLeastRows) {
            maintenance.rows = Max(maintenance.rows / 8, kLeastRows);
            return true;
        }
        maintenance.failed = true;
        next_task(maintenance, maintenance.task + 1);
        return false;
    }
    const TimestampTz took = GetCurrentTimestamp() - began;
    maintenance.cursor = slice.next;
    if (took < kSlice / 2) maintenance.rows = Min(maintenance.rows * 2, kMostRows);
    if (took > kSlice * 2) maintenance.rows = Max(maintenance.rows / 2, kLeastRows);
    if (slice.done) next_task(maintenance, maintenance.task + 1);
    return true;
}

}  // namespace mirox::worker

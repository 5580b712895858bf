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
#include "worker/partitions.hpp"

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
// Notices are sent so many days before the expiration, besides mirox_tokens.expiry_notice; and how many tokens a slice looks at.
constexpr std::int32_t kThresholds[] = {7, 1}, kNoticeRows = 5000;
// The pause after a failed task, and after partitions could not be dropped because somebody reads them.
constexpr TimestampTz kFailedPause = 5 * USECS_PER_MINUTE, kDropPause = USECS_PER_MINUTE;
constexpr TimestampTz kHourly = USECS_PER_HOUR, kDaily = USECS_PER_DAY;

struct NoticeStep {
    Notices* notices;
    bool more;
};

// Sends the notices of tokens that expire after `from` and by `to`.
void send_between(TimestampTz now, TimestampTz from, TimestampTz to) {
    if (from >= to) return;
    // The longest threshold has a fixed number of days, with 30 for a month, as the server compares intervals. If the number
    // depended on the length of the current month, the notice would be sent again.
    const Interval& notice = pg::settings().expiry_notice;
    const std::int64_t notice_days = notice.month * std::int64_t{DAYS_PER_MONTH} + notice.day + notice.time / USECS_PER_DAY;
    const auto widest = static_cast<std::int32_t>(Min(Max(notice_days, 0), std::int64_t{PG_INT32_MAX}));
    Datum days[3], until[3];
    days[0] = Int32GetDatum(widest);
    until[0] = TimestampTzGetDatum(pg::add_in_utc(now, notice));
    int count = 1;
    for (const std::int32_t threshold : kThresholds) {
        if (threshold >= widest) continue;
        days[count] = Int32GetDatum(threshold);
        until[count++] = TimestampTzGetDatum(now + threshold * USECS_PER_DAY);
    }
    pg::Args args;
    args.add(TimestampTzGetDatum(now))
        .add(array_datum(INT4OID, days, nullptr, count))
        .add(TimestampTzGetDatum(from))
        .add(TimestampTzGetDatum(to))
        .add(array_datum(TIMESTAMPTZOID, until, nullptr, count));
    pg::run(send_due_notices, args);
}

void notices_step(void* state) {
    NoticeStep& step = *static_cast<NoticeStep*>(state);
    store::Actor actor;
    if (!begin_step(actor)) return;
    Notices& notices = *step.notices;
    const TimestampTz now = GetCurrentTimestamp(), horizon = pg::add_in_utc(now, pg::settings().expiry_notice);
    // Tokens that have passed a threshold since the last call.
    if (notices.last != 0 && notices.last < now) {
        send_between(now, Max(now, pg::add_in_utc(notices.last, pg::settings().expiry_notice)), horizon);
        for (const std::int32_t threshold : kThresholds)
            send_between(now, Max(now, notices.last + threshold * USECS_PER_DAY), Min(now + threshold * USECS_PER_DAY, horizon));
    }
    const TimestampTz from = Max(notices.cursor, now);
    pg::Args args;
    args.add(TimestampTzGetDatum(from)).add(TimestampTzGetDatum(horizon)).int4(kNoticeRows);
    step.more = pg::run(notice_bound, args) > 0;
    const TimestampTz to = step.more ? DatumGetTimestampTz(pg::result_value(0, 1)) : horizon;
    send_between(now, from, to);
    store::leave(actor);
    notices.last = now;
    notices.cursor = step.more ? to : 0;
}

// ---- maintenance, in slices --------------------------------------------------------------------------------------------

// One transaction of a task.
struct Slice {
    Maintenance* maintenance;
    std::int64_t cursor;  // how far the task has come
    shmem::DatabaseStats* stats;
    std::int64_t next;  // the cursor of the next slice
    bool done;          // no slice follows
    bool loaded;        // it has read table upkeep
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
void fold(Slice& slice, const char* unit_name, TimestampTz unit, TimestampTz from, TimestampTz to, int networks = kNetworksKept) {
    const TimestampTz begin = Max(from, slice.cursor);
    const TimestampTz end = Min(to, begin + Max(slice.maintenance->rows / kNetworksKept, 1) * unit);
    slice.next = end;
    slice.done = end >= to;
    if (begin >= end) return;
    pg::Args args;
    args.add(TimestampTzGetDatum(end)).add(TimestampTzGetDatum(begin)).int4(networks);
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
    args.int8(slice.cursor).int4(slice.maintenance->rows);
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
    args.int8(slice.cursor).int8(slice.next).add(TimestampTzGetDatum(before));
    const std::uint64_t count = pg::run(select_ended, args);
    auto* accounts = static_cast<std::int64_t*>(palloc(sizeof(std::int64_t) * Max(count, std::uint64_t{1})));
    for (std::uint64_t i = 0; i < count; i++) accounts[i] = DatumGetInt64(pg::result_value(i, 1));
    store::Actor& actor = *store::current_actor();
    for (std::uint64_t i = 0; i < count; i++) {
        pg::Args hold;
        hold.int8(accounts[i]);
        if (pg::run(hold_account, hold) == 0 || !store::account_for_update(accounts[i], actor.account)) continue;
        pg::Args gone;
        gone.int8(slice.cursor).int8(slice.next).add(TimestampTzGetDatum(before)).int8(accounts[i]);
        pg::run(delete_ended, gone);
    }
}

TimestampTz before(const Slice& slice, const Interval& kept) {
    return pg::subtract_in_utc(slice.maintenance->began, kept);
}

void forget_rows(Slice& slice, Query& query, TimestampTz before) {
    pg::Args args;
    args.add(TimestampTzGetDatum(before)).int4(slice.maintenance->rows).add(TimestampTzGetDatum(slice.cursor));
    pg::run(query, args);
    slice.done = DatumGetInt64(pg::result_value(0, 1)) < slice.maintenance->rows;
    bool none;
    const Datum upto = pg::result(0, 2, &none);
    if (!none) slice.next = DatumGetTimestampTz(upto);
}
void forget_audit(Slice& slice) {
    if (pg::settings().keep_audit)
        slice.done = true;
    else
        forget_rows(slice, delete_audit, before(slice, pg::settings().audit_retention));
}
void forget_agents(Slice& slice) {
    if (pg::settings().keep_addresses)
        slice.done = true;
    else
        forget_rows(slice, delete_agents, before(slice, pg::settings().address_retention));
}
// What is left of the traffic goes with the days.
void forget_traffic(Slice& slice) {
    if (pg::settings().keep_days)
        slice.done = true;
    else
        forget_rows(slice, delete_traffic, before(slice, pg::settings().day_retention));
}
void forget_unauthenticated(Slice& slice) {
    if (pg::settings().keep_days)
        slice.done = true;
    else
        forget_rows(slice, delete_unauthenticated, before(slice, pg::settings().day_retention));
}

// Networks of unauthenticated callers count as addresses: their requests stay, by hour and reason.
void forget_networks(Slice& slice) {
    slice.done = true;
    if (pg::settings().keep_addresses) return;
    const TimestampTz until = before(slice, pg::settings().address_retention);
    pg::Args none;
    pg::run(first_network, none);
    bool is_null;
    const Datum first = pg::result(0, 1, &is_null);
    if (is_null || DatumGetTimestampTz(first) >= until - until % USECS_PER_HOUR) return;
    slice.cursor = PG_INT64_MIN;
    const TimestampTz from = DatumGetTimestampTz(first);
    fold(slice, "hour", USECS_PER_HOUR, from - from % USECS_PER_HOUR, until - until % USECS_PER_HOUR, 0);
    slice.done = false;  // until none is left
}

void forget_usage(Slice& slice) {
    if (pg::settings().keep_days && pg::settings().keep_addresses) {
        slice.done = true;
        return;
    }
    if (!next_stretch(slice, step_of_usage)) return;
    if (!pg::settings().keep_days) {
        pg::Args args;
        args.int8(slice.cursor).int8(slice.next).add(TimestampTzGetDatum(before(slice, pg::settings().day_retention)));
        pg::run(delete_usage, args);
    }
    if (!pg::settings().keep_addresses) {
        pg::Args args;
        args.int8(slice.cursor).int8(slice.next).add(TimestampTzGetDatum(before(slice, pg::settings().address_retention)));
        pg::run(blank_usage, args);
    }
}

void forget_notices(Slice& slice) {
    pg::Args old;
    old.add(TimestampTzGetDatum(slice.maintenance->began - 30 * USECS_PER_DAY));
    pg::run(delete_notices, old);
    slice.done = true;
}

void drop_partitions(Slice& slice) {
    slice.done = true;
    if (!records_uses()) return;
    pg::Args none;
    const std::uint64_t count = pg::run(select_summed_before, none);
    TimestampTz hours = DT_NOBEGIN, days = DT_NOBEGIN;
    for (std::uint64_t i = 0; i < count; i++)
        (pg::text_view(pg::result_value(i, 1)) == "hour" ? hours : days) = DatumGetTimestampTz(pg::result_value(i, 2));
    slice.done = !drop_old_partitions(GetCurrentTimestamp(), hours, days);
}

constexpr struct Task {
    const char* name;
    void (*run)(Slice&);
    TimestampTz period;
} kTasks[] = {
    {"fold_recent", fold_recent, kHourly},
    {"fold_old", fold_old, kHourly},
    {"forget_positions", forget_positions, kHourly},
    {"resolve_agents", resolve_agents, kHourly},
    {"drop_partitions", drop_partitions, kHourly},
    {"forget_networks", forget_networks, kHourly},
    {"forget_unauthenticated", forget_unauthenticated, kHourly},
    {"forget_audit", forget_audit, kHourly},
    {"forget_traffic", forget_traffic, kHourly},
    {"forget_agents", forget_agents, kDaily},
    {"forget_usage", forget_usage, kDaily},
    {"forget_sessions", forget_sessions, kDaily},
    {"forget_notices", forget_notices, kDaily},
};
constexpr int kTaskCount = static_cast<int>(std::size(kTasks));
static_assert(kTaskCount <= static_cast<int>(std::size(Maintenance{}.tasks)));
constexpr int kDropTask = 4;
static_assert(kTasks[kDropTask].run == drop_partitions);

void next_task(Maintenance& maintenance, int from) {
    maintenance.task = from;
    maintenance.rows = kFirstRows;
    while (maintenance.task < kTaskCount && maintenance.tasks[maintenance.task].due > maintenance.began) maintenance.task++;
    maintenance.active = maintenance.task < kTaskCount;
}

void keep_progress(int task, TimestampTz due, std::int64_t cursor) {
    pg::Args args;
    args.text(kTasks[task].name).add(TimestampTzGetDatum(due)).int8(cursor);
    pg::run(put_upkeep, args);
}

void slice_step(void* state) {
    Slice& slice = *static_cast<Slice*>(state);
    Maintenance& maintenance = *slice.maintenance;
    store::Actor actor;
    slice.done = true;
    if (!begin_step(actor)) return;
    plan_by_keys();
    if (!maintenance.loaded) {
        pg::Args none;
        const std::uint64_t count = pg::run(select_upkeep, none);
        for (std::uint64_t i = 0; i < count; i++)
            for (int task = 0; task < kTaskCount; task++)
                if (pg::text_view(pg::result_value(i, 1)) == kTasks[task].name)
                    maintenance.tasks[task] = {maintenance.all_due ? 0 : DatumGetTimestampTz(pg::result_value(i, 2)),
                                               DatumGetInt64(pg::result_value(i, 3))};
        slice.loaded = true;
        slice.done = false;
        return store::leave(actor);
    }
    slice.done = false;
    kTasks[maintenance.task].run(slice);
    keep_progress(maintenance.task, slice.done ? maintenance.began + kTasks[maintenance.task].period : 0,
                  slice.done ? PG_INT64_MIN : slice.next);
    store::leave(actor);
}

}  // namespace

bool send_notices(Notices& notices, shmem::DatabaseStats* stats, pg::Trouble& trouble, bool& more) {
    NoticeStep step = {&notices, false};
    const bool well = run_step(stats, notices_step, &step, trouble);
    more = well && step.more;
    return well;
}

void begin_maintenance(Maintenance& maintenance) {
    maintenance.began = GetCurrentTimestamp();
    maintenance.failed = false;
    maintenance.active = true;
    if (!maintenance.loaded) {
        for (Maintenance::Progress& task : maintenance.tasks) task = {0, PG_INT64_MIN};
        maintenance.task = 0;
        return;
    }
    next_task(maintenance, 0);
}

void all_due(Maintenance& maintenance) {
    maintenance.all_due = !maintenance.loaded;
    for (Maintenance::Progress& task : maintenance.tasks) task.due = 0;
}

TimestampTz next_maintenance(const Maintenance& maintenance) {
    TimestampTz next = maintenance.began + kHourly;
    for (int task = 0; task < kTaskCount; task++) next = Min(next, maintenance.tasks[task].due);
    return Max(next, maintenance.began + USECS_PER_SEC);
}

bool run_maintenance(Maintenance& maintenance, shmem::DatabaseStats* stats, pg::Trouble& trouble) {
    const int task = maintenance.task;
    Slice slice = {&maintenance, maintenance.tasks[task].cursor, stats, maintenance.tasks[task].cursor, false, false};
    const TimestampTz began = GetCurrentTimestamp();
    if (!run_step(stats, slice_step, &slice, trouble, kMostSliceMs)) {
        forget_partitions();
        if (trouble.sqlstate == ERRCODE_QUERY_CANCELED && maintenance.rows > kLeastRows) {
            maintenance.rows = Max(maintenance.rows / 8, kLeastRows);
            return true;
        }
        const bool waits = task == kDropTask && trouble.sqlstate == ERRCODE_LOCK_NOT_AVAILABLE;
        if (waits && stats != nullptr) {
            std::int64_t none = 0;
            stats->drop_waits_since.compare_exchange_strong(none, began, std::memory_order_relaxed);
        }
        maintenance.tasks[task].due = began + (waits ? kDropPause : kFailedPause);
        maintenance.failed = maintenance.failed || !waits;
        next_task(maintenance, task + 1);
        return waits;
    }
    if (slice.loaded) {
        maintenance.loaded = true;
        next_task(maintenance, 0);
        return true;
    }
    if (task == kDropTask && slice.done && stats != nullptr) stats->drop_waits_since.store(0, std::memory_order_relaxed);
    const TimestampTz took = GetCurrentTimestamp() - began;
    maintenance.tasks[task].cursor = slice.done ? PG_INT64_MIN : slice.next;
    if (took < kSlice / 2) maintenance.rows = Min(maintenance.rows * 2, kMostRows);
    if (took > kSlice * 2) maintenance.rows = Max(maintenance.rows / 2, kLeastRows);
    if (slice.done) {
        maintenance.tasks[task].due = maintenance.began + kTasks[task].period;
        next_task(maintenance, task + 1);
    }
    return true;
}

}  // namespace mirox::worker

// Closes minutes (see closing.hpp, also for the locks).
#include "worker/closing.hpp"

#include "pg/query.hpp"
#include "store/actor.hpp"
#include "worker/closing.sql.hpp"
#include "worker/drain.hpp"
#include "worker/partitions.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::worker {
namespace {

// About how long a slice takes. A drain waits no longer than that.
constexpr TimestampTz kSlice = 300'000;
constexpr std::int32_t kFirstRows = 250, kLeastRows = 20, kMostRows = 5000;

struct Step {
    Closing* closing;
    std::uint64_t too_late;
    bool done;
};

struct Summed {
    TimestampTz before;
    std::int64_t account;
};

void read_summed(Summed& hours, Summed& days) {
    pg::Args none;
    const std::uint64_t count = pg::run(select_summed, none);
    for (std::uint64_t i = 0; i < count; i++) {
        Summed& unit = pg::text_view(pg::result_value(i, 1)) == "hour" ? hours : days;
        unit = {DatumGetTimestampTz(pg::result_value(i, 2)), DatumGetInt64(pg::result_value(i, 3))};
    }
}

TimestampTz floor_to(TimestampTz at, TimestampTz unit) {
    const TimestampTz rest = at % unit;
    return at - (rest < 0 ? rest + unit : rest);
}

void close_step(void* state) {
    Step& step = *static_cast<Step*>(state);
    store::Actor actor;
    step.done = true;
    if (!begin_step(actor)) return;
    plan_slices();
    pg::Args begin;
    begin.add(TimestampTzGetDatum(step.closing->before));
    pg::run(begin_rows, begin);
    pg::Args none;
    if (pg::run(select_closing, none) == 0) return store::leave(actor);
    const TimestampTz before = DatumGetTimestampTz(pg::result_value(0, 1)), now = GetCurrentTimestamp();
    const std::int64_t upto = DatumGetInt64(pg::result_value(0, 2)), credential = DatumGetInt64(pg::result_value(0, 3));
    // A closing that a worker left behind ends first; then another begins.
    step.done = before >= step.closing->before;
    std::int64_t bound = PG_INT64_MAX;
    {
        pg::Args args;
        args.add(TimestampTzGetDatum(before)).int8(upto).int8(credential).int4(step.closing->rows);
        if (pg::run(select_bound, args) > 0) bound = DatumGetInt64(pg::result_value(0, 1));
    }
    Summed hours = {}, days = {};
    read_summed(hours, days);
    // Minutes of a partition that was dropped, or is about to be, when their hour is added up.
    const TimestampTz since = Min(floor_to(kept_since(Store::usage_minute, now), USECS_PER_DAY), hours.before);
    const TimestampTz hours_since = kept_since(Store::usage_hour, now), days_since = kept_since(Store::usage_day, now);
    pg::Args minutes;
    minutes.add(TimestampTzGetDatum(before)).int8(upto);
    const std::uint64_t count = pg::run(select_minutes, minutes);
    auto* const at = static_cast<TimestampTz*>(palloc(sizeof(TimestampTz) * Max(count, std::uint64_t{1})));
    for (std::uint64_t i = 0; i < count; i++) at[i] = DatumGetTimestampTz(pg::result_value(i, 1));
    bool late_hour = false, late_day = false, too_late = false, made = false;
    // One partition a step, since a drain waits for the step's end.
    const auto need = [&made](std::initializer_list<Store> stores, TimestampTz when) {
        for (const Store store : stores)
            if (!made) made = need_partition(store, when);
    };
    for (std::uint64_t i = 0; i < count && !made; i++) {
        if (at[i] >= since)
            need({Store::usage_minute, Store::refusal_minute}, at[i]);
        else
            too_late = true;
        const TimestampTz hour = floor_to(at[i], USECS_PER_HOUR), day = floor_to(at[i], USECS_PER_DAY);
        if (hour <= hours.before && hour >= hours_since) {
            need({Store::usage_hour, Store::refusal_hour}, hour);
            late_hour = true;
        }
        if (day <= days.before && day >= days_since) {
            need({Store::usage_day, Store::refusal_day, Store::token_day, Store::account_day}, day);
            late_day = true;
        }
    }
    if (made) {
        step.done = false;
        return store::leave(actor);
    }
    pg::Args slice;
    slice.add(TimestampTzGetDatum(before)).int8(upto).int8(credential).int8(bound);
    pg::Args closed = slice;
    closed.add(TimestampTzGetDatum(since));
    if (too_late) {
        pg::run(count_late, closed);
        step.too_late = static_cast<std::uint64_t>(DatumGetInt64(pg::result_value(0, 1)));
    }
    if (late_hour) {
        pg::Args args = slice;
        args.add(TimestampTzGetDatum(hours.before)).int8(hours.account).add(TimestampTzGetDatum(hours_since));
        pg::run(late_hours, args);
    }
    if (late_day) {
        pg::Args args = slice;
        args.add(TimestampTzGetDatum(days.before)).int8(days.account).add(TimestampTzGetDatum(days_since));
        pg::run(late_days, args);
    }
    pg::run(close_rows, closed);
    pg::Args next;
    if (bound == PG_INT64_MAX) {
        next.add(TimestampTzGetDatum(before)).int8(upto);
        pg::run(delete_closed, next);
    } else {
        step.done = false;
        next.int8(bound);
        pg::run(advance_closing, next);
    }
    store::leave(actor);
}

}  // namespace

void begin_closing(Closing& closing, TimestampTz before) {
    closing.active = true;
    closing.before = before;
    if (closing.rows == 0) closing.rows = kFirstRows;
}

bool close_slice(Closing& closing, shmem::DatabaseStats* stats, pg::Trouble& trouble) {
    Step step = {&closing, 0, false};
    const TimestampTz began = GetCurrentTimestamp();
    const bool well = run_step(stats, close_step, &step, trouble);
    const TimestampTz took = GetCurrentTimestamp() - began;
    if (took < kSlice / 2) closing.rows = Min(closing.rows * 2, kMostRows);
    if (took > kSlice * 2 || !well) closing.rows = Max(closing.rows / 4, kLeastRows);
    if (well && stats != nullptr) stats->too_late.fetch_add(step.too_late, std::memory_order_relaxed);
    closing.active = well && !step.done;
    return well;
}

}  // namespace mirox::worker

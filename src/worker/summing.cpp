// Adds up minutes into hours and hours into days (see summing.hpp, also for the locks).
#include "worker/summing.hpp"

#include "pg/query.hpp"
#include "pg/values.hpp"
#include "store/actor.hpp"
#include "worker/drain.hpp"
#include "worker/partitions.hpp"
#include "worker/summing.sql.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::worker {
namespace {

constexpr TimestampTz kSlice = 300'000;
constexpr std::int32_t kFirstRows = 10'000, kLeastRows = 500, kMostRows = 200'000;
// How long after its end an hour is added up. What comes later makes rows of its own.
constexpr TimestampTz kGrace = 90 * USECS_PER_SEC;

struct Level {
    const char* unit;
    TimestampTz width;
    pg::Query *first, *bound, *sum;
    std::initializer_list<Store> stores;
};

struct Summed {
    TimestampTz before = DT_NOBEGIN;  // no row yet
    std::int64_t account = -1;
};

struct Step {
    Summing* summing;
    bool any;
    bool day;  // it was a slice of a day
};

TimestampTz floor_to(TimestampTz at, TimestampTz unit) {
    const TimestampTz rest = at % unit;
    return at - (rest < 0 ? rest + unit : rest);
}

// The instant of a statement's one row; DT_NOEND for NULL.
TimestampTz instant(pg::Query& query, const TimestampTz* since = nullptr) {
    pg::Args args;
    if (since != nullptr) args.add(TimestampTzGetDatum(*since));
    pg::run(query, args);
    bool is_null;
    const Datum at = pg::result(0, 1, &is_null);
    return is_null ? DT_NOEND : DatumGetTimestampTz(at);
}

void store(const char* unit, const Summed& summed) {
    pg::Args args;
    args.text(unit).add(TimestampTzGetDatum(summed.before)).int8(summed.account);
    pg::run(put_summed, args);
}

// One slice of a unit that is over by `until`. False when none is.
bool sum_unit(const Level& level, Summed& summed, TimestampTz until, std::int32_t rows) {
    if (summed.account == -1) {
        // Time without use is skipped.
        const TimestampTz first = instant(*level.first, &summed.before);
        const TimestampTz next = floor_to(Min(first, until), level.width);
        if (next > summed.before && (first != DT_NOEND || summed.before != DT_NOBEGIN)) {
            summed.before = next;
            store(level.unit, summed);
        }
        if (first == DT_NOEND || first >= until) return false;
    }
    const TimestampTz from = summed.before, to = from + level.width;
    if (to > until) return false;
    // One partition a step, since a drain waits for the step's end.
    for (const Store table : level.stores)
        if (need_partition(table, from)) return true;
    pg::Args bound_of;
    bound_of.add(TimestampTzGetDatum(from)).add(TimestampTzGetDatum(to)).int8(summed.account).int4(rows);
    pg::run(*level.bound, bound_of);
    bool last;
    const Datum found = pg::result(0, 1, &last);
    const std::int64_t bound = last ? PG_INT64_MAX : DatumGetInt64(found);
    pg::Args args;
    args.add(TimestampTzGetDatum(from)).add(TimestampTzGetDatum(to)).int8(summed.account).int8(bound);
    pg::run(*level.sum, args);
    if (last) {
        if (level.width == USECS_PER_HOUR) {
            pg::Args hour;
            hour.add(TimestampTzGetDatum(from));
            pg::run(fold_traffic, hour);
        }
        summed = {to, -1};
    } else {
        summed.account = bound;
    }
    store(level.unit, summed);
    return true;
}

void sum_step(void* state) {
    Step& step = *static_cast<Step*>(state);
    store::Actor actor;
    if (!begin_step(actor)) return;
    plan_slices();
    if (!records_uses()) return store::leave(actor);
    Summed hours, days;
    pg::Args none;
    const std::uint64_t count = pg::run(select_units, none);
    for (std::uint64_t i = 0; i < count; i++) {
        Summed& unit = pg::text_view(pg::result_value(i, 1)) == "hour" ? hours : days;
        unit = {DatumGetTimestampTz(pg::result_value(i, 2)), DatumGetInt64(pg::result_value(i, 3))};
    }
    // An hour is over when its last minute has closed.
    const TimestampTz until = Min(instant(first_open), GetCurrentTimestamp() - kGrace);
    const Level hour = {"hour",        USECS_PER_HOUR, &first_minute,
                        &minute_bound, &sum_hour,      {Store::usage_hour, Store::refusal_hour}};
    const Level day = {"day",       USECS_PER_DAY, &first_hour,
                       &hour_bound, &sum_day,      {Store::usage_day, Store::refusal_day, Store::token_day, Store::account_day}};
    step.any = sum_unit(hour, hours, floor_to(until, USECS_PER_HOUR), step.summing->hours);
    if (!step.any && hours.before != DT_NOBEGIN) {
        step.day = true;
        step.any = sum_unit(day, days, floor_to(hours.before, USECS_PER_DAY), step.summing->days);
    }
    store::leave(actor);
}

}  // namespace

bool sum_slice(Summing& summing, shmem::DatabaseStats* stats, pg::Trouble& trouble) {
    if (summing.hours == 0) summing.hours = summing.days = kFirstRows;
    Step step = {&summing, false, false};
    const TimestampTz began = GetCurrentTimestamp();
    const bool well = run_step(stats, sum_step, &step, trouble);
    const TimestampTz took = GetCurrentTimestamp() - began;
    std::int32_t& rows = step.day ? summing.days : summing.hours;
    if (took < kSlice / 2 && step.any) rows = Min(rows * 2, kMostRows);
    if (took > kSlice * 2 || !well) rows = Max(rows / 4, kLeastRows);
    summing.active = well && step.any;
    return well;
}

}  // namespace mirox::worker

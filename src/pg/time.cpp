// Intervals and instants (see time.hpp). Takes no locks.
#include "pg/time.hpp"

namespace mirox::pg {

int compare_spans(const Interval& a, const Interval& b) {
    return DatumGetInt32(DirectFunctionCall2(interval_cmp, IntervalPGetDatum(&a), IntervalPGetDatum(&b)));
}

bool is_always_positive(const Interval& span) {
    // The fewest days that this many months can have; for negative months, the most.
    const std::int64_t years = span.month / MONTHS_PER_YEAR, months = span.month % MONTHS_PER_YEAR;
    const std::int64_t days =
        (span.month > 0 ? years * 365 + months * 28 : years * 366 + months * 31) + span.day + span.time / USECS_PER_DAY;
    return days > 0 || (days == 0 && span.time % USECS_PER_DAY > 0);
}

TimestampTz add_in_utc(TimestampTz from, const Interval& span) {
    // A timestamptz is a timestamp in UTC, and timestamp + interval uses no time zone.
    return DatumGetTimestamp(DirectFunctionCall2(timestamp_pl_interval, TimestampGetDatum(from), IntervalPGetDatum(&span)));
}

TimestampTz subtract_in_utc(TimestampTz from, const Interval& span) {
    return DatumGetTimestamp(DirectFunctionCall2(timestamp_mi_interval, TimestampGetDatum(from), IntervalPGetDatum(&span)));
}

const char* utc_text(TimestampTz instant) {
    struct pg_tm tm;
    fsec_t fraction;
    if (timestamp2tm(instant, nullptr, &tm, &fraction, nullptr, nullptr) != 0) return "-";
    return psprintf("%04d-%02d-%02d %02d:%02d:%02d", tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

}  // namespace mirox::pg

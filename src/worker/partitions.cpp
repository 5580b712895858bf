// Partitions of the store by time (see partitions.hpp, also for the locks).
#include "worker/partitions.hpp"

#include "pg/members.hpp"
#include "pg/query.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "worker/partitions.sql.hpp"

extern "C" {
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
}

namespace mirox::worker {
namespace {

// How far before its time is over a partition with addresses is dropped, since this is looked at once an hour.
constexpr TimestampTz kEarly = 2 * USECS_PER_HOUR;
constexpr char kDropLockTimeout[] = "50";
// About as many partitions of one table there are. A view of uses and refusals reads two tables. A statement that names no time locks
// each partition with its indexes, and all statements of the server share one table of locks.
constexpr int kMostPartitions = 30;

enum class Unit : std::uint8_t { minute, hour, caller_day, day };

struct Kind {
    const char* name;
    const char* key;  // the column that it is partitioned by, and the second one of its indexes
    bool refusals;
    Unit unit;
};
constexpr Kind kKinds[kStores] = {
    {"usage_minute", "first_at", false, Unit::minute},
    {"refusal_minute", "first_at", true, Unit::minute},
    {"usage_hour", "hour", false, Unit::hour},
    {"refusal_hour", "hour", true, Unit::hour},
    {"usage_day", "day", false, Unit::caller_day},
    {"refusal_day", "day", true, Unit::caller_day},
    {"token_day", "day", false, Unit::day},
    {"account_day", "day", false, Unit::day},
};

const Kind& kind_of(Store store) {
    return kKinds[static_cast<int>(store)];
}

struct Range {
    TimestampTz from, to;
};
// The last range of each store that is known to have a partition. An empty range holds no time.
constinit Range known[kStores] = {};

// ---- widths ------------------------------------------------------------------------------------------------------------

std::int64_t days_of(const Interval& span) {
    return span.month * std::int64_t{DAYS_PER_MONTH} + span.day + span.time / USECS_PER_DAY;
}

enum class Width : std::uint8_t { days, month, year };

struct Widths {
    Width width;
    int days;
};

Widths width_of(Unit unit) {
    const pg::Settings& settings = pg::settings();
    if (unit == Unit::day) return {Width::year, 0};
    // A row of a caller goes with its partition, which must be short beside the time that the row is kept.
    std::int64_t days = settings.keep_addresses ? PG_INT64_MAX : days_of(settings.address_retention);
    if (unit == Unit::minute) days = Min(days, settings.minute_retention);
    if (days != PG_INT64_MAX) return {Width::days, Max(static_cast<int>((days + kMostPartitions - 1) / kMostPartitions), 1)};
    if (unit == Unit::caller_day) return {Width::year, 0};
    if (settings.keep_hours || days_of(settings.hour_retention) > kMostPartitions * std::int64_t{DAYS_PER_MONTH})
        return {Width::year, 0};
    return {Width::month, 0};
}

TimestampTz day_start(TimestampTz at) {
    TimestampTz in_day = at % USECS_PER_DAY;
    if (in_day < 0) in_day += USECS_PER_DAY;
    return at - in_day;
}

TimestampTz at_date(int year, int month) {
    return (static_cast<TimestampTz>(date2j(year, month, 1)) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
}

void date_of(TimestampTz at, int& year, int& month, int& day) {
    j2date(static_cast<int>(day_start(at) / USECS_PER_DAY) + POSTGRES_EPOCH_JDATE, &year, &month, &day);
}

Range range_of(Unit unit, TimestampTz at) {
    const Widths widths = width_of(unit);
    if (widths.width == Width::days) {
        const TimestampTz width = widths.days * USECS_PER_DAY;
        TimestampTz in_range = at % width;
        if (in_range < 0) in_range += width;
        return {at - in_range, at - in_range + width};
    }
    int year, month, day;
    date_of(at, year, month, day);
    if (widths.width == Width::year) return {at_date(year, 1), at_date(year + 1, 1)};
    return {at_date(year, month), month == 12 ? at_date(year + 1, 1) : at_date(year, month + 1)};
}

// ---- making ------------------------------------------------------------------------------------------------------------

const char* date_text(TimestampTz at, const char* format) {
    int year, month, day;
    date_of(at, year, month, day);
    return psprintf(format, year, month, day);
}

const char* bound_text(const Kind& kind, TimestampTz at) {
    return psprintf("%s%s", date_text(at, "%04d-%02d-%02d"),
                    kind.unit == Unit::minute || kind.unit == Unit::hour ? " 00:00:00+00" : "");
}

std::uint64_t partitions_of(const Kind& kind) {
    pg::Args args;
    args.text(psprintf("mirox_internal.%s", kind.name));
    return pg::run(select_partitions, args);
}

std::uint64_t grants_of(const char* relation) {
    pg::Args args;
    args.text(relation);
    return pg::run(select_grants, args);
}

// What ALTER DEFAULT PRIVILEGES gave to a new table is taken away; whoever may read the parent may read its partitions, which pg_dump
// reads one by one.
void set_grants(const char* table, const char* parent) {
    const std::uint64_t given = grants_of(table);
    SPITupleTable* const had = SPI_tuptable;
    for (std::uint64_t i = 0; i < given; i++)
        pg::execute(psprintf("REVOKE ALL ON TABLE %s FROM %s", table, SPI_getvalue(had->vals[i], had->tupdesc, 1)));
    const std::uint64_t readers = grants_of(parent);
    SPITupleTable* const may = SPI_tuptable;
    for (std::uint64_t i = 0; i < readers; i++)
        if (SPI_getvalue(may->vals[i], may->tupdesc, 2)[0] == 't')
            pg::execute(psprintf("GRANT SELECT ON TABLE %s TO %s", table, SPI_getvalue(may->vals[i], may->tupdesc, 1)));
}

void add_indexes(const char* table, const Kind& kind) {
    const auto add = [table](const char* columns, const char* where = "") {
        pg::execute(psprintf("CREATE INDEX ON %s (%s)%s", table, columns, where));
    };
    add(kind.key);
    // An account may have any number of rows in an hour or day. An erasure goes through them in the order of this index (erasing.sql).
    const bool split = kind.unit != Unit::minute && strcmp(kind.name, "account_day") != 0;
    add(psprintf("account_id, %s%s", kind.key, split ? ", first_at" : ""));
    if (kind.unit == Unit::day) {
        if (strcmp(kind.name, "token_day") == 0) add(psprintf("token_id, %s", kind.key), " WHERE token_id IS NOT NULL");
        return;
    }
    add(psprintf("token_id, %s", kind.key), " WHERE token_id IS NOT NULL");
    add(psprintf("ip, %s", kind.key), " WHERE ip IS NOT NULL");
    add(psprintf("session_id, %s", kind.key), " WHERE session_id IS NOT NULL");
    if (kind.refusals) add(psprintf("reason, %s", kind.key));
    // All rows of a minute have the same value, so the index is small.
    if (kind.unit == Unit::minute) add("minute");
}

void make_partition(const Kind& kind, const Range& range) {
    const char* const parent = psprintf("mirox_internal.%s", kind.name);
    const char* name = psprintf("%s_%s", kind.name, date_text(range.from, "%04d%02d%02d"));
    for (int i = 1; OidIsValid(get_relname_relid(name, pg::catalog().internal_schema)); i++)
        name = psprintf("%s_%s_%d", kind.name, date_text(range.from, "%04d%02d%02d"), i);
    const char* const table = psprintf("mirox_internal.%s", name);
    // A level that is revoked meanwhile would stay on the new table.
    pg::lock_grants();
    pg::execute(psprintf("CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS)", table, parent));
    set_grants(table, parent);
    add_indexes(table, kind);
    // Rows have no natural key. The whole old row is logged where rows are published, and only mirox.erase_traces() changes any.
    pg::execute(psprintf("ALTER TABLE %s REPLICA IDENTITY FULL", table));
    pg::execute(
        psprintf("CREATE TRIGGER %s_no_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION "
                 "mirox_internal.refuse_change()",
                 name, table));
    pg::execute(psprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s_no_truncate", table, name));
    pg::execute(psprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM ('%s') TO ('%s')", parent, table,
                         bound_text(kind, range.from), bound_text(kind, range.to)));
}

}  // namespace

bool need_partition(Store store, TimestampTz at) {
    Range& last = known[static_cast<int>(store)];
    if (at >= last.from && at < last.to) return false;
    const Kind& kind = kind_of(store);
    const std::uint64_t count = partitions_of(kind);
    Range range = range_of(kind.unit, at);
    bool there = false;
    for (std::uint64_t i = 0; i < count; i++) {
        const Range has = {DatumGetTimestampTz(pg::result_value(i, 2)), DatumGetTimestampTz(pg::result_value(i, 3))};
        if (at >= has.from && at < has.to) {
            range = has;
            there = true;
        } else if (has.to <= at) {
            range.from = Max(range.from, has.to);
        } else {
            range.to = Min(range.to, has.from);
        }
    }
    if (!there) make_partition(kind, range);
    last = range;
    return !there;
}

void forget_partitions() {
    for (Range& range : known) range = {};
}

TimestampTz kept_since(Store store, TimestampTz now) {
    const pg::Settings& settings = pg::settings();
    const Unit unit = kind_of(store).unit;
    TimestampTz since = DT_NOBEGIN;
    if (unit == Unit::minute)
        since = now - settings.minute_retention * USECS_PER_DAY;
    else if (unit == Unit::hour)
        since = settings.keep_hours ? DT_NOBEGIN : pg::subtract_in_utc(now, settings.hour_retention);
    else
        since = settings.keep_days ? DT_NOBEGIN : pg::subtract_in_utc(now, settings.day_retention);
    return since;
}

bool drop_old_partitions(TimestampTz now, TimestampTz summed_hours, TimestampTz summed_days) {
    (void)set_config_option("lock_timeout", kDropLockTimeout, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    const pg::Settings& settings = pg::settings();
    const TimestampTz addresses =
        settings.keep_addresses ? DT_NOBEGIN : pg::subtract_in_utc(now + kEarly, settings.address_retention);
    for (int i = 0; i < kStores; i++) {
        const auto store = static_cast<Store>(i);
        const Kind& kind = kind_of(store);
        const TimestampTz since = kept_since(store, now);
        const TimestampTz summed = kind.unit == Unit::minute ? summed_hours : kind.unit == Unit::hour ? summed_days : now;
        const std::uint64_t count = partitions_of(kind);
        SPITupleTable* const table = SPI_tuptable;
        for (std::uint64_t n = 0; n < count; n++) {
            bool is_null;
            const Oid oid = DatumGetObjectId(SPI_getbinval(table->vals[n], table->tupdesc, 1, &is_null));
            const TimestampTz from = DatumGetTimestampTz(SPI_getbinval(table->vals[n], table->tupdesc, 2, &is_null));
            const TimestampTz to = DatumGetTimestampTz(SPI_getbinval(table->vals[n], table->tupdesc, 3, &is_null));
            const bool with_addresses = kind.unit != Unit::day;
            const bool over = to <= Min(summed, now);
            if (!over || !(to <= since || (with_addresses && from < addresses))) continue;
            const char* const name = get_rel_name(oid);
            if (name == nullptr) continue;
            if (kind.unit == Unit::caller_day) {
                pg::Args args;
                args.text(kind.name).add(TimestampTzGetDatum(to));
                pg::run(note_dropped, args);
            }
            pg::lock_grants();  // a level that is given or taken meanwhile names it
            pg::execute(psprintf("DROP TABLE mirox_internal.%s", quote_identifier(name)));
            known[i] = {};
            return true;
        }
    }
    return false;
}

}  // namespace mirox::worker

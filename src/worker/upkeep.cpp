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

extern "C" {
#include "catalog/pg_type.h"
#include "utils/timestamp.h"
}

namespace mirox::worker {
namespace {

using pg::Query;
using pg::Type;

// A session that ended is of interest for a while (who was logged in when?), then the audit log alone tells of it.
constexpr TimestampTz kSessionsKept = 30 * USECS_PER_DAY;
// Networks of strangers that keep a row of their own in a minute, and in an hour, that is over.
constexpr int kNetworksKept = 200;
constexpr TimestampTz kStrangerMinutesKept = USECS_PER_DAY;
// A slice is cut so that it takes about this long, and gives up when it takes too long: nobody waits longer for a drain.
constexpr TimestampTz kSlice = 100'000;
constexpr int kMostSliceMs = 1000;
constexpr std::int32_t kLeastRows = 50, kFirstRows = 1000, kMostRows = 50000;

// What is open moves to closed minutes, and is added to hours, days and tokens. The view and the DELETE see the same rows: they are
// of one statement, and nobody else writes there. Only the worker writes the other tables too, so a row that is
// there is updated as it is (an INSERT ... ON CONFLICT DO UPDATE would lock it first, and log that), and the rest inserted.
//
// Each row is found by its key for itself, and by no other index (see plan_by_keys()).
#define BY(COLUMN, OF_MINUTE)                                                          \
    COLUMN "s AS MATERIALIZED (SELECT " OF_MINUTE " AS " COLUMN                        \
           ", caller_id, pg_catalog.sum(requests)::pg_catalog.int8 AS requests, "      \
           "pg_catalog.min(first_at) AS first_at, pg_catalog.max(last_at) AS last_at " \
           "FROM minutes GROUP BY 1, 2 ORDER BY 2, 1), "
#define ADD_TO(TABLE, COLUMN)                                                                                \
    COLUMN "_had AS (UPDATE mirox_internal." TABLE                                                           \
           " u SET requests = u.requests + g.requests, "                                                     \
           "first_at = LEAST(u.first_at, g.first_at), last_at = GREATEST(u.last_at, g.last_at) "             \
           "FROM (SELECT n.*, h.at FROM " COLUMN                                                             \
           "s n CROSS JOIN LATERAL (SELECT h.ctid AS at FROM mirox_internal." TABLE                          \
           " h WHERE (h.caller_id, h." COLUMN ") >= (n.caller_id, n." COLUMN ") AND (h.caller_id, h." COLUMN \
           ") <= (n.caller_id, n." COLUMN                                                                    \
           ")"                                                                                               \
           " OFFSET 0) h) g "                                                                                \
           "WHERE u.ctid = g.at), " COLUMN "_new AS (INSERT INTO mirox_internal." TABLE " (" COLUMN          \
           ", caller_id, requests, first_at, last_at) SELECT " COLUMN                                        \
           ", caller_id, requests, first_at, last_at FROM " COLUMN "s ON CONFLICT (caller_id, " COLUMN       \
           ") DO NOTHING), "
#define NEWER "WHEN u.last_used_at IS NULL OR g.last_used_at >= u.last_used_at THEN g."
Query close_minutes = {
    "WITH gone AS (DELETE FROM mirox_internal.usage_open WHERE minute < $1), "
    "minutes AS MATERIALIZED (SELECT * FROM mirox_internal.open_minute WHERE minute < $1), "
    "kept AS (INSERT INTO mirox_internal.usage_minute (minute, caller_id, requests, first_at, last_at, "
    "token_id) "
    "SELECT minute, caller_id, requests, first_at, last_at, token_id FROM minutes ORDER BY first_at), "
    // clang-format off
    BY("hour", "pg_catalog.date_trunc('hour', minute, 'UTC')") ADD_TO("usage_hour", "hour")
    BY("day", "pg_catalog.timezone('UTC', minute)::pg_catalog.date") ADD_TO("usage_day", "day")
    // clang-format on
    "sums AS (SELECT c.token_id, c.generation, "
    "COALESCE(pg_catalog.sum(m.requests) FILTER (WHERE c.status < 400), 0)::pg_catalog.int8 AS uses, "
    "COALESCE(pg_catalog.sum(m.requests) FILTER (WHERE c.status >= 400), 0)::pg_catalog.int8 AS refusals, "
    "pg_catalog.max(m.last_at) FILTER (WHERE c.status < 400) AS last_used_at, "
    "pg_catalog.max(m.last_at) FILTER (WHERE c.status >= 400) AS last_refused_at, "
    "(pg_catalog.array_agg(m.caller_id ORDER BY m.last_at DESC) FILTER (WHERE c.status < 400))[1] AS "
    "last_caller "
    "FROM minutes m CROSS JOIN LATERAL (SELECT c.token_id, c.generation, c.status FROM mirox_internal.caller "
    "c "
    "WHERE c.caller_id = m.caller_id OFFSET 0) c WHERE m.token_id > 0 GROUP BY 1, 2), "
    "tokens AS MATERIALIZED (SELECT s.*, NULLIF(c.ip, '0.0.0.0/0') AS last_ip, "
    "NULLIF(c.location, '') AS last_location, c.browser AS last_browser, c.os AS last_os "
    "FROM sums s LEFT JOIN LATERAL (SELECT c.ip, c.location, a.browser, a.os FROM mirox_internal.caller c "
    "LEFT JOIN LATERAL (SELECT a.browser, a.os FROM mirox_internal.agent a WHERE a.agent_id = c.agent_id "
    "OFFSET 0) a "
    "ON true WHERE c.caller_id = s.last_caller OFFSET 0) c ON true ORDER BY s.token_id, s.generation), "
    "token_had AS (UPDATE mirox_internal.token_usage u SET uses = u.uses + g.uses, refusals = u.refusals + "
    "g.refusals, "
    "last_used_at = GREATEST(u.last_used_at, g.last_used_at), "
    "last_refused_at = GREATEST(u.last_refused_at, g.last_refused_at), "
    "last_ip = CASE " NEWER
    "last_ip ELSE u.last_ip END, "
    "last_location = CASE " NEWER
    "last_location ELSE u.last_location END, "
    "last_browser = CASE " NEWER
    "last_browser ELSE u.last_browser END, "
    "last_os = CASE " NEWER
    "last_os ELSE u.last_os END "
    "FROM (SELECT n.*, h.at FROM tokens n CROSS JOIN LATERAL (SELECT h.ctid AS at FROM "
    "mirox_internal.token_usage h "
    "WHERE (h.token_id, h.generation) >= (n.token_id, n.generation) AND (h.token_id, h.generation) <= "
    "(n.token_id, n.generation) "
    "OFFSET 0) h) g WHERE u.ctid = g.at) "
    "INSERT INTO mirox_internal.token_usage (token_id, generation, uses, refusals, last_used_at, "
    "last_refused_at, "
    "last_ip, last_location, last_browser, last_os) "
    "SELECT token_id, generation, uses, refusals, last_used_at, last_refused_at, last_ip, last_location, "
    "last_browser, last_os FROM tokens ON CONFLICT (token_id, generation) DO NOTHING",
    {Type::timestamptz}};

// Of the thresholds that a token has passed and was not told of, the nearest is told; all are noted.
Query select_notices = {
    "WITH due AS (SELECT t.token_id, t.account_id, t.name, t.expires_at, d.days "
    // Found by the current secret, which expires with its token and has the index.
    "FROM mirox_internal.token_secret c JOIN mirox_internal.token t ON t.token_id = c.token_id AND "
    "t.generation = c.generation "
    "JOIN ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($4)) d (days, until) ON t.expires_at <= "
    "d.until "
    "WHERE t.revoked_at IS NULL AND t.expires_at > $1 AND t.expires_at <= $3 "
    "AND c.expires_at > $1 AND c.expires_at <= $3), "
    "sent AS (INSERT INTO mirox_internal.notice (token_id, expires_at, days, sent_at) "
    "SELECT token_id, expires_at, days, $1 FROM due ON CONFLICT DO NOTHING RETURNING token_id, days) "
    "SELECT pg_catalog.pg_notify('mirox_tokens', pg_catalog.json_build_object('event', 'token_expiring', "
    "'token_id', d.token_id, 'user_id', a.user_id, 'name', d.name, 'expires_at', "
    "pg_catalog.to_char(pg_catalog.timezone('UTC', d.expires_at), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), "
    "'days_left', mirox_internal.days_until(d.expires_at, $1), 'threshold_days', s.days)::pg_catalog.text) "
    "FROM (SELECT token_id, pg_catalog.min(days) AS days FROM sent GROUP BY token_id) s "
    "JOIN due d ON d.token_id = s.token_id AND d.days = s.days "
    "JOIN mirox_internal.account a ON a.account_id = d.account_id ORDER BY d.expires_at",
    {Type::timestamptz, Type::int4_array, Type::timestamptz, Type::timestamptz_array}};
Query delete_notices = {"DELETE FROM mirox_internal.notice WHERE expires_at < $1", {Type::timestamptz}};

// A walk through a table by its key goes from one of these to the next: the key of the last of some rows.
#define STEP_OF(TABLE, KEY)                                                                             \
    "SELECT pg_catalog.max(s.key) FROM (SELECT " KEY " AS key FROM mirox_internal." TABLE " WHERE " KEY \
    " > $1 ORDER BY " KEY " LIMIT $2) s"

Query step_of_sessions = {STEP_OF("session", "session_id"), {Type::int8, Type::int4}};
Query select_ended = {
    "SELECT DISTINCT account_id FROM mirox_internal.session WHERE session_id > $1 AND session_id <= $2 "
    "AND LEAST(closed_at, expires_at) < $3",
    {Type::int8, Type::int8, Type::timestamptz}};
Query hold_account = {
    "SELECT 1 FROM mirox_internal.account WHERE account_id = $1 FOR NO KEY UPDATE SKIP LOCKED", {Type::int8}};
Query delete_ended = {
    "DELETE FROM mirox_internal.session WHERE session_id > $1 AND session_id <= $2 "
    "AND LEAST(closed_at, expires_at) < $3 AND account_id = $4",
    {Type::int8, Type::int8, Type::timestamptz, Type::int8}};

// Retention.
#define OLD_ROWS(TABLE, COLUMN)                                                                           \
    "DELETE FROM mirox_internal." TABLE " WHERE ctid = ANY (ARRAY(SELECT ctid FROM mirox_internal." TABLE \
    " WHERE " COLUMN " < $1 LIMIT $2))"
Query delete_minutes = {OLD_ROWS("usage_minute", "first_at"), {Type::timestamptz, Type::int4}};
Query delete_hours = {OLD_ROWS("usage_hour", "hour"), {Type::timestamptz, Type::int4}};
Query delete_days = {OLD_ROWS("usage_day", "day"), {Type::timestamptz, Type::int4}};
Query delete_strangers = {OLD_ROWS("stranger", "minute"), {Type::timestamptz, Type::int4}};
Query delete_audit = {OLD_ROWS("audit_log", "at"), {Type::timestamptz, Type::int4}};

// Usage of generations and tokens that are gone. What is of the current generation stays, however old.
Query step_of_usage = {STEP_OF("token_usage", "token_id"), {Type::int8, Type::int4}};
Query delete_usage = {
    "DELETE FROM mirox_internal.token_usage u WHERE u.token_id > $1 AND u.token_id <= $2 "
    "AND GREATEST(u.last_used_at, u.last_refused_at) < $3 AND NOT EXISTS (SELECT FROM mirox_internal.token t "
    "WHERE t.token_id = u.token_id AND t.generation = u.generation)",
    {Type::int8, Type::int8, Type::timestamptz}};

// Callers without a use that is kept: whatever is closed has a row in usage_day, which goes last.
Query step_of_callers = {STEP_OF("caller", "caller_id"), {Type::int8, Type::int4}};
Query select_unused = {
    "SELECT caller_id FROM mirox_internal.caller c WHERE c.caller_id > $1 AND c.caller_id <= $2 "
    "AND NOT EXISTS (SELECT FROM mirox_internal.usage_day u WHERE u.caller_id = c.caller_id)",
    {Type::int8, Type::int8}};
Query delete_callers = {
    "DELETE FROM mirox_internal.caller WHERE caller_id = ANY (ARRAY(SELECT pg_catalog.unnest($1) EXCEPT "
    "SELECT u.caller_id FROM mirox_internal.open_use u))",
    {Type::int8_array}};

// Unauthenticated: beyond the first networks of a minute, and of minutes older than a day by the hour, one row each.
#define FOLD(UNIT, RANGE)                                                                                  \
    "WITH ranked AS (SELECT s.ctid AS at, pg_catalog.row_number() OVER (PARTITION BY "                     \
    "pg_catalog.date_trunc(" UNIT                                                                          \
    ", s.minute, 'UTC') ORDER BY s.network IS NULL, s.requests DESC) AS n FROM mirox_internal.stranger s " \
    "WHERE " RANGE                                                                                         \
    "), "                                                                                                  \
    "gone AS (DELETE FROM mirox_internal.stranger s USING ranked r WHERE s.ctid = r.at AND r.n > $3 "      \
    "RETURNING pg_catalog.date_trunc(" UNIT                                                                \
    ", s.minute, 'UTC') AS minute, s.status, s.reason, s.requests, "                                       \
    "s.first_at, s.last_at) "                                                                              \
    "INSERT INTO mirox_internal.stranger (node, ring_id, serial, minute, status, reason, requests, "       \
    "first_at, "                                                                                           \
    "last_at) "                                                                                            \
    "SELECT $4, 0, pg_catalog.nextval('mirox_internal.stranger_serial_seq'), g.* FROM (SELECT minute, "    \
    "status, "                                                                                             \
    "reason, "                                                                                             \
    "pg_catalog.sum(requests)::pg_catalog.int8, pg_catalog.min(first_at), pg_catalog.max(last_at) FROM "   \
    "gone GROUP BY "                                                                                       \
    "minute, status, reason) g"
Query fold_minutes = {FOLD("'minute'", "s.minute >= $2 AND s.minute < $1"),
                      {Type::timestamptz, Type::timestamptz, Type::int4, Type::int4}};
Query fold_hours = {FOLD("'hour'", "s.minute < $1 AND s.minute >= $2"),
                    {Type::timestamptz, Type::timestamptz, Type::int4, Type::int4}};

Query delete_positions = {
    "DELETE FROM mirox_internal.drain_position WHERE NOT (ring_id = ANY ($1)) AND at < pg_catalog.now() - "
    "INTERVAL '1 day' OR NOT EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.oid = database)",
    {Type::int8_array}};

Query select_unresolved = {"SELECT agent_id, agent FROM mirox_internal.agent WHERE NOT resolved LIMIT $1",
                           {Type::int4}};
Query resolve = {
    "UPDATE mirox_internal.agent SET browser = NULLIF($2, ''), os = NULLIF($3, ''), resolved = true WHERE "
    "agent_id = "
    "$1",
    {Type::int8, Type::text, Type::text}};

TimestampTz days_before(TimestampTz now, const Interval& span) {
    return DatumGetTimestampTz(
        DirectFunctionCall2(timestamp_mi_interval, TimestampGetDatum(now), IntervalPGetDatum(&span)));
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
    const std::int64_t notice_days =
        notice.month * std::int64_t{DAYS_PER_MONTH} + notice.day + notice.time / USECS_PER_DAY;
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
    pg::run(select_notices, args);
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

// Unauthenticated between two instants, as many minutes or hours at a time as the number of rows stands for.
void fold(Slice& slice, Query& query, TimestampTz from, TimestampTz to, TimestampTz unit) {
    const TimestampTz begin = Max(from, slice.house->cursor);
    const TimestampTz end = Min(to, begin + Max(slice.house->rows / kNetworksKept, 1) * unit);
    slice.next = end;
    slice.done = end >= to;
    if (begin >= end) return;
    pg::Args args;
    args.add(TimestampTzGetDatum(end)).add(TimestampTzGetDatum(begin)).int4(kNetworksKept);
    args.int4(pg::settings().node_id);
    pg::run(query, args);
}

void fold_recent(Slice& slice) {
    const House& house = *slice.house;
    const TimestampTz closed = oldest_slot(shmem::minute_of(house.began - 10 * USECS_PER_MINUTE));
    const TimestampTz day_ago = house.began - kStrangerMinutesKept;
    fold(slice, fold_minutes, day_ago - day_ago % USECS_PER_HOUR, closed, USECS_PER_MINUTE);
}

void fold_old(Slice& slice) {
    const TimestampTz day_ago = oldest_slot(shmem::minute_of(slice.house->began - kStrangerMinutesKept));
    const TimestampTz hour = day_ago - day_ago % USECS_PER_HOUR;
    fold(slice, fold_hours, hour - 7 * USECS_PER_DAY, hour, USECS_PER_HOUR);
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
        pg::run(resolve, args);
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
        if (pg::run(hold_account, hold) == 0 || !store::lock_account(accounts[i], actor.account)) continue;
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
void forget_strangers(Slice& slice) {
    forget_rows(slice, delete_strangers, slice.house->before);
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
    {forget_hours, When::retained}, {forget_days, When::retained},  {forget_strangers, When::retained},
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

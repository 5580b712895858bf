// SQL-callable functions on recorded use: waiting for a drain, what still stands in shared memory, the worker's health.
//
// Locks: region_lock() shared while the ring is read, exclusive to make a seat.
#include "pg/entry.hpp"
#include "pg/network.hpp"
#include "pg/query.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "shmem/events.hpp"
#include "shmem/key_shelf.hpp"
#include "shmem/region.hpp"
#include "store/actor.hpp"
#include "store/acts.hpp"
#include "store/check.hpp"
#include "store/keys.hpp"
#include "store/sessions.hpp"
#include "store/tokens.hpp"
#include "worker/presence.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
}

using namespace mirox;
using store::Actor;

namespace {

shmem::Region& require_region() {
    shmem::Region& region = shmem::region();
    if (!region)
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    errmsg("mirox_tokens must be loaded when the server starts"),
                    errhint("Add mirox_tokens to shared_preload_libraries and restart the server."));
    return region;
}

// Until the worker has told the counters what an earlier start of the server wrote, they would count it twice.
constexpr int kSettleTries = 200;
void wait_until_settled(shmem::Region& region, shmem::LaneRef lane, std::uint64_t stored) {
    for (int i = 0; i < kSettleTries && region.unsettled(lane) && stored > region.ring().freed(lane); i++) {
        if (RecoveryInProgress()) return;
        if (i == 0) shmem::wake_worker(MyDatabaseId);
        CHECK_FOR_INTERRUPTS();
        pg_usleep(10'000);
    }
}

core::Address core_address(const shmem::Address& address) {
    core::Address out = {};
    out.family = address.family == 4 ? core::AddressFamily::ipv4 : core::AddressFamily::ipv6;
    memcpy(out.bytes.data(), address.bytes, sizeof(address.bytes));
    return out;
}

void put_pending(ReturnSetInfo* info, const shmem::Region& region, const shmem::TokenKey& key,
                 std::uint64_t stored) {
    shmem::PendingCounts counts;
    if (!region.counters().pending(key, stored, counts)) return;
    if (counts.uses == 0 && counts.refusals == 0) return;
    Datum values[8] = {};
    bool nulls[8] = {};
    values[0] = Int64GetDatum(key.token);
    values[1] = Int32GetDatum(key.generation);
    values[2] = Int64GetDatum(static_cast<std::int64_t>(counts.uses));
    values[3] = Int64GetDatum(static_cast<std::int64_t>(counts.refusals));
    values[4] = TimestampTzGetDatum(counts.last_used);
    nulls[4] = counts.last_used == 0 || counts.uses == 0;
    values[5] = TimestampTzGetDatum(counts.last_refused);
    nulls[5] = counts.last_refused == 0 || counts.refusals == 0;
    nulls[6] = nulls[4] || counts.last_address.family == 0;
    if (!nulls[6]) values[6] = pg::inet_datum(core_address(counts.last_address));
    values[7] = Int64GetDatum(static_cast<std::int64_t>(counts.last_agent));
    nulls[7] = nulls[4] || counts.last_agent == 0;
    tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
}

}  // namespace

MIROX_FUNCTION(begin_recording) {
    worker::begin_recording();
    PG_RETURN_VOID();
}

MIROX_FUNCTION(ring_ids) {
    std::uint64_t ids[shmem::kKeptRingIds];
    const std::size_t count = require_region().ring_ids(ids);
    Datum values[shmem::kKeptRingIds];
    for (std::size_t i = 0; i < count; i++) values[i] = Int64GetDatum(static_cast<std::int64_t>(ids[i]));
    PG_RETURN_ARRAYTYPE_P(construct_array(values, static_cast<int>(count), INT8OID, sizeof(std::int64_t),
                                          FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

MIROX_FUNCTION(pending_uses) {
    InitMaterializedSRF(fcinfo, 0);
    shmem::Region& region = require_region();
    auto* info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    const auto stored = static_cast<std::uint64_t>(PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0));
    wait_until_settled(region, region.ring().find_lane(MyDatabaseId), stored);
    if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2)) {
        put_pending(info, region, {MyDatabaseId, PG_GETARG_INT32(2), PG_GETARG_INT64(1)}, stored);
        return (Datum)0;
    }
    shmem::TokenKey key;
    for (std::uint32_t i = 0; i < region.counters().entries(); i++)
        if (region.counters().key_at(i, MyDatabaseId, key)) put_pending(info, region, key, stored);
    return (Datum)0;
}

namespace {

// Copies of a token's waiting events, so that no lock is held while rows are made.
struct Waiting {
    std::int64_t at;
    std::uint16_t status;
    std::uint8_t reason;
    shmem::Address address;
    std::uint32_t agent_at, agent_size, scope_at, scope_size;  // in `texts`
};
constexpr std::uint32_t kMostWaiting = 10000;

}  // namespace

MIROX_FUNCTION(waiting_uses) {
    InitMaterializedSRF(fcinfo, 0);
    shmem::Region& region = require_region();
    auto* info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    if (PG_ARGISNULL(1) || PG_ARGISNULL(2)) return (Datum)0;
    const auto stored = static_cast<std::uint64_t>(PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0));
    const std::int64_t token = PG_GETARG_INT64(1);
    const std::int32_t generation = PG_GETARG_INT32(2);
    StringInfoData texts;
    initStringInfo(&texts);
    enlargeStringInfo(&texts, 64 * 1024);
    auto* found = static_cast<Waiting*>(palloc(sizeof(Waiting) * kMostWaiting));
    std::uint32_t count = 0;
    LWLockAcquire(shmem::region_lock(), LW_SHARED);
    shmem::RingReader reader(region.ring(), region.ring().find_lane(MyDatabaseId));
    shmem::StoredEvent stored_event;
    for (;;) {
        const shmem::ReadStatus status = reader.next(stored_event);
        if (status == shmem::ReadStatus::new_ring_id) continue;
        if (status != shmem::ReadStatus::event) break;
        const shmem::Event& event = stored_event.event;
        if (stored_event.begin < stored || event.token != token || event.generation != generation) continue;
        if (count == kMostWaiting) break;
        found[count++] = {event.at,
                          event.status,
                          event.reason,
                          event.address,
                          static_cast<std::uint32_t>(texts.len),
                          static_cast<std::uint32_t>(event.agent.size()),
                          static_cast<std::uint32_t>(texts.len + event.agent.size()),
                          static_cast<std::uint32_t>(event.scope.size())};
        appendBinaryStringInfo(&texts, event.agent.data(), static_cast<int>(event.agent.size()));
        appendBinaryStringInfo(&texts, event.scope.data(), static_cast<int>(event.scope.size()));
    }
    LWLockRelease(shmem::region_lock());
    for (std::uint32_t i = 0; i < count; i++) {
        const Waiting& event = found[i];
        Datum values[7] = {};
        bool nulls[7] = {};
        values[0] = TimestampTzGetDatum(event.at);
        values[1] = Int16GetDatum(static_cast<std::int16_t>(event.status));
        values[2] = pg::text_datum(store::reason_text(event.reason));
        nulls[3] = event.address.family == 0;
        if (!nulls[3]) values[3] = pg::inet_datum(core_address(event.address));
        values[4] = pg::text_datum(pg::from_utf8_lossy({texts.data + event.agent_at, event.agent_size}));
        nulls[4] = event.agent_size == 0;
        values[5] = pg::text_datum(pg::from_utf8_lossy({texts.data + event.scope_at, event.scope_size}));
        nulls[5] = event.scope_size == 0;
        values[6] = Int64GetDatum(1);
        tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
    }
    return (Datum)0;
}

namespace {

// How long flush() waits for a worker that does not come, and for one that does nothing: a transaction may take minutes, when a
// million callers are new.
constexpr TimestampTz kComes = 10 * USECS_PER_SEC, kMoves = 10 * USECS_PER_MINUTE;

[[noreturn]] void drain_failed(shmem::Seat* seat) {
    char message[sizeof(shmem::Failure::message)];
    LWLockAcquire(shmem::region_lock(), LW_SHARED);
    const shmem::Duty duty = seat->failure.duty;
    const std::int32_t sqlstate = seat->failure.sqlstate;
    strlcpy(message, seat->failure.message, sizeof(message));
    LWLockRelease(shmem::region_lock());
    MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errmsg("the worker %s", shmem::could_not(duty)),
                errdetail("%s: %s", unpack_sql_state(sqlstate), message),
                errhint("It tries again, and what is recorded waits in shared memory until then."));
}

[[noreturn]] void no_worker(const shmem::Seat* seat) {
    const bool launcher = shmem::control().launcher.load(std::memory_order_relaxed) != nullptr;
    const bool missing = seat->missing_since.load(std::memory_order_relaxed) != 0;
    MIROX_RAISE(
        ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errmsg("no worker writes recorded uses of this database"),
        errdetail(!launcher ? "The launcher of mirox_tokens does not run."
                  : missing
                      ? "None could be started: the server's log says why."
                      : "None has come: a command may need the database empty, or all slots be in use."),
        errhint(
            "Raise max_worker_processes, which is %d, if no slot is free. What is recorded waits in shared "
            "memory until then.",
            max_worker_processes));
}

}  // namespace

MIROX_ACT(flush) {
    shmem::Region& region = require_region();
    if (RecoveryInProgress())
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    errmsg("recorded uses cannot be written during recovery"),
                    errhint("They wait in shared memory until this server is promoted."));
    const shmem::LaneRef lane = region.ring().find_lane(MyDatabaseId);
    const std::uint64_t target = region.ring().claimed(lane);
    shmem::Seat* seat = shmem::my_seat();
    if (seat == nullptr)
        MIROX_RAISE(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                    errmsg("recorded use is kept for %d databases at most", shmem::kMaxDatabases),
                    errhint("Drop databases that are not used, or call this again when one is gone."));
    const std::uint64_t request = seat->requested.fetch_add(1, std::memory_order_acq_rel) + 1;
    TimestampTz seen = GetCurrentTimestamp(), moved = seen;
    std::uint64_t steps = seat->steps.load(std::memory_order_relaxed);
    ConditionVariablePrepareToSleep(&shmem::control().drained);
    for (bool ask = true;;) {
        const bool drained =
            region.ring().applied(lane) >= target || region.ring().find_lane(MyDatabaseId).key != lane.key;
        if (drained && seat->completed.load(std::memory_order_acquire) >= request) break;
        if (seat->failed.load(std::memory_order_acquire) >= request) drain_failed(seat);
        const TimestampTz now = GetCurrentTimestamp();
        const shmem::Worker* worker = shmem::worker_of(MyDatabaseId);
        if (worker != nullptr && worker->latch.load(std::memory_order_relaxed) != nullptr) seen = now;
        if (now - seen >= kComes) no_worker(seat);
        if (steps != seat->steps.load(std::memory_order_relaxed)) {
            steps = seat->steps.load(std::memory_order_relaxed);
            moved = now;
        }
        if (now - moved >= kMoves)
            MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errmsg("the worker does nothing"),
                        errdetail("It has ended no transaction for ten minutes."),
                        errhint("pg_stat_activity tells what it waits for."));
        if (ask) shmem::wake_worker(MyDatabaseId);
        ask = ConditionVariableTimedSleep(&shmem::control().drained, 500, PG_WAIT_EXTENSION);
    }
    ConditionVariableCancelSleep();
    PG_RETURN_VOID();
}

namespace {

pg::Query select_generation = {
    "SELECT generation FROM mirox_internal.token WHERE token_id = $1 AND account_id = $2",
    {pg::Type::int8, pg::Type::int8}};

// Rows of the tables and what still waits, gathered alike.
pg::Query select_history = {
    "SELECT pg_catalog.min(x.first_at), pg_catalog.max(x.last_at), x.status::pg_catalog.int4, x.reason, "
    "pg_catalog.sum(x.requests)::pg_catalog.int8, x.ip, pg_catalog.max(x.location), "
    "pg_catalog.max(x.browser), "
    "pg_catalog.max(x.os), x.user_agent, x.scope FROM ("
    "SELECT u.minute, u.first_at, u.last_at, c.status, c.reason, u.requests, c.ip, c.location, c.browser, "
    "c.os, "
    "c.user_agent, c.scope FROM ("
    "SELECT minute, caller_id, requests, first_at, last_at FROM mirox_internal.usage_minute WHERE token_id = "
    "$1 "
    "UNION ALL SELECT minute, caller_id, requests, first_at, last_at FROM mirox_internal.open_use "
    "WHERE first_token <= $1 AND last_token >= $1 AND token_id = $1"
    ") u JOIN mirox_internal.caller_shown c ON c.caller_id = u.caller_id WHERE c.generation = $2 "
    "UNION ALL "
    "SELECT pg_catalog.date_trunc('minute', w.at, 'UTC'), w.at, w.at, w.status, w.reason, w.requests, w.ip, "
    "NULL, "
    "g.browser, g.os, w.user_agent, w.scope "
    "FROM mirox_internal.waiting_uses((SELECT d.\"position\" FROM mirox_internal.drained d), $1, $2) w "
    "LEFT JOIN mirox_internal.agent g ON g.agent = w.user_agent COLLATE \"C\") x "
    "WHERE $3 IS NULL OR x.last_at >= $3 "
    "GROUP BY x.minute, x.status, x.reason, x.ip, x.user_agent, x.scope ORDER BY 2 DESC, 1 DESC",
    {pg::Type::int8, pg::Type::int4, pg::Type::timestamptz}};

}  // namespace

MIROX_OWN_ACT(token_history) {
    InitMaterializedSRF(fcinfo, 0);
    const pg::OptionalText secret = pg::secret_arg(fcinfo, 0);
    Actor actor;
    store::enter(actor);
    store::require_session(actor, secret.given, secret.text, false);
    if (PG_ARGISNULL(1)) store::no_such_token();
    pg::Args token;
    token.int8(PG_GETARG_INT64(1)).int8(actor.account.account_id);
    if (pg::run(select_generation, token) == 0) store::no_such_token();
    pg::Args args;
    args.int8(PG_GETARG_INT64(1))
        .add(pg::result_value(0, 1))
        .add_or_null(PG_ARGISNULL(2) ? 0 : PG_GETARG_DATUM(2), !PG_ARGISNULL(2));
    pg::run(select_history, args);
    pg::return_rows(fcinfo);
    store::leave(actor);
    return (Datum)0;
}

// ---- health ----------------------------------------------------------------------------------------------------------

namespace {

const char* enricher_text(std::uint32_t state) {
    switch (static_cast<shmem::Enricher>(state)) {
        case shmem::Enricher::unused:
            return "unused";
        case shmem::Enricher::ok:
            return "ok";
        case shmem::Enricher::none:
            return "none";
        case shmem::Enricher::unreadable:
            return "unreadable";
        case shmem::Enricher::invalid:
            return "invalid";
        case shmem::Enricher::missing:
            return "missing";
    }
    return "unused";
}

std::uint64_t checks_of(const shmem::Seat& seat, int reason) {
    std::uint64_t sum = 0;
    for (const auto& stripe : seat.checks) sum += stripe.of[reason].load(std::memory_order_relaxed);
    return sum;
}

// What has become of the worker: more than whether there is one.
const char* worker_state(bool runs, const shmem::Seat& seat) {
    if (!runs && !RecoveryInProgress() &&
        (seat.missing_since.load(std::memory_order_relaxed) != 0 ||
         shmem::control().launcher.load(std::memory_order_relaxed) == nullptr) &&
        shmem::wants_worker(MyDatabaseId))
        return "missing";
    if (seat.failure.failing.load(std::memory_order_relaxed) != 0) return "failing";
    return runs ? "running" : "idle";
}

Datum count_datum(std::uint64_t count) {
    return Int64GetDatum(static_cast<std::int64_t>(count));
}

}  // namespace

MIROX_FUNCTION(stat_now) {
    shmem::Region& region = require_region();
    TupleDesc columns;
    if (get_call_result_type(fcinfo, nullptr, &columns) != TYPEFUNC_COMPOSITE)
        MIROX_DEFECT("unexpected result type");
    Datum values[40] = {};
    bool nulls[40] = {};
    static const shmem::Seat nothing = {};
    const shmem::Seat* found = shmem::seat_of(MyDatabaseId);
    const shmem::Seat& seat = found == nullptr ? nothing : *found;
    LWLockAcquire(shmem::region_lock(), LW_SHARED);
    const shmem::LaneRef lane = region.ring().find_lane(MyDatabaseId);
    const std::uint64_t waiting = region.ring().waiting(lane);
    const std::uint64_t dropped = region.ring().dropped_since_reset(lane);
    const std::uint64_t torn = region.ring().torn_since_reset(lane);
    const shmem::Worker* worker = shmem::worker_of(MyDatabaseId);
    const std::int32_t pid = worker == nullptr ? 0 : worker->pid.load(std::memory_order_relaxed);
    const shmem::Failure& failure = seat.failure;
    const TimestampTz failed_at = failure.at, failing_since = failure.since;
    const shmem::Duty duty = failure.duty;
    const std::int32_t sqlstate = failure.sqlstate;
    LWLockRelease(shmem::region_lock());
    std::uint64_t all = 0;
    for (int i = 0; i < store::kReasons; i++) {
        const std::uint64_t count = checks_of(seat, i);
        if (i == static_cast<int>(store::Reason::management_refused)) {
            values[31] = count_datum(count);  // no check
            continue;
        }
        all += count;
        // The first eleven reasons stand together; later ones came at the end of the row.
        values[i < 11 ? 1 + i : 31 + i - 11] = count_datum(count);
    }
    static_assert(store::kReasons == 13 && store::kReasons <= shmem::kReasonCodes);
    const std::int64_t last = seat.last_drain_at.load(std::memory_order_relaxed);
    const std::int64_t reset = seat.stats_reset_at.load(std::memory_order_relaxed);
    const double segments = region.ring().segments();
    values[0] = count_datum(all);
    values[12] = count_datum(waiting);
    values[13] = count_datum(seat.flushed.load(std::memory_order_relaxed));
    values[14] = count_datum(dropped);
    values[15] = count_datum(torn);
    values[16] = count_datum(seat.drains.load(std::memory_order_relaxed));
    values[17] = count_datum(seat.failures.load(std::memory_order_relaxed));
    values[18] = Float8GetDatum(static_cast<double>(seat.drain_us.load(std::memory_order_relaxed)) / 1000.0);
    values[19] = TimestampTzGetDatum(last);
    nulls[19] = last == 0;
    values[20] = Int32GetDatum(pid);
    nulls[20] = pid == 0;
    values[21] = count_datum(static_cast<std::uint64_t>(region.ring().segments()) * shmem::kSegmentBytes);
    values[22] = Float8GetDatum((segments - region.ring().free_segments()) / segments);
    values[23] = count_datum(shmem::events_size() + shmem::region_size() + sizeof(shmem::Control) +
                             sizeof(shmem::KeyShelf));
    values[24] = count_datum(region.counters().misses());
    values[25] = count_datum(region.strangers().uncounted());
    values[26] = count_datum(region.ring().lost_discarded());
    values[27] = count_datum(region.ring().lost_drops());
    values[28] = pg::text_datum(enricher_text(seat.agents.load(std::memory_order_relaxed)));
    values[29] = pg::text_datum(enricher_text(seat.geo.load(std::memory_order_relaxed)));
    values[30] = TimestampTzGetDatum(reset);
    nulls[30] = reset == 0;
    const store::JwtKeyState keys = store::jwt_key_state();
    values[33] = Int32GetDatum(keys.keys);
    values[34] = pg::text_datum(keys.file);
    values[35] = TimestampTzGetDatum(keys.since);
    nulls[35] = keys.since == 0;
    values[36] = pg::text_datum(worker_state(pid != 0, seat));
    // No message of the server's, which quotes values: whoever reads this may know of no person.
    nulls[37] = nulls[38] = failed_at == 0;
    if (failed_at != 0)
        values[37] = pg::text_datum(psprintf("%s: %s", unpack_sql_state(sqlstate), shmem::could_not(duty)));
    values[38] = TimestampTzGetDatum(failed_at);
    values[39] = TimestampTzGetDatum(failing_since);
    nulls[39] = failing_since == 0;
    return HeapTupleGetDatum(heap_form_tuple(columns, values, nulls));
}

MIROX_ACT(stat_reset) {
    shmem::Region& region = require_region();
    shmem::Seat* seat = shmem::my_seat();
    if (seat == nullptr) PG_RETURN_VOID();
    const shmem::LaneRef lane = region.ring().find_lane(MyDatabaseId);
    for (auto& stripe : seat->checks)
        for (auto& count : stripe.of) count.store(0, std::memory_order_relaxed);
    for (auto* count : {&seat->drains, &seat->failures, &seat->flushed, &seat->drain_us})
        count->store(0, std::memory_order_relaxed);
    region.ring().reset_statistics(lane);
    seat->stats_reset_at.store(GetCurrentTimestamp(), std::memory_order_relaxed);
    PG_RETURN_VOID();
}

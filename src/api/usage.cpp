// SQL-callable functions on recorded use: wait for a drain, read what is still in shared memory, and show a token's history.
//
// Locks: region_lock() shared while the ring is read, exclusive to create a database's stats.
#include "pg/prelude.hpp"
//
#include "api/usage.sql.hpp"
#include "pg/entry.hpp"
#include "pg/network.hpp"
#include "pg/row.hpp"
#include "pg/values.hpp"
#include "shmem/control.hpp"
#include "shmem/region.hpp"
#include "shmem/startup.hpp"
#include "store/actor.hpp"
#include "store/acts.hpp"
#include "store/sessions.hpp"
#include "store/tokens.hpp"
#include "worker/presence.hpp"

extern "C" {
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
}

using namespace mirox;
using store::Actor;

namespace {

// After a restart, the counters would count again what was written to the tables before it. The worker corrects them when it
// starts, so wait for it, 2 s at most.
constexpr int kCounterTries = 200;
void wait_for_counters(shmem::Region& region, shmem::QueueRef queue, std::uint64_t stored) {
    for (int i = 0; i < kCounterTries && region.unposted(queue) && stored > region.ring().freed(queue); i++) {
        if (RecoveryInProgress()) return;
        if (i == 0) shmem::wake_worker(MyDatabaseId);
        CHECK_FOR_INTERRUPTS();
        pg_usleep(10'000);
    }
}

void put_pending(ReturnSetInfo* info, const shmem::Region& region, const shmem::TokenKey& key, std::uint64_t stored) {
    shmem::PendingCounts counts;
    if (!region.counters().pending(key, stored, counts)) return;
    if (counts.uses == 0 && counts.refusals == 0) return;
    const bool used = counts.uses != 0 && counts.last_used != 0;
    const bool addressed = used && counts.last_address.family != core::AddressFamily::none;
    pg::Row(info->setDesc)
        .set("token_id", Int64GetDatum(key.token))
        .set("generation", Int32GetDatum(key.generation))
        .set("uses", Int64GetDatum(static_cast<std::int64_t>(counts.uses)))
        .set("refusals", Int64GetDatum(static_cast<std::int64_t>(counts.refusals)))
        .set_time("last_used_at", used ? counts.last_used : 0)
        .set_time("last_refused_at", counts.refusals == 0 ? 0 : counts.last_refused)
        .set_if(addressed, "last_ip", addressed ? pg::inet_datum(counts.last_address) : 0)
        .set_if(used && counts.last_agent != 0, "agent_key", Int64GetDatum(static_cast<std::int64_t>(counts.last_agent)))
        .put(info);
}

}  // namespace

MIROX_FUNCTION(begin_recording) {
    worker::begin_recording();
    PG_RETURN_VOID();
}

MIROX_FUNCTION(ring_ids) {
    std::uint64_t ids[shmem::kKeptRingIds];
    const std::size_t count = shmem::required_region().ring_ids(ids);
    Datum values[shmem::kKeptRingIds];
    for (std::size_t i = 0; i < count; i++) values[i] = Int64GetDatum(static_cast<std::int64_t>(ids[i]));
    return pg::array_datum(INT8OID, values, nullptr, static_cast<int>(count));
}

MIROX_FUNCTION(pending_uses) {
    InitMaterializedSRF(fcinfo, 0);
    shmem::Region& region = shmem::required_region();
    auto* info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    const auto stored = static_cast<std::uint64_t>(PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0));
    wait_for_counters(region, region.ring().find_queue(MyDatabaseId), stored);
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

constexpr int kMostWaiting = 10000;

// Of one generation, the newest ones.
struct Newest {
    int seen;
    shmem::StoredEvent events[kMostWaiting];
};
// A token's events in the ring, as they were at one moment. Of the generations that token_history() shows, since whoever has an older
// secret may fill the ring.
struct Waiting {
    MemoryContextCallback forget;
    std::int64_t token;
    std::int32_t generation;
    Newest of[2];  // of that generation, and of the one before
};
// Copied before the snapshot of the query that runs. What a drain moves from the ring to the tables after that snapshot would be
// in neither.
constinit const Waiting* waiting = nullptr;

void keep_newest(Newest& kept, const shmem::StoredEvent& event) {
    shmem::StoredEvent& place = kept.events[kept.seen % kMostWaiting];
    if (kept.seen >= kMostWaiting)
        for (const std::string_view& text : place.event.texts)
            if (!text.empty()) pfree(const_cast<char*>(text.data()));
    place = event;
    for (std::string_view& text : place.event.texts)
        if (!text.empty()) text = {pnstrdup(text.data(), text.size()), text.size()};
    kept.seen++;
}

// The copy is made first, so that no lock is held while rows are built.
Waiting* copy_waiting(std::int64_t token, std::int32_t generation) {
    auto* copy = static_cast<Waiting*>(palloc(sizeof(Waiting)));
    copy->token = token;
    copy->generation = generation;
    copy->of[0].seen = copy->of[1].seen = 0;
    shmem::Region& region = shmem::required_region();
    LWLockAcquire(shmem::region_lock(), LW_SHARED);
    shmem::RingReader reader(region.ring(), region.ring().find_queue(MyDatabaseId));
    for (;;) {
        shmem::StoredEvent stored;
        const shmem::ReadStatus status = reader.next(stored);
        if (status == shmem::ReadStatus::new_ring_id) continue;
        if (status != shmem::ReadStatus::event) break;
        const std::int64_t before = std::int64_t{generation} - stored.event.generation;
        if (stored.event.token() == token && (before == 0 || before == 1)) keep_newest(copy->of[before], stored);
    }
    LWLockRelease(shmem::region_lock());
    return copy;
}

// Until the memory context is reset, as it is after an error too, waiting_uses() reads this copy.
void keep_waiting(std::int64_t token, std::int32_t generation) {
    Waiting* copy = copy_waiting(token, generation);
    copy->forget.func = [](void*) { waiting = nullptr; };
    copy->forget.arg = nullptr;
    MemoryContextRegisterResetCallback(CurrentMemoryContext, &copy->forget);
    waiting = copy;
}

}  // namespace

MIROX_FUNCTION(waiting_uses) {
    InitMaterializedSRF(fcinfo, 0);
    auto* info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    if (PG_ARGISNULL(1) || PG_ARGISNULL(2)) return (Datum)0;
    const auto stored = static_cast<std::uint64_t>(PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0));
    const std::int64_t token = PG_GETARG_INT64(1);
    const std::int32_t generation = PG_GETARG_INT32(2);
    const bool kept = waiting != nullptr && waiting->token == token &&
                      (waiting->generation == generation || waiting->generation - 1 == generation);
    const Waiting* copy = kept ? waiting : copy_waiting(token, generation);
    const Newest& newest = copy->of[copy->generation - generation];
    pg::Row row(info->setDesc);
    for (int i = Max(newest.seen - kMostWaiting, 0); i < newest.seen; i++) {
        const shmem::StoredEvent& place = newest.events[i % kMostWaiting];
        const shmem::Event& event = place.event;
        if (place.begin < stored) continue;
        row.set("at", TimestampTzGetDatum(event.at))
            .set("status", Int16GetDatum(static_cast<std::int16_t>(event.status)))
            .set("reason", pg::text_datum(core::reason_word(event.reason)));
        if (event.address.family != core::AddressFamily::none) row.set("ip", pg::inet_datum(event.address));
        for (unsigned kind = 0; kind < shmem::kTexts; kind++)
            if (!event.texts[kind].empty())
                row.set(shmem::kTextColumns[kind].name, pg::text_datum(pg::from_utf8_lossy(event.texts[kind])));
        row.put(info);
    }
    return (Datum)0;
}

namespace {

// How long flush() waits for a worker to start, and for a worker that ends no transaction. One transaction may take minutes if a
// million callers are new.
constexpr TimestampTz kComes = 10 * USECS_PER_SEC, kMoves = 10 * USECS_PER_MINUTE;

[[noreturn]] void drain_failed(shmem::DatabaseStats* stats) {
    char message[sizeof(shmem::Failure::message)];
    LWLockAcquire(shmem::region_lock(), LW_SHARED);
    const shmem::Job job = stats->failure.job;
    const std::int32_t sqlstate = stats->failure.sqlstate;
    strlcpy(message, stats->failure.message, sizeof(message));
    LWLockRelease(shmem::region_lock());
    MIROX_RAISE(
        ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::worker_unavailable),
        errmsg("the worker %s", shmem::could_not(job)),
        errdetail("%s: %s. The worker retries; recorded uses stay in shared memory.", unpack_sql_state(sqlstate), message));
}

[[noreturn]] void no_worker(const shmem::DatabaseStats* stats) {
    const bool launcher = shmem::control().launcher.load(std::memory_order_relaxed) != nullptr;
    const bool missing = stats->missing_since.load(std::memory_order_relaxed) != 0;
    MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::worker_unavailable),
                errmsg("no worker writes recorded uses of this database"),
                errdetail("%s Recorded uses stay in shared memory.",
                          !launcher ? "The launcher of mirox_tokens does not run."
                          : missing ? "No worker could be started: the server log says why."
                                    : "No worker has started: all slots may be in use, or a command needs the database empty."),
                errhint("Raise max_worker_processes, which is %d, if no slot is free.", max_worker_processes));
}

}  // namespace

MIROX_READ_ONLY_ACT(flush) {
    shmem::Region& region = shmem::required_region();
    if (RecoveryInProgress())
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::worker_unavailable),
                    errmsg("recorded uses cannot be written during recovery"),
                    errdetail("They stay in shared memory until this server is promoted."),
                    errhint("Call mirox.flush() on the primary, or here after the promotion."));
    const shmem::QueueRef queue = region.ring().find_queue(MyDatabaseId);
    const std::uint64_t target = region.ring().claimed(queue);
    shmem::DatabaseStats* stats = shmem::my_stats();
    if (stats == nullptr)
        MIROX_RAISE(ERRCODE_PROGRAM_LIMIT_EXCEEDED, errword(ErrorWord::databases_too_many),
                    errmsg("recorded use is kept for %d databases at most", shmem::kMaxDatabases),
                    errhint("Drop a database that is not used, then call mirox.flush() again."));
    const std::uint64_t request = stats->requested.fetch_add(1, std::memory_order_acq_rel) + 1;
    TimestampTz seen = GetCurrentTimestamp(), moved = seen;
    std::uint64_t steps = stats->steps.load(std::memory_order_relaxed);
    ConditionVariablePrepareToSleep(&shmem::control().drained);
    for (bool ask = true;;) {
        const bool drained = region.ring().applied(queue) >= target || region.ring().find_queue(MyDatabaseId).key != queue.key;
        if (drained && stats->completed.load(std::memory_order_acquire) >= request) break;
        if (stats->failed.load(std::memory_order_acquire) >= request) drain_failed(stats);
        const TimestampTz now = GetCurrentTimestamp();
        const shmem::Worker* worker = shmem::worker_of(MyDatabaseId);
        if (worker != nullptr && worker->latch.load(std::memory_order_relaxed) != nullptr) seen = now;
        if (now - seen >= kComes) no_worker(stats);
        if (steps != stats->steps.load(std::memory_order_relaxed)) {
            steps = stats->steps.load(std::memory_order_relaxed);
            moved = now;
        }
        if (now - moved >= kMoves)
            MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::worker_unavailable),
                        errmsg("the worker is stuck"), errdetail("It has ended no transaction for ten minutes."),
                        errhint("See in pg_stat_activity what it waits for."));
        if (ask) shmem::wake_worker(MyDatabaseId);
        ask = ConditionVariableTimedSleep(&shmem::control().drained, 500, PG_WAIT_EXTENSION);
    }
    ConditionVariableCancelSleep();
    PG_RETURN_VOID();
}

MIROX_OWN_READ_ONLY_ACT(token_history) {
    InitMaterializedSRF(fcinfo, 0);
    store::in_session(fcinfo, false, [&](Actor& actor) {
        if (PG_ARGISNULL(1)) store::no_such_token();
        pg::Args token;
        token.int8(PG_GETARG_INT64(1)).int8(actor.account.account_id);
        if (pg::run(api::select_generation, token) == 0) store::no_such_token();
        bool never_rotated;
        const Datum generation = pg::result_value(0, 1), rotated = pg::result(0, 2, &never_rotated);
        pg::Args args;
        args.int8(PG_GETARG_INT64(1))
            .add(generation)
            .add_or_null(rotated, !never_rotated)
            .add_or_null(PG_ARGISNULL(2) ? 0 : PG_GETARG_DATUM(2), !PG_ARGISNULL(2));
        pg::add_max_rows(args, fcinfo, 3);
        keep_waiting(PG_GETARG_INT64(1), DatumGetInt32(generation));
        pg::run(api::select_history, args);
        pg::return_rows(fcinfo);
    });
    return (Datum)0;
}

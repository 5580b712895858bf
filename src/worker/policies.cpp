// What the worker does about tokens by policy (see policies.hpp, also for the locks).
#include "worker/policies.hpp"

#include "pg/query.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "store/notices.hpp"
#include "store/tokens.hpp"
#include "worker/drain.hpp"
#include "worker/policies.sql.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/timestamp.h"
}

namespace mirox::worker {
namespace {

constexpr TimestampTz kWalkEvery = USECS_PER_HOUR;
constexpr std::int32_t kFirstRows = 2000, kLeastRows = 20, kFirstReused = 200;
constexpr int kMostSliceMs = 1000;
// How far the first look reaches back in a database in which no worker has looked yet.
constexpr TimestampTz kLookBack = USECS_PER_HOUR;

struct Step {
    Policies* policies;
    shmem::DatabaseStats* stats;
    bool done;
    bool more;          // tokens whose secrets were used again are left
    TimestampTz since;  // of the next look
};

bool hold(store::Actor& actor, std::int64_t account_id) {
    pg::Args args;
    args.int8(account_id);
    return pg::run(hold_owner, args) > 0 && store::account_for_update(account_id, actor.account);
}

const char* word_of(pg::OnReuse mode) {
    return mode == pg::OnReuse::revoke ? "revoke" : mode == pg::OnReuse::notify ? "notify" : "record";
}

struct Reused {
    std::int64_t token_id, account_id, requests;
    bool revoke;
};

void reuse_step(void* state) {
    Step& step = *static_cast<Step*>(state);
    store::Actor actor;
    if (!begin_step(actor)) return;
    plan_by_keys();
    const Policies& policies = *step.policies;
    step.since = policies.since;
    pg::Args none, args;
    if (step.since == 0)
        step.since = pg::run(select_looked, none) > 0 ? DatumGetInt64(pg::result_value(0, 1)) : policies.drained_at - kLookBack;
    args.add(TimestampTzGetDatum(step.since)).text(word_of(static_cast<pg::OnReuse>(pg::settings().on_reuse)));
    const std::uint64_t count = pg::run(select_reused, args.int4(policies.reused));
    auto* reused = static_cast<Reused*>(palloc(sizeof(Reused) * Max(count, std::uint64_t{1})));
    for (std::uint64_t i = 0; i < count; i++)
        reused[i] = {DatumGetInt64(pg::result_value(i, 1)), DatumGetInt64(pg::result_value(i, 2)),
                     DatumGetInt64(pg::result_value(i, 4)), pg::text_view(pg::result_value(i, 3)) == "revoke"};
    std::uint64_t held = 0;
    for (std::uint64_t i = 0; i < count; i++) {
        const Reused& one = reused[i];
        if (one.revoke && !hold(actor, one.account_id)) {
            held++;
            continue;
        }
        if (one.revoke) (void)store::revoke(actor, one.token_id, "a rotated secret was used", true);
        store::Detail detail;
        detail.add_text("outcome", one.revoke ? "revoked" : "recorded");
        detail.add_value("requests", Int64GetDatum(one.requests), INT8OID);
        store::post_notice("secret_reused", {one.account_id, nullptr, one.token_id, 0}, detail, !one.revoke);
    }
    // The clock may be ahead of a use that is written later; the next look goes over the last minute again.
    const bool full = count == static_cast<std::uint64_t>(policies.reused);
    step.done = held == 0 && !full;
    step.more = full && held < count;
    if (step.done) step.since = policies.drained_at - USECS_PER_MINUTE;
    pg::Args looked;
    looked.int8(step.since);
    pg::run(put_looked, looked);
    store::leave(actor);
}

void walk_step(void* state) {
    Step& step = *static_cast<Step*>(state);
    store::Actor actor;
    if (!begin_step(actor)) return;
    plan_by_keys();
    shmem::DatabaseStats& stats = *step.stats;
    const std::int64_t after = stats.walked.load(std::memory_order_relaxed);
    if (after == 0) {
        pg::Args rows;
        rows.int4(step.policies->rows);
        const auto most = static_cast<std::uint64_t>(step.policies->rows);
        // What is left goes with the next slices, before the walk.
        if (Max(pg::run(delete_old_notices, rows), pg::run(delete_old_answers, rows)) >= most) return store::leave(actor);
    }
    pg::Args args;
    args.int8(after).int4(step.policies->rows);
    pg::run(select_stretch, args);
    bool none_left, none_unused, is_null;
    const std::int64_t last = DatumGetInt64(pg::result(0, 1, &none_left));
    const std::int64_t met = DatumGetInt64(pg::result_value(0, 2));
    const std::int64_t unused = DatumGetInt64(pg::result_value(0, 3));
    const Datum tokens = pg::result(0, 4, &none_unused), accounts = pg::result(0, 5, &is_null);
    Datum *token = nullptr, *account = nullptr;
    int count = 0;
    if (!none_unused) {
        deconstruct_array(DatumGetArrayTypePCopy(tokens), INT8OID, sizeof(std::int64_t), true, TYPALIGN_DOUBLE, &token, nullptr,
                          &count);
        deconstruct_array(DatumGetArrayTypePCopy(accounts), INT8OID, sizeof(std::int64_t), true, TYPALIGN_DOUBLE, &account,
                          nullptr, &count);
    }
    for (int i = 0; i < count; i++) {
        if (!hold(actor, DatumGetInt64(account[i]))) continue;
        pg::Args one;
        one.add(token[i]);
        if (pg::run(select_idle, one) == 0) continue;
        const std::int32_t days = DatumGetInt32(pg::result_value(0, 1));
        (void)store::revoke(actor, DatumGetInt64(token[i]), "unused for too long", true);
        store::Detail detail;
        detail.add_value("unused_days", Int32GetDatum(days), INT4OID);
        store::post_notice("token_ended_unused", {DatumGetInt64(account[i]), nullptr, DatumGetInt64(token[i]), 0}, detail);
    }
    store::leave(actor);
    const std::int64_t so_far = (after == 0 ? 0 : stats.unused_so_far.load(std::memory_order_relaxed)) + unused - count;
    stats.unused_so_far.store(so_far, std::memory_order_relaxed);
    const bool whole = none_left || met < step.policies->rows;
    stats.walked.store(whole ? 0 : last, std::memory_order_relaxed);
    step.done = whole;
    if (!whole) return;
    stats.unused_tokens.store(so_far, std::memory_order_relaxed);
    stats.walked_at.store(GetCurrentTimestamp(), std::memory_order_relaxed);
}

// After a slice that failed. What was cancelled because it took too long goes on with fewer tokens.
bool goes_on(bool& on, std::int32_t& rows, const pg::Trouble& trouble) {
    on = trouble.sqlstate == ERRCODE_QUERY_CANCELED && rows > kLeastRows;
    rows = Max(rows / 4, kLeastRows);
    return on;
}

bool look_for_reuse(Policies& policies, shmem::DatabaseStats* stats, pg::Trouble& trouble) {
    policies.reuse = false;
    Step step = {&policies, stats, false, false, 0};
    if (!run_step(stats, reuse_step, &step, trouble, kMostSliceMs)) return goes_on(policies.reuse, policies.reused, trouble);
    policies.since = step.since;
    // Where an account was held, all of it is looked at again after the next drain.
    policies.again = !step.done || policies.counted != policies.looked;
    policies.reuse = step.more;
    if (step.done) policies.looked = policies.counted;
    return true;
}

}  // namespace

std::uint64_t count_rotated(const shmem::DatabaseStats* stats) {
    std::uint64_t count = 0;
    if (stats == nullptr) return count;
    for (const auto& stripe : stats->checks)
        count += stripe.of[static_cast<int>(core::Reason::rotated)].load(std::memory_order_relaxed);
    return count;
}

void begin_policies(Policies& policies, const shmem::DatabaseStats* stats, std::uint64_t counted, TimestampTz drained_at) {
    if (stats == nullptr) return;
    if (policies.rows == 0) policies.rows = kFirstRows;
    if (policies.reused == 0) policies.reused = kFirstReused;
    policies.counted = counted;
    policies.drained_at = drained_at;
    // The first look is for what was recorded before a restart. Then counts begin anew.
    policies.reuse = policies.since == 0 || policies.again || counted != policies.looked;
    policies.active = policies.active || policies.reuse || stats->walked.load(std::memory_order_relaxed) != 0 ||
                      drained_at >= policies.next_walk;
}

bool apply_policies(Policies& policies, shmem::DatabaseStats* stats, pg::Trouble& trouble) {
    policies.active = false;
    if (stats == nullptr) return true;
    const auto walks = [&] {
        return stats->walked.load(std::memory_order_relaxed) != 0 || policies.drained_at >= policies.next_walk;
    };
    if (policies.reuse) {
        if (!look_for_reuse(policies, stats, trouble)) return false;
        policies.active = policies.reuse || walks();
        return true;
    }
    if (!walks()) return true;
    Step step = {&policies, stats, false, false, 0};
    if (!run_step(stats, walk_step, &step, trouble, kMostSliceMs)) return goes_on(policies.active, policies.rows, trouble);
    if (step.done) policies.next_walk = GetCurrentTimestamp() + kWalkEvery;
    if (step.done) policies.rows = kFirstRows;
    policies.active = !step.done;
    return true;
}

}  // namespace mirox::worker

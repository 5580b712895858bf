// Orders a user to be taken out of recorded use and the audit log (see traces.hpp, also for the locks).
#include "store/traces.hpp"

#include "pg/values.hpp"
#include "shmem/region.hpp"
#include "store/audit.hpp"
#include "store/traces.sql.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/timestamp.h"
}

namespace mirox::store {
namespace {

// The row about a former account must not name its user again.
void order(std::int64_t erasure_id, std::int64_t account_id, struct varlena* user, TimestampTz until) {
    pg::Args args;
    args.int8(erasure_id).int8(account_id).add(BoolGetDatum(user == nullptr)).add(TimestampTzGetDatum(until));
    args.int8(static_cast<std::int64_t>(shmem::region().ring().ring_id()));
    pg::run(insert_erasure, args);
    Detail detail;
    detail.add_value("erasure_id", Int64GetDatum(erasure_id), INT8OID);
    detail.add_value("until", TimestampTzGetDatum(until), TIMESTAMPTZOID);
    audit("traces_erased", {account_id, user, 0, 0}, detail);
}

}  // namespace

std::int64_t erase_traces(Actor& actor, std::string_view user_id, TimestampTz until) {
    const bool lives = account_for_update(user_id, actor.account);
    pg::Args of;
    of.text(user_id);
    const std::uint64_t count = pg::run(take_former, of);
    if (count == 0 && !lives) no_such_account();
    auto* const former = static_cast<std::int64_t*>(palloc(sizeof(std::int64_t) * Max(count, std::uint64_t{1})));
    for (std::uint64_t i = 0; i < count; i++) former[i] = DatumGetInt64(pg::result_value(i, 1));
    pg::Args none;
    pg::run(new_erasure, none);
    const std::int64_t erasure_id = DatumGetInt64(pg::result_value(0, 1));
    for (std::uint64_t i = 0; i < count; i++) order(erasure_id, former[i], nullptr, GetCurrentTimestamp());
    if (!lives) return erasure_id;
    order(erasure_id, actor.account.account_id, actor.account.user_id, until);
    actor.audited = true;
    pg::Args sessions;
    sessions.int8(actor.account.account_id).add(TimestampTzGetDatum(until));
    pg::run(blank_sessions, sessions);
    actor.audited = false;
    return erasure_id;
}

}  // namespace mirox::store

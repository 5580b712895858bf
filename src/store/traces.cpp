// Takes a user out of recorded use and the audit log (see traces.hpp, also for the locks).
#include "store/traces.hpp"

#include "pg/values.hpp"
#include "store/audit.hpp"
#include "store/traces.sql.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/timestamp.h"
}

namespace mirox::store {
namespace {

// The statements that blank rows of some accounts before an instant.
pg::Query* const kBlank[] = {&blank_usage_minutes, &blank_refusal_minutes, &blank_usage_hours, &blank_refusal_hours,
                             &blank_usage_days,    &blank_refusal_days,    &blank_token_usage};

std::int64_t blank(pg::Query& query, Datum accounts, TimestampTz until) {
    pg::Args args;
    args.add(accounts).add(TimestampTzGetDatum(until));
    return static_cast<std::int64_t>(pg::run(query, args));
}

// Whether the accounts are gone decides how much is taken out of acts.
std::int64_t erase(std::string_view user_id, bool living, TimestampTz until, std::int64_t* one) {
    pg::Args of;
    of.text(user_id).add(BoolGetDatum(living));
    const std::uint64_t count = pg::run(select_accounts, of);
    if (count == 0) return -1;
    auto* const ids = static_cast<Datum*>(palloc(sizeof(Datum) * count));
    for (std::uint64_t i = 0; i < count; i++) ids[i] = pg::result_value(i, 1);
    *one = DatumGetInt64(ids[0]);
    const Datum accounts = pg::array_datum(INT8OID, ids, nullptr, static_cast<int>(count));
    std::int64_t rows = 0;
    for (pg::Query* query : kBlank) rows += blank(*query, accounts, until);
    rows += blank(living ? blank_acts : blank_acts_and_user, accounts, until);
    if (!living) {
        pg::Args names;
        names.add(accounts);
        pg::run(blank_names, names);
    }
    return rows;
}

}  // namespace

std::int64_t erase_traces(Actor& actor, std::string_view user_id, TimestampTz until) {
    actor.erases = true;
    pg::execute("LOCK TABLE mirox_internal.usage_closing, mirox_internal.usage_summed IN SHARE ROW EXCLUSIVE MODE");
    std::int64_t rows = 0, account = 0;
    bool any = false;
    for (const bool living : {false, true}) {
        const std::int64_t erased = erase(user_id, living, until, &account);
        if (erased < 0) continue;
        any = true;
        rows += erased;
        // The row about a former account must not name its user again.
        Detail detail;
        detail.add_value("rows", Int64GetDatum(erased), INT8OID);
        detail.add_value("until", TimestampTzGetDatum(until), TIMESTAMPTZOID);
        struct varlena* const user =
            living ? reinterpret_cast<struct varlena*>(DatumGetPointer(pg::text_datum(user_id))) : nullptr;
        audit("traces_erased", {account, user, 0, 0}, detail);
    }
    if (!any) no_such_account();
    return rows;
}

}  // namespace mirox::store

// rate_limit_status: the state of an account's rate limit, read without drawing on it.
#include "shmem/limits.hpp"
#include "core/rate_limit.hpp"
#include "pg/entry.hpp"
#include "pg/row.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "store/accounts.hpp"

extern "C" {
#include "utils/inval.h"
}

namespace mirox::api {

MIROX_FUNCTION(rate_limit_status) {
    const pg::OptionalText user = pg::text_arg(fcinfo, 0);
    AcceptInvalidationMessages();
    store::Account account;
    if (!user.given || !store::find_account_of(user.text, account)) store::no_such_account();
    const std::int32_t limit = account.rate_limit < 0 ? pg::settings().rate_limit : account.rate_limit;
    const std::int32_t burst = account.burst < 0 ? pg::settings().rate_burst : account.burst;
    const core::Decision now = shmem::peek_at_limit(account.account_id, limit, burst);
    const auto milliseconds = [](std::int64_t us) {
        return Int32GetDatum(static_cast<std::int32_t>(Min((us + 999) / 1000, std::int64_t{PG_INT32_MAX})));
    };
    return pg::Row(pg::result_columns(fcinfo))
        .set("rate_limit", Int32GetDatum(limit))
        .set("burst", Int32GetDatum(burst))
        .set("remaining", Int32GetDatum(static_cast<std::int32_t>(now.remaining)))
        .set("retry_after_ms", milliseconds(now.retry_after_us))
        .set("reset_ms", milliseconds(now.reset_us))
        .datum();
}

}  // namespace mirox::api

// rate_limit_status: the state of a rate limit, read without drawing on it.
#include "shmem/limits.hpp"
#include "core/rate_limit.hpp"
#include "pg/entry.hpp"
#include "pg/row.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "store/accounts.hpp"
#include "store/rows.hpp"
#include "store/tokens.hpp"

extern "C" {
#include "utils/inval.h"
}

namespace mirox::api {
namespace {

// A token's own limit, -1 for none. Raises P0002 if it is not a token of the account that is not revoked.
core::Quota own_limit_of(std::int64_t token_id, std::int64_t account_id) {
    using namespace token_column;
    store::RowScan scan;
    core::Quota own = {-1, -1};
    bool found = store::open_scan(scan, store::kTokenById, Int64GetDatum(token_id));
    if (found) {
        bool is_null;
        (void)store::column(scan.slot, kRevokedAt, &is_null);
        found = is_null && DatumGetInt64(store::column(scan.slot, kAccountId)) == account_id;
        const auto number = [&](int column) {
            const Datum value = store::column(scan.slot, column, &is_null);
            return is_null ? -1 : DatumGetInt32(value);
        };
        own = {number(kRateLimit), number(kBurst)};
    }
    store::close_scan(scan);
    if (!found) store::no_such_token();
    return own;
}

}  // namespace

MIROX_FUNCTION(rate_limit_status) {
    const pg::OptionalText user = pg::text_arg(fcinfo, 0);
    AcceptInvalidationMessages();
    store::Account account;
    if (!user.given || !store::find_account_of(user.text, account)) store::no_such_account();
    core::Quota quota = {account.rate_limit < 0 ? pg::settings().rate_limit : account.rate_limit,
                         account.burst < 0 ? pg::settings().rate_burst : account.burst};
    core::Decision now = shmem::peek_at_limit(account.account_id, quota.limit_per_minute, quota.burst);
    bool binds = false;
    if (fcinfo->nargs > 1 && !PG_ARGISNULL(1)) {
        const std::int64_t token_id = PG_GETARG_INT64(1);
        core::Quota own = own_limit_of(token_id, account.account_id);
        if (own.limit_per_minute >= 0) {
            own = core::own_quota(own, quota);
            const core::Decision decision = shmem::peek_at_limits(account.account_id, quota, token_id, own).own;
            binds = core::own_limit_binds(now, decision);
            if (binds) {
                quota = own;
                now = decision;
            }
        }
    }
    const auto milliseconds = [](std::int64_t us) {
        return Int32GetDatum(static_cast<std::int32_t>(Min((us + 999) / 1000, std::int64_t{PG_INT32_MAX})));
    };
    return pg::Row(pg::result_type(fcinfo).tupDesc)
        .set("rate_limit", Int32GetDatum(quota.limit_per_minute))
        .set("burst", Int32GetDatum(quota.burst))
        .set("remaining", Int32GetDatum(static_cast<std::int32_t>(now.remaining)))
        .set("retry_after_ms", milliseconds(now.retry_after_us))
        .set("reset_ms", milliseconds(now.reset_us))
        .set("policy", pg::text_datum(binds ? "token" : "account"))
        .datum();
}

}  // namespace mirox::api

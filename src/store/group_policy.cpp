// Policies of permission groups (see group_policy.hpp, also for the locks).
#include "store/group_policy.hpp"

#include "pg/catalog.hpp"
#include "pg/query.hpp"
#include "pg/time.hpp"
#include "store/group_policy.sql.hpp"
#include "store/groups.hpp"
#include "store/rows.hpp"
#include "store/tokens.hpp"

namespace mirox::store {

void check_policy(const GroupPolicy& policy) {
    if (policy.max_lifetime != nullptr) check_lifetime(*policy.max_lifetime, "max_lifetime");
    if (policy.unused_after != nullptr && pg::compare_spans(*policy.unused_after, {0, 1, 0}) < 0)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::interval_too_short, "unused_after"),
                    errmsg("unused_after must be at least one day"),
                    errdetail("Use of a token is known to the minute, and the worker looks for unused tokens by the hour."),
                    errhint("Give an interval such as '90 days', or NULL for no such rule."));
    if (policy.on_reuse.given && policy.on_reuse.text != "record" && policy.on_reuse.text != "notify" &&
        policy.on_reuse.text != "revoke")
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::reaction_unknown, "on_reuse"),
                    errmsg("no such reaction to the use of a rotated secret"), errdetail_internal("{record,notify,revoke}"),
                    errhint("Use one of these, or NULL for mirox_tokens.on_reuse."));
}

bool has_policy(std::int32_t group_id) {
    pg::Args args;
    args.int4(group_id);
    return pg::run(select_policy, args) > 0;
}

void set_group_policy(const GroupPolicy& policy) {
    check_policy(policy);
    lock_name(pg::catalog().permission_group, policy.group);
    const std::int32_t group_id = require_group(policy.group).id;
    const auto interval = [](const Interval* span) { return span == nullptr ? 0 : IntervalPGetDatum(span); };
    pg::Args args;
    args.int4(group_id)
        .add_or_null(interval(policy.max_lifetime), policy.max_lifetime != nullptr)
        .add_or_null(interval(policy.unused_after), policy.unused_after != nullptr)
        .text_or_null(policy.on_reuse.text, policy.on_reuse.given);
    pg::run(has_policy(group_id) ? update_policy : insert_policy, args);
}

}  // namespace mirox::store

// Policies of permission groups (src/schema/65_group_policy.sql). Call these within an act.
//
// Locks: an object lock on the group's name for a change (lock_name), so that two changes wait for each other.
#pragma once

#include "pg/prelude.hpp"
//
#include "pg/values.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::store {

struct GroupPolicy {
    std::string_view group;
    const Interval *max_lifetime, *unused_after;  // null: no such rule
    pg::OptionalText on_reuse;
};
// Raises 22023 for a value that no policy can have.
void check_policy(const GroupPolicy& policy);
bool has_policy(std::int32_t group_id);
void set_group_policy(const GroupPolicy& policy);

}  // namespace mirox::store

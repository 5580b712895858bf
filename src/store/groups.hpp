// Permission groups. Each backend caches all of them, and what their policies say of lifetimes, since there are few. The cache is filled with a fresh snapshot, and
// invalidated by a relcache invalidation that the table's trigger sends, which reaches standbys and subscribers too. Here are
// also the acts of management on groups. Their rules are in the table's trigger, so that they hold for direct DML too.
//
// Locks: AccessShareLock on the table while it is read; for an act, lock_name() on the group's name. Token rows are not touched.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/scopes.hpp"
#include "pg/values.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace mirox::store {

struct Group {
    std::int32_t id;
    std::string_view name;       // in the cache's memory: valid until the next look-up
    core::ScopeSet permissions;  // likewise in the cache
    bool everything;             // contains `*`
    bool builtin;                // cannot be changed or dropped
    Datum name_text;             // the name as a text Datum
    bool has_longest;            // its policy limits the lifetime of its tokens
    Interval longest;
};

// Null if there is none. Call AcceptInvalidationMessages() first if the newest state matters.
const Group* group_by_id(std::int32_t id);
const Group* group_by_name(std::string_view name);

// The longest lifetime that the group's policy allows; false if there is none.
bool longest_lifetime(std::int32_t group_id, Interval& out);

// Fills the cache if it is empty. A check calls it before it locks anything. Otherwise DROP EXTENSION, which locks table after
// table, could wait for a check that waits for DROP EXTENSION.
void ready_groups();

// Raises 22023, listing the existing names, if there is none.
const Group& require_group(std::string_view name);

// Call these within an act. `permissions` is a mirox.scopes.
void put_group(std::string_view name, Datum permissions, const pg::OptionalText& description);
// False if there was no such group.
bool drop_group(std::string_view name);

}  // namespace mirox::store

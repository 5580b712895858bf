// Permission groups, cached whole in each backend: there are few. The cache is filled with a fresh snapshot and forgotten
// when the table's trigger sends a relcache invalidation, which reaches standbys and subscribers too. And the acts of management on
// them, whose rules stand in the table's trigger, which holds against direct DML too.
//
// Locks: AccessShareLock on the table while it is read; for an act, lock_name() on the group's name. No token's row is touched.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/scopes.hpp"
#include "pg/values.hpp"

namespace mirox::store {

struct Group {
    std::int32_t id;
    std::string_view name;       // in the cache's memory: valid until the next look-up
    core::ScopeSet permissions;  // likewise
    bool everything;             // holds `*`
    bool builtin;                // never changed nor dropped
    Datum name_text;             // the name as a text Datum
};

// Null when there is none. Call AcceptInvalidationMessages() first where the newest state matters.
const Group* group_by_id(std::int32_t id);
const Group* group_by_name(std::string_view name);

// Fills the cache where it is not. For a check, before it locks anything: DROP EXTENSION, which locks table after table, is not to
// wait for what waits for it.
void ready_groups();

// 22023 with the names there are.
const Group& require_group(std::string_view name);

// Inside an entered Actor. `permissions` is a mirox.scopes.
void put_group(std::string_view name, Datum permissions, const pg::OptionalText& description);
// False when there was none.
bool drop_group(std::string_view name);

}  // namespace mirox::store

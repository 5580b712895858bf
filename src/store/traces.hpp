// The act that orders a user to be taken out of recorded use and the audit log: addresses, agents and places, and of a former account
// the user id too. Counts stay. Sessions and the name are done at once, the rest by the worker (worker/erasing.hpp).
//
// Locks: the row of a living account; row locks of what it changes.
#pragma once

#include "pg/prelude.hpp"
//
#include <string_view>

#include "store/actor.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace mirox::store {

// What is older than `until`; of a former account all. Returns the erasure's id. ERROR P0002: no account ever had this user id.
std::int64_t erase_traces(Actor& actor, std::string_view user_id, TimestampTz until);

}  // namespace mirox::store

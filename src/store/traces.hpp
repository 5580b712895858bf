// Takes a user out of recorded use and the audit log: addresses, agents and places, and of a former account the user id too. Counts
// stay.
//
// Locks: usage_closing and usage_summed, which keeps the worker from closing minutes and adding them up meanwhile (drains go on); row
// locks of what it changes.
#pragma once

#include "pg/prelude.hpp"
//
#include <string_view>

#include "store/actor.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace mirox::store {

// Of closed use and acts before `until`. Returns how many rows changed. ERROR P0002: no account ever had this user id.
std::int64_t erase_traces(Actor& actor, std::string_view user_id, TimestampTz until);

}  // namespace mirox::store

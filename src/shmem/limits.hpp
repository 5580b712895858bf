// The rate limit that an owner's tokens and sessions share: core/rate_limit.hpp on the account's word in shared memory.
//
// Locks: no LWLock. Finding a word is lock-free; making one takes a bounded lock of the table.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/rate_limit.hpp"
#include "shmem/core_limits.hpp"

namespace mirox::shmem {

// Draws one request of an account of this database. The request is refused when no word can be had.
core::Decision draw_on_limit(std::int64_t account_id, std::int32_t limit_per_minute, std::int32_t burst);

// The decision that a request would get now, without drawing one.
core::Decision peek_at_limit(std::int64_t account_id, std::int32_t limit_per_minute, std::int32_t burst);

// The table of words. ERROR 55000 when the library is not in shared_preload_libraries.
Limits& limits();

// For startup.cpp.
std::size_t limits_bytes();
void start_limits();

}  // namespace mirox::shmem

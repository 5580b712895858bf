// The rate limit that an owner's tokens and sessions share: core/rate_limit.hpp on the account's word in shared memory.
//
// Locks: none of the server's; finding a word is lock-free, making one takes a bounded lock of the table's own.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/rate_limit.hpp"
#include "shmem/core_limits.hpp"

namespace mirox::shmem {

// One request of an account of this database. Nobody gets through when no word can be had.
core::Decision draw_on_limit(std::int64_t account_id, std::int32_t limit_per_minute, std::int32_t burst);

// How it stands: what a request would be told, without one.
core::Decision peek_at_limit(std::int64_t account_id, std::int32_t limit_per_minute, std::int32_t burst);

// The words themselves. 55000 when the server was started without us.
Limits& limits();

// For startup.cpp.
std::size_t limits_bytes();
void start_limits();

}  // namespace mirox::shmem

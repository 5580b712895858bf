// The rate limit that an owner's tokens and sessions share, and a token's own, which is an additional one: core/rate_limit.hpp on
// words in shared memory, one for an account and one for a token that has its own.
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

// What the two limits of a token's request say.
struct TwoLimits {
    core::Decision account, own;
};

// Draws one request of a token that has a limit of its own. Both limits must admit it: an admitted request draws on both, a refused
// one on neither. The token's word is drawn on first, so that a token over its limit takes nothing from the account; if the account
// then refuses, the token's draw is given back.
TwoLimits draw_on_limits(std::int64_t account_id, const core::Quota& account, std::int64_t token_id, const core::Quota& own);
TwoLimits peek_at_limits(std::int64_t account_id, const core::Quota& account, std::int64_t token_id, const core::Quota& own);

// The table of words. ERROR 55000 when the library is not in shared_preload_libraries.
Limits& limits();

// For startup.cpp.
std::size_t limits_bytes();
void start_limits();

}  // namespace mirox::shmem

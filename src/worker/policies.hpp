// What the worker does about tokens by policy (store/group_policy.hpp, mirox_tokens.on_reuse): a token whose rotated secret was used,
// and tokens that nobody has used for long. Never in a check, which they would slow or fail.
//
// Locks: the account's row, if nobody else holds it; else the token is looked at again later, so that the worker never waits.
#pragma once

#include "pg/prelude.hpp"
//
#include "pg/transaction.hpp"
#include "shmem/control.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace mirox::worker {

struct Policies {
    bool active;             // a slice follows
    bool reuse;              // it looks for reuse; otherwise it goes on with the walk over all tokens
    bool again;              // it looks after the next drain too: a refusal is counted before its event is in the ring
    std::int32_t rows;       // of tokens, that a slice of the walk takes; 0: the first
    std::int32_t reused;     // of tokens, that a slice which looks for reuse takes; 0: the first
    std::uint64_t looked;    // refusals of rotated secrets that the last look for reuse had in the tables
    std::uint64_t counted;   // those that are in the tables by now
    TimestampTz drained_at;  // what was recorded before is in the tables
    TimestampTz since;       // later reuse has not been looked at; 0: the worker has not looked yet
    TimestampTz next_walk;
};

// How many refusals of rotated secrets were counted so far.
std::uint64_t count_rotated(const shmem::DatabaseStats* stats);
// Call after a drain, with that count and the time before it.
void begin_policies(Policies& policies, const shmem::DatabaseStats* stats, std::uint64_t counted, TimestampTz drained_at);
// Runs a slice, which takes a second at most. After the last one `active` is false. On failure too, until the next drain; `trouble`
// says why.
bool apply_policies(Policies& policies, shmem::DatabaseStats* stats, pg::Trouble& trouble);

}  // namespace mirox::worker

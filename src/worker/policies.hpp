// What the worker does about tokens by policy (store/group_policy.hpp, mirox_tokens.on_reuse): a token whose rotated secret was used,
// and tokens that nobody has used for long. Never in a check, which they would slow or fail.
//
// Locks: the account's row, if nobody else holds it; else the token is looked at again later, so that the worker never waits.
#pragma once

#include "pg/prelude.hpp"
//
#include "pg/transaction.hpp"
#include "shmem/control.hpp"

namespace mirox::worker {

// Call after a drain, when all that was recorded before is in the tables. Takes half a second at most; the next call goes on.
bool apply_policies(shmem::DatabaseStats* stats, pg::Trouble& trouble);

}  // namespace mirox::worker

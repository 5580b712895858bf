// Idempotency keys of issue_token and rotate_token: a call that is repeated because its answer was lost changes nothing, and returns
// the same token without its secret, which is shown only once.
//
// Locks: call these with the account locked, so that two calls with one key wait for each other.
#pragma once

#include "pg/prelude.hpp"
//
#include "store/tokens.hpp"

namespace mirox::store {

struct IdempotencyKey {
    pg::OptionalText key;
    std::string_view request;  // all that the call asks for: another one must not have the same key
};

// True if this session made the same call with the key within a day; then `out` is what it returned, with no secret. Raises 22023
// if it made another call with the key.
bool answered_before(const Actor& actor, const IdempotencyKey& call, Issued& out);
void keep_answer(const Actor& actor, const IdempotencyKey& call, const Issued& issued);

}  // namespace mirox::store

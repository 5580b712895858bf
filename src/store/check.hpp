// The check of a secret. Every check has the same three steps: begin_*() finds the newest committed row by the digest and decides
// about a 401; conclude() draws on the rate limit (429), then compares the scope (403), and records the outcome;
// end_check() releases the row. Nothing that a client sends raises an ERROR.
//
//     Checked checked;
//     begin_secret(text, Accept::both, client, checked);   // or begin_digest()
//     conclude(checked, check);                             // once
//     … the answer …
//     end_check(checked);
//
// Locks: AccessShareLock on the table and its index. Reads with a fresh snapshot, so that a check sees each revocation committed
// before it, whatever the transaction's isolation level. Compares expirations with the clock.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/client_address.hpp"
#include "core/crypto.hpp"
#include "core/rate_limit.hpp"
#include "core/reason.hpp"
#include "core/scopes.hpp"
#include "shmem/core_event.hpp"
#include "store/groups.hpp"
#include "store/rows.hpp"

namespace mirox::store {

using core::outcome_of;
using core::Reason;

// What an authenticated request needs.
enum class Need : std::uint8_t {
    nothing,
    scope,
    invalid,  // the request is malformed: a 400
};

enum class Counting : std::uint8_t {
    full,     // draws on the limit and is recorded
    dry_run,  // judged like `full`, but changes and records nothing
    none,     // counted already: ignores the limit and records nothing
};

struct Check {
    core::Address client;  // family none: unknown
    Need need;
    Counting counting;
    std::string_view texts[shmem::kTexts] = {};  // as the use has them; kScope is what Need::scope needs
};

enum class Credential : std::uint8_t { none, token, session };

// The result of a check. Until end_check() the row is pinned, and the views point into it.
struct Checked {
    Reason reason;
    Credential credential;  // the kind of secret; none until its row is found
    bool in_force;          // the secret is in force: the fields below may be shown
    bool open;
    bool limited;      // `quota` and `decision` are set
    bool own_limited;  // `own_quota` and `own_decision` are set too: the token has a limit of its own
    std::int64_t token_id, session_id, account_id;
    std::int32_t generation;
    TimestampTz at;                  // the time of the check; 0: there was no row
    std::int32_t rate_limit, burst;  // -1: the configured default
    core::Quota own;                 // a token's own limit; -1: none
    TimestampTz expires_at;
    core::Quota quota;  // in force
    core::Decision decision;
    core::Quota own_quota;
    core::Decision own_decision;
    const Group* group;  // a token's
    Datum user_id;       // text
    Datum permissions;   // mirox.scopes: the owner's, for a token intersected with its own
    core::Digest digest;
    RowScan scan;
};

// Which kinds of secret a function accepts. It treats the other kind as malformed and does not look it up.
enum class Accept : std::uint8_t { token, session, both };

// Checks a secret, whatever its form. `client` is compared with a token's allowed networks.
void begin_secret(std::string_view secret, Accept accept, const core::Address& client, Checked& out);
// Checks a token by the digest of its secret.
void begin_digest(const core::Digest& digest, const core::Address& client, Checked& out);
// Refuses without a look-up.
void begin_refused(Reason reason, Checked& out);

void conclude(Checked& checked, const Check& check);
void end_check(Checked& checked);

// The limit that a client is told of, once the request is concluded.
inline bool own_limit_binds(const Checked& checked) {
    return checked.own_limited && core::own_limit_binds(checked.decision, checked.own_decision);
}
// The fields of the response; only with `limited`.
core::RateLimitAnswer rate_limit_answer(const Checked& checked);

// The permissions in force, as a mirox.scopes Datum: the intersection of the owner's, the group's and the token's own.
Datum effective_permissions(const Checked& checked);

}  // namespace mirox::store

// The check of a secret, in three steps that every check shares: begin_*() finds the newest committed row by its digest and
// judges what is a 401; conclude() draws on the owner's rate limit (429), then asks for the scope (403), and records the
// outcome; end_check() lets go. Never an ERROR for what a client sent.
//
//     Checked checked;
//     begin_secret(text, Holders::both, client, checked);   // or begin_digest()
//     conclude(checked, check);                             // once
//     … the answer …
//     end_check(checked);
//
// Locks: AccessShareLock on the table and its index. Reads with a fresh snapshot, so that a revocation committed before the
// check started is seen whatever the transaction's isolation level; judges expiry by the clock.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/client_address.hpp"
#include "core/crypto.hpp"
#include "core/rate_limit.hpp"
#include "core/reason.hpp"
#include "core/scopes.hpp"
#include "store/groups.hpp"
#include "store/rows.hpp"

namespace mirox::store {

using core::outcome_of;
using core::Reason;

// What a request needs, once it is known who sends it.
enum class Need : std::uint8_t {
    nothing,
    scope,
    invalid,  // it names nothing that could be asked for: a 400
};

enum class Counting : std::uint8_t {
    full,  // draws on the limit and is recorded
    look,  // judged as if it drew, leaving no trace
    none,  // counted already: the limit has no say, nothing is recorded
};

struct Check {
    core::Address client;    // family none: not known
    std::string_view agent;  // empty: not known
    std::string_view scope;  // of Need::scope
    Need need;
    Counting counting;
};

enum class Holder : std::uint8_t { none, token, session };

// What a check found. Until end_check() the row is pinned, and the views point into it.
struct Checked {
    Reason reason;
    Holder holder;       // whose secret it is, once a row was found
    bool authenticated;  // in force: the fields below may be shown
    bool open;
    bool limited;  // `limit` and `decision` say how the limit stood
    std::int64_t token_id, session_id, account_id;
    std::int32_t generation;
    TimestampTz at;                  // when it was judged; 0: there was nothing to judge
    std::int32_t rate_limit, burst;  // -1: the configured default
    TimestampTz expires_at;
    std::int32_t limit;  // what was drawn on, a minute
    core::Decision decision;
    const Group* group;  // of a token
    Datum user_id;       // text
    Datum permissions;   // mirox.scopes: a token's owner's and own, a session's owner's
    core::Digest digest;
    RowScan scan;
};

// Which secrets a caller takes. What is of the other kind is malformed to it, and is not looked up.
enum class Holders : std::uint8_t { token, session, both };

// Judges a secret, whatever its form; `client` matters where a token is limited to addresses.
void begin_secret(std::string_view secret, Holders holders, const core::Address& client, Checked& out);
// Judges a token by the digest of its secret.
void begin_digest(const core::Digest& digest, const core::Address& client, Checked& out);
// There is nothing to look up.
void begin_refused(Reason reason, Checked& out);

void conclude(Checked& checked, const Check& check);
void end_check(Checked& checked);

// What the holder may reach now, as a mirox.scopes Datum: owner's, group's and token's own.
Datum effective_permissions(const Checked& checked);

}  // namespace mirox::store

// The check of a secret: one look-up of the newest committed row by its digest, then the rules. Never an ERROR for what a
// client sent.
//
// Locks: AccessShareLock on the table and its index. Reads with a fresh snapshot, so that a revocation committed before the
// check started is seen whatever the transaction's isolation level; judges expiry by the clock.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/client_address.hpp"
#include "core/crypto.hpp"
#include "core/scopes.hpp"
#include "store/groups.hpp"
#include "store/rows.hpp"

namespace mirox::store {

enum class Reason : std::uint8_t {
    ok,
    malformed,
    unknown,
    revoked,
    rotated,
    expired,
    locked,
    ip_not_allowed,
    insufficient_scope,
    rate_limited,
};
inline constexpr int kReasons = 10;

// The one table of outcomes: what the gateway is told, and the HTTP status that the client gets.
struct Outcome {
    const char* reason;
    int status;
};
const Outcome& outcome_of(Reason reason);

struct Check {
    core::Address client;      // family none: not known
    std::string_view scope;    // what the request needs
    bool has_scope;
};

// What a check found. Until end_check() the row is pinned, and the views point into it.
struct Checked {
    Reason reason;
    bool authenticated;  // a token in force: the columns below may be shown
    RowScan scan;
    bool open;
    SecretFixed fixed;
    const Group* group;
    Datum user_id;      // text
    Datum permissions;  // mirox.scopes: owner's and token's own
};

// Judges the secret with this digest. end_check() must follow.
void begin_check(const core::Digest& digest, const Check& check, Checked& out);
void end_check(Checked& checked);

// Owner's, group's and token's own: what the token may reach now, as a mirox.scopes Datum.
Datum effective_permissions(const Checked& checked);

}  // namespace mirox::store

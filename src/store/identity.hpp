// The transaction's identity: the token or session that it acts for. It is held in backend memory, which no SQL can change, from
// authentication until the end of the transaction or of the savepoint that set it.
//
// Takes no locks and reads no table. Parallel workers do not have it, so functions that read it are PARALLEL RESTRICTED.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/client_address.hpp"
#include "core/scopes.hpp"
#include "store/check.hpp"

namespace mirox::store {

// It may do what both sets cover. They are kept apart because their intersection can have more scopes than one set may hold.
struct Identity {
    std::int64_t account_id;
    std::int64_t token_id;       // 0: it acts for a session
    std::int64_t session_id;     // 0: it acts for a token
    Datum user_id;               // text
    core::ScopeSet permissions;  // the owner's, for a token intersected with its own
    core::ScopeSet group;        // the group's
    bool any_group;              // no group, or one that contains `*`: it restricts nothing
    std::int32_t generation;     // the token's
    core::Address client;        // where the request came from, if known
    std::string_view agent;
};

// Null if there is none.
const Identity* current_identity();

// Raises 25001 if the transaction has an identity.
void require_no_identity();

// Makes an authenticated check the transaction's identity. Raises 25001 if the transaction has one, or had another one.
void set_identity(const Checked& checked, const Check& check);

bool allows(const Identity& identity, std::string_view scope);

// The resources on which the identity may do the action, as a mirox.scopes Datum. It can have more scopes than an input may have.
Datum granted(const Identity& identity, std::string_view action);

// Called once from _PG_init.
void watch_identity();

}  // namespace mirox::store

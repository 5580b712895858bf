// The transaction's identity: whose token or session it acts for. Held in backend memory, where no SQL reaches it, from
// authentication until the end of the transaction or of the savepoint that set it.
//
// Takes no locks; reads no table. Never in a parallel worker: what reads it is PARALLEL RESTRICTED.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/client_address.hpp"
#include "core/scopes.hpp"
#include "store/check.hpp"

namespace mirox::store {

// What it may is what both sets cover: kept apart, since that may be more scopes than a set may hold.
struct Identity {
    std::int64_t account_id;
    std::int64_t token_id;       // 0: a session's
    std::int64_t session_id;     // 0: a token's
    Datum user_id;               // text
    core::ScopeSet permissions;  // the owner's, and the token's own
    core::ScopeSet group;        // the group's
    bool any_group;              // no group, or one that holds `*`: it takes nothing away
    std::int32_t generation;     // of the token
    core::Address client;        // who sent the request, as far as it was told
    std::string_view agent;
};

// Null when there is none.
const Identity* current_identity();

// 25001 when the transaction has an identity.
void require_no_identity();

// Makes the holder of an authenticated check the transaction's identity. 25001 when it has one, or had another's.
void become(const Checked& checked, const Check& check);

bool allows(const Identity& identity, std::string_view scope);

// The resources on which it has the action, as a mirox.scopes Datum. All of them: it may be more than an input may hold.
Datum granted(const Identity& identity, std::string_view action);

// Called once from _PG_init.
void watch_identity();

}  // namespace mirox::store

// The platform's own tables: what protect_table and bind_accounts look at before they change them, and these acts themselves. They
// run as the caller, who must own the table, and enter an Actor for the audit row alone.
//
// Locks: lock_family() takes AccessExclusiveLock on the table and all below it, as ALTER TABLE takes; once the caller is known
// to own it.
#pragma once

#include "pg/prelude.hpp"

extern "C" {
#include "nodes/pg_list.h"
}

namespace mirox::store {

struct PlatformTable {
    Oid oid;
    Oid owner;
    const char* name;       // for messages
    const char* full_name;  // for SQL
    char kind;
    bool security, force;  // row security
    bool partition;
};

// 42P01 when there is none.
PlatformTable describe(Oid oid);

// 42501 unless the caller owns it: an administrator of tokens is no administrator of other people's tables.
void require_ownership(const PlatformTable& table);

// Refuses system catalogs, our own tables and temporary ones.
void require_platforms_own(const PlatformTable& table);

// Locks the table and all below it, itself first, and calls `check` for each: before the lock, and again under it, since what was
// learned before may be past.
List* lock_family(Oid oid, void (*check)(const PlatformTable& table));

struct Column {
    const char* name;  // quoted
    Oid type;          // a domain's base
    Oid collation;
};

// 42703 when there is none; refuses types that ids cannot be compared with, and nondeterministic collations.
Column require_column(const PlatformTable& table, const char* name);

// ---- acts --------------------------------------------------------------------------------------------------------------

struct ProtectRequest {
    Oid table;
    std::string_view resource;
    const char* owner_column;  // null: none
    const char* resource_column;
    bool force;
};
// Row security by scope, with one policy a command.
void protect_table(const ProtectRequest& request);
// False when it was not protected.
bool unprotect_table(Oid table);

// The triggers by which accounts follow the rows of a users table (bound.hpp).
void bind_accounts(Oid users, const char* id_column);

}  // namespace mirox::store

// The platform's own tables: the acts protect_table, unprotect_table and bind_accounts, and what they check. They run as the
// caller, who must own the table. As the extension's owner (store::enter) they only write the audit row, and bind_accounts also
// grants EXECUTE on the trigger function.
//
// Locks: lock_family() takes AccessExclusiveLock on the table and its descendants, as ALTER TABLE does, after it has checked that
// the caller owns it.
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

// Raises 42P01 if there is no such table.
PlatformTable describe(Oid oid);

// Raises 42501 unless the caller owns the table: the level admin gives no rights on other people's tables.
void require_ownership(const PlatformTable& table);

// Refuses system catalogs, the extension's tables and temporary tables.
void require_platforms_own(const PlatformTable& table);

// Locks the table, then its descendants. Calls `check` for each before the lock, and again under it, because the table may have
// changed in between.
List* lock_family(Oid oid, void (*check)(const PlatformTable& table));

struct Column {
    const char* name;  // quoted
    Oid type;          // for a domain its base type
    Oid collation;
};

// Raises 42703 if there is no such column. Refuses types that cannot hold ids, and nondeterministic collations.
Column require_column(const PlatformTable& table, const char* name, const char* argument);

// ---- acts --------------------------------------------------------------------------------------------------------------

struct ProtectRequest {
    Oid table;
    std::string_view resource;
    const char* owner_column;  // null: none
    const char* resource_column;
    bool force;
};
// Enables row security by scope, with one policy for each command.
void protect_table(const ProtectRequest& request);
// False if the table was not protected.
bool unprotect_table(Oid table);

// Creates the triggers that keep accounts in step with the rows of a users table (bound.hpp).
void bind_accounts(Oid users, const char* id_column);

}  // namespace mirox::store

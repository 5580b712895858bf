// The platform's own tables, as protect_table and bind_accounts look at them before they change them.
//
// Locks: lock_family() takes AccessExclusiveLock on the table and all below it, as ALTER TABLE takes; once the caller is known
// to own it.
#pragma once

#include "pg/prelude.hpp"

extern "C" {
#include "nodes/pg_list.h"
}

namespace mirox::api {

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

}  // namespace mirox::api

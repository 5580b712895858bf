// The members of the extension, by pg_depend: what ALTER EXTENSION and DROP EXTENSION take for ours.
//
// Locks: AccessShareLock on pg_depend.
#pragma once

#include "pg/prelude.hpp"

namespace mirox::pg {

// A system catalog whose rows have an owner and an access list.
struct OwnedCatalog {
    Oid catalog;
    int cache;       // the SysCacheIdentifier, by OID
    int owner, acl;  // numbers of its columns
};

struct Member {
    const OwnedCatalog* catalog;
    Oid object;
    bool fresh;  // a member only since this transaction
};

// Calls each(state, member) for the schemas, tables, sequences, views, functions and types of the extension.
void for_each_member(Oid extension, void (*each)(void* state, const Member& member), void* state);

// As ALTER, GRANT and REVOKE … ON name it: `TABLE mirox.token_report`; palloc'd.
const char* name_of_member(const Member& member);

// The member's owner and, in `acl`, its access list (null: none); InvalidOid when it is gone.
Oid owner_of_member(const Member& member, struct varlena** acl);

// ERROR 55000 unless every member belongs to the extension's owner, and nobody else may create anything in its schemas. Our SQL
// runs as that owner, and whoever owns a table, view or function that it names, or can put a look-alike beside it, could have
// his own code run so. Remembered until one of them changes.
void require_own_members();

// Called once from _PG_init.
void watch_members();

}  // namespace mirox::pg

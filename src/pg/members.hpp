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
    const char* kind;
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

// ERROR 55000 unless our schemas, and the tables, views, sequences, functions and types in them, belong to the extension's owner or
// a superuser, and nobody else may create anything there. Our SQL runs as that owner and names what stands in these schemas:
// whoever owns it, or can put a look-alike beside it, could have his own code run so. All that stands there is looked at, not
// the members alone, since one that was taken out of the extension is still what our SQL names. Remembered until one of them
// changes.
void require_own_members();

// Before a GRANT or REVOKE of ours: two at once on one object end in the server's XX000. Until the transaction's end.
// ShareUpdateExclusiveLock on the extension.
void lock_grants();

// Called once from _PG_init.
void watch_members();

}  // namespace mirox::pg

// The members of the extension by pg_depend, which ALTER EXTENSION and DROP EXTENSION go by.
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
    bool fresh;  // became a member in this transaction
};

// Whether the table is a member, or a partition of a member that has the member's owner. Partitions of recorded use are no members,
// since pg_dump would leave their rows out.
bool is_own_table(Oid table);

// Calls each(state, member) for the schemas, tables, sequences, views, functions and types of the extension.
void for_each_member(Oid extension, void (*each)(void* state, const Member& member), void* state);

// The name for ALTER, GRANT and REVOKE … ON, such as `TABLE mirox.token_report`; palloc'd.
const char* name_of_member(const Member& member);

// The member's owner and, in `acl`, its access list (null: none); InvalidOid when it is gone.
Oid owner_of_member(const Member& member, struct varlena** acl);

// ERROR 55000 unless the extension's schemas, all tables, views, sequences, functions and types in them, and the partitions of those
// tables wherever they stand, belong to the extension's owner or a superuser, and no other role may create objects there. The extension's SQL runs as its owner and names
// objects of these schemas. A role that owns such an object, or can put an overload beside it, could run its own code as that
// owner. All objects of the schemas are checked, not only members, because the SQL still names an object that was taken out of
// the extension. The result is kept until one of them changes.
void require_own_members();

// Call it before a GRANT or REVOKE: two at once on the same object end in the server's XX000. Takes ShareUpdateExclusiveLock on
// the extension, until the end of the transaction.
void lock_grants();

// Called once from _PG_init.
void watch_members();

}  // namespace mirox::pg

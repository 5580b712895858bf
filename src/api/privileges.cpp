// revoke_default_privileges, with which each of the extension's scripts ends.
//
// Locks: those that REVOKE takes on each object.
#include "pg/catalog.hpp"
#include "pg/entry.hpp"
#include "pg/members.hpp"
#include "pg/query.hpp"

extern "C" {
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "utils/acl.h"
}

using namespace mirox;

namespace {

// An object that became a member before this transaction has privileges that somebody granted on purpose.
void add_revokes(void* state, const pg::Member& member) {
    if (!member.fresh) return;
    struct varlena* acl;
    const Oid owner = pg::owner_of_member(member, &acl);
    const auto* list = reinterpret_cast<const Acl*>(acl);
    for (int i = 0; list != nullptr && i < ACL_NUM(list); i++) {
        const Oid grantee = ACL_DAT(list)[i].ai_grantee;
        if (grantee == owner || grantee == ACL_ID_PUBLIC) continue;
        auto** statements = static_cast<List**>(state);
        *statements = lappend(*statements, psprintf("REVOKE ALL ON %s FROM %s CASCADE", pg::name_of_member(member),
                                                    quote_identifier(GetUserNameFromId(grantee, false))));
    }
}

}  // namespace

MIROX_FUNCTION(revoke_default_privileges) {
    List* statements = NIL;
    pg::for_each_member(get_extension_oid(pg::kExtension, false), add_revokes, &statements);
    pg::spi_open();
    ListCell* cell;
    foreach (cell, statements) pg::execute(static_cast<const char*>(lfirst(cell)));
    pg::spi_close();
    pg::announce_script();
    PG_RETURN_VOID();
}

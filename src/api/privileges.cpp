// What the extension's scripts alone do: revoke_default_privileges, with which they end, and what only they may write.
//
// Locks: what REVOKE takes on each object.
#include "pg/entry.hpp"
#include "pg/members.hpp"
#include "pg/query.hpp"

extern "C" {
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "utils/acl.h"
#include "utils/rel.h"
}

using namespace mirox;

namespace {

// What became a member before this transaction has rights that somebody gave knowingly.
void add_revokes(void* state, const pg::Member& member) {
    if (!member.fresh) return;
    struct varlena* acl;
    const Oid owner = pg::owner_of_member(member, &acl);
    const auto* list = reinterpret_cast<const Acl*>(acl);
    for (int i = 0; list != nullptr && i < ACL_NUM(list); i++) {
        const Oid grantee = ACL_DAT(list)[i].ai_grantee;
        if (grantee == owner || grantee == ACL_ID_PUBLIC) continue;
        auto** statements = static_cast<List**>(state);
        *statements =
            lappend(*statements, psprintf("REVOKE ALL ON %s FROM %s CASCADE", pg::name_of_member(member),
                                          quote_identifier(GetUserNameFromId(grantee, false))));
    }
}

}  // namespace

MIROX_FUNCTION(revoke_default_privileges) {
    List* statements = NIL;
    pg::for_each_member(get_extension_oid("mirox_tokens", false), add_revokes, &statements);
    pg::spi_open();
    ListCell* cell;
    foreach (cell, statements)
        if (SPI_execute(static_cast<const char*>(lfirst(cell)), false, 0) != SPI_OK_UTILITY)
            MIROX_DEFECT("could not revoke default privileges");
    pg::spi_close();
    PG_RETURN_VOID();
}

MIROX_FUNCTION(script_only) {
    if (!CALLED_AS_TRIGGER(fcinfo))
        MIROX_RAISE(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, errmsg("not called as a trigger"),
                    errhint("It is internal to mirox_tokens."));
    const auto* data = reinterpret_cast<TriggerData*>(fcinfo->context);
    const Oid extension = getExtensionOfObject(RelationRelationId, RelationGetRelid(data->tg_relation));
    if (!creating_extension || !OidIsValid(extension) || CurrentExtensionObject != extension)
        MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE,
                    errmsg("%s is filled by the scripts of mirox_tokens alone",
                           RelationGetRelationName(data->tg_relation)),
                    errdetail("What stands there is done with the rights of the extension's owner."),
                    errhint("Give a role rights with mirox.grant_access, or by GRANT."));
    return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple);
}

// Grants and revokes the privileges of the levels in mirox_internal.access_rule (see manage.hpp).
//
// Locks: that of pg::lock_grants.
#include "store/manage.hpp"

#include "pg/catalog.hpp"
#include "pg/members.hpp"
#include "pg/values.hpp"
#include "store/access.sql.hpp"
#include "store/audit.hpp"

extern "C" {
#include "utils/acl.h"
}

namespace mirox::store {

void change_access(const char* role, std::string_view level, bool grant) {
    pg::Args args, which;
    which.text(level);
    pg::run(select_levels, which);
    if (!DatumGetBool(pg::result_value(0, 1)))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::level_unknown, "level"),
                    errmsg("no such level of access"), errdetail_internal("{%s}", TextDatumGetCString(pg::result_value(0, 2))),
                    errhint("Use one of these."));
    // Level backup reads every digest, so an administrator of tokens can neither give nor take it.
    if (level == "backup" && !has_privs_of_role(current_actor()->role.caller, pg::catalog().owner))
        MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::level_reserved, "level"),
                    errmsg("permission denied to %s level backup", grant ? "grant" : "revoke"),
                    errdetail("The level reads every table of the extension, digests of secrets too."),
                    errhint("Have a superuser or the extension's owner do it."));
    pg::lock_grants();
    args.text(level).add_or_null(grant ? 0 : ObjectIdGetDatum(get_role_oid(role, false)), !grant);
    pg::run(select_objects, args);
    constexpr const char* kRights[] = {"EXECUTE ON FUNCTION", "SELECT ON TABLE", "USAGE ON SCHEMA"};
    const char* lists[std::size(kRights)];
    for (std::size_t i = 0; i < std::size(kRights); i++) {
        bool is_null;
        const Datum list = pg::result(0, static_cast<int>(i) + 1, &is_null);
        lists[i] = is_null ? nullptr : TextDatumGetCString(list);
    }
    for (std::size_t i = 0; i < std::size(kRights); i++) {
        if (lists[i] == nullptr) continue;
        const char* statement = psprintf("%s %s %s %s %s", grant ? "GRANT" : "REVOKE", kRights[i], lists[i],
                                         grant ? "TO" : "FROM", quote_identifier(role));
        pg::execute(statement);
    }
    Detail detail;
    detail.add_text("role", role);
    detail.add_text("level", level);
    audit(grant ? "access_granted" : "access_revoked", {}, detail);
}

void list_access(FunctionCallInfo fcinfo) {
    pg::Args none;
    pg::run(select_access, none);
    pg::return_rows(fcinfo);
}

}  // namespace mirox::store

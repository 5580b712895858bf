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
    pg::lock_grants();
    args.text(level)
        .add(ObjectIdGetDatum(pg::catalog().extension))
        .add_or_null(grant ? 0 : ObjectIdGetDatum(get_role_oid(role, false)), !grant);
    pg::run(select_objects, args);
    const char* lists[2];
    for (int i = 0; i < 2; i++) {
        bool is_null;
        const Datum list = pg::result(0, i + 1, &is_null);
        lists[i] = is_null ? nullptr : TextDatumGetCString(list);
    }
    constexpr const char* kRights[2] = {"EXECUTE ON FUNCTION", "SELECT ON TABLE"};
    for (int i = 0; i < 2; i++) {
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

}  // namespace mirox::store

// grant_access and revoke_access: which role may use what, by the levels of mirox_internal.access_rule.
//
// Locks: that of pg::lock_grants.
#include "pg/catalog.hpp"
#include "pg/entry.hpp"
#include "pg/members.hpp"
#include "pg/query.hpp"
#include "pg/values.hpp"
#include "store/acts.hpp"
#include "store/audit.hpp"

extern "C" {
#include "utils/acl.h"
}

using namespace mirox;
using pg::Type;

namespace {

constexpr const char* kLevels[] = {"login", "application", "gateway", "reporting", "admin"};

// The rules' texts only say what to look for. What is granted are members of the extension ($2), by names that the server makes of
// their OIDs: a text that somebody else could have written there is never SQL.
#define OURS(CATALOG, OBJECT)                                                                      \
    "JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog." CATALOG         \
    "'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) " OBJECT                            \
    " AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass AND " \
    "d.refobjid "                                                                                  \
    "OPERATOR(pg_catalog.=) $2 AND d.deptype OPERATOR(pg_catalog.=) 'e'"
#define RULES \
    "rule AS (SELECT r.level, r.kind, p.oid::pg_catalog.regprocedure::pg_catalog.text AS object, p.proacl " \
    "AS acl "   \
    "FROM mirox_internal.access_rule r JOIN pg_catalog.pg_proc p "                                                   \
    "ON p.oid OPERATOR(pg_catalog.=) pg_catalog.to_regprocedure(r.object) " OURS("pg_proc", "p.oid")                 \
    " WHERE r.kind OPERATOR(pg_catalog.=) 'function' UNION ALL "                                                     \
    "SELECT r.level, r.kind, c.oid::pg_catalog.regclass::pg_catalog.text, c.relacl "                                 \
    "FROM mirox_internal.access_rule r JOIN pg_catalog.pg_class c "                                                  \
    "ON c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(r.object) " OURS("pg_class", "c.oid")                    \
    " WHERE r.kind OPERATOR(pg_catalog.=) 'relation') "
#define LISTS                                                                                               \
    "SELECT pg_catalog.string_agg(object, ', ' ORDER BY object) FILTER (WHERE kind OPERATOR(pg_catalog.=) " \
    "'function'), pg_catalog.string_agg(object, ', ' ORDER BY object) FILTER (WHERE kind "                  \
    "OPERATOR(pg_catalog.=) "                                                                               \
    "'relation') "

pg::Query select_granted = {"WITH " RULES LISTS
                            "FROM (SELECT DISTINCT object, kind FROM rule "
                            "WHERE level OPERATOR(pg_catalog.=) $1 OR $1 OPERATOR(pg_catalog.=) 'admin') r",
                            {Type::text, Type::oid}};

// What the level names and no other level that the role holds in full. Rights that come by membership in another role are
// that role's own, so access lists are read, not has_*_privilege().
pg::Query select_revoked = {
    "WITH " RULES
    ", held AS (SELECT r.object, r.kind, r.level, EXISTS (SELECT FROM pg_catalog.aclexplode(r.acl) a "
    "WHERE a.grantee OPERATOR(pg_catalog.=) $3) AS granted FROM rule r), "
    "kept AS (SELECT level FROM held WHERE level OPERATOR(pg_catalog.<>) $1 AND level "
    "OPERATOR(pg_catalog.<>) 'admin' "
    "GROUP BY level HAVING pg_catalog.bool_and(granted)) " LISTS
    "FROM (SELECT DISTINCT object, kind FROM held WHERE level OPERATOR(pg_catalog.=) $1 "
    "OR $1 OPERATOR(pg_catalog.=) 'admin') r WHERE $1 OPERATOR(pg_catalog.=) 'admin' OR NOT EXISTS (SELECT "
    "FROM held h "
    "JOIN kept k ON k.level OPERATOR(pg_catalog.=) h.level WHERE h.object OPERATOR(pg_catalog.=) r.object)",
    {Type::text, Type::oid, Type::oid}};
#undef OURS
#undef RULES
#undef LISTS

Datum change_access(FunctionCallInfo fcinfo, bool grant) {
    if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("role and level must not be NULL"),
                    errhint("Name a role and one of: login, application, gateway, reporting, admin."));
    const Oid role = PG_GETARG_OID(0);
    const std::string_view level = pg::text_view(PG_GETARG_DATUM(1));
    bool known = false;
    for (const char* name : kLevels) known = known || level == name;
    if (!known)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("no such level of access"),
                    errdetail("There are: login, application, gateway, reporting, admin."),
                    errhint("Choose one of these."));
    const char* role_name = GetUserNameFromId(role, true);
    if (role_name == nullptr)
        MIROX_RAISE(ERRCODE_UNDEFINED_OBJECT, errmsg("no such role"), errhint("Create the role first."));
    store::Actor actor;
    store::enter(actor);
    pg::lock_grants();
    pg::Args args;
    args.text(level).add(ObjectIdGetDatum(pg::catalog().extension));
    if (!grant) args.add(ObjectIdGetDatum(role));
    pg::run(grant ? select_granted : select_revoked, args);
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
                                         grant ? "TO" : "FROM", quote_identifier(role_name));
        if (SPI_execute(statement, false, 0) != SPI_OK_UTILITY) MIROX_DEFECT("could not change access");
    }
    store::Detail detail;
    detail.add_text("role", role_name);
    detail.add_text("level", level);
    store::audit(grant ? "access_granted" : "access_revoked", {}, detail);
    store::leave(actor);
    PG_RETURN_VOID();
}

}  // namespace

MIROX_ACT(grant_access) {
    return change_access(fcinfo, true);
}
MIROX_ACT(revoke_access) {
    return change_access(fcinfo, false);
}

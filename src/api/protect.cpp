// SQL-callable functions on the platform's tables (the work is in store/platform_table.hpp), and the functions that the policies
// of protect_table call for each row.
#include "store/platform_table.hpp"

#include "core/row_scope.hpp"
#include "pg/values.hpp"
#include "store/acts.hpp"

using namespace mirox;

namespace {

std::string_view required_resource(FunctionCallInfo fcinfo) {
    const pg::OptionalText resource = pg::text_arg(fcinfo, 1);
    core::Scope scope;
    const core::ScopeStatus status = resource.given ? core::parse_scope(resource.text, scope) : core::ScopeStatus::empty;
    if (status != core::ScopeStatus::ok || !scope.action.empty() || scope.resource == "*")
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::scope_invalid, "resource"), errmsg("invalid resource"),
                    status == core::ScopeStatus::ok ? errdetail("A resource has no action and is not *.")
                                                    : errdetail("%s", pg::scope_status_text(status)),
                    errhint("Name the resource that scopes stand for, such as parks in parks:read."));
    return resource.text;
}

const char* optional_name(FunctionCallInfo fcinfo, int n) {
    return PG_ARGISNULL(n) ? nullptr : NameStr(*PG_GETARG_NAME(n));
}

Oid required_table(FunctionCallInfo fcinfo) {
    if (PG_ARGISNULL(0))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::argument_missing, "tbl"), errmsg("tbl must not be NULL"));
    return PG_GETARG_OID(0);
}

}  // namespace

MIROX_ACT(protect_table) {
    store::protect_table({required_table(fcinfo), required_resource(fcinfo), optional_name(fcinfo, 2), optional_name(fcinfo, 3),
                          PG_ARGISNULL(4) || PG_GETARG_BOOL(4)});
    PG_RETURN_VOID();
}

MIROX_ACT(unprotect_table) {
    PG_RETURN_BOOL(store::unprotect_table(required_table(fcinfo)));
}

MIROX_ACT(bind_accounts) {
    if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
        MIROX_RAISE(
            ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::argument_missing, PG_ARGISNULL(0) ? "users" : "id_column"),
            errmsg("users and id_column must not be NULL"), errhint("Name the platform's users table and its id column."));
    store::bind_accounts(PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1)));
    PG_RETURN_VOID();
}

// ---- functions that policies call for each row ---------------------------------------------------------------------------

MIROX_FUNCTION(scopes_below) {
    const core::ScopeSet set = pg::scope_set(PG_GETARG_DATUM(0));
    const std::string_view resource = pg::text_view(PG_GETARG_DATUM(1));
    core::Scope parsed;
    if (core::parse_scope(resource, parsed) != core::ScopeStatus::ok || !parsed.action.empty()) return pg::scopes_datum({});
    const std::size_t room = Max(set.count(), std::size_t{1});
    auto* scopes = static_cast<core::Scope*>(palloc(sizeof(core::Scope) * room));
    return pg::scopes_datum({scopes, core::grants_below(set, resource, {scopes, room})});
}

// Not strict: `*` reaches a row whose value is NULL.
MIROX_FUNCTION(scopes_reach_row) {
    if (PG_ARGISNULL(0)) PG_RETURN_BOOL(false);
    const core::ScopeSet below = pg::scope_set(PG_GETARG_DATUM(0));
    if (PG_ARGISNULL(1)) PG_RETURN_BOOL(below.covers_everything());
    PG_RETURN_BOOL(core::reaches_row(below, pg::text_view(PG_GETARG_DATUM(1))));
}

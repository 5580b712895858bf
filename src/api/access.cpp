// SQL-callable functions that grant and revoke access levels. The work is in store/manage.hpp.
#include "pg/values.hpp"
#include "store/acts.hpp"
#include "store/manage.hpp"

extern "C" {
#include "funcapi.h"
}

using namespace mirox;

namespace {

Datum change_access(FunctionCallInfo fcinfo, bool grant) {
    if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::argument_missing, PG_ARGISNULL(0) ? "role" : "level"),
                    errmsg("role and level must not be NULL"));
    const char* role = GetUserNameFromId(PG_GETARG_OID(0), true);
    if (role == nullptr)
        MIROX_RAISE(ERRCODE_UNDEFINED_OBJECT, errword(ErrorWord::role_unknown, "role"), errmsg("no such role"),
                    errhint("Create the role first."));
    store::as_act([&](store::Actor&) { store::change_access(role, pg::text_view(PG_GETARG_DATUM(1)), grant); });
    PG_RETURN_VOID();
}

}  // namespace

MIROX_ACT(grant_access) {
    return change_access(fcinfo, true);
}
MIROX_ACT(revoke_access) {
    return change_access(fcinfo, false);
}

// Behind the view access.
MIROX_FUNCTION(access_now) {
    InitMaterializedSRF(fcinfo, 0);
    store::as_act([&](store::Actor&) { store::list_access(fcinfo); });
    return (Datum)0;
}

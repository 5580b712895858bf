// SQL-callable functions on permission groups. The work is in store/groups.hpp.
#include "store/groups.hpp"

#include "store/actor.hpp"
#include "store/acts.hpp"
#include "store/group_policy.hpp"

using namespace mirox;
using store::Actor;

MIROX_ACT(put_group) {
    if (PG_ARGISNULL(1))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::argument_missing, "permissions"),
                    errmsg("permissions must not be NULL"),
                    errhint("Give the scopes that the group allows; an empty array for none."));
    const Datum permissions = pg::scopes_from_text_array(PG_GETARG_DATUM(1), "permissions");
    store::as_act([&](Actor&) { store::put_group(pg::text_arg(fcinfo, 0).text, permissions, pg::text_arg(fcinfo, 2)); });
    PG_RETURN_VOID();
}

MIROX_ACT(drop_group) {
    return BoolGetDatum(store::as_act([&](Actor&) { return store::drop_group(pg::text_arg(fcinfo, 0).text); }));
}

MIROX_ACT(set_group_policy) {
    const auto interval = [&](int n) -> const Interval* { return PG_ARGISNULL(n) ? nullptr : PG_GETARG_INTERVAL_P(n); };
    const store::GroupPolicy policy = {pg::text_arg(fcinfo, 0).text, interval(1), interval(2), pg::text_arg(fcinfo, 3)};
    store::as_act([&](Actor&) { store::set_group_policy(policy); });
    PG_RETURN_VOID();
}

// SQL-callable functions on permission groups. The rules stand in the table's trigger (store/triggers.cpp), which holds
// against direct DML too.
//
// Locks: an object lock on the group's name, so that two changes of one wait for each other instead of meeting in the unique
// index. No token's row is touched or locked.
#include "core/scopes.hpp"
#include "pg/catalog.hpp"
#include "pg/entry.hpp"
#include "pg/query.hpp"
#include "pg/values.hpp"
#include "store/actor.hpp"
#include "store/acts.hpp"

extern "C" {
#include "common/hashfn.h"
#include "storage/lmgr.h"
}

namespace mirox::api {

using pg::Type;
using store::Actor;

namespace {

pg::Query select_group = {
    "SELECT permissions OPERATOR(mirox.<>) $2 OR ($3 IS NOT NULL AND description OPERATOR(pg_catalog.<>) $3) "
    "FROM mirox_internal.permission_group WHERE name OPERATOR(pg_catalog.=) $1",
    {Type::text, Type::scopes, Type::text}};
pg::Query insert_group = {
    "INSERT INTO mirox_internal.permission_group (name, permissions, description) VALUES ($1, $2, "
    "COALESCE($3, ''))",
    {Type::text, Type::scopes, Type::text}};
pg::Query update_group = {
    "UPDATE mirox_internal.permission_group SET permissions = $2, description = COALESCE($3, description) "
    "WHERE name OPERATOR(pg_catalog.=) $1",
    {Type::text, Type::scopes, Type::text}};
pg::Query delete_group = {"DELETE FROM mirox_internal.permission_group WHERE name OPERATOR(pg_catalog.=) $1",
                          {Type::text}};

std::string_view group_arg(FunctionCallInfo fcinfo) {
    const std::string_view name = pg::text_arg(fcinfo, 0).text;
    // One segment of a scope that begins with a letter (the table's CHECK says the same).
    if (!core::is_segment(name) || name.front() < 'a' || name.front() > 'z')
        MIROX_RAISE(
            ERRCODE_INVALID_PARAMETER_VALUE, errmsg("invalid name of a permission group"),
            errdetail("A name has 1 to 63 characters of a-z, 0-9, '_' and '-' and begins with a letter."),
            errhint("Give a name such as read_only."));
    return name;
}

// Held until the transaction's end.
void lock_name(std::string_view name) {
    LockDatabaseObject(
        pg::catalog().permission_group,
        hash_bytes(reinterpret_cast<const unsigned char*>(name.data()), static_cast<int>(name.size())), 0,
        ExclusiveLock);
}

}  // namespace

MIROX_ACT(put_group) {
    const std::string_view name = group_arg(fcinfo);
    if (PG_ARGISNULL(1))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("permissions must not be NULL"),
                    errhint("Give the scopes that the group allows; an empty array for none."));
    const Datum permissions = pg::scopes_from_text_array(PG_GETARG_DATUM(1));
    const pg::OptionalText description = pg::text_arg(fcinfo, 2);
    Actor actor;
    store::enter(actor);
    lock_name(name);
    pg::Args args;
    args.text(name).add(permissions).text_or_null(description.text, description.given);
    if (pg::run(select_group, args) == 0)
        pg::run(insert_group, args);
    else if (DatumGetBool(pg::result_value(0, 1)))
        pg::run(update_group, args);
    store::leave(actor);
    PG_RETURN_VOID();
}

MIROX_ACT(drop_group) {
    const std::string_view name = group_arg(fcinfo);
    Actor actor;
    store::enter(actor);
    lock_name(name);
    pg::Args args;
    args.text(name);
    const std::uint64_t dropped = pg::run(delete_group, args);
    store::leave(actor);
    return BoolGetDatum(dropped > 0);
}

}  // namespace mirox::api

// SQL-callable functions on accounts and sessions: arguments in, store/manage.hpp, results out.
#include "pg/catalog.hpp"
#include "pg/entry.hpp"
#include "pg/network.hpp"
#include "pg/values.hpp"
#include "store/acts.hpp"
#include "store/audit.hpp"
#include "store/manage.hpp"

extern "C" {
#include "catalog/pg_class.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
}

using namespace mirox;
using store::Actor;

namespace {

// A text argument that must be given.
std::string_view required_text(FunctionCallInfo fcinfo, int n, const char* name) {
    const pg::OptionalText value = pg::text_arg(fcinfo, n);
    if (!value.given)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("%s must not be NULL", name),
                    errhint("Give a value."));
    return value.text;
}

}  // namespace

MIROX_ACT(put_account) {
    store::AccountRequest request = {};
    request.user_id = required_text(fcinfo, 0, "user_id");
    if (PG_ARGISNULL(1))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("permissions must not be NULL"),
                    errhint("Give the owner's scopes; an empty array for none."));
    request.permissions = pg::scopes_from_text_array(PG_GETARG_DATUM(1));
    request.has_rate_limit = !PG_ARGISNULL(2);
    if (request.has_rate_limit) request.rate_limit = PG_GETARG_INT32(2);
    request.has_burst = !PG_ARGISNULL(3);
    if (request.has_burst) request.burst = PG_GETARG_INT32(3);
    Actor actor;
    store::enter(actor);
    store::put_account(actor, request);
    store::leave(actor);
    PG_RETURN_VOID();
}

MIROX_ACT(lock_account) {
    const std::string_view user = required_text(fcinfo, 0, "user_id");
    const pg::OptionalText reason = pg::text_arg(fcinfo, 1);
    Actor actor;
    store::enter(actor);
    const TimestampTz at = store::lock_out(actor, user, reason.text, reason.given);
    store::leave(actor);
    return TimestampTzGetDatum(at);
}

MIROX_ACT(unlock_account) {
    const std::string_view user = required_text(fcinfo, 0, "user_id");
    Actor actor;
    store::enter(actor);
    const bool unlocked = store::let_in(actor, user);
    store::leave(actor);
    return BoolGetDatum(unlocked);
}

MIROX_ACT(delete_account) {
    const std::string_view user = required_text(fcinfo, 0, "user_id");
    Actor actor;
    store::enter(actor);
    const bool deleted = store::delete_account(actor, user);
    store::leave(actor);
    return BoolGetDatum(deleted);
}

// As the caller, who must own the table: an administrator of tokens is no administrator of other people's tables.
MIROX_ACT(bind_accounts) {
    if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("users and id_column must not be NULL"),
                    errhint("Name the platform's users table and its id column."));
    const Oid table = PG_GETARG_OID(0);
    const char* id_column = NameStr(*PG_GETARG_NAME(1));
    const char* name = get_rel_name(table);
    if (name == nullptr)
        MIROX_RAISE(ERRCODE_UNDEFINED_TABLE, errmsg("no such table"),
                    errhint("Name the platform's users table."));
    const char kind = get_rel_relkind(table);
    if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
        MIROX_RAISE(ERRCODE_WRONG_OBJECT_TYPE, errmsg("\"%s\" is not a table", name),
                    errhint("Bind the table that holds the users, not a view of it."));
    if (!pg::owns_relation(table, GetUserId()))
        MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errmsg("must be owner of table %s", name),
                    errhint("Call it as the table's owner, with level admin granted to that role."));
    if (get_attnum(table, id_column) <= 0)
        MIROX_RAISE(ERRCODE_UNDEFINED_COLUMN,
                    errmsg("column \"%s\" of table \"%s\" does not exist", id_column, name),
                    errhint("Name the column whose text form is the accounts' user_id."));
    const char* full_name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)), name);
    const char* column = quote_identifier(id_column);
    const char* argument = quote_literal_cstr(id_column);
    const char* statements[] = {
        psprintf("CREATE OR REPLACE TRIGGER mirox_account_deleted AFTER DELETE ON %s FOR EACH ROW "
                 "EXECUTE FUNCTION mirox.account_bound(%s)",
                 full_name, argument),
        psprintf("CREATE OR REPLACE TRIGGER mirox_account_renamed AFTER UPDATE ON %s FOR EACH ROW "
                 "WHEN (OLD.%s::pg_catalog.text IS DISTINCT FROM NEW.%s::pg_catalog.text) "
                 "EXECUTE FUNCTION mirox.account_bound(%s)",
                 full_name, column, column, argument),
        psprintf(
            "CREATE OR REPLACE TRIGGER mirox_account_no_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT "
            "EXECUTE FUNCTION mirox.account_bound(%s)",
            full_name, argument),
    };
    // As the caller, but with names of our choosing: IS DISTINCT FROM finds its operator by search_path.
    const int guc_level = pg::pin_search_path();
    pg::spi_open();
    for (const char* statement : statements)
        if (SPI_execute(statement, false, 0) < 0) MIROX_DEFECT("could not create a trigger on %s", full_name);
    pg::spi_close();
    AtEOXact_GUC(false, guc_level);

    Actor actor;
    store::enter(actor);
    store::Detail detail;
    detail.add_text("table", full_name);
    detail.add_text("id_column", id_column);
    store::audit("accounts_bound", {}, detail);
    store::leave(actor);
    PG_RETURN_VOID();
}

MIROX_SECRET_ACT(open_session) {
    store::SessionRequest request = {};
    request.user_id = required_text(fcinfo, 0, "user_id");
    if (PG_ARGISNULL(1))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("lifetime must not be NULL"),
                    errhint("Leave the argument out for 12 hours."));
    request.lifetime = PG_GETARG_INTERVAL_P(1);
    const core::Address client = pg::address_arg(fcinfo, 2);
    if (client.family != core::AddressFamily::none) request.client_ip = pg::inet_datum(client);
    const pg::OptionalText agent = pg::text_arg(fcinfo, 3);
    request.user_agent = agent.text;
    request.has_user_agent = agent.given;
    Actor actor;
    store::enter(actor);
    store::NewSecret& secret = store::open_session(actor, request);
    store::leave(actor);
    const Datum shown = pg::secret_text_datum(secret.view());
    store::forget(secret);
    return shown;
}

MIROX_OWN_ACT(close_session) {
    const pg::OptionalText secret = pg::secret_arg(fcinfo, 0);
    if (!secret.given) return BoolGetDatum(false);
    Actor actor;
    store::enter(actor);
    const bool closed = store::close_session(actor, secret.text);
    store::leave(actor);
    return BoolGetDatum(closed);
}

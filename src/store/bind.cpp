// bind_accounts creates the triggers on the platform's users table that keep accounts in step with users (store/bound.hpp).
//
// Locks: those of platform_table.hpp, then that of pg::lock_grants.
#include "store/platform_table.hpp"

#include "pg/members.hpp"
#include "store/audit.hpp"
#include "store/bound.hpp"

extern "C" {
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "utils/guc.h"
}

namespace mirox::store {
namespace {

void require_bindable(const PlatformTable& table) {
    if (table.kind == RELKIND_FOREIGN_TABLE)
        MIROX_RAISE(ERRCODE_WRONG_OBJECT_TYPE, errword(ErrorWord::table_unfit, "users"),
                    errmsg("\"%s\" is a foreign table", table.name),
                    errdetail("Another server's rows come and go without a trigger here."),
                    errhint("Bind a table whose rows are all on this server."));
    if (table.kind != RELKIND_RELATION && table.kind != RELKIND_PARTITIONED_TABLE)
        MIROX_RAISE(ERRCODE_WRONG_OBJECT_TYPE, errword(ErrorWord::table_unfit, "users"),
                    errmsg("\"%s\" is not a table", table.name),
                    errhint("Bind the table that holds the users, not a view of it."));
    require_platforms_own(table);
    require_ownership(table);
}

// The table's own triggers must see every one of its users, and users must not come from another table.
void require_alone(const PlatformTable& table) {
    if (table.partition)
        MIROX_RAISE(ERRCODE_FEATURE_NOT_SUPPORTED, errword(ErrorWord::inheritance_unsupported, "users"),
                    errmsg("table \"%s\" is a partition of another table", table.name),
                    errdetail("A user may move from one partition to another."), errhint("Bind the topmost partitioned table."));
    if (has_superclass(table.oid) || (table.kind == RELKIND_RELATION && find_inheritance_children(table.oid, NoLock) != NIL))
        MIROX_RAISE(ERRCODE_FEATURE_NOT_SUPPORTED, errword(ErrorWord::inheritance_unsupported, "users"),
                    errmsg("table \"%s\" inherits from another table, or another from it", table.name),
                    errdetail("%s", kChildUnseen), errhint("%s", kOneTable));
}

struct Earlier {
    const char* full_name;
    List* statements;
};

void add_drop(void* state, const BoundTrigger& trigger) {
    if (OidIsValid(trigger.parent)) return;  // dropped with its parent
    auto* earlier = static_cast<Earlier*>(state);
    earlier->statements = lappend(earlier->statements,
                                  psprintf("DROP TRIGGER %s ON %s", quote_identifier(NameStr(trigger.name)), earlier->full_name));
}

}  // namespace

void bind_accounts(Oid users, const char* id_column) {
    List* family = lock_family(users, require_bindable);
    const PlatformTable table = describe(users);
    require_alone(table);
    const Column column = require_column(table, id_column, "id_column");

    Actor actor;
    enter(actor);
    // The table's owner creates partitions, which inherit the triggers, and so needs EXECUTE. The grant also names the owners for
    // whose tables the trigger function acts.
    pg::lock_grants();
    pg::execute(psprintf("GRANT EXECUTE ON FUNCTION mirox.account_bound() TO %s",
                         quote_identifier(GetUserNameFromId(table.owner, false))));
    Detail detail;
    detail.add_text("table", table.full_name);
    detail.add_text("id_column", id_column);
    audit("accounts_bound", {}, detail);
    leave(actor);

    Earlier earlier = {};
    ListCell* cell;
    foreach (cell, family) {
        earlier.full_name = describe(lfirst_oid(cell)).full_name;
        for_each_bound_trigger(lfirst_oid(cell), add_drop, &earlier);
    }
    const char* argument = quote_literal_cstr(id_column);
    constexpr const char* kJudged =
        "CREATE CONSTRAINT TRIGGER %s AFTER %s ON %s DEFERRABLE INITIALLY DEFERRED FOR EACH ROW %s "
        "EXECUTE FUNCTION mirox.account_bound(%s)";
    // These run as the caller but with our search_path, by which IS DISTINCT FROM finds its operator.
    const int guc_level = pg::pin_search_path();
    pg::spi_open();
    foreach (cell, earlier.statements) pg::execute(static_cast<const char*>(lfirst(cell)));
    pg::execute(psprintf(kJudged, "mirox_account_deleted", "DELETE", table.full_name, "", argument));
    pg::execute(psprintf(kJudged, "mirox_account_renamed", "UPDATE", table.full_name,
                         psprintf("WHEN (OLD.%s IS DISTINCT FROM NEW.%s)", column.name, column.name), argument));
    if (table.kind == RELKIND_PARTITIONED_TABLE)
        pg::execute(
            psprintf("CREATE TRIGGER mirox_account_moved AFTER INSERT OR DELETE ON %s FOR EACH ROW "
                     "EXECUTE FUNCTION mirox.account_bound(%s)",
                     table.full_name, argument));
    pg::spi_close();
    AtEOXact_GUC(false, guc_level);
}

}  // namespace mirox::store

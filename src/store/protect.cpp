// protect_table and unprotect_table (see platform_table.hpp, also for the locks).
#include "store/platform_table.hpp"

#include "pg/values.hpp"
#include "store/audit.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_type.h"
#include "commands/policy.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
}

namespace mirox::store {
namespace {

struct Command {
    const char* action;
    const char* policy;
    const char* sql;  // FOR …
    bool reads;       // checks existing rows
    bool writes;      // checks new rows
};
constexpr Command kCommands[] = {
    {"read", "mirox_read", "SELECT", true, false},
    {"insert", "mirox_insert", "INSERT", false, true},
    {"update", "mirox_update", "UPDATE", true, true},
    {"delete", "mirox_delete", "DELETE", true, false},
};

bool is_ours(const char* policy) {
    for (const Command& command : kCommands)
        if (strcmp(command.policy, policy) == 0) return true;
    return false;
}

// Refuses relations to which row security cannot apply, or must not.
void require_protectable(const PlatformTable& table) {
    switch (table.kind) {
        case RELKIND_RELATION:
        case RELKIND_PARTITIONED_TABLE:
            break;
        case RELKIND_VIEW:
        case RELKIND_MATVIEW:
            MIROX_RAISE(ERRCODE_WRONG_OBJECT_TYPE, errword(ErrorWord::table_unfit, "tbl"), errmsg("\"%s\" is a view", table.name),
                        errdetail("Row security binds tables alone."),
                        errhint("Protect the tables that it reads, and make the view with (security_invoker = true)."));
        case RELKIND_FOREIGN_TABLE:
            MIROX_RAISE(ERRCODE_WRONG_OBJECT_TYPE, errword(ErrorWord::table_unfit, "tbl"),
                        errmsg("\"%s\" is a foreign table", table.name),
                        errdetail("Row security does not reach another server's rows."),
                        errhint("Protect the table on the server that holds it."));
        default:
            MIROX_RAISE(ERRCODE_WRONG_OBJECT_TYPE, errword(ErrorWord::table_unfit, "tbl"),
                        errmsg("\"%s\" is not a table", table.name), errhint("Name an ordinary or a partitioned table."));
    }
    require_platforms_own(table);
    require_ownership(table);
}

// The first permissive policy of the table that protect_table did not create; null if there is none. With `any`, the first policy
// of any kind.
const char* policy_of(Oid table, bool any) {
    Relation policies = table_open(PolicyRelationId, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_policy_polrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
    SysScanDesc scan = systable_beginscan(policies, PolicyPolrelidPolnameIndexId, true, nullptr, 1, &key);
    const char* found = nullptr;
    HeapTuple tuple;
    while (found == nullptr && HeapTupleIsValid(tuple = systable_getnext(scan))) {
        const auto* row = reinterpret_cast<Form_pg_policy>(GETSTRUCT(tuple));
        if (any || (row->polpermissive && !is_ours(NameStr(row->polname)))) found = pstrdup(NameStr(row->polname));
    }
    systable_endscan(scan);
    table_close(policies, AccessShareLock);
    return found;
}

bool has_policy(Oid table, const char* name) {
    return OidIsValid(get_relation_policy_oid(table, name, true));
}

// True if a table above this one, at any height, is protected: then its rows are visible through that table.
bool is_protected_above(Oid table) {
    Relation inheritance = table_open(InheritsRelationId, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
    SysScanDesc scan = systable_beginscan(inheritance, InheritsRelidSeqnoIndexId, true, nullptr, 1, &key);
    bool found = false;
    HeapTuple tuple;
    while (!found && HeapTupleIsValid(tuple = systable_getnext(scan))) {
        const Oid parent = reinterpret_cast<Form_pg_inherits>(GETSTRUCT(tuple))->inhparent;
        found = has_policy(parent, kCommands[0].policy) || is_protected_above(parent);
    }
    systable_endscan(scan);
    table_close(inheritance, AccessShareLock);
    return found;
}

// Returns whether there was any.
bool drop_policies(const PlatformTable& table) {
    bool any = false;
    for (const Command& command : kCommands) {
        if (!has_policy(table.oid, command.policy)) continue;
        pg::execute(psprintf("DROP POLICY %s ON %s", command.policy, table.full_name));
        any = true;
    }
    return any;
}

void set_security(const PlatformTable& table, bool enable, bool force) {
    if (table.security != enable)
        pg::execute(psprintf("ALTER TABLE %s %s ROW LEVEL SECURITY", table.full_name, enable ? "ENABLE" : "DISABLE"));
    if (table.force != force)
        pg::execute(psprintf("ALTER TABLE %s %s ROW LEVEL SECURITY", table.full_name, force ? "FORCE" : "NO FORCE"));
}

// ---- the conditions ----------------------------------------------------------------------------------------------------

// An SQL expression for the account's id as a value of the column's type, evaluated once a query. It is NULL if the id is not the
// normal text form of such a value. So no query fails for it, and no two accounts (`7` and `07`) see the same rows.
const char* owner_value(const Column& owner) {
    constexpr const char* kCast =
        "(SELECT CASE WHEN u.id OPERATOR(pg_catalog.~) '%s' THEN %s END FROM (SELECT "
        "mirox.current_user_id()) AS u(id))";
    switch (owner.type) {
        case UUIDOID:
            return psprintf(kCast, "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$", "u.id::pg_catalog.uuid");
        case INT2OID:
        case INT4OID:
        case INT8OID:
            return psprintf(kCast, "^(0|-?[1-9][0-9]{0,18})$",
                            "CASE WHEN u.id::pg_catalog.numeric OPERATOR(pg_catalog.>=) -9223372036854775808 "
                            "AND u.id::pg_catalog.numeric OPERATOR(pg_catalog.<=) 9223372036854775807 "
                            "THEN u.id::pg_catalog.int8 END");
        default:
            return "(SELECT mirox.current_user_id())";
    }
}

struct Protection {
    const char* resource;  // a literal
    const Column* owner;
    const Column* value;
};

const char* condition(const Protection& what, const char* action) {
    const char* scope;
    if (what.value == nullptr) {
        scope = psprintf("(SELECT mirox.allows(%s))", quote_literal_cstr(psprintf("%s:%s", what.resource, action)));
    } else {
        const bool text = what.value->type == TEXTOID || what.value->type == VARCHAROID;
        scope = psprintf("mirox.scopes_reach_row((SELECT mirox.granted('%s') OPERATOR(mirox.->) %s), %s%s)", action,
                         quote_literal_cstr(what.resource), what.value->name, text ? "" : "::pg_catalog.text");
    }
    if (what.owner == nullptr) return scope;
    return psprintf("%s OPERATOR(pg_catalog.=) %s AND %s", what.owner->name, owner_value(*what.owner), scope);
}

void create_policies(const PlatformTable& table, const Protection& what) {
    for (const Command& command : kCommands) {
        const char* rows = condition(what, command.action);
        const char* statement = psprintf("CREATE POLICY %s ON %s FOR %s TO PUBLIC", command.policy, table.full_name, command.sql);
        if (command.reads) statement = psprintf("%s USING (%s)", statement, rows);
        if (command.writes) statement = psprintf("%s WITH CHECK (%s)", statement, rows);
        pg::execute(statement);
    }
}

}  // namespace

void protect_table(const ProtectRequest& request) {
    List* family = lock_family(request.table, require_protectable);
    const PlatformTable table = describe(request.table);
    if (has_superclass(request.table))
        MIROX_RAISE(ERRCODE_WRONG_OBJECT_TYPE, errword(ErrorWord::table_unfit, "tbl"),
                    errmsg("table \"%s\" is part of another table", table.name),
                    errdetail("Whoever reads its rows through that one is bound by that one's policies alone."),
                    errhint("Protect the topmost table."));
    Column owner = {}, value = {};
    if (request.owner_column != nullptr) owner = require_column(table, request.owner_column, "owner_column");
    if (request.resource_column != nullptr) value = require_column(table, request.resource_column, "resource_column");
    ListCell* cell;
    foreach (cell, family) {
        const PlatformTable member = describe(lfirst_oid(cell));
        const char* other = policy_of(member.oid, false);
        if (other == nullptr) continue;
        // Permissive policies are combined with OR, so another one shows rows that ours hide. A policy created after
        // protect_table was created knowingly: a warning is enough.
        if (member.oid == table.oid && has_policy(table.oid, kCommands[0].policy)) {
            MIROX_LOG(WARNING, errmsg("policy \"%s\" of table \"%s\" would let more rows through", other, member.name),
                      errhint("Drop it, or re-create it AS RESTRICTIVE, unless you want it so."));
            continue;
        }
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::policy_conflict, "tbl"),
                    errmsg("policy \"%s\" of table \"%s\" would let more rows through", other, member.name),
                    errdetail("Permissive policies add up: what one of them shows is shown."),
                    errhint("Drop the policy, or re-create it AS RESTRICTIVE."));
    }

    Protection what = {};
    what.resource = pnstrdup(request.resource.data(), request.resource.size());
    if (request.owner_column != nullptr) what.owner = &owner;
    if (request.resource_column != nullptr) what.value = &value;
    pg::spi_open();
    // A partition that was protected by itself before it was attached would go on to show its rows, by its own policies, to
    // anyone who reads it directly.
    foreach (cell, family) drop_policies(describe(lfirst_oid(cell)));
    foreach (cell, family) set_security(describe(lfirst_oid(cell)), true, request.force);
    create_policies(table, what);
    pg::spi_close();

    Actor actor;
    enter(actor);
    Detail detail;
    detail.add_text("table", table.full_name);
    detail.add_text("resource", request.resource);
    if (request.owner_column != nullptr) detail.add_text("owner_column", request.owner_column);
    if (request.resource_column != nullptr) detail.add_text("resource_column", request.resource_column);
    detail.add_bool("force", request.force);
    audit("table_protected", {}, detail);
    leave(actor);
}

bool unprotect_table(Oid oid) {
    List* family = lock_family(oid, require_protectable);
    const PlatformTable table = describe(linitial_oid(family));
    pg::spi_open();
    const bool any = drop_policies(table);
    if (any) {
        ListCell* cell;
        foreach (cell, family) drop_policies(describe(lfirst_oid(cell)));
        foreach (cell, family) {
            const PlatformTable member = describe(lfirst_oid(cell));
            // Row security stays enabled for other policies, and for a protected table above.
            if (policy_of(member.oid, true) == nullptr && !is_protected_above(member.oid)) set_security(member, false, false);
        }
    }
    pg::spi_close();
    if (!any) return false;

    as_act([&](Actor&) {
        Detail detail;
        detail.add_text("table", table.full_name);
        audit("table_unprotected", {}, detail);
    });
    return true;
}

}  // namespace mirox::store

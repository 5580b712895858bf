// The platform's own tables (see platform_table.hpp, also for the locks).
#include "store/platform_table.hpp"

#include "pg/catalog.hpp"
#include "pg/values.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/catalog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/syscache.h"
}

namespace mirox::store {

PlatformTable describe(Oid oid) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
    if (!HeapTupleIsValid(tuple))
        MIROX_RAISE(ERRCODE_UNDEFINED_TABLE, errword(ErrorWord::table_unknown), errmsg("no such table"));
    const auto* row = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    PlatformTable table = {};
    table.oid = oid;
    table.owner = row->relowner;
    table.name = pstrdup(NameStr(row->relname));
    table.full_name = quote_qualified_identifier(get_namespace_name(row->relnamespace), NameStr(row->relname));
    table.kind = row->relkind;
    table.security = row->relrowsecurity;
    table.force = row->relforcerowsecurity;
    table.partition = row->relispartition;
    ReleaseSysCache(tuple);
    return table;
}

void require_ownership(const PlatformTable& table) {
    if (!pg::owns_relation(table.oid, GetUserId()))
        MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::table_not_owned),
                    errmsg("must be owner of table %s", table.name),
                    errhint("Call it as the table's owner, with level admin granted to that role."));
}

void require_platforms_own(const PlatformTable& table) {
    const Oid schema = get_rel_namespace(table.oid);
    const char* schema_name = get_namespace_name(schema);
    if (IsCatalogRelationOid(table.oid) || IsCatalogNamespace(schema) || IsToastNamespace(schema) ||
        (schema_name != nullptr && strcmp(schema_name, "information_schema") == 0))
        MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::table_reserved),
                    errmsg("\"%s\" is a system catalog", table.name), errhint("Name one of the platform's own tables."));
    if (schema == pg::catalog().schema || schema == pg::catalog().internal_schema)
        MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::table_reserved),
                    errmsg("\"%s\" is a table of mirox_tokens", table.name),
                    errhint("Grant access to it with mirox.grant_access."));
    if (get_rel_persistence(table.oid) == RELPERSISTENCE_TEMP)
        MIROX_RAISE(ERRCODE_WRONG_OBJECT_TYPE, errword(ErrorWord::table_unfit), errmsg("\"%s\" is a temporary table", table.name),
                    errdetail("It is its session's alone, and goes with it."), errhint("Name a permanent table."));
}

List* lock_family(Oid oid, void (*check)(const PlatformTable& table)) {
    check(describe(oid));
    LockRelationOid(oid, AccessExclusiveLock);
    check(describe(oid));
    List* family = find_all_inheritors(oid, AccessExclusiveLock, nullptr);
    ListCell* cell;
    foreach (cell, family) check(describe(lfirst_oid(cell)));
    return family;
}

Column require_column(const PlatformTable& table, const char* name, const char* argument) {
    const AttrNumber number = get_attnum(table.oid, name);
    if (number <= 0)
        MIROX_RAISE(ERRCODE_UNDEFINED_COLUMN, errword(ErrorWord::column_unknown, argument),
                    errmsg("column \"%s\" of table \"%s\" does not exist", name, table.name));
    Column column = {};
    column.name = quote_identifier(name);
    Oid type;
    int32 modifier;
    get_atttypetypmodcoll(table.oid, number, &type, &modifier, &column.collation);
    column.type = getBaseType(type);
    if (!pg::is_id_type(column.type))
        MIROX_RAISE(ERRCODE_DATATYPE_MISMATCH, errword(ErrorWord::column_type_unfit, argument),
                    errmsg("column \"%s\" has type %s", name, format_type_be(type)),
                    errdetail("Ids can be compared with columns of text, varchar, uuid, smallint, integer and "
                              "bigint, whose text form hangs on no setting."));
    // If 'Alice' equaled 'alice', one user would be shown another user's rows, and deleting one would end the other's account.
    if (OidIsValid(column.collation) && !get_collation_isdeterministic(column.collation))
        MIROX_RAISE(ERRCODE_FEATURE_NOT_SUPPORTED, errword(ErrorWord::collation_unfit, argument),
                    errmsg("column \"%s\" has a nondeterministic collation", name),
                    errdetail("Texts that differ would count as one id."),
                    errhint("Give the column a deterministic collation, such as \"C\"."));
    return column;
}

}  // namespace mirox::store

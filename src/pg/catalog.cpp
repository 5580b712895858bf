// The extension's objects (see catalog.hpp, also for the locks).
#include "pg/catalog.hpp"

#include "core/slice.hpp"
#include "pg/cache_validity.hpp"
#include "pg/columns.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace mirox::pg {
namespace {

// A version is numbers separated by dots. A missing number is 0, and text after the numbers does not count.
constexpr int take_number(std::string_view& version) {
    int number = 0;
    for (; !version.empty() && version[0] >= '0' && version[0] <= '9' && number < 1'000'000; version.remove_prefix(1))
        number = number * 10 + (version[0] - '0');
    version = !version.empty() && version[0] == '.' ? core::slice(version, 1) : std::string_view();
    return number;
}

constexpr Script judge(std::string_view script, std::string_view library) {
    for (bool major = true; !script.empty() || !library.empty(); major = false) {
        const int theirs = take_number(script), ours = take_number(library);
        if (theirs < ours) return major ? Script::older_major : Script::older;
        if (theirs > ours) return Script::newer;
    }
    return Script::same;
}
static_assert(judge("7.3", "7.3") == Script::same && judge("7", "7.0.0") == Script::same);
static_assert(judge("7.3-local", "7.3") == Script::same && judge("", "7") == Script::older_major);
static_assert(judge("7.9", "7.10") == Script::older && judge("7.10", "7.9.9") == Script::newer);
static_assert(judge("6.9", "7.0") == Script::older_major && judge("8.0", "7.9") == Script::newer);

Catalog known;
bool warned = false;  // this session got the WARNING about an older script
bool valid = false;
std::uint64_t invalidations = 0;  // so far; a look-up during which this changed is not kept

// Answers about functions since the schemas last changed, because the planner asks at each query.
struct Asked {
    Oid function;
    bool ours;
};
constexpr std::size_t kAsked = 64;
Asked asked[kAsked];

// DROP EXTENSION drops the schemas with everything named here, and CREATE EXTENSION makes new schemas. The relcache callback
// reports changes of the tables themselves, so that a table that a DBA replaced is noticed too.
void forget(Datum, int, uint32) {
    valid = false;
    invalidations++;
    memset(asked, 0, sizeof(asked));
}
void forget_relation(Oid relation) {
    bool ours = !valid || relation == InvalidOid;
    for (const TableKind& table : kTables) ours = ours || relation == known.*table.table;
    if (!ours) return;
    valid = false;
    invalidations++;
}

// All listeners share one callback slot: the server has 10 for all extensions, and running out of them ends the session.
constinit CacheValidity* listeners = nullptr;

void tell_of_relation(Datum, Oid relation) {
    forget_relation(relation);
    CacheValidity::tell_all(relation);
}

// Reads the row of the extension. Not every server version has a cache of pg_extension. The name is unique.
bool find_extension(Catalog& out) {
    Relation extensions = table_open(ExtensionRelationId, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum(kExtension));
    SysScanDesc scan = systable_beginscan(extensions, ExtensionNameIndexId, true, nullptr, 1, &key);
    const HeapTuple tuple = systable_getnext(scan);
    const bool found = HeapTupleIsValid(tuple);
    if (found) {
        const auto* row = reinterpret_cast<Form_pg_extension>(GETSTRUCT(tuple));
        out.extension = row->oid;
        out.owner = row->extowner;
        bool is_null;
        const Datum version = heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(extensions), &is_null);
        text_to_cstring_buffer(DatumGetTextPP(version), out.version, sizeof(out.version));
        out.script = judge(out.version, MIROX_VERSION);
    }
    systable_endscan(scan);
    table_close(extensions, AccessShareLock);
    return found;
}

bool is_member(Oid extension, Oid catalog, Oid object) {
    return OidIsValid(object) && getExtensionOfObject(catalog, object) == extension;
}

Oid schema_named(Oid extension, const char* name) {
    const Oid schema = get_namespace_oid(name, true);
    return is_member(extension, NamespaceRelationId, schema) ? schema : InvalidOid;
}

// A table, sequence or view of the extension, or an index of one.
Oid relation_named(Oid extension, const char* name, Oid schema) {
    const Oid relation = get_relname_relid(name, schema);
    if (!OidIsValid(relation)) return InvalidOid;
    const Oid table = get_rel_relkind(relation) == RELKIND_INDEX ? IndexGetRelation(relation, true) : relation;
    return is_member(extension, RelationRelationId, table) ? relation : InvalidOid;
}

Oid type_named(Oid extension, const char* name, Oid schema) {
    const Oid type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name), ObjectIdGetDatum(schema));
    return is_member(extension, TypeRelationId, type) ? type : InvalidOid;
}

Oid operator_named(Oid extension, const char* name, Oid left, Oid right, Oid schema) {
    const Oid found = GetSysCacheOid4(OPERNAMENSP, Anum_pg_operator_oid, CStringGetDatum(name), ObjectIdGetDatum(left),
                                      ObjectIdGetDatum(right), ObjectIdGetDatum(schema));
    return is_member(extension, OperatorRelationId, found) ? found : InvalidOid;
}

// The number of the first column that differs from its definition; 0 when none does.
int changed_column(Oid relation, const TableKind& table, const Catalog& catalog) {
    int number = 0;
    for (const ColumnKind& column : table.columns) {
        HeapTuple tuple = SearchSysCacheAttNum(relation, static_cast<AttrNumber>(++number));
        if (!HeapTupleIsValid(tuple)) return number;
        const auto* row = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
        const bool same =
            strcmp(NameStr(row->attname), column.name) == 0 && getBaseType(row->atttypid) == type_oid(column.type, catalog);
        ReleaseSysCache(tuple);
        if (!same) return number;
    }
    return 0;
}

enum class Presence : std::uint8_t { absent, broken, changed, whole };

// The first difference, for Presence::changed.
struct Changed {
    const TableKind* table;
    int column;
};
Changed changed;

Presence load(Catalog& out) {
    if (!find_extension(out)) return Presence::absent;
    out.schema = schema_named(out.extension, kSchema);
    out.internal_schema = schema_named(out.extension, kInternalSchema);
    if (!OidIsValid(out.schema) || !OidIsValid(out.internal_schema)) return Presence::broken;
    struct Named {
        Oid* at;
        const char* name;
    };
    const Named relations[] = {
        {&out.account_pkey, "account_pkey"},
        {&out.account_user, "account_user_id_key"},
        {&out.session_digest, "session_digest_key"},
        {&out.token_pkey, "token_pkey"},
        {&out.token_place, "token_place"},
        {&out.token_id_seq, "token_id_seq"},
        {&out.token_secret_digest, "token_secret_lookup"},
        {&out.token_secret_token, "token_secret_token"},
        {&out.permission_group_pkey, "permission_group_pkey"},
        {&out.audit_id_seq, "audit_id_seq"},
    };
    for (const Named& relation : relations) {
        *relation.at = relation_named(out.extension, relation.name, out.internal_schema);
        if (!OidIsValid(*relation.at)) return Presence::broken;
    }
    const Named types[] = {{&out.digest_type, "digest"}, {&out.scopes_type, "scopes"}, {&out.issued_type, "issued_token"}};
    for (const Named& type : types) {
        *type.at = type_named(out.extension, type.name, out.schema);
        if (!OidIsValid(*type.at)) return Presence::broken;
    }
    for (const TableKind& table : kTables) {
        out.*table.table = relation_named(out.extension, table.name, out.internal_schema);
        if (!OidIsValid(out.*table.table)) return Presence::broken;
        changed = {&table, changed_column(out.*table.table, table, out)};
        if (changed.column != 0) return Presence::changed;
    }
    out.reach_operator = operator_named(out.extension, "~>", out.scopes_type, TEXTOID, out.schema);
    out.least_operator = operator_named(out.extension, "|<", InvalidOid, out.scopes_type, out.schema);
    out.bound_operator = operator_named(out.extension, "|>", InvalidOid, out.scopes_type, out.schema);
    return Presence::whole;
}

Presence refresh() {
    // The result is kept only when it was read completely, without an error or invalidation meanwhile.
    const std::uint64_t before = invalidations;
    Catalog fresh = {};
    const Presence presence = load(fresh);
    if (presence != Presence::whole) return presence;
    fresh.epoch = known.epoch;
    if (memcmp(&fresh, &known, sizeof(Catalog)) != 0) fresh.epoch++;
    known = fresh;
    valid = invalidations == before;
    return Presence::whole;
}

void warn_of_older_script() {
    warned = true;
    if (IsParallelWorker()) return;  // the leader gave the WARNING
    MIROX_LOG(WARNING,
              errmsg("the extension mirox_tokens has version %s here, and its library has %s", known.version, MIROX_VERSION),
              errhint("Run ALTER EXTENSION mirox_tokens UPDATE."));
}

void require_presence() {
    const Presence presence = refresh();
    if (presence == Presence::absent)
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::extension_missing),
                    errmsg("the extension mirox_tokens is not in this database"), errhint("Run CREATE EXTENSION mirox_tokens."));
    if (presence == Presence::broken)
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::extension_damaged),
                    errmsg("an object of the extension mirox_tokens is missing"),
                    errdetail("It was dropped, renamed or removed from the extension."),
                    errhint("Restore the object from the install script or a backup."));
    if (presence == Presence::changed)
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::extension_damaged),
                    errmsg("table %s.%s differs from its definition in mirox_tokens", kInternalSchema, changed.table->name),
                    errdetail("Its column %d must be \"%s\", of the type that the install script gives it.", changed.column,
                              changed.table->columns[changed.column - 1].name),
                    errhint("Restore the column from the install script or a backup."));
}

}  // namespace

const Catalog& catalog() {
    if (!valid) require_presence();
    if (known.script == Script::older && !warned) warn_of_older_script();
    return known;
}

void require_known_script() {
    const Catalog& ours = catalog();
    if (ours.script <= Script::older) return;
    MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::version_mismatch),
                errmsg("the extension mirox_tokens has version %s here, which its library of version %s cannot manage",
                       ours.version, MIROX_VERSION),
                errdetail("Checks and recording continue."),
                ours.script == Script::newer ? errhint("Install the library of that version, and restart the server.")
                                             : errhint("Run ALTER EXTENSION mirox_tokens UPDATE."));
}

void announce_script() {
    if (catalog_present()) CacheInvalidateRelcacheByRelid(known.token_secret);
}

Relation open_table(Oid table, LOCKMODE mode) {
    const Relation opened = try_table_open(table, mode);
    if (opened != nullptr) return opened;
    (void)catalog();  // raises the error when the extension is gone
    MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::extension_changed),
                errmsg("the extension mirox_tokens was re-created meanwhile"), errhint("Run the transaction again."));
}

const Catalog& catalog_known() {
    return known;
}

bool catalog_present() {
    return valid || refresh() == Presence::whole;
}

bool is_our_function(Oid function) {
    if (!catalog_present() || get_func_namespace(function) != known.schema) return false;
    Asked& slot = asked[function % kAsked];
    if (slot.function != function) slot = {function, is_member(known.extension, ProcedureRelationId, function)};
    return slot.ours;
}

bool extension_present() {
    Catalog found;
    return valid || find_extension(found);
}

std::uint64_t CacheValidity::begin() {
    if (!listens_) {
        next_ = listeners;
        listeners = this;
        listens_ = true;
    }
    valid_ = false;
    return heard_;
}

void CacheValidity::tell_all(Oid relation) {
    for (CacheValidity* one = listeners; one != nullptr; one = one->next_) {
        if (one->valid_ && relation != InvalidOid && relation != known.*one->table_) continue;
        one->valid_ = false;
        one->heard_++;
    }
}

void watch_catalog() {
    CacheRegisterSyscacheCallback(NAMESPACEOID, forget, 0);
    CacheRegisterRelcacheCallback(tell_of_relation, 0);
}

}  // namespace mirox::pg

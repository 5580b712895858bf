// The members of the extension (see members.hpp, also for the locks).
#include "pg/members.hpp"

#include "pg/catalog.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaddress.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace mirox::pg {
namespace {

constexpr OwnedCatalog kOwned[] = {
    {RelationRelationId, RELOID, Anum_pg_class_relowner, Anum_pg_class_relacl, "TABLE"},
    {ProcedureRelationId, PROCOID, Anum_pg_proc_proowner, Anum_pg_proc_proacl, "FUNCTION"},
    {TypeRelationId, TYPEOID, Anum_pg_type_typowner, Anum_pg_type_typacl, "TYPE"},
    {NamespaceRelationId, NAMESPACEOID, Anum_pg_namespace_nspowner, Anum_pg_namespace_nspacl, "SCHEMA"},
};
constexpr const OwnedCatalog& kSchemas = kOwned[3];

using CacheId = decltype(RELOID);

CacheId cache_of(const OwnedCatalog& catalog) {
    return static_cast<CacheId>(catalog.cache);
}

// Which changed catalog rows concern the extension: a bit for the hash value of each such row. Other rows may share a hash value,
// and then the members are checked once more than needed.
constexpr std::uint32_t kBits = 1 << 14;
std::uint64_t bits[kBits / 64];
// Which changed tables may have got or lost a partition: a bit for the OID of each partitioned one.
std::uint64_t parents = 0;
bool own = false;
Oid own_of = InvalidOid;  // the owner that this was checked for
std::uint64_t changes = 0;

std::uint64_t bit_of_parent(Oid table) {
    return std::uint64_t{1} << (table % 64);
}

void hear_of_table(Datum, Oid table) {
    if (OidIsValid(table) && (parents & bit_of_parent(table)) == 0) return;
    own = false;
    changes++;
}

void hear_of_row(Datum, int, uint32 hash) {
    if (hash != 0 && (bits[hash % kBits / 64] >> (hash % 64) & 1) == 0) return;
    own = false;
    changes++;
}

// Called before the row is read, so that no change of it is missed.
void listen_to_row(CacheId cache, Oid row) {
    const uint32 hash = GetSysCacheHashValue1(cache, ObjectIdGetDatum(row));
    bits[hash % kBits / 64] |= std::uint64_t{1} << (hash % 64);
}

// Calls `each` for the objects that depend in this way on the given object and have an owner.
void for_each_dependent(Oid catalog, Oid object, char how, void (*each)(void* state, const Member& member), void* state) {
    Relation dependencies = table_open(DependRelationId, AccessShareLock);
    ScanKeyData keys[2];
    ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(catalog));
    ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
    SysScanDesc scan = systable_beginscan(dependencies, DependReferenceIndexId, true, nullptr, 2, keys);
    HeapTuple tuple;
    while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
        const auto* row = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
        if (row->deptype != how) continue;
        for (const OwnedCatalog& owned : kOwned)
            if (owned.catalog == row->classid)
                each(state, {&owned, row->objid, TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data))});
    }
    systable_endscan(scan);
    table_close(dependencies, AccessShareLock);
}

// A role that may create objects in these schemas can add an overload of a function that the extension's SQL names.
void refuse_others_create(const Member& member, const Acl* list, Oid owner) {
    for (int i = 0; list != nullptr && i < ACL_NUM(list); i++) {
        const AclItem& item = ACL_DAT(list)[i];
        if (item.ai_grantee == owner || (ACLITEM_GET_PRIVS(item) & ACL_CREATE) == 0) continue;
        const char* grantee =
            item.ai_grantee == ACL_ID_PUBLIC ? "PUBLIC" : quote_identifier(GetUserNameFromId(item.ai_grantee, false));
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::extension_damaged),
                    errmsg("%s may create objects in a schema of mirox_tokens", grantee),
                    errdetail("An object created there could take the place of one that the extension's own SQL names."),
                    errhint("REVOKE CREATE ON %s FROM %s.", name_of_member(member), grantee));
    }
}

void check_partitions(const Member& parent, void* state);

void check_object(void* state, const Member& object) {
    listen_to_row(cache_of(*object.catalog), object.object);
    const Oid owner = *static_cast<Oid*>(state);
    struct varlena* acl;
    const Oid has = owner_of_member(object, &acl);
    if (!OidIsValid(has)) return;  // dropped meanwhile
    // An object of a superuser gains nothing, as long as its owner is a superuser.
    if (has != owner) listen_to_row(AUTHOID, has);
    if (has != owner && !superuser_arg(has))
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::extension_damaged),
                    errmsg("%s belongs to another role than the extension mirox_tokens", name_of_member(object)),
                    errdetail("Its owner could have code run with the rights of the extension's owner."),
                    errhint("ALTER %s OWNER TO %s.", name_of_member(object), quote_identifier(GetUserNameFromId(owner, false))));
    if (object.catalog->catalog == NamespaceRelationId) refuse_others_create(object, reinterpret_cast<Acl*>(acl), owner);
    if (object.catalog->catalog == RelationRelationId && get_rel_relkind(object.object) == RELKIND_PARTITIONED_TABLE)
        check_partitions(object, state);
}

void check_partitions(const Member& parent, void* state) {
    parents |= bit_of_parent(parent.object);
    List* const partitions = find_inheritance_children(parent.object, NoLock);
    ListCell* cell;
    foreach (cell, partitions) check_object(state, {parent.catalog, lfirst_oid(cell), false});
}

}  // namespace

void for_each_member(Oid extension, void (*each)(void* state, const Member& member), void* state) {
    for_each_dependent(ExtensionRelationId, extension, DEPENDENCY_EXTENSION, each, state);
}

const char* name_of_member(const Member& member) {
    const ObjectAddress address = {member.catalog->catalog, member.object, 0};
    const bool sequence = address.classId == RelationRelationId && get_rel_relkind(member.object) == RELKIND_SEQUENCE;
    return psprintf("%s %s", sequence ? "SEQUENCE" : member.catalog->kind, getObjectIdentity(&address, false));
}

Oid owner_of_member(const Member& member, struct varlena** acl) {
    const CacheId cache = cache_of(*member.catalog);
    HeapTuple row = SearchSysCache1(cache, ObjectIdGetDatum(member.object));
    if (!HeapTupleIsValid(row)) return InvalidOid;
    bool is_null;
    const Oid owner = DatumGetObjectId(SysCacheGetAttr(cache, row, member.catalog->owner, &is_null));
    const Datum list = SysCacheGetAttr(cache, row, member.catalog->acl, &is_null);
    *acl = is_null ? nullptr : reinterpret_cast<struct varlena*>(DatumGetAclPCopy(list));
    ReleaseSysCache(row);
    return owner;
}

void require_own_members() {
    const Catalog& ours = catalog();
    if (own && own_of == ours.owner) return;
    const std::uint64_t before = changes;
    memset(bits, 0, sizeof(bits));
    parents = 0;
    Oid owner = ours.owner;
    for (const Oid schema : {ours.schema, ours.internal_schema}) {
        check_object(&owner, {&kSchemas, schema, false});
        for_each_dependent(NamespaceRelationId, schema, DEPENDENCY_NORMAL, check_object, &owner);
    }
    own = changes == before;
    own_of = owner;
}

bool is_own_table(Oid table) {
    const Catalog& ours = catalog();
    if (getExtensionOfObject(RelationRelationId, table) == ours.extension) return true;
    if (!get_rel_relispartition(table)) return false;
    const Oid parent = get_partition_parent(table, true);
    if (!OidIsValid(parent) || getExtensionOfObject(RelationRelationId, parent) != ours.extension) return false;
    struct varlena* acl;
    return owner_of_member({&kOwned[0], table, false}, &acl) == owner_of_member({&kOwned[0], parent, false}, &acl);
}

void lock_grants() {
    LockDatabaseObject(ExtensionRelationId, catalog().extension, 0, ShareUpdateExclusiveLock);
}

void watch_members() {
    for (const OwnedCatalog& catalog : kOwned) CacheRegisterSyscacheCallback(cache_of(catalog), hear_of_row, 0);
    CacheRegisterSyscacheCallback(AUTHOID, hear_of_row, 0);
    CacheRegisterRelcacheCallback(hear_of_table, 0);
}

}  // namespace mirox::pg

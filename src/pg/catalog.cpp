// Where the extension's objects are (see catalog.hpp). Takes no locks: the callers open what they need.
#include "pg/catalog.hpp"

extern "C" {
#include "access/genam.h"
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace mirox::pg {
namespace {

Catalog known;
bool valid = false;
std::uint64_t invalidations = 0;  // heard of: a look-up that one of them fell into is not to be kept

// DROP EXTENSION drops the schema, and with it everything named here; creating it anew makes a schema anew. The relcache
// callback hears of the tables themselves, so that a table that a DBA replaced is seen too.
void forget(Datum, int, uint32) {
    valid = false;
    invalidations++;
}
void forget_relation(Oid relation) {
    if (valid && relation != InvalidOid && relation != known.token_secret && relation != known.session &&
        relation != known.account && relation != known.token && relation != known.permission_group &&
        relation != known.audit_log)
        return;
    valid = false;
    invalidations++;
}

constexpr std::size_t kMostListeners = 4;
constinit RelationListener listeners[kMostListeners] = {};
constinit std::size_t listening = 0;

void tell_of_relation(Datum, Oid relation) {
    forget_relation(relation);
    for (std::size_t i = 0; i < listening; i++) listeners[i](relation);
}

Oid type_named(const char* name, Oid schema) {
    return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name), ObjectIdGetDatum(schema));
}

bool load(Catalog& out) {
    out.schema = get_namespace_oid("mirox", true);
    if (!OidIsValid(out.schema)) return false;
    struct Named {
        Oid* at;
        const char* name;
    };
    const Named relations[] = {
        {&out.account, "account"},
        {&out.account_pkey, "account_pkey"},
        {&out.account_user, "account_user_id_key"},
        {&out.session, "session"},
        {&out.session_digest, "session_digest_key"},
        {&out.token, "token"},
        {&out.token_pkey, "token_pkey"},
        {&out.token_place, "token_place"},
        {&out.token_id_seq, "token_id_seq"},
        {&out.token_secret, "token_secret"},
        {&out.token_secret_digest, "token_secret_lookup"},
        {&out.token_secret_token, "token_secret_token"},
        {&out.permission_group, "permission_group"},
        {&out.permission_group_pkey, "permission_group_pkey"},
        {&out.audit_log, "audit_log"},
        {&out.audit_id_seq, "audit_id_seq"},
        {&out.endpoint, "endpoint"},
        {&out.endpoint_pkey, "endpoint_pkey"},
    };
    for (const Named& relation : relations) {
        *relation.at = get_relname_relid(relation.name, out.schema);
        if (!OidIsValid(*relation.at)) return false;
    }
    out.digest_type = type_named("digest", out.schema);
    out.scopes_type = type_named("scopes", out.schema);
    out.secret_type = type_named("secret", out.schema);
    if (!OidIsValid(out.digest_type) || !OidIsValid(out.scopes_type) || !OidIsValid(out.secret_type))
        return false;
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(out.token_secret));
    if (!HeapTupleIsValid(tuple)) return false;
    out.owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
    ReleaseSysCache(tuple);
    return true;
}

bool refresh() {
    // Kept only when it was read whole, with no error and no invalidation in between.
    const std::uint64_t before = invalidations;
    Catalog fresh = {};
    if (!load(fresh)) return false;
    fresh.epoch = known.epoch;
    if (memcmp(&fresh, &known, sizeof(Catalog)) != 0) fresh.epoch++;
    known = fresh;
    valid = invalidations == before;
    return true;
}

}  // namespace

[[gnu::hot]] const Catalog& catalog() {
    if (!valid && !refresh())
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    errmsg("the extension mirox_tokens is not in this database"),
                    errhint("Run CREATE EXTENSION mirox_tokens CASCADE."));
    return known;
}

[[gnu::hot]] const Catalog& catalog_known() {
    return known;
}

bool catalog_present() {
    return valid || refresh();
}

void listen_to_relations(RelationListener hear) {
    if (listening == kMostListeners) elog(ERROR, "too many listeners to changes of relations");
    listeners[listening++] = hear;
}

void watch_catalog() {
    CacheRegisterSyscacheCallback(NAMESPACEOID, forget, 0);
    CacheRegisterRelcacheCallback(tell_of_relation, 0);
}

}  // namespace mirox::pg

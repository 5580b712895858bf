// The OIDs of the extension's objects in this database. They are looked up once, and again after the extension was dropped or
// created. They are kept in backend memory. Call these functions inside a transaction.
//
// An object counts as the extension's when pg_depend says that it belongs to the extension `mirox_tokens`, which only a superuser
// can create. A schema, table or type that merely has the right name is never used.
//
// Locks: AccessShareLock on the system catalogs that are read.
#pragma once

#include "pg/prelude.hpp"

extern "C" {
#include "catalog/pg_type_d.h"
}

namespace mirox::pg {

inline constexpr char kExtension[] = "mirox_tokens";
inline constexpr char kSchema[] = "mirox", kInternalSchema[] = "mirox_internal";

// How the version of the extension in this database (pg_extension.extversion) compares with the version of this library. After a
// package upgrade the library finds an older script, until ALTER EXTENSION UPDATE. It finds a newer one on a standby, or before
// the restart. An older script of the same major version is served in full, with a WARNING once a session. Columns are only added
// at the end, so the library can read the tables of any other version too. But it does not know the rules that such a version
// adds. So checks and recording go on, and management is refused.
enum class Script : std::uint8_t { same, older, older_major, newer };

struct Catalog {
    std::uint64_t epoch;  // changes whenever one of the others does
    Script script;
    char version[32];  // of the script
    Oid extension;
    Oid owner;            // of the extension: the role that the extension's own SQL runs as
    Oid schema;           // mirox: what people call and read
    Oid internal_schema;  // mirox_internal: tables and internal objects
    Oid digest_type, scopes_type, issued_type;
    Oid account, account_pkey, account_user;
    Oid session, session_digest;
    Oid token, token_pkey, token_place, token_id_seq;
    Oid token_secret, token_secret_digest, token_secret_token;
    Oid permission_group, permission_group_pkey, group_policy;
    Oid service_account;
    Oid audit_log, audit_id_seq;
    Oid endpoint;
    // ~>, |< and |>, for the planner. InvalidOid: the operator is missing, and plans do not use it.
    Oid reach_operator, least_operator, bound_operator;
};

// Types of columns and parameters: those of the server by OID, those of the extension by a mark, since their OIDs differ between
// databases.
enum class Type : Oid {
    none = InvalidOid,
    digest,
    scopes,
    boolean = BOOLOID,
    character = CHAROID,
    int2 = INT2OID,
    int4 = INT4OID,
    int8 = INT8OID,
    oid = OIDOID,
    text = TEXTOID,
    timestamptz = TIMESTAMPTZOID,
    interval = INTERVALOID,
    inet = INETOID,
    jsonb = JSONBOID,
    boolean_array = BOOLARRAYOID,
    int2_array = INT2ARRAYOID,
    int4_array = INT4ARRAYOID,
    int8_array = INT8ARRAYOID,
    text_array = TEXTARRAYOID,
    timestamptz_array = TIMESTAMPTZARRAYOID,
    inet_array = INETARRAYOID,
    cidr_array = CIDRARRAYOID,
};

// ERROR 55000 when the extension is not in this database, when one of its objects is missing, or when a table differs from
// columns.hpp.
const Catalog& catalog();

inline Oid type_oid(Type type, const Catalog& in = catalog()) {
    return type == Type::digest ? in.digest_type : type == Type::scopes ? in.scopes_type : static_cast<Oid>(type);
}

// ERROR 55000 when the script has another major version than the library, or is newer.
void require_known_script();

// For the end of a script: makes every session look up the extension's objects and version again. A change of the version alone
// sends no invalidation, and a script need not change anything that does.
void announce_script();

// Opens a table of the extension, with the lock. ERROR 55000 when the extension was dropped while this waited for the lock.
Relation open_table(Oid table, LOCKMODE mode);

// The objects as last looked up; looks nothing up.
const Catalog& catalog_known();

// True when the extension is in this database with all its objects; no ERROR.
bool catalog_present();

// True for a function of schema mirox that belongs to the extension; no ERROR.
bool is_our_function(Oid function);

// True when pg_extension has the extension, whether or not its objects are all there.
bool extension_present();

// Called once from _PG_init.
void watch_catalog();

}  // namespace mirox::pg

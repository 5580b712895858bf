// Where the extension's objects are in this database: their OIDs, looked up once and again after the extension was
// dropped or created anew. Kept in backend memory; call inside a transaction.
//
// An object is ours when pg_depend says that it belongs to the extension `mirox_tokens`, which only a superuser can create.
// A schema, table or type that merely has the right name is never taken.
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

// How the version of the extension in this database (pg_extension.extversion) stands to this library's. After a package upgrade
// a library finds an older script, until ALTER EXTENSION UPDATE; on a standby, or before the restart, a newer one. An older one of
// the same major version is served in full, and a WARNING says so once a session. Of any other the library knows all that it reads,
// since columns are only added at the end, but not what else there is to keep: checks and recorded use go on, management does not.
enum class Script : std::uint8_t { same, older, older_major, newer };

struct Catalog {
    std::uint64_t epoch;  // changes whenever one of the others does
    Script script;
    char version[32];  // of the script
    Oid extension;
    Oid owner;            // of the extension: whom our own SQL runs as
    Oid schema;           // mirox: what people call and read
    Oid internal_schema;  // mirox_internal: tables and what stands behind them
    Oid digest_type, scopes_type, issued_type;
    Oid account, account_pkey, account_user;
    Oid session, session_digest;
    Oid token, token_pkey, token_place, token_id_seq;
    Oid token_secret, token_secret_digest, token_secret_token;
    Oid permission_group, permission_group_pkey;
    Oid audit_log, audit_id_seq;
    Oid endpoint;
    // ~>, |< and |>, which the planner is told of; InvalidOid: not there, and plans do without.
    Oid reach_operator, least_operator, bound_operator;
};

// Types of columns and parameters: the server's own by OID, ours by mark, since they have one in a database alone.
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

// ERROR 55000 when the extension is not in this database, or lacks an object that we know, or has a table that is not as we know it
// (columns.hpp).
const Catalog& catalog();

inline Oid type_oid(Type type, const Catalog& in = catalog()) {
    return type == Type::digest ? in.digest_type : type == Type::scopes ? in.scopes_type : static_cast<Oid>(type);
}

// ERROR 55000 when the script is of another major version than the library, or newer.
void require_known_script();

// For the end of a script: has every session look anew at the extension's objects and version. The version's own row has no
// invalidation, and a script need not change anything that has one.
void announce_script();

// Opens a table of ours, with the lock. 55000 when the extension was dropped while we waited for it.
Relation open_table(Oid table, LOCKMODE mode);

// What is known, without looking anything up.
const Catalog& catalog_known();

// True when the extension is in this database with all its objects; no ERROR.
bool catalog_present();

// True for a function of schema mirox that belongs to the extension; no ERROR.
bool is_our_function(Oid function);

// True when pg_extension has its row, whatever has become of its objects.
bool extension_present();

// Called once from _PG_init.
void watch_catalog();

}  // namespace mirox::pg

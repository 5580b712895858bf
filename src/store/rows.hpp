// Rows as C++ sees them: found by an index in their newest committed version, and locked in that version, whatever the
// transaction's isolation level. Uses neither SPI nor plans.
//
// Locks: reading takes AccessShareLock on table and index until close_scan(), and no longer. An act reads a session and then
// waits for its account's row, and the transaction that holds that row may be waiting behind a VACUUM FULL of the sessions.
// Locking a row takes RowExclusiveLock on its table until the end of the transaction, so that a direct UPDATE can wait for all
// running acts (statement_lock).
#pragma once

#include "pg/prelude.hpp"
//
#include <span>

#include "core/crypto.hpp"
#include "pg/columns.hpp"

extern "C" {
#include "access/genam.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "nodes/lockoptions.h"
#include "storage/lockdefs.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

namespace mirox::store {

// One look-up. The slot's values point into the buffer that it pins. Copy what must outlive close_scan().
struct RowScan {
    Relation heap;
    Relation index;      // null if the row was found without an index (open_written)
    IndexScanDesc scan;  // null likewise
    TupleTableSlot* slot;
    Snapshot snapshot;  // registered
    ScanDirection direction;
    LOCKMODE release;  // the lock that close_scan() releases: AccessShareLock or NoLock
};

// How rows are found: a table, an index on it, and the type of the index's first column. The index's OID is read when the table
// is locked: REINDEX CONCURRENTLY replaces an index, and drops the old one only when nobody holds a lock on the table who could
// still look for it.
struct RowIndex {
    Oid pg::Catalog::*table;
    Oid pg::Catalog::*index;
    enum Key : std::uint8_t { digest, int8, int4, text } key;
};
inline constexpr RowIndex kAccountById = {&pg::Catalog::account, &pg::Catalog::account_pkey, RowIndex::int8};
inline constexpr RowIndex kAccountByUser = {&pg::Catalog::account, &pg::Catalog::account_user, RowIndex::text};
inline constexpr RowIndex kSessionByDigest = {&pg::Catalog::session, &pg::Catalog::session_digest, RowIndex::digest};
inline constexpr RowIndex kTokenById = {&pg::Catalog::token, &pg::Catalog::token_pkey, RowIndex::int8};
inline constexpr RowIndex kTokensByAccount = {&pg::Catalog::token, &pg::Catalog::token_place, RowIndex::int8};
inline constexpr RowIndex kSecretByDigest = {&pg::Catalog::token_secret, &pg::Catalog::token_secret_digest, RowIndex::digest};
inline constexpr RowIndex kSecretsByToken = {&pg::Catalog::token_secret, &pg::Catalog::token_secret_token, RowIndex::int8};
inline constexpr RowIndex kGroupById = {&pg::Catalog::permission_group, &pg::Catalog::permission_group_pkey, RowIndex::int4};

// A fresh snapshot, registered. It includes what this transaction has done.
Snapshot newest_snapshot();

// An object lock on the table with the name's hash, until the transaction's end or unlock_name(). It waits for any transaction that
// creates or changes a row of this name. So two that create the same row wait for each other instead of colliding in the unique
// index.
void lock_name(Oid table, std::string_view name, std::string_view more = {});
void unlock_name(Oid table, std::string_view name, std::string_view more = {});

// Waits until no other transaction has a new row with this key that is not committed. No snapshot shows such a row, but the index
// leads to it. So lock_name() need last no longer than the writing of a row, and a transaction may write any number of them.
void await_uncommitted(const RowIndex& by, Datum key);

// Calls each(slot) for the rows of an open table that the snapshot sees, until it returns false. Unregisters the snapshot.
template <class Each>
void for_all_rows(Relation table, Snapshot snapshot, Each each) {
    TableScanDesc scan = table_beginscan(table, snapshot, 0, nullptr);
    TupleTableSlot* slot = table_slot_create(table, nullptr);
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot) && each(slot)) {
    }
    ExecDropSingleTupleTableSlot(slot);
    table_endscan(scan);
    UnregisterSnapshot(snapshot);
}

// True if a fresh snapshot sees a row with this key. close_scan() must follow either way; after an ERROR the server's resource
// owner releases everything.
bool open_scan(RowScan& scan, const RowIndex& by, Datum key, ScanDirection direction = ForwardScanDirection);
void close_scan(RowScan& scan);

// Opens a scan on the row version that this transaction has just written (write.hpp). False if it has written another since.
bool open_written(RowScan& scan, Oid heap, const ItemPointerData& at);

// After open_scan() returned true: true if another row has the key, which the slot then holds.
bool next_row(RowScan& scan, Datum key);

// Calls each(scan) for the rows with the key, in the index's order or backwards, until it returns false.
template <class Each>
void for_each_row(const RowIndex& by, Datum key, ScanDirection direction, Each each) {
    RowScan scan;
    bool more = open_scan(scan, by, key, direction);
    while (more) more = each(scan) && next_row(scan, key);
    close_scan(scan);
}

// True if the row version under the scan is still the newest committed one.
bool is_newest(const RowScan& scan);

// Finds the row and locks its newest version, waiting for other lockers. False if there is none, or no longer one with this key. The
// slot then holds that version. close_scan() must follow either way; the row lock lasts until the transaction's end.
bool open_locked(RowScan& scan, const RowIndex& by, Datum key, LockTupleMode mode);

// The fixed part of a row of token_secret, laid out as in the tuple (src/schema/20_tables.sql).
struct SecretFixed {
    core::Digest digest;
    std::int64_t token_id;
    std::int64_t account_id;
    TimestampTz expires_at;
    TimestampTz ends_at;
    std::int32_t generation;
    std::int32_t group_id;
    std::int32_t rate_limit;
    std::int32_t burst;
    std::int32_t own_rate_limit;
    std::int32_t own_burst;
    std::int16_t key_id;
    char scheme;
    char state;
    bool locked;
    bool suspended;
};
inline constexpr char kCurrent = 'c', kOverlapping = 'o', kRotated = 'r', kRevoked = 'v';

inline std::span<const std::uint8_t> digest_bytes(Datum digest) {
    return {reinterpret_cast<const std::uint8_t*>(DatumGetPointer(digest)), core::kDigestBytes};
}

// The fixed part of the row in a slot of token_secret.
const SecretFixed& secret_fixed(TupleTableSlot* slot);

// The columns of token_secret that a check needs beyond the fixed part.
struct SecretRest {
    Datum user_id;
    Datum permissions;
    Datum allowed_ips;
    bool has_allowed_ips;
};
SecretRest secret_rest(TupleTableSlot* slot);

inline Datum column(TupleTableSlot* slot, int number, bool* is_null) {
    return slot_getattr(slot, number, is_null);
}
// For a column that is NOT NULL.
inline Datum column(TupleTableSlot* slot, int number) {
    bool is_null;
    return slot_getattr(slot, number, &is_null);
}

}  // namespace mirox::store

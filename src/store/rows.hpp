// Rows as C++ sees them: found by a unique index with the newest committed state, and locked in their newest version,
// whatever the transaction's isolation level. No SPI, no plan.
//
// Locks: reading takes AccessShareLock on table and index until close_scan(), and no longer: an act reads a session, then
// waits for its account's row, and whoever has that row may be waiting behind a VACUUM FULL of the sessions. Locking a row
// takes RowExclusiveLock on its table until the end of the transaction (so that a direct UPDATE can wait for all management
// in flight: statement_lock).
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

// One look-up. The slot's values point into the buffer that it pins: copy what must outlive close().
struct RowScan {
    Relation heap;
    Relation index;      // null: the row was found without (open_written)
    IndexScanDesc scan;  // null likewise
    TupleTableSlot* slot;
    Snapshot snapshot;  // registered
    ScanDirection direction;
    LOCKMODE release;  // what close_scan() gives back: AccessShareLock or NoLock
};

// What rows are found by: an index, its table, and how the index's first column compares. Its OID is taken when the table is locked:
// REINDEX CONCURRENTLY puts another index in its place, and drops the old one only when nobody has the table locked who could still
// look for it.
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

// A fresh snapshot, registered; what this transaction itself has done counts too.
Snapshot newest_snapshot();

// Waits for whoever makes or changes a row of this name, and keeps others from it until the transaction's end, so that two wait for
// each other instead of meeting in the unique index: an object lock on the table with the name's hash.
void lock_name(Oid table, std::string_view name, std::string_view more = {});

// Calls each(slot) for the rows of a table that is open, as a snapshot shows them, until it says false. The snapshot, which is
// registered, is let go.
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

// True when a row with this key is visible to a fresh snapshot. close_scan() must follow either way; after an ERROR the
// server's resource owner closes all.
bool open_scan(RowScan& scan, const RowIndex& by, Datum key, ScanDirection direction = ForwardScanDirection);
void close_scan(RowScan& scan);

// Likewise the version of a row that this transaction has just put there (write.hpp); false when it has written another since.
bool open_written(RowScan& scan, Oid heap, const ItemPointerData& at);

// After open_scan() was true: whether another row has this key too, which the slot then holds.
bool next_row(RowScan& scan, Datum key);

// Calls each(scan) with the scan on the rows that have the key, in the index's order or from its end, until each says false.
template <class Each>
void for_each_row(const RowIndex& by, Datum key, ScanDirection direction, Each each) {
    RowScan scan;
    bool more = open_scan(scan, by, key, direction);
    while (more) more = each(scan) && next_row(scan, key);
    close_scan(scan);
}

// Whether the version of the row that the scan stands on is still what a look-up would find: nobody has committed another, or
// taken it away, since.
bool is_newest(const RowScan& scan);

// Finds the row and locks its newest version, waiting for whoever holds it. False when there is none (any more). The slot
// then holds that version. close_scan() must follow either way; the row lock lasts until the transaction's end.
bool open_locked(RowScan& scan, const RowIndex& by, Datum key, LockTupleMode mode);

// Fixed part of a row of token_secret, at its place in the tuple (src/schema/20_tables.sql).
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
    std::int16_t key_id;
    char scheme;
    char state;
    bool locked;
};
inline constexpr char kCurrent = 'c', kOverlapping = 'o', kRetired = 'r', kRevoked = 'v';

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
// Of one that is NOT NULL.
inline Datum column(TupleTableSlot* slot, int number) {
    bool is_null;
    return slot_getattr(slot, number, &is_null);
}

}  // namespace mirox::store

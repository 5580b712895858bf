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

extern "C" {
#include "access/genam.h"
#include "access/tableam.h"
#include "nodes/lockoptions.h"
#include "storage/lockdefs.h"
#include "utils/rel.h"
#include "utils/snapshot.h"
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

struct Key {
    enum class Kind : std::uint8_t { digest, int8, int4, text } kind;
    Datum value;
};

// A fresh snapshot, registered; what this transaction itself has done counts too.
Snapshot newest_snapshot();

// True when a row with this key is visible to a fresh snapshot. close_scan() must follow either way; after an ERROR the
// server's resource owner closes all.
bool open_scan(RowScan& scan, Oid heap, Oid index, const Key& key,
               ScanDirection direction = ForwardScanDirection);
void close_scan(RowScan& scan);

// Likewise the version of a row that this transaction has just put there (write.hpp); false when it has written another since.
bool open_written(RowScan& scan, Oid heap, const ItemPointerData& at);

// After open_scan() was true: whether another row has this key too, which the slot then holds.
bool next_row(RowScan& scan, const Key& key);

// Calls each(scan) with the scan on the rows that have the key, in the index's order or from its end, until each says false.
template <class Each>
void for_each_row(Oid heap, Oid index, const Key& key, ScanDirection direction, Each each) {
    RowScan scan;
    bool more = open_scan(scan, heap, index, key, direction);
    while (more) more = each(scan) && next_row(scan, key);
    close_scan(scan);
}

// Whether the version of the row that the scan stands on is still what a look-up would find: nobody has committed another, or
// taken it away, since.
bool is_newest(const RowScan& scan);

// Finds the row and locks its newest version, waiting for whoever holds it. False when there is none (any more). The slot
// then holds that version. close_scan() must follow either way; the row lock lasts until the transaction's end.
bool open_locked(RowScan& scan, Oid heap, Oid index, const Key& key, LockTupleMode mode);

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
namespace secret_column {
inline constexpr int kDigest = 1, kTokenId = 2, kAccountId = 3, kExpiresAt = 4, kEndsAt = 5, kGeneration = 6,
                     kGroupId = 7, kRateLimit = 8, kBurst = 9, kKeyId = 10, kScheme = 11, kState = 12,
                     kLocked = 13, kUserId = 14, kPermissions = 15, kAllowedIps = 16, kAuditNode = 17,
                     kAuditId = 18;
}
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

Datum column(TupleTableSlot* slot, int number, bool* is_null);

}  // namespace mirox::store

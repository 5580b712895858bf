// Rows found by index and locked in their newest version (see rows.hpp, also for the locks).
#include "store/rows.hpp"

#include "pg/catalog.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tupmacs.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_am.h"
#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
}

namespace mirox::store {
namespace {

// The comparison for an index scan by digest. It is a function of this file because looking up the SQL function in the catalog
// costs more than the comparison.
Datum equal_digests(FunctionCallInfo fcinfo) {
    PG_RETURN_BOOL(core::equal_constant_time(digest_bytes(PG_GETARG_DATUM(0)), digest_bytes(PG_GETARG_DATUM(1))));
}

void init_key(ScanKeyData& out, RowIndex::Key kind, Datum key, Relation index) {
    switch (kind) {
        case RowIndex::digest: {
            FmgrInfo info = {};
            info.fn_addr = equal_digests;
            info.fn_nargs = 2;
            info.fn_strict = true;
            info.fn_stats = TRACK_FUNC_ALL;
            info.fn_mcxt = CurrentMemoryContext;
            const StrategyNumber equal = index->rd_rel->relam == HASH_AM_OID ? HTEqualStrategyNumber : BTEqualStrategyNumber;
            ScanKeyEntryInitializeWithInfo(&out, 0, 1, equal, InvalidOid, InvalidOid, &info, key);
            return;
        }
        case RowIndex::int8:
            ScanKeyInit(&out, 1, BTEqualStrategyNumber, F_INT8EQ, key);
            return;
        case RowIndex::int4:
            ScanKeyInit(&out, 1, BTEqualStrategyNumber, F_INT4EQ, key);
            return;
        case RowIndex::text:
            ScanKeyInit(&out, 1, BTEqualStrategyNumber, F_TEXTEQ, key);
            out.sk_collation = C_COLLATION_OID;
            return;
    }
}

// The next row with the key. A hash index returns all rows with the key's hash, so the digests are compared here.
bool read_on(RowScan& scan, Datum key) {
    while (index_getnext_tid(scan.scan, scan.direction) != nullptr) {
        if (!index_fetch_heap(scan.scan, scan.slot)) continue;
        if (!scan.scan->xs_recheck) return true;
        const Datum stored = column(scan.slot, secret_column::kDigest);
        if (core::equal_constant_time(digest_bytes(stored), digest_bytes(key))) return true;
    }
    return false;
}

bool scan_for(RowScan& scan, const RowIndex& by, Datum key, LOCKMODE table_lock, ScanDirection direction) {
    scan.direction = direction;
    scan.release = table_lock == AccessShareLock ? AccessShareLock : NoLock;
    scan.heap = pg::open_table(pg::catalog().*by.table, table_lock);
    scan.index = index_open(pg::catalog().*by.index, AccessShareLock);
    scan.snapshot = newest_snapshot();
    ScanKeyData keys;
    init_key(keys, by.key, key, scan.index);
    scan.slot = table_slot_create(scan.heap, nullptr);
    scan.scan = pg::begin_index_scan(scan.heap, scan.index, scan.snapshot, 1);
    index_rescan(scan.scan, &keys, 1, nullptr, 0);
    return read_on(scan, key);
}

Oid hash_of_name(std::string_view name, std::string_view more) {
    const auto hash = [](std::string_view text) {
        return hash_bytes(reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
    };
    return hash_combine(hash(name), hash(more));
}

}  // namespace

Snapshot newest_snapshot() {
    if (!IsParallelWorker()) CommandCounterIncrement();
    return RegisterSnapshot(GetLatestSnapshot());
}

void lock_name(Oid table, std::string_view name, std::string_view more) {
    LockDatabaseObject(table, hash_of_name(name, more), 0, ExclusiveLock);
}

void unlock_name(Oid table, std::string_view name, std::string_view more) {
    UnlockDatabaseObject(table, hash_of_name(name, more), 0, ExclusiveLock);
}

void await_uncommitted(const RowIndex& by, Datum key) {
    const Relation heap = pg::open_table(pg::catalog().*by.table, AccessShareLock);
    const Relation index = index_open(pg::catalog().*by.index, AccessShareLock);
    ScanKeyData keys;
    init_key(keys, by.key, key, index);
    TupleTableSlot* const slot = table_slot_create(heap, nullptr);
    SnapshotData dirty;
    InitDirtySnapshot(dirty);
    for (;;) {
        TransactionId writer = InvalidTransactionId;
        const IndexScanDesc scan = pg::begin_index_scan(heap, index, &dirty, 1);
        index_rescan(scan, &keys, 1, nullptr, 0);
        while (!TransactionIdIsValid(writer) && index_getnext_slot(scan, ForwardScanDirection, slot)) writer = dirty.xmin;
        ItemPointerData at = slot->tts_tid;
        index_endscan(scan);
        if (!TransactionIdIsValid(writer)) break;
        ExecClearTuple(slot);
        XactLockTableWait(writer, heap, &at, XLTW_InsertIndexUnique);
    }
    ExecDropSingleTupleTableSlot(slot);
    index_close(index, AccessShareLock);
    table_close(heap, AccessShareLock);
}

bool open_scan(RowScan& scan, const RowIndex& by, Datum key, ScanDirection direction) {
    return scan_for(scan, by, key, AccessShareLock, direction);
}

bool open_written(RowScan& scan, Oid heap, const ItemPointerData& at) {
    scan.heap = pg::open_table(heap, AccessShareLock);
    scan.index = nullptr;
    scan.scan = nullptr;
    scan.release = AccessShareLock;
    scan.slot = table_slot_create(scan.heap, nullptr);
    scan.snapshot = newest_snapshot();
    ItemPointerData tid = at;
    return table_tuple_fetch_row_version(scan.heap, &tid, scan.snapshot, scan.slot);
}

bool next_row(RowScan& scan, Datum key) {
    return read_on(scan, key);
}

void close_scan(RowScan& scan) {
    if (scan.scan != nullptr) {
        index_endscan(scan.scan);
        index_close(scan.index, scan.release);
    }
    ExecDropSingleTupleTableSlot(scan.slot);
    UnregisterSnapshot(scan.snapshot);
    table_close(scan.heap, scan.release);
}

bool is_newest(const RowScan& scan) {
    const Snapshot now = newest_snapshot();
    const bool visible = table_tuple_satisfies_snapshot(scan.heap, scan.slot, now);
    UnregisterSnapshot(now);
    return visible;
}

bool open_locked(RowScan& scan, const RowIndex& by, Datum key, LockTupleMode mode) {
    // Of a row whose key has changed while this waited, no version is locked: an act that then waits for others would hold a row that
    // is not its own. The row is looked for again.
    const bool key_is_fixed = by.key != RowIndex::text;
    const std::uint8_t flags = key_is_fixed ? TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS | TUPLE_LOCK_FLAG_FIND_LAST_VERSION : 0;
    TM_FailureData failure;
    TM_Result outcome;
    while (true) {
        if (!scan_for(scan, by, key, RowExclusiveLock, ForwardScanDirection)) return false;
        ItemPointerData tid = scan.slot->tts_tid;
        outcome = table_tuple_lock(scan.heap, &tid, scan.snapshot, scan.slot, GetCurrentCommandId(false), mode, LockWaitBlock,
                                   flags, &failure);
        if (outcome != TM_Updated || key_is_fixed) break;
        close_scan(scan);
    }
    switch (outcome) {
        case TM_Ok:
            return true;
        case TM_Deleted:
            return false;
        case TM_SelfModified:
            // Deleted by this transaction's own statement (a cascade that runs): the row counts as deleted.
            return false;
        default:
            MIROX_DEFECT("unexpected outcome %d of locking a row", outcome);
    }
    return false;
}

const SecretFixed& secret_fixed(TupleTableSlot* slot) {
    static_assert(offsetof(SecretFixed, token_id) == 32 && offsetof(SecretFixed, generation) == 64 &&
                  offsetof(SecretFixed, own_rate_limit) == 80 && offsetof(SecretFixed, own_burst) == 84 &&
                  offsetof(SecretFixed, key_id) == 88 && offsetof(SecretFixed, scheme) == 90 &&
                  offsetof(SecretFixed, state) == 91 && offsetof(SecretFixed, locked) == 92 &&
                  offsetof(SecretFixed, suspended) == 93);
    bool should_free;
    HeapTuple tuple = ExecFetchSlotHeapTuple(slot, false, &should_free);
    return *reinterpret_cast<const SecretFixed*>(GETSTRUCT(tuple));
}

SecretRest secret_rest(TupleTableSlot* slot) {
    using namespace secret_column;
    bool should_free;
    HeapTuple tuple = ExecFetchSlotHeapTuple(slot, false, &should_free);
    const HeapTupleHeader header = tuple->t_data;
    SecretRest rest;
    if (HeapTupleHeaderGetNatts(header) < kAllowedIps) {
        bool is_null;
        rest.user_id = column(slot, kUserId);
        rest.permissions = column(slot, kPermissions);
        rest.allowed_ips = column(slot, kAllowedIps, &is_null);
        rest.has_allowed_ips = !is_null;
        return rest;
    }
    // The columns before are NOT NULL and of fixed length. From there this walks column by column, as the server would.
    const char* base = reinterpret_cast<const char*>(header) + header->t_hoff;
    std::uint32_t at = offsetof(SecretFixed, suspended) + 1;
    const auto next = [&] {
        at = att_align_pointer(at, TYPALIGN_INT, -1, base + at);
        const char* value = base + at;
        at = att_addlength_pointer(at, -1, value);
        return PointerGetDatum(value);
    };
    rest.user_id = next();
    rest.permissions = next();
    rest.has_allowed_ips = !HeapTupleHasNulls(tuple) || !att_isnull(kAllowedIps - 1, header->t_bits);
    rest.allowed_ips = rest.has_allowed_ips ? next() : 0;
    return rest;
}

}  // namespace mirox::store

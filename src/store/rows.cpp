// Rows found by a unique index and locked in their newest version (see rows.hpp, also for the locks).
#include "store/rows.hpp"

#include "pg/catalog.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "executor/tuptable.h"
#include "pgstat.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"

Datum mirox_digest_eq(PG_FUNCTION_ARGS);
}

namespace mirox::store {
namespace {

void init_key(ScanKeyData& out, const Key& key) {
    switch (key.kind) {
        case Key::Kind::digest: {
            // Our own function: filled in by hand, since looking it up costs more than the comparison.
            FmgrInfo info = {};
            info.fn_addr = mirox_digest_eq;
            info.fn_nargs = 2;
            info.fn_strict = true;
            info.fn_stats = TRACK_FUNC_ALL;
            info.fn_mcxt = CurrentMemoryContext;
            ScanKeyEntryInitializeWithInfo(&out, 0, 1, BTEqualStrategyNumber, InvalidOid, InvalidOid, &info,
                                           key.value);
            return;
        }
        case Key::Kind::int8:
            ScanKeyInit(&out, 1, BTEqualStrategyNumber, F_INT8EQ, key.value);
            return;
        case Key::Kind::int4:
            ScanKeyInit(&out, 1, BTEqualStrategyNumber, F_INT4EQ, key.value);
            return;
        case Key::Kind::text:
            ScanKeyInit(&out, 1, BTEqualStrategyNumber, F_TEXTEQ, key.value);
            out.sk_collation = C_COLLATION_OID;
            return;
    }
}

// The index's OID once its table is locked: REINDEX CONCURRENTLY puts another in its place, and drops the old one only when
// nobody has the table locked who could still look for it.
Oid index_of_locked(Oid index, Oid pg::Catalog::*which) {
    return which == nullptr ? index : pg::catalog().*which;
}

Oid pg::Catalog::*which_index(Oid index) {
    using pg::Catalog;
    constexpr Oid Catalog::*all[] = {&Catalog::token_secret_digest, &Catalog::session_digest,
                                     &Catalog::account_pkey,        &Catalog::account_user,
                                     &Catalog::token_pkey,          &Catalog::permission_group_pkey};
    for (Oid Catalog::*const one : all)
        if (pg::catalog_known().*one == index) return one;
    return nullptr;
}

bool scan_for(RowScan& scan, Oid heap, Oid index, const Key& key, LOCKMODE table_lock) {
    Oid pg::Catalog::*const which = which_index(index);
    scan.release = table_lock == AccessShareLock ? AccessShareLock : NoLock;
    scan.heap = table_open(heap, table_lock);
    scan.index = index_open(index_of_locked(index, which), AccessShareLock);
    scan.slot = table_slot_create(scan.heap, nullptr);
    // What this transaction itself has done counts too.
    if (!IsParallelWorker()) CommandCounterIncrement();
    scan.snapshot = RegisterSnapshot(GetLatestSnapshot());
    scan.scan = index_beginscan(scan.heap, scan.index, scan.snapshot, 1, 0);
    ScanKeyData keys;
    init_key(keys, key);
    index_rescan(scan.scan, &keys, 1, nullptr, 0);
    return index_getnext_slot(scan.scan, ForwardScanDirection, scan.slot);
}

}  // namespace

bool open_scan(RowScan& scan, Oid heap, Oid index, const Key& key) {
    return scan_for(scan, heap, index, key, AccessShareLock);
}

void close_scan(RowScan& scan) {
    index_endscan(scan.scan);
    UnregisterSnapshot(scan.snapshot);
    ExecDropSingleTupleTableSlot(scan.slot);
    index_close(scan.index, scan.release);
    table_close(scan.heap, scan.release);
}

bool open_locked(RowScan& scan, Oid heap, Oid index, const Key& key, LockTupleMode mode) {
    // Said here, before a lock or a transaction id that a standby cannot give fails with an internal error.
    if (XactReadOnly)
        MIROX_RAISE(ERRCODE_READ_ONLY_SQL_TRANSACTION,
                    errmsg("cannot change accounts, sessions or tokens in a read-only transaction"),
                    errhint("Call it on the primary, in a read-write transaction."));
    if (!scan_for(scan, heap, index, key, RowExclusiveLock)) return false;
    TM_FailureData failure;
    ItemPointerData tid = scan.slot->tts_tid;
    const TM_Result outcome = table_tuple_lock(
        scan.heap, &tid, scan.snapshot, scan.slot, GetCurrentCommandId(false), mode, LockWaitBlock,
        TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS | TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
    switch (outcome) {
        case TM_Ok:
            return true;
        case TM_Deleted:
            return false;
        case TM_SelfModified:
            // Deleted by this transaction's own command (a cascade under way): gone, as far as anybody new is concerned.
            return false;
        default:
            elog(ERROR, "unexpected outcome %d of locking a row", outcome);
    }
    return false;
}

const SecretFixed& secret_fixed(TupleTableSlot* slot) {
    static_assert(offsetof(SecretFixed, token_id) == 32 && offsetof(SecretFixed, generation) == 64 &&
                  offsetof(SecretFixed, key_id) == 80 && offsetof(SecretFixed, scheme) == 82 &&
                  offsetof(SecretFixed, state) == 83 && offsetof(SecretFixed, locked) == 84);
    bool should_free;
    HeapTuple tuple = ExecFetchSlotHeapTuple(slot, false, &should_free);
    return *reinterpret_cast<const SecretFixed*>(GETSTRUCT(tuple));
}

Datum column(TupleTableSlot* slot, int number, bool* is_null) {
    return slot_getattr(slot, number, is_null);
}

}  // namespace mirox::store

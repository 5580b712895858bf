// Rows found by a unique index and locked in their newest version (see rows.hpp, also for the locks).
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
#include "executor/tuptable.h"
#include "pgstat.h"
#include "storage/proc.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"

Datum mirox_digest_eq(PG_FUNCTION_ARGS);
}

namespace mirox::store {
namespace {

void init_key(ScanKeyData& out, const Key& key, Relation index) {
    switch (key.kind) {
        case Key::Kind::digest: {
            // Our own function: filled in by hand, since looking it up costs more than the comparison.
            FmgrInfo info = {};
            info.fn_addr = mirox_digest_eq;
            info.fn_nargs = 2;
            info.fn_strict = true;
            info.fn_stats = TRACK_FUNC_ALL;
            info.fn_mcxt = CurrentMemoryContext;
            const StrategyNumber equal =
                index->rd_rel->relam == HASH_AM_OID ? HTEqualStrategyNumber : BTEqualStrategyNumber;
            ScanKeyEntryInitializeWithInfo(&out, 0, 1, equal, InvalidOid, InvalidOid, &info, key.value);
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
                                     &Catalog::token_pkey,          &Catalog::permission_group_pkey,
                                     &Catalog::token_place,         &Catalog::token_secret_token};
    for (Oid Catalog::*const one : all)
        if (pg::catalog_known().*one == index) return one;
    return nullptr;
}

// ---- a scan that is kept ---------------------------------------------------------------------------------------------
//
// Most of what an index scan costs beside its reads is making the scan: a slot, a descriptor, tens of kilobytes of the index's
// own. None of these hold a lock, a pin or a reference while the scan rests, so they are kept from one look-up to the next,
// and each look-up puts in what it has opened itself.

struct Kept {
    Oid heap, index;
    MemoryContext memory;  // of scan, slot and what the index adds to them
    IndexScanDesc scan;    // null: none, or one that is no longer good
    TupleTableSlot* slot;
    bool in_use;
    LocalTransactionId user;  // the transaction that uses it
};
constinit Kept kept[8] = {};  // one for each index that is read so
constinit bool watching = false;

LocalTransactionId this_transaction() {
    return pg::my_transaction();
}

// The slot is made for the table's columns as they were.
void forget_kept(Oid relation) {
    for (Kept& one : kept)
        if (relation == InvalidOid || relation == one.heap || relation == one.index) one.heap = InvalidOid;
}

// A scan that an ERROR cut short still names buffers that the transaction's end has let go: it is thrown away, not ended.
bool is_resting(const Kept& one) {
    return !one.in_use || one.user != this_transaction();
}

bool make_kept(Kept& one, Relation heap, Relation index, Snapshot snapshot) {
    // Any table access method but the server's own may keep more in a scan than we know of.
    if (heap->rd_tableam != GetHeapamTableAmRoutine()) return false;
    if (!watching) {
        pg::listen_to_relations(forget_kept);
        watching = true;
    }
    one.heap = InvalidOid;
    one.scan = nullptr;
    if (one.memory == nullptr)
        one.memory = AllocSetContextCreate(TopMemoryContext, "mirox_tokens look-up", ALLOCSET_SMALL_SIZES);
    MemoryContextReset(one.memory);
    const MemoryContext before = MemoryContextSwitchTo(one.memory);
    one.slot = make_kept_slot(heap);
    one.scan = pg::begin_index_scan(heap, index, snapshot, 1);
    MemoryContextSwitchTo(before);
    // The scan's own hold on the index; while it is used, ours is enough.
    RelationDecrementReferenceCount(index);
    one.heap = RelationGetRelid(heap);
    one.index = RelationGetRelid(index);
    return true;
}

// The kept scan for this table and index, ready for its key; null when there is none to be had.
Kept* take_kept(const RowScan& scan) {
    const Oid heap = RelationGetRelid(scan.heap), index = RelationGetRelid(scan.index);
    Kept* empty = nullptr;
    for (Kept& one : kept) {
        if (!is_resting(one)) continue;
        if (one.heap == heap && one.index == index && !one.in_use) {
            one.in_use = true;
            one.user = this_transaction();
            one.scan->heapRelation = scan.heap;
            one.scan->indexRelation = scan.index;
            one.scan->xs_snapshot = scan.snapshot;
            one.scan->xs_heapfetch->rel = scan.heap;
            // As index_beginscan() would find it now: a standby may have been promoted since.
            one.scan->xactStartedInRecovery = TransactionStartedDuringRecovery();
            one.scan->ignore_killed_tuples = !one.scan->xactStartedInRecovery;
            return &one;
        }
        if (one.heap == InvalidOid || one.in_use) empty = empty == nullptr ? &one : empty;
    }
    if (empty == nullptr) return nullptr;
    // Not good until it is made whole.
    empty->in_use = true;
    empty->user = this_transaction();
    if (!make_kept(*empty, scan.heap, scan.index, scan.snapshot)) {
        empty->in_use = false;
        return nullptr;
    }
    return empty;
}

// Lets go of every pin; the scan then rests.
void put_back(RowScan& scan) {
    Kept& one = *static_cast<Kept*>(scan.kept);
    index_rescan(scan.scan, scan.scan->keyData, 1, nullptr, 0);
    ExecClearTuple(scan.slot);
    one.scan->heapRelation = one.scan->indexRelation = nullptr;
    one.scan->xs_snapshot = nullptr;
    one.scan->xs_heapfetch->rel = nullptr;
    one.in_use = false;
}

// What the index adds to a kept scan must live as long as the scan.
MemoryContext enter_memory(const RowScan& scan) {
    return MemoryContextSwitchTo(scan.kept == nullptr ? CurrentMemoryContext
                                                      : static_cast<Kept*>(scan.kept)->memory);
}

// The next row that has the key. A hash index finds what has the key's hash, and leaves the rest to us.
bool read_on(RowScan& scan, const Key& key) {
    while (const ItemPointer at = index_getnext_tid(scan.scan, scan.direction)) {
        scan.root = *at;  // reading the row puts its own place there
        if (!index_fetch_heap(scan.scan, scan.slot)) continue;
        if (!scan.scan->xs_recheck) return true;
        Assert(key.kind == Key::Kind::digest);
        bool is_null;
        const Datum stored = slot_getattr(scan.slot, 1, &is_null);
        if (!is_null && core::equal_constant_time(digest_bytes(stored), digest_bytes(key.value))) return true;
    }
    return false;
}

bool scan_for(RowScan& scan, Oid heap, Oid index, const Key& key, LOCKMODE table_lock,
              ScanDirection direction) {
    scan.direction = direction;
    Oid pg::Catalog::*const which = which_index(index);
    scan.release = table_lock == AccessShareLock ? AccessShareLock : NoLock;
    scan.heap = pg::open_table(heap, table_lock);
    scan.index = index_open(index_of_locked(index, which), AccessShareLock);
    scan.snapshot = newest_snapshot();
    Kept* one = table_lock == AccessShareLock ? take_kept(scan) : nullptr;
    scan.kept = one;
    ScanKeyData keys;
    init_key(keys, key, scan.index);
    scan.slot = one == nullptr ? table_slot_create(scan.heap, nullptr) : one->slot;
    scan.scan = one == nullptr ? pg::begin_index_scan(scan.heap, scan.index, scan.snapshot, 1) : one->scan;
    const MemoryContext before = enter_memory(scan);
    index_rescan(scan.scan, &keys, 1, nullptr, 0);
    const bool found = read_on(scan, key);
    MemoryContextSwitchTo(before);
    return found;
}

}  // namespace

TupleTableSlot* make_kept_slot(Relation heap) {
    return MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(heap)), &TTSOpsBufferHeapTuple);
}

namespace {
[[gnu::hot]] Snapshot latest_snapshot() {
    if (!IsParallelWorker()) CommandCounterIncrement();
    return GetLatestSnapshot();
}
}  // namespace

[[gnu::hot]] void take_passing_snapshot(SnapshotData& out) {
    out = *latest_snapshot();
    // Judging a row by it, the server asserts that somebody counts it as in use; nobody else knows of this copy.
    out.active_count = 1;
}

Snapshot newest_snapshot() {
    return RegisterSnapshot(latest_snapshot());
}

bool open_scan(RowScan& scan, Oid heap, Oid index, const Key& key, ScanDirection direction) {
    return scan_for(scan, heap, index, key, AccessShareLock, direction);
}

bool open_written(RowScan& scan, Oid heap, const ItemPointerData& at) {
    scan.heap = pg::open_table(heap, AccessShareLock);
    begin_without_index(scan, table_slot_create(scan.heap, nullptr), nullptr);
    scan.snapshot = newest_snapshot();
    ItemPointerData tid = at;
    return table_tuple_fetch_row_version(scan.heap, &tid, scan.snapshot, scan.slot);
}

bool next_row(RowScan& scan, const Key& key) {
    const MemoryContext before = enter_memory(scan);
    const bool found = read_on(scan, key);
    MemoryContextSwitchTo(before);
    return found;
}

[[gnu::hot]] void close_scan(RowScan& scan) {
    if (scan.scan == nullptr) {
        if (scan.in_use == nullptr) {
            ExecDropSingleTupleTableSlot(scan.slot);
        } else {
            ExecClearTuple(scan.slot);
            *scan.in_use = false;
        }
        if (scan.snapshot != nullptr) UnregisterSnapshot(scan.snapshot);
        table_close(scan.heap, scan.release);
        return;
    }
    if (scan.kept != nullptr) {
        put_back(scan);
    } else {
        index_endscan(scan.scan);
        ExecDropSingleTupleTableSlot(scan.slot);
    }
    UnregisterSnapshot(scan.snapshot);
    index_close(scan.index, scan.release);
    table_close(scan.heap, scan.release);
}

bool is_newest(const RowScan& scan) {
    const Snapshot now = newest_snapshot();
    const bool visible = table_tuple_satisfies_snapshot(scan.heap, scan.slot, now);
    UnregisterSnapshot(now);
    return visible;
}

bool open_locked(RowScan& scan, Oid heap, Oid index, const Key& key, LockTupleMode mode) {
    // Said here, before a lock or a transaction id that a standby cannot give fails with an internal error.
    if (XactReadOnly)
        MIROX_RAISE(ERRCODE_READ_ONLY_SQL_TRANSACTION,
                    errmsg("cannot change accounts, sessions or tokens in a read-only transaction"),
                    errhint("Call it on the primary, in a read-write transaction."));
    if (!scan_for(scan, heap, index, key, RowExclusiveLock, ForwardScanDirection)) return false;
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
            MIROX_DEFECT("unexpected outcome %d of locking a row", outcome);
    }
    return false;
}

[[gnu::hot]] const SecretFixed& secret_fixed(TupleTableSlot* slot) {
    static_assert(offsetof(SecretFixed, token_id) == 32 && offsetof(SecretFixed, generation) == 64 &&
                  offsetof(SecretFixed, key_id) == 80 && offsetof(SecretFixed, scheme) == 82 &&
                  offsetof(SecretFixed, state) == 83 && offsetof(SecretFixed, locked) == 84);
    bool should_free;
    HeapTuple tuple = ExecFetchSlotHeapTuple(slot, false, &should_free);
    return *reinterpret_cast<const SecretFixed*>(GETSTRUCT(tuple));
}

[[gnu::hot]] SecretRest secret_rest(TupleTableSlot* slot) {
    using namespace secret_column;
    bool should_free;
    HeapTuple tuple = ExecFetchSlotHeapTuple(slot, false, &should_free);
    const HeapTupleHeader header = tuple->t_data;
    SecretRest rest;
    if (HeapTupleHeaderGetNatts(header) < kAllowedIps) {
        bool is_null;
        rest.user_id = column(slot, kUserId, &is_null);
        rest.permissions = column(slot, kPermissions, &is_null);
        rest.allowed_ips = column(slot, kAllowedIps, &is_null);
        rest.has_allowed_ips = !is_null;
        return rest;
    }
    // What stands before is NOT NULL and of fixed length: from there, a column after the other, as the server would walk.
    const char* base = reinterpret_cast<const char*>(header) + header->t_hoff;
    std::uint32_t at = offsetof(SecretFixed, locked) + 1;
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

Datum column(TupleTableSlot* slot, int number, bool* is_null) {
    return slot_getattr(slot, number, is_null);
}

}  // namespace mirox::store

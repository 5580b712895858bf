// The row of a digest by its hint, or by the index (see secret_row.hpp, also for the locks).
#include "store/secret_row.hpp"

#include "pg/buffers.hpp"
#include "pg/catalog.hpp"
#include "shmem/hints.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/table.h"
#include "executor/tuptable.h"
#include "pgstat.h"
#include "utils/snapmgr.h"
}

namespace mirox::store {
namespace {

using shmem::Hint;

[[gnu::hot]] std::uint64_t first_bits(const core::Digest& digest) {
    std::uint64_t bits;
    memcpy(&bits, digest.data(), sizeof(bits));
    return bits;
}

[[gnu::hot]] HintLine expect(std::uint64_t bits) {
    const HintLine line = {shmem::combine(bits, MyDatabaseId)};
    shmem::hints().prefetch(line.key);
    return line;
}

// Which line by the low bits, whose hint in it by the digest's.
[[gnu::hot]] std::uint64_t key_of(const core::Digest& digest, HintLine line) {
    constexpr std::uint64_t kLow = (std::uint64_t{1} << 48) - 1;
    return (line.key & kLow) | (first_bits(digest) & ~kLow);
}

// The slot that a row found by its hint stands in, kept from one check to the next; while it rests it holds neither pin nor
// reference.
struct Resting {
    Oid heap;  // whose columns the slot has; InvalidOid: none
    MemoryContext memory;
    TupleTableSlot* slot;
    bool in_use;
    LocalTransactionId user;  // the transaction that uses it
};
constinit Resting resting = {};
constinit bool watching = false;

void forget_slot(Oid relation) {
    if (relation == InvalidOid || relation == resting.heap) resting.heap = InvalidOid;
}

// False when a check further up the stack uses it. One that an ERROR cut short still names a buffer that the transaction's end
// has let go: it is thrown away, not cleared.
[[gnu::hot]] bool take_slot(Relation heap) {
    if (resting.in_use && resting.user == pg::my_transaction()) return false;
    if (resting.in_use || resting.heap != RelationGetRelid(heap)) {
        if (!watching) {
            pg::listen_to_relations(forget_slot);
            watching = true;
        }
        resting.heap = InvalidOid;
        if (resting.memory == nullptr)
            resting.memory =
                AllocSetContextCreate(TopMemoryContext, "mirox_tokens row", ALLOCSET_SMALL_SIZES);
        MemoryContextReset(resting.memory);
        const MemoryContext before = MemoryContextSwitchTo(resting.memory);
        resting.slot = make_kept_slot(heap);
        MemoryContextSwitchTo(before);
        resting.heap = RelationGetRelid(heap);
        resting.in_use = false;
    }
    resting.in_use = true;
    resting.user = pg::my_transaction();
    return true;
}

[[gnu::hot]] void fetch_early(const Hint& hint) {
    shmem::prefetch_to_write(pg::descriptor_of(static_cast<Buffer>(hint.buffer)));
    const char* const page = BufferBlocks + static_cast<Size>(hint.buffer - 1) * BLCKSZ;
    shmem::prefetch_to_read(page);
    shmem::prefetch_to_read(page + (SizeOfPageHeaderData + (hint.item - 1) * sizeof(ItemIdData)));
    // A row of a few scopes takes four lines; the processor brings the neighbour of each.
    for (std::uint32_t line = 0; line < 4 && hint.offset + line * shmem::kCacheLine < BLCKSZ; line++)
        shmem::prefetch_to_read(page + hint.offset + line * shmem::kCacheLine);
}

// The row that the hint leads to, in the slot and pinned; false when it is not there (any more).
[[gnu::hot]] bool follow(const Hint& hint, RowScan& scan, Snapshot snapshot, const core::Digest& digest) {
    const auto buffer = static_cast<Buffer>(hint.buffer);
    const BlockNumber block = pg::block_in(buffer);
    if (block == InvalidBlockNumber || !pg::pin_if_holds(scan.heap, block, buffer)) return false;
    ItemPointerSet(&scan.root, block, hint.item);
    ItemPointerData at = scan.root;
    auto* const slot = reinterpret_cast<BufferHeapTupleTableSlot*>(scan.slot);
    HeapTuple tuple = &slot->base.tupdata;
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    const bool visible = heap_hot_search_buffer(&at, scan.heap, buffer, snapshot, tuple, nullptr, true);
    LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
    if (!visible) {
        ReleaseBuffer(buffer);
        return false;
    }
    pgstat_count_heap_fetch(scan.heap);
    scan.slot->tts_tableOid = RelationGetRelid(scan.heap);
    ExecStorePinnedBufferHeapTuple(tuple, scan.slot, buffer);
    return core::equal_constant_time(secret_fixed(scan.slot).digest, digest);
}

[[gnu::hot]] bool open_hinted(RowScan& scan, const Hint& hint, Oid heap, const core::Digest& digest) {
    // Locking the table and taking a snapshot is most of what the page needs to come.
    fetch_early(hint);
    scan.heap = pg::open_table(heap, AccessShareLock);
    // Another table access method has rows of another form.
    if (scan.heap->rd_tableam == GetHeapamTableAmRoutine() && take_slot(scan.heap)) {
        begin_without_index(scan, resting.slot, &resting.in_use);
        // Where the caller has one, his keeps what ours sees from being cleared away: ours need not be registered for the one
        // page that it judges.
        SnapshotData passing;
        scan.snapshot = nullptr;
        if (ActiveSnapshotSet())
            take_passing_snapshot(passing);
        else
            scan.snapshot = newest_snapshot();
        if (follow(hint, scan, scan.snapshot == nullptr ? &passing : scan.snapshot, digest)) return true;
        close_scan(scan);
        return false;
    }
    table_close(scan.heap, AccessShareLock);
    return false;
}

void keep_hint(std::uint64_t key, const RowScan& scan) {
    if (!TTS_IS_BUFFERTUPLE(scan.slot)) return;
    const auto* const slot = reinterpret_cast<const BufferHeapTupleTableSlot*>(scan.slot);
    Hint hint;
    hint.buffer = static_cast<std::uint32_t>(slot->buffer);
    hint.item = ItemPointerGetOffsetNumber(&scan.root);
    hint.offset = static_cast<std::uint32_t>(reinterpret_cast<const char*>(slot->base.tuple->t_data) -
                                             reinterpret_cast<const char*>(BufferGetPage(slot->buffer)));
    shmem::hints().put(key, hint);
}

}  // namespace

[[gnu::hot]] HintLine expect_secret_row(std::string_view shown_chars) {
    std::uint64_t bits = 0;
    if (!shown_chars.empty()) memcpy(&bits, shown_chars.data(), Min(shown_chars.size(), sizeof(bits)));
    return expect(bits);
}

[[gnu::hot]] HintLine expect_secret_row(const core::Digest& digest) {
    return expect(first_bits(digest));
}

[[gnu::hot]] bool open_secret_row(RowScan& scan, const core::Digest& digest, HintLine line) {
    const pg::Catalog& catalog = pg::catalog();
    const std::uint64_t key = key_of(digest, line);
    Hint hint;
    if (shmem::hints().find(key, hint) && open_hinted(scan, hint, catalog.token_secret, digest)) return true;
    const bool found = open_scan(scan, catalog.token_secret, catalog.token_secret_digest,
                                 {Key::Kind::digest, PointerGetDatum(digest.data())});
    if (found) keep_hint(key, scan);
    return found;
}

}  // namespace mirox::store

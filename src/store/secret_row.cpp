// The row of a digest by its hint, or by the index (see secret_row.hpp, also for the locks).
#include "store/secret_row.hpp"

#include "pg/catalog.hpp"
#include "pg/settings.hpp"
#include "shmem/hints.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/table.h"
#include "executor/tuptable.h"
#include "pgstat.h"
}

namespace mirox::store {
namespace {

using shmem::Hint;

// The server counts a page as used when it is found by the index, and not when it is pinned by its buffer's number. So one use in
// so many goes by the index, or pages in use would be evicted before those that are not.
constexpr std::uint32_t kByIndex = 16;
std::uint32_t uses = 0;

std::uint64_t key_of(const core::Digest& digest) {
    std::uint64_t bits;
    memcpy(&bits, digest.data(), sizeof(bits));
    return shmem::combine(bits, MyDatabaseId);
}

// The row that the hint leads to, in the slot and pinned; false when it is not there (any more).
bool follow(const Hint& hint, RowScan& scan, const core::Digest& digest) {
    const auto buffer = static_cast<Buffer>(hint.buffer);
    if (buffer > NBuffers || !pg::pin_recent(scan.heap, hint.block, buffer)) return false;
    ItemPointerSet(&scan.root, hint.block, hint.item);
    ItemPointerData at = scan.root;
    auto* const slot = reinterpret_cast<BufferHeapTupleTableSlot*>(scan.slot);
    HeapTuple tuple = &slot->base.tupdata;
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    const bool visible = heap_hot_search_buffer(&at, scan.heap, buffer, scan.snapshot, tuple, nullptr, true);
    LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
    if (!visible) {
        ReleaseBuffer(buffer);
        return false;
    }
    pgstat_count_buffer_read(scan.heap);
    pgstat_count_buffer_hit(scan.heap);
    pgstat_count_heap_fetch(scan.heap);
    scan.slot->tts_tableOid = RelationGetRelid(scan.heap);
    ExecStorePinnedBufferHeapTuple(tuple, scan.slot, buffer);
    return core::equal_constant_time(secret_fixed(scan.slot).digest, digest);
}

bool open_hinted(RowScan& scan, const Hint& hint, Oid heap, const core::Digest& digest) {
    begin_without_index(scan, pg::open_table(heap, AccessShareLock));
    // Another table access method has rows of another form.
    if (scan.heap->rd_tableam == GetHeapamTableAmRoutine() && follow(hint, scan, digest)) return true;
    close_scan(scan);
    return false;
}

void keep_hint(std::uint64_t key, const RowScan& scan) {
    if (!TTS_IS_BUFFERTUPLE(scan.slot)) return;
    const auto* const slot = reinterpret_cast<const BufferHeapTupleTableSlot*>(scan.slot);
    shmem::hints().put(key, {static_cast<std::uint32_t>(slot->buffer), ItemPointerGetBlockNumber(&scan.root),
                             ItemPointerGetOffsetNumber(&scan.root)});
}

}  // namespace

bool open_secret_row(RowScan& scan, const core::Digest& digest) {
    const pg::Catalog& catalog = pg::catalog();
    const bool hints = pg::settings().enable_hints;
    const std::uint64_t key = key_of(digest);
    Hint hint;
    if (hints && ++uses % kByIndex != 0 && shmem::hints().find(key, hint) &&
        open_hinted(scan, hint, catalog.token_secret, digest))
        return true;
    const bool found = open_scan(scan, catalog.token_secret, catalog.token_secret_digest,
                                 {Key::Kind::digest, PointerGetDatum(digest.data())});
    if (found && hints) keep_hint(key, scan);
    return found;
}

}  // namespace mirox::store

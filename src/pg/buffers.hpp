// A page of a table in the buffer that it was last seen in: what reading it costs when nothing has moved. The one place that
// looks into the server's descriptors of buffers.
//
// Locks: none; a buffer that is to be read must be pinned and its content locked, as always.
#pragma once

#include "pg/prelude.hpp"

extern "C" {
#include "pgstat.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
}

namespace mirox::pg {

// For fetching it early: pinning writes to it.
inline const void* descriptor_of(Buffer buffer) {
    return GetBufferDescriptor(buffer - 1);
}

// The block that the buffer holds, of whatever table, or did a moment ago; InvalidBlockNumber for a buffer that is none.
inline BlockNumber block_in(Buffer buffer) {
    if (buffer < 1 || buffer > NBuffers) return InvalidBlockNumber;
    return *const_cast<const volatile BlockNumber*>(&GetBufferDescriptor(buffer - 1)->tag.blockNum);
}

// Pins the buffer when it holds this block of this table; false, and nothing is pinned, when it does not.
inline bool pin_if_holds(Relation table, BlockNumber block, Buffer buffer) {
#if PG_VERSION_NUM >= 160000
    if (!ReadRecentBuffer(table->rd_locator, MAIN_FORKNUM, block, buffer)) return false;
#else
    if (!ReadRecentBuffer(table->rd_node, MAIN_FORKNUM, block, buffer)) return false;
#endif
    // A page that is only ever read so would look unused to the clock sweep, and be evicted before those that are: counted here
    // as the server's own way to a buffer counts it, or not at all when another process is at the word.
    BufferDesc* const descriptor = GetBufferDescriptor(buffer - 1);
    std::uint32_t state = pg_atomic_read_u32(&descriptor->state);
    if ((state & BM_LOCKED) == 0 && BUF_STATE_GET_USAGECOUNT(state) < BM_MAX_USAGE_COUNT)
        pg_atomic_compare_exchange_u32(&descriptor->state, &state, state + BUF_USAGECOUNT_ONE);
    pgstat_count_buffer_read(table);
    pgstat_count_buffer_hit(table);
    return true;
}

}  // namespace mirox::pg

// A batch of events: counted by minute and facts, then written to the tables. All its memory is in the transaction's context.
//
// Locks: those of its statements.
#pragma once

#include "pg/prelude.hpp"
//
#include "shmem/control.hpp"
#include "shmem/region.hpp"

extern "C" {
#include "utils/hsearch.h"
}

namespace mirox::worker {

// The most events in a transaction. A ring of the default size holds about as many, so that one drain writes a token's rows once,
// however often the token was used. There is a limit because distinct uses and texts are held in memory.
inline constexpr int kBatch = 500'000;

// The distinct texts of a kind, numbered from 1; 0 is none.
struct Texts {
    HTAB* table;
    std::string_view* all;  // these point into the ring
    std::int32_t* ids;      // of the tables' rows, by number; 0: none, or beyond the limit of new texts
    std::uint32_t count, room;
};

struct Use;

struct Batch {
    Texts texts[shmem::kTexts];
    HTAB *uses, *tokens, *places, *endpoints;
    Use** list;
    std::uint32_t count, room;
};

void make_batch(Batch& batch);
void gather(Batch& batch, const shmem::StoredEvent& stored);
// Returns how many uses by minute and facts were written.
std::uint64_t write_batch(shmem::DatabaseStats* stats, Batch& batch);
// Tells the counters what the batch wrote. Call it before COMMIT, so that a snapshot that sees the rows finds it posted.
void post_counts(shmem::Region& region, const Batch& batch, std::uint64_t from, std::uint64_t to);

// Forgets what was remembered of minutes before this one, which have closed: tokens may come from as many addresses again.
void forget_crowds(std::int64_t before);

}  // namespace mirox::worker

// A batch of events: gathered by minute and caller, then written to the tables. All its memory is in the transaction's context.
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

// Events a transaction: what a ring of the default size holds, so that a drain writes a token's rows once, however often it was
// used; a bound all the same, since what differs is held in memory.
inline constexpr int kBatch = 500'000;

// The distinct texts of a kind, numbered from 1; 0 is none.
struct Texts {
    HTAB* table;
    std::string_view* all;  // they point into the ring
    Datum* shown;
    std::uint32_t count;
};

struct Caller;

struct Batch {
    Texts texts[shmem::kTexts];
    HTAB *callers, *uses, *tokens, *places;
    Caller** caller_list;
    std::uint32_t caller_count;
    Datum* agent_ids;                   // numbered as the texts are
    Datum reasons[core::kReasons + 1];  // the last: of a number that is none of ours
    Datum empty;                        // text
};

void make_batch(Batch& batch);
void gather(Batch& batch, const shmem::StoredEvent& stored);
// Returns how many uses by minute and caller were written.
std::uint64_t write_batch(shmem::DatabaseStats* stats, Batch& batch);
// Before COMMIT, so that whoever sees the rows finds the counters told.
void tell_counters(shmem::Region& region, const Batch& batch, std::uint64_t from, std::uint64_t to);

}  // namespace mirox::worker

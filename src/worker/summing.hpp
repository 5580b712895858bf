// Adds up closed minutes into hours, and hours into days: each once, when the hour or day is over, some accounts at a time, so that the
// worker drains between two slices. usage_summed tells how far this has come, also to readers and to a worker that was restarted.
//
// Locks: those of its statements, and of a partition that is made (partitions.hpp).
#pragma once

#include "pg/prelude.hpp"
//
#include "pg/transaction.hpp"
#include "shmem/control.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace mirox::worker {

struct Summing {
    bool active;               // a slice follows
    std::int32_t hours, days;  // about how many rows a slice of either reads; 0: the first
};

// Runs a slice of hours, else of days. When nothing is due, `active` is false. On failure too; `trouble` says why.
bool sum_slice(Summing& summing, shmem::DatabaseStats* stats, pg::Trouble& trouble);

}  // namespace mirox::worker

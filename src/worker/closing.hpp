// Closes minutes: moves their uses from usage_open to the minutes, to the traffic by hour and to the usage of tokens, some tokens at
// a time, so that the worker drains between two slices. A late use goes to its hour and day too, when they are added up already.
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

struct Closing {
    bool active;         // a slice follows
    std::int32_t rows;   // of usage_open, that a slice takes; 0: the first
    TimestampTz before;  // minutes before this one close
};

// Begins to close the minutes before `before`, whose events must have been drained. When such a closing was interrupted, that one is
// ended first.
void begin_closing(Closing& closing, TimestampTz before);
// Runs a slice. After the last one `active` is false. On failure too; `trouble` says why.
bool close_slice(Closing& closing, shmem::DatabaseStats* stats, pg::Trouble& trouble);

}  // namespace mirox::worker

// What the worker does besides draining: closing minutes, notices of expiration, and keeping house: retention, strangers' old
// minutes, positions of rings that are gone, ended sessions, agents that could not be resolved before. Each in transactions of its
// own, with lock_timeout; what fails is tried again the next time.
#pragma once

#include "pg/prelude.hpp"
//
#include "pg/transaction.hpp"
#include "shmem/control.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace mirox::worker {

// Closes the minutes before `minute`, all of whose events have been drained: what was open of them is a closed minute from now
// on, and counts in its hour, its day and its token's usage.
bool close_minutes_before(shmem::DatabaseStats* stats, TimestampTz minute, pg::Trouble& trouble);

bool send_notices(shmem::DatabaseStats* stats, pg::Trouble& trouble);

// A pass over the house, however long, is many short transactions, so that the worker drains in between.
struct House {
    bool active;
    bool failed;   // one of its tasks has; the others went on
    bool retains;  // audit_retention is set
    int task;
    std::int64_t cursor;  // how far the task has come
    std::int32_t rows;    // about as many for the next slice
    TimestampTz began;
    TimestampTz before;  // what is older goes
};
void begin_house(House& house);
// One slice of it, a second at most. False when its task failed, and the next one comes instead. After the last, `active` is false.
bool keep_house(House& house, shmem::DatabaseStats* stats, pg::Trouble& trouble);

}  // namespace mirox::worker

// What the worker does besides draining: it closes minutes, sends notices of expiration, and does maintenance. Maintenance
// deletes rows past their retention, merges old unauthenticated requests, and deletes positions of rings that no longer exist and
// ended sessions; it also resolves user agents that could not be resolved before. Each step is a transaction of its own, with
// lock_timeout. What fails is retried in the next run.
#pragma once

#include "pg/prelude.hpp"
//
#include "pg/transaction.hpp"
#include "shmem/control.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace mirox::worker {

// Closes the minutes before `minute`. All their events must have been drained. Moves their uses from usage_open to usage_minute,
// and adds them to hours, days and the usage of tokens.
bool close_minutes_before(shmem::DatabaseStats* stats, TimestampTz minute, pg::Trouble& trouble);

bool send_notices(shmem::DatabaseStats* stats, pg::Trouble& trouble);

// A maintenance run. It is cut into short transactions, so that the worker can drain between them.
struct Maintenance {
    bool active;
    bool failed;   // a task has failed; the others still run
    bool retains;  // audit_retention is set
    int task;
    std::int64_t cursor;  // how far the task has come
    std::int32_t rows;    // about how many the next slice takes
    TimestampTz began;
    TimestampTz before;  // older rows are deleted
};
void begin_maintenance(Maintenance& maintenance);
// Runs one slice, which takes a second at most. False when its task failed; the next slice is then of the next task. After the
// last one, `active` is false.
bool run_maintenance(Maintenance& maintenance, shmem::DatabaseStats* stats, pg::Trouble& trouble);

}  // namespace mirox::worker

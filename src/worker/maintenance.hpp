// What the worker does besides recording use: it sends notices of expiration, and does maintenance. Maintenance drops partitions past
// their retention and deletes old rows of the other tables, merges old unauthenticated requests, and deletes positions of rings that
// no longer exist and ended sessions; it also resolves user agents that could not be resolved before. Each step is a short
// transaction, with lock_timeout. What fails is retried later.
#pragma once

#include "pg/prelude.hpp"
//
#include "pg/transaction.hpp"
#include "shmem/control.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace mirox::worker {

// How far the notices have come. Each call looks at the tokens that have passed a threshold since the last one, and at some others:
// a token may be issued with little time left.
struct Notices {
    TimestampTz last;    // of the last call
    TimestampTz cursor;  // expirations up to this one were looked at in this round
};
// Runs a slice; `more` says whether another follows in this round.
bool send_notices(Notices& notices, shmem::DatabaseStats* stats, pg::Trouble& trouble, bool& more);

// A maintenance run. It is cut into short transactions, so that the worker can drain between them. Table upkeep keeps how far each
// task has come.
struct Maintenance {
    bool active;
    bool loaded;   // upkeep was read
    bool all_due;  // whatever upkeep says, once it is read
    bool failed;   // a task has failed; the others still run
    int task;
    std::int32_t rows;  // about how many the next slice takes
    TimestampTz began;
    struct Progress {
        TimestampTz due;
        std::int64_t cursor;
    } tasks[16];
};
void begin_maintenance(Maintenance& maintenance);
// Runs one slice, which takes a second at most. False when its task failed; the next slice is then of the next task. After the
// last one, `active` is false.
bool run_maintenance(Maintenance& maintenance, shmem::DatabaseStats* stats, pg::Trouble& trouble);
// Makes all tasks due.
void all_due(Maintenance& maintenance);
// When the next task is due.
TimestampTz next_maintenance(const Maintenance& maintenance);

}  // namespace mirox::worker

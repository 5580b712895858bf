// What the worker does besides draining: closing minutes, notices of expiration, retention, agents that could
// not be resolved before. Each in a transaction of its own, with lock_timeout; what fails is tried again the next time.
#pragma once

#include "pg/prelude.hpp"
//
#include "pg/transaction.hpp"
#include "shmem/events.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace mirox::worker {

// Closes the minutes before `minute`, all of whose events have been drained: what was open of them is a closed minute from now
// on, and counts in its hour, its day and its token's usage.
bool close_minutes_before(TimestampTz minute, pg::Trouble& trouble);

bool send_notices(pg::Trouble& trouble);

// Retention, strangers' old minutes, positions of rings that are gone, unresolved agents.
bool keep_house(shmem::Seat* seat, pg::Trouble& trouble);

}  // namespace mirox::worker

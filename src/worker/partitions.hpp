// Partitions of the store by time: the worker makes each one when it has a row for it, and drops it when its time is over.
//
// A partition is made as a table of its own and then attached, never by PARTITION OF: ATTACH takes a ShareUpdateExclusiveLock on the
// parent, which readers, dumps and inserts do not wait for, and pg_dump writes such a table as it is. None is made ahead of its first
// row, so that none is there while a dump is being restored.
//
// Locks: that of pg::lock_grants and ShareUpdateExclusiveLock on a parent to attach; that and AccessExclusiveLock on a parent and its partition to drop,
// waited for 50 ms at most.
#pragma once

#include "pg/prelude.hpp"
//
#include "shmem/control.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace mirox::worker {

enum class Store : std::uint8_t {
    usage_minute,
    refusal_minute,
    usage_hour,
    refusal_hour,
    usage_day,
    refusal_day,
    token_day,
    account_day
};
inline constexpr int kStores = 8;

// Call inside a step, before rows of that time are written. Makes the partition when there is none; then it is true, and the rows are
// for a later transaction: a query that was planned before the partition is there must not see how far the step has come.
bool need_partition(Store store, TimestampTz at);
// Call after a step that failed: what it made is gone.
void forget_partitions();

// What is older is kept no longer; DT_NOBEGIN: all is kept. Of minutes that hours do not have yet nothing is dropped.
TimestampTz kept_since(Store store, TimestampTz now);

// Drops the partitions of one time that are due, and says whether there were any. The step fails with 55P03 when somebody reads
// them. `summed_hours` and `summed_days`: how far they are added up.
bool drop_old_partitions(TimestampTz now, TimestampTz summed_hours, TimestampTz summed_days);

}  // namespace mirox::worker

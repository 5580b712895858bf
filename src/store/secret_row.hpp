// The row of a digest in token_secret, for a check: where it was last found (shmem/core_hints.hpp), or by the index.
//
// Both ways end in the same judgement: the row is visible to a fresh snapshot and holds this digest. A hint only spares the
// index, whose pages are most of what a look-up in a large table waits for.
//
// Locks: AccessShareLock on the table, and on the index when that is read, until close_scan().
#pragma once

#include "pg/prelude.hpp"
//
#include "store/rows.hpp"

namespace mirox::store {

// As open_scan(). The digest must stay where it is until close_scan().
bool open_secret_row(RowScan& scan, const core::Digest& digest);

}  // namespace mirox::store

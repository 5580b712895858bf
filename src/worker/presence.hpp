// Creation and removal of the extension in a database, as far as shared memory is concerned. Events of an extension that was
// dropped must never be counted for the next one, whose token ids begin at 1 again.
//
// Locks: a heavyweight object lock, held from CREATE EXTENSION's script to its commit, so that a worker that does not see the
// extension yet does not discard its events; region_lock() exclusive for closing a queue.
#pragma once

#include "pg/prelude.hpp"

namespace mirox::worker {

// Called by the install script. When its transaction commits, events of an earlier extension are discarded.
void begin_recording();

// Called by a worker inside a transaction that finds no extension. Discards the database's events, unless another transaction is
// creating the extension.
void discard_absent();

// Called once from _PG_init.
void watch_presence();

}  // namespace mirox::worker

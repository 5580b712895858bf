// Where the extension begins and ends in a database, as far as shared memory is concerned: what an extension left that was
// dropped must never be counted for the next one, whose tokens begin at 1 again.
//
// Locks: an object lock of the server's, held from CREATE EXTENSION's script to its commit, so that a worker that finds no
// extension does not throw away what the one about to be committed records; region_lock() exclusive for closing a queue.
#pragma once

#include "pg/prelude.hpp"

namespace mirox::worker {

// Called by the install script: at its commit, what is left of an earlier extension is discarded.
void begin_recording();

// By a worker inside a transaction that finds no extension: discards, unless one is just being made.
void discard_absent();

// Called once from _PG_init.
void watch_presence();

}  // namespace mirox::worker

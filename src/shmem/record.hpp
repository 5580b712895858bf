// Where every check's outcome goes to be counted: one call, at the one place where a check concludes (store/check.cpp).
#pragma once

#include "pg/prelude.hpp"
//
#include "shmem/core_event.hpp"

namespace mirox::shmem {

// What of a user agent is looked at: a header of megabytes costs nothing. A character is four bytes at most.
std::string_view cut_agent(std::string_view given);

// Takes the user agent as the client sent it, in the database's encoding, and an event without a holder as the refusal of an
// unauthenticated caller. Lock-free and without an ERROR; when the ring is full it waits 5 ms at most for the worker, then counts
// the event as dropped.
void record_use(Event event);

}  // namespace mirox::shmem

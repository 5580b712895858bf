// Records the outcome of every check, by one call where a check ends (store/check.cpp).
#pragma once

#include "pg/prelude.hpp"
//
#include "shmem/core_event.hpp"

namespace mirox::shmem {

// The part of a user agent that is read at all, so that a header of megabytes costs nothing. A character has four bytes at most.
std::string_view cut_agent(std::string_view given);

// The user agent is as the client sent it, in the database's encoding. An event with credential_id 0 is the refusal of an
// unauthenticated caller. Lock-free and without an ERROR. When the ring is full it waits 5 ms at most for the worker, then counts
// the event as dropped.
void record_use(Event event);

}  // namespace mirox::shmem

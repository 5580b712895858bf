// The rows of table place for the addresses of a batch: each distinct place is looked up and stored once.
//
// Locks: those of its statements.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/client_address.hpp"

extern "C" {
#include "nodes/pg_list.h"
#include "utils/hsearch.h"
}

namespace mirox::worker {

// Places are numbered from 1 as they are met. After end_places(), `ids` has the id of each number; 0: none.
struct PlaceIds {
    HTAB* numbers;
    std::int32_t* ids;
    std::int32_t count;
    List* rows;
};

void begin_places(PlaceIds& places);
// 0: the place is not known.
std::int32_t number_of_place(PlaceIds& places, const core::Address& address);
void end_places(PlaceIds& places);

}  // namespace mirox::worker

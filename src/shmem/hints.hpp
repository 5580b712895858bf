// Where rows of digests were last found, for all of this server's processes (core_hints.hpp). Locks: none.
#pragma once

#include "pg/prelude.hpp"
//
#include "shmem/core_hints.hpp"

namespace mirox::shmem {

// 55000 when the server was started without us.
Hints& hints();

}  // namespace mirox::shmem

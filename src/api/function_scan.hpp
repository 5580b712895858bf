// A scan node for our functions in FROM (function_scan.cpp).
#pragma once

#include "pg/prelude.hpp"

namespace mirox::api {

// Called once from _PG_init.
void watch_planner();

}  // namespace mirox::api

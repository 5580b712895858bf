// The server's headers, once, in the order and language linkage they need, before any C++ header that could
// clash with their macros. Every file outside src/core starts with this include.
#pragma once

extern "C" {
#include "postgres.h"
//
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
}

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "pg/compat.hpp"
#include "pg/error.hpp"

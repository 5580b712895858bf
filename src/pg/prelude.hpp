// The server's headers, in the order and with the language linkage that they need, before any C++ header that could clash with
// their macros. Every file outside src/core includes this first.
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

// What differs between server versions 15 to 18, in this one place. Include through prelude.hpp.
#pragma once

#if PG_VERSION_NUM < 150000
#error "mirox_tokens needs PostgreSQL 15 or newer"
#endif

#if PG_VERSION_NUM >= 160000
extern "C" {
#include "varatt.h"
}
#endif

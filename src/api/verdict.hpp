// The columns of mirox.verdict, which mirox.http_verdict begins with too.
#pragma once

#include "pg/prelude.hpp"
//
#include "pg/row.hpp"
#include "store/check.hpp"

namespace mirox::api {

// Fills what the check lets the caller see: on a 400 or 401 nothing but status and reason. `everything`: whatever was found,
// for an administrator.
void fill_verdict(const store::Checked& checked, bool everything, pg::Row& row);

}  // namespace mirox::api

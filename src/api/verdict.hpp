// The columns of mirox.verdict, with which mirox.http_verdict begins too.
#pragma once

#include "pg/prelude.hpp"
//
#include "pg/row.hpp"
#include "store/check.hpp"

namespace mirox::api {

// Fills what the caller may see of the check: for a 400 or 401 only status and reason. With `everything`, which is for
// administrators, fills all that was found.
void fill_verdict(const store::Checked& checked, bool everything, pg::Row& row);

}  // namespace mirox::api

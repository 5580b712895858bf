// Notices (src/schema/88_notices.sql): a row in a table, and NOTIFY as its bell. Call these within an act.
//
// Locks: the ordinary lock of an INSERT or UPDATE.
#pragma once

#include "pg/prelude.hpp"
//
#include "store/audit.hpp"

namespace mirox::store {

// Posts a notice. With `once` nothing is posted, and the answer is false, if the token or session had a notice of this event within
// the last day.
bool post_notice(const char* event, const Subject& subject, Detail& detail, bool once = false);

// Returns when it was first acknowledged. Raises P0002 if there is none.
TimestampTz acknowledge_notice(std::int64_t notice_id);

}  // namespace mirox::store

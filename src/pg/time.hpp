// Intervals and instants as the server reckons them, whatever the session's settings.
#pragma once

#include "pg/prelude.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::pg {

// Which of two intervals is longer, as the server orders them: below, at or above 0.
int compare_spans(const Interval& a, const Interval& b);

// Whether every instant is followed by a later one when the span is added to it. `1 mon -28 days` is longer than nothing as the
// server orders intervals, and ends where it begins in a February.
bool is_always_positive(const Interval& span);

// The instant `span` after `from`, counted in UTC whatever the session's TimeZone (months and days as UTC has them).
TimestampTz add_in_utc(TimestampTz from, const Interval& span);

// The instant in UTC for a message, whatever the session's TimeZone and DateStyle; palloc'd.
const char* utc_text(TimestampTz instant);

}  // namespace mirox::pg

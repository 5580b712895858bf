// Computes with intervals and instants as the server does, independent of the session's settings.
#pragma once

#include "pg/prelude.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::pg {

// Compares two intervals in the server's order: below, equal to or above 0.
int compare_spans(const Interval& a, const Interval& b);

// Whether adding the span to any instant gives a later one. `1 mon -28 days` is positive in the server's order of intervals, but
// adding it in a February gives the same instant.
bool is_always_positive(const Interval& span);

// The instant `span` after or before `from`, in UTC whatever the session's TimeZone (months and days of UTC).
TimestampTz add_in_utc(TimestampTz from, const Interval& span);
TimestampTz subtract_in_utc(TimestampTz from, const Interval& span);

// The instant in UTC for a message, whatever the session's TimeZone and DateStyle; palloc'd.
const char* utc_text(TimestampTz instant);

}  // namespace mirox::pg

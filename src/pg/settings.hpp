// The settings mirox_tokens.*: one place for their names, bounds, defaults and texts.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/secret.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::pg {

inline constexpr int kMaxTokensPerAccount = 64;

struct Settings {
    int max_tokens_per_account;
    int rate_limit;  // requests a minute
    int rate_burst;  // requests at once from idle
    int max_tracked_accounts;
    bool enable_function_scan;
    int node_id;
    int ring_size;       // MB
    int flush_interval;  // ms
    const char* geoip_database;
    const char* agent_rules;
    char* jwt_issuer;
    char* jwt_key_file;  // empty: none
    core::PrefixList prefixes;
    Interval default_lifetime;
    Interval max_lifetime;
    Interval expiry_notice;
    bool keep_audit;           // audit_retention is not set
    Interval audit_retention;  // unless keep_audit
};

const Settings& settings();

// Called once from _PG_init.
void define_settings();

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

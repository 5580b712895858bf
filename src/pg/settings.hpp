// The settings mirox_tokens.*: their names, bounds, defaults and texts.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/secret.hpp"
#include "pg/time.hpp"

struct AlterRoleSetStmt;

namespace mirox::pg {

inline constexpr int kMaxTokensPerAccount = 64;

// What follows when a secret that was rotated away is used.
enum class OnReuse : int { record, notify, revoke };

struct Settings {
    int max_tokens_per_account;
    int rate_limit;  // requests a minute
    int rate_burst;  // requests at once from idle
    int max_tracked_accounts;
    bool enable_function_scan;
    int node_id;
    int ring_size;       // MB
    int flush_interval;  // ms
    int on_reuse;        // an OnReuse
    char* geoip_database;
    char* agent_rules;
    char* jwt_issuer;
    char* jwt_key_file;  // empty: none
    core::PrefixList prefixes;
    Interval default_lifetime;
    Interval max_lifetime;
    Interval expiry_notice;
    int minute_retention;  // days
    // How long rows are kept, unless they are kept forever.
    bool keep_audit, keep_hours, keep_days, keep_addresses;
    Interval audit_retention, hour_retention, day_retention, address_retention;
};

const Settings& settings();

// Raises 55P02 for ALTER ROLE … SET of a setting that is a limit of accounts.
void refuse_limits_of_roles(const AlterRoleSetStmt* statement);

// Called once from _PG_init.
void define_settings();

}  // namespace mirox::pg

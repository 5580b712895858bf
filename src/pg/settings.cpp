// The settings mirox_tokens.* (see settings.hpp). Policy is SUSET: no ordinary role can set anything that weakens a check. Check
// hooks parse lists and intervals, so a bad value never takes effect.
#include "pg/settings.hpp"

#include "core/rate_limit.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "utils/datetime.h"
#include "utils/guc.h"
}

namespace mirox::pg {
namespace {

Settings current;

char* prefix_text;
char* default_lifetime_text;
char* max_lifetime_text;
char* expiry_notice_text;
char* audit_retention_text;
char* hour_retention_text;
char* day_retention_text;
char* address_retention_text;

constexpr int kLeastTrackedAccounts = 64;
constexpr int kMostTrackedAccounts = 1 << 24;

// The longest lifetime, 5 years: settings may lower it and never raise it.
constexpr Interval kFiveYears = {0, 0, 60};

// Parses an interval without ereport: a check hook must return false, not raise.
bool parse_interval(const char* text, Interval& out) {
    char work[256];
    char* field[MAXDATEFIELDS];
    int ftype[MAXDATEFIELDS];
    int nf;
    int dtype;
    struct pg_itm_in itm = {};
    if (strlen(text) >= sizeof(work) / 2) return false;
    if (ParseDateTime(text, work, sizeof(work), field, ftype, MAXDATEFIELDS, &nf) != 0) return false;
    int failed = DecodeInterval(field, ftype, nf, INTERVAL_FULL_RANGE, &dtype, &itm);
    if (failed == DTERR_BAD_FORMAT) failed = DecodeISO8601Interval(const_cast<char*>(text), &dtype, &itm);
    if (failed != 0 || dtype != DTK_DELTA) return false;
    return itmin2interval(&itm, &out) == 0;
}

constexpr const char* kAccountLimits[] = {"mirox_tokens.max_tokens_per_account", "mirox_tokens.rate_burst",
                                          "mirox_tokens.rate_limit"};
constexpr const char* kLimitOfRole = "It is a limit of accounts, and several roles act for an account.";
constexpr const char* kLimitHint =
    "Set it for the database or in postgresql.conf, or the account's own limits with mirox.put_account.";

// Passes a value to the assign hook. False when there is no memory.
template <typename T>
bool leave_to_assign(const T& value, void** extra) {
    static_assert(std::is_trivially_copyable_v<T>);
    *extra = allocate_for_setting(sizeof(T));
    if (*extra == nullptr) return false;
    memcpy(*extra, &value, sizeof(T));
    return true;
}

bool check_span(char** value, void** extra, bool bounded) {
    Interval span;
    if (!parse_interval(*value, span) || !is_always_positive(span)) {
        GUC_check_errdetail("It must be a positive interval, such as \"90 days\" or \"1 year\".");
        return false;
    }
    if (bounded && compare_spans(span, kFiveYears) > 0) {
        GUC_check_errdetail("A token lives at most 5 years.");
        return false;
    }
    return leave_to_assign(span, extra);
}

extern "C" bool check_lifetime(char** value, void** extra, GucSource) {
    return check_span(value, extra, true);
}
extern "C" bool check_notice(char** value, void** extra, GucSource) {
    return check_span(value, extra, false);
}

template <Interval Settings::*span>
void assign_span(const char*, void* extra) {
    current.*span = *static_cast<Interval*>(extra);
}

// Empty: nothing is deleted.
extern "C" bool check_retention(char** value, void** extra, GucSource) {
    if ((*value)[0] == '\0') {
        *extra = nullptr;
        return true;
    }
    return check_span(value, extra, false);
}
// Partitions of callers hold a day at least.
extern "C" bool check_addresses(char** value, void** extra, GucSource source) {
    if (!check_retention(value, extra, source)) return false;
    constexpr Interval kDay = {0, 1, 0};
    if (*extra == nullptr || compare_spans(*static_cast<Interval*>(*extra), kDay) >= 0) return true;
    GUC_check_errdetail("It must be a day at least.");
    return false;
}
template <bool Settings::*keep, Interval Settings::*span>
void assign_retention(const char*, void* extra) {
    current.*keep = extra == nullptr;
    if (extra != nullptr) current.*span = *static_cast<Interval*>(extra);
}

extern "C" bool check_prefix(char** value, void** extra, GucSource) {
    core::PrefixList list;
    if (!core::parse_prefix_list(*value, list)) {
        GUC_check_errdetail(
            "It must be a list of up to %d stems. A stem is a lower-case letter followed by lower-case letters and digits, up to "
            "%d "
            "characters in all. No stem may equal another one with \"s\" added, which is the prefix of the other's session "
            "secrets.",
            static_cast<int>(core::kMaxStems), static_cast<int>(core::kMaxStemChars));
        return false;
    }
    return leave_to_assign(list, extra);
}
extern "C" void assign_prefix(const char*, void* extra) {
    current.prefixes = *static_cast<core::PrefixList*>(extra);
}

extern "C" bool check_issuer(char** value, void**, GucSource) {
    const std::size_t size = strlen(*value);
    bool plain = size > 0 && size <= 255;
    for (const char* c = *value; *c != '\0'; c++) plain = plain && *c >= ' ' && *c <= '~';
    if (!plain) GUC_check_errdetail("It must be 1 to 255 printable ASCII characters, such as a URL.");
    return plain;
}

// A limit is an account's, and several roles act for an account: for one account two limits would hold. A database has accounts of
// its own. That a statement sets one for a role is refused by refuse_limits_of_roles(); this refuses what stands in the catalog
// already, at login, with a WARNING.
extern "C" bool check_account_limit(int*, void**, GucSource source) {
    if (source != PGC_S_USER && source != PGC_S_DATABASE_USER) return true;
    GUC_check_errdetail("%s", kLimitOfRole);
    GUC_check_errhint("%s", kLimitHint);
    return false;
}

}  // namespace

void refuse_limits_of_roles(const AlterRoleSetStmt* statement) {
    const VariableSetStmt* setting = statement->setstmt;
    if (statement->role == nullptr || (setting->kind != VAR_SET_VALUE && setting->kind != VAR_SET_CURRENT)) return;
    for (const char* name : kAccountLimits)
        if (pg_strcasecmp(setting->name, name) == 0)
            MIROX_RAISE(ERRCODE_CANT_CHANGE_RUNTIME_PARAM, errword(ErrorWord::setting_by_role),
                        errmsg("parameter \"%s\" cannot be set for a role", name), errdetail("%s", kLimitOfRole),
                        errhint("%s", kLimitHint));
}

const Settings& settings() {
    return current;
}

constexpr struct config_enum_entry kOnReuse[] = {
    {"record", static_cast<int>(OnReuse::record), false},
    {"notify", static_cast<int>(OnReuse::notify), false},
    {"revoke", static_cast<int>(OnReuse::revoke), false},
    {nullptr, 0, false},
};

// Sizes of shared memory, which only a library that is preloaded can request. Elsewhere a PGC_POSTMASTER setting would be a FATAL
// error, and the types must load in any session.
static void define_sizes() {
    DefineCustomIntVariable("mirox_tokens.max_tracked_accounts",
                            "Sets how many accounts have a rate limit of their own at a time.",
                            "Each takes 64 bytes of shared memory. An account with its whole burst left takes none. "
                            "Accounts beyond this number share a limit, which never admits more requests.",
                            &current.max_tracked_accounts, 65536, kLeastTrackedAccounts, kMostTrackedAccounts, PGC_POSTMASTER, 0,
                            nullptr, nullptr, nullptr);
    DefineCustomIntVariable(
        "mirox_tokens.ring_size", "Sets the size of the ring that holds recorded uses until they are drained.",
        "The ring is a file of this size in pg_stat_tmp, allocated when the server starts. A use takes 64 bytes, "
        "and 64 more for each 64 bytes of its user agent and scope.",
        &current.ring_size, 64, 1, 4095, PGC_POSTMASTER, GUC_UNIT_MB, nullptr, nullptr, nullptr);
}

void define_settings() {
    if (process_shared_preload_libraries_in_progress) define_sizes();
    DefineCustomStringVariable("mirox_tokens.agent_rules",
                               "Sets the file of rules that recognise browsers and operating systems.",
                               "The file is regexes.yaml of uap-core. The background worker reads it.", &current.agent_rules,
                               "/usr/share/uap-core/regexes.yaml", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("mirox_tokens.address_retention", "Sets how long recorded usage keeps addresses and user agents.",
                               "Minutes, hours and days with addresses are dropped no later. What is kept longer is the day by "
                               "token, outcome, endpoint and "
                               "country. Empty: as long as the other settings say.",
                               &address_retention_text, "", PGC_SIGHUP, 0, check_addresses,
                               assign_retention<&Settings::keep_addresses, &Settings::address_retention>, nullptr);
    DefineCustomStringVariable("mirox_tokens.audit_retention", "Sets how long acts of management stay in the audit log.",
                               "Empty keeps them forever.", &audit_retention_text, "", PGC_SIGHUP, 0, check_retention,
                               assign_retention<&Settings::keep_audit, &Settings::audit_retention>, nullptr);
    DefineCustomStringVariable("mirox_tokens.day_retention", "Sets how long usage by day is kept.", "Empty keeps it forever.",
                               &day_retention_text, "", PGC_SIGHUP, 0, check_retention,
                               assign_retention<&Settings::keep_days, &Settings::day_retention>, nullptr);
    DefineCustomStringVariable("mirox_tokens.default_lifetime", "Sets how long a token lives when issued without an expiration.",
                               nullptr, &default_lifetime_text, "1 year", PGC_SUSET, 0, check_lifetime,
                               assign_span<&Settings::default_lifetime>, nullptr);
    DefineCustomBoolVariable("mirox_tokens.enable_function_scan",
                             "Enables the extension's own scan node for its functions in FROM.",
                             "When it is off, the server's function scan is used. The results are the same.",
                             &current.enable_function_scan, true, PGC_SUSET, GUC_EXPLAIN, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("mirox_tokens.expiry_notice", "Sets how long before its expiration a token counts as expiring.",
                               nullptr, &expiry_notice_text, "30 days", PGC_SUSET, 0, check_notice,
                               assign_span<&Settings::expiry_notice>, nullptr);
    DefineCustomIntVariable("mirox_tokens.flush_interval", "Sets how often recorded uses are written to the tables.",
                            "They are written sooner when the ring fills up.", &current.flush_interval, 10000, 100, 600000,
                            PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("mirox_tokens.geoip_database", "Sets the MaxMind DB file that gives the locations of addresses.",
                               "Empty: locations are not known. The background worker reads the file, and again when it changes.",
                               &current.geoip_database, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("mirox_tokens.hour_retention", "Sets how long usage by hour is kept.",
                               "Empty keeps it forever. The partition of a month is dropped when all of it is older.",
                               &hour_retention_text, "2 years", PGC_SIGHUP, 0, check_retention,
                               assign_retention<&Settings::keep_hours, &Settings::hour_retention>, nullptr);
    DefineCustomStringVariable("mirox_tokens.jwt_issuer", "Sets the claim iss of tokens that are issued as JWT.", nullptr,
                               &current.jwt_issuer, "mirox", PGC_SUSET, 0, check_issuer, nullptr, nullptr);
    DefineCustomStringVariable(
        "mirox_tokens.jwt_key_file", "Sets the file of the keys that sign and verify JWTs.",
        "Each line holds a key, \"kid: key in hex or base64\". The first key signs, all keys verify. A changed file "
        "takes effect at once.",
        &current.jwt_key_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("mirox_tokens.max_lifetime", "Sets the longest lifetime of a token.",
                               "It can be lowered from 5 years, not raised.", &max_lifetime_text, "5 years", PGC_SUSET, 0,
                               check_lifetime, assign_span<&Settings::max_lifetime>, nullptr);
    DefineCustomIntVariable("mirox_tokens.max_tokens_per_account", "Sets how many unrevoked tokens an account may hold.",
                            "It can be lowered from 64, not raised.", &current.max_tokens_per_account, kMaxTokensPerAccount, 1,
                            kMaxTokensPerAccount, PGC_SUSET, 0, check_account_limit, nullptr, nullptr);
    DefineCustomIntVariable("mirox_tokens.minute_retention", "Sets for how many days usage by minute is kept.",
                            "Hours and days are made from minutes first. Above 60 days a partition holds several days.",
                            &current.minute_retention, 60, 0, 400, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("mirox_tokens.node_id", "Sets the number of this node, part of the key of each row of the audit log.",
                            "Give each node that writes a different number, for example with logical replication.",
                            &current.node_id, 0, 0, PG_INT32_MAX, PGC_SUSET, 0, nullptr, nullptr, nullptr);
    DefineCustomEnumVariable(
        "mirox_tokens.on_reuse", "Sets what follows when a secret that was rotated away is used.",
        "record: it is refused and recorded; notify: a notice is posted too; revoke: the token is revoked too. "
        "A permission group may have a policy of its own.",
        &current.on_reuse, static_cast<int>(OnReuse::notify), kOnReuse, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("mirox_tokens.prefix",
                               "Sets the stems of secrets' prefixes: the first for new secrets, all for checks.",
                               "A token's prefix is the stem, a session's is the stem and \"s\".", &prefix_text, "mirox",
                               PGC_SUSET, GUC_LIST_INPUT, check_prefix, assign_prefix, nullptr);
    DefineCustomIntVariable("mirox_tokens.rate_burst",
                            "Sets how many requests an account may make at once after a pause, unless it has its own.", nullptr,
                            &current.rate_burst, 60, 1, static_cast<int>(core::kMaxBurst), PGC_SUSET, 0, check_account_limit,
                            nullptr, nullptr);
    DefineCustomIntVariable(
        "mirox_tokens.rate_limit", "Sets how many requests a minute an account may make, unless it has its own.",
        "All tokens and web sessions of an account share the limit. 0 admits no request.", &current.rate_limit, 600, 0,
        static_cast<int>(core::kMaxLimitPerMinute), PGC_SUSET, 0, check_account_limit, nullptr, nullptr);
}

}  // namespace mirox::pg

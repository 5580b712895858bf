// SQL-callable function doctor(): what is wrong with the server, its settings and the extension's objects. Each check gives one
// row, also when it finds nothing, so that a monitor can tell a check that passed from one that does not exist.
//
// Level monitor gets states and counts. What names a role, a table, a file or a setting's value is shown to level admin only.
//
// Locks: region_lock() shared while the ring is read; AccessShareLock on the tables and catalogs that are read.
#include "pg/catalog.hpp"

#include "api/doctor.sql.hpp"
#include "pg/entry.hpp"
#include "pg/row.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "shmem/control.hpp"
#include "shmem/region.hpp"
#include "store/actor.hpp"
#include "store/keys.hpp"

#include <sys/stat.h>

extern "C" {
#include "access/xlog.h"
#include "funcapi.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
}

using namespace mirox;

namespace {

constexpr const char *kOk = "ok", *kInfo = "info", *kWarning = "warning", *kError = "error";
// The file of locations is published twice a week. Addresses move, so an old one gives wrong places.
constexpr TimestampTz kLocationsAge = 90 * USECS_PER_DAY;

class Report {
  public:
    explicit Report(const ReturnSetInfo* info) : info_(info), row_(info->setDesc) {}

    // Whether the caller may see names and paths.
    void show_names(bool shown) { names_ = shown; }

    void put(const char* name, const char* state, std::int64_t found, const char* seen, const char* advice) {
        row_.set("name", pg::text_datum(name)).set("state", pg::text_datum(state)).set("found", Int64GetDatum(found));
        if (seen != nullptr && seen[0] != '\0') row_.set("seen", pg::text_datum(seen));
        if (state != kOk) row_.set("advice", pg::text_datum(advice));
        row_.put(info_);
    }
    // The same for a check whose `seen` holds a name, a path or a value.
    void put_named(const char* name, const char* state, std::int64_t found, const char* seen, const char* advice) {
        put(name, state, found, names_ ? seen : nullptr, advice);
    }

  private:
    const ReturnSetInfo* info_;
    pg::Row row_;
    bool names_ = false;
};

// ---- the server ------------------------------------------------------------------------------------------------------------

void check_versions(Report& report) {
    const pg::Catalog& catalog = pg::catalog();
    const char* seen = psprintf("library %s, script %s", MIROX_VERSION, catalog.version);
    switch (catalog.script) {
        case pg::Script::same:
            return report.put("version", kOk, 0, seen, nullptr);
        case pg::Script::older:
            return report.put("version", kWarning, 1, seen, "Run ALTER EXTENSION mirox_tokens UPDATE in this database.");
        case pg::Script::older_major:
            return report.put("version", kError, 1, seen,
                              "Management is refused. Run ALTER EXTENSION mirox_tokens UPDATE in this database.");
        case pg::Script::newer:
            return report.put("version", kError, 1, seen,
                              "Management is refused. Install the package of the script's version and restart the server.");
    }
}

bool is_on(const char* setting) {
    const char* value = GetConfigOption(setting, true, false);
    return value != nullptr && (strcmp(value, "on") == 0 || strcmp(value, "true") == 0);
}

// A number that a setting's text begins with; `missing` when there is no such setting.
long number_of(const char* setting, long missing) {
    const char* value = GetConfigOption(setting, true, false);
    return value == nullptr ? missing : strtol(value, nullptr, 10);
}

void check_durability(Report& report) {
    const bool sure = is_on("fsync") && is_on("full_page_writes");
    report.put("durability", sure ? kOk : kError, sure ? 0 : 1, sure ? nullptr : "fsync or full_page_writes is off",
               "Switch both on: after a crash of the machine a revoked token may be in force again.");
}

void check_transport(Report& report) {
    const char* addresses = GetConfigOption("listen_addresses", true, false);
    const bool local = addresses == nullptr || addresses[0] == '\0' || strcmp(addresses, "localhost") == 0 ||
                       strcmp(addresses, "127.0.0.1") == 0 || strcmp(addresses, "::1") == 0;
    const bool safe = local || is_on("ssl");
    report.put_named("transport", safe ? kOk : kWarning, safe ? 0 : 1,
                     safe ? nullptr : psprintf("listen_addresses = '%s', ssl = off", addresses),
                     "Secrets travel as they are. Switch ssl on, and use hostssl in pg_hba.conf.");
}

// Settings of this session that put a secret into the log. See docs/security.md, "Keeping secrets out of the log".
void check_log(Report& report) {
    const char* log_statement = GetConfigOption("log_statement", true, false);
    const bool every = log_statement != nullptr && (strcmp(log_statement, "all") == 0 || strcmp(log_statement, "mod") == 0);
    const char* share = GetConfigOption("log_transaction_sample_rate", true, false);
    const bool logs = every || number_of("log_min_duration_statement", -1) >= 0 ||
                      number_of("log_min_duration_sample", -1) >= 0 || (share != nullptr && strtod(share, nullptr) > 0);
    StringInfoData seen;
    initStringInfo(&seen);
    std::int64_t found = 0;
    const auto add = [&](bool bad, const char* setting) {
        if (!bad) return;
        appendStringInfo(&seen, "%s%s = %s", found++ == 0 ? "" : ", ", setting, GetConfigOption(setting, true, false));
    };
    add(every, "log_statement");
    add(logs && number_of("log_parameter_max_length", -1) != 0, "log_parameter_max_length");
    add(number_of("log_parameter_max_length_on_error", 0) != 0, "log_parameter_max_length_on_error");
    if (number_of("auto_explain.log_min_duration", -1) >= 0) {
        add(is_on("auto_explain.log_verbose"), "auto_explain.log_verbose");
        add(number_of("auto_explain.log_parameter_max_length", 0) != 0, "auto_explain.log_parameter_max_length");
    }
    for (const char* setting : {"debug_print_parse", "debug_print_rewritten", "debug_print_plan"}) add(is_on(setting), setting);
    report.put_named("log_settings", found == 0 ? kOk : kWarning, found, seen.data,
                     "Secrets may reach the log. Set log_statement = none or ddl, log_parameter_max_length = 0 and "
                     "log_parameter_max_length_on_error = 0.");
}

// ---- recorded use ----------------------------------------------------------------------------------------------------------

void check_worker(Report& report, const shmem::DatabaseStats& stats) {
    LWLockAcquire(shmem::region_lock(), LW_SHARED);
    const TimestampTz failed_at = stats.failure.at, since = stats.failure.since;
    const shmem::Job job = stats.failure.job;
    const std::int32_t sqlstate = stats.failure.sqlstate;
    LWLockRelease(shmem::region_lock());
    const bool starved = shmem::control().starved.load(std::memory_order_relaxed) != 0;
    const bool missing = !RecoveryInProgress() && shmem::worker_of(MyDatabaseId) == nullptr &&
                         shmem::wants_worker(MyDatabaseId) &&
                         (stats.missing_since.load(std::memory_order_relaxed) != 0 ||
                          shmem::control().launcher.load(std::memory_order_relaxed) == nullptr);
    if (missing)
        report.put("worker", kError, 1, "events wait, and no worker could be started",
                   "Raise max_worker_processes and restart; see the server log.");
    else if (stats.failure.failing.load(std::memory_order_relaxed) != 0)
        report.put("worker", kError, 1,
                   failed_at == 0
                       ? nullptr
                       : psprintf("%s: %s, since %s UTC", unpack_sql_state(sqlstate), shmem::could_not(job), pg::utc_text(since)),
                   "The worker tries again. The server log has its message; mirox.flush() shows it too.");
    else if (starved)
        report.put("worker", kWarning, 1, "a database waits for a background worker",
                   "Raise max_worker_processes, so that each database with tokens can have a worker.");
    else
        report.put("worker", kOk, 0, shmem::worker_of(MyDatabaseId) == nullptr ? "idle" : "running", nullptr);
}

void check_ring(Report& report) {
    const shmem::Ring& ring = shmem::region().ring();
    const double segments = ring.segments();
    LWLockAcquire(shmem::region_lock(), LW_SHARED);
    const double used = (segments - ring.free_segments()) / segments;
    const shmem::QueueRef queue = ring.find_queue(MyDatabaseId);
    const std::uint64_t dropped = ring.dropped_since_reset(queue), torn = ring.torn_since_reset(queue);
    LWLockRelease(shmem::region_lock());
    report.put(
        "ring",
        used >= 0.875 ? kError
        : used >= 0.5 ? kWarning
                      : kOk,
        used >= 0.5 ? 1 : 0, psprintf("%.0f %% used", used * 100),
        "Uses come faster than they are written, or the worker fails: see the check worker. Raise mirox_tokens.ring_size.");
    report.put("lost_events", dropped + torn == 0 ? kOk : kWarning, static_cast<std::int64_t>(dropped + torn), nullptr,
               "Recorded use lacks these events. Raise mirox_tokens.ring_size; mirox.stat_reset() sets the count to zero.");
}

// A file that the server reads. Null: readable.
const char* fault_of(const char* path, struct stat* file) {
    if (stat(path, file) != 0) return strerror(errno);
    if (!S_ISREG(file->st_mode)) return "not a file";
    return access(path, R_OK) == 0 ? nullptr : strerror(errno);
}

void check_file(Report& report, const char* name, const char* path, const std::atomic<std::uint32_t>& state, TimestampTz age,
                const char* advice_unset, const char* advice) {
    struct stat file;
    if (path == nullptr || path[0] == '\0') return report.put(name, kInfo, 0, "not set", advice_unset);
    const char* fault = fault_of(path, &file);
    const auto read = static_cast<shmem::Enricher>(state.load(std::memory_order_relaxed));
    if (fault == nullptr && read == shmem::Enricher::invalid) fault = "invalid";
    if (fault == nullptr && read == shmem::Enricher::missing) fault = "mirox_tokens_enrich is missing or of another version";
    if (fault != nullptr) return report.put_named(name, kError, 1, psprintf("%s: %s", path, fault), advice);
    const TimestampTz changed = time_t_to_timestamptz(static_cast<pg_time_t>(file.st_mtime));
    if (age != 0 && GetCurrentTimestamp() - changed > age)
        return report.put_named(name, kWarning, 1, psprintf("%s: last changed %s UTC", path, pg::utc_text(changed)),
                                "Put a newer file in its place; the worker reads it without a restart.");
    report.put_named(name, kOk, 0, path, nullptr);
}

void check_keys(Report& report) {
    const store::JwtKeyState keys = store::jwt_key_state();
    const bool good = strcmp(keys.file, "ok") == 0 || strcmp(keys.file, "unused") == 0;
    report.put_named(
        "jwt_key_file", good ? kOk : kError, good ? 0 : 1,
        strcmp(keys.file, "unused") == 0 ? nullptr : psprintf("%s: %s", pg::settings().jwt_key_file, keys.file),
        "The file must belong to the server's user or to root, with mode 0600 (0640 for root's group), and hold keys "
        "as docs/dba.md says. Until then the last good keys stay in force.");
}

// ---- catalogs and tables ---------------------------------------------------------------------------------------------------

struct Find {
    const char* name;
    pg::Query* query;
    const char* state;  // when something is found
    const char* advice;
};

// Runs the statement, whose result is a number and names.
void find(Report& report, const Find& check, pg::Args& args) {
    pg::run(*check.query, args);
    bool is_null;
    const std::int64_t found = DatumGetInt64(pg::result_value(0, 1));
    const Datum names = pg::result(0, 2, &is_null);
    report.put_named(check.name, found == 0 ? kOk : check.state, found, is_null ? nullptr : TextDatumGetCString(names),
                     check.advice);
}

const Find kFinds[] = {
    {"own_triggers", &api::find_disabled_triggers, kError,
     "ALTER TABLE ... ENABLE TRIGGER ...: without it the audit log, and the copies that checks read, may lag behind."},
    {"bound_triggers", &api::find_unbound_triggers, kError,
     "ALTER TABLE ... ENABLE TRIGGER ..., or call mirox.bind_accounts again: users who leave keep their tokens."},
    {"bound_tables", &api::find_dropped_triggers, kError,
     "Call mirox.bind_accounts again. Where it is not wanted any more: REVOKE EXECUTE ON FUNCTION mirox.account_bound() from the "
     "owner."},
    {"bound_children", &api::find_unseen_children, kError,
     "The triggers do not see these rows. Take the child out (ALTER TABLE ... NO INHERIT ...), or use partitions."},
    {"protected_tables", &api::find_unprotected, kError, "Call mirox.protect_table again, or mirox.unprotect_table."},
    {"public_access", &api::find_public, kError, "REVOKE what was granted to PUBLIC: everybody may call it."},
    {"incomplete_levels", &api::find_incomplete, kWarning,
     "Call mirox.grant_access again, as after each update; or REVOKE what was granted by hand. The view mirox.access shows "
     "both."},
    {"several_levels", &api::find_many_levels, kWarning,
     "Give each service a role and a level of its own: who breaks into one then gets one level."},
    {"bypassrls_roles", &api::find_bypassing, kWarning,
     "ALTER ROLE ... NOBYPASSRLS: policies of mirox.protect_table hide nothing from these roles."},
    {"role_log_settings", &api::find_logging_roles, kWarning,
     "ALTER ROLE ... RESET (or ALTER DATABASE ... RESET): secrets may reach the log."},
};

// The worker counts them on its hourly walk over all tokens: no index finds them.
void check_unused(Report& report, const shmem::DatabaseStats& stats) {
    const TimestampTz at = stats.walked_at.load(std::memory_order_relaxed);
    const std::int64_t unused = at == 0 ? 0 : stats.unused_tokens.load(std::memory_order_relaxed);
    report.put("unused_tokens", unused > 0 ? kInfo : kOk, unused,
               at == 0 ? "not counted yet" : psprintf("as of %s UTC", pg::utc_text(at)),
               "The view mirox.unused_tokens lists them. mirox.set_group_policy can end them by itself.");
}

void check_database(Report& report) {
    pg::Args none;
    for (const Find& check : kFinds) find(report, check, none);
    pg::Args until;
    until.add(TimestampTzGetDatum(pg::add_in_utc(GetCurrentTimestamp(), pg::settings().expiry_notice)));
    find(report,
         {"notices", &api::find_open_notices, kWarning,
          "Nobody has acknowledged them for a week. Read mirox.notices, and call mirox.acknowledge_notice."},
         none);
    find(report,
         {"expiring_tokens", &api::find_expiring, kInfo, "Their owners are told. The view mirox.expiring_tokens lists them."},
         until);
}

}  // namespace

MIROX_FUNCTION(doctor) {
    InitMaterializedSRF(fcinfo, 0);
    Report report(reinterpret_cast<const ReturnSetInfo*>(fcinfo->resultinfo));
    const bool preloaded = static_cast<bool>(shmem::region());
    report.put("preloaded", preloaded ? kOk : kError, preloaded ? 0 : 1, nullptr,
               "Add mirox_tokens to shared_preload_libraries and restart the server.");
    check_versions(report);

    // This check is made as the caller: where it finds something, nothing may run as the extension's owner.
    const int guc_level = pg::pin_search_path();
    pg::spi_open();
    pg::Args none;
    pg::run(api::find_foreign_objects, none);
    const std::int64_t foreign = DatumGetInt64(pg::result_value(0, 1));
    pg::spi_close();
    AtEOXact_GUC(false, guc_level);
    report.put("foreign_objects", foreign == 0 ? kOk : kError, foreign, nullptr,
               "Management and the worker refuse, with an error that names the command that repairs it. The checks of this "
               "database that follow are left out.");

    store::Actor actor;
    if (foreign == 0) {
        store::enter(actor);
        pg::Args caller;
        caller.add(ObjectIdGetDatum(actor.role.caller));
        pg::run(api::may_see_names, caller);
        report.show_names(DatumGetBool(pg::result_value(0, 1)));
        pg::Args version;
        version.text(MIROX_VERSION);
        find(report,
             {"package", &api::find_newer_package, kWarning, "Restart the server, so that it loads the library of the package."},
             version);
    }
    check_durability(report);
    check_transport(report);
    check_log(report);
    if (preloaded) {
        static const shmem::DatabaseStats nothing = {};
        const shmem::DatabaseStats* known = shmem::stats_of(MyDatabaseId);
        const shmem::DatabaseStats& stats = known == nullptr ? nothing : *known;
        check_worker(report, stats);
        check_ring(report);
        check_unused(report, stats);
        check_file(report, "agent_rules", pg::settings().agent_rules, stats.agents, 0,
                   "Set mirox_tokens.agent_rules to uap-core's regexes.yaml to see browsers and systems.",
                   "Install uap-core and mirox_tokens_enrich, readable by the server. Uses are resolved later, not lost.");
        check_file(report, "geoip_database", pg::settings().geoip_database, stats.geo, kLocationsAge,
                   "Set mirox_tokens.geoip_database to a MaxMind DB file to see locations.",
                   "Make the file readable by the server, and check that it is a MaxMind DB file.");
        check_keys(report);
    }
    if (foreign == 0) {
        check_database(report);
        store::leave(actor);
    }
    return (Datum)0;
}

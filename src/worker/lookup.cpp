// Browser, system and location for the worker (see lookup.hpp). Each process has its own state, made at first use and kept until
// the process ends. Takes no locks.
#include "worker/lookup.hpp"

#include "pg/library.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::worker {
namespace {

using enrich::Status;

// The pause before a retry to load the library.
constexpr TimestampTz kLoadRetry = 60 * USECS_PER_SEC;

// The time that user agents may take in a round. The rest is resolved later, so that a client that sends many different ones does
// not hold up the drain.
constexpr TimestampTz kMostPerRound = USECS_PER_SEC;

constinit const enrich::Table* table = nullptr;
constinit TimestampTz taken_this_round = 0;
constinit TimestampTz load_again = 0;
constinit bool load_failure_logged = false;
constinit enrich::Agents* agents = nullptr;
constinit enrich::Locations* locations = nullptr;
constinit char rules_path[MAXPGPATH];
constinit char geo_path[MAXPGPATH];
constinit Status last_agents = Status::ok;
constinit Status last_geo = Status::ok;

// True when the path has changed; stores the new one.
bool changed(char (&kept)[MAXPGPATH], const char* given) {
    const char* path = given == nullptr ? "" : given;
    if (strcmp(kept, path) == 0) return false;
    strlcpy(kept, path, sizeof(kept));
    return true;
}

// Sets the status that mirox.stat shows. True when it is a new error, which belongs in the log.
bool show(std::atomic<std::uint32_t> shmem::DatabaseStats::*field, shmem::DatabaseStats* stats, Status status, Status& last) {
    constexpr shmem::Enricher kCodes[] = {shmem::Enricher::ok, shmem::Enricher::none, shmem::Enricher::unreadable,
                                          shmem::Enricher::invalid};
    if (stats != nullptr)
        (stats->*field).store(static_cast<std::uint32_t>(kCodes[static_cast<int>(status)]), std::memory_order_relaxed);
    const bool news = status != last && status != Status::ok && status != Status::none;
    last = status;
    return news;
}

// When a package was upgraded under a running server, the library on disk may be of another version than this one.
void load_table(shmem::DatabaseStats* stats) {
    const TimestampTz now = GetCurrentTimestamp();
    if (table != nullptr || now < load_again) return;
    load_again = now + kLoadRetry;
    pg::Trouble trouble = {};
    const auto get = reinterpret_cast<enrich::GetTable>(pg::load_function(enrich::kLibrary, enrich::kTableFunction, trouble));
    const enrich::Table* const found = get == nullptr ? nullptr : get();
    if (found != nullptr && found->version == enrich::kTableVersion) {
        table = found;
        return;
    }
    if (stats != nullptr) {
        const auto missing = static_cast<std::uint32_t>(shmem::Enricher::missing);
        stats->agents.store(missing, std::memory_order_relaxed);
        stats->geo.store(missing, std::memory_order_relaxed);
    }
    if (load_failure_logged) return;
    load_failure_logged = true;
    MIROX_LOG(WARNING, errmsg("mirox_tokens cannot name browsers, systems and places: its library for that cannot be used"),
              errdetail("%s. Agents that are recorded meanwhile are looked up later.",
                        get == nullptr ? trouble.message : "It has another version"),
              errhint("Install mirox_tokens_enrich of this version beside mirox_tokens, with the libraries that it needs, "
                      "and restart the server."));
}

}  // namespace

void refresh_lookups(shmem::DatabaseStats* stats) {
    load_table(stats);
    taken_this_round = 0;
    if (table == nullptr) return;
    const pg::Settings& settings = pg::settings();
    if (changed(rules_path, settings.agent_rules) || agents == nullptr) {
        if (agents != nullptr) table->close_agents(agents);
        agents = table->open_agents(rules_path);
        last_agents = Status::ok;
    }
    if (changed(geo_path, settings.geoip_database) || locations == nullptr) {
        if (locations != nullptr) table->close_locations(locations);
        locations = table->open_locations(geo_path);
        last_geo = Status::ok;
    }
    if (locations == nullptr) return;
    char why[enrich::kReasonBytes];
    if (show(&shmem::DatabaseStats::geo, stats, table->refresh_locations(*locations, std::span<char>(why)), last_geo))
        MIROX_LOG(WARNING, errmsg("mirox_tokens cannot read the file of locations \"%s\": %s", geo_path, why),
                  errdetail("Locations stay unknown, unless a file that was read before is still in use. The worker retries."),
                  errhint("Put a MaxMind DB file where mirox_tokens.geoip_database points."));
}

bool look_up_agent(shmem::DatabaseStats* stats, std::string_view agent, enrich::AgentInfo& out) {
    out = {};
    if (agents == nullptr || taken_this_round > kMostPerRound) return false;
    const TimestampTz begun = GetCurrentTimestamp();
    char why[enrich::kReasonBytes];
    const Status status = table->resolve_agent(*agents, agent, out, std::span<char>(why));
    taken_this_round += GetCurrentTimestamp() - begun;
    if (show(&shmem::DatabaseStats::agents, stats, status, last_agents))
        MIROX_LOG(WARNING, errmsg("mirox_tokens cannot tell browsers and systems apart by \"%s\": %s", rules_path, why),
                  errdetail("The worker retries."),
                  errhint("Install uap-core, or set mirox_tokens.agent_rules to its regexes.yaml."));
    return status == Status::ok;
}

bool has_places() {
    return locations != nullptr && geo_path[0] != '\0';
}

enrich::Place look_up_place(const core::Address& address) {
    enrich::Place place;
    const std::size_t size = address.family == core::AddressFamily::ipv4 ? 4 : 16;
    if (locations != nullptr && address.family != core::AddressFamily::none)
        table->locate(*locations, {address.bytes.data(), size}, place);
    return place;
}

}  // namespace mirox::worker

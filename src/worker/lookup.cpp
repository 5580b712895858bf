// Browser, system and location for the worker (see lookup.hpp). The state is this process's, made at first use and kept until it
// ends. Takes no locks.
#include "worker/lookup.hpp"

#include "pg/library.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::worker {
namespace {

using enrich::AgentInfo;
using enrich::AgentStatus;
using enrich::Location;
using enrich::LocationStatus;

// How long a library that could not be loaded is left alone.
constexpr TimestampTz kLoadAgain = 60 * USECS_PER_SEC;

constinit const enrich::Table* table = nullptr;
constinit TimestampTz load_again = 0;
constinit bool load_said = false;
constinit enrich::AgentParser* agents = nullptr;
constinit enrich::LocationDatabase* locations = nullptr;
constinit char rules_path[MAXPGPATH];
constinit char geo_path[MAXPGPATH];
constinit AgentStatus agents_said = AgentStatus::ok;
constinit LocationStatus geo_said = LocationStatus::ok;
constinit bool geo_there = false;

// True when the path is another than before; keeps it.
bool changed(char (&kept)[MAXPGPATH], const char* given) {
    const char* path = given == nullptr ? "" : given;
    if (strcmp(kept, path) == 0) return false;
    strlcpy(kept, path, sizeof(kept));
    return true;
}

shmem::Enricher code_of(LocationStatus status) {
    switch (status) {
        case LocationStatus::ok:
            return shmem::Enricher::ok;
        case LocationStatus::no_database:
            return shmem::Enricher::none;
        case LocationStatus::invalid:
            return shmem::Enricher::invalid;
        default:
            return shmem::Enricher::unreadable;
    }
}

void say(shmem::DatabaseStats* stats, AgentStatus status, const char* error) {
    const auto code = status == AgentStatus::ok              ? shmem::Enricher::ok
                      : status == AgentStatus::rules_invalid ? shmem::Enricher::invalid
                                                             : shmem::Enricher::unreadable;
    if (stats != nullptr) stats->agents.store(static_cast<std::uint32_t>(code), std::memory_order_relaxed);
    if (status == agents_said) return;
    agents_said = status;
    if (status != AgentStatus::ok)
        MIROX_LOG(
            WARNING, errmsg("mirox_tokens cannot tell browsers and systems apart: %s", error),
            errhint("Install uap-core, or name its regexes.yaml in mirox_tokens.agent_rules. It is tried "
                    "again."));
}

// The library may be of another version than ours after a package was upgraded under a running server.
void load_table(shmem::DatabaseStats* stats) {
    const TimestampTz now = GetCurrentTimestamp();
    if (table != nullptr || now < load_again) return;
    load_again = now + kLoadAgain;
    pg::Trouble trouble = {};
    const auto get = reinterpret_cast<enrich::GetTable>(
        pg::load_function(enrich::kLibrary, enrich::kTableFunction, trouble));
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
    if (load_said) return;
    load_said = true;
    MIROX_LOG(
        WARNING,
        errmsg("mirox_tokens cannot name browsers, systems and places: its library for that cannot be used"),
        get == nullptr ? errdetail_internal("%s", trouble.message) : errdetail("It is of another version."),
        errhint("Install mirox_tokens_enrich of this version beside mirox_tokens, with the libraries that it "
                "needs, "
                "and restart the server. What is recorded until then is named later."));
}

}  // namespace

void refresh_lookups(shmem::DatabaseStats* stats) {
    load_table(stats);
    if (table == nullptr) return;
    const pg::Settings& settings = pg::settings();
    if (changed(rules_path, settings.agent_rules) || agents == nullptr) {
        if (agents != nullptr) table->close_agents(agents);
        agents = table->open_agents(rules_path);
        agents_said = AgentStatus::ok;
    }
    if (changed(geo_path, settings.geoip_database) || locations == nullptr) {
        if (locations != nullptr) table->close_locations(locations);
        locations = table->open_locations(geo_path);
        geo_said = LocationStatus::ok;
    }
    if (locations == nullptr) return;
    char error[enrich::kLocationErrorBytes];
    enrich::LocationFile file;
    const LocationStatus status = table->refresh_locations(*locations, &file, std::span<char>(error));
    geo_there = file.loaded;
    if (stats != nullptr)
        stats->geo.store(static_cast<std::uint32_t>(code_of(status)), std::memory_order_relaxed);
    if (status == geo_said) return;
    geo_said = status;
    if (status != LocationStatus::ok && status != LocationStatus::no_database)
        MIROX_LOG(WARNING, errmsg("mirox_tokens cannot read the file of locations: %s", error),
                  errdetail(geo_there ? "The one read before stays in use." : "Locations are not known."),
                  errhint("Put a MaxMind DB file in the place that mirox_tokens.geoip_database names. It is "
                          "tried again."));
}

bool look_up_agent(shmem::DatabaseStats* stats, std::string_view agent, AgentInfo& out) {
    out = {};
    if (agents == nullptr) return false;
    char error[enrich::kAgentErrorBytes];
    const AgentStatus status = table->resolve_agent(*agents, agent, out, std::span<char>(error));
    say(stats, status, error);
    return status == AgentStatus::ok;
}

Datum location_datum(const core::Address& address) {
    Location location = {};
    char error[enrich::kLocationErrorBytes];
    const std::size_t size = address.family == core::AddressFamily::ipv4 ? 4 : 16;
    if (!geo_there || address.family == core::AddressFamily::none ||
        table->locate(*locations, {address.bytes.data(), size}, location, std::span<char>(error)) !=
            LocationStatus::ok)
        location = {};
    return pg::text_datum(pg::from_utf8_lossy(location.shown.view()));
}

}  // namespace mirox::worker

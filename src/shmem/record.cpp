// Recording the outcome of a check (see record.hpp): into shared memory alone, no lock, no allocation, no write.
#include "shmem/record.hpp"

#include "core/text.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "shmem/events.hpp"

extern "C" {
#include "access/xlog.h"
#include "mb/pg_wchar.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
}

namespace mirox::shmem {
namespace {

// How long a check waits for room in a full ring, and how often it looks.
constexpr int kWaits = 5;
constexpr long kWaitUs = 1000;

// The last user agent as it came and as it is stored: clients repeat theirs, and cleaning costs more than comparing.
constinit char raw_agent[core::kMaxUserAgentBytes * 2];
constinit std::size_t raw_agent_size = 0;
constinit char clean_agent[core::kMaxUserAgentBytes];
constinit std::size_t clean_agent_size = 0;

std::string_view stored_agent(std::string_view given) {
    if (given.empty()) return {};
    if (given.size() == raw_agent_size && memcmp(given.data(), raw_agent, raw_agent_size) == 0)
        return {clean_agent, clean_agent_size};
    clean_agent_size = core::clean_user_agent(pg::to_utf8_lossy(cut_agent(given)), clean_agent);
    raw_agent_size = 0;
    if (given.size() <= sizeof(raw_agent)) {
        memcpy(raw_agent, given.data(), given.size());
        raw_agent_size = given.size();
    }
    return {clean_agent, clean_agent_size};
}

Address stored_address(const core::Address& client) {
    Address out;
    if (client.family == core::AddressFamily::none) return out;
    memcpy(out.bytes, client.bytes.data(), sizeof(out.bytes));
    out.family = client.family == core::AddressFamily::ipv4 ? 4 : 6;
    return out;
}

}  // namespace

std::string_view cut_agent(std::string_view given) {
    constexpr int kMost = 4 * core::kMaxUserAgentBytes;
    if (given.size() <= kMost) return given;
    return given.substr(0, pg_mbcliplen(given.data(), static_cast<int>(given.size()), kMost));
}

void record_use(const Use& use) {
    Region& shared = region();
    if (!shared) return;
    Seat* seat = my_seat();
    if (seat != nullptr && use.reason < kReasonCodes)
        seat->checks[static_cast<unsigned>(MyProcPid) % kStripes].of[use.reason].fetch_add(
            1, std::memory_order_relaxed);
    // A stranger's database has a lane too, by which the launcher knows that it wants a worker.
    LaneRef lane = my_lane();
    if (use.kind == UseKind::stranger) {
        shared.stranger(MyDatabaseId, use.at, stored_address(use.client),
                        static_cast<std::uint16_t>(use.status), use.reason);
        return;
    }
    Event event;
    event.kind = use.kind == UseKind::session ? EventKind::session
                 : use.status < 300           ? EventKind::use
                                              : EventKind::refusal;
    event.reason = use.reason;
    event.status = static_cast<std::uint16_t>(use.status);
    event.generation = use.generation;
    event.token = use.token_id;
    event.session = use.session_id;
    event.account = use.account_id;
    event.at = use.at;
    event.address = stored_address(use.client);
    event.scope = use.scope.substr(0, Min(use.scope.size(), kMaxScopeText));
    event.agent = stored_agent(use.agent);
    for (int tries = 0; lane; tries++) {
        const Published published = shared.record(lane, event);
        if (published.wake) wake_worker(MyDatabaseId);
        if (published.status == PublishStatus::ok) return;
        if (published.status == PublishStatus::no_lane) {
            forget_lane();
            lane = my_lane();
            if (tries > kWaits) break;
            continue;
        }
        // Where no worker can come (a standby, a server in single-user mode) there is nothing to wait for.
        if (tries >= kWaits || !IsUnderPostmaster || RecoveryInProgress()) break;
        pg_usleep(kWaitUs);
    }
    shared.count_drop(lane);
}

}  // namespace mirox::shmem

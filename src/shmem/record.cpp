// Recording the outcome of a check (see record.hpp): into shared memory alone, no lock, no allocation, no write.
#include "shmem/record.hpp"

#include "core/text.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "shmem/control.hpp"
#include "shmem/region.hpp"

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

}  // namespace

std::string_view cut_agent(std::string_view given) {
    constexpr int kMost = 4 * core::kMaxUserAgentBytes;
    if (given.size() <= kMost) return given;
    return given.substr(0, pg_mbcliplen(given.data(), static_cast<int>(given.size()), kMost));
}

void record_use(Event event) {
    Region& shared = region();
    if (!shared) return;
    if (DatabaseStats* stats = my_stats(); stats != nullptr && event.reason < core::kReasons)
        stats->checks[static_cast<unsigned>(MyProcPid) % kStripes].of[event.reason].fetch_add(1, std::memory_order_relaxed);
    // A database of unauthenticated callers alone has a queue too, by which the launcher knows that it wants a worker.
    QueueRef queue = my_queue();
    if (event.holder == 0) {
        shared.count_unauthenticated(MyDatabaseId, event);
        return;
    }
    event.texts[kAgent] = stored_agent(event.texts[kAgent]);
    for (int tries = 0; queue; tries++) {
        const Published published = shared.record(queue, event);
        if (published.wake) wake_worker(MyDatabaseId);
        if (published.status == PublishStatus::ok) return;
        if (published.status == PublishStatus::no_queue) {
            forget_queue();
            queue = my_queue();
            if (tries > kWaits) break;
            continue;
        }
        // Where no worker can come (a standby, a server in single-user mode) there is nothing to wait for.
        if (tries >= kWaits || !IsUnderPostmaster || RecoveryInProgress()) break;
        pg_usleep(kWaitUs);
    }
    shared.count_drop(queue);
}

}  // namespace mirox::shmem

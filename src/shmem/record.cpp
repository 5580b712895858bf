// Recording the outcome of a check (see record.hpp): only into shared memory, without a lock, an allocation or disk access.
#include "shmem/record.hpp"

#include "core/slice.hpp"
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

// How often a check retries when the ring is full, and how long it waits each time. A backend waits no more than kWaits times a
// second: when more is recorded than can be drained, the checks go on at their rate and the rest is counted as dropped.
constexpr int kWaits = 5;
constexpr long kWaitUs = 1000;
constinit TimestampTz waits_since = 0;
constinit int waits = 0;

bool may_wait() {
    // On a standby and in single-user mode no worker runs that could make room.
    if (!IsUnderPostmaster || RecoveryInProgress()) return false;
    const TimestampTz now = GetCurrentTimestamp();
    if (now - waits_since >= USECS_PER_SEC || now < waits_since) {
        waits_since = now;
        waits = 0;
    }
    return waits++ < kWaits;
}

// The last user agent, as received and as stored. Clients repeat their user agent, and comparing is cheaper than cleaning.
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
    return core::slice(given, 0, pg_mbcliplen(given.data(), static_cast<int>(given.size()), kMost));
}

void record_use(Event event) {
    Region& shared = region();
    if (!shared) return;
    if (DatabaseStats* stats = my_stats(); stats != nullptr && event.reason < core::kReasons)
        stats->checks[static_cast<unsigned>(MyProcPid) % kStripes].of[event.reason].fetch_add(1, std::memory_order_relaxed);
    // Unauthenticated callers need a queue too: it shows the launcher that the database needs a worker.
    QueueRef queue = my_queue();
    if (event.credential_id == 0) {
        shared.count_unauthenticated(MyDatabaseId, event);
        return;
    }
    event.texts[kAgent] = stored_agent(event.texts[kAgent]);
    bool last = false;
    for (int tries = 0; queue; tries++) {
        const Published published = shared.record(queue, event, last);
        if (published.wake) wake_worker(MyDatabaseId);
        if (published.status == PublishStatus::ok) return;
        if (published.status == PublishStatus::no_queue) {
            forget_queue();
            queue = my_queue();
            if (tries > kWaits) break;
            continue;
        }
        if (last) break;
        last = !may_wait();
        if (!last) pg_usleep(kWaitUs);
    }
    shared.count_drop(queue);
}

}  // namespace mirox::shmem

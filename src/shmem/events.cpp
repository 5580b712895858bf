// The file-backed region and the control block (see events.hpp, also for the locks).
#include "shmem/events.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pg/entry.hpp"
#include "pg/settings.hpp"

extern "C" {
#include "common/file_perm.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"
}

namespace mirox::shmem {
namespace {

constexpr char kTranche[] = "mirox_tokens";
constexpr char kFile[] = "pg_stat_tmp/mirox_tokens.ring";
constexpr char kNewFile[] = "pg_stat_tmp/mirox_tokens.ring.new";

constinit Region region_view;
constinit std::byte* mapping = nullptr;
constinit std::size_t mapped = 0;
constinit Control* control_block = nullptr;
constinit LWLock* lock = nullptr;
constinit LaneRef lane_of_mine;
constinit Seat* seat_of_mine = nullptr;
// When all lanes (or seats) are taken, the next look is a second later, so that checks do not queue for the lock.
constinit TimestampTz no_lane_until = 0;
constinit TimestampTz no_seat_until = 0;

Config wanted() {
    const auto ring_bytes = static_cast<std::uint64_t>(pg::settings().ring_size) * 1024 * 1024;
    const auto segments = static_cast<std::uint32_t>(ring_bytes / kSegmentBytes);
    // As many counters as the ring's typical events can belong to different tokens.
    return Config::fit(ring_bytes, kMaxDatabases, Max(segments * 8, std::uint32_t{1024}),
                       Max(segments * 32, std::uint32_t{1024}));
}

std::uint64_t random_id() {
    std::uint64_t id = 0;
    while (id == 0)
        if (!pg_strong_random(&id, sizeof(id)))
            ereport(FATAL, errcode(ERRCODE_INTERNAL_ERROR),
                    errmsg("could not get random bytes for the event ring"));
    return id;
}

[[noreturn]] void give_up(const char* doing) {
    ereport(FATAL, errcode_for_file_access(), errmsg("could not %s file \"%s\": %m", doing, kFile),
            errhint("mirox_tokens records usage in this file: mirox_tokens.ring_size of disk must be free, "
                    "and the folder "
                    "writable."));
    pg_unreachable();
}

std::byte* map(int fd, std::size_t size) {
    void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) give_up("map");
    mapped = size;
    return static_cast<std::byte*>(at);
}

// A file of another size or layout is replaced, under a name of its own first, so that a crash meanwhile leaves one or the
// other. Allocated in full: a hole would raise SIGBUS on a full disk, in the middle of somebody's check.
void make_file(const Config& config, std::uint64_t id) {
    const std::size_t size = region_bytes(config);
    const int fd = open(kNewFile, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, pg_file_create_mode);
    if (fd < 0) give_up("create");
    const int failed = posix_fallocate(fd, 0, static_cast<off_t>(size));
    if (failed != 0) {
        errno = failed;
        (void)unlink(kNewFile);
        errno = failed;
        give_up("allocate");
    }
    mapping = map(fd, size);
    region_view = Region::initialise(mapping, config, id);
    if (rename(kNewFile, kFile) != 0) give_up("put in place");
    close(fd);
}

// True when the file that is there could be attached and is to be kept.
bool attach_file(const Config& config, std::uint64_t id) {
    const int fd = open(kFile, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) {
        if (errno != ENOENT) give_up("open");
        return false;
    }
    struct stat status;
    if (fstat(fd, &status) != 0) give_up("look at");
    if (status.st_size < static_cast<off_t>(kHeaderBytes)) {
        close(fd);
        return false;
    }
    // What a file lacks on disk (it was copied sparsely, say) is allocated before anybody writes to it.
    const auto size = static_cast<std::size_t>(status.st_size);
    const int failed = posix_fallocate(fd, 0, status.st_size);
    if (failed != 0) {
        errno = failed;
        give_up("allocate");
    }
    mapping = map(fd, size);
    close(fd);
    Recovered found;
    const AttachStatus attached = Region::attach(mapping, size, id, region_view, found);
    Config present;
    const bool same = Region::read_config({mapping, kHeaderBytes}, present) && present == config;
    if (attached == AttachStatus::ok && (same || !region_view.ring().empty())) {
        if (found.events > 0 || found.torn > 0 || found.damaged > 0)
            MIROX_LOG(LOG, errmsg("mirox_tokens found " UINT64_FORMAT " events waiting, " UINT64_FORMAT
                                  " torn ones, %u damaged segments",
                                  found.events, found.torn, found.damaged));
        if (!same)
            MIROX_LOG(
                LOG,
                errmsg("mirox_tokens keeps its event ring at the old size until a restart finds it drained"));
        return true;
    }
    if (attached != AttachStatus::ok)
        MIROX_LOG(
            LOG,
            errmsg("mirox_tokens makes a new event ring: the file \"%s\" is not one of this version", kFile));
    munmap(mapping, size);
    mapping = nullptr;
    return false;
}

}  // namespace

// In the postmaster, which is the last to go: what no worker came to write.
static void tell_of_rest(int, Datum) {
    if (MyProcPid != PostmasterPid || !region_view) return;
    std::uint64_t events = 0;
    int databases = 0;
    for (std::uint32_t i = 0; i < region_view.ring().lane_count(); i++) {
        const std::uint64_t waiting = region_view.ring().waiting(region_view.ring().lane_at(i));
        events += waiting;
        if (waiting > 0) databases++;
    }
    if (events > 0)
        MIROX_LOG(
            LOG,
            errmsg("mirox_tokens leaves recorded use in \"%s\": " UINT64_FORMAT " events of %d database(s)",
                   kFile, events, databases),
            errdetail("It is written when the server runs again."));
}

void request_events() {
    RequestAddinShmemSpace(sizeof(Control));
    RequestNamedLWLockTranche(kTranche, 1);
}

void start_events() {
    bool found;
    control_block = static_cast<Control*>(ShmemInitStruct("mirox_tokens control", sizeof(Control), &found));
    lock = &GetNamedLWLockTranche(kTranche)->lock;
    if (found) return;  // a child that was started by exec; ours are forked and inherit all
    static constinit bool registered = false;
    if (!registered) on_proc_exit(pg::guarded<tell_of_rest>, 0);
    registered = true;
    memset(static_cast<void*>(control_block), 0, sizeof(Control));
    ConditionVariableInit(&control_block->drained);
    // After a crash of a child the old mapping is still here: attached anew, in the place of what it was.
    if (mapping != nullptr) munmap(mapping, mapped);
    mapping = nullptr;
    const std::uint64_t id = random_id();
    const Config config = wanted();
    if (!attach_file(config, id)) make_file(config, id);
    lane_of_mine = {};
    seat_of_mine = nullptr;
}

Region& region() {
    return region_view;
}
Control& control() {
    return *control_block;
}
LWLock* region_lock() {
    return lock;
}

LaneRef my_lane() {
    if (lane_of_mine && lane_of_mine.database() == MyDatabaseId) return lane_of_mine;
    lane_of_mine = region_view.ring().find_lane(MyDatabaseId);
    if (lane_of_mine || !OidIsValid(MyDatabaseId)) return lane_of_mine;
    const TimestampTz now = GetCurrentTimestamp();
    if (now < no_lane_until) return lane_of_mine;
    LWLockAcquire(lock, LW_EXCLUSIVE);
    lane_of_mine = region_view.open_lane(MyDatabaseId);
    LWLockRelease(lock);
    if (!lane_of_mine) no_lane_until = now + USECS_PER_SEC;
    return lane_of_mine;
}

void forget_lane() {
    lane_of_mine = {};
}

Seat* my_seat() {
    if (seat_of_mine != nullptr && seat_of_mine->database.load(std::memory_order_relaxed) == MyDatabaseId)
        return seat_of_mine;
    if (!OidIsValid(MyDatabaseId)) return nullptr;
    seat_of_mine = seat_of(MyDatabaseId);
    if (seat_of_mine != nullptr) return seat_of_mine;
    const TimestampTz now = GetCurrentTimestamp();
    if (now < no_seat_until) return nullptr;
    LWLockAcquire(lock, LW_EXCLUSIVE);
    seat_of_mine = make_seat(MyDatabaseId);
    LWLockRelease(lock);
    if (seat_of_mine == nullptr) no_seat_until = now + USECS_PER_SEC;
    return seat_of_mine;
}

Seat* seat_of(std::uint32_t database) {
    for (Seat& seat : control_block->seats)
        if (seat.database.load(std::memory_order_acquire) == database) return &seat;
    return nullptr;
}

Seat* make_seat(std::uint32_t database) {
    Seat* seat = seat_of(database);
    if (seat != nullptr) return seat;
    seat = seat_of(InvalidOid);
    if (seat == nullptr) return nullptr;
    memset(static_cast<void*>(seat), 0, sizeof(Seat));
    seat->database.store(database, std::memory_order_release);
    return seat;
}

const char* could_not(Duty duty) {
    switch (duty) {
        case Duty::uses:
            return "could not write recorded usage";
        case Duty::strangers:
            return "could not write refusals of strangers";
        case Duty::minutes:
            return "could not close minutes";
        case Duty::notices:
            return "could not send notices of expiration";
        case Duty::house:
            return "could not take old rows away";
    }
    return "could not do its work";
}

bool wants_worker(std::uint32_t database) {
    const LaneRef lane = region_view.ring().find_lane(database);
    if (lane && region_view.ring().claimed(lane) > region_view.ring().freed(lane)) return true;
    const Seat* seat = seat_of(database);
    if (seat != nullptr &&
        seat->requested.load(std::memory_order_acquire) != seat->completed.load(std::memory_order_relaxed))
        return true;
    const Strangers& strangers = region_view.strangers();
    if (strangers.used() == 0 && strangers.overflowed() == 0) return false;
    for (std::uint32_t i = 0; i < strangers.capacity(); i++)
        if (strangers.database_at(i) == database) return true;
    return false;
}

bool note_failure(Seat& seat, Duty duty, int sqlstate, const char* message, bool tell) {
    Failure& failure = seat.failure;
    const TimestampTz now = GetCurrentTimestamp();
    LWLockAcquire(lock, LW_EXCLUSIVE);
    const std::uint32_t bit = 1U << static_cast<std::uint32_t>(duty);
    const std::uint32_t what =
        hash_bytes(reinterpret_cast<const unsigned char*>(message), static_cast<int>(strlen(message))) ^
        static_cast<std::uint32_t>(sqlstate);
    auto& said = failure.said[static_cast<std::uint32_t>(duty)];
    if (failure.since == 0) failure.since = now;
    if ((failure.failing.fetch_or(bit, std::memory_order_relaxed) & bit) == 0 || said.what != what)
        said.at = 0;
    failure.duty = duty;
    failure.sqlstate = sqlstate;
    failure.at = now;
    strlcpy(failure.message, message, sizeof(failure.message));
    said.what = what;
    const bool say = tell && now - said.at >= USECS_PER_HOUR;
    if (say) said.at = now;
    LWLockRelease(lock);
    return say;
}

void note_success(Seat& seat, Duty duty) {
    Failure& failure = seat.failure;
    const std::uint32_t bit = 1U << static_cast<std::uint32_t>(duty);
    if ((failure.failing.load(std::memory_order_relaxed) & bit) == 0) return;
    LWLockAcquire(lock, LW_EXCLUSIVE);
    if (failure.failing.fetch_and(~bit, std::memory_order_relaxed) == bit) failure.since = 0;
    LWLockRelease(lock);
}

Worker* worker_of(std::uint32_t database) {
    for (Worker& worker : control_block->workers)
        if (worker.database.load(std::memory_order_acquire) == database) return &worker;
    return nullptr;
}

bool is_barred(std::uint32_t database) {
    for (const Bar& bar : control_block->bars)
        if (bar.database == database) return true;
    return false;
}

// Latches of processes live in shared memory for as long as the server does; one too many wakes nobody up wrongly.
void wake_worker(std::uint32_t database) {
    if (control_block == nullptr) return;
    if (Worker* worker = worker_of(database); worker != nullptr) {
        Latch* latch = worker->latch.load(std::memory_order_acquire);
        if (latch != nullptr) {
            worker->woken.store(1, std::memory_order_release);
            SetLatch(latch);
            return;
        }
    }
    wake_launcher();
}

void wake_launcher() {
    if (control_block == nullptr) return;
    Latch* launcher = control_block->launcher.load(std::memory_order_acquire);
    if (launcher != nullptr) SetLatch(launcher);
}

std::size_t events_size() {
    return mapped;
}

}  // namespace mirox::shmem

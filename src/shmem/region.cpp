// The file-backed region. For the locks see region.hpp.
#include "shmem/region.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pg/settings.hpp"
#include "shmem/startup.hpp"

extern "C" {
#include "common/file_perm.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
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
constinit LWLock* lock = nullptr;
constinit QueueRef own_queue;
// When all queues are taken, the next try is a second later, so that checks do not wait for the lock.
constinit TimestampTz no_queue_until = 0;

Config wanted() {
    const auto ring_bytes = static_cast<std::uint64_t>(pg::settings().ring_size) * 1024 * 1024;
    const auto segments = static_cast<std::uint32_t>(ring_bytes / kSegmentBytes);
    // Enough counters for a ring of typical events that all belong to different tokens.
    return Config::fit(ring_bytes, kMaxDatabases, Max(segments * 8, std::uint32_t{1024}),
                       Max(segments * 32, std::uint32_t{1024}));
}

std::uint64_t random_id() {
    std::uint64_t id = 0;
    while (id == 0)
        if (!pg_strong_random(&id, sizeof(id)))
            ereport(FATAL, errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not get random bytes for the event ring"));
    return id;
}

[[noreturn]] void give_up(const char* doing) {
    ereport(FATAL, errcode_for_file_access(), errmsg("could not %s file \"%s\": %m", doing, kFile),
            errdetail("mirox_tokens records usage in this file."),
            errhint("Make its folder writable, with mirox_tokens.ring_size of disk space free."));
    pg_unreachable();
}

std::byte* map(int fd, std::size_t size) {
    void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) give_up("map");
    mapped = size;
    return static_cast<std::byte*>(at);
}

// The new file gets another name first, and replaces the old one when it is complete, so that a crash leaves one of the two. It
// is allocated in full: on a full disk a hole would raise SIGBUS in the middle of a check.
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

// True when there is a file that could be attached and is kept.
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
    // Holes, as in a file that was copied sparsely, are allocated before any process writes to them.
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
        if (!same) MIROX_LOG(LOG, errmsg("mirox_tokens keeps its event ring at the old size until a restart finds it drained"));
        return true;
    }
    if (attached != AttachStatus::ok)
        MIROX_LOG(LOG, errmsg("mirox_tokens makes a new event ring: the file \"%s\" is not one of this version", kFile));
    munmap(mapping, size);
    mapping = nullptr;
    return false;
}

}  // namespace

// Logs how many events no worker has written. In the postmaster, since it exits last.
static void log_waiting(int, Datum) {
    if (MyProcPid != PostmasterPid || !region_view) return;
    std::uint64_t events = 0;
    int databases = 0;
    for (std::uint32_t i = 0; i < region_view.ring().max_queues(); i++) {
        const std::uint64_t waiting = region_view.ring().waiting(region_view.ring().queue_at(i));
        events += waiting;
        if (waiting > 0) databases++;
    }
    if (events > 0)
        MIROX_LOG(LOG,
                  errmsg("mirox_tokens leaves recorded use in \"%s\": " UINT64_FORMAT " events of %d database(s)", kFile, events,
                         databases),
                  errdetail("It is written when the server runs again."));
}

void request_region() {
    RequestNamedLWLockTranche(kTranche, 1);
}

void start_region() {
    lock = &GetNamedLWLockTranche(kTranche)->lock;
    static constinit bool registered = false;
    if (!registered) on_proc_exit(log_waiting, 0);
    registered = true;
    // After a crash of a child the old mapping still exists. The file is mapped and attached again.
    if (mapping != nullptr) munmap(mapping, mapped);
    mapping = nullptr;
    const std::uint64_t id = random_id();
    const Config config = wanted();
    if (!attach_file(config, id)) make_file(config, id);
    own_queue = {};
}

Region& region() {
    return region_view;
}
Region& required_region() {
    if (!region_view) pg::raise_not_preloaded();
    return region_view;
}
LWLock* region_lock() {
    return lock;
}
std::size_t region_size() {
    return mapped;
}

QueueRef my_queue() {
    if (own_queue && own_queue.database() == MyDatabaseId) return own_queue;
    own_queue = region_view.ring().find_queue(MyDatabaseId);
    if (own_queue || !OidIsValid(MyDatabaseId)) return own_queue;
    const TimestampTz now = GetCurrentTimestamp();
    if (now < no_queue_until) return own_queue;
    LWLockAcquire(lock, LW_EXCLUSIVE);
    own_queue = region_view.open_queue(MyDatabaseId);
    LWLockRelease(lock);
    if (!own_queue) no_queue_until = now + USECS_PER_SEC;
    return own_queue;
}

void forget_queue() {
    own_queue = {};
}

}  // namespace mirox::shmem

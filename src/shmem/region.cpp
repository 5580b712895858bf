// Shared memory (see region.hpp, also for the locks).
#include "shmem/region.hpp"

#include "pg/entry.hpp"
#include "pg/settings.hpp"
#include "shmem/events.hpp"
#include "shmem/key_shelf.hpp"

extern "C" {
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
}

namespace mirox::shmem {
namespace {

// A view of plain pointers. The postmaster's children inherit it.
constinit Limits limits_view;
constinit bool present = false;

shmem_request_hook_type next_request = nullptr;
shmem_startup_hook_type next_startup = nullptr;

// A power of two, as the table of words wants it; never fewer than asked for.
std::uint32_t limit_entries() {
    return pg_nextpower2_32(static_cast<std::uint32_t>(pg::settings().max_tracked_accounts));
}

std::size_t limits_bytes() {
    return add_size(Limits::bytes(limit_entries()), kCacheLine);
}

std::byte* aligned(void* at) {
    return reinterpret_cast<std::byte*>(TYPEALIGN(kCacheLine, reinterpret_cast<std::uintptr_t>(at)));
}

[[noreturn]] void not_preloaded() {
    MIROX_RAISE(
        ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        errmsg("mirox_tokens must be loaded when the server starts"),
        errdetail("It keeps rate limits in shared memory."),
        errhint("Add mirox_tokens to shared_preload_libraries in postgresql.conf and restart the server."));
}

void request() {
    if (next_request != nullptr) next_request();
    RequestAddinShmemSpace(region_size());
    request_events();
    request_key_shelf();
}

void start_up() {
    if (next_startup != nullptr) next_startup();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    bool found;
    std::byte* const at = aligned(ShmemInitStruct("mirox_tokens rate limits", limits_bytes(), &found));
    limits_view = found ? Limits::view(at, limit_entries()) : Limits::initialise(at, limit_entries());
    start_events();
    start_key_shelf();
    present = true;
    LWLockRelease(AddinShmemInitLock);
}

}  // namespace

void request_region() {
    next_request = shmem_request_hook;
    shmem_request_hook = pg::guarded<request>;
    next_startup = shmem_startup_hook;
    shmem_startup_hook = pg::guarded<start_up>;
}

std::size_t region_size() {
    return limits_bytes();
}

Limits& limits() {
    if (!present) not_preloaded();
    return limits_view;
}

}  // namespace mirox::shmem

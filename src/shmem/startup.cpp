// Shared memory. For the locks see startup.hpp.
#include "shmem/startup.hpp"

#include "shmem/control.hpp"
#include "shmem/limits.hpp"
#include "shmem/region.hpp"
#include "shmem/shared_keys.hpp"

extern "C" {
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
}

namespace mirox::shmem {
namespace {

shmem_request_hook_type next_request = nullptr;
shmem_startup_hook_type next_startup = nullptr;

// Bytes of the server's main shared memory.
std::size_t main_bytes() {
    return add_size(limits_bytes(), sizeof(Control) + 2 * kCacheLine);
}

void request() {
    if (next_request != nullptr) next_request();
    RequestAddinShmemSpace(main_bytes());
    request_region();
    request_shared_keys();
}

void start_up() {
    if (next_startup != nullptr) next_startup();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    start_limits();
    // Children are forked and inherit the mappings. In a child that was started by exec, start_control() returns false.
    if (start_control()) {
        start_region();
        start_shared_keys();
    }
    LWLockRelease(AddinShmemInitLock);
}

}  // namespace

void request_shared_memory() {
    next_request = shmem_request_hook;
    shmem_request_hook = request;
    next_startup = shmem_startup_hook;
    shmem_startup_hook = start_up;
}

std::size_t shared_bytes() {
    return main_bytes() + region_size() + sizeof(SharedKeys);
}

std::byte* shared_part(const char* name, std::size_t bytes, bool* found) {
    void* at = ShmemInitStruct(name, add_size(bytes, kCacheLine), found);
    return reinterpret_cast<std::byte*>(TYPEALIGN(kCacheLine, reinterpret_cast<std::uintptr_t>(at)));
}

}  // namespace mirox::shmem

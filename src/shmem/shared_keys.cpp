// Signing keys in shared memory. For the locks see shared_keys.hpp.
#include "shmem/shared_keys.hpp"

#include <sys/mman.h>

#include "core/crypto.hpp"

namespace mirox::shmem {
namespace {

constexpr char kTranche[] = "mirox_tokens_keys";

constinit SharedKeys* shared = nullptr;
constinit LWLock* lock = nullptr;

}  // namespace

void* map_undumped(std::size_t size, bool shared) {
    void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);
    if (at == MAP_FAILED) return nullptr;
    // If the kernel refuses, core dumps include the keys, as they do the server's other memory.
    (void)madvise(at, size, MADV_DONTDUMP);
    return at;
}

void request_shared_keys() {
    RequestNamedLWLockTranche(kTranche, 1);
}

void start_shared_keys() {
    lock = &GetNamedLWLockTranche(kTranche)->lock;
    if (shared == nullptr) {
        shared = static_cast<SharedKeys*>(map_undumped(sizeof(SharedKeys), true));
        if (shared == nullptr)
            ereport(FATAL, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("could not map shared memory: %m"),
                    errhint("Make more memory available to the server."));
    }
    // After a crash: the child may have been writing.
    core::wipe(&shared->now, sizeof(shared->now));
    shared->version.store(0, std::memory_order_relaxed);
}

SharedKeys* shared_keys() {
    return shared;
}
LWLock* key_lock() {
    return lock;
}

}  // namespace mirox::shmem

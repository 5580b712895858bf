// Signing keys in shared memory. For the locks see key_shelf.hpp.
#include "shmem/key_shelf.hpp"

#include <sys/mman.h>

#include "core/crypto.hpp"

namespace mirox::shmem {
namespace {

constexpr char kTranche[] = "mirox_tokens_keys";

constinit KeyShelf* shelf = nullptr;
constinit LWLock* lock = nullptr;

}  // namespace

void* map_undumped(std::size_t size, bool shared) {
    void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);
    if (at == MAP_FAILED) return nullptr;
    // If the kernel refuses, core dumps include the keys, as they do the server's other memory.
    (void)madvise(at, size, MADV_DONTDUMP);
    return at;
}

void request_key_shelf() {
    RequestNamedLWLockTranche(kTranche, 1);
}

void start_key_shelf() {
    lock = &GetNamedLWLockTranche(kTranche)->lock;
    if (shelf == nullptr) {
        shelf = static_cast<KeyShelf*>(map_undumped(sizeof(KeyShelf), true));
        if (shelf == nullptr)
            ereport(FATAL, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("could not map shared memory: %m"),
                    errhint("Make more memory available to the server."));
    }
    // After a crash: the child may have been writing.
    core::wipe(&shelf->now, sizeof(shelf->now));
    shelf->version.store(0, std::memory_order_relaxed);
}

KeyShelf* key_shelf() {
    return shelf;
}
LWLock* key_lock() {
    return lock;
}

}  // namespace mirox::shmem

// The JWT signing keys that all backends share: the last valid set, and the current state of the key file. One backend reads a
// changed file and writes the result here; the others copy it. Only store/keys.cpp reads and writes it.
//
// It is a separate mapping, which the kernel leaves out of core dumps. The postmaster makes it before any child runs, and empties
// it when it restarts its children after a crash.
//
// Locks: key_lock(), exclusive to write, shared to read; `version` is read without one.
#pragma once

#include "pg/prelude.hpp"
//
#include <sys/types.h>

#include <atomic>
#include <ctime>

#include "core/jwt.hpp"

extern "C" {
#include "datatype/timestamp.h"
#include "storage/lwlock.h"
}

namespace mirox::shmem {

inline constexpr std::size_t kMaxJwtKeys = 16;
inline constexpr std::size_t kMaxJwtKeyBytes = 256;

struct SigningKey {
    std::uint32_t id_size, size;
    char id[core::kMaxJwtKeyIdChars];
    std::uint8_t bytes[kMaxJwtKeyBytes];
};

struct KeySet {
    std::uint64_t count;
    SigningKey keys[kMaxJwtKeys];
};

// Which file was read, and its state at that time.
struct FileStamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
    int error;  // errno of stat(), 0 when there is a file
};

struct KeyFile {
    char path[MAXPGPATH];  // empty: no file is set, and there are no keys
    FileStamp stamp;
    bool stable;  // every later change of the file would change the stamp
    int fault;    // store::KeyFault
    int line;     // of the fault, 0: none
    TimestampTz since;
    KeySet good;
};
static_assert(std::is_trivially_copyable_v<KeyFile>);

struct SharedKeys {
    std::atomic<std::uint64_t> version;  // grows with each change of `now`
    KeyFile now;
};

// Called by startup.cpp.
void request_shared_keys();
void start_shared_keys();

// Null when the library is not in shared_preload_libraries.
SharedKeys* shared_keys();
LWLock* key_lock();

// Zeroed memory that core dumps leave out. It is never freed. Null when there is no memory.
void* map_undumped(std::size_t size, bool shared);

}  // namespace mirox::shmem

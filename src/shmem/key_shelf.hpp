// Where the keys that sign JWTs stand for all backends: the last good set of them, and how their file stands now. One backend reads
// a change of the file and writes it here; the others, new ones too, copy it. store/keys.cpp alone reads and writes it.
//
// It is a mapping of its own, apart from the rest of shared memory, which the kernel leaves out of core dumps. The postmaster makes
// it before any child runs, and empties it when it starts its children anew after a crash.
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

// Which file was read, and how it stood.
struct FileStamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
    int error;  // errno of stat(), 0 when there is a file
};

struct KeyFile {
    char path[MAXPGPATH];  // empty: none is set, and there are no keys
    FileStamp stamp;
    bool settled;  // a change after reading would show in the stamp
    int fault;     // store::KeyFault
    int line;      // of the fault, 0: none
    TimestampTz since;
    KeySet good;
};
static_assert(std::is_trivially_copyable_v<KeyFile>);

struct KeyShelf {
    std::atomic<std::uint64_t> version;  // raised with each change of what follows
    KeyFile now;
};

// Called by startup.cpp.
void request_key_shelf();
void start_key_shelf();

// Null in a server that was started without us.
KeyShelf* key_shelf();
LWLock* key_lock();

// Memory that is left out of core dumps, zeroed, for as long as the process lives; null when there is none.
void* map_undumped(std::size_t size, bool shared);

}  // namespace mirox::shmem

// The keys that sign tokens in the form of a JWT, read from the file of mirox_tokens.jwt_key_file.
//
// The file has one key a line, `kid: key`. Blank lines, and everything after a `#`, are ignored. The first key signs, all keys
// verify. To replace a key, put the new one first, and remove the old one when its tokens have expired. kid is 1 to 64 characters
// of [A-Za-z0-9._-]. The key is 32 to 256 bytes, in hex (only digits, an even number of them) or in base64 (either alphabet).
// Like the server's TLS key file, the file must belong to the server's user or to root and be closed to others.
//
// The last good set of keys is in shared memory (shmem/shared_keys.hpp). A good file replaces it at once, even if a key was
// removed. A faulty file (missing, empty, malformed or open to others) does not: the last good set stays in force, in new
// backends too.
//
// Locks: key_lock(), shared to copy what another backend has read, exclusive to publish what this one has read. No lock while the
// file's times and size are unchanged. The copy is wiped when it is replaced, and is left out of core dumps.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/jwt.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace mirox::store {

// Whether a text is a JWT that we signed; its digest decides everything else. `unavailable`: it may be one, but a key file is set
// and there has been no good one since the server started.
enum class JwtSignature : std::uint8_t { foreign, ours, unavailable };
JwtSignature signature_of(std::string_view text);

// The key that signs. Raises 55000 with the reason if there is none.
const core::JwtKey& jwt_signing_key();

// For mirox.stat: how many keys are in force, the state of the file as one word, and since when (0: no file is set).
struct JwtKeyState {
    std::int32_t keys;
    const char* file;
    TimestampTz since;
};
JwtKeyState jwt_key_state();

}  // namespace mirox::store

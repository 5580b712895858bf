// The keys that sign tokens in the form of a JWT: read from the file of mirox_tokens.jwt_key_file.
//
// The file holds a key a line, `kid: key`; blank lines and what follows a `#` are skipped. The first one signs, all of them
// verify, so that keys can roll: put the new one first, take the old one away when its tokens have expired. kid is 1 to 64
// characters of [A-Za-z0-9._-]; the key is 32 to 256 bytes, in hex (all digits, an even number of them) or in base64, either
// alphabet. Like a TLS key of the server's, the file belongs to the server's user or to root and is closed to others.
//
// The last good set stands in shared memory (shmem/key_shelf.hpp). A file that is good takes its place at once, also where it lacks
// a key; one that is no good (missing, empty, malformed, open to others) does not: the last good set goes on, in new backends too.
//
// Locks: key_lock() shared to copy what another backend has read, exclusive to write what this one has. None while nothing has
// changed: a look at the file's times and size tells that. The copy is wiped when it is replaced, and left out of core dumps.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/jwt.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace mirox::store {

// Whether a text is a token of ours in the form of a JWT, by its signature; its digest decides all else. `unavailable`: it may be
// one, but a file of keys is set, and there has been no good one since the server started.
enum class JwtSignature : std::uint8_t { foreign, ours, unavailable };
JwtSignature signature_of(std::string_view text);

// The key that signs; 55000 with the reason when there is none.
const core::JwtKey& jwt_signing_key();

// For mirox.stat: how many keys checks go by, how the file stands in one word, and since when (0: no file is set).
struct JwtKeyState {
    std::int32_t keys;
    const char* file;
    TimestampTz since;
};
JwtKeyState jwt_key_state();

}  // namespace mirox::store

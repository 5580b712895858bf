// The keys that sign tokens in the form of a JWT: read from the file of mirox_tokens.jwt_key_file and kept in this backend.
//
// The file holds a key a line, `kid: key`; blank lines and what follows a `#` are skipped. The first one signs, all of them
// verify, so that keys can roll: put the new one first, take the old one away when its tokens have expired. kid is 1 to 64
// characters of [A-Za-z0-9._-]; the key is 32 to 256 bytes, in hex (all digits, an even number of them) or in base64, either
// alphabet. Like a TLS key of the server's, the file belongs to the server's user or to root and is closed to others.
//
// Locks: none. A look at the file's times and size tells whether it must be read again; what was read before is wiped then.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/jwt.hpp"

namespace mirox::store {

// The keys as the file has them now; none when there is no file or it is no good, which the server log tells once a change.
std::span<const core::JwtKey> jwt_keys();

// The key that signs; 55000 with the reason when there is none.
const core::JwtKey& jwt_signing_key();

// A token of ours in the form of a JWT, by its signature. Its digest decides all else.
bool is_signed_jwt(std::string_view text);

}  // namespace mirox::store

// Secrets and their digests (see secrets.hpp). Takes no locks; reads no table.
#include "store/secrets.hpp"

#include "pg/settings.hpp"

namespace mirox::store {

core::Digest digest_of(std::string_view secret) {
    core::Digest digest;
    if (!core::sha256(secret, digest)) pg::raise_out_of_memory("hashing a secret");
    return digest;
}

core::SecretKind kind_of(std::string_view secret) {
    return core::classify_secret(secret, pg::settings().prefixes);
}

NewSecret make_secret(core::SecretKind kind) {
    NewSecret out = {};
    char random[core::kSecretRandomChars];
    if (!core::random_base62(random))
        MIROX_RAISE(ERRCODE_INTERNAL_ERROR, errmsg("could not get random bytes for a secret"),
                    errhint("Check that the system's random number generator works, then try again."));
    out.size = core::format_secret(kind, pg::settings().prefixes, random, out.text);
    core::wipe(random, sizeof(random));
    out.hint_size = core::redact_secret(out.view(), out.hint);
    const bool hashed = core::sha256(out.view(), out.digest);
    out.scheme = 's';
    if (!hashed) {
        out.wipe();
        pg::raise_out_of_memory("hashing a secret");
    }
    return out;
}

}  // namespace mirox::store

// The type mirox.secret, for arguments and variables: a well-formed secret, or a text that looks like one of our JWTs. The input
// function never repeats its argument in an error. The output function shows the redacted form, and reveal() the plaintext.
#include "core/secret.hpp"
#include "core/crypto.hpp"
#include "core/jwt.hpp"
#include "pg/entry.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "store/acts.hpp"

using namespace mirox;

MIROX_SECRET_FUNCTION(secret_in) {
    char* text = PG_GETARG_CSTRING(0);
    const std::size_t size = strlen(text);
    if (core::classify_secret({text, size}, pg::settings().prefixes) == core::SecretKind::malformed &&
        !core::looks_like_jwt({text, size}))
        MIROX_RAISE(ERRCODE_INVALID_TEXT_REPRESENTATION, errword(ErrorWord::value_malformed), errmsg("malformed secret"),
                    errdetail("Its prefix, length, alphabet or checksum is wrong."),
                    errhint("Copy the secret whole, as it was shown when it was issued or rotated."));
    return PointerGetDatum(cstring_to_text_with_len(text, static_cast<int>(size)));
}

MIROX_SECRET_FUNCTION(secret_out) {
    static_assert(core::kMaxHintBytes >= core::kMaxJwtHintBytes);
    char hint[core::kMaxHintBytes];
    const std::string_view secret = pg::secret_view(PG_GETARG_DATUM(0));
    const std::size_t size = core::looks_like_jwt(secret)
                                 ? core::redact_jwt(secret, std::span<char, core::kMaxJwtHintBytes>(hint, core::kMaxJwtHintBytes))
                                 : core::redact_secret(secret, hint);
    const std::string_view shown = pg::from_utf8_lossy({hint, size});
    return CStringGetDatum(pnstrdup(shown.data(), shown.size()));
}

MIROX_OWN_READ_ONLY_ACT(reveal) {
    return pg::secret_text_datum(pg::secret_view(PG_GETARG_DATUM(0)));
}

// The type mirox.secret: a well-formed secret, for arguments and variables. Its input never repeats what it was given; its
// output is the redacted form; reveal() gives the plaintext.
#include "core/secret.hpp"
#include "core/crypto.hpp"
#include "pg/entry.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "store/acts.hpp"

using namespace mirox;

MIROX_SECRET_FUNCTION(secret_in) {
    char* text = PG_GETARG_CSTRING(0);
    const std::size_t size = strlen(text);
    if (core::classify_secret({text, size}, pg::settings().prefixes) == core::SecretKind::malformed)
        MIROX_RAISE(ERRCODE_INVALID_TEXT_REPRESENTATION, errmsg("malformed secret"),
                    errdetail("Its prefix, length, alphabet or checksum is wrong."),
                    errhint("Copy the secret whole, as it was shown when it was issued or rotated."));
    return PointerGetDatum(cstring_to_text_with_len(text, static_cast<int>(size)));
}

MIROX_SECRET_FUNCTION(secret_out) {
    char hint[core::kMaxHintBytes];
    const std::size_t size = core::redact_secret(pg::secret_view(PG_GETARG_DATUM(0)), hint);
    const std::string_view shown = pg::from_utf8_lossy({hint, size});
    return CStringGetDatum(pnstrdup(shown.data(), shown.size()));
}

MIROX_OWN_ACT(reveal) {
    return pg::secret_text_datum(pg::secret_view(PG_GETARG_DATUM(0)));
}

// The type mirox.digest: 32 bytes of fixed length, passed by reference. Its text form is 64 hex digits.
// Equality takes constant time. The btree comparison does not: it compares digests, from which nobody can compute a secret.
#include "core/chars.hpp"
#include "core/crypto.hpp"
#include "pg/entry.hpp"
#include "pg/values.hpp"

extern "C" {
#include "common/hashfn.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
}

using namespace mirox;
using core::kDigestBytes;

namespace {

const std::uint8_t* digest_arg(FunctionCallInfo fcinfo, int n) {
    return pg::digest_bytes(fcinfo->args[n].value);
}

int compare(FunctionCallInfo fcinfo) {
    return memcmp(digest_arg(fcinfo, 0), digest_arg(fcinfo, 1), kDigestBytes);
}

bool equal(FunctionCallInfo fcinfo) {
    return core::equal_constant_time({digest_arg(fcinfo, 0), kDigestBytes}, {digest_arg(fcinfo, 1), kDigestBytes});
}

}  // namespace

MIROX_SECRET_FUNCTION(digest_in) {
    auto* out = static_cast<std::uint8_t*>(palloc(kDigestBytes));
    // The error does not repeat the input, which may be a secret passed by mistake.
    if (!core::decode_hex(PG_GETARG_CSTRING(0), {out, kDigestBytes}))
        MIROX_RAISE(ERRCODE_INVALID_TEXT_REPRESENTATION, errword(ErrorWord::value_malformed),
                    errmsg("invalid input for type digest"), errhint("Write a digest as 64 hex digits."));
    return PointerGetDatum(out);
}

MIROX_FUNCTION(digest_out) {
    auto* out = static_cast<char*>(palloc(2 * kDigestBytes + 1));
    hex_encode(reinterpret_cast<const char*>(digest_arg(fcinfo, 0)), kDigestBytes, out);
    out[2 * kDigestBytes] = '\0';
    return CStringGetDatum(out);
}

MIROX_SECRET_FUNCTION(digest_recv) {
    auto* message = reinterpret_cast<StringInfo>(PG_GETARG_POINTER(0));
    auto* out = static_cast<std::uint8_t*>(palloc(kDigestBytes));
    pq_copymsgbytes(message, reinterpret_cast<char*>(out), kDigestBytes);
    return PointerGetDatum(out);
}

MIROX_FUNCTION(digest_send) {
    StringInfoData message;
    pq_begintypsend(&message);
    pq_sendbytes(&message, reinterpret_cast<const char*>(digest_arg(fcinfo, 0)), kDigestBytes);
    return PointerGetDatum(pq_endtypsend(&message));
}

MIROX_FUNCTION(digest_eq) {
    return BoolGetDatum(equal(fcinfo));
}
MIROX_FUNCTION(digest_ne) {
    return BoolGetDatum(!equal(fcinfo));
}
MIROX_FUNCTION(digest_lt) {
    return BoolGetDatum(compare(fcinfo) < 0);
}
MIROX_FUNCTION(digest_le) {
    return BoolGetDatum(compare(fcinfo) <= 0);
}
MIROX_FUNCTION(digest_gt) {
    return BoolGetDatum(compare(fcinfo) > 0);
}
MIROX_FUNCTION(digest_ge) {
    return BoolGetDatum(compare(fcinfo) >= 0);
}
MIROX_FUNCTION(digest_cmp) {
    const int order = compare(fcinfo);
    return Int32GetDatum(order < 0 ? -1 : order > 0 ? 1 : 0);
}
MIROX_FUNCTION(digest_hash) {
    return hash_any(digest_arg(fcinfo, 0), kDigestBytes);
}
MIROX_FUNCTION(digest_hash_extended) {
    return hash_any_extended(digest_arg(fcinfo, 0), kDigestBytes, PG_GETARG_INT64(1));
}

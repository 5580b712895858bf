// The type mirox.digest: 32 bytes, fixed length, passed by reference; text form 64 hex digits.
// Equality takes constant time; the ordering of a btree does not and need not: what is compared is a digest.
#include "core/crypto.hpp"
#include "pg/entry.hpp"
#include "pg/values.hpp"

extern "C" {
#include "common/hashfn.h"
#include "libpq/pqformat.h"
}

using mirox::core::kDigestBytes;

namespace {

const std::uint8_t* digest_arg(FunctionCallInfo fcinfo, int n) {
    return mirox::pg::digest_bytes(fcinfo->args[n].value);
}

int compare(FunctionCallInfo fcinfo) {
    return memcmp(digest_arg(fcinfo, 0), digest_arg(fcinfo, 1), kDigestBytes);
}

bool equal(FunctionCallInfo fcinfo) {
    return mirox::core::equal_constant_time({digest_arg(fcinfo, 0), kDigestBytes},
                                            {digest_arg(fcinfo, 1), kDigestBytes});
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

[[noreturn]] void malformed() {
    // The input is not repeated: it might be a secret, put in the wrong place.
    MIROX_RAISE(ERRCODE_INVALID_TEXT_REPRESENTATION, errmsg("invalid input for type digest"),
                errhint("A digest is written as 64 hex digits."));
}

}  // namespace

MIROX_SECRET_FUNCTION(digest_in) {
    const char* text = PG_GETARG_CSTRING(0);
    if (strlen(text) != 2 * kDigestBytes) malformed();
    auto* out = static_cast<std::uint8_t*>(palloc(kDigestBytes));
    for (std::size_t i = 0; i < kDigestBytes; i++) {
        const int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0) malformed();
        out[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    return PointerGetDatum(out);
}

MIROX_FUNCTION(digest_out) {
    const std::uint8_t* bytes = digest_arg(fcinfo, 0);
    auto* out = static_cast<char*>(palloc(2 * kDigestBytes + 1));
    for (std::size_t i = 0; i < kDigestBytes; i++) {
        out[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
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

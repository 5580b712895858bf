// Between Datums and what the rules take (see values.hpp). Takes no locks; reads no table.
#include "pg/values.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
}

namespace mirox::pg {

Datum scopes_datum(std::span<const core::Scope> scopes) {
    const std::size_t size = core::encoded_size(scopes);
    auto* out = static_cast<struct varlena*>(palloc(VARHDRSZ + size));
    SET_VARSIZE(out, VARHDRSZ + size);
    core::encode(scopes, {reinterpret_cast<std::byte*>(VARDATA(out)), size});
    return PointerGetDatum(out);
}

Datum digest_datum(const core::Digest& digest) {
    auto* out = static_cast<std::uint8_t*>(palloc(core::kDigestBytes));
    memcpy(out, digest.data(), core::kDigestBytes);
    return PointerGetDatum(out);
}

const char* scope_status_text(core::ScopeStatus status) {
    switch (status) {
        case core::ScopeStatus::ok:
            return "";
        case core::ScopeStatus::empty:
            return "A resource, a segment or an action is empty.";
        case core::ScopeStatus::bad_character:
            return "Only a-z, 0-9, '_' and '-' may stand in a segment or an action.";
        case core::ScopeStatus::segment_too_long:
            return "A segment or action is longer than 63 characters.";
        case core::ScopeStatus::too_many_segments:
            return "A resource has more than 16 segments.";
        case core::ScopeStatus::too_many_scopes:
            return "A set holds at most 256 scopes.";
    }
    return "";
}

Datum scopes_from_text_array(Datum array) {
    Datum* items;
    bool* nulls;
    int count;
    ArrayType* value = DatumGetArrayTypeP(array);
    deconstruct_array(value, TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &count);
    auto* scopes = static_cast<core::Scope*>(palloc(sizeof(core::Scope) * Max(count, 1)));
    if (ARR_NDIM(value) > 1)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("scopes must be a one-dimensional array"),
                    errhint("Write the scopes as one list, like {parks:read,reports}."));
    for (int i = 0; i < count; i++) {
        if (nulls[i])
            MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("a scope must not be NULL"),
                        errhint("Leave the element out, or name a scope such as parks:read."));
        const std::string_view text = text_view(items[i]);
        const core::ScopeStatus status = core::parse_scope(text, scopes[i]);
        // Not repeated: what is no scope may be a secret in the wrong place.
        if (status != core::ScopeStatus::ok)
            MIROX_RAISE(
                ERRCODE_INVALID_PARAMETER_VALUE, errmsg("invalid scope"),
                errdetail("Element %d: %s", i + 1, scope_status_text(status)),
                errhint("A scope is resource[.sub…][:action], such as parks:read, or * for everything."));
    }
    const std::size_t kept = core::normalise({scopes, static_cast<std::size_t>(count)});
    if (kept > core::kMaxScopes)
        MIROX_RAISE(
            ERRCODE_INVALID_PARAMETER_VALUE, errmsg("too many scopes"),
            errdetail("A set holds at most %d scopes; these are %zu.", static_cast<int>(core::kMaxScopes),
                      kept),
            errhint(
                "Name broader scopes: a resource covers all below it, and every action when none is given."));
    return scopes_datum({scopes, kept});
}

Datum scopes_intersection(core::ScopeSet a, core::ScopeSet b, bool cut, bool* was_cut) {
    const std::size_t room = Max(a.count() * b.count(), std::size_t{1});
    auto* work = static_cast<core::Scope*>(palloc(sizeof(core::Scope) * room));
    std::size_t count = core::intersect(a, b, {work, room});
    if (was_cut != nullptr) *was_cut = false;
    if (count > core::kMaxScopes) {
        if (!cut)
            MIROX_RAISE(ERRCODE_PROGRAM_LIMIT_EXCEEDED, errmsg("too many scopes in an intersection"),
                        errdetail("A set holds at most %d scopes; this one would hold %zu.",
                                  static_cast<int>(core::kMaxScopes), count),
                        errhint("Name broader scopes in one of the two sets."));
        count = core::kMaxScopes;
        if (was_cut != nullptr) *was_cut = true;
    }
    const Datum result = scopes_datum({work, count});
    pfree(work);
    return result;
}

std::string_view to_utf8(std::string_view text) {
    const int size = static_cast<int>(text.size());
    if (size == 0 || GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII) return text;
    auto* source = reinterpret_cast<unsigned char*>(const_cast<char*>(text.data()));
    auto* converted =
        reinterpret_cast<char*>(pg_do_encoding_conversion(source, size, GetDatabaseEncoding(), PG_UTF8));
    return converted == text.data() ? text : std::string_view(converted, strlen(converted));
}

bool try_to_utf8(std::string_view text, std::string_view& out) {
    const int encoding = GetDatabaseEncoding();
    bool plain = encoding == PG_UTF8 || encoding == PG_SQL_ASCII;
    if (!plain) {
        plain = true;
        for (const char c : text) plain = plain && !IS_HIGHBIT_SET(c);
    }
    out = text;
    if (plain) return true;
    const Oid conversion = FindDefaultConversionProc(encoding, PG_UTF8);
    if (!OidIsValid(conversion)) return false;
    const int size = static_cast<int>(text.size());
    const int room = size * MAX_CONVERSION_GROWTH + 1;
    auto* source = reinterpret_cast<unsigned char*>(pnstrdup(text.data(), text.size()));
    auto* converted = static_cast<unsigned char*>(palloc(room));
    if (pg_do_encoding_conversion_buf(conversion, encoding, PG_UTF8, source, size, converted, room, true) !=
        size)
        return false;
    out = reinterpret_cast<const char*>(converted);
    return true;
}

std::string_view from_utf8(std::string_view utf8) {
    const int size = static_cast<int>(utf8.size());
    if (size == 0 || GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII) return utf8;
    auto* source = reinterpret_cast<unsigned char*>(const_cast<char*>(utf8.data()));
    auto* converted =
        reinterpret_cast<char*>(pg_do_encoding_conversion(source, size, PG_UTF8, GetDatabaseEncoding()));
    return converted == utf8.data() ? utf8 : std::string_view(converted, strlen(converted));
}

std::string_view from_utf8_lossy(std::string_view utf8) {
    const int encoding = GetDatabaseEncoding();
    if (utf8.empty()) return utf8;
    auto* const copy = static_cast<char*>(palloc(utf8.size() + 1));
    memcpy(copy, utf8.data(), utf8.size());
    copy[utf8.size()] = '\0';
    for (std::size_t at = 0; at < utf8.size();) {
        const int rest = static_cast<int>(utf8.size() - at);
        const int good = pg_encoding_verifymbstr(PG_UTF8, copy + at, rest);
        at += static_cast<std::size_t>(good);
        if (good < rest) copy[at++] = '?';
    }
    if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII) return {copy, utf8.size()};
    const Oid conversion = FindDefaultConversionProc(PG_UTF8, encoding);
    const std::size_t room = utf8.size() * MAX_CONVERSION_GROWTH + 1;
    auto* const out = static_cast<char*>(palloc(room));
    std::size_t size = 0;
    for (std::size_t at = 0; at < utf8.size();) {
        if (OidIsValid(conversion)) {
            at += static_cast<std::size_t>(pg_do_encoding_conversion_buf(
                conversion, PG_UTF8, encoding, reinterpret_cast<unsigned char*>(copy + at),
                static_cast<int>(utf8.size() - at), reinterpret_cast<unsigned char*>(out + size),
                static_cast<int>(room - size), true));
            size += strlen(out + size);
        }
        if (at >= utf8.size()) break;
        const auto lead = static_cast<unsigned char>(copy[at]);
        const bool plain = lead < 0x80 && !OidIsValid(conversion);
        out[size++] = plain ? copy[at] : '?';
        at += static_cast<std::size_t>(pg_encoding_mblen(PG_UTF8, copy + at));
    }
    return {out, size};
}

}  // namespace mirox::pg

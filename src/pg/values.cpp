// Converts Datums (see values.hpp). Takes no locks; reads no table.
#include "pg/values.hpp"

#include "core/slice.hpp"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
}

namespace mirox::pg {

Datum array_datum(Oid type, Datum* values, bool* nulls, int count) {
    std::int16_t length;
    bool by_value;
    char alignment;
    get_typlenbyvalalign(type, &length, &by_value, &alignment);
    int dimensions[1] = {count};
    int bounds[1] = {1};
    return PointerGetDatum(construct_md_array(values, nulls, 1, dimensions, bounds, type, length, by_value, alignment));
}

bool is_id_type(Oid base) {
    switch (base) {
        case TEXTOID:
        case VARCHAROID:
        case UUIDOID:
        case INT2OID:
        case INT4OID:
        case INT8OID:
            return true;
        default:
            return false;
    }
}

Datum scopes_datum(std::span<const core::Scope> scopes) {
    const std::size_t size = core::encoded_size(scopes);
    auto* out = static_cast<struct varlena*>(palloc(VARHDRSZ + size));
    SET_VARSIZE(out, VARHDRSZ + size);
    core::encode(scopes, {reinterpret_cast<std::byte*>(VARDATA(out)), size});
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

void append_scope(StringInfo out, const core::Scope& scope) {
    appendBinaryStringInfo(out, scope.resource.data(), static_cast<int>(scope.resource.size()));
    if (scope.action.empty()) return;
    appendStringInfoChar(out, ':');
    appendBinaryStringInfo(out, scope.action.data(), static_cast<int>(scope.action.size()));
}

Datum scopes_from_text_array(Datum array, const char* argument) {
    Datum* items;
    bool* nulls;
    int count;
    ArrayType* value = DatumGetArrayTypeP(array);
    if (ArrayGetNItems(ARR_NDIM(value), ARR_DIMS(value)) > static_cast<int>(core::kMaxGivenScopes))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::scopes_too_many, argument), errmsg("too many scopes"),
                    errdetail("%s", scope_status_text(core::ScopeStatus::too_many_scopes)),
                    errhint("Leave out scopes that are named twice, or that another one covers."));
    deconstruct_array(value, TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &count);
    auto* scopes = static_cast<core::Scope*>(palloc(sizeof(core::Scope) * Max(count, 1)));
    if (ARR_NDIM(value) > 1)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::scope_invalid, argument),
                    errmsg("scopes must be a one-dimensional array"),
                    errhint("Write the scopes as one list, like {parks:read,reports}."));
    for (int i = 0; i < count; i++) {
        if (nulls[i])
            MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::scope_invalid, argument),
                        errmsg("a scope must not be NULL"),
                        errhint("Leave the element out, or name a scope such as parks:read."));
        const std::string_view text = text_view(items[i]);
        const core::ScopeStatus status = core::parse_scope(text, scopes[i]);
        // The text is not repeated: it may be a secret in the wrong argument.
        if (status != core::ScopeStatus::ok)
            MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::scope_invalid, argument), errmsg("invalid scope"),
                        errdetail("Element %d: %s", i + 1, scope_status_text(status)), errhint(kScopeHint));
    }
    const std::size_t kept = core::normalise({scopes, static_cast<std::size_t>(count)});
    if (kept > core::kMaxScopes)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::scopes_too_many, argument), errmsg("too many scopes"),
                    errdetail("A set holds at most %d scopes; these are %zu.", static_cast<int>(core::kMaxScopes), kept),
                    errhint("Name broader scopes: a resource covers all below it, and every action when none is given."));
    return scopes_datum({scopes, kept});
}

Datum scopes_intersection(core::ScopeSet a, core::ScopeSet b, bool cut, bool* was_cut) {
    const std::size_t room = Max(a.count() * b.count(), std::size_t{1});
    auto* work = static_cast<core::Scope*>(palloc(sizeof(core::Scope) * room));
    std::size_t count = core::intersect(a, b, {work, room});
    if (was_cut != nullptr) *was_cut = false;
    if (count > core::kMaxScopes) {
        if (!cut)
            MIROX_RAISE(
                ERRCODE_PROGRAM_LIMIT_EXCEEDED, errword(ErrorWord::intersection_too_large),
                errmsg("too many scopes in an intersection"),
                errdetail("A set holds at most %d scopes; this one would hold %zu.", static_cast<int>(core::kMaxScopes), count),
                errhint("Name broader scopes in one of the two sets."));
        count = core::kMaxScopes;
        if (was_cut != nullptr) *was_cut = true;
    }
    const Datum result = scopes_datum({work, count});
    pfree(work);
    return result;
}

Datum compile_permissions(Datum owner, Datum own) {
    if (own == 0) return owner;
    bool was_cut;
    const Datum result = scopes_intersection(scope_set(owner), scope_set(own), true, &was_cut);
    if (was_cut)
        MIROX_LOG(WARNING, errmsg("a token's permissions were cut to %d scopes", static_cast<int>(core::kMaxScopes)),
                  errhint("Name broader scopes for the owner or the token."));
    return result;
}

std::string_view to_utf8(std::string_view text) {
    const int size = static_cast<int>(text.size());
    if (size == 0 || GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII) return text;
    auto* source = reinterpret_cast<unsigned char*>(const_cast<char*>(text.data()));
    auto* converted = reinterpret_cast<char*>(pg_do_encoding_conversion(source, size, GetDatabaseEncoding(), PG_UTF8));
    return converted == text.data() ? text : std::string_view(converted, strlen(converted));
}

namespace {

bool try_convert(std::string_view text, int from, int to, std::string_view& out) {
    bool plain = from == to || from == PG_SQL_ASCII || to == PG_SQL_ASCII;
    if (!plain) {
        plain = true;
        for (const char c : text) plain = plain && !IS_HIGHBIT_SET(c);
    }
    out = text;
    if (plain) return true;
    const Oid conversion = FindDefaultConversionProc(from, to);
    // A text that does not fit into an allocation once converted is longer than any valid input.
    if (!OidIsValid(conversion) || text.size() > MaxAllocSize / MAX_CONVERSION_GROWTH - 1) return false;
    const int size = static_cast<int>(text.size());
    const int room = size * MAX_CONVERSION_GROWTH + 1;
    auto* source = reinterpret_cast<unsigned char*>(pnstrdup(text.data(), text.size()));
    auto* converted = static_cast<unsigned char*>(palloc(room));
    if (pg_do_encoding_conversion_buf(conversion, from, to, source, size, converted, room, true) != size) return false;
    out = reinterpret_cast<const char*>(converted);
    return true;
}

}  // namespace

bool try_to_utf8(std::string_view text, std::string_view& out) {
    return try_convert(text, GetDatabaseEncoding(), PG_UTF8, out);
}

bool try_from_utf8(std::string_view utf8, std::string_view& out) {
    return try_convert(utf8, PG_UTF8, GetDatabaseEncoding(), out);
}

namespace {

// Converts every character that it can; `lacking` gives the replacement of the others.
std::string_view convert_all(std::string_view text, int from, int to, std::string_view (*lacking)(std::string_view)) {
    bool plain = from == to || from == PG_SQL_ASCII || to == PG_SQL_ASCII;
    if (!plain) {
        plain = true;
        for (const char c : text) plain = plain && !IS_HIGHBIT_SET(c);
    }
    if (plain) return text;
    const Oid conversion = FindDefaultConversionProc(from, to);
    const int room = static_cast<int>(text.size()) * MAX_CONVERSION_GROWTH + 1;
    auto* out = static_cast<unsigned char*>(palloc(room));
    int written = 0;
    while (!text.empty()) {
        const int size = static_cast<int>(text.size());
        auto* source = reinterpret_cast<unsigned char*>(const_cast<char*>(text.data()));
        if (OidIsValid(conversion)) {
            const int read =
                pg_do_encoding_conversion_buf(conversion, from, to, source, size, out + written, room - written, true);
            written += static_cast<int>(strlen(reinterpret_cast<char*>(out + written)));
            text.remove_prefix(read);
            if (text.empty()) break;
        } else if (!IS_HIGHBIT_SET(*source)) {
            out[written++] = *source;
            text.remove_prefix(1);
            continue;
        }
        const auto length = static_cast<std::size_t>(pg_encoding_mblen(from, text.data()));
        const std::string_view character = core::slice(text, 0, length);
        const std::string_view instead = lacking(character);
        memcpy(out + written, instead.data(), instead.size());
        written += static_cast<int>(instead.size());
        text.remove_prefix(character.size());
    }
    return {reinterpret_cast<const char*>(out), static_cast<std::size_t>(written)};
}

}  // namespace

std::string_view to_utf8_lossy(std::string_view text) {
    return convert_all(text, GetDatabaseEncoding(), PG_UTF8, [](std::string_view) { return std::string_view("\xEF\xBF\xBD"); });
}

std::string_view from_utf8(std::string_view utf8) {
    const int size = static_cast<int>(utf8.size());
    if (size == 0 || GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII) return utf8;
    auto* source = reinterpret_cast<unsigned char*>(const_cast<char*>(utf8.data()));
    auto* converted = reinterpret_cast<char*>(pg_do_encoding_conversion(source, size, PG_UTF8, GetDatabaseEncoding()));
    return converted == utf8.data() ? utf8 : std::string_view(converted, strlen(converted));
}

std::string_view from_utf8_lossy(std::string_view utf8) {
    const int size = static_cast<int>(utf8.size());
    // Text that was cut within a character, or damaged, is not UTF-8 and must not get into a table.
    if (pg_encoding_verifymbstr(PG_UTF8, utf8.data(), size) != size) {
        char* const copy = pnstrdup(utf8.data(), utf8.size());
        for (int at = 0; at < size;) {
            at += pg_encoding_verifymbstr(PG_UTF8, copy + at, size - at);
            if (at < size) copy[at++] = '?';
        }
        utf8 = {copy, utf8.size()};
    }
    return convert_all(utf8, PG_UTF8, GetDatabaseEncoding(),
                       [](std::string_view character) { return std::string_view(character == "\xE2\x80\xA6" ? "..." : "?"); });
}

}  // namespace mirox::pg

// Converts Datums to the views that src/core works on, and back: text, digests, scopes. All results point into the argument
// (detoasted in the current memory context where needed); nothing here owns memory.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/crypto.hpp"
#include "core/scopes.hpp"
#include "pg/wiped.hpp"

namespace mirox::pg {

inline std::string_view view_of(const struct varlena* value) {
    return {VARDATA_ANY(value), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(value))};
}

// A text (or bytea) Datum, detoasted.
inline std::string_view text_view(Datum value) {
    return view_of(PG_DETOAST_DATUM_PACKED(value));
}

inline Datum text_datum(std::string_view text) {
    return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
}

// An argument that may be NULL; `given` is false then.
struct OptionalText {
    std::string_view text;
    bool given;
};

inline OptionalText text_arg(FunctionCallInfo fcinfo, int n) {
    if (n >= fcinfo->nargs || fcinfo->args[n].isnull) return {{}, false};
    return {text_view(fcinfo->args[n].value), true};
}

struct OptionalInt {
    std::int32_t value;
    bool given;
};

inline OptionalInt int_arg(FunctionCallInfo fcinfo, int n) {
    if (n >= fcinfo->nargs || fcinfo->args[n].isnull) return {0, false};
    return {DatumGetInt32(fcinfo->args[n].value), true};
}

// False for NULL, and for an argument that an older script's function does not have.
inline bool bool_arg(FunctionCallInfo fcinfo, int n) {
    return n < fcinfo->nargs && !fcinfo->args[n].isnull && DatumGetBool(fcinfo->args[n].value);
}

inline OptionalText secret_arg(FunctionCallInfo fcinfo, int n) {
    if (n >= fcinfo->nargs || fcinfo->args[n].isnull) return {{}, false};
    return {secret_view(fcinfo->args[n].value), true};
}

// An array Datum of elements of a built-in type; with `nulls`, some may be NULL.
Datum array_datum(Oid type, Datum* values, bool* nulls, int count);

// Whether a column of this type (the base type of a domain) may hold ids: text, varchar, uuid, smallint, integer and bigint.
// Their text form depends on no setting, and two values are equal only when their text forms are.
bool is_id_type(Oid base);

// mirox.scopes: a varlena with the stored form that core::encode() writes.
inline core::ScopeSet scope_set(Datum value) {
    const std::string_view bytes = text_view(value);
    return core::ScopeSet({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()});
}

Datum scopes_datum(std::span<const core::Scope> scopes);

// mirox.digest: 32 bytes by reference.
inline const std::uint8_t* digest_bytes(Datum value) {
    return reinterpret_cast<const std::uint8_t*>(DatumGetPointer(value));
}

// Appends the scope's text.
void append_scope(StringInfo out, const core::Scope& scope);

// Returns a text[] as a mirox.scopes Datum. ERROR 22023, with the argument's name, for a malformed scope, a NULL element or more
// than 256 scopes.
Datum scopes_from_text_array(Datum array, const char* argument = nullptr);

// Why a scope was refused, for a DETAIL, and the HINT that goes with it.
const char* scope_status_text(core::ScopeStatus status);
inline constexpr char kScopeHint[] = "Write a scope as resource[.sub...][:action], such as parks:read, or * for everything.";

// The intersection of two sets. When it has more than core::kMaxScopes: with `cut`, the first of them in text order, and *was_cut
// is set (the result only covers less than the full intersection); without it, ERROR 54000.
Datum scopes_intersection(core::ScopeSet a, core::ScopeSet b, bool cut, bool* was_cut);

// The permissions of a token: those of the owner, intersected with its own (own 0: all of the owner's). Both are mirox.scopes.
// Beyond core::kMaxScopes the rest is cut, with a WARNING; nothing is ever added.
Datum compile_permissions(Datum owner, Datum own);

// Converts text of the database encoding to UTF-8, as src/core takes it, and back. In SQL_ASCII the bytes are taken unchanged.
std::string_view to_utf8(std::string_view server_text);
// The same without an ERROR: false when the text cannot be converted.
bool try_to_utf8(std::string_view server_text, std::string_view& out);
bool try_from_utf8(std::string_view utf8, std::string_view& out);
std::string_view from_utf8(std::string_view utf8);
// For text that is only displayed and must not fail for what a client sent: a character that cannot be converted becomes U+FFFD,
// or, in an encoding other than UTF-8, `?` (an ellipsis: three dots).
std::string_view to_utf8_lossy(std::string_view server_text);
std::string_view from_utf8_lossy(std::string_view utf8);

}  // namespace mirox::pg

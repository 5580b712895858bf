// Between Datums and what the rules take: views of text, digests and scopes. All results point into the argument
// (detoasted in the current memory context where needed); nothing here owns anything.
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

// An argument that may be NULL: `given` is false then.
struct OptionalText {
    std::string_view text;
    bool given;
};

inline OptionalText text_arg(FunctionCallInfo fcinfo, int n) {
    if (n >= fcinfo->nargs || fcinfo->args[n].isnull) return {{}, false};
    return {text_view(fcinfo->args[n].value), true};
}

inline OptionalText secret_arg(FunctionCallInfo fcinfo, int n) {
    if (n >= fcinfo->nargs || fcinfo->args[n].isnull) return {{}, false};
    return {secret_view(fcinfo->args[n].value), true};
}

// An array Datum of non-NULL (or, with nulls, some NULL) elements of a built-in type.
Datum array_datum(Oid type, Datum* values, bool* nulls, int count);

// Whether ids may be of this type (a domain's base): text, varchar, uuid, smallint, integer and bigint, whose text form hangs on
// no setting and which are equal only where their text forms are.
bool is_id_type(Oid base);

// mirox.scopes: a varlena whose payload is core::encode()'s.
inline core::ScopeSet scope_set(Datum value) {
    const std::string_view bytes = text_view(value);
    return core::ScopeSet({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()});
}

Datum scopes_datum(std::span<const core::Scope> scopes);

// mirox.digest: 32 bytes by reference.
inline const std::uint8_t* digest_bytes(Datum value) {
    return reinterpret_cast<const std::uint8_t*>(DatumGetPointer(value));
}

// The scopes of a text[]; a malformed one, or more than 256, is an ERROR 22023 that names it. NULL elements are refused.
// Returns a mirox.scopes Datum.
Datum scopes_from_text_array(Datum array);

// Why a scope was refused, for a DETAIL.
const char* scope_status_text(core::ScopeStatus status);

// What both sets cover. More than core::kMaxScopes: with `cut` the first of them by text order, and *was_cut is set
// (it may only be narrower than the truth); otherwise an ERROR 54000.
Datum scopes_intersection(core::ScopeSet a, core::ScopeSet b, bool cut, bool* was_cut);

// What a token may of what its owner may, each a mirox.scopes; own 0: all of it. Beyond core::kMaxScopes the rest is cut, never
// added, with a WARNING.
Datum compile_permissions(Datum owner, Datum own);

// Text in the database's encoding from and to UTF-8, as the rules in core take it. In SQL_ASCII the bytes are taken as
// they are.
std::string_view to_utf8(std::string_view server_text);
// False, with no ERROR, where the text has no counterpart.
bool try_to_utf8(std::string_view server_text, std::string_view& out);
std::string_view from_utf8(std::string_view utf8);
// For what is only ever shown, and must not fail for what a client sent: a character without counterpart becomes U+FFFD,
// or, in an encoding other than UTF-8, `?` (an ellipsis: three dots).
std::string_view to_utf8_lossy(std::string_view server_text);
std::string_view from_utf8_lossy(std::string_view utf8);

}  // namespace mirox::pg

// Memory for what holds a secret: it is wiped when it is freed, whichever way that comes about. Takes no locks.
#pragma once

#include "pg/prelude.hpp"

namespace mirox::pg {

// Memory in a context of its own below `parent`, wiped when that one is reset or deleted, on success and on ERROR.
void* wiped_alloc(MemoryContext parent, Size size);

// Ends it before that.
void wiped_free(void* memory);

// A copy in such memory below the current context.
std::string_view wiped_copy(std::string_view bytes);

// Results that show a secret, in wiped memory below the current context: the server reads them after we have returned, and may
// free them before that. The row is wiped and freed; what is returned is a copy.
Datum secret_text_datum(std::string_view secret);
Datum secret_row_datum(HeapTuple row);

// For secret_view(): the plain form of a Datum that is compressed or out of line, in wiped memory.
std::string_view detoasted_secret(struct varlena* value);

// A text (or bytea) Datum that is a secret, or may be one.
inline std::string_view secret_view(Datum value) {
    auto* const given = reinterpret_cast<struct varlena*>(DatumGetPointer(value));
    if (VARATT_IS_COMPRESSED(given) || VARATT_IS_EXTERNAL(given)) return detoasted_secret(given);
    return {VARDATA_ANY(given), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(given))};
}

}  // namespace mirox::pg

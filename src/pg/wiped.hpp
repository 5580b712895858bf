// Memory that holds a secret. It is wiped when it is freed, in every case. Takes no locks.
#pragma once

#include "pg/prelude.hpp"

namespace mirox::pg {

// Memory in a context of its own below `parent`. It is wiped when that context is reset or deleted, on success and on ERROR.
void* wiped_alloc(MemoryContext parent, Size size);

// Wipes and frees it earlier.
void wiped_free(void* memory);

// A copy in such memory below the current context.
std::string_view wiped_copy(std::string_view bytes);

// Results that show a secret, in wiped memory below the current context: the server reads them after the function has returned,
// and may free them early. secret_row_datum() wipes and frees the row; the result is a copy.
Datum secret_text_datum(std::string_view secret);
Datum secret_row_datum(HeapTuple row);

// For secret_view(): a copy of a compressed or out-of-line Datum, in wiped memory.
std::string_view detoasted_secret(struct varlena* value);

// A view of a text (or bytea) Datum that is or may be a secret.
inline std::string_view secret_view(Datum value) {
    auto* const given = reinterpret_cast<struct varlena*>(DatumGetPointer(value));
    if (VARATT_IS_COMPRESSED(given) || VARATT_IS_EXTERNAL(given)) return detoasted_secret(given);
    return {VARDATA_ANY(given), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(given))};
}

}  // namespace mirox::pg

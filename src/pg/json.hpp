// Reads a JSON object from outside and raises no error for its content: the input functions of the server would quote the
// content, which may hold a secret.
//
// Takes no locks.
#pragma once

#include "pg/prelude.hpp"

namespace mirox::pg {

// Text that is nested deeper counts as no JSON. The only objects read here are headers, which have two levels at most.
inline constexpr int kMaxJsonDepth = 16;

// A field to look for: `name` in any case. `found` counts its occurrences in the object itself, not in nested ones. `value` is
// the last one, unescaped and palloc'd; it is empty when that was no string.
struct JsonField {
    const char* name;
    std::string_view value;
    int found;
};

// False when the text is no JSON object, or is nested too deep.
bool read_json_fields(std::string_view json, std::span<JsonField> fields);

// Wipes a value that may be a secret. The value is a copy that belongs to the reader.
void wipe_json_value(JsonField& field);

// The number of elements of a JSON list; -1 when the text is no list.
int json_list_size(std::string_view json);

}  // namespace mirox::pg

// Reading a JSON object that somebody else wrote, without an error for what it holds: the server's own input functions
// would quote it, and it may hold a secret.
//
// Takes no locks.
#pragma once

#include "pg/prelude.hpp"

namespace mirox::pg {

// What is nested deeper is none to us: headers, which are all that we read, are nested twice at most.
inline constexpr int kMaxJsonDepth = 16;

// A field to look for: `name` in any case. `found` counts how often it stood in the object itself (not in what that
// holds); `value` is the last one, unescaped, palloc'd, and empty when it was no string.
struct JsonField {
    const char* name;
    std::string_view value;
    int found;
};

// False when the text is no JSON object, or is nested too deep.
bool read_json_fields(std::string_view json, std::span<JsonField> fields);

// For a value that may be a secret: a copy of the reader's own.
void wipe_json_value(JsonField& field);

// How many elements a JSON list holds; -1 when the text is none.
int json_list_size(std::string_view json);

}  // namespace mirox::pg

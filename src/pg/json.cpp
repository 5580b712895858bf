// Reading a JSON object (see json.hpp).
#include "pg/json.hpp"

#include "core/crypto.hpp"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace mirox::pg {
namespace {

struct Reader {
    JsonLexContext* lexer;
    std::span<JsonField> fields;
    JsonField* current;
    bool object;
    bool list;
    int elements;
};

// The server's C parser calls these back, so they neither raise nor throw.
JsonAction start_field(void* state, char* name, bool) {
    auto* reader = static_cast<Reader*>(state);
    if (reader->lexer->lex_level == 1) {
        reader->current = nullptr;
        for (JsonField& field : reader->fields)
            if (pg_strcasecmp(field.name, name) == 0) {
                reader->current = &field;
                wipe_json_value(field);
                field.found++;
            }
    }
    MIROX_JSON_DONE;
}

JsonAction take_scalar(void* state, char* token, JsonTokenType type) {
    auto* reader = static_cast<Reader*>(state);
    if (reader->lexer->lex_level == 1 && reader->current != nullptr && type == JSON_TOKEN_STRING) reader->current->value = token;
    MIROX_JSON_DONE;
}

JsonAction start_object(void* state) {
    auto* reader = static_cast<Reader*>(state);
    if (reader->lexer->lex_level == 0) reader->object = true;
    MIROX_JSON_DONE;
}

JsonAction start_list(void* state) {
    auto* reader = static_cast<Reader*>(state);
    if (reader->lexer->lex_level == 0) reader->list = true;
    MIROX_JSON_DONE;
}

JsonAction start_element(void* state, bool) {
    auto* reader = static_cast<Reader*>(state);
    if (reader->lexer->lex_level == 1) reader->elements++;
    MIROX_JSON_DONE;
}

// The server's parser recurses for each level. A deep text would fill the stack, which is an ERROR.
bool is_nested_deeper(std::string_view json, int most) {
    int depth = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < json.size(); i++) {
        const char c = json[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '[' || c == '{') && ++depth > most)
            return true;
        else if (!in_string && (c == ']' || c == '}'))
            depth--;
    }
    return false;
}

bool parse(std::string_view json, Reader& reader) {
    if (is_nested_deeper(json, kMaxJsonDepth)) return false;
    reader.lexer = make_json_lexer(const_cast<char*>(json.data()), static_cast<int>(json.size()), GetDatabaseEncoding());
    JsonSemAction actions = {};
    actions.semstate = &reader;
    actions.object_start = start_object;
    actions.object_field_start = start_field;
    actions.array_start = start_list;
    actions.array_element_start = start_element;
    actions.scalar = take_scalar;
    const bool well_formed = pg_parse_json(reader.lexer, &actions) == JSON_SUCCESS;
    // The lexer unescaped the values in this buffer, a secret too.
    core::wipe(reader.lexer->strval->data, static_cast<std::size_t>(reader.lexer->strval->maxlen));
    return well_formed;
}

}  // namespace

void wipe_json_value(JsonField& field) {
    core::wipe(const_cast<char*>(field.value.data()), field.value.size());
    field.value = {};
}

bool read_json_fields(std::string_view json, std::span<JsonField> fields) {
    for (JsonField& field : fields) {
        field.value = {};
        field.found = 0;
    }
    Reader reader = {};
    reader.fields = fields;
    return parse(json, reader) && reader.object;
}

int json_list_size(std::string_view json) {
    Reader reader = {};
    return parse(json, reader) && reader.list ? reader.elements : -1;
}

}  // namespace mirox::pg

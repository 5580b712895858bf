// The words of errors: what CONSTRAINT NAME says of the kind of an error, so that a program need not read the message.
//
// A word never changes, and it stands for one kind with one SQLSTATE. docs/reference.md tells what each one means, and
// test/static/check_errors.py compares it with this table, and every MIROX_RAISE with both.
//
// Pure: may include the C++ library only.
#pragma once

#include <cstdint>

namespace mirox::core {

// KIND(word, SQLSTATE), in the order of the manual. postgrest_pre_request raises PTnnn instead, with the same word.
#define MIROX_ERROR_KINDS(KIND)               \
    /* arguments */                           \
    KIND(argument_missing, "22023")           \
    KIND(arguments_exclusive, "22023")        \
    KIND(name_empty, "22023")                 \
    KIND(name_invisible, "22023")             \
    KIND(name_too_long, "22023")              \
    KIND(name_unprintable, "22023")           \
    KIND(text_too_long, "22023")              \
    KIND(text_unprintable, "22023")           \
    KIND(user_id_invalid, "22023")            \
    KIND(scope_invalid, "22023")              \
    KIND(scopes_too_many, "22023")            \
    KIND(permissions_empty, "22023")          \
    KIND(permissions_beyond_owner, "42501")   \
    KIND(permissions_beyond_group, "42501")   \
    KIND(group_unknown, "22023")              \
    KIND(group_name_invalid, "22023")         \
    KIND(group_builtin, "22023")              \
    KIND(group_in_use, "2BP01")               \
    KIND(expiration_past, "22023")            \
    KIND(expiration_infinite, "22023")        \
    KIND(lifetime_not_positive, "22023")      \
    KIND(lifetime_too_long, "22023")          \
    KIND(overlap_out_of_range, "22023")       \
    KIND(networks_invalid, "22023")           \
    KIND(metadata_invalid, "22023")           \
    KIND(format_unknown, "22023")             \
    KIND(limit_out_of_range, "22023")         \
    KIND(level_unknown, "22023")              \
    KIND(level_reserved, "42501")             \
    KIND(role_unknown, "42704")               \
    KIND(interval_too_short, "22023")         \
    KIND(reaction_unknown, "22023")           \
    KIND(idempotency_key_empty, "22023")      \
    KIND(idempotency_key_reused, "22023")     \
    KIND(endpoint_invalid, "22023")           \
    KIND(value_malformed, "22P02")            \
    KIND(binary_malformed, "22P03")           \
    /* what is there */                       \
    KIND(account_unknown, "P0002")            \
    KIND(account_locked, "28000")             \
    KIND(token_unknown, "P0002")              \
    KIND(notice_unknown, "P0002")             \
    KIND(token_expired, "55000")              \
    KIND(overlap_running, "55000")            \
    KIND(places_taken, "54000")               \
    KIND(rotations_exhausted, "54000")        \
    KIND(endpoints_too_many, "54000")         \
    KIND(intersection_too_large, "54000")     \
    KIND(databases_too_many, "54000")         \
    /* who acts */                            \
    KIND(session_not_open, "28000")           \
    KIND(session_open, "55000")               \
    KIND(account_of_service, "28000")         \
    KIND(account_of_person, "42501")          \
    KIND(token_instead_of_session, "42501")   \
    KIND(session_of_another_account, "42501") \
    KIND(acting_for_token, "42501")           \
    KIND(acting_for_session, "42501")         \
    KIND(credentials_invalid, "28000")        \
    KIND(permission_missing, "42501")         \
    KIND(rate_limited, "53400")               \
    KIND(identity_fixed, "25001")             \
    KIND(read_only, "25006")                  \
    /* rows changed directly */               \
    KIND(reference_missing, "23503")          \
    KIND(column_fixed, "22023")               \
    KIND(place_occupied, "22023")             \
    KIND(ended_for_good, "55000")             \
    KIND(secret_not_in_force, "55000")        \
    KIND(change_refused, "42501")             \
    KIND(trigger_misplaced, "39P01")          \
    KIND(row_left_out, "55000")               \
    KIND(row_changed_meanwhile, "40001")      \
    /* the platform's tables */               \
    KIND(table_unknown, "42P01")              \
    KIND(table_unfit, "42809")                \
    KIND(table_not_owned, "42501")            \
    KIND(table_reserved, "42501")             \
    KIND(column_unknown, "42703")             \
    KIND(column_type_unfit, "42804")          \
    KIND(collation_unfit, "0A000")            \
    KIND(inheritance_unsupported, "0A000")    \
    KIND(policy_conflict, "55000")            \
    KIND(binding_outdated, "42501")           \
    KIND(move_unsupported, "0A000")           \
    KIND(users_present, "55006")              \
    KIND(user_id_taken, "23505")              \
    /* the server */                          \
    KIND(setting_by_role, "55P02")            \
    KIND(not_preloaded, "55000")              \
    KIND(extension_missing, "55000")          \
    KIND(extension_damaged, "55000")          \
    KIND(extension_changed, "55000")          \
    KIND(row_type_changed, "42804")           \
    KIND(version_mismatch, "55000")           \
    KIND(keys_unavailable, "55000")           \
    KIND(worker_unavailable, "55000")         \
    KIND(out_of_memory, "53200")              \
    KIND(defect, "XX000")

#define MIROX_WORD(WORD, SQLSTATE) WORD,
enum class ErrorWord : std::uint8_t { MIROX_ERROR_KINDS(MIROX_WORD) };
#undef MIROX_WORD

#define MIROX_TEXT(WORD, SQLSTATE) #WORD,
inline constexpr const char* kErrorWords[] = {MIROX_ERROR_KINDS(MIROX_TEXT)};
#undef MIROX_TEXT

constexpr const char* word_of(ErrorWord word) noexcept {
    return kErrorWords[static_cast<int>(word)];
}

}  // namespace mirox::core

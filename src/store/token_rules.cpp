// The rules for tokens (see tokens.hpp). Reading an account's tokens takes AccessShareLock on their table.
#include "store/tokens.hpp"

#include "pg/catalog.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "store/rows.hpp"

namespace mirox::store {

void check_line(const char* what, std::string_view text) {
    const core::NameStatus status = core::check_line(pg::to_utf8(text));
    if (status == core::NameStatus::ok) return;
    MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE,
                errword(status == core::NameStatus::too_long ? ErrorWord::text_too_long : ErrorWord::text_unprintable, what),
                errmsg("invalid %s", what),
                status == core::NameStatus::too_long
                    ? errdetail("It has more than %d characters.", static_cast<int>(core::kMaxLineChars))
                : status == core::NameStatus::invalid_utf8
                    ? errdetail("It is not valid UTF-8.")
                    : errdetail("It has a control character, a line separator or a mark that overrides the "
                                "direction of text."),
                errhint("Give one line of at most %d characters.", static_cast<int>(core::kMaxLineChars)));
}

void normalise_name(std::string_view given, Name& out) {
    char utf8[core::kMaxNameBytes];
    std::size_t size = 0;
    const char* why = nullptr;
    ErrorWord word = ErrorWord::name_unprintable;
    switch (core::normalise_name(pg::to_utf8(given), utf8, size)) {
        case core::NameStatus::ok:
            break;
        case core::NameStatus::invalid_utf8:
            why = "It is not valid UTF-8.";
            break;
        case core::NameStatus::empty:
            why = "It is empty, or spaces only.";
            word = ErrorWord::name_empty;
            break;
        case core::NameStatus::too_long:
            why = "It has more than 100 characters.";
            word = ErrorWord::name_too_long;
            break;
        case core::NameStatus::control_character:
            why =
                "It has a control character, a line separator or a mark that overrides the direction of "
                "text.";
            break;
        case core::NameStatus::nothing_visible:
            why = "It has no visible character.";
            word = ErrorWord::name_invisible;
            break;
    }
    if (why != nullptr)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(word, "name"), errmsg("invalid token name"), errdetail("%s", why),
                    errhint("Give a label of 1 to 100 characters that tells the owner what the token is for."));
    keep_name(pg::from_utf8({utf8, size}), out);
}

void keep_name(std::string_view text, Name& out) {
    if (text.size() > sizeof(out.text)) MIROX_DEFECT("a token name of %zu bytes", text.size());
    memcpy(out.text, text.data(), text.size());
    out.size = text.size();
}

void check_lifetime(const Interval& lifetime, const char* argument) {
    if (!pg::is_always_positive(lifetime))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::lifetime_not_positive, argument),
                    errmsg("%s must be positive", argument),
                    errdetail("It must be so from every day of the year: months have 28 to 31 days."),
                    errhint("Give an interval such as '90 days'."));
}

Interval default_lifetime() {
    const pg::Settings& settings = pg::settings();
    // If the maximum was lowered below the default, the default is the maximum.
    return pg::compare_spans(settings.default_lifetime, settings.max_lifetime) > 0 ? settings.max_lifetime
                                                                                   : settings.default_lifetime;
}

void too_far_away(TimestampTz now, const char* argument) {
    const TimestampTz latest = pg::add_in_utc(now, pg::settings().max_lifetime);
    MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::lifetime_too_long, argument),
                errmsg("the expiration is too far away"),
                errdetail("A token issued now may live until %s UTC at most.", pg::utc_text(latest)),
                errhint("Use an earlier date. Rotating the token later starts its lifetime again."));
}

void check_expiry(TimestampTz expires_at, TimestampTz now, const char* argument) {
    if (TIMESTAMP_NOT_FINITE(expires_at))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::expiration_infinite, argument),
                    errmsg("a token must expire"), errhint("Give a date within mirox_tokens.max_lifetime."));
    if (expires_at <= now)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::expiration_past, argument),
                    errmsg("the expiration is in the past"), errhint("Give a date in the future."));
    if (expires_at > pg::add_in_utc(now, pg::settings().max_lifetime)) too_far_away(now, argument);
}

void check_limit(const char* argument, const pg::OptionalInt& given, std::int32_t least) {
    if (given.given && given.value < least)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::limit_out_of_range, argument),
                    errmsg("%s must be at least %d", argument, least));
}

bool widens(Datum before, Datum after, const Group& group) {
    if (before == 0) return false;
    return !pg::scope_set(before).covers(after == 0 ? group.permissions : pg::scope_set(after));
}

namespace {

// Calls `each` for the row of every token of the account that is not revoked. The index holds only those.
template <class Each>
void for_each_held(std::int64_t account_id, Each each) {
    for_each_row(kTokensByAccount, Int64GetDatum(account_id), ForwardScanDirection, [&](RowScan& scan) {
        each(scan.slot);
        return true;
    });
}

}  // namespace

Places places_of(std::int64_t account_id) {
    Places places = {};
    for_each_held(account_id, [&](TupleTableSlot* row) {
        places.taken |= std::uint64_t{1} << (DatumGetInt16(column(row, token_column::kPlace)) - 1);
        places.held++;
    });
    return places;
}

int free_place(const Places& places, const Account& owner) {
    const int cap = pg::settings().max_tokens_per_account;
    if (places.held >= cap || ~places.taken == 0) {
        const TimestampTz now = GetCurrentTimestamp();
        int expired = 0;
        for_each_held(owner.account_id, [&](TupleTableSlot* row) {
            if (DatumGetTimestampTz(column(row, token_column::kExpiresAt)) <= now) expired++;
        });
        const std::string_view user = pg::view_of(owner.user_id);
        MIROX_RAISE(ERRCODE_PROGRAM_LIMIT_EXCEEDED, errword(ErrorWord::places_taken),
                    errmsg("the account holds as many tokens as it may"),
                    errdetail("Account \"%.*s\" holds %d of at most %d tokens; %d of them are expired.",
                              static_cast<int>(user.size()), user.data(), places.held, cap, expired),
                    expired > 0 ? errhint("Revoke the expired tokens with mirox.revoke_expired_tokens, or rotate one of them "
                                          "instead of issuing a new token.")
                                : errhint("Revoke a token that is no longer used with mirox.revoke_token."));
    }
    int place = 1;
    while ((places.taken >> (place - 1)) & 1) place++;
    return place;
}

void no_such_token() {
    MIROX_RAISE(ERRCODE_NO_DATA_FOUND, errword(ErrorWord::token_unknown, "token_id"), errmsg("no such token"),
                errhint("List the owner's tokens with mirox.list_tokens; a revoked one cannot be brought back."));
}

}  // namespace mirox::store

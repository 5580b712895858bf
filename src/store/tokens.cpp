// Tokens (see tokens.hpp, also for the locks).
#include "store/tokens.hpp"

#include "core/rate_limit.hpp"
#include "pg/catalog.hpp"
#include "pg/network.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "store/audit.hpp"
#include "store/notices.hpp"
#include "store/rows.hpp"
#include "store/tokens.sql.hpp"
#include "store/write.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/inet.h"
#include "utils/jsonb.h"
}

namespace mirox::store {
namespace {

constexpr Interval kLongestOverlap = {0, 7, 0};
constexpr Interval kBeyondAnyLifetime = {0, 0, 12 * 10};
constexpr int kMaxMetadataBytes = 8192;
constexpr int kMaxAllowedIps = 256;

// Computes the expiration and the lifetime. Rotation starts the lifetime again. The group's policy may allow less than the settings.
void choose_expiry(const ExpiryRequest& request, std::int32_t group_id, TimestampTz now, TimestampTz& expires_at,
                   Interval& lifetime) {
    if (request.has_expires_at && request.has_expires_in)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::arguments_exclusive, "expires_in"),
                    errmsg("expires_at and expires_in cannot both be given"),
                    errhint("Give one of them, or neither for mirox_tokens.default_lifetime."));
    const char* argument = request.has_expires_at ? "expires_at" : "expires_in";
    Interval longest;
    const bool limited = longest_lifetime(group_id, longest);
    if (request.has_expires_at) {
        expires_at = request.expires_at;
    } else {
        if (!request.has_expires_in) {
            lifetime = default_lifetime();
            if (limited && pg::compare_spans(lifetime, longest) > 0) lifetime = longest;
        } else {
            lifetime = *request.expires_in;
            check_lifetime(lifetime, argument);
            // Checked before the addition, so that a time beyond the calendar is refused with the same error.
            if (pg::compare_spans(lifetime, kBeyondAnyLifetime) > 0) too_far_away(now, argument);
        }
        expires_at = pg::add_in_utc(now, lifetime);
    }
    check_expiry(expires_at, now, argument);
    if (request.has_expires_at) lifetime = {expires_at - now, 0, 0};
    if (!limited) return;
    const TimestampTz latest = pg::add_in_utc(now, longest);
    if (expires_at > latest)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::lifetime_too_long, argument),
                    errmsg("the expiration is too far away for the permission group"),
                    errdetail("A token of this group may live until %s UTC at most.", pg::utc_text(latest)),
                    errhint("Use an earlier date. Rotating the token later starts its lifetime again."));
}

// The scopes that are asked for and not covered, as an array for a DETAIL; null if all are covered.
const char* beyond(core::ScopeSet asked, core::ScopeSet granted) {
    StringInfoData missing;
    initStringInfo(&missing);
    core::ScopeSet::Cursor cursor = asked.begin();
    core::Scope scope;
    while (cursor.next(scope)) {
        if (granted.covers(scope)) continue;
        appendStringInfoChar(&missing, missing.len == 0 ? '{' : ',');
        pg::append_scope(&missing, scope);
    }
    if (missing.len == 0) return nullptr;
    appendStringInfoChar(&missing, '}');
    return missing.data;
}

// The permissions that a token is narrowed to; 0 if it is not.
Datum check_permissions(Datum asked_array, const Account& owner, const Group& group) {
    if (asked_array == 0) return 0;
    const Datum asked = pg::scopes_from_text_array(asked_array, "permissions");
    const core::ScopeSet set = pg::scope_set(asked);
    if (set.count() == 0)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::permissions_empty, "permissions"),
                    errmsg("a token needs some permission"),
                    errhint("Name at least one scope, or leave permissions NULL for all that the group allows."));
    const char* missing = beyond(set, pg::scope_set(owner.permissions));
    if (missing != nullptr)
        MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::permissions_beyond_owner, "permissions"),
                    errmsg("permissions beyond the owner's"), errdetail_internal("%s", missing),
                    errhint("Request only what the owner has, or have an administrator give the owner more."));
    missing = beyond(set, group.permissions);
    if (missing != nullptr)
        MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::permissions_beyond_group, "permissions"),
                    errmsg("permissions beyond the permission group's"), errdetail_internal("%s", missing),
                    errhint("Request only what the group allows, or use another permission group."));
    return asked;
}

// The networks as they are stored: without bits right of the mask, since people write 203.0.113.9/24 for the network of that host,
// and an IPv4-mapped one as IPv4, so that it matches what a check compares. 0 for none.
Datum check_allowed_ips(Datum given) {
    if (given == 0) return 0;
    ArrayType* array = DatumGetArrayTypeP(given);
    Datum* items;
    bool* nulls;
    int count;
    deconstruct_array(array, INETOID, -1, false, TYPALIGN_INT, &items, &nulls, &count);
    if (count == 0)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::networks_invalid, "allowed_ips"),
                    errmsg("allowed_ips must not be empty"),
                    errhint("Leave it NULL for no limit, or name at least one network."));
    if (count > kMaxAllowedIps || ARR_NDIM(array) > 1)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::networks_invalid, "allowed_ips"),
                    errmsg("allowed_ips must be one list of at most %d networks", kMaxAllowedIps),
                    errhint("Merge adjacent networks into larger ones."));
    for (int i = 0; i < count; i++) {
        if (nulls[i])
            MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::networks_invalid, "allowed_ips"),
                        errmsg("a network must not be NULL"), errhint("Leave the element out."));
        items[i] = pg::network_datum(items[i]);
    }
    return pg::array_datum(CIDROID, items, nullptr, count);
}

void check_metadata(Datum metadata) {
    Jsonb* json = DatumGetJsonbP(metadata);
    if (!JB_ROOT_IS_OBJECT(json) || VARSIZE(json) > kMaxMetadataBytes)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::metadata_invalid, "metadata"),
                    errmsg("metadata must be a JSON object of at most %d bytes", kMaxMetadataBytes),
                    errhint("Keep larger data in a table of your own, by token_id."));
}

// A token of the account whose row is locked. The Datums are copies, 0 if NULL.
struct OwnToken {
    std::int64_t token_id;
    std::int32_t generation;
    std::int32_t group_id;
    TimestampTz expires_at;
    Datum permissions;  // mirox.scopes
    Datum allowed_ips;  // cidr[]
    Name name;
    std::int32_t place;
    Interval lifetime;
    TimestampTz created_at;
    core::Quota own;  // -1: none
    bool jwt;
    bool revoked, suspended;
    TimestampTz revoked_at, suspended_at;
};

void read_own(const RowScan& scan, OwnToken& out) {
    using namespace token_column;
    bool is_null;
    const auto copy = [&](int number) {
        const Datum value = column(scan.slot, number, &is_null);
        return is_null ? 0 : PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
    };
    out.token_id = DatumGetInt64(column(scan.slot, kTokenId));
    out.generation = DatumGetInt32(column(scan.slot, kGeneration));
    out.group_id = DatumGetInt32(column(scan.slot, kGroupId));
    out.expires_at = DatumGetTimestampTz(column(scan.slot, kExpiresAt));
    out.permissions = copy(kPermissions);
    out.allowed_ips = copy(kAllowedIps);
    keep_name(pg::text_view(copy(kName)), out.name);
    out.place = DatumGetInt16(column(scan.slot, kPlace));
    out.lifetime = *DatumGetIntervalP(column(scan.slot, kLifetime));
    out.created_at = DatumGetTimestampTz(column(scan.slot, kCreatedAt));
    out.own.limit_per_minute = DatumGetInt32(column(scan.slot, kRateLimit, &is_null));
    if (is_null) out.own.limit_per_minute = -1;
    out.own.burst = DatumGetInt32(column(scan.slot, kBurst, &is_null));
    if (is_null) out.own.burst = -1;
    out.jwt = pg::text_view(copy(kFormat)) == "jwt";
    out.revoked_at = DatumGetTimestampTz(column(scan.slot, kRevokedAt, &is_null));
    out.revoked = !is_null;
    out.suspended_at = DatumGetTimestampTz(column(scan.slot, kSuspendedAt, &is_null));
    out.suspended = !is_null;
}

bool is_own(const RowScan& scan, const Actor& actor, std::int64_t token_id) {
    using namespace token_column;
    return DatumGetInt64(column(scan.slot, kTokenId)) == token_id &&
           DatumGetInt64(column(scan.slot, kAccountId)) == actor.account.account_id;
}

// Raises P0002 if the account has no such token. close_scan() must follow.
void open_own(RowScan& scan, const Actor& actor, std::int64_t token_id, OwnToken& out) {
    if (!open_scan(scan, kTokenById, Int64GetDatum(token_id)) || !is_own(scan, actor, token_id)) {
        close_scan(scan);
        no_such_token();
    }
    read_own(scan, out);
}

// The same for an act that a revoked token does not allow: it raises P0002 too.
void open_unrevoked(RowScan& scan, const Actor& actor, std::int64_t token_id, OwnToken& out) {
    open_own(scan, actor, token_id, out);
    if (out.revoked) no_such_token();
}

// Changes columns of a token whose value differs. Its trigger writes the audit row and carries the change to the secrets.
template <class Change>
void change_own(const Actor& actor, std::int64_t token_id, Change change) {
    RowScan scan;
    OwnToken token;
    open_unrevoked(scan, actor, token_id, token);
    Columns columns;
    change(token, scan, columns);
    if (columns.count > 0) update_row(scan, columns);
    close_scan(scan);
}

// Whether the column holds this value already.
bool holds(const RowScan& scan, int number, Datum value, bool given) {
    bool is_null;
    const Datum held = column(scan.slot, number, &is_null);
    return is_null ? !given : given && datum_image_eq(held, value, false, -1);
}

// The one place that copies what a check needs from token and account to the secret's row.
void store_secret(const Actor& actor, const OwnToken& token, const NewSecret& secret) {
    using namespace secret_column;
    const Account& owner = actor.account;
    Columns row;
    row.add(kDigest, PointerGetDatum(secret.digest.data()))
        .add(kTokenId, Int64GetDatum(token.token_id))
        .add(kAccountId, Int64GetDatum(owner.account_id))
        .add(kExpiresAt, TimestampTzGetDatum(token.expires_at))
        .add(kEndsAt, TimestampTzGetDatum(DT_NOEND))
        .add(kGeneration, Int32GetDatum(token.generation))
        .add(kGroupId, Int32GetDatum(token.group_id))
        .add(kRateLimit, Int32GetDatum(owner.rate_limit))
        .add(kBurst, Int32GetDatum(owner.burst))
        .add(kOwnRateLimit, Int32GetDatum(token.own.limit_per_minute))
        .add(kOwnBurst, Int32GetDatum(token.own.burst))
        .add(kKeyId, Int16GetDatum(secret.key_id))
        .add(kScheme, CharGetDatum(secret.scheme))
        .add(kState, CharGetDatum(kCurrent))
        .add(kLocked, BoolGetDatum(owner.locked))
        .add(kSuspended, BoolGetDatum(token.suspended))
        .add(kUserId, PointerGetDatum(owner.user_id))
        .add(kPermissions, pg::compile_permissions(owner.permissions, token.permissions))
        .add_or_null(kAllowedIps, token.allowed_ips, token.allowed_ips != 0);
    insert_row(pg::catalog().token_secret, row);
}

// Ends the token's secrets that are in force. The current one becomes `current_becomes` until `overlap_ends` at the latest, an
// overlapping one ends now. They are of the token's generation and the one before. The scan goes from the newest to the first
// that is past, so it reads no more rows however often the token was rotated.
void retire_secrets(const OwnToken& token, char current_becomes, TimestampTz overlap_ends, TimestampTz now) {
    using namespace secret_column;
    for_each_row(kSecretsByToken, Int64GetDatum(token.token_id), BackwardScanDirection, [&](RowScan& scan) {
        const SecretFixed& secret = secret_fixed(scan.slot);
        Columns change;
        if (secret.state == kCurrent)
            change.add(kState, CharGetDatum(current_becomes))
                .add(kEndsAt, TimestampTzGetDatum(Min(secret.expires_at, overlap_ends)));
        else if (secret.state == kOverlapping)
            change.add(kState, CharGetDatum(kRotated)).add(kEndsAt, TimestampTzGetDatum(Min(secret.ends_at, now)));
        else
            return secret.generation >= token.generation;
        update_row(scan, change);
        return true;
    });
}

// Calls each(scan, secret) with the token's overlapping secret, if there is one.
template <class Each>
void with_overlapping(const OwnToken& token, Each each) {
    for_each_row(kSecretsByToken, Int64GetDatum(token.token_id), BackwardScanDirection, [&](RowScan& scan) {
        const SecretFixed& secret = secret_fixed(scan.slot);
        if (secret.state != kOverlapping) return secret.generation >= token.generation;
        each(scan, secret);
        return false;
    });
}

// When the token's overlap ends; 0 if none is under way.
TimestampTz overlap_of(const OwnToken& token) {
    TimestampTz ends_at = 0;
    with_overlapping(token, [&](RowScan&, const SecretFixed& secret) { ends_at = Min(secret.ends_at, secret.expires_at); });
    return ends_at > GetCurrentTimestamp() ? ends_at : 0;
}

void retire_overlapping(const OwnToken& token, TimestampTz now) {
    using namespace secret_column;
    with_overlapping(token, [&](RowScan& scan, const SecretFixed&) {
        Columns change;
        change.add(kState, CharGetDatum(kRotated)).add(kEndsAt, TimestampTzGetDatum(now));
        update_row(scan, change);
    });
}

// Stores the token's secret and fills `out` from the token's row as it was written, because a trigger of the platform may have
// narrowed it.
void finish(const Actor& actor, std::int64_t token_id, const ItemPointerData& written, Issued& out) {
    RowScan scan;
    OwnToken token;
    // False if a trigger has changed the row once more, or moved it to another account.
    if (open_written(scan, pg::catalog().token, written) && is_own(scan, actor, token_id)) {
        read_own(scan, token);
    } else {
        close_scan(scan);
        open_own(scan, actor, token_id, token);
    }
    close_scan(scan);
    if (token.revoked) no_such_token();
    out.token_id = token_id;
    out.name = token.name;
    out.group_id = token.group_id;
    out.place = token.place;
    out.expires_at = token.expires_at;
    out.created_at = token.created_at;
    store_secret(actor, token, *out.secret);
}

}  // namespace

void issue(Actor& actor, const IssueRequest& request, Issued& out) {
    const Account& owner = actor.account;
    normalise_name(request.name, out.name);
    const Group& group = require_group(request.group);
    out.group_id = group.id;
    // A copy, because the cache may be refilled before this act ends.
    const std::string_view group_name = pg::text_view(pg::text_datum(group.name));
    const Datum permissions = check_permissions(request.permissions, owner, group);
    const Datum allowed_ips = check_allowed_ips(request.allowed_ips);
    check_metadata(request.metadata);
    check_limit("rate_limit", request.rate_limit, 1);
    Interval lifetime;
    out.created_at = GetCurrentTimestamp();
    choose_expiry(request.expiry, out.group_id, out.created_at, out.expires_at, lifetime);
    out.place = free_place(places_of(owner.account_id), owner);

    out.secret = request.jwt ? &make_jwt({pg::view_of(owner.user_id), group_name, out.created_at, out.expires_at})
                             : &make_secret(core::SecretKind::token);
    out.token_id = next_value(pg::catalog().token_id_seq);
    using namespace token_column;
    Columns row;
    row.add(kTokenId, Int64GetDatum(out.token_id))
        .add(kAccountId, Int64GetDatum(owner.account_id))
        .add(kPlace, Int16GetDatum(out.place))
        .add(kGeneration, Int32GetDatum(1))
        .add(kName, pg::text_datum(out.name.view()))
        .add(kGroupId, Int32GetDatum(out.group_id))
        .add_or_null(kPermissions, permissions, permissions != 0)
        .add_or_null(kAllowedIps, allowed_ips, allowed_ips != 0)
        .add(kFormat, pg::text_datum(request.jwt ? "jwt" : "opaque"))
        .add(kHint, pg::text_datum(pg::from_utf8_lossy({out.secret->hint, out.secret->hint_size})))
        .add(kLifetime, IntervalPGetDatum(&lifetime))
        .add(kCreatedAt, TimestampTzGetDatum(out.created_at))
        .add(kExpiresAt, TimestampTzGetDatum(out.expires_at))
        .add(kMetadata, request.metadata)
        .add_or_null(kRateLimit, Int32GetDatum(request.rate_limit.value), request.rate_limit.given);
    const ItemPointerData written = insert_row(pg::catalog().token, row);
    finish(actor, out.token_id, written, out);
}

void rotate(Actor& actor, std::int64_t token_id, const Interval& overlap, Issued& out) {
    const bool overlapping = overlap.time != 0 || overlap.day != 0 || overlap.month != 0;
    if ((overlapping && !pg::is_always_positive(overlap)) || pg::compare_spans(overlap, kLongestOverlap) > 0)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::overlap_out_of_range, "overlap"),
                    errmsg("invalid overlap"), errdetail("Two secrets of a token may overlap by 7 days at most."),
                    errhint("Give an interval from '0' to '7 days'."));
    RowScan scan;
    OwnToken token;
    open_unrevoked(scan, actor, token_id, token);
    const TimestampTz now = GetCurrentTimestamp();
    // The original lifetime, unless the maximum was lowered since.
    out.expires_at = pg::add_in_utc(now, token.lifetime);
    TimestampTz latest = pg::add_in_utc(now, pg::settings().max_lifetime);
    Interval longest;
    if (longest_lifetime(token.group_id, longest)) latest = Min(latest, pg::add_in_utc(now, longest));
    if (out.expires_at > latest || TIMESTAMP_NOT_FINITE(out.expires_at)) out.expires_at = latest;
    if (token.generation == PG_INT32_MAX)
        MIROX_RAISE(ERRCODE_PROGRAM_LIMIT_EXCEEDED, errword(ErrorWord::rotations_exhausted),
                    errmsg("the token was rotated too often"), errhint("Issue a new token with mirox.issue_token."));
    if (token.jwt) {
        const Group* group = group_by_id(token.group_id);
        if (group == nullptr) MIROX_DEFECT("permission group %d is gone", token.group_id);
        out.secret = &make_jwt({pg::view_of(actor.account.user_id), group->name, now, out.expires_at});
    } else {
        out.secret = &make_secret(core::SecretKind::token);
    }

    // The token's row is written first: its trigger writes the audit row whose key the secrets' rows below carry.
    using namespace token_column;
    Columns row;
    row.add(kGeneration, Int32GetDatum(token.generation + 1))
        .add(kRotatedAt, TimestampTzGetDatum(now))
        .add(kExpiresAt, TimestampTzGetDatum(out.expires_at))
        .add(kHint, pg::text_datum(pg::from_utf8_lossy({out.secret->hint, out.secret->hint_size})));
    const ItemPointerData written = update_row(scan, row);
    close_scan(scan);
    retire_secrets(token, overlapping ? kOverlapping : kRotated, pg::add_in_utc(now, overlap), now);
    finish(actor, token_id, written, out);
}

TimestampTz revoke(Actor& actor, std::int64_t token_id, std::string_view reason, bool has_reason) {
    check_line("reason", reason);
    RowScan scan;
    OwnToken token;
    open_own(scan, actor, token_id, token);
    const TimestampTz now = token.revoked ? token.revoked_at : GetCurrentTimestamp();
    if (!token.revoked) {
        Columns change;
        change.add(token_column::kRevokedAt, TimestampTzGetDatum(now))
            .add_or_null(token_column::kRevokeReason, has_reason ? pg::text_datum(reason) : 0, has_reason)
            .add_or_null(token_column::kSuspendedAt, 0, false)
            .add_or_null(token_column::kSuspendReason, 0, false);
        update_row(scan, change);
    }
    close_scan(scan);
    return now;
}

int revoke_all(Actor& actor, std::string_view reason, bool has_reason, bool expired_only) {
    check_line("reason", reason);
    pg::Args args;
    args.int8(actor.account.account_id)
        .add(TimestampTzGetDatum(GetCurrentTimestamp()))
        .text_or_null(reason, has_reason)
        .add(BoolGetDatum(expired_only));
    return static_cast<int>(pg::run(revoke_rows, args));
}

void rename(Actor& actor, std::int64_t token_id, std::string_view name, Name& out) {
    normalise_name(name, out);
    change_own(actor, token_id, [&](const OwnToken& token, const RowScan&, Columns& columns) {
        if (token.name.view() != out.view()) columns.add(token_column::kName, pg::text_datum(out.view()));
    });
}

namespace {
// What a token that widens would gain, as an array for a DETAIL.
const char* gained(Datum before, Datum after, const Group& group) {
    const char* const scopes = beyond(after == 0 ? group.permissions : pg::scope_set(after), pg::scope_set(before));
    return scopes == nullptr ? "{}" : scopes;
}
}  // namespace

namespace {

// A secret that may have been copied long ago can do more than before: whoever guards the account should know.
void note_widened(const Actor& actor, std::int64_t token_id, const char* changed) {
    Detail detail;
    detail.add_text("changed", changed);
    post_notice("token_widened", {actor.account.account_id, nullptr, token_id, 0}, detail);
}

// Whether a token works from an address that it did not work from before; 0: it works from all.
bool reaches_more(Datum before, Datum after) {
    if (before == 0 || after == 0) return before != 0;
    const std::span<const core::Address> known = pg::addresses_of(before);
    for (const core::Address& network : pg::addresses_of(after)) {
        bool covered = false;
        for (const core::Address& one : known)
            covered = covered || (one.family == network.family && one.bits <= network.bits && core::contains(one, network));
        if (!covered) return true;
    }
    return false;
}

}  // namespace

Datum set_permissions(Actor& actor, std::int64_t token_id, Datum asked) {
    Datum effective = 0;
    bool wider = false;
    change_own(actor, token_id, [&](const OwnToken& token, const RowScan& scan, Columns& columns) {
        const Group* group = group_by_id(token.group_id);
        if (group == nullptr) MIROX_DEFECT("permission group %d is gone", token.group_id);
        const Datum permissions = check_permissions(asked, actor.account, *group);
        effective = pg::scopes_intersection(pg::scope_set(pg::compile_permissions(actor.account.permissions, permissions)),
                                            group->permissions, true, nullptr);
        if (holds(scan, token_column::kPermissions, permissions, permissions != 0)) return;
        wider = widens(token.permissions, permissions, *group);
        // A secret that may long have been copied would gain power.
        if (wider && overlap_of(token) != 0)
            MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::overlap_running, "permissions"),
                        errmsg("permissions cannot be widened while two secrets are in force"),
                        errdetail("%s", gained(token.permissions, permissions, *group)),
                        errhint("End the overlap first with mirox.end_overlap."));
        columns.add_or_null(token_column::kPermissions, permissions, permissions != 0);
    });
    if (wider) note_widened(actor, token_id, "permissions");
    return effective;
}

Datum set_networks(Actor& actor, std::int64_t token_id, Datum given) {
    const Datum networks = check_allowed_ips(given);
    bool wider = false;
    change_own(actor, token_id, [&](const OwnToken& token, const RowScan& scan, Columns& columns) {
        if (holds(scan, token_column::kAllowedIps, networks, networks != 0)) return;
        wider = reaches_more(token.allowed_ips, networks);
        columns.add_or_null(token_column::kAllowedIps, networks, networks != 0);
    });
    if (wider) note_widened(actor, token_id, "allowed_ips");
    return networks;
}

TimestampTz set_expiration(Actor& actor, std::int64_t token_id, const ExpiryRequest& request) {
    TimestampTz expires_at = 0;
    bool longer = false;
    change_own(actor, token_id, [&](const OwnToken& token, const RowScan&, Columns& columns) {
        const TimestampTz now = GetCurrentTimestamp();
        // Its secret has long been of no use, and nobody guards it any more.
        if (token.expires_at <= now)
            MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::token_expired, "token_id"),
                        errmsg("the token has expired"), errdetail("A secret that has expired never works again."),
                        errhint("Rotate the token with mirox.rotate_token, which gives it a new secret."));
        // A rotation starts this lifetime again, in place of the one that the token was issued with.
        auto* const lifetime = static_cast<Interval*>(palloc(sizeof(Interval)));
        choose_expiry(request, token.group_id, now, expires_at, *lifetime);
        longer = expires_at > token.expires_at;
        if (expires_at != token.expires_at || memcmp(lifetime, &token.lifetime, sizeof(Interval)) != 0)
            columns.add(token_column::kLifetime, IntervalPGetDatum(lifetime))
                .add(token_column::kExpiresAt, TimestampTzGetDatum(expires_at));
    });
    if (longer) note_widened(actor, token_id, "expires_at");
    return expires_at;
}

void set_metadata(Actor& actor, std::int64_t token_id, Datum metadata) {
    check_metadata(metadata);
    change_own(actor, token_id, [&](const OwnToken&, const RowScan& scan, Columns& columns) {
        if (!holds(scan, token_column::kMetadata, metadata, true)) columns.add(token_column::kMetadata, metadata);
    });
}

void set_rate_limit(Actor& actor, std::int64_t token_id, const pg::OptionalInt& rate_limit, const pg::OptionalInt& burst) {
    check_limit("rate_limit", rate_limit, 1);
    check_limit("burst", burst, 1);
    if (burst.given && !rate_limit.given)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::argument_missing, "rate_limit"),
                    errmsg("a burst without a rate_limit"),
                    errdetail("The burst is the account's unless the token has a limit of its own."),
                    errhint("Give both, or neither to take the token's own limit away."));
    change_own(actor, token_id, [&](const OwnToken& token, const RowScan&, Columns& columns) {
        const core::Quota becomes = {rate_limit.given ? rate_limit.value : -1, burst.given ? burst.value : -1};
        if (becomes.limit_per_minute == token.own.limit_per_minute && becomes.burst == token.own.burst) return;
        columns.add_or_null(token_column::kRateLimit, Int32GetDatum(rate_limit.value), rate_limit.given)
            .add_or_null(token_column::kBurst, Int32GetDatum(burst.value), burst.given);
    });
}

TimestampTz suspend(Actor& actor, std::int64_t token_id, const pg::OptionalText& reason) {
    check_line("reason", reason.text);
    TimestampTz since = 0;
    change_own(actor, token_id, [&](const OwnToken& token, const RowScan&, Columns& columns) {
        since = token.suspended ? token.suspended_at : GetCurrentTimestamp();
        if (token.suspended) return;
        columns.add(token_column::kSuspendedAt, TimestampTzGetDatum(since))
            .add_or_null(token_column::kSuspendReason, reason.given ? pg::text_datum(reason.text) : 0, reason.given);
    });
    return since;
}

bool resume(Actor& actor, std::int64_t token_id) {
    bool was = false;
    change_own(actor, token_id, [&](const OwnToken& token, const RowScan&, Columns& columns) {
        was = token.suspended;
        if (was) columns.add_or_null(token_column::kSuspendedAt, 0, false).add_or_null(token_column::kSuspendReason, 0, false);
    });
    return was;
}

bool end_overlap(Actor& actor, std::int64_t token_id) {
    bool ended = false;
    change_own(actor, token_id, [&](const OwnToken& token, const RowScan&, Columns&) {
        const TimestampTz ends_at = overlap_of(token);
        if (ends_at == 0) return;
        ended = true;
        // The token's row does not change, so its trigger writes nothing.
        Detail detail;
        detail.add_value("ends_at", TimestampTzGetDatum(ends_at), TIMESTAMPTZOID);
        audit("overlap_ended", {actor.account.account_id, actor.account.user_id, token_id, 0}, detail);
        retire_overlapping(token, GetCurrentTimestamp());
    });
    return ended;
}

std::int64_t account_of_token(std::int64_t token_id) {
    RowScan scan;
    const bool found = open_scan(scan, kTokenById, Int64GetDatum(token_id));
    const std::int64_t account_id = found ? DatumGetInt64(column(scan.slot, token_column::kAccountId)) : 0;
    close_scan(scan);
    return account_id;
}

}  // namespace mirox::store

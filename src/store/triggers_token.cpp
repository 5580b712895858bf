// Triggers of table token: they enforce the cap and, for direct DML, the rules of the functions, write the audit log, and carry
// changes to the secrets.
//
// Locks: the account's row (triggers.hpp); the permission group's row FOR KEY SHARE, so that the group stays.
#include "store/triggers.hpp"

#include "pg/settings.hpp"
#include "store/rows.hpp"
#include "store/tokens.hpp"
#include "store/triggers_token.sql.hpp"

namespace mirox::store::triggers {

using namespace token_column;

namespace {

// Keeps the group from being dropped. Changes of its permissions and this lock do not wait for each other.
void hold_group(std::int32_t group_id) {
    const Group* group = group_by_id(group_id);
    if (group != nullptr && group->builtin) return;  // cannot be dropped, and all tokens would lock this one row
    RowScan scan;
    const bool there = open_locked(scan, kGroupById, Int32GetDatum(group_id), LockTupleKeyShare);
    close_scan(scan);
    if (!there)
        MIROX_RAISE(ERRCODE_FOREIGN_KEY_VIOLATION, errword(ErrorWord::reference_missing, "group_id"),
                    errmsg("no such permission group"), errdetail("There is no permission group with group_id %d.", group_id),
                    errhint("Use a group_id of mirox_internal.permission_group."));
}

const char* update_of(const Change& change) {
    if (differs(change, kRevokedAt)) return "token_revoked";
    if (differs(change, kGeneration)) return "token_rotated";
    if (differs(change, kSuspendedAt)) {
        if (get(change.before, change, kSuspendedAt).is_null) return "token_suspended";
        if (get(change.after, change, kSuspendedAt).is_null) return "token_resumed";
    }
    if (differs(change, kPermissions)) {
        const Value before = get(change.before, change, kPermissions), after = get(change.after, change, kPermissions);
        const Group* group = group_by_id(DatumGetInt32(get(change.before, change, kGroupId).datum));
        if (group != nullptr && widens(before.is_null ? 0 : before.datum, after.is_null ? 0 : after.datum, *group))
            return "token_widened";
    }
    return differs(change, kName) ? "token_renamed" : "token_changed";
}

// Checks for direct DML what the functions have checked already. Fills in the name as it is stored.
void check_direct(const Change& change, Name& name) {
    if (change.updated) refuse_move(change, kGeneration);
    if (is_new(change, kName)) normalise_name(get_text(change.after, change, kName), name);
    const Value expires_at = get(change.after, change, kExpiresAt), lifetime = get(change.after, change, kLifetime);
    if (is_new(change, kExpiresAt) && !expires_at.is_null)
        check_expiry(DatumGetTimestampTz(expires_at.datum), GetCurrentTimestamp());
    if (is_new(change, kLifetime) && !lifetime.is_null) check_lifetime(*DatumGetIntervalP(lifetime.datum), "lifetime");
}

// The place for an unrevoked token written by direct DML: the given one or the lowest free one.
int place_of(const Change& change, const Account& account) {
    const Places places = places_of(account.account_id);
    const Value given = get(change.after, change, kPlace);
    // The cap applies whatever place is given.
    const int lowest = change.inserted || given.is_null ? free_place(places, account) : 0;
    const int place = given.is_null ? lowest : DatumGetInt16(given.datum);
    if (place >= 1 && place <= pg::kMaxTokensPerAccount && ((places.taken >> (place - 1)) & 1))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::place_occupied, "place"),
                    errmsg("place %d is taken", place), errhint("Leave the place NULL for the lowest free one."));
    return place;
}

// The row with the filled-in values, which the log shows too. Allocated so that it outlives the act.
HeapTuple filled(const Act& act, const Change& change, const Name& name, int place) {
    const MemoryContext inner = MemoryContextSwitchTo(act.caller);
    int columns[2];
    Datum values[2];
    bool nulls[2] = {};
    int count = 0;
    if (name.size > 0) {
        columns[count] = kName;
        values[count++] = pg::text_datum(name.view());
    }
    if (place > 0) {
        columns[count] = kPlace;
        values[count++] = Int16GetDatum(place);
    }
    HeapTuple row = heap_modify_tuple_by_cols(change.after, change.columns, count, columns, values, nulls);
    MemoryContextSwitchTo(inner);
    return row;
}

}  // namespace

MIROX_FUNCTION(token_guard) {
    const Change change = read_change(fcinfo, &pg::Catalog::token, kBeforeRow);
    if (is_replay(change, kAuditId)) return PointerGetDatum(change.after);
    refuse_move(change, kTokenId);
    refuse_move(change, kAccountId);
    Act act;
    begin(act);
    // Lock the account before reading anything that its lock protects.
    const std::int64_t account_id = get_int8(change.row, change, kAccountId);
    const Account account = account_of(act, account_id, !change.deleted);
    Detail detail;
    HeapTuple stored = change.after;
    if (!change.deleted) {
        check_new_line(change, kRevokeReason, "reason");
        check_new_line(change, kSuspendReason, "reason");
        if (change.updated && !get(change.before, change, kRevokedAt).is_null && differs(change, kRevokedAt))
            MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::ended_for_good, "revoked_at"),
                        errmsg("a revoked token cannot be brought back"), errhint("Issue a new token with mirox.issue_token."));
        Name name = {};
        if (act.direct) check_direct(change, name);
        const Value group = get(change.after, change, kGroupId);
        if (is_new(change, kGroupId) && !group.is_null) hold_group(DatumGetInt32(group.datum));
        const bool placed = act.direct && get(change.after, change, kRevokedAt).is_null && is_new(change, kPlace);
        const int place = placed ? place_of(change, account) : 0;
        if (name.size > 0 || place > 0) stored = filled(act, change, name, place);
        describe(detail, change, stored);
    }
    return audited(act, change, stored, kAuditNode,
                   {"token_issued", change.updated ? update_of(change) : nullptr, "token_deleted"},
                   {account_id, account.user_id, get_int8(change.row, change, kTokenId), 0}, detail);
}

MIROX_FUNCTION(token_follow) {
    const Change change = read_change(fcinfo, &pg::Catalog::token, kAfterRow);
    pg::Args args;
    args.int8(get_int8(change.before, change, kTokenId));
    Query* query = nullptr;
    if (change.deleted)
        query = &delete_secrets;
    else if (differs(change, kRevokedAt))
        query = &revoke_secrets;
    else if (!differs(change, kGeneration) &&
             (differs(change, kGroupId) || differs(change, kPermissions) || differs(change, kAllowedIps) ||
              differs(change, kExpiresAt) || differs(change, kSuspendedAt) || differs(change, kRateLimit) ||
              differs(change, kBurst)))
        query = &update_secrets;  // a rotation writes its new secret itself
    if (query == nullptr) return PointerGetDatum(nullptr);
    Act act;
    begin(act);
    if (change.updated) take_key(act, change, kAuditNode);
    pg::run(*query, args);
    end(act);
    return PointerGetDatum(nullptr);
}

}  // namespace mirox::store::triggers

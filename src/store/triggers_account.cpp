// Triggers of table account: they check the row, write the audit log, and carry changes to tokens and sessions.
//
// Locks: whatever changes the row has locked it, and with it the account's tokens and sessions.
#include "store/triggers.hpp"
#include "store/triggers_account.sql.hpp"

namespace mirox::store::triggers {

using namespace account_column;

namespace {

Account account_in(const Change& change) {
    Account account = {};
    account.account_id = get_int8(change.row, change, kAccountId);
    account.user_id = PG_DETOAST_DATUM_COPY(get(change.row, change, kUserId).datum);
    // The column's NOT NULL constraint, which is checked later, refuses a NULL.
    const Value permissions = get(change.row, change, kPermissions);
    if (!permissions.is_null) account.permissions = PointerGetDatum(PG_DETOAST_DATUM_COPY(permissions.datum));
    return account;
}

const char* update_of(const Change& change) {
    const bool was = !get(change.before, change, kLockedAt).is_null;
    const bool is = !get(change.after, change, kLockedAt).is_null;
    return was == is ? "account_changed" : is ? "account_locked" : "account_unlocked";
}

}  // namespace

MIROX_FUNCTION(account_guard) {
    const Change change = read_change(fcinfo, &pg::Catalog::account, kBeforeRow);
    if (is_replay(change, kAuditId)) return PointerGetDatum(change.after);
    refuse_move(change, kAccountId);
    check_new_line(change, kLockReason, "reason");
    if (is_new(change, kUserId)) check_user_id(get_text(change.after, change, kUserId));
    Act act;
    begin(act);
    Account known;
    if (change.inserted && act.direct && find_account_of(get_text(change.after, change, kUserId), known)) {
        // The unique index refuses the row, or ON CONFLICT skips it. Nothing is registered, so there is nothing to log.
        end(act);
        return PointerGetDatum(change.after);
    }
    Detail detail;
    const Account account = account_in(change);
    if (change.deleted) {
        // Tokens and sessions end before the account is deleted, each with an audit row of its own.
        if (act.direct) act.own.account = account;
        pg::Args args;
        args.int8(account.account_id);
        pg::run(revoke_tokens_of, args);
        pg::run(close_sessions_of, args.text("account deleted"));
    } else {
        describe(detail, change, change.after);
        if (is_new(change, kUserId)) {
            pg::Args args;
            args.int8(account.account_id).add(get(change.after, change, kUserId).datum);
            pg::run(put_name, args);
        }
    }
    return audited(act, change, change.after, kAuditNode,
                   {"account_registered", change.updated ? update_of(change) : nullptr, "account_deleted"},
                   {account.account_id, account.user_id, 0, 0}, detail);
}

MIROX_FUNCTION(account_follow) {
    const Change change = read_change(fcinfo, &pg::Catalog::account, kAfterRow);
    if (change.updated && !differs(change, kUserId) && !differs(change, kPermissions) && !differs(change, kRateLimit) &&
        !differs(change, kBurst) && !differs(change, kLockedAt))
        return PointerGetDatum(nullptr);
    Act act;
    begin(act);
    pg::Args args;
    args.int8(get_int8(change.before, change, kAccountId));
    if (change.updated) {
        take_key(act, change, kAuditNode);
        pg::run(update_secrets_of, args);
        // For good: unlocking the account brings no session back.
        if (get(change.before, change, kLockedAt).is_null && !get(change.after, change, kLockedAt).is_null) {
            if (act.actor->account.account_id == 0) act.actor->account = account_in(change);
            pg::run(close_sessions_of, args.text("account locked"));
        }
    } else {
        // The row is deleted, and its lock with it. No other transaction can use its tokens and sessions any more.
        if (act.actor->account.account_id == 0) act.actor->account = account_in(change);
        pg::run(delete_tokens_of, args);
        pg::run(delete_sessions_of, args);
        pg::run(delete_service_of, args);
    }
    end(act);
    return PointerGetDatum(nullptr);
}

}  // namespace mirox::store::triggers

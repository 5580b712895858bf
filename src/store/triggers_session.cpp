// The trigger of table session: it keeps fixed columns unchanged and closed sessions closed, and writes the audit log.
//
// Locks: the account's row (triggers.hpp).
#include "store/triggers.hpp"

namespace mirox::store::triggers {

MIROX_FUNCTION(session_guard) {
    using namespace session_column;
    const Change change = read_change(fcinfo, &pg::Catalog::session, kBeforeRow);
    if (is_replay(change, kAuditId)) return PointerGetDatum(change.after);
    for (const int column : {kDigest, kSessionId, kAccountId}) refuse_move(change, column);
    if (change.updated && !get(change.before, change, kClosedAt).is_null && differs(change, kClosedAt))
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::ended_for_good, "closed_at"),
                    errmsg("a closed session cannot be opened again"), errhint("Open a new one with mirox.open_session."));
    check_new_line(change, kCloseReason, "reason");
    Act act;
    begin(act);
    const std::int64_t account_id = get_int8(change.row, change, kAccountId);
    const Account account = account_of(act, account_id, change.inserted);
    if (change.inserted && account.locked && get(change.after, change, kClosedAt).is_null)
        MIROX_RAISE(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, errword(ErrorWord::account_locked, "account_id"),
                    errmsg("the account is locked"), errhint("Unlock it with mirox.unlock_account first."));
    if (act.actor->audited) return stamped_by_act(act, change, kAuditNode);
    Detail detail;
    if (!change.deleted) describe(detail, change, change.after);
    const bool closed = change.updated && differs(change, kClosedAt);
    return audited(act, change, change.after, kAuditNode,
                   {"session_opened", closed ? "session_closed" : "session_changed", "session_deleted"},
                   {account_id, account.user_id, 0, get_int8(change.row, change, kSessionId)}, detail);
}

}  // namespace mirox::store::triggers

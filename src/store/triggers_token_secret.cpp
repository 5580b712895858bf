// The trigger of table token_secret: direct DML must not reactivate a revoked token, nor give a token a second secret in force.
//
// Locks: the account's row (triggers.hpp).
#include "store/triggers.hpp"

#include "store/rows.hpp"
#include "store/triggers_token_secret.sql.hpp"

namespace mirox::store::triggers {

using namespace secret_column;

namespace {

// A direct UPDATE or INSERT must not reactivate a revoked token, nor bring its account over the cap.
void check_direct(const Change& change, std::int64_t account_id) {
    pg::Args args;
    args.int8(get_int8(change.row, change, kTokenId)).int8(account_id);
    if (pg::run(select_state, args) == 0)
        MIROX_RAISE(ERRCODE_FOREIGN_KEY_VIOLATION, errword(ErrorWord::reference_missing, "token_id"), errmsg("no such token"),
                    errdetail("The account has no token of this token_id."), errhint("Issue a token with mirox.issue_token."));
    const Value state = get(change.after, change, kState), generation = get(change.after, change, kGeneration);
    const char is = state.is_null ? kRevoked : DatumGetChar(state.datum);
    if (DatumGetBool(pg::result_value(0, 1)) && is != kRevoked)
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::ended_for_good, "state"),
                    errmsg("a revoked token cannot be brought back"), errhint("Issue a new token with mirox.issue_token."));
    // So a token has at most one current and one overlapping secret.
    const std::int32_t newest = DatumGetInt32(pg::result_value(0, 2));
    if (!generation.is_null && (is == kCurrent || is == kOverlapping) &&
        DatumGetInt32(generation.datum) != (is == kCurrent ? newest : newest - 1))
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::secret_not_in_force, "generation"),
                    errmsg("not the secret that is in force"),
                    errdetail("The token's current secret is of generation %d, an overlapping one of the "
                              "generation before.",
                              newest),
                    errhint("Rotate the token with mirox.rotate_token."));
}

}  // namespace

MIROX_FUNCTION(token_secret_guard) {
    const Change change = read_change(fcinfo, &pg::Catalog::token_secret, kBeforeRow);
    if (is_replay(change, kAuditId)) return PointerGetDatum(change.after);
    Act act;
    begin(act);
    if (!act.direct) return stamped_by_act(act, change, kAuditNode);
    refuse_move(change, kTokenId);
    refuse_move(change, kAccountId);
    const std::int64_t account_id = get_int8(change.row, change, kAccountId);
    const Account account = account_of(act, account_id, !change.deleted);
    if (!change.deleted) check_direct(change, account_id);
    Detail detail;
    if (change.updated) describe(detail, change, change.after);
    return audited(act, change, change.after, kAuditNode, {"secret_inserted", "secret_changed", "secret_deleted"},
                   {account_id, account.user_id, get_int8(change.row, change, kTokenId), 0}, detail);
}

}  // namespace mirox::store::triggers

// The trigger of table service_account: direct DML obeys what set_service_account demands, and is audited alike.
//
// Locks: the account's row (triggers.hpp).
#include "store/triggers.hpp"

#include "store/services.hpp"

namespace mirox::store::triggers {

using namespace service_column;

MIROX_FUNCTION(service_account_guard) {
    const Change change = read_change(fcinfo, &pg::Catalog::service_account, kBeforeRow);
    if (is_replay(change, kAuditId)) return PointerGetDatum(change.after);
    refuse_move(change, kAccountId);
    Act act;
    begin(act);
    if (!act.direct) return stamped_by_act(act, change, kAuditNode);
    const std::int64_t account_id = get_int8(change.row, change, kAccountId);
    const Account account = account_of(act, account_id, !change.deleted);
    if (change.inserted && is_service_account(account_id)) {
        // The key or ON CONFLICT decides, and there is nothing to log yet.
        end(act);
        return PointerGetDatum(change.after);
    }
    if (change.inserted) refuse_open_session(account_id);
    Detail detail;
    detail.add_bool("service", !change.deleted);
    return audited(act, change, change.after, kAuditNode, {kServiceEvent, kServiceEvent, kServiceEvent},
                   {account_id, account.user_id, 0, 0}, detail);
}

}  // namespace mirox::store::triggers

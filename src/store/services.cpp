// Service accounts (see services.hpp, also for the locks).
#include "store/services.hpp"

#include "store/audit.hpp"
#include "store/services.sql.hpp"

namespace mirox::store {

bool is_service_account(std::int64_t account_id) {
    pg::Args args;
    args.int8(account_id);
    return pg::run(find_service, args) > 0;
}

void refuse_open_session(std::int64_t account_id) {
    pg::Args args;
    args.int8(account_id);
    if (pg::run(find_open_session, args) > 0)
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errword(ErrorWord::session_open, "user_id"),
                    errmsg("the account has an open session"), errdetail("Somebody is logged in, so it is a person's."),
                    errhint("Register an account of its own for the program."));
}

void set_service_account(Actor& actor, bool service) {
    const std::int64_t account_id = actor.account.account_id;
    if (service) refuse_open_session(account_id);
    if (is_service_account(account_id) == service) return;
    // Before the row, which carries the key of the audit row.
    Detail detail;
    detail.add_bool("service", service);
    audit(kServiceEvent, {account_id, actor.account.user_id, 0, 0}, detail);
    pg::Args args;
    args.int8(account_id);
    pg::run(service ? insert_service : delete_service, args);
}

}  // namespace mirox::store

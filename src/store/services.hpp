// Service accounts: of a program, with no person who logs in (src/schema/54_services.sql).
//
// Locks: call these with the account locked, so that no session is opened meanwhile.
#pragma once

#include "pg/prelude.hpp"
//
#include "store/actor.hpp"

namespace mirox::store {

bool is_service_account(std::int64_t account_id);
// Raises 55000 if the account has an open session.
void refuse_open_session(std::int64_t account_id);
inline constexpr const char* kServiceEvent = "service_account_set";
// Raises 55000 if the account has an open session.
void set_service_account(Actor& actor, bool service);

}  // namespace mirox::store

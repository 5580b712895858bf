// The gate before every act of management (see acts.hpp).
#include "store/acts.hpp"

#include "pg/catalog.hpp"
#include "store/check.hpp"
#include "store/identity.hpp"

extern "C" {
#include "access/xact.h"
#include "utils/timestamp.h"
}

namespace mirox::store {
namespace {

// The act begun last. Nobody else's code runs between the start of an act and its last possible refusal, so it is the refused
// one.
constinit const char* current_function = "";

[[noreturn]] void refuse(const Identity& who) {
    record_refused_act();
    if (who.token_id != 0)
        MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::acting_for_token),
                    errmsg("a transaction that acts for a token manages nothing"),
                    errdetail("mirox.%s is an act of management.", current_function),
                    errhint("Call it in a transaction that does not act for a token."));
    MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::acting_for_session),
                errmsg("a transaction that acts for a web session manages that session's account alone"),
                errdetail("mirox.%s does more than the owner of an account may.", current_function),
                errhint("Call it in a transaction that does not act for a session."));
}

void begin(const char* function, Effect effect, bool session_may) {
    current_function = function;
    if (const Identity* who = current_identity(); who != nullptr && !(session_may && who->token_id == 0)) refuse(*who);
    pg::require_known_script();
    if (effect == Effect::writes) require_writable(function);
}

}  // namespace

void begin_act(const char* function, Effect effect) {
    begin(function, effect, false);
}

void begin_own_act(const char* function, Effect effect) {
    begin(function, effect, true);
}

void require_writable(const char* function) {
    if (XactReadOnly)
        MIROX_RAISE(ERRCODE_READ_ONLY_SQL_TRANSACTION, errword(ErrorWord::read_only),
                    errmsg("cannot execute mirox.%s in a read-only transaction", function),
                    errhint("Call it on the primary, in a read-write transaction."));
}

void require_own_account(std::int64_t account_id) {
    const Identity* who = current_identity();
    if (who == nullptr || who->account_id == account_id) return;
    record_refused_act();
    MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::session_of_another_account, "session"),
                errmsg("the session belongs to another account than the one that the transaction acts for"),
                errhint("Pass a session of that account, or call it in a transaction that acts for nobody."));
}

void require_own_token(std::int64_t token_id) {
    const Identity* who = current_identity();
    if (who == nullptr || who->token_id == 0 || who->token_id == token_id) return;
    current_function = "revoke_self";
    record_refused_act();
    MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::acting_for_token),
                errmsg("a transaction that acts for a token ends no other token"),
                errhint("Call it in a transaction that does not act for a token."));
}

void record_refused_act(const shmem::Event& given) {
    shmem::Event who = given;
    if (const Identity* identity = current_identity(); identity != nullptr) {
        who.credential_id = identity->token_id != 0 ? identity->token_id : -identity->session_id;
        who.generation = identity->generation;
        who.account = identity->account_id;
        who.address = identity->client;
        who.texts[shmem::kAgent] = identity->agent;
    }
    char function[sizeof("mirox.") + NAMEDATALEN];
    const int size = snprintf(function, sizeof(function), "mirox.%s", current_function);
    who.reason = static_cast<std::uint8_t>(Reason::management_refused);
    who.status = static_cast<std::uint16_t>(outcome_of(Reason::management_refused).status);
    who.at = GetCurrentTimestamp();
    who.texts[shmem::kScope] = {function, static_cast<std::size_t>(size)};
    shmem::record_use(who);
}

}  // namespace mirox::store

// The transaction's identity (see identity.hpp).
#include "store/identity.hpp"

#include "pg/values.hpp"
#include "shmem/record.hpp"

extern "C" {
#include "access/xact.h"
#include "utils/datum.h"
}

namespace mirox::store {
namespace {

enum class State : std::uint8_t {
    none,     // the transaction has not authenticated
    set,      // `identity` is in force
    removed,  // the savepoint that set it was rolled back; no other identity may follow
};

// After a rollback to a savepoint, no other identity may be set. A cursor opened before may have been read under the first
// identity, and would continue under the second with what the first was shown.
constinit State state = State::none;
constinit Identity identity{};
constinit SubTransactionId set_in = InvalidSubTransactionId;

void on_transaction(XactEvent event, void*) {
    switch (event) {
        case XACT_EVENT_COMMIT:
        case XACT_EVENT_ABORT:
        case XACT_EVENT_PREPARE:
            // The memory is freed with the transaction's context.
            state = State::none;
            identity = {};
            break;
        default:
            break;
    }
}

void on_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void*) {
    if (state != State::set || set_in != mine) return;
    if (event == SUBXACT_EVENT_COMMIT_SUB) set_in = parent;
    if (event == SUBXACT_EVENT_ABORT_SUB) {
        // The savepoint's memory is freed; the ids are kept, to compare with a later identity.
        state = State::removed;
        identity.user_id = 0;
        identity.agent = {};
        identity.permissions = identity.group = core::ScopeSet();
    }
}

core::ScopeSet copy_of(core::ScopeSet set) {
    const auto bytes = set.bytes();
    auto* copy = static_cast<std::byte*>(palloc(Max(bytes.size(), std::size_t{1})));
    if (!bytes.empty()) memcpy(copy, bytes.data(), bytes.size());
    return core::ScopeSet({copy, bytes.size()});
}

// The resources on which a set allows the action, in normal form. `work` has room for set.count() scopes.
std::span<core::Scope> with_action(core::ScopeSet set, std::string_view action, std::span<core::Scope> work) {
    std::size_t found = 0;
    core::ScopeSet::Cursor cursor = set.begin();
    core::Scope scope;
    while (cursor.next(scope))
        if (scope.action.empty() || scope.action == action) work[found++] = {scope.resource, {}};
    return work.first(core::normalise(work.first(found)));
}

std::span<core::Scope> work_space(std::size_t count) {
    count = Max(count, std::size_t{1});
    return {static_cast<core::Scope*>(palloc(sizeof(core::Scope) * count)), count};
}

}  // namespace

const Identity* current_identity() {
    return state == State::set ? &identity : nullptr;
}

void require_no_identity() {
    if (state != State::set) return;
    MIROX_RAISE(ERRCODE_ACTIVE_SQL_TRANSACTION, errword(ErrorWord::identity_fixed), errmsg("the transaction has an identity"),
                errdetail("An identity lasts until the end of its transaction and cannot be changed in it."),
                errhint("End the transaction, then authenticate in a new one."));
}

void set_identity(const Checked& checked, const Check& check) {
    Assert(checked.in_force);
    require_no_identity();
    if (state == State::removed && (identity.token_id != checked.token_id || identity.session_id != checked.session_id))
        MIROX_RAISE(ERRCODE_ACTIVE_SQL_TRANSACTION, errword(ErrorWord::identity_fixed),
                    errmsg("the transaction had another identity"),
                    errdetail("Rolling back to a savepoint removed it, and no other may take its place."),
                    errhint("End the transaction, then authenticate in a new one."));
    // In memory that lasts as long as the identity: until the transaction ends or the savepoint is rolled back.
    const MemoryContext before = MemoryContextSwitchTo(CurTransactionContext);
    Identity next = {};
    next.account_id = checked.account_id;
    next.token_id = checked.token_id;
    next.session_id = checked.session_id;
    next.user_id = pg::text_datum(pg::text_view(checked.user_id));
    next.permissions = copy_of(pg::scope_set(checked.permissions));
    next.any_group = checked.credential == Credential::session || (checked.group != nullptr && checked.group->everything);
    // A token whose group no longer exists has no permissions.
    if (!next.any_group && checked.group != nullptr) next.group = copy_of(checked.group->permissions);
    next.generation = checked.generation;
    next.client = check.client;
    next.agent = pg::text_view(pg::text_datum(shmem::cut_agent(check.texts[shmem::kAgent])));
    MemoryContextSwitchTo(before);
    identity = next;
    set_in = GetCurrentSubTransactionId();
    state = State::set;
}

bool allows(const Identity& who, std::string_view text) {
    core::Scope scope;
    // No identity reaches a malformed scope.
    if (core::parse_scope(text, scope) != core::ScopeStatus::ok) return false;
    return who.permissions.covers(scope) && (who.any_group || who.group.covers(scope));
}

Datum granted(const Identity& who, std::string_view action) {
    if (!core::is_segment(action)) return pg::scopes_datum({});
    const auto own = with_action(who.permissions, action, work_space(who.permissions.count()));
    if (who.any_group) return pg::scopes_datum(own);
    const auto groups = with_action(who.group, action, work_space(who.group.count()));
    // If two resources intersect, one is at or below the other; within one set no two do. So there are at most as many
    // intersections as scopes in both sets.
    const auto both = work_space(own.size() + groups.size());
    std::size_t found = 0;
    for (const core::Scope& a : own)
        for (const core::Scope& b : groups) {
            core::Scope meet;
            if (core::intersect(a, b, meet) && found < both.size()) both[found++] = meet;
        }
    return pg::scopes_datum(both.first(core::normalise(both.first(found))));
}

void watch_identity() {
    RegisterXactCallback(on_transaction, nullptr);
    RegisterSubXactCallback(on_subtransaction, nullptr);
}

}  // namespace mirox::store

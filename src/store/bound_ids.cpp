// Which account is to have which id (see bound_ids.hpp, also for the locks).
#include "store/bound_ids.hpp"

#include "store/manage.hpp"

extern "C" {
#include "access/xact.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
}

namespace mirox::store {
namespace {

// In `waiter`: the id belongs to a user without an account, so no account waits for it.
constexpr std::int64_t kNobody = -1;

// The last version of a row with one id, if the row continued from there. The next event has this version as its old one.
struct Passage {
    Version row;  // the key
    std::int64_t account_id;
};

// Everything judged in this transaction or subtransaction.
struct Ledger {
    Ledger* below;
    MemoryContext memory;
    HTAB* users;
    HTAB* passages;
    HTAB* crossings;
    int nest_level;
};
constinit Ledger* ledger = nullptr;

HTAB* make_table(const char* name, std::size_t key, std::size_t entry, MemoryContext memory) {
    HASHCTL info = {};
    info.keysize = key;
    info.entrysize = entry;
    info.hcxt = memory;
    return hash_create(name, 64, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void copy_table(HTAB* from, HTAB* to, std::size_t entry) {
    HASH_SEQ_STATUS all;
    hash_seq_init(&all, from);
    while (void* one = hash_seq_search(&all)) memcpy(hash_search(to, one, HASH_ENTER, nullptr), one, entry);
}

void open_ledger() {
    const int level = GetCurrentTransactionNestLevel();
    if (ledger != nullptr && ledger->nest_level >= level) return;
    MemoryContext memory =
        AllocSetContextCreate(TopTransactionContext, "mirox_tokens users that have changed", ALLOCSET_SMALL_SIZES);
    auto* fresh = static_cast<Ledger*>(MemoryContextAlloc(memory, sizeof(Ledger)));
    *fresh = {ledger,
              memory,
              make_table("changed users", sizeof(std::int64_t), sizeof(ChangedUser), memory),
              make_table("passages", sizeof(Version), sizeof(Passage), memory),
              make_table("crossings", sizeof(Version), sizeof(Crossing), memory),
              level};
    if (ledger != nullptr) {
        copy_table(ledger->users, fresh->users, sizeof(ChangedUser));
        copy_table(ledger->passages, fresh->passages, sizeof(Passage));
        copy_table(ledger->crossings, fresh->crossings, sizeof(Crossing));
    }
    ledger = fresh;
}

void rename_to(std::int64_t account_id, std::string_view id) {
    (void)as_act([&](Actor& actor) { return rename_account(actor, account_id, id); });
}

// The account has given up its id. The account that waits for the id is renamed, which frees the next id, and so on.
void release(ChangedUser* user) {
    while (user->waiter != 0) {
        const std::int64_t next = user->waiter;
        user->waiter = 0;
        if (next == kNobody) return;
        user = find_changed_user(next);
        const char* target = user->target;
        user->target = nullptr;
        user->waits_for = 0;
        rename_to(user->account_id, target);
    }
}

void stop_waiting(ChangedUser* user) {
    if (user->waits_for == 0) return;
    ChangedUser* other = find_changed_user(user->waits_for);
    if (other != nullptr && other->waiter == user->account_id) other->waiter = 0;
    user->waits_for = 0;
    user->target = nullptr;
}

// True if `first` waits, directly or through other accounts, for `account_id`.
bool waits_for(const ChangedUser* first, std::int64_t account_id) {
    while (first != nullptr && first->waits_for != 0) {
        if (first->waits_for == account_id) return true;
        first = find_changed_user(first->waits_for);
    }
    return false;
}

// An id that no user can have by chance. An account takes it to break a circle.
const char* temporary_id() {
    const Datum id = DirectFunctionCall1(gen_random_uuid, 0);
    return psprintf("mirox_tokens renames %s", DatumGetCString(DirectFunctionCall1(uuid_out, id)));
}

void on_transaction(XactEvent event, void*) {
    if (ledger == nullptr) return;
    switch (event) {
        case XACT_EVENT_PRE_COMMIT:
        case XACT_EVENT_PRE_PREPARE:
            HASH_SEQ_STATUS all;
            hash_seq_init(&all, ledger->users);
            while (const auto* user = static_cast<ChangedUser*>(hash_seq_search(&all)))
                if (user->target != nullptr) {
                    hash_seq_term(&all);
                    refuse_taken_id();
                }
            break;
        case XACT_EVENT_COMMIT:
        case XACT_EVENT_ABORT:
        case XACT_EVENT_PREPARE:
            ledger = nullptr;
            break;
        default:
            break;
    }
}

// Memory is freed only with the transaction, because an act that runs may still point to it.
void on_subtransaction(SubXactEvent event, SubTransactionId, SubTransactionId, void*) {
    const int level = GetCurrentTransactionNestLevel();
    if (event == SUBXACT_EVENT_ABORT_SUB) {
        while (ledger != nullptr && ledger->nest_level >= level) ledger = ledger->below;
    }
    if (event == SUBXACT_EVENT_COMMIT_SUB) {
        if (ledger != nullptr && ledger->nest_level >= level) {
            ledger->nest_level = level - 1;
            if (ledger->below != nullptr && ledger->below->nest_level >= level - 1) ledger->below = ledger->below->below;
        }
    }
}

}  // namespace

Crossing* crossing_from(const Version& from) {
    open_ledger();
    bool known;
    auto* crossing = static_cast<Crossing*>(hash_search(ledger->crossings, &from, HASH_ENTER, &known));
    if (!known) *crossing = {from, {}, false, 0};
    return crossing;
}

ChangedUser* find_changed_user(std::int64_t account_id) {
    if (ledger == nullptr) return nullptr;
    return static_cast<ChangedUser*>(hash_search(ledger->users, &account_id, HASH_FIND, nullptr));
}

ChangedUser* changed_user(std::int64_t account_id) {
    open_ledger();
    bool known;
    auto* user = static_cast<ChangedUser*>(hash_search(ledger->users, &account_id, HASH_ENTER, &known));
    if (!known) {
        *user = {};
        user->account_id = account_id;
    }
    return user;
}

std::int64_t account_named(std::string_view user_id) {
    Account account;
    return find_account_of(user_id, account) ? account.account_id : 0;
}

void arrive(std::int64_t account_id, const char* id, const Version& row) {
    ChangedUser* user = nullptr;
    if (account_id != 0) {
        user = changed_user(account_id);
        stop_waiting(user);
        user->row = row;
        user->left = false;
    }
    const std::int64_t other_id = account_named(id);
    if (other_id != 0 && other_id == account_id) return;
    if (other_id != 0) {
        ChangedUser* other = changed_user(other_id);
        if (!other->left) {
            if (other->waiter > 0) refuse_taken_id();
            if (user == nullptr) {
                other->waiter = kNobody;
                return;
            }
            if (user->waiter == 0 || !waits_for(other, account_id)) {
                other->waiter = account_id;
                user->waits_for = other_id;
                user->target = MemoryContextStrdup(TopTransactionContext, id);
                return;
            }
            rename_to(account_id, temporary_id());
            release(user);
        } else {
            end_account(other_id);
        }
    }
    if (user == nullptr) return;
    rename_to(account_id, id);
    release(user);
}

void pass(std::int64_t account_id, const Version& row) {
    open_ledger();
    if (account_id != 0) {
        ChangedUser* user = changed_user(account_id);
        stop_waiting(user);
        user->row = row;
        user->left = false;
    }
    static_cast<Passage*>(hash_search(ledger->passages, &row, HASH_ENTER, nullptr))->account_id = account_id;
}

bool take_passage(const Version& row, std::int64_t& account_id) {
    if (ledger == nullptr) return false;
    open_ledger();
    const auto* passage = static_cast<Passage*>(hash_search(ledger->passages, &row, HASH_REMOVE, nullptr));
    if (passage == nullptr) return false;
    account_id = passage->account_id;
    return true;
}

void end_account(std::int64_t account_id) {
    (void)as_act([&](Actor& actor) { return delete_account(actor, account_id); });
    ChangedUser* user = find_changed_user(account_id);
    if (user == nullptr) return;
    stop_waiting(user);
    release(user);
    (void)hash_search(ledger->users, &account_id, HASH_REMOVE, nullptr);
}

void watch_changed_users() {
    RegisterXactCallback(on_transaction, nullptr);
    RegisterSubXactCallback(on_subtransaction, nullptr);
}

}  // namespace mirox::store

// Creation and removal of the extension in a database. For the locks see presence.hpp.
#include "worker/presence.hpp"

#include "pg/catalog.hpp"
#include "shmem/control.hpp"

extern "C" {
#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/inval.h"
}

namespace mirox::worker {
namespace {

constinit int beginning_level = 0;  // nesting level of the transaction that creates the extension; 0: none does

// The lock of an extension with OID 0, which no extension has.
LOCKTAG presence_lock() {
    LOCKTAG tag;
    SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, InvalidOid, 0);
    return tag;
}

// A publish takes microseconds, unless its process was stopped. One try is a millisecond.
constexpr int kTries = 1000;

void close_queue() {
    shmem::Region& region = shmem::region();
    for (int i = 0; i < kTries; i++) {
        LWLockAcquire(shmem::region_lock(), LW_EXCLUSIVE);
        const bool there = static_cast<bool>(region.ring().find_queue(MyDatabaseId));
        const bool closed = region.close_queue(MyDatabaseId);
        LWLockRelease(shmem::region_lock());
        if (closed || !there) return;
        pg_usleep(1000);
    }
    MIROX_LOG(LOG, errmsg("mirox_tokens could not discard what an earlier extension recorded in this database"));
}

void on_transaction(XactEvent event, void*) {
    if (beginning_level == 0) return;
    switch (event) {
        case XACT_EVENT_PRE_COMMIT:
            // No event of the new extension can be in the queue, since it is not committed yet.
            if (shmem::region()) close_queue();
            break;
        case XACT_EVENT_COMMIT:
        case XACT_EVENT_ABORT:
        case XACT_EVENT_PREPARE:
            beginning_level = 0;
            break;
        default:
            break;
    }
}

void on_subtransaction(SubXactEvent event, SubTransactionId, SubTransactionId, void*) {
    if (beginning_level == 0 || GetCurrentTransactionNestLevel() > beginning_level) return;
    if (event == SUBXACT_EVENT_ABORT_SUB) beginning_level = 0;
    if (event == SUBXACT_EVENT_COMMIT_SUB) beginning_level--;
}

}  // namespace

void begin_recording() {
    const LOCKTAG tag = presence_lock();
    (void)LockAcquire(&tag, ExclusiveLock, false, false);
    beginning_level = GetCurrentTransactionNestLevel();
}

void discard_absent() {
    const LOCKTAG tag = presence_lock();
    if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL) return;
    // The transaction that held the lock may have committed meanwhile.
    AcceptInvalidationMessages();
    if (!pg::extension_present()) close_queue();
}

void watch_presence() {
    RegisterXactCallback(on_transaction, nullptr);
    RegisterSubXactCallback(on_subtransaction, nullptr);
}

}  // namespace mirox::worker

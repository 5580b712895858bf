// The library's entry point: sets up hooks, settings and shared memory when the server loads the library.
#include "api/function_scan.hpp"
#include "pg/catalog.hpp"
#include "pg/entry.hpp"
#include "pg/members.hpp"
#include "pg/settings.hpp"
#include "shmem/startup.hpp"
#include "store/actor.hpp"
#include "store/bound.hpp"
#include "store/identity.hpp"
#include "worker/presence.hpp"
#include "worker/worker.hpp"

extern "C" {
#include "utils/guc.h"

MIROX_MODULE_MAGIC;
PGDLLEXPORT void _PG_init(void);
}

using namespace mirox;

namespace {

bool preloaded = false;

}  // namespace

extern "C" void _PG_init(void) {
    // pg_upgrade only moves catalogs, so nothing of the extension runs there.
    if (IsBinaryUpgrade) return;
    preloaded = process_shared_preload_libraries_in_progress;
    pg::define_settings();
    MarkGUCPrefixReserved("mirox_tokens");
    pg::watch_catalog();
    pg::watch_members();
    store::watch_acts();
    store::watch_identity();
    store::watch_bound_accounts();
    store::watch_bound_tables();
    worker::watch_presence();
    api::watch_planner();
    if (preloaded) {
        shmem::request_shared_memory();
        worker::watch_commands();
        worker::register_launcher();
    }
}

MIROX_FUNCTION(require_preload) {
    if (!preloaded) pg::raise_not_preloaded();
    PG_RETURN_VOID();
}

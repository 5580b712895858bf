// SQL-callable function verify_audit(): whether the last act on each row is in the audit log.
//
// Locks: AccessShareLock on the tables that it reads.
#include "pg/prelude.hpp"
//
#include "api/audit.sql.hpp"
#include "pg/settings.hpp"
#include "store/actor.hpp"
#include "store/acts.hpp"

extern "C" {
#include "funcapi.h"
}

using namespace mirox;

MIROX_READ_ONLY_ACT(verify_audit) {
    InitMaterializedSRF(fcinfo, 0);
    store::as_act([&](store::Actor&) {
        pg::Args args;
        args.add(BoolGetDatum(pg::settings().keep_audit));
        pg::run(api::select_unaudited, args);
        pg::return_rows(fcinfo);
    });
    return (Datum)0;
}

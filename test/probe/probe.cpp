// Test only: functions that fail in every way that the error boundary (src/pg) must survive, and counters
// that show what was left behind. The tests create them in SQL from '$libdir/mirox_tokens_probe'. Takes no
// locks.
//
// It breaks the rules of the tree on purpose where a test needs that; each such place says so.
#include "pg/prelude.hpp"
//
extern "C" {
#include "access/xact.h"
#include "executor/spi.h"
#include "parser/analyze.h"
#include "postmaster/bgworker.h"
#include "utils/snapmgr.h"
}
//
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "pg/entry.hpp"
#include "pg/error.hpp"
#include "pg/pgcall.hpp"

extern "C" {
PG_MODULE_MAGIC;
}

using mirox::pg::Error;
using mirox::pg::guarded;
using mirox::pg::pg_call;
using mirox::pg::PgError;
using mirox::pg::sqlstate;
using mirox::pg::Stacks;

namespace {

// How many objects with a destructor are alive; a destructor that was jumped over shows here for good.
constinit int64 live_objects = 0;

// Owns heap memory, as the objects that must be destroyed do in earnest.
class Counted {
  public:
    Counted() : text_(1000, 'x') { ++live_objects; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --live_objects; }

  private:
    std::string text_;
};

char* text_argument(FunctionCallInfo fcinfo, int n) {
    return text_to_cstring(DatumGetTextPP(fcinfo->args[n].value));
}

bool same(const Stacks& a, const Stacks& b) {
    return a.exception == b.exception && a.context == b.context;
}

// Runs SQL text in the server; only trivially destructible locals, so that it may stand under pg_call().
int64 run_sql(const char* sql) {
    SPI_connect();
    const bool pushed = !ActiveSnapshotSet();
    if (pushed) {
        PushActiveSnapshot(GetTransactionSnapshot());
    }
    SPI_execute(sql, false, 0);
    const int64 rows = static_cast<int64>(SPI_processed);
    if (pushed) {
        PopActiveSnapshot();
    }
    SPI_finish();
    return rows;
}

[[noreturn]] void throw_kind(std::string_view kind) {
    const Counted alive;
    if (kind == "int") {
        throw 42;
    }
    if (kind == "text") {
        throw "a plain pointer";
    }
    if (kind == "runtime_error") {
        throw std::runtime_error("the disk is on fire");
    }
    if (kind == "percent") {
        throw std::runtime_error("%s%n is not a format");
    }
    if (kind == "bad_alloc") {
        throw std::bad_alloc();
    }
    if (kind == "real_bad_alloc") {
        std::string huge;
        huge.reserve(static_cast<std::size_t>(1) << 50);
    }
    if (kind == "length_error") {
        std::vector<int> v;
        v.reserve(v.max_size() + 1);
    }
    if (kind == "error") {
        throw Error(sqlstate("53400"), "too many requests", "The limit is 600 a minute.", "Wait 12 seconds.");
    }
    if (kind == "bare_error") {
        throw Error(sqlstate("22023"), "no detail and no hint");
    }
    if (kind == "long_error") {
        const std::string wide(5000, 'm');
        throw Error(sqlstate("22023"), wide, wide, wide);
    }
    if (kind == "bytes") {
        // Not valid in any encoding; sent as it is, the client would get no message at all.
        throw std::runtime_error("broken \xC3\x28\xFF\x01 bytes");
    }
    throw std::invalid_argument("no such kind");
}

void throw_runtime_error() {
    throw std::runtime_error("thrown in a callback");
}

}  // namespace

// probe_live() bigint: objects alive. 0 unless a destructor was jumped over.
MIROX_FUNCTION(probe_live) {
    return Int64GetDatum(live_objects);
}

// probe_rss() bigint: resident memory of this backend, in bytes.
MIROX_FUNCTION(probe_rss) {
    long pages = 0;
    long resident = 0;
    FILE* const f = std::fopen("/proc/self/statm", "r");
    if (f == nullptr || std::fscanf(f, "%ld %ld", &pages, &resident) != 2) {
        throw std::runtime_error("cannot read /proc/self/statm");
    }
    std::fclose(f);
    return Int64GetDatum(resident * sysconf(_SC_PAGESIZE));
}

// probe_noop() void: the cost of an entry, for measuring. The body may throw as far as the compiler can see.
pg_noinline static void throw_if_argument(FunctionCallInfo fcinfo) {
    if (PG_NARGS() != 0) {
        throw_runtime_error();
    }
}

MIROX_FUNCTION(probe_noop) {
    throw_if_argument(fcinfo);
    PG_RETURN_VOID();
}

// probe_bare() void: the same without guard(), to measure against; breaks the rule that every entry is
// guarded.
extern "C" {
PG_FUNCTION_INFO_V1(mirox_probe_bare);
Datum mirox_probe_bare(PG_FUNCTION_ARGS) {
    throw_if_argument(fcinfo);
    PG_RETURN_VOID();
}
}

// probe_throw(kind text) void: throws a C++ exception with objects alive.
MIROX_FUNCTION(probe_throw) {
    const char* const kind = text_argument(fcinfo, 0);
    throw_kind(kind);
}

// probe_raise() void: MIROX_RAISE with everything it can carry.
MIROX_FUNCTION(probe_raise) {
    MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("name is %s", "empty"),
                errdetail("It has %d characters.", 0), errhint("Give 1 to 100 characters."));
}

// probe_library_oom() void: a library could not allocate.
MIROX_FUNCTION(probe_library_oom) {
    mirox::pg::raise_out_of_memory("hashing a secret");
}

// probe_query(sql text) bigint: runs SQL under pg_call() with objects alive above it; gives the number of
// rows.
MIROX_FUNCTION(probe_query) {
    const char* const sql = text_argument(fcinfo, 0);
    const Counted alive;
    const std::string above(200, 'y');
    return Int64GetDatum(pg_call([sql] { return run_sql(sql); }));
}

// probe_query_caught(sql text) bigint: as probe_query, through three C++ frames that catch, look, and throw
// on, while handlers for std::exception stand in the way.
MIROX_FUNCTION(probe_query_caught) {
    const char* const sql = text_argument(fcinfo, 0);
    const Counted outer;
    try {
        const Counted middle;
        try {
            const Counted inner;
            return Int64GetDatum(pg_call([sql] { return run_sql(sql); }));
        } catch (const std::exception&) {
            return Int64GetDatum(-1);
        } catch (const PgError& e) {
            if (e.data() == nullptr || e.sqlstate() != e.data()->sqlerrcode) {
                return Int64GetDatum(-2);
            }
            throw;
        }
    } catch (const PgError& e) {
        const PgError copy = e;
        throw copy;
    }
}

// probe_stacks() text: what pg_call() leaves changed in the server's globals, on each way out. Catches
// without throwing on, which is harmless here: the failing calls hold nothing.
MIROX_FUNCTION(probe_stacks) {
    const Stacks before = Stacks::current();
    const MemoryContext context = CurrentMemoryContext;
    struct Pair {
        int a;
        double b;
    };

    pg_call([] {});
    if (!same(before, Stacks::current())) {
        throw std::runtime_error("after a call that returned nothing");
    }
    const Pair pair = pg_call([] { return Pair{7, 0.5}; });
    int by_reference = 0;
    pg_call([&by_reference] { by_reference = 9; });
    if (pair.a != 7 || pair.b != 0.5 || by_reference != 9 || !same(before, Stacks::current())) {
        throw std::runtime_error("after a call that returned a value");
    }

    bool caught = false;
    try {
        const Counted alive;
        pg_call([] {
            ErrorContextCallback frame{};
            frame.previous = error_context_stack;
            frame.callback = [](void*) { errcontext("a callback in a frame that is gone"); };
            error_context_stack = &frame;
            MemoryContextSwitchTo(TopMemoryContext);
            elog(ERROR, "server error");
        });
    } catch (const PgError& e) {
        caught = std::strcmp(e.data()->message, "server error") == 0 &&
                 std::strstr(e.data()->context, "frame that is gone") != nullptr &&
                 GetMemoryChunkContext(e.data()) == context;
    }
    if (!caught || !same(before, Stacks::current()) || CurrentMemoryContext != context || live_objects != 0) {
        throw std::runtime_error("after a server error");
    }

    caught = false;
    try {
        pg_call([] { throw Error(sqlstate("22023"), "thrown in the lambda"); });
    } catch (const Error&) {
        caught = true;
    }
    if (!caught || !same(before, Stacks::current())) {
        throw std::runtime_error("after a C++ exception in the lambda");
    }

    caught = false;
    try {
        pg_call([] { pg_call([] { pg_call([] { elog(ERROR, "deep"); }); }); });
    } catch (const PgError& e) {
        caught = std::strcmp(e.data()->message, "deep") == 0;
    }
    if (!caught || !same(before, Stacks::current())) {
        throw std::runtime_error("after a server error three calls deep");
    }

    caught = false;
    MemoryContextSwitchTo(ErrorContext);
    try {
        pg_call([] {});
    } catch (const Error& e) {
        caught = e.sqlstate == ERRCODE_INTERNAL_ERROR;
    }
    MemoryContextSwitchTo(context);
    if (!caught || !same(before, Stacks::current())) {
        throw std::runtime_error("after a call while an error is handled");
    }
    PG_RETURN_TEXT_P(cstring_to_text("as before"));
}

// probe_in_pg_try(kind text) text: a guarded failure inside PG_TRY of server-style code: it arrives in
// PG_CATCH.
static Datum throw_argument(FunctionCallInfo fcinfo) {
    throw_kind(text_argument(fcinfo, 0));
}

MIROX_FUNCTION(probe_in_pg_try) {
    const MemoryContext context = CurrentMemoryContext;
    PG_TRY();
    { mirox::pg::guard(throw_argument, fcinfo); }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        ErrorData* const e = CopyErrorData();
        FlushErrorState();
        ereport(ERROR, errcode(e->sqlerrcode), errmsg("caught by the server: %s", e->message));
    }
    PG_END_TRY();
    PG_RETURN_VOID();
}

// probe_across_pg_try(kind text) void: throws out of a PG_TRY and out of a frame whose error callback is on
// the stack, which breaks the rules on purpose: guard() must put both stacks back all the same.
MIROX_FUNCTION(probe_across_pg_try) {
    ErrorContextCallback frame{};
    frame.previous = error_context_stack;
    frame.callback = [](void*) { errcontext("a callback in a frame that is gone"); };
    error_context_stack = &frame;
    PG_TRY();
    { throw_argument(fcinfo); }
    PG_FINALLY();
    {}
    PG_END_TRY();
    PG_RETURN_VOID();
}

// probe_unguarded_jump() void: what the rules forbid: a server error over a live object. Its destructor does
// not run, which shows that probe_live() can see a leak at all.
MIROX_FUNCTION(probe_unguarded_jump) {
    const Counted alive;
    elog(ERROR, "jumped over a destructor");
}

// probe_forget_live() void: starts the count again after probe_unguarded_jump().
MIROX_FUNCTION(probe_forget_live) {
    live_objects = 0;
    PG_RETURN_VOID();
}

// probe_copy_fails() void: an error arrives when there is no memory left to copy it. The address space is
// limited from an error callback, when the error is built but not yet caught; destructors lift the limit.
namespace {
constinit rlimit saved_limit{};

struct LimitLifter {
    LimitLifter() { getrlimit(RLIMIT_AS, &saved_limit); }
    LimitLifter(const LimitLifter&) = delete;
    LimitLifter& operator=(const LimitLifter&) = delete;
    ~LimitLifter() { setrlimit(RLIMIT_AS, &saved_limit); }
};

void limit_address_space(void*) {
    long pages = 0;
    FILE* const f = std::fopen("/proc/self/statm", "r");
    if (f != nullptr) {
        if (std::fscanf(f, "%ld", &pages) == 1) {
            rlimit tight = saved_limit;
            tight.rlim_cur = static_cast<rlim_t>(pages * sysconf(_SC_PAGESIZE) + (4 << 20));
            setrlimit(RLIMIT_AS, &tight);
        }
        std::fclose(f);
    }
}
}  // namespace

MIROX_FUNCTION(probe_copy_fails) {
    char* const wide = static_cast<char*>(palloc(60 << 20));
    std::memset(wide, 'w', 60 << 20);
    wide[(60 << 20) - 1] = '\0';
    const Counted alive;
    const LimitLifter lifter;
    pg_call([wide] {
        ErrorContextCallback frame{};
        frame.previous = error_context_stack;
        frame.callback = limit_address_space;
        error_context_stack = &frame;
        ereport(ERROR, errcode(ERRCODE_DISK_FULL), errmsg_internal("%s", wide));
    });
    PG_RETURN_VOID();
}

// probe_hook(on boolean) void: sets a parse hook of the server that throws for each statement which holds the
// word probe_hook_marker; it chains the hook that was there.
namespace {
constinit post_parse_analyze_hook_type previous_hook = nullptr;

void throwing_hook(ParseState* state, Query* query, JumbleState* jumble) {
    if (previous_hook != nullptr) {
        previous_hook(state, query, jumble);
    }
    if (std::strstr(state->p_sourcetext, "probe_hook_marker") != nullptr) {
        const Counted alive;
        throw_runtime_error();
    }
}
}  // namespace

MIROX_FUNCTION(probe_hook) {
    const bool installed = post_parse_analyze_hook == guarded<throwing_hook>;
    if (DatumGetBool(fcinfo->args[0].value) && !installed) {
        previous_hook = post_parse_analyze_hook;
        post_parse_analyze_hook = guarded<throwing_hook>;
    } else if (!DatumGetBool(fcinfo->args[0].value) && installed) {
        post_parse_analyze_hook = previous_hook;
    }
    PG_RETURN_VOID();
}

// probe_at_commit() void: a transaction callback that throws before the commit, once.
namespace {
constinit bool throw_at_commit = false;
constinit bool commit_callback_set = false;

void commit_callback(XactEvent event, void*) {
    if (event == XACT_EVENT_PRE_COMMIT && throw_at_commit) {
        throw_at_commit = false;
        const Counted alive;
        throw_runtime_error();
    }
}
}  // namespace

MIROX_FUNCTION(probe_at_commit) {
    if (!commit_callback_set) {
        RegisterXactCallback(guarded<commit_callback>, nullptr);
        commit_callback_set = true;
    }
    throw_at_commit = true;
    PG_RETURN_VOID();
}

// The main of a background worker that throws: the worker ends, the server does not.
MIROX_WORKER(probe_worker) {
    BackgroundWorkerUnblockSignals();
    throw_kind(argument == 1 ? "runtime_error" : "int");
}

// probe_start_worker(n integer) void: starts that worker and waits until it has ended.
MIROX_FUNCTION(probe_start_worker) {
    BackgroundWorker worker{};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
    worker.bgw_start_time = BgWorkerStart_ConsistentState;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    strlcpy(worker.bgw_name, "mirox_tokens probe", sizeof worker.bgw_name);
    strlcpy(worker.bgw_type, "mirox_tokens probe", sizeof worker.bgw_type);
    strlcpy(worker.bgw_library_name, "mirox_tokens_probe", sizeof worker.bgw_library_name);
    strlcpy(worker.bgw_function_name, "mirox_probe_worker", sizeof worker.bgw_function_name);
    worker.bgw_main_arg = fcinfo->args[0].value;
    worker.bgw_notify_pid = MyProcPid;
    BackgroundWorkerHandle* handle = nullptr;
    if (!RegisterDynamicBackgroundWorker(&worker, &handle)) {
        MIROX_RAISE(ERRCODE_INSUFFICIENT_RESOURCES, errmsg("no free worker slot"),
                    errhint("Raise max_worker_processes."));
    }
    if (WaitForBackgroundWorkerShutdown(handle) != BGWH_STOPPED) {
        MIROX_RAISE(ERRCODE_INTERNAL_ERROR, errmsg("the worker did not stop"),
                    errhint("Read the server log."));
    }
    PG_RETURN_VOID();
}

"""Measures mirox_tokens beside the limits and the peers, in turns, and says what was reached.

    run.py SOCKET OUT [--size N] [--accounts N] [--rounds N] [--seconds N] [--quick] [--only GROUP,…] [--clients N,…]

Needs the staged server's programs in PATH and an empty server behind SOCKET. Everything that a client does goes through
pgbench; what a call costs inside the backend is the processor time of a loop over 100,000 calls (the server process's own
/proc/self/schedstat) without the bare loop's. Results: OUT/results.json.
"""
import argparse
import contextlib
import datetime
import json
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import data  # noqa: E402
import reports  # noqa: E402
import revisions  # noqa: E402
import store  # noqa: E402

BATCH = data.BATCH


def say(*words):
    print(*words, flush=True)


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


class Server:
    def __init__(self, socket):
        self.socket = socket

    def command(self, program, database, *more, user="postgres"):
        # The database by its place: pgbench's -d is --debug, which writes lines for each statement.
        return [program, "-h", self.socket, "-U", user, *more, database]

    def script(self, database, text, quiet=True, user="postgres"):
        """Runs psql on a text; its output, or the end of the run with psql's error."""
        done = subprocess.run(self.command("psql", database, "-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-", user=user), input=text,
                              text=True, capture_output=quiet)
        if done.returncode:
            sys.exit(f"psql failed on: {text[:300]}\n{done.stderr}")
        return done.stdout or ""

    def value(self, database, sql):
        return self.script(database, sql).strip()

    def rows(self, database, sql):
        return [line.split("|") for line in self.script(database, sql).splitlines()]

    def restart_with(self, buffers):
        """Restarts the server with other shared_buffers. Of huge pages there may be too few for them."""
        folder = self.value("postgres", "SHOW data_directory")
        self.script("postgres", f"ALTER SYSTEM SET shared_buffers = '{buffers}'; ALTER SYSTEM SET huge_pages = try;")
        log = pathlib.Path(folder).parent / "server.log"
        done = subprocess.run(["pg_ctl", "-s", "-w", "-D", folder, "-l", str(log), "restart"], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"no restart with shared_buffers {buffers}: {done.stderr}{done.stdout}")

    def has(self, database, signature):
        return self.value(database, f"SELECT to_regprocedure('{signature}') IS NOT NULL") == "t"


class Contender:
    """A statement (or script) that a client sends. :S stands for the value that it sends, :T for a token's id."""

    def __init__(self, key, label, sql, batch=None, hot=None, setup="", rows="random(1, {})", first=0, user="postgres", logged=0.2):
        self.user, self.logged = user, logged  # logged: the part of the calls whose time is kept
        self.key, self.label, self.sql, self.batch, self.hot, self.setup = key, label, sql, batch, hot, setup
        self.rows = rows  # which rows of the batch, of so many
        self.first = first  # 1 or 2: what is sent before any was fetched is of an odd or even row


CHECK = "SELECT (mirox.verify_token(:S)).status;"
ROW = "SELECT status, reason, token_id, user_id, permissions FROM mirox.verify_token(:S);"
FAST = [
    Contender("select1", "SELECT 1", "SELECT 1;"),
    Contender("pk", "pk: SELECT by a unique 32-byte key", "SELECT id FROM bench.pk WHERE k = :S;", "key_batch"),
    Contender("pk_row", "pk with five columns",
              "SELECT status, reason, id, user_id, permissions FROM bench.pk WHERE k = :S;", "key_batch"),
    Contender("verify", "verify_token, status", CHECK, "batch"),
    Contender("verify_hot", "verify_token, status, one hot token", CHECK, hot="batch"),
    Contender("verify_row", "verify_token, five columns", ROW, "batch"),
    Contender("malformed", "verify_token, a malformed secret", CHECK, hot="malformed"),
    Contender("argument", "SELECT length($1): the least with an argument", "SELECT length(:S::text);", hot="malformed"),
    Contender("a", "(a) look-up by sha256, nothing recorded",
              "SELECT user_id, scopes FROM bench.api_key WHERE key_hash = sha256(:S::text::bytea) AND revoked_at IS NULL "
              "AND expires_at > now();", "batch"),
]
PEERS = [
    Contender("verify", "verify_token, status", CHECK, "batch"),
    Contender("verify_hot", "verify_token, status, one hot token", CHECK, hot="batch"),
    Contender("b", "(b) look-up, UPDATE of last use and count", "SELECT * FROM bench.check_b(:S);", "batch"),
    Contender("b_hot", "(b) on one hot token", "SELECT * FROM bench.check_b(:S);", hot="batch"),
    Contender("c", "(c) as (b), and a row in a log", "SELECT * FROM bench.check_c(:S, '203.0.113.9', 'curl/8.4');", "batch"),
    Contender("d", "(d) as (b), a write a minute at most", "SELECT * FROM bench.check_d(:S);", "batch"),
    Contender("e", "(e) bcrypt by pgcrypto, cost 10", "SELECT * FROM bench.check_e(:S);", "slow_batch", logged=1),
    Contender("f", "(f) JWT by pgcrypto's hmac, no look-up", "SELECT * FROM bench.check_f(:S);", "jwt_batch"),
]
# The forms in which people ask for several columns; the scan node, in turns with the server's own scan.
SUBQUERY = "SELECT (v).status, (v).reason, (v).token_id, (v).user_id, (v).permissions FROM (SELECT mirox.verify_token(:S) AS v) s;"
FORMS = [c for c in FAST if c.key in ("pk", "verify", "verify_row")] + [
    Contender("verify_row_no_scan", "verify_token, five columns, without the scan node", ROW, "batch", user="bench_no_scan"),
    Contender("verify_sub", "verify_token, five columns, sub-query", SUBQUERY, "batch")]
NOTES = "SELECT count(*), max(id) FROM bench."
REQUESTS = [
    Contender("request", "authenticate, then ten rows of a protected table",
              f"BEGIN;\nSELECT mirox.authenticate(:S);\n{NOTES}note;\nCOMMIT;", "header_batch", user="bench_app"),
    Contender("request_by_hand", "(a), then ten rows by a WHERE, nothing recorded",
              "BEGIN;\nSELECT coalesce(max(user_id), '-') AS u FROM bench.api_key WHERE key_hash = sha256(:S::text::bytea) AND revoked_at IS NULL "
              f"AND expires_at > now() \\gset\n{NOTES}note_plain WHERE owner = :u;\nCOMMIT;", "batch", user="bench_app"),
]
SLOW = [c for c in PEERS if c.key in ("verify", "verify_hot", "b", "b_hot", "c")]
MANAGE = [
    Contender("insert", "bare INSERT and its audit row",
              "WITH i AS (INSERT INTO bench.bare (account_id, name, key_hash, expires_at) VALUES (:T, 'script', "
              "sha256(gen_random_uuid()::text::bytea), now() + interval '1 year') RETURNING id) INSERT INTO bench.bare_audit "
              "(event, row_id) SELECT 'issued', id FROM i;", "manage_batch"),
    Contender("issue", "issue_token", "SELECT secret FROM mirox.issue_token(:S, 'script', 'full_access');", "manage_batch"),
    Contender("update", "bare UPDATE and its audit row",
              "WITH u AS (UPDATE bench.bare SET revoked_at = now() WHERE id = :T RETURNING id) INSERT INTO bench.bare_audit "
              "(event, row_id) SELECT 'revoked', id FROM u;", "manage_batch"),
    Contender("rotate", "rotate_token", "SELECT secret FROM mirox.rotate_token(:S, :T);", "manage_batch",
              rows="2 * random(1, {} / 2) - 1", first=1),  # what is revoked can be rotated no more: each has half of the tokens
    Contender("revoke", "revoke_token", "SELECT mirox.revoke_token(:S, :T);", "manage_batch", rows="2 * random(1, {} / 2)", first=2),
]
# What an owner's profile page asks for: an owner of 64 tokens, and 100,000 acts in the log. And what a monitor asks for, where as
# many tokens expire soon and more notices are open than doctor() counts: milliseconds that it may take.
DOCTOR_MS = {"doctor": 1000, "doctor_monitor": 1000}
OWNER_MS, OWNER_FULL_MS = 5, 20
OWNER_PAGES = {"list_tokens": 2000, "list_sessions": 200, "my_account": 200, "account_log": 600}
STORE_BUFFERS = "2GB"
CPU = "split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::bigint"  # this backend's processor time, in nanoseconds
LARGE = 10_000_000
OWNER_TOKENS, OWNER_ACTS = 64, 100_000
OWNERS = [
    Contender("list_tokens", "list_tokens, 64 tokens", "SELECT count(uses) FROM mirox.list_tokens(:S);", hot="owner_hot", logged=1),
    Contender("list_sessions", "list_sessions, 20 sessions", "SELECT count(*) FROM mirox.list_sessions(:S);", hot="owner_hot", logged=1),
    Contender("my_account", "my_account", "SELECT places_free FROM mirox.my_account(:S);", hot="owner_hot", logged=1),
    Contender("account_log", "account_log, 100 of 100,000 acts", "SELECT count(*) FROM mirox.account_log(:S);", hot="owner_hot", logged=1),
    Contender("doctor", "doctor(), all names", "SELECT count(*) FROM mirox.doctor();", logged=1),
    Contender("doctor_monitor", "doctor(), level monitor", "SELECT count(*) FROM mirox.doctor();", user="bench_monitor", logged=1),
]
OWNER_SETUP = f"""
SELECT mirox.put_account('owner of many', '{{*}}', {data.LIMIT}, {data.BURST});
CREATE TABLE bench.owner_hot AS SELECT 1 AS n, mirox.open_session('owner of many') AS s0;
SELECT count(mirox.open_session('owner of many')) FROM generate_series(2, 20);
SELECT count(mirox.issue_token(s0, 'script ' || i, 'full_access')) FROM bench.owner_hot, generate_series(1, {OWNER_TOKENS}) i;
SELECT count(mirox.rotate_token(s0, token_id, '1 hour')) FROM bench.owner_hot, mirox.list_tokens(s0);
INSERT INTO mirox_internal.audit_log (node, audit_id, at, event, account_id, user_id, token_id, session_id, by_session_id, detail)
    SELECT 9, i, now() - i * interval '1 minute', 'token_changed', l.account_id, l.user_id, l.token_id, l.session_id, l.by_session_id, l.detail
    FROM generate_series(1, {OWNER_ACTS}) i,
         (SELECT * FROM mirox_internal.audit_log WHERE user_id = 'owner of many' AND event = 'token_rotated' LIMIT 1) l;
CREATE ROLE bench_monitor LOGIN;
SELECT mirox.grant_access('bench_monitor', 'monitor');
INSERT INTO mirox_internal.posted_notice (at, event) SELECT now() - interval '8 days', 'token_expiring' FROM generate_series(1, 100000);
SET session_replication_role = replica;
UPDATE mirox_internal.token_secret SET expires_at = now() + interval '5 days' WHERE token_id % 10 = 0 AND token_id <= 1000000;
RESET session_replication_role;
ANALYZE mirox_internal.audit_log, mirox_internal.token, mirox_internal.session, mirox_internal.token_secret, mirox_internal.posted_notice;
"""


class Bench:
    def __init__(self, server, options, programs=HERE, revision=None):
        self.server, self.options = server, options
        self.programs, self.revision = programs, revision or options.revision  # what loads its population
        self.big = "bench"
        self.small = "bench_small"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mirox-pgbench-"))
        self.runs = 0
        self.uncounted = {}  # (group, key) -> calls before the first round
        self.samples = {}  # (group, key, clients, protocol) -> [{tps, p50, p99, wal}, …]
        self.results = {"runs": [], "loops": [], "must": []}

    # ---- data --------------------------------------------------------------------------------------------------
    def load(self, database, tokens, peers):
        say(f"== loading {tokens:,} tokens over {self.options.accounts:,} accounts into {database}")
        subprocess.run(["createdb", "-h", self.server.socket, "-U", "postgres", database], check=True)
        self.server.script(database, "SET client_min_messages = warning; CREATE EXTENSION mirox_tokens; CREATE EXTENSION pgcrypto;\n"
                           + (self.programs / "before.sql").read_text())
        source = subprocess.Popen([sys.executable, str(self.programs / "data.py"), str(tokens), str(self.options.accounts)],
                                  stdout=subprocess.PIPE)
        done = subprocess.run(self.server.command("psql", database, "-Xq", "-v", "ON_ERROR_STOP=1", "-f", "-"),
                              stdin=source.stdout)
        source.stdout.close()  # who reads no more must be known to who writes
        if source.wait() or done.returncode:
            sys.exit("loading failed")
        for name in ("limits.sql", "peers.sql") if peers else ("limits.sql",):
            self.server.script(database, (HERE / name).read_text())
        if self.server.has(database, "mirox.put_endpoint(text,text,text)"):
            self.server.script(database, "SELECT mirox.put_endpoint('GET', '/api/v1/park/*', 'parks:read');"
                               "SELECT mirox.put_endpoint('GET', '/api/v1/reports/**', 'reports:read');"
                               "SELECT mirox.put_endpoint('POST', '/api/v1/timeseries/query', 'timeseries:query');")
        # A population that is not what it should be would make every figure worthless. Each token that a client sends is checked once,
        # as on a server that has been up for a while; nothing is recorded by it.
        self.warm(database)
        self.server.script(database, "CHECKPOINT;")

    # ---- pgbench -----------------------------------------------------------------------------------------------
    def values(self, database, table, quoted, n):
        """A batch of a table, for the variables' first values."""
        names = self.columns(table)
        row = self.server.rows(database, f"SELECT {', '.join(names)} FROM bench.{table} WHERE n = {n}")[0]
        return {name: f"'{v}'" if quoted and name.startswith("s") else v for name, v in zip(names, row)}

    @staticmethod
    def columns(table):
        if table == "owner_hot":
            return ["s0"]
        names = [f"s{i}" for i in range(BATCH)]
        return names + [f"t{i}" for i in range(BATCH)] if table == "manage_batch" else names

    def pgbench(self, contender, clients, protocol, seconds, database=None):
        """One run. A client fetches a batch of values, then sends each once in a transaction of its own; the fetches are
        taken out of the time."""
        return self.finish(self.start(contender, clients, protocol, seconds, database))

    def start(self, contender, clients, protocol, seconds, database=None):
        """Begins a run, for finish()."""
        quoted = protocol == "simple"
        files, variables = [], {}
        table = contender.batch or (contender.hot if contender.hot != "malformed" else None)
        if contender.hot == "malformed":
            variables["s0"] = "mirox_0123456789012345678901234567890123456789012wrong1"
            if quoted:
                variables["s0"] = f"'{variables['s0']}'"
        elif contender.batch:
            count = int(self.server.value(database or self.big, f"SELECT max(n) FROM bench.{table}"))

        def first_values():
            """Clients of one program begin with one row, each program with its own: sessions of it would fill their accounts."""
            if not table:
                return variables
            n = random.randrange(contender.first or 1, count, 2 if contender.first else 1) if contender.batch else 1
            return self.values(database or self.big, table, quoted, n)

        for i in range(BATCH if contender.batch else 1):
            path = self.folder / f"{contender.key}{i}.sql"
            path.write_text(contender.setup + contender.sql.replace(":S", f":s{i}").replace(":T", f":t{i}") + "\n")
            files.append(str(path))
        if contender.batch:
            wanted = ", ".join(f"quote_literal({n}) AS {n}" if quoted and n[0] == "s" else n for n in self.columns(table))
            fetch = self.folder / "fetch.sql"
            fetch.write_text(f"\\set n {contender.rows.format(count)}\nSELECT {wanted} FROM bench.{contender.batch} WHERE n = :n \\gset\n")
            files.append(str(fetch))
        for old in self.folder.glob("log*"):
            old.unlink()
        # Some clients for each processor, beside their servers.
        processors = sorted(os.sched_getaffinity(0))[-clients:]
        before, running = self.lsn(), []
        self.runs += 1  # in the names: servers of the run before may still be leaving
        for i, processor in enumerate(processors):
            command = ["chrt", "-b", "0", "taskset", "-c", str(processor), *self.server.command(
                "pgbench", database or self.big, "-n", "-M", protocol, "-c", str(clients // len(processors) + (i < clients % len(processors))),
                "-T", str(seconds), "-l", "--log-prefix", str(self.folder / f"log{processor}"), "--sampling-rate", str(contender.logged),
                *(f"-D{name}={value}" for name, value in first_values().items()), *(f"-f{path}" for path in files), user=contender.user)]
            running.append(subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                            env={**os.environ, "PGAPPNAME": f"bench {self.runs} on {processor}"}))
        self.bring_together(clients, running)
        return {"contender": contender, "clients": clients, "before": before, "running": running}

    def finish(self, run, early=False):
        """The outcome of a run that start() began, at once if early."""
        contender, clients, before, running = run["contender"], run["clients"], run["before"], run["running"]
        tps = calls = answered = 0
        for program in running if early else ():
            program.send_signal(signal.SIGALRM)  # as the end of its time: each client ends the transaction that it is in
        for program in running:
            out, err = program.communicate()
            if program.returncode or "aborted" in err:
                sys.exit(f"pgbench failed: {contender.label}\n{err[-2000:]}")
            if len(err) > 10_000:
                sys.exit(f"pgbench writes instead of measuring: {contender.label}\n{err[:500]}")
            rate = re.search(r"^tps = ([0-9.]+)", out, re.M)  # none where no call has ended in time
            tps += float(rate.group(1)) if rate else 0
            calls += int(re.search(r"number of transactions actually processed: (\d+)", out).group(1))
            each = [int(n) for n in re.findall(r"^ - (\d+) transactions", out, re.M)]  # of each script, the fetch last
            answered += sum(each[:BATCH]) if contender.batch else calls
        wal = self.lsn() - before
        latencies, fetched, fetch_time = [], 0, 0
        for path in self.folder.glob("log*"):
            for line in path.read_text().splitlines():
                fields = line.split()
                if contender.batch and fields[3] == str(BATCH):
                    fetched += 1
                    fetch_time += int(fields[2])
                else:
                    latencies.append(int(fields[2]))
        share = len(latencies) / max(1, len(latencies) + fetched)
        elapsed = calls / tps if tps else 1
        if fetched:  # sampled: scale to all
            elapsed -= calls * (1 - share) * (fetch_time / fetched) / 1e6 / clients
        calls = calls * share
        latencies.sort()

        def at(part):
            return latencies[min(len(latencies) - 1, int(len(latencies) * part))] if latencies else None

        return {"tps": calls / elapsed, "p50_us": at(0.50), "p99_us": at(0.99), "wal_bytes": wal / max(1, calls), "calls": calls,
                "answered": answered}

    def bring_together(self, clients, running):
        """Moves each server process to the processor of its client, to be scheduled as the client is (SCHED_BATCH).

        A client and its server take turns, and who waits lets its processor halt. On a virtual machine a halt and the wake-up by
        another processor cost tens of microseconds, several times a request, and where the scheduler happens to put the two
        decides how often: what is measured then is the hypervisor. On one processor, which is never idle, each pays for its
        work alone. And nobody takes the processor from another because he is woken: else a server process with little to do runs as
        soon as it is asked, the answer is there before the client looks for it, and of the clients that share a processor one is
        served thousands of times in a row, with warm caches, while the others wait for milliseconds."""
        sql = f"SELECT pid, application_name FROM pg_stat_activity WHERE application_name LIKE 'bench {self.runs} on %'"
        found, seen = [], None
        while found != seen or len(found) != clients:  # pgbench begins with a connection that it soon closes
            seen = found
            time.sleep(0.02)
            found = sorted(self.server.rows("postgres", sql))
            if any(program.poll() is not None for program in running):
                break
        for pid, name in found:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(pid), {int(name.rpartition(" ")[2])})
                os.sched_setscheduler(int(pid), os.SCHED_BATCH, os.sched_param(0))

    def lsn(self):
        return int(self.server.value("postgres", "SELECT pg_current_wal_insert_lsn() - '0/0'"))

    def group(self, name, contenders, clients_list, protocol, rounds, seconds, writes=False, settles=True):
        """Every contender once a round, in turns, so that what the machine does meanwhile meets all of them. Of those that write,
        one round more, twice as long, comes first and is not counted: the first write to a page after a checkpoint logs all of it, which the
        first to be measured would pay for the others."""
        say(f"\n== {name}, {protocol} protocol: {rounds} rounds of {seconds} s each, in turns")
        for contender in contenders if writes else ():
            progress(f"   before the first round: {contender.label}")
            self.uncounted[name, contender.key] = self.pgbench(contender, max(clients_list), protocol, 2 * seconds)["calls"]
            self.settle(contender)
        for clients in clients_list:
            for turn in range(rounds):
                for contender in contenders:
                    progress(f"   {clients} clients, round {turn + 1} of {rounds}: {contender.label}")
                    sample = self.pgbench(contender, clients, protocol, seconds)
                    if settles:
                        self.settle(contender)
                    self.samples.setdefault((name, contender.key, clients, protocol), []).append(sample)
            progress("")
            say(f"   {clients} client{'s' if clients > 1 else '':1}                                           "
                "tps (spread)                 p50 us  p99 us  WAL B")
            for contender in contenders:
                taken = self.samples[name, contender.key, clients, protocol]
                tps = [s["tps"] for s in taken]
                middle = {k: statistics.median(s[k] for s in taken if s[k] is not None) for k in ("p50_us", "p99_us", "wal_bytes")}
                say(f"     {contender.label:45} {statistics.median(tps):9,.0f} ({min(tps):,.0f}-{max(tps):,.0f})".ljust(78)
                    + f"{middle['p50_us']:8.0f}{middle['p99_us']:8.0f}{middle['wal_bytes']:8.1f}")
                self.results["runs"].append({
                    "group": name, "key": contender.key, "label": contender.label, "clients": clients, "protocol": protocol,
                    "tps": statistics.median(tps), "tps_rounds": tps, **middle})

    def settle(self, contender):
        """After checks: the worker writes what waits now, and moves on what minutes that have closed used, or it would do so, and log
        it, while another contender is measured; by itself it does nothing meanwhile (quiet_worker). What it takes a check is
        measured by itself (worker_share)."""
        if "mirox." in contender.sql and self.results.get("usage_recorded"):
            self.server.script(self.big, "SELECT mirox.flush();")
            # flush() has written all uses. The worker closes minutes after it.
            closing = ("SELECT EXISTS (SELECT FROM mirox_internal.usage_closing) OR EXISTS (SELECT FROM pg_stat_activity "
                       "WHERE backend_type = 'mirox_tokens worker' AND datname = current_database() AND state = 'active')")
            until, idle = time.time() + 600, 0
            while idle < 2:  # between two slices it is idle for a moment
                idle = 0 if self.server.value(self.big, closing) == "t" else idle + 1
                if time.time() > until:
                    raise RuntimeError("the worker has not closed minutes in 10 minutes")
                time.sleep(0.05)

    def quiet_worker(self, quiet):
        """True: the worker works when it is asked to, or when the ring fills, alone."""
        if self.results.get("usage_recorded"):
            what = "SET mirox_tokens.flush_interval = '10min'" if quiet else "RESET mirox_tokens.flush_interval"
            self.server.script("postgres", f"ALTER SYSTEM {what}; SELECT pg_reload_conf();")

    def ratio(self, a, b, clients, group="checks", protocol="prepared"):
        """Ratio of the medians, with the smallest and largest ratio of a round; None when either was not measured.
        group "x/y": a's and b's."""
        group_a, _, group_b = group.partition("/")
        x = self.samples.get((group_a, a, clients, protocol))
        y = self.samples.get((group_b or group_a, b, clients, protocol))
        if not x or not y:
            return None
        x, y = [s["tps"] for s in x], [s["tps"] for s in y]
        each = [p / q for p, q in zip(x, y)]
        return statistics.median(x) / statistics.median(y), min(each), max(each)

    # ---- inside the backend ------------------------------------------------------------------------------------
    def loops(self, database, wanted, rounds, tokens):
        """Nanoseconds of processor time a call, of a loop over the sample, without the bare loop's."""
        cpu = CPU
        recorded = self.results.get("usage_recorded")
        text = ["SET jit = off; SET max_parallel_workers_per_gather = 0; SET synchronous_commit = on;"]
        for _, sql, _ in wanted:
            text.append(f"{sql} \\g /dev/null")
            if recorded:
                text.append("\\o /dev/null\nSELECT mirox.flush();\n\\o")
        for turn in range(rounds):
            for key, sql, count in wanted:
                text.append(f"SELECT {cpu} AS before \\gset\n{sql} \\g /dev/null\nSELECT '{key}|' || {cpu} - :before;")
                if recorded and key not in ("bare", "bare_key", "pk", "digest", *PEER_LOOPS):
                    text.append("\\o /dev/null\nSELECT mirox.flush();\n\\o")
        times = {}
        for line in self.server.script(database, "\n".join(text)).splitlines():
            key, _, value = line.partition("|")
            if key in {k for k, _, _ in wanted} and value:
                times.setdefault(key, []).append(int(value))
        out = {}
        for key, _, count in wanted:
            bare = "bare_key" if key == "pk" else "bare"
            if key.startswith("bare"):
                continue
            each = [(t - b) / count for t, b in zip(times[key], [x * count / self.sample_size for x in times[bare]])]
            out[key] = (statistics.median(each), min(each), max(each))
            say(f"   {tokens:>10,} tokens  {key:12} {out[key][0]:9,.0f} ns a call ({out[key][1]:,.0f}-{out[key][2]:,.0f})")
            self.results["loops"].append({"tokens": tokens, "key": key, "ns": out[key][0], "ns_rounds": each})
        return out

    def wal_in_backend(self, database):
        """WAL that the calls of a loop write in the calling backend."""
        text = self.server.script(database, "EXPLAIN (ANALYZE, WAL, TIMING OFF, COSTS OFF) "
                                  "SELECT count((mirox.verify_token(secret)).status) FROM bench.sample;")
        found = re.search(r"WAL:.*bytes=(\d+)", text)
        return int(found.group(1)) / self.sample_size if found else 0.0

    def worker(self, database):
        """The process of a database's worker and its processor time in nanoseconds; None, 0 when none runs."""
        pid = self.server.value(database, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
                                "AND backend_type = 'mirox_tokens worker' LIMIT 1")
        try:
            return pid, int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0])
        except (OSError, IndexError):
            return None, 0

    def worker_share(self, seconds):
        """WAL of the checks and of the worker that writes them to the tables, at the default flush interval."""
        text = "SELECT mirox.flush();"
        self.server.script(self.small, "VACUUM;" + text)
        self.server.script(self.small, "CHECKPOINT;")
        contender = next(c for c in FAST if c.key == "verify")
        # In the middle of things: the first write to a page after a checkpoint logs all of it, and what a minute used is moved on
        # when it has closed; so a minute of each.
        self.pgbench(contender, 8, "prepared", 1 if self.options.quick else 62, self.small)
        self.server.script(self.small, text)
        uses = "SELECT COALESCE(sum(uses), 0)::bigint FROM mirox.token_report"
        counted, before, busy = int(self.server.value(self.small, uses)), self.lsn(), self.worker(self.small)[1]
        sample = self.pgbench(contender, 8, "prepared", seconds, self.small)
        self.server.script(self.small, text)
        wal, counted = self.lsn() - before, int(self.server.value(self.small, uses)) - counted
        result = {"seconds": seconds, "checks": counted, "wal_bytes": wal / max(1, counted), "tps": sample["tps"],
                  "worker_ns": (self.worker(self.small)[1] - busy) / max(1, counted)}
        say(f"\n== the worker's share: 8 clients, {self.options.small:,} tokens, {seconds} s: {counted:,} uses recorded, each "
            f"{result['wal_bytes']:.2f} bytes of WAL and {result['worker_ns']:,.0f} ns of the worker's processor time")
        self.results["worker"] = result
        return result["wal_bytes"]

    def protected(self, rows, rounds):
        """A query on a protected table beside the WHERE that somebody would write by hand; in turns, in one session."""
        say(f"\n== protected tables of {rows:,} rows")
        self.server.script(self.big, f"""
            CREATE ROLE bench_app LOGIN;
            SELECT mirox.grant_access('bench_app', 'gateway');
            GRANT USAGE ON SCHEMA bench TO bench_app;
            CREATE TABLE bench.document_plain (id bigint PRIMARY KEY, owner text NOT NULL, payload text NOT NULL);
            INSERT INTO bench.document_plain SELECT i, 'user' || 1 + i % 200, repeat('x', 60) FROM generate_series(1, {rows}) i;
            CREATE INDEX ON bench.document_plain (owner);
            CREATE TABLE bench.document (LIKE bench.document_plain INCLUDING ALL);
            INSERT INTO bench.document SELECT * FROM bench.document_plain ORDER BY id;
            CREATE TABLE bench.measure (LIKE bench.document_plain INCLUDING ALL);
            INSERT INTO bench.measure SELECT * FROM bench.document_plain ORDER BY id;
            SELECT mirox.protect_table('bench.document', 'dashboards', 'owner');
            SELECT mirox.protect_table('bench.measure', 'dashboards');
            GRANT SELECT ON bench.document, bench.document_plain, bench.measure TO bench_app;
            VACUUM (ANALYZE) bench.document; VACUUM (ANALYZE) bench.document_plain; VACUUM (ANALYZE) bench.measure;
            CREATE TABLE bench.note_plain (id bigint PRIMARY KEY, owner text NOT NULL, payload text NOT NULL);
            INSERT INTO bench.note_plain SELECT i, 'user' || 1 + i % {self.options.accounts}, repeat('x', 60)
                FROM generate_series(1, {10 * self.options.accounts}) i;
            CREATE INDEX ON bench.note_plain (owner);
            CREATE TABLE bench.note (LIKE bench.note_plain INCLUDING ALL);
            INSERT INTO bench.note SELECT * FROM bench.note_plain ORDER BY id;
            SELECT mirox.protect_table('bench.note', 'dashboards', 'owner');
            GRANT SELECT ON bench.note, bench.note_plain, bench.batch, bench.header_batch, bench.api_key TO bench_app;
            VACUUM (ANALYZE) bench.note; VACUUM (ANALYZE) bench.note_plain;""")
        each = max(1, self.options.size // self.options.accounts)
        token = next(n for n in range(16 * each + 1, 17 * each + 2) if n % 5 < 3)
        owner = f"user{(token - 1) // each + 1}"
        pairs = {
            "rows of one owner, by an index": (
                "SELECT count(*), sum(length(payload)) FROM bench.document",
                f"SELECT count(*), sum(length(payload)) FROM bench.document_plain WHERE owner = '{owner}'"),
            "the whole table, in parallel": (
                "SELECT count(*), sum(length(payload)) FROM bench.measure",
                "SELECT count(*), sum(length(payload)) FROM bench.document_plain WHERE id > 0"),
        }
        explain = "EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF, SUMMARY ON)"
        worst = None
        for name, (ours, by_hand) in pairs.items():
            text = "".join(f"BEGIN; SELECT mirox.authenticate('Bearer {data.token(token)}'); SET LOCAL ROLE bench_app;\n"
                           f"\\echo #ours\n{explain} {ours};\n\\echo #hand\n{explain} {by_hand};\n\\echo #end\nCOMMIT;\n"
                           for _ in range(rounds + 1))
            times, plans, which = {"ours": [], "hand": []}, {}, None
            for line in self.server.script(self.big, text).splitlines():
                if line.startswith("#"):
                    which = line[1:]
                    plans[which] = []
                elif which in times:
                    found = re.search(r"Execution Time: ([0-9.]+)", line)
                    if found:
                        times[which].append(float(found.group(1)))
                    node = re.search(r"^\s*(?:->\s+)?([A-Z][A-Za-z ]+?(?:Scan|Aggregate|Gather|Result))\b", line)
                    if node:
                        plans[which].append(node.group(1))
            ours_ms, hand_ms = times["ours"][1:], times["hand"][1:]
            each_round = [a / b for a, b in zip(ours_ms, hand_ms)]
            ratio = statistics.median(ours_ms) / statistics.median(hand_ms)
            same = [n for n in plans["ours"] if n != "Result"] == plans["hand"]
            say(f"   {name:34} {statistics.median(ours_ms):9.2f} ms, by hand {statistics.median(hand_ms):9.2f} ms: {ratio:.2f} "
                f"({min(each_round):.2f}-{max(each_round):.2f}); " + ("the same plan" if same else "ANOTHER plan"))
            self.results.setdefault("protected", []).append({"what": name, "ms": statistics.median(ours_ms), "same_plan": same,
                                                             "by_hand_ms": statistics.median(hand_ms), "ratio": ratio, "ratios": each_round})
            worst = max(worst or 0, ratio if same else 99)
        return worst

    def add_headers(self, database):
        """What clients of check_request send."""
        names = ", ".join(f"'Bearer ' || s{i} AS s{i}" for i in range(BATCH))
        self.server.script(database, f"CREATE UNLOGGED TABLE bench.header_batch AS SELECT n, {names} FROM bench.batch;"
                           "ALTER TABLE bench.header_batch ADD PRIMARY KEY (n); VACUUM ANALYZE bench.header_batch;")

    def warm(self, database):
        """Checks each token that a client may send once, unrecorded."""
        sent = f"bench.batch, unnest(ARRAY[{', '.join(self.columns('batch'))}]) AS secret"
        for what in ("bench.sample", sent):
            good, count = self.server.rows(database, "SELECT count(*) FILTER (WHERE (mirox.explain_check(secret)).status = 200), "
                                           f"count(*) FROM {what}")[0]
            if good != count:
                sys.exit(f"only {good} of {count} loaded secrets verify")

    def owners(self, options):
        """What an owner's profile page costs, also while the ring is full; judged by the pages that it reads too."""
        self.group("owners", OWNERS, [1], "prepared", options.rounds, options.seconds)
        secret = self.server.value(self.big, "SELECT s0 FROM bench.owner_hot")
        pages, busy = self.results["owner_pages"], self.results["owner_busy_ms"] = {}, {}
        say(" " * 62 + "pages   processor ms")
        for contender in OWNERS:
            query = contender.sql.rstrip(";").replace(":S", f"'{secret}'")
            pages[contender.key] = reports.explained(self.server, self.big, query, contender.user, 3)["pages"]
            times = 5 if contender.key in DOCTOR_MS else 50
            text = f"{query} \\g /dev/null\nSELECT {CPU} AS began \\gset\n" + f"{query} \\g /dev/null\n" * times + f"SELECT {CPU} - :began;"
            busy[contender.key] = int(self.server.value(self.big, text)) / 1e6 / times
            say(f"     {contender.label:45} {pages[contender.key]:16,} {busy[contender.key]:14.2f}")
        with store.full_ring(self, self.big) as used:
            say(f"   the ring is {used:.0%} full, and the worker stopped")
            self.group("owners_full", [c for c in OWNERS if c.hot], [1], "prepared", options.rounds, options.seconds, settles=False)

    def verify_loops(self):
        wanted = [
            ("bare", "SELECT count(length(secret)) FROM bench.sample", self.sample_size),
            ("verify", "SELECT count((mirox.verify_token(secret)).status) FROM bench.sample", self.sample_size),
            ("malformed", "SELECT count((mirox.verify_token('x' || secret)).status) FROM bench.sample", self.sample_size),
            ("digest", "SELECT count(sha256(secret::bytea)) FROM bench.sample", self.sample_size),
        ]
        if self.server.has(self.big, "mirox.check_request(text,text,text,inet,text)"):
            wanted.append(("check_request", "SELECT count((mirox.check_request('Bearer ' || secret, 'GET', '/api/v1/park/7')).status)"
                           " FROM bench.sample", self.sample_size))
        return wanted


def machine():
    def first(path, pattern):
        try:
            found = re.search(pattern, pathlib.Path(path).read_text(), re.M)
            return found.group(1).strip() if found else "?"
        except OSError:
            return "?"

    return {"processor": first("/proc/cpuinfo", r"^model name\s*:\s*(.*)$"), "cores": os.cpu_count(),
            "memory_gb": round(int(first("/proc/meminfo", r"^MemTotal:\s*(\d+)") or 0) / 1e6),
            "kernel": os.uname().release, "load_before": os.getloadavg()[0]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("out")
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--accounts", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3, help="of each group; of what is close to the limits, two more")
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--clients", default="1,4,16")
    parser.add_argument("--only", default=EVERYTHING)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--loaded", action="store_true", help="the data is there already")
    parser.add_argument("--before", help="the folder of an older build's server")
    parser.add_argument("--before-revision", default="?")
    parser.add_argument("--command", default="make bench")
    parser.add_argument("--revision", default="?")
    options = parser.parse_args()
    began = time.time()
    clients = [int(c) for c in options.clients.split(",")]
    only = set(options.only.split(",")) | ({"before"} if options.before else set())
    if options.quick:
        options.size, options.accounts, options.seconds = 20_000, 5_000, 1
        clients = [4]
        if options.only == EVERYTHING:
            only -= {"simple", "retention", "overload"}
        options.rounds = 1
    if options.size >= LARGE and options.only == EVERYTHING:
        only -= PEERED | {"simple"}  # what the peers cost at size is told by less, and their tables would take as long to load as all else
    server = Server(options.socket)
    bench = Bench(server, options)
    bench.sample_size = data.SAMPLE
    out = pathlib.Path(options.out)
    here = machine()
    if not options.loaded:
        bench.load(bench.small, options.small, False)
        bench.load(bench.big, options.size, bool(only & PEERED))
    recorded = server.has(bench.big, "mirox.flush()")
    version = server.value(bench.big, "SHOW server_version")
    settings = dict(server.rows(bench.big, "SELECT name, current_setting(name) FROM unnest(ARRAY['fsync', 'synchronous_commit', "
                                "'full_page_writes', 'shared_buffers', 'huge_pages', 'data_checksums', 'max_wal_size']) name"))
    bench.results.update(machine=here, server=version, settings=settings, command=options.command, revision=options.revision,
                         date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), size=options.size,
                         small=options.small, accounts=options.accounts, usage_recorded=recorded,
                         store_buffers=STORE_BUFFERS)
    say(f"\n{here['processor']}, {here['cores']} cores, {here['memory_gb']} GB; PostgreSQL {version}; "
        + ", ".join(f"{k} {v}" for k, v in settings.items()) + f"; uses {'are' if recorded else 'are NOT yet'} recorded")

    fast = list(FAST)
    if server.has(bench.big, "mirox.check_request(text,text,text,inet,text)"):
        fast.append(Contender("check_request", "check_request: header, method, path",
                              "SELECT (mirox.check_request(:S, 'GET', '/api/v1/park/7')).status;", "header_batch"))
        if not options.loaded:
            bench.add_headers(bench.big)
    bench.quiet_worker(True)
    short = max(1, options.seconds // 2)
    close_rounds = options.rounds + (0 if options.quick or options.size >= LARGE else 2)  # rounds of what is close to its limit
    if "checks" in only:
        bench.group("checks", fast, clients, "prepared", close_rounds, options.seconds)
    if "forms" in only:
        server.script(bench.big, "CREATE ROLE bench_no_scan SUPERUSER LOGIN; ALTER ROLE bench_no_scan SET mirox_tokens.enable_function_scan = off;")
        bench.group("forms", FORMS, clients, "prepared", close_rounds, options.seconds)
    if "simple" in only:
        bench.group("checks", [c for c in fast if c.key in ("select1", "pk", "verify", "verify_row")], clients, "simple",
                    options.rounds, 1)
    loops = {}
    wal = None
    if "loops" in only:
        say("\n== inside the backend: processor time of a loop over 100,000 calls, without the bare loop's")
        wanted = bench.verify_loops()
        for database, tokens in ((bench.small, options.small), (bench.big, options.size)):
            more = [("bare_key", "SELECT count(length(k)) FROM bench.key_sample", data.SAMPLE),
                    ("pk", "SELECT count((SELECT id FROM bench.pk p WHERE p.k = s.k)) FROM bench.key_sample s", data.SAMPLE)]
            if database == bench.big and only & PEERED:
                more += [(key, sql, count) for key, (count, sql) in PEER_LOOPS.items()]
            loops[tokens] = bench.loops(database, wanted + more, 1 if options.quick else options.rounds + 2, tokens)
        wal = bench.wal_in_backend(bench.big)
        say(f"   WAL written by the checking backend: {wal:.3f} bytes a check")
        bench.results["wal_in_backend"] = wal
    if "peers" in only:
        before = sizes(server, bench.big)
        bench.group("peers", PEERS, clients, "prepared", options.rounds, short, writes=True)
        after = sizes(server, bench.big)
        say("   what they left behind (all rounds):                    row versions   dead rows      growth")
        for table, (written, dead, size) in after.items():
            w0, d0, s0 = before[table]
            calls = sum(s["calls"] for (g, k, _, _), taken in bench.samples.items() if g == "peers"
                        and k.split("_")[0] == PEER_TABLES[table] for s in taken)
            calls += sum(n for (g, k), n in bench.uncounted.items() if g == "peers" and k.split("_")[0] == PEER_TABLES[table])
            row = {"table": table, "peer": PEER_TABLES[table], "calls": calls, "written": written - w0, "dead": dead - d0,
                   "growth": size - s0}
            bench.results.setdefault("left", []).append(row)
            say(f"     {table:40} {row['calls']:10,.0f} calls {row['written']:13,} {row['dead']:11,} {row['growth'] / 1e6:9.1f} MB")
        # A disk whose flush takes its time: the leader of each group of commits waits a millisecond before it.
        server.script("postgres", "ALTER SYSTEM SET commit_delay = 1000; ALTER SYSTEM SET commit_siblings = 0; SELECT pg_reload_conf();")
        bench.group("slow", SLOW, [max(clients)], "prepared", options.rounds, short)
        server.script("postgres", "ALTER SYSTEM RESET commit_delay; ALTER SYSTEM RESET commit_siblings; SELECT pg_reload_conf();")
    share = over = None
    if "protected" in only and server.has(bench.big, "mirox.protect_table(regclass,text,name,name,boolean)"):
        over = bench.protected(100_000 if options.quick else 1_000_000, 3 if options.quick else 25)
        bench.group("requests", REQUESTS, clients, "prepared", options.rounds, short)
    # What the store of uses must bear is asked of shared_buffers of 2 GB.
    at_store_size = recorded and bool(only & {"worker", "store", "reports", "retention", "overload", "owners", "before"})
    if at_store_size:
        server.restart_with(STORE_BUFFERS)
        bench.warm(bench.big)
        bench.quiet_worker(True)
    if "worker" in only and recorded:
        bench.quiet_worker(False)
        share = bench.worker_share(4 if options.quick else 60)
        bench.quiet_worker(True)
    if recorded:
        at_work(bench, only, options)
    if options.before:
        say(f"\n== checks beside those of {options.before_revision}, on a server of its own, in turns")
        folder = pathlib.Path(options.before)
        old = Bench(Server(str(folder / "socket")), options, folder / "tree/test/bench", options.before_revision)
        old.server.restart_with(STORE_BUFFERS)
        old.results["usage_recorded"] = recorded
        old.quiet_worker(True)
        revisions.measure(bench, old, [c for c in fast if c.key in ("select1", "verify", "verify_row", "check_request")], close_rounds, options.seconds, say)
        shutil.rmtree(old.folder)
    if "owners" in only and server.has(bench.big, "mirox.account_log(text,timestamptz,integer)"):
        if not options.loaded:
            server.script(bench.big, OWNER_SETUP)
        bench.owners(options)

    # Last, since what is rotated or revoked verifies no more.
    if "manage" in only:
        if at_store_size:
            server.restart_with(settings["shared_buffers"])
            bench.warm(bench.big)
        bench.group("manage", MANAGE, [c for c in clients if c != 4] or clients, "prepared", options.rounds, options.seconds, writes=True)

    verdicts(bench, clients, loops, wal, share, over, options)
    (out / "results.json").write_text(json.dumps(bench.results, indent=1) + "\n")
    shutil.rmtree(bench.folder)
    say(f"\nresults: {out / 'results.json'}; in all {(time.time() - began) / 60:.0f} minutes")


# What the peers cost inside the backend: fewer calls than ours, since they write, or take long; all in one transaction, so that no
# commit is in it.
_SOME = "(SELECT secret FROM bench.sample LIMIT 20000) s"
PEER_LOOPS = {
    "a": (data.SAMPLE, "SELECT count((SELECT user_id FROM bench.api_key WHERE key_hash = sha256(s.secret::bytea) AND revoked_at IS NULL "
          "AND expires_at > now())) FROM bench.sample s"),
    "b": (20_000, f"SELECT count(*) FROM {_SOME}, LATERAL bench.check_b(secret)"),
    "c": (20_000, f"SELECT count(*) FROM {_SOME}, LATERAL bench.check_c(secret, '203.0.113.9', 'curl/8.4')"),
    "d": (20_000, f"SELECT count(*) FROM {_SOME}, LATERAL bench.check_d(secret)"),
    "e": (16, "SELECT count(*) FROM (SELECT unnest(ARRAY[s0, s1, s2, s3, s4, s5, s6, s7]) AS secret FROM bench.slow_batch LIMIT 16) s, "
          "LATERAL bench.check_e(secret)"),
    "f": (1_000, "SELECT count(*) FROM (SELECT unnest(ARRAY[s0, s1, s2, s3]) AS secret FROM bench.jwt_batch LIMIT 1000) s, "
          "LATERAL bench.check_f(secret)"),
}
EVERYTHING = "checks,simple,peers,manage,loops,worker,store,reports,retention,overload,protected,owners"
PEERED = {"peers", "manage"}  # the groups that need what peers.sql makes
PEER_TABLES = {"mirox_internal.token_secret": "verify", "mirox_internal.token_usage": "verify", "bench.api_key_b": "b", "bench.api_key_c": "c",
               "bench.api_log": "c", "bench.api_key_d": "d"}


def sizes(server, database):
    server.script(database, "SELECT pg_stat_force_next_flush();")
    rows = server.rows(database, "SELECT schemaname || '.' || relname, n_tup_ins + n_tup_upd + n_tup_del, n_dead_tup, "
                       "pg_total_relation_size(relid) FROM pg_stat_user_tables WHERE schemaname || '.' || relname IN ("
                       + ", ".join(f"'{t}'" for t in PEER_TABLES) + ") ORDER BY 1")
    return {r[0]: tuple(int(v) for v in r[1:]) for r in rows}


def at_work(bench, only, options):
    """The groups of the store of uses. One that fails is one that is not measured; the others go on."""
    tokens = min(options.size, data.MOST_BATCHED)
    verify = next(c for c in FAST if c.key == "verify")
    few = Contender("verify", verify.label, CHECK, "batch", rows=f"random(1, {min(options.small, tokens) // BATCH})")
    long = options.size >= LARGE

    def day_switches():
        reports.prepare(bench, say)
        store.day_switches(bench, reports.DATABASE, few, reports.sizes_of(options)[reports.DATABASE][0],
                           10 if options.quick else store.REPORT_OPEN_S, say)

    def overload(count):
        store.overload(bench, verify, count, 5 if options.quick else 300 if long else 30, options.seconds, tokens, say)

    for group, what, run in (
            ("store", "the store by time", lambda: store.cost(bench, bench.big, tokens, 1, say)),
            ("reports", "reports", lambda: reports.measure(bench, say)),
            ("retention", f"a minute closes: {store.LOADED} clients at full speed on {options.small:,} tokens, flush_interval {store.FLUSH_MS} ms",
             lambda: store.minute_closes(bench, tokens, few, say)),
            ("retention", "another day and a drop: the same clients", day_switches),
            ("overload", f"overload, 1 client: {tokens:,} different tokens, twice what the worker drains", lambda: overload(1)),
            ("overload", "overload, 16 clients", lambda: overload(16))):
        if group in only:
            say(f"\n== {what}")
            bench.quiet_worker(False)
            began = time.time()
            try:
                run()
            except RuntimeError as failure:
                say(f"   FAILED: {failure}")
                bench.results.setdefault("failed", []).append(what)
            bench.server.script("postgres", "ALTER SYSTEM RESET full_page_writes; ALTER SYSTEM RESET mirox_tokens.minute_retention;")
            bench.quiet_worker(True)
            say(f"   in {time.time() - began:.0f} s")


def verdicts(bench, clients, loops, wal, share, over, options):
    """The figures that the project has set itself, and whether this run reached them."""
    rows = []  # what, figure with its spread, limit, at most?, reached?, unit

    def at_least(what, got, target):
        rows.append((what, got, target, False, got is not None and got[0] >= target, "x"))

    def at_most(what, got, target, unit):
        rows.append((what, None if got is None else (got, got, got), target, True, got is not None and got <= target, unit))

    for c in clients:
        at_least(f"verify_token, status, against pk; {c} client(s)", bench.ratio("verify", "pk", c), 1.0)
    for c in clients:
        at_least(f"verify_token, five columns, against pk; {c} client(s)", bench.ratio("verify_row", "pk", c), 0.90)
    for c in clients:
        at_least(f"verify_token against SELECT 1, random tokens; {c} client(s)", bench.ratio("verify", "select1", c), 0.60)
        at_least(f"verify_token against SELECT 1, one hot token; {c} client(s)", bench.ratio("verify_hot", "select1", c), 0.80)
        at_least(f"verify_token against (a), which records nothing; {c} client(s)", bench.ratio("verify", "a", c), 1.0)
        at_least(f"a malformed secret against SELECT 1; {c} client(s)", bench.ratio("malformed", "select1", c), 0.95)
        at_least(f"check_request against verify_token; {c} client(s)", bench.ratio("check_request", "verify", c), 0.80)
    for c in clients:
        at_least(f"against (b), random tokens; {c} client(s)", bench.ratio("verify", "b", c, "peers"), 6)
        at_least(f"against (c), random tokens; {c} client(s)", bench.ratio("verify", "c", c, "peers"), 6)
        at_least(f"against (e), bcrypt; {c} client(s)", bench.ratio("verify", "e", c, "peers"), 300)
    at_least(f"against (b), one hot token; {max(clients)} client(s)", bench.ratio("verify_hot", "b_hot", max(clients), "peers"), 20)
    big, small = loops.get(options.size), loops.get(options.small)
    at_most("in-backend cost of a verify, a use recorded, microseconds", big and big["verify"][0] / 1000, 4, "us")
    at_most(f"growth of that from {options.small:,} to {options.size:,} tokens", big and small and big["verify"][0] / small["verify"][0], 1.3, "x")
    at_most("WAL bytes a check in the request", wal, 0, "B")
    at_most("WAL bytes a check with the worker's share", share, 5, "B")
    at_most("time of a query on a protected table against by hand, the same plan", over, 1.15, "x")
    for c in [c for c in clients if c != 4] or clients:
        at_least(f"issue_token against a bare INSERT with its audit row; {c} client(s)", bench.ratio("issue", "insert", c, "manage"), 0.5)
        at_least(f"rotate_token against a bare UPDATE with its audit row; {c} client(s)", bench.ratio("rotate", "update", c, "manage"), 0.5)
        at_least(f"revoke_token against a bare UPDATE with its audit row; {c} client(s)", bench.ratio("revoke", "update", c, "manage"), 0.5)
    worker = bench.results.get("worker")
    at_most(f"the worker's processor time a use, minutes closed, {options.small:,} tokens: microseconds", worker and worker["worker_ns"] / 1000, 0.7, "us")
    for what, got, target, most, unit in store.verdicts(bench.results, options) + reports.verdicts(bench.results) + revisions.verdicts(bench.results):
        if most:
            at_most(what, got, target, unit)
        else:
            at_least(what, got if got is None or isinstance(got, tuple) else (got, got, got), target)
    for what in bench.results.get("failed", []):
        at_most(f"{what}: failed", 1, 0, "times")
    for name, beside, most in (("owners", "", OWNER_MS), ("owners_full", ", with a full ring", OWNER_FULL_MS)):
        for contender in OWNERS if name == "owners" else [c for c in OWNERS if c.hot]:
            taken = bench.samples.get((name, contender.key, 1, "prepared"))
            at_most(f"{contender.label}{beside}: milliseconds", taken and statistics.median(s["p50_us"] for s in taken) / 1000,
                    DOCTOR_MS.get(contender.key, most), "ms")
    for key, most in OWNER_PAGES.items():
        at_most(f"{key}: pages read", bench.results.get("owner_pages", {}).get(key), most, "pages")
    beside = [(f"{c.label} against pk; {n} client(s)", bench.ratio(c.key, "pk", n, "forms")) for c in FORMS[1:] for n in clients]
    beside += [(f"five columns of verify_token against five columns of pk; {c} client(s)", bench.ratio("verify_row", "pk_row", c)) for c in clients]
    beside += [(f"a malformed secret against the least with an argument; {c} client(s)", bench.ratio("malformed", "argument", c)) for c in clients]
    c = max(clients)
    beside += [(f"{what}; {c} client(s)", bench.ratio(a, b, c, group)) for what, a, b, group in (
        ("SELECT 1, which does nothing, against (b), random tokens", "select1", "b", "checks/peers"),
        ("SELECT 1, which does nothing, against (b), one hot token", "select1", "b_hot", "checks/peers"),
        ("SELECT 1, which does nothing, against (c), random tokens", "select1", "c", "checks/peers"),
        ("a flush of 1 ms more: against (b), random tokens", "verify", "b", "slow"),
        ("a flush of 1 ms more: against (b), one hot token", "verify_hot", "b_hot", "slow"),
        ("a flush of 1 ms more: against (c), random tokens", "verify", "c", "slow"))]
    beside += [(f"authenticate and a protected table against (a) and a WHERE; {c} client(s)", bench.ratio("request", "request_by_hand", c, "requests"))
               for c in clients]
    for key in PEER_LOOPS:
        if big and key in big:
            got = big[key][0] / big["verify"][0]
            beside.append((f"in the backend, times verify_token's: ({key}), no commit", (got, got, got)))
    say("\n== beside these")
    for what, got in beside:
        if got:
            say(f"   {what:68} {got[0]:8.2f}" + (f" ({got[1]:.2f}-{got[2]:.2f})" if got[1] != got[2] else ""))
    bench.results["beside"] = [[what, *got] for what, got in beside if got]
    say("\n== must reach")
    for what, got, target, most, good, unit in rows:
        if got is None and options.only != EVERYTHING:
            continue
        figure = "" if got is None else f"{got[0]:10,.2f}" + (f" ({got[1]:.2f}-{got[2]:.2f})" if got[1] != got[2] else "")
        say(f"   {'not measured' if got is None else 'reached' if good else 'NOT REACHED':13} {what:68} {'<=' if most else '>='} {target:<6,} {figure}")
        bench.results["must"].append({"what": what, "target": target, "at_most": most, "unit": unit,
                                      "got": None if got is None else got[0], "spread": None if got is None else got[1:], "reached": good})


if __name__ == "__main__":
    main()

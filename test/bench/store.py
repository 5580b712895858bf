"""What the store of uses bears at work: what a use costs the worker, checks while it keeps house, and checks when more comes than it can drain.

Part of run.py (groups `store`, `retention` and `overload`). No figure is the program's own word for it: clients count the checks that were
answered, and the time between drains is read from outside, fifty times a second.
"""
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

import data

LOADED = 4  # clients that check at full speed while the worker keeps house: on two processors they leave none idle
FLUSH_MS = 300
FULL = 7 / 8  # of the ring: no database may take the last eighth from the others, so there a check begins to wait
LONGEST_GAP_S = 2
TWICE = 2.0
KEPT_RATE = 0.9
REPORT_OPEN_S = 60


class Session:
    """A psql that stays connected; each statement answers one row."""

    def __init__(self, server, database):
        self.program = subprocess.Popen(server.command("psql", database, "-XAtq", "-v", "ON_ERROR_STOP=1"), text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def ask(self, sql):
        with contextlib.suppress(BrokenPipeError):
            self.program.stdin.write(sql + ";\n")
            self.program.stdin.flush()
        line = self.program.stdout.readline()
        if not line:
            raise RuntimeError(f"psql failed on: {sql[:200]}\n{self.program.stderr.read()}")
        return line.rstrip("\n").split("|")

    def close(self):
        self.program.stdin.close()
        self.program.wait()


class Side(threading.Thread):
    """A thread with a session of its own, beside what is measured. Its failure is the failure of who ends it."""

    def __init__(self, server, database):
        super().__init__(daemon=True)
        self.session, self.ended, self.failure = Session(server, database), threading.Event(), None

    def run(self):
        try:
            while not self.ended.is_set():
                self.step()
        except Exception as failure:  # noqa: BLE001
            self.failure = failure

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()
        self.session.close()
        if self.failure:
            raise self.failure


class Watch(Side):
    """The longest time between two drains, and the fullest state of the ring."""

    def __init__(self, server, database):
        super().__init__(server, database)
        self.last, self.gap, self.fullest, self.gap_at = None, 0.0, 0.0, None

    def step(self):
        drained, now, used = (float(v or 0) for v in self.session.ask(
            "SELECT extract(epoch FROM last_flush_at), extract(epoch FROM clock_timestamp()), ring_used FROM mirox.stat"))
        if self.last is not None:
            since = (drained if drained != self.last else now) - self.last
            if since > self.gap:
                self.gap, self.gap_at = since, now
        self.last, self.fullest = drained, max(self.fullest, used)
        time.sleep(0.02)


class Crowd(Side):
    """Checks of ever other tokens inside one server process, so many a second: a load that leaves the processors to the clients."""

    def __init__(self, server, database, tokens, rate, rounds=None):
        super().__init__(server, database)
        self.rows, self.rate, self.rounds = tokens // data.BATCH, rate, rounds
        self.row, self.turn, self.answered, self.credit, self.at = 1, 0, 0, 0.0, time.time()

    def step(self):
        now = time.time()
        self.credit, self.at = min(self.credit + self.rate * (now - self.at), self.rate), now
        count = min(int(self.credit / data.BATCH), 1250, self.rows + 1 - self.row)
        if count < 1 or self.rounds == 0:
            time.sleep(0.02)
            return
        self.answered += int(self.session.ask(checks_of(self.row, self.row + count, self.turn))[0])
        self.credit -= count * data.BATCH
        self.row += count
        if self.row > self.rows:
            self.row, self.turn = 1, self.turn + 1
            self.rounds = self.rounds and self.rounds - 1


def checks_of(first, end, turn=0):
    """One check of each token of these rows of bench.batch, each from an address of its own, another in each turn."""
    columns = ", ".join(f"s{i}" for i in range(data.BATCH))
    return (f"SELECT count((mirox.verify_token(secret, '10.0.0.0'::inet + (n * {data.BATCH} + i + {turn * 1_000_000}), 'curl/8.4', 'parks:read')).status) "
            f"FROM (SELECT * FROM bench.batch WHERE n >= {first} AND n < {end}) b, unnest(ARRAY[{columns}]) WITH ORDINALITY x (secret, i)")


def wait_for(what, done, most, every=0.5):
    began = time.time()
    while not done():
        if time.time() - began > most:
            raise RuntimeError(f"not after {most} s: {what}")
        time.sleep(every)


def wait_idle(bench, database, most=900):
    """Until the worker has nothing left to do."""
    state = {"was": None, "quiet": 0}

    def done():
        pid, spent = bench.worker(database)
        was, state["was"] = state["was"], (pid, spent)
        state["quiet"] = state["quiet"] + 1 if was and (pid is None or was[0] == pid and spent - was[1] < 5_000_000) else 0
        return state["quiet"] >= 3
    wait_for("the worker is idle", done, most)


def counts(server, database):
    """What was checked, written and dropped so far, by the counters and by the tables."""
    server.script(database, "SELECT mirox.flush();")
    keys = ("checks", "events_flushed", "events_dropped", "events_waiting", "events_torn", "recorded")
    row = server.rows(database, f"SELECT {', '.join(keys[:-1])}, (SELECT COALESCE(sum(requests), 0) FROM mirox.traffic_hourly) FROM mirox.stat")[0]
    return dict(zip(keys, map(int, row)))


def books(answered, before, after):
    """Whether each answered check is recorded once, or counted as dropped."""
    taken = {key: after[key] - before[key] for key in before}
    taken["answered"] = answered
    taken["exact"] = (answered == taken["checks"] == taken["recorded"] + taken["events_dropped"]
                      and taken["recorded"] == taken["events_flushed"] and after["events_waiting"] == 0)
    return taken


def told(taken):
    return (f"{taken['answered']:,} answered, {taken['recorded']:,} recorded, {taken['events_dropped']:,} dropped: "
            + ("exact" if taken["exact"] else f"NOT EXACT (checks {taken['checks']:,}, flushed {taken['events_flushed']:,}, "
               f"torn {taken['events_torn']:,})"))


def age_open(server, database, by):
    """Makes the uses of open minutes older, as if they had been recorded then."""
    server.script(database, f"""
        SET session_replication_role = replica;
        UPDATE mirox_internal.usage_open SET minute = minute - interval '{by}',
            first_at = ARRAY(SELECT x - interval '{by}' FROM unnest(first_at) WITH ORDINALITY u (x, n) ORDER BY n),
            last_at = ARRAY(SELECT x - interval '{by}' FROM unnest(last_at) WITH ORDINALITY u (x, n) ORDER BY n);""")


def end_worker(server, database):
    server.script(database, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() "
                  "AND backend_type = 'mirox_tokens worker'")


def row_bytes(server, database, store="usage_minute"):
    """Bytes of a row of minutes, its indexes included."""
    return float(server.value(database, f"""
        SELECT round(sum(pg_total_relation_size(inhrelid)) / GREATEST((SELECT count(*) FROM mirox_internal.{store}), 1), 1)
        FROM pg_inherits WHERE inhparent = 'mirox_internal.{store}'::regclass"""))


# ---- what a use costs --------------------------------------------------------------------------------------------------------------

def cost(bench, database, tokens, rounds, say):
    """The worker's processor time and WAL a use, from the ring to minutes, hours and days, when each use is of another token.

    What is open is made two days old, so that hours and days are added up at once. Full pages are counted apart."""
    server, each = bench.server, 100_000
    state = ("SELECT (SELECT count(*) FROM mirox_internal.usage_open) || ' ' || (SELECT count(*) FROM mirox_internal.unsummed_minute_use "
             "WHERE minute < now() - interval '1 day') || ' ' || (SELECT count(*) FROM mirox_internal.unsummed_hour_use "
             "WHERE hour < date_trunc('day', now(), 'UTC') - interval '1 day')")
    wait_idle(bench, database)
    server.script("postgres", "ALTER SYSTEM SET full_page_writes = off; SELECT pg_reload_conf();")
    uses = drained_uses = drained = closed = drain_wal = close_wal = 0
    for _ in range(rounds):
        server.script(database, "SELECT mirox.flush();")
        (pid, before), round_began = bench.worker(database), uses
        for first in range(0, tokens, each):
            at = bench.lsn()
            uses += int(server.value(database, checks_of(first // data.BATCH, (first + each) // data.BATCH)))
            server.script(database, "SELECT mirox.flush();")
            drain_wal += bench.lsn() - at
        after = bench.worker(database)
        # A worker that was started for its hourly visit leaves when it has nothing more to do.
        if pid is not None and after[0] == pid:
            drained += after[1] - before
            drained_uses += uses - round_began
        age_open(server, database, "2 days")
        server.script(database, "VACUUM mirox_internal.usage_open;")
        end_worker(server, database)
        at, took = bench.lsn(), {}
        server.script(database, "SELECT mirox.flush();")

        def done():
            pid, spent = bench.worker(database)
            if pid is not None:
                took[pid] = spent
            return server.value(database, state) == "0 0 0"
        wait_for("minutes are closed and added up", done, 900, 0.3)
        closed += sum(took.values())
        close_wal += bench.lsn() - at
    server.script("postgres", "ALTER SYSTEM RESET full_page_writes; SELECT pg_reload_conf();")
    result = {"tokens": tokens, "uses": uses, "drain_ns": drained / max(1, drained_uses), "close_ns": closed / uses,
              "drain_wal": drain_wal / uses, "close_wal": close_wal / uses, "minute_row_bytes": row_bytes(server, database)}
    say(f"   {tokens:,} different tokens, {uses:,} uses: {result['drain_ns'] / 1000:.2f} + {result['close_ns'] / 1000:.2f} us "
        f"of the worker and {result['drain_wal']:.0f} + {result['close_wal']:.0f} bytes of WAL a use (drained + closed, with hours and days); "
        f"{result['minute_row_bytes']:.0f} bytes a minute row, as written")
    bench.results.setdefault("store", []).append(result)


# ---- checks while the worker keeps house ---------------------------------------------------------------------------------------------

@contextlib.contextmanager
def at_full_speed(bench, database, contender, what, say, result):
    """Checks go on at full speed around the block. Afterwards the result has their rate, the books and what the watch saw."""
    server = bench.server
    wait_idle(bench, database)
    server.script("postgres", f"ALTER SYSTEM SET mirox_tokens.flush_interval = '{FLUSH_MS}ms'; SELECT pg_reload_conf();")
    before = counts(server, database)
    with Watch(server, database) as watch:
        load = bench.start(contender, LOADED, "prepared", 3600, database)
        result["others"] = 0
        try:
            time.sleep(2)
            watch.gap = 0.0  # before the first checks nothing was to be drained
            yield watch
        finally:
            gap, gap_at = watch.gap, watch.gap_at
            sample = bench.finish(load, early=True)
    taken = books(sample["answered"] + result.pop("others"), before, counts(server, database))
    result.update(what=what, tps=sample["tps"], gap_s=gap, gap_at=gap_at, ring_used=watch.fullest, clients=LOADED, **taken)
    say(f"   {what}: {sample['tps']:,.0f} checks a second; {gap:.2f} s the longest gap between drains; the ring {watch.fullest:.0%} full at most; "
        + told(taken))
    bench.results.setdefault("retention", []).append(result)


def minute_closes(bench, tokens, contender, say):
    """A minute of so many tokens, and its closing, while clients check at full speed."""
    server, database, result = bench.server, bench.big, {}
    with at_full_speed(bench, database, contender, f"a minute of {tokens:,} tokens closes", say, result):
        # All in one minute, no faster than the ring can take them beside the clients' checks.
        wait_for("the minute is young", lambda: time.time() % 60 < 12, 70, 0.2)
        with Crowd(server, database, tokens, tokens / 40, rounds=1) as crowd:
            wait_for("each token was checked", lambda: crowd.rounds == 0 or crowd.failure, 120, 0.2)
        result["others"] = crowd.answered
        closing = time.time()
        minute = server.value(database, "SELECT date_trunc('minute', now())")
        wait_for("the minute is closed", lambda: server.value(
            database, f"SELECT now() > '{minute}'::timestamptz + interval '1 minute' AND NOT EXISTS (SELECT FROM mirox_internal.usage_open "
                      f"WHERE minute <= '{minute}')") == "t", 900, 1)
        result["closed_s"] = time.time() - closing


def day_switches(bench, database, contender, rows, open_s, say):
    """A report's transaction stays open while the store gets the partition of another day and retention drops a day of so many rows."""
    server, result = bench.server, {}
    report = Session(server, database)
    days = "FROM pg_inherits WHERE inhparent = 'mirox_internal.usage_minute'::regclass"
    with at_full_speed(bench, database, contender, f"a report open over another day and the drop of {rows:,} rows", say, result) as watch:
        began = time.time()
        read = report.ask("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM mirox_internal.usage_minute")
        had = server.value(database, f"SELECT count(*) {days}")
        age_open(server, database, "2 days")
        wait_for("another day has its partition", lambda: server.value(database, f"SELECT count(*) {days}") > had, 200)
        server.script("postgres", "ALTER SYSTEM SET mirox_tokens.minute_retention = 0; SELECT pg_reload_conf();")
        wait_for("the drop waits for the report", lambda: server.value(database, "SELECT drop_waits_since IS NOT NULL FROM mirox.stat") == "t", 120)
        time.sleep(max(0, open_s - (time.time() - began)))
        if report.ask("SELECT count(*) FROM mirox_internal.usage_minute") != read:
            sys.exit("a report's rows changed while its transaction was open")
        result["open_s"], result["gap_open_s"] = time.time() - began, watch.gap
        report.program.stdin.write("COMMIT;\n")
        report.close()
        dropping = time.time()
        wait_for("the day is dropped", lambda: server.value(
            database, "SELECT count(*) FROM pg_class WHERE relname ~ '^(usage|refusal)_minute_.*_filled$' AND relkind = 'r'") == "0", 200)
        result["dropped_s"] = time.time() - dropping
    server.script("postgres", "ALTER SYSTEM RESET mirox_tokens.minute_retention; SELECT pg_reload_conf();")


# ---- more than can be drained -----------------------------------------------------------------------------------------------------------

def overload(bench, contender, clients, seconds, slice_s, tokens, say):
    """Clients' checks while twice as much comes as the worker drains, beside their rate when it rests and the ring has room."""
    server, database = bench.server, bench.big

    def without_load():
        bench.quiet_worker(True)
        server.script(database, "SELECT mirox.flush();")
        wait_idle(bench, database)
        return bench.pgbench(contender, clients, "prepared", slice_s)["tps"]

    quiet = [without_load() for _ in range(2)]
    bench.quiet_worker(False)
    before = counts(server, database)

    def seen(session):
        return dict(zip(("checks", "flushed", "dropped"), map(int, session.ask("SELECT checks, events_flushed, events_dropped FROM mirox.stat"))))

    look = Session(server, database)
    with Crowd(server, database, tokens, 2_000_000) as crowd:
        # Where the ring cannot be filled, the times below say so.
        with contextlib.suppress(RuntimeError):
            wait_for("the ring is full", lambda: seen(look)["dropped"] > before["events_dropped"] or crowd.failure, 60, 0.1)
        # What the worker drains now decides how many more must come.
        crowd.rate, at, first = 100_000, time.time(), seen(look)
        time.sleep(3)
        drains = (seen(look)["flushed"] - first["flushed"]) / (time.time() - at)
        load = bench.start(contender, clients, "prepared", seconds, database)
        began, past, crowd_at = seen(look), [(time.time(), seen(look), crowd.answered)], crowd.answered
        while any(program.poll() is None for program in load["running"]):
            time.sleep(0.5)
            past.append((time.time(), seen(look), crowd.answered))
            past = past[-20:]
            (t0, s0, c0), (t1, s1, c1) = past[0], past[-1]
            if len(past) > 6:
                drains = (s1["flushed"] - s0["flushed"]) / (t1 - t0)
            clients_rate = (s1["checks"] - s0["checks"] - (c1 - c0)) / (t1 - t0)
            crowd.rate = max(0.0, 2.2 * drains - clients_rate)
        ended = seen(look)
        crowd_share = (crowd.answered - crowd_at) / seconds
    look.close()
    sample = bench.finish(load)
    taken = books(sample["answered"] + crowd.answered, before, counts(server, database))
    quiet.append(without_load())
    result = {"clients": clients, "seconds": seconds, "quiet_tps": statistics.median(quiet), "quiet_rounds": quiet, "tps": sample["tps"],
              "kept": sample["tps"] / statistics.median(quiet),
              "times": (ended["checks"] - began["checks"]) / max(1, ended["flushed"] - began["flushed"]),
              "drained_per_s": (ended["flushed"] - began["flushed"]) / seconds, "crowd_per_s": crowd_share, **taken}
    say(f"   {clients} client{'s' if clients > 1 else ''}, {seconds} s, {result['times']:.1f} times what was drained ({result['drained_per_s']:,.0f} a "
        f"second; {crowd_share:,.0f} checks a second beside the clients): {sample['tps']:,.0f} checks a second, without load "
        f"{result['quiet_tps']:,.0f} ({min(quiet):,.0f}-{max(quiet):,.0f}): {result['kept']:.2f}; {told(taken)}")
    bench.results.setdefault("overload", []).append(result)


@contextlib.contextmanager
def full_ring(bench, database):
    """The worker is stopped and the ring is full around the block."""
    wait_idle(bench, database)
    pid, _ = bench.worker(database)
    if pid is None:
        bench.server.script(database, "SELECT mirox.flush();")
        wait_idle(bench, database)
        pid, _ = bench.worker(database)
    os.kill(int(pid), signal.SIGSTOP)
    try:
        look = "SELECT ring_used FROM mirox.stat"
        rows = int(bench.server.value(database, "SELECT max(n) FROM bench.batch"))
        for first in range(1, 10**9, 6250):
            if float(bench.server.value(database, look)) >= FULL - 0.01:
                break
            bench.server.script(database, checks_of(1 + first % rows, 1 + first % rows + 6250))
        yield float(bench.server.value(database, look))
    finally:
        os.kill(int(pid), signal.SIGCONT)
    bench.server.script(database, "SELECT mirox.flush();")


def verdicts(results, options):
    """What, figure, limit, at most?, unit."""
    tokens = min(options.size, data.MOST_BATCHED)
    cost_of = (results.get("store") or [None])[-1]
    rows = [(f"the worker's processor time a use, minutes closed and summed, {tokens:,} different tokens: microseconds",
             cost_of and (cost_of["drain_ns"] + cost_of["close_ns"]) / 1000, 25, True, "us"),
            (f"WAL bytes a use, the same, full pages apart, {tokens:,} different tokens", cost_of and cost_of["drain_wal"] + cost_of["close_wal"], 1000,
             True, "B"),
            (f"disk a minute row as the worker writes it, {tokens:,} different tokens: bytes", cost_of and cost_of["minute_row_bytes"], 280, True, "B")]
    for kept in results.get("retention") or [{"what": "the worker keeps house"}]:
        what, has = kept["what"], "gap_s" in kept
        rows += [(f"{what}: longest gap between drains, seconds", kept.get("gap_s"), LONGEST_GAP_S, True, "s"),
                 (f"{what}: uses dropped", kept.get("events_dropped"), 0, True, "uses"),
                 (f"{what}: checks that are neither recorded nor dropped", has and abs(kept["answered"] - kept["recorded"] - kept["events_dropped"])
                  if has else None, 0, True, "checks"),
                 (f"{what}: the ring's fullest part; a check waits from {FULL:.3g} on", kept.get("ring_used"), FULL - 0.005, True, "x")]
    for clients in 1, 16:
        loaded = next((x for x in results.get("overload") or [] if x["clients"] == clients), {})
        what = f"overload, {clients} client{'s' if clients > 1 else ''}"
        rows += [(f"{what}: what comes, times what is drained", loaded.get("times"), TWICE, False, "x"),
                 (f"{what}: checks against their rate without load", loaded.get("kept"), KEPT_RATE, False, "x"),
                 (f"{what}: checks that are neither recorded nor dropped",
                  abs(loaded["answered"] - loaded["recorded"] - loaded["events_dropped"]) if loaded else None, 0, True, "checks")]
    return rows

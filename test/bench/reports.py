"""What reports cost at size: pages of views by key, one day by other columns, sums, and the disk that a row of minutes takes.

Part of run.py (group `reports`), in a database of its own that fill_usage.sql fills: 5,000,000 rows of minutes of a day, of 1,000,000 tokens
and addresses; with 10,000,000 tokens 20,000,000 rows over 30 days. Each query runs a few times in one session; the median and the pages
that it touched count. The figures in TARGETS are those of the usage issue.
"""
import json
import pathlib
import statistics
import time

HERE = pathlib.Path(__file__).parent
DATABASE = "reports"
KEYS = ("user_id", "account_id", "token_id", "session_id", "ip")
TIMES = {"usage_minutely": "minute", "usage_hourly": "hour", "usage_daily": "day", "refusals": "first_at", "audit_trail": "at"}
ROUNDS = 5


def size_of(options):
    """Rows, days, tokens, accounts, addresses, acts."""
    if options.quick:
        return 100_000, 1, 20_000, 2_000, 20_000, 10_000
    if options.size >= 10_000_000:
        return 20_000_000, 30, options.size, options.size // 10, 1_000_000, 1_000_000
    return 5_000_000, 1, 1_000_000, 100_000, 1_000_000, 1_000_000


def questions(server):
    """Name, greatest time in ms at a day's rows, and the query."""
    key = dict(zip(KEYS, server.rows(DATABASE, """
        SELECT quote_literal(user_id), account_id, token_id,
               (SELECT session_id FROM mirox.usage_hourly WHERE session_id IS NOT NULL ORDER BY hour DESC LIMIT 1), quote_literal(host(ip))
        FROM mirox.refusals WHERE account_id > 1000000000 ORDER BY first_at DESC LIMIT 1""")[0]))
    since, until = server.rows(DATABASE, "SELECT d AT TIME ZONE 'UTC', (d + INTERVAL '1 day') AT TIME ZONE 'UTC' FROM (SELECT date_trunc('day', "
                               "now() AT TIME ZONE 'UTC') - INTERVAL '1 day') t (d)")[0]
    for view, at in TIMES.items():
        for end in "DESC", "ASC":
            yield f"{view}: 50 rows, {end}", 20, f"SELECT * FROM mirox.{view} ORDER BY {at} {end} LIMIT 50"
        for name in KEYS:
            yield f"{view}: newest 50 by {name}", 20, f"SELECT * FROM mirox.{view} WHERE {name} = {key[name]} ORDER BY {at} DESC LIMIT 50"
    for event in "used", "refused", "token_revoked":
        yield f"audit_trail: newest 50 by event {event}", 20, f"SELECT * FROM mirox.audit_trail WHERE event = '{event}' ORDER BY at DESC LIMIT 50"
    for reason in "expired", "malformed":
        yield f"refusals: newest 50 by reason {reason}", 20, f"SELECT * FROM mirox.refusals WHERE reason = '{reason}' ORDER BY first_at DESC LIMIT 50"
    within = f"first_at >= '{since}' AND first_at < '{until}'"
    for name, condition in (("status", "status = 403"), ("country", "country = 'DE'"), ("method", "method = 'GET'"), ("endpoint", "endpoint = 'GET /parks/7'"),
                            ("scope", "scope = 'filled:7'"), ("agent", "browser = 'Browser 7'")):
        yield f"one day by {name}", 300, f"SELECT count(*), sum(requests) FROM mirox.usage_minutely WHERE {within} AND {condition}"
    yield "sums of a day by hour and status", 20, (f"SELECT hour, status, sum(requests) FROM mirox.traffic_hourly "
                                                   f"WHERE hour >= '{since}' AND hour < '{until}' GROUP BY 1, 2")
    yield "top 20 users of a day", 100, f"SELECT user_id, uses FROM mirox.account_daily WHERE day = '{since[:10]}' ORDER BY uses DESC LIMIT 20"


def fill(server, size, say):
    server.script("postgres", f"CREATE DATABASE {DATABASE};")
    server.script(DATABASE, "CREATE EXTENSION mirox_tokens;")
    secret = server.value(DATABASE, """
        SELECT mirox.put_account('bench', '{parks}') IS NULL AS made \\gset
        SELECT secret FROM mirox.issue_token(mirox.open_session('bench'), 'pattern', 'full_access');""").splitlines()[-1]
    # One admitted and one refused use, made three days old, so that the worker makes a partition of each store.
    server.script(DATABASE, f"""
        SELECT mirox.verify_token('{secret}', '192.0.2.1', 'bench');
        SELECT mirox.verify_token('{secret}', '192.0.2.1', 'bench', 'nothing:allowed');
        SELECT mirox.flush();
        SET session_replication_role = replica;
        UPDATE mirox_internal.usage_open SET minute = minute - interval '72 hours',
            first_at = ARRAY(SELECT x - interval '72 hours' FROM unnest(first_at) WITH ORDINALITY u (x, n) ORDER BY n),
            last_at = ARRAY(SELECT x - interval '72 hours' FROM unnest(last_at) WITH ORDINALITY u (x, n) ORDER BY n);
        SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker' AND datname = current_database();
        SELECT pg_sleep(1);
        SELECT mirox.flush();""")
    began = time.time()
    while "0" in server.rows(DATABASE, "SELECT (SELECT count(*) FROM mirox_internal.refusal_day), (SELECT count(*) FROM mirox_internal.account_day)")[0]:
        if time.time() - began > 300:
            raise SystemExit("the worker made no partitions in five minutes")
        time.sleep(2)
        server.script(DATABASE, "SELECT mirox.flush();")
    names = ("rows", "days", "tokens", "accounts", "addresses", "acts")
    settings = "".join(f"\\set {name} {value}\n" for name, value in zip(names, size))
    began = time.time()
    server.script(DATABASE, settings + (HERE / "fill_usage.sql").read_text())
    say(f"   filled with {size[0]:,} rows of minutes over {size[1]} days, {size[2]:,} tokens, in {time.time() - began:.0f} s")


def measure(bench, options, say):
    server, size = bench.server, size_of(options)
    say("\n== reports, in a database of their own")
    if not options.loaded:
        fill(server, size, say)
    results = []
    slower = 1.5 if size[1] > 1 else 1
    say("                                                         ms   planned       pages   at most")
    for name, most, query in questions(server):
        explain = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {query};\n"
        text = "SET max_parallel_workers_per_gather = 2; SET jit = off;\n" + explain * ROUNDS
        plans, decoder, answer, at = [], json.JSONDecoder(), server.script(DATABASE, text), 0
        while at < len(answer.rstrip()):
            plan, at = decoder.raw_decode(answer, at)
            plans.append(plan[0])
            at += len(answer[at:]) - len(answer[at:].lstrip())
        took = statistics.median(p["Execution Time"] for p in plans)
        planned = statistics.median(p["Planning Time"] for p in plans)
        pages = plans[-1]["Plan"]["Shared Hit Blocks"] + plans[-1]["Plan"]["Shared Read Blocks"]
        row = {"query": name, "ms": took, "planning_ms": planned, "pages": pages, "most_ms": most * slower, "reached": took <= most * slower}
        results.append(row)
        say(f"   {name:48} {took:8.1f} {planned:8.1f} {pages:12,} {most * slower:7.0f}{'' if row['reached'] else '  NOT REACHED'}")
    disk = server.rows(DATABASE, """
        SELECT round(sum(pg_total_relation_size(i.inhrelid)) / (SELECT count(*) FROM mirox_internal.usage_minute)) FROM pg_inherits i
        WHERE i.inhparent = 'mirox_internal.usage_minute'::regclass""")[0][0]
    say(f"   disk of a minute row as written, indexes included: {disk} bytes (at most 280)")
    bench.results["reports"] = {"rows": size[0], "days": size[1], "tokens": size[2], "accounts": size[3], "addresses": size[4], "queries": results,
                                "minute_row_bytes": int(disk)}

"""What reports cost at size: pages of views by key, one day by other columns, sums, and the disk that a row of minutes takes.

Part of run.py (group `reports`), in a database of its own with real tokens beside what fill_usage.sql fills in: 5,000,000 rows of minutes of a
day, of 1,000,000 tokens and addresses; with 10,000,000 tokens another database has 20,000,000 rows over 30 days besides. Each query runs a few
times in one session. Its median time and the pages that it touched are judged, by the limits of its kind: the usage issue's for time.
"""
import json
import pathlib
import statistics
import time

import store

HERE = pathlib.Path(__file__).parent
DATABASE, LONG = "reports", "reports_long"
KEYS = ("user_id", "account_id", "token_id", "session_id", "ip")
TIMES = {"usage_minutely": "minute", "usage_hourly": "hour", "usage_daily": "day", "refusals": "first_at", "audit_trail": "at"}
ROUNDS = 5
# Of each kind of question: its words, and the most milliseconds.
KINDS = {"page": ("a page of 50 of any view, from either end, by user, account, token, session, address, event or reason", 20),
         "column": ("one day by status, country, method, endpoint, scope or agent", 300),
         "sums": ("one day's sums by hour and status", 20), "top": ("top 20 users of a day", 100)}
LONGER = 1.5  # times a day's figure at 30 days
AS_WRITTEN, REINDEXED = 280, 230  # bytes a minute row


def sizes_of(options):
    """By database: rows, days, tokens, accounts, addresses, acts."""
    if options.quick or options.size < 100_000:
        return {DATABASE: (100_000, 1, 20_000, 2_000, 20_000, 10_000)}
    sizes = {DATABASE: (5_000_000, 1, 1_000_000, 100_000, 1_000_000, 1_000_000)}
    if options.size >= 10_000_000:
        sizes[LONG] = (20_000_000, 30, options.size, options.size // 10, 1_000_000, 1_000_000)
    return sizes


def questions(server, database):
    """Name, kind, most pages, and the query."""
    key = dict(zip(KEYS, server.rows(database, """
        SELECT quote_literal(user_id), account_id, token_id,
               (SELECT session_id FROM mirox.usage_hourly WHERE session_id IS NOT NULL ORDER BY hour DESC LIMIT 1), quote_literal(host(ip))
        FROM mirox.refusals WHERE account_id > 1000000000 ORDER BY first_at DESC LIMIT 1""")[0]))
    since, until = server.rows(database, "SELECT d AT TIME ZONE 'UTC', (d + INTERVAL '1 day') AT TIME ZONE 'UTC' FROM (SELECT date_trunc('day', "
                               "now() AT TIME ZONE 'UTC') - INTERVAL '1 day') t (d)")[0]
    # A page: down an index of each partition, and 50 rows with their names; by the joined user_id, all of the user's rows. A day: its tables and the
    # names, once. Its users: the day's rows, and the names of twenty.
    of_day, of_accounts = map(int, server.rows(database, f"""
        SELECT sum(relpages) FILTER (WHERE relname ~ '^(usage|refusal)_minute_{since[:10].replace("-", "")}' OR relname ~ '^(used_|agent|account_name)'),
               (SELECT count(*) / 100 FROM mirox_internal.account_day WHERE day = '{since[:10]}')
        FROM pg_class WHERE relkind = 'r' AND relnamespace = 'mirox_internal'::regnamespace""")[0])
    for view, at in TIMES.items():
        for end in "DESC", "ASC":
            yield f"{view}: 50 rows, {end}", "page", 1000, f"SELECT * FROM mirox.{view} ORDER BY {at} {end} LIMIT 50"
        for name in KEYS:
            yield (f"{view}: newest 50 by {name}", "page", 2000 if name == "user_id" else 1000,
                   f"SELECT * FROM mirox.{view} WHERE {name} = {key[name]} ORDER BY {at} DESC LIMIT 50")
    for event in "used", "refused", "token_revoked":
        yield f"audit_trail: newest 50 by event {event}", "page", 1000, f"SELECT * FROM mirox.audit_trail WHERE event = '{event}' ORDER BY at DESC LIMIT 50"
    for reason in "expired", "malformed":
        yield f"refusals: newest 50 by reason {reason}", "page", 1000, f"SELECT * FROM mirox.refusals WHERE reason = '{reason}' ORDER BY first_at DESC LIMIT 50"
    within = f"first_at >= '{since}' AND first_at < '{until}'"
    for name, condition in (("status", "status = 403"), ("country", "country = 'DE'"), ("method", "method = 'GET'"), ("endpoint", "endpoint = 'GET /parks/7'"),
                            ("scope", "scope = 'filled:7'"), ("agent", "browser = 'Browser 7'")):
        yield f"one day by {name}", "column", of_day + 200, f"SELECT count(*), sum(requests) FROM mirox.usage_minutely WHERE {within} AND {condition}"
    yield "sums of a day by hour and status", "sums", 300, (f"SELECT hour, status, sum(requests) FROM mirox.traffic_hourly "
                                                            f"WHERE hour >= '{since}' AND hour < '{until}' GROUP BY 1, 2")
    yield "top 20 users of a day", "top", of_accounts + 1500, (f"SELECT user_id, uses FROM mirox.account_daily WHERE day = '{since[:10]}' "
                                                               "ORDER BY uses DESC LIMIT 20")


def fill(bench, database, size, say):
    server = bench.server
    bench.load(database, bench.options.small, False)
    secret = server.value(database, """
        SELECT mirox.put_account('bench', '{parks}') IS NULL AS made \\gset
        SELECT secret FROM mirox.issue_token(mirox.open_session('bench'), 'pattern', 'full_access');""").splitlines()[-1]
    # One admitted and one refused use, made three days old, so that the worker makes a partition of each store.
    server.script(database, f"""
        SELECT mirox.verify_token('{secret}', '192.0.2.1', 'bench');
        SELECT mirox.verify_token('{secret}', '192.0.2.1', 'bench', 'nothing:allowed');
        SELECT mirox.flush();""")
    store.age_open(server, database, "72 hours")
    store.end_worker(server, database)

    def made():
        server.script(database, "SELECT mirox.flush();")
        return "0" not in server.rows(database, "SELECT (SELECT count(*) FROM mirox_internal.refusal_day), (SELECT count(*) FROM mirox_internal.account_day)")[0]
    store.wait_for("the worker made partitions", made, 300, 2)
    names = ("rows", "days", "tokens", "accounts", "addresses", "acts")
    settings = "".join(f"\\set {name} {value}\n" for name, value in zip(names, size))
    began = time.time()
    server.script(database, settings + (HERE / "fill_usage.sql").read_text())
    say(f"   filled with {size[0]:,} rows of minutes over {size[1]} days, {size[2]:,} tokens, in {time.time() - began:.0f} s")


def prepare(bench, say):
    """Fills what is not there yet."""
    for database, size in sizes_of(bench.options).items():
        if bench.server.value("postgres", f"SELECT count(*) FROM pg_database WHERE datname = '{database}'") == "0":
            fill(bench, database, size, say)


def explained(server, database, query, user="postgres", rounds=ROUNDS):
    """Median milliseconds of a query and of its planning, and the pages that its last run touched."""
    explain = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {query};\n"
    text = "SET max_parallel_workers_per_gather = 2; SET jit = off;\n" + explain * rounds
    plans, decoder, answer, at = [], json.JSONDecoder(), server.script(database, text, user=user), 0
    while at < len(answer.rstrip()):
        plan, at = decoder.raw_decode(answer, at)
        plans.append(plan[0])
        at += len(answer[at:]) - len(answer[at:].lstrip())
    return {"ms": statistics.median(p["Execution Time"] for p in plans), "planning_ms": statistics.median(p["Planning Time"] for p in plans),
            "pages": plans[-1]["Plan"]["Shared Hit Blocks"] + plans[-1]["Plan"]["Shared Read Blocks"]}


def measure(bench, say):
    server = bench.server
    prepare(bench, say)
    for database, size in sizes_of(bench.options).items():
        say(f"   {size[0]:,} rows of minutes, {size[1]} day(s)                            ms   planned       pages   at most: ms      pages")
        asked = []
        for name, kind, most_pages, query in questions(server, database):
            row = {"query": name, "kind": kind, "most_ms": KINDS[kind][1], "most_pages": most_pages, **explained(server, database, query)}
            row["reached"] = row["ms"] <= row["most_ms"] and row["pages"] <= most_pages
            asked.append(row)
            say(f"   {name:48} {row['ms']:8.1f} {row['planning_ms']:9.1f} {row['pages']:11,} {row['most_ms']:13} {most_pages:10,}"
                + ("" if row["reached"] else "  NOT REACHED"))
        result = {"rows": size[0], "days": size[1], "tokens": size[2], "accounts": size[3], "addresses": size[4], "queries": asked}
        if database == DATABASE:
            result["minute_row_bytes"] = store.row_bytes(server, database)
            began = time.time()
            for partition in server.script(database, "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = "
                                           "'mirox_internal.usage_minute'::regclass").split():
                server.script(database, f"REINDEX TABLE {partition};")
            result["reindexed_bytes"] = store.row_bytes(server, database)
            say(f"   disk of a minute row, indexes included: {result['minute_row_bytes']:.0f} bytes as written (at most {AS_WRITTEN}), "
                f"{result['reindexed_bytes']:.0f} after a REINDEX of {time.time() - began:.0f} s (at most {REINDEXED})")
        bench.results.setdefault("reports", []).append(result)


def worst(run, kind, what="ms"):
    return max(row[what] for row in run["queries"] if row["kind"] == kind)


def verdicts(results):
    """What, figure, limit, at most?, unit."""
    rows = []
    runs = results.get("reports") or [None]
    day, long = runs[0], runs[1] if len(runs) > 1 else None
    for kind, (words, most) in KINDS.items():
        rows.append((f"{words}: milliseconds, the slowest", day and worst(day, kind), most, True, "ms"))
        share = day and max(row["pages"] / row["most_pages"] for row in day["queries"] if row["kind"] == kind)
        rows.append((f"{words}: pages read, as part of the most allowed", share, 1, True, "x"))
    for kind, (words, _) in KINDS.items():
        rows.append((f"{words}: the slowest over 30 days (with SIZE=large), times a day's", long and worst(long, kind) / worst(day, kind), LONGER, True, "x"))
    rows.append(("disk a minute row, indexes included, as written: bytes", day and day["minute_row_bytes"], AS_WRITTEN, True, "B"))
    rows.append(("disk a minute row after a REINDEX of its day: bytes", day and day["reindexed_bytes"], REINDEXED, True, "B"))
    return rows

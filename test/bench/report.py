"""Makes what docs/performance.md shows of bench/results.json: the figures (docs/performance/*.svg) and the tables between its
marks. Nothing in it is written by hand.

    report.py RESULTS.json DOCS
"""
import html
import json
import math
import pathlib
import sys

INK, QUIET, LINE, OURS, THEIRS, LIMIT = "#1f2933", "#616e7c", "#e4e7eb", "#0b7285", "#adb5bd", "#d9a441"
WIDTH, LABEL, ROW = 860, 330, 30


def figure(title, note, rows, unit, log=False):
    """Bars, a row each: (label, value, low, high, colour). On a logarithmic axis when values span orders of magnitude."""
    top, bottom = 56, 62
    height = top + ROW * len(rows) + bottom
    most = max(max(r[1], r[3] or 0) for r in rows) or 1
    least = min(r[1] for r in rows if r[1] > 0) if any(r[1] > 0 for r in rows) else 1
    room = WIDTH - LABEL - 130
    floor = 10 ** math.floor(math.log10(least) - 0.01) if log else 0

    def place(value):
        if log:
            return 0 if value <= floor else math.log10(value / floor) / math.log10(most * 1.05 / floor) * room
        return value / (most * 1.05) * room

    def text(x, y, what, size=13, colour=INK, anchor="start", weight="normal"):
        return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" font-weight="{weight}">'
                f"{html.escape(what)}</text>")

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
           f'font-family="system-ui, sans-serif" role="img" aria-label="{html.escape(title)}">',
           f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>', text(16, 28, title, 16, weight="bold"),
           text(16, 46, unit + (", logarithmic" if log else ""), 12, QUIET)]
    if log:
        ticks = [10 ** e for e in range(int(math.log10(floor)), int(math.log10(most)) + 2) if 10 ** e <= most * 1.05]
    else:
        step = 10 ** math.floor(math.log10(most))
        step = step / 2 if most / step < 3 else step
        ticks = [step * i for i in range(int(most * 1.05 / step) + 1)]
    for tick in ticks:
        x = LABEL + place(tick)
        out.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{height - bottom}" stroke="{LINE}"/>')
        out.append(text(x, height - bottom + 16, f"{tick:,.0f}" if tick >= 1 or tick == 0 else f"{tick:g}", 11, QUIET, "middle"))
    for i, (label, value, low, high, colour) in enumerate(rows):
        y = top + i * ROW
        out.append(text(LABEL - 10, y + 19, label, 13, anchor="end"))
        out.append(f'<rect x="{LABEL}" y="{y + 5}" width="{max(place(value), 1):.1f}" height="{ROW - 11}" fill="{colour}"/>')
        end = place(value)
        if low is not None and high is not None and high > low:
            end = max(end, place(high))
            middle = y + 5 + (ROW - 11) / 2
            out.append(f'<path d="M{LABEL + place(low):.1f} {middle}H{LABEL + place(high):.1f}" stroke="{INK}" stroke-width="1.5"/>')
        shown = f"{value:,.0f}" if value >= 100 else f"{value:,.1f}" if value >= 0.05 else "0"
        out.append(text(LABEL + end + 8, y + 19, shown, 12))
    for i, line in enumerate(note):
        out.append(text(16, height - 28 + i * 15, line, 11, QUIET))
    return "\n".join(out) + "\n</svg>\n"


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
                     + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows])


def yes(reached):
    return "yes" if reached else "no"


def store_of_uses(r):
    """The sections of the store of uses."""
    out = []
    if r.get("store"):
        out += ["### What a use costs the worker", "", "Each use is of another token. Processor time and WAL without full pages; closed: minutes, hours and days.", "",
                table(["tokens", "uses", "drained", "closed", "WAL drained", "WAL closed", "disk a minute row"],
                      [[f"{x['tokens']:,}", f"{x['uses']:,}", f"{x['drain_ns'] / 1000:.2f} us", f"{x['close_ns'] / 1000:.2f} us",
                        f"{x['drain_wal']:,.0f} bytes", f"{x['close_wal']:,.0f} bytes", f"{x['minute_row_bytes']:.0f} bytes"] for x in r["store"]]), ""]
    for x in r.get("reports") or []:
        out += [f"### Reports over {x['rows']:,} rows of minutes, {x['days']} day{'s' if x['days'] > 1 else ''}", "",
                f"{x['tokens']:,} tokens of {x['accounts']:,} accounts from {x['addresses']:,} addresses. Pages: of 8 kB, touched by the query.", "",
                table(["question", "ms", "at most", "planned, ms", "pages", "at most", "reached"],
                      [[q["query"], f"{q['ms']:.1f}", q["most_ms"], f"{q['planning_ms']:.1f}", f"{q['pages']:,}", f"{q['most_pages']:,}", yes(q["reached"])]
                       for q in x["queries"]]), ""]
    if r.get("retention"):
        out += ["### Checks while the worker keeps house", "", table(
            ["what", "checks a second", "longest gap between drains", "ring at most", "answered", "recorded", "dropped"],
            [[f"{x['what']}; {x['clients']} clients", f"{x['tps']:,.0f}", f"{x['gap_s']:.2f} s", f"{x['ring_used']:.0%}", f"{x['answered']:,}",
              f"{x['recorded']:,}", f"{x['events_dropped']:,}"] for x in r["retention"]]), ""]
    if r.get("overload"):
        out += ["### Checks while more comes than can be drained", "", table(
            ["clients", "seconds", "comes, times drained", "drained a second", "checks a second", "without load", "kept", "answered", "recorded", "dropped"],
            [[x["clients"], x["seconds"], f"{x['times']:.1f}", f"{x['drained_per_s']:,.0f}", f"{x['tps']:,.0f}", f"{x['quiet_tps']:,.0f}", f"{x['kept']:.2f}",
              f"{x['answered']:,}", f"{x['recorded']:,}", f"{x['events_dropped']:,}"] for x in r["overload"]]), ""]
    chosen = [x for x in r["runs"] if x["group"] in ("owners", "owners_full")]
    if chosen:
        runs = {(x["group"], x["key"]): x for x in chosen}
        pages, busy = r.get("owner_pages") or {}, r.get("owner_busy_ms") or {}
        out += ["### What owners and monitors ask for", "", "Median milliseconds of one client, and the server process's own time on a processor.", "", table(
            ["", "ms", "with a full ring", "processor ms", "pages"],
            [[x["label"], f"{x['p50_us'] / 1000:.2f}", f"{full['p50_us'] / 1000:.2f}" if (full := runs.get(("owners_full", key))) else "",
              f"{busy[key]:.2f}" if key in busy else "",
              f"{pages[key]:,}" if key in pages else ""] for (group, key), x in runs.items() if group == "owners"]), ""]
    return out


def main(results_path, docs):
    r = json.loads(pathlib.Path(results_path).read_text())
    docs = pathlib.Path(docs)
    (docs / "performance").mkdir(exist_ok=True)
    m, s = r["machine"], r["settings"]
    note = [f"{m['processor']}, {m['cores']} cores, {m['memory_gb']} GB, Linux {m['kernel']}; PostgreSQL {r['server']}",
            f"{r['command']} at {r['revision']}, {r['date'][:10]}; {r['size']:,} tokens; fsync {s['fsync']}, synchronous_commit "
            f"{s['synchronous_commit']}"]
    runs = {(x["group"], x["key"], x["clients"], x["protocol"]): x for x in r["runs"]}
    clients = sorted({x["clients"] for x in r["runs"]})
    most = max(clients)

    def bar(group, key, colour):
        x = runs.get((group, key, most, "prepared"))
        return x and (x["label"], x["tps"], min(x["tps_rounds"]), max(x["tps_rounds"]), colour)

    wanted = [("checks", "select1", LIMIT), ("checks", "pk", LIMIT), ("checks", "verify", OURS), ("checks", "verify_row", OURS),
              ("checks", "check_request", OURS), ("checks", "a", THEIRS), ("peers", "d", THEIRS), ("peers", "b", THEIRS),
              ("peers", "c", THEIRS), ("peers", "b_hot", THEIRS), ("peers", "f", THEIRS), ("peers", "e", THEIRS)]
    rows = [b for b in (bar(*w) for w in wanted) if b]
    if rows:
        (docs / "performance/throughput.svg").write_text(
            figure("Checks a second", note, rows, f"transactions a second, {most} clients, prepared statements; line: lowest and highest round", True))
    loops = {(x["tokens"], x["key"]): x for x in r["loops"]}
    sizes = sorted({x["tokens"] for x in r["loops"]})
    rows = []
    for key, label, colour in (("verify", "verify_token", OURS), ("check_request", "check_request", OURS), ("pk", "pk, as a sub-select", LIMIT)):
        for size in sizes:
            x = loops.get((size, key))
            if x:
                rows.append((f"{label}, {size:,} tokens", x["ns"], min(x["ns_rounds"]), max(x["ns_rounds"]), colour))
    if rows:
        (docs / "performance/growth.svg").write_text(
            figure("What a check costs inside the server", note, rows, "nanoseconds of processor time a call, a loop over 100,000 random tokens"))
    rows = []
    if r.get("wal_in_backend") is not None:
        rows.append(("verify_token, in the request", r["wal_in_backend"], None, None, OURS))
    if r.get("worker"):
        rows.append(("verify_token, with the worker's share", r["worker"]["wal_bytes"], None, None, OURS))
    for key in ("d", "b_hot", "b", "c"):
        x = runs.get(("peers", key, most, "prepared"))
        if x:
            rows.append((x["label"], x["wal_bytes"], None, None, THEIRS))
    if rows:
        (docs / "performance/wal.svg").write_text(figure("What a check writes to the WAL", note, rows, "bytes a check"))

    out = ["Machine: " + "; ".join(note) + f"; shared_buffers {s['shared_buffers']}, full_page_writes {s['full_page_writes']}, "
           f"huge_pages {s['huge_pages']}, data_checksums {s['data_checksums']}; the store of uses and what owners ask for with shared_buffers "
           f"{r.get('store_buffers', '?')}. Load of the machine before the run: {m['load_before']:.1f}.", ""]
    out += ["### Must reach", "", table(
        ["measure", "wanted", "measured", "spread", "reached"],
        [[x["what"], ("≤ " if x["at_most"] else "≥ ") + f"{x['target']:,}", "not measured" if x["got"] is None else f"{x['got']:,.2f}",
          "" if not x["spread"] or x["spread"][0] == x["spread"][1] else f"{x['spread'][0]:.2f} to {x['spread'][1]:.2f}",
          "" if x["got"] is None else yes(x["reached"])] for x in r["must"]]), ""]
    if r.get("beside"):
        out += ["### Beside these", "", table(["measure", "measured", "spread"], [
            [what, f"{got:.2f}", "" if low == high else f"{low:.2f} to {high:.2f}"] for what, got, low, high in r["beside"]]), ""]
    for protocol in ("prepared", "simple"):
        for group, title in (("checks", "Checks beside the limits"), ("peers", "Checks beside the peers"),
                             ("slow", "Checks beside the peers, each flush 1 ms longer"),
                             ("requests", "A request whole: who is it, and ten of its rows"), ("manage", "Management")):
            chosen = [x for x in r["runs"] if x["group"] == group and x["protocol"] == protocol]
            if not chosen:
                continue
            here = sorted({x["clients"] for x in chosen})
            keys = list(dict.fromkeys(x["key"] for x in chosen))
            lines = []
            for key in keys:
                line = [next(x["label"] for x in chosen if x["key"] == key)]
                for c in here:
                    x = runs[group, key, c, protocol]
                    line.append(f"{x['tps']:,.0f} ({x['p50_us']:,.0f} / {x['p99_us']:,.0f})")
                if group != "checks":
                    line.append(f"{runs[group, key, here[-1], protocol]['wal_bytes']:,.0f}")
                lines.append(line)
            head = [""] + [f"{c} client{'s' if c > 1 else ''}" for c in here] + (["WAL bytes"] if group != "checks" else [])
            out += [f"### {title}, {protocol} protocol", "", "Transactions a second (p50 / p99 in microseconds).", "", table(head, lines), ""]
    if r["loops"]:
        out += ["### Inside the server", "", "Nanoseconds of processor time a call.", "", table(
            ["", *[f"{z:,} tokens" for z in sizes]],
            [[key] + [f"{loops[z, key]['ns']:,.0f}" if (z, key) in loops else "" for z in sizes]
             for key in dict.fromkeys(x["key"] for x in r["loops"])]), ""]
    if r.get("left"):
        out += ["### What checks leave behind", "", table(
            ["table", "by", "calls", "row versions written", "dead rows", "growth"],
            [[f"`{x['table']}`", x["peer"], f"{x['calls']:,.0f}", f"{x['written']:,}", f"{x['dead']:,}", f"{x['growth'] / 1e6:.1f} MB"] for x in r["left"]]), ""]
    if r.get("worker"):
        w = r["worker"]
        out += [f"The background worker, at its default flush interval: {w['checks']:,} uses of {r['small']:,} tokens from 8 clients in "
                f"{w['seconds']} s took {w['wal_bytes']:.2f} bytes of WAL and {w['worker_ns']:,.0f} ns of its processor time each.", ""]
    out += store_of_uses(r)
    if r.get("protected"):
        out += ["### Protected tables", "", table(
            ["query", "protected", "by hand", "ratio", "plan"],
            [[x["what"], f"{x['ms']:.2f} ms", f"{x['by_hand_ms']:.2f} ms", f"{x['ratio']:.2f}", "the same" if x["same_plan"] else "another"]
             for x in r["protected"]]), ""]
    page = docs / "performance.md"
    text = page.read_text()
    begin, end = "<!-- made by test/bench/report.py: begin -->", "<!-- made by test/bench/report.py: end -->"
    head, rest = text.split(begin)
    page.write_text(head + begin + "\n\n" + "\n".join(out).rstrip() + "\n\n" + end + rest.split(end)[1])
    print(f"wrote {page} and {len(list((docs / 'performance').glob('*.svg')))} figures")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

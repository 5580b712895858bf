"""Checks of this build beside those of an older one, in turns, each on a server of its own with the same settings and tokens.

Part of run.py (group `before`, when scripts/bench.sh is given BEFORE). SELECT 1, which is the same in both, says what is noise.
"""
import statistics

DATABASE, TOKENS, CLIENTS = "before", 100_000, (1, 4)


def measure(new, old, contenders, rounds, seconds, say):
    """new, old: a Bench each."""
    for bench in (new, old):
        bench.load(DATABASE, min(TOKENS, bench.options.size), False)
        bench.add_headers(DATABASE)
    result = new.results["before"] = {"revision": old.revision, "runs": []}
    for clients in CLIENTS:
        each = {c.key: [] for c in contenders}
        for turn in range(rounds + 1):
            for contender in contenders:
                tps = {}
                for bench in (new, old) if turn % 2 else (old, new):
                    tps[bench] = bench.pgbench(contender, clients, "prepared", seconds, DATABASE)["tps"]
                    bench.server.script(DATABASE, "SELECT mirox.flush();")
                if turn:  # the first round is warming up
                    each[contender.key].append(tps[new] / max(tps[old], 1))
        least = min(each["select1"])
        for contender in contenders:
            ratios = each[contender.key]
            row = {"label": contender.label, "key": contender.key, "clients": clients, "ratio": statistics.median(ratios), "low": min(ratios),
                   "high": max(ratios), "noise": min(least, 1.0)}
            result["runs"].append(row)
            say(f"   {clients} client{'s' if clients > 1 else ' '} {contender.label:45} {row['ratio']:6.3f} times {old.revision}'s "
                f"({row['low']:.3f}-{row['high']:.3f})")


def verdicts(results):
    """What, figure, limit, at most?, unit: a check may fall behind no more than SELECT 1 does in its worst round."""
    has = results.get("before")
    if not has:
        return [("checks against those of the build before (with BEFORE)", None, 1, False, "x")]
    return [(f"{row['label']} against {has['revision']}'s, {row['clients']} client(s); the limit is the lowest round of SELECT 1",
             (row["ratio"], row["low"], row["high"]), round(row["noise"], 3), False, "x") for row in has["runs"] if row["key"] != "select1"]

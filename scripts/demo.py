"""The life of API tokens, played on a running server: demo.py SOCKET-FOLDER EXAMPLES-FOLDER

A login opens a session, the session issues tokens, a gateway checks the requests of requests.csv, the owner rotates
one token and revokes another, and the list and the audit log tell what happened. Each call is shown with its answer;
the last part of a secret is masked. Answers are compared with what the platform's rules say: a wrong one ends the
demo with status 1. Arguments are bound (libpq's PQexecParams), as an application should do it.
"""
import csv
import ctypes
import ctypes.util
import pathlib
import re
import sys

libpq = ctypes.CDLL(ctypes.util.find_library("pq") or "libpq.so.5")
for name, answer in (("PQconnectdb", ctypes.c_void_p), ("PQexecParams", ctypes.c_void_p), ("PQgetvalue", ctypes.c_char_p),
                     ("PQerrorMessage", ctypes.c_char_p), ("PQresultErrorField", ctypes.c_char_p), ("PQfname", ctypes.c_char_p)):
    getattr(libpq, name).restype = answer


class Refused(Exception):
    """An error of the server's."""


class Connection:
    def __init__(self, folder, role):
        self.role = role
        self.at = ctypes.c_void_p(libpq.PQconnectdb(f"host='{folder}' dbname=mirox user={role} application_name=demo".encode()))
        if libpq.PQstatus(self.at) != 0:
            raise SystemExit(libpq.PQerrorMessage(self.at).decode())

    def rows(self, sql, *arguments):
        values = (ctypes.c_char_p * len(arguments))(*[None if a is None else str(a).encode() for a in arguments])
        result = ctypes.c_void_p(libpq.PQexecParams(self.at, sql.encode(), len(arguments), None, values, None, None, 0))
        try:
            if libpq.PQresultStatus(result) not in (1, 2):
                field = lambda code: (libpq.PQresultErrorField(result, ord(code)) or b"").decode()
                text = f"{field('C')}: {field('M')}"
                for label, code in (("DETAIL", "D"), ("HINT", "H")):
                    text += f"\n       {label}: {field(code)}" if field(code) else ""
                raise Refused(text)
            names = [libpq.PQfname(result, c).decode() for c in range(libpq.PQnfields(result))]
            return [{n: None if libpq.PQgetisnull(result, r, c) else libpq.PQgetvalue(result, r, c).decode()
                     for c, n in enumerate(names)} for r in range(libpq.PQntuples(result))]
        finally:
            libpq.PQclear(result)


def mask(text):
    return re.sub(r"\b(miroxs?_[0-9A-Za-z]{4})[0-9A-Za-z]+", r"\1…", str(text))


def literal(value):
    return "NULL" if value is None else f"'{mask(value)}'"


def headline(text):
    print(f"\n--- {text} " + "-" * max(0, 90 - len(text)))


def table(rows, *columns):
    cells = [[mask(row[c] or "")[:46] for c in columns] for row in rows]
    widths = [max(len(c), *(len(line[i]) for line in cells)) if cells else len(c) for i, c in enumerate(columns)]
    for line in [list(columns)] + cells:
        print("    " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def call(connection, sql, *arguments, show=True):
    """Makes a call, shows it with its arguments in place and its answer, and returns the rows."""
    if show:
        shown = re.sub(r"\$(\d)(::\w+(\[\])?)?", lambda m: literal(arguments[int(m.group(1)) - 1]), sql)
        print(f"{connection.role}=> {shown};")
    rows = connection.rows(sql, *arguments)
    if show:
        for row in (r for r in rows if any(r.values())):
            print("    " + "  ".join(f"{k}={mask(v)}" for k, v in row.items() if v not in (None, "")))
    return rows


wrong = []


def expect(what, got, wanted):
    if got != wanted:
        wrong.append(f"{what}: {got} instead of {wanted}")
        print(f"    !! expected {wanted}")


def main(folder, examples):
    requests = list(csv.DictReader(open(examples / "requests.csv", newline="")))
    endpoints = list(csv.DictReader(open(examples / "endpoints.csv", newline="")))
    dba = Connection(folder, "postgres")

    headline("A DBA installs the extension and gives three roles what each needs")
    for sql in ("CREATE EXTENSION mirox_tokens", "CREATE ROLE login_service LOGIN", "CREATE ROLE profile_page LOGIN",
                "CREATE ROLE gateway LOGIN"):
        call(dba, sql)
    for role, level in (("login_service", "login"), ("profile_page", "application"), ("gateway", "gateway")):
        call(dba, "SELECT mirox.grant_access($1, $2)", role, level)
    login, page, gateway = (Connection(folder, role) for role in ("login_service", "profile_page", "gateway"))

    headline("and says which scope each endpoint needs (* one segment of a path, ** the rest)")
    for rule in endpoints:
        call(dba, "SELECT mirox.put_endpoint($1, $2, $3)", rule["method"], rule["path"], rule["scope"])

    headline("A user logs in")
    user = "anna@windpark.example"
    call(login, "SELECT mirox.put_account($1, $2)", user, "{parks,reports,exports,timeseries}")
    session = call(login, "SELECT mirox.open_session($1, client_ip => $2, user_agent => $3) AS session", user, "192.0.2.15",
                   "Mozilla/5.0 (X11; Linux x86_64; rv:123.0) Gecko/20100101 Firefox/123.0")[0]["session"]

    headline("The profile page issues tokens for her")
    secrets, ids = {}, {}
    for name, group, more in (
            ("Grafana wind dashboards", "timeseries", {"allowed_ips": "{203.0.113.80/31}"}),
            ("Nightly report export", "reporting", {"expires_in": "90 days"}),
            ("MiroxQL notebook", "timeseries", {}),
            ("Maintenance script", "full_access", {"permissions": "{parks:read}", "allowed_ips": "{192.0.2.0/24}"})):
        extra = "".join(f", {key} => ${place}" for place, key in enumerate(more, 4))
        issued = call(page, f"SELECT token_id, secret, place, expires_at FROM mirox.issue_token($1, $2, $3{extra})",
                      session, name, group, *more.values())[0]
        secrets[name], ids[name] = issued["secret"], issued["token_id"]
    secrets["(junk)"] = "of bad news"
    # Well formed down to the checksum, and nobody's: a secret of our shape that was never issued here.
    secrets["(guessed)"] = "mirox_" + "0" * 43 + base62_crc("mirox_" + "0" * 43)

    headline("A token cannot make tokens, and nobody gets more than the owner has")
    for sql, arguments, code in (
            ("SELECT * FROM mirox.issue_token($1, $2, $3)", (secrets["MiroxQL notebook"], "Sneaky", "full_access"), "42501"),
            ("SELECT * FROM mirox.issue_token($1, $2, $3, permissions => $4)", (session, "Greedy", "full_access", "{users:write}"), "42501")):
        try:
            call(page, sql, *arguments)
            expect(sql, "no error", code)
        except Refused as refused:
            print(f"    ERROR {mask(refused)}")
            expect(sql, str(refused)[:5], code)

    outcomes = {
        "Nightly report export": lambda r: "ok" if r["path"].startswith(("/api/v1/reports", "/api/v1/export")) else "insufficient_scope",
        "Grafana wind dashboards": lambda r: "ok",
        "Grafana wind dashboards (old secret)": lambda r: "rotated",
        "MiroxQL notebook": lambda r: "revoked" if r["time"] >= "2026-03-02T16" else
                            "ok" if "timeseries" in r["path"] else "insufficient_scope",
        "Maintenance script": lambda r: "ip_not_allowed" if not r["ip"].startswith("192.0.2.") else
                              "ok" if r["method"] == "GET" else "insufficient_scope",
        "(guessed)": lambda r: "unknown", "(junk)": lambda r: "invalid_request"}

    def play(since, until):
        print("gateway=> SELECT status, reason, required_scope"
              " FROM mirox.check_request('Bearer ' || secret, method, path, ip, user_agent);")
        shown = []
        for request in (r for r in requests if since <= r["time"][11:16] < until):
            verdict = call(gateway, "SELECT status, reason, required_scope FROM mirox.check_request($1, $2, $3, $4, $5)",
                           "Bearer " + secrets[request["token"]], request["method"], request["path"], request["ip"],
                           request["user_agent"], show=False)[0]
            shown.append({**verdict, "time": request["time"][11:19], "token": request["token"], "ip": request["ip"],
                          "request": f"{request['method']} {request['path']}"})
        table(shown, "time", "token", "ip", "request", "status", "reason", "required_scope")
        for row, request in zip(shown, (r for r in requests if since <= r["time"][11:16] < until)):
            expect(f"{row['time']} {row['token']}", row["reason"], outcomes[request["token"]](request))

    print("\nFrom here on requests are played from docs/examples/requests.csv, with their times as they stand there; the server"
          "\njudges, and writes its log, by its own clock.")
    headline("The gateway checks the morning's requests")
    play("00:00", "12:00")

    headline("12:00: she rotates one token; the old secret stops at once")
    name = "Grafana wind dashboards"
    secrets[name + " (old secret)"] = secrets[name]
    secrets[name] = call(page, "SELECT token_id, secret, name, place, expires_at FROM mirox.rotate_token($1, $2)", session,
                         ids[name])[0]["secret"]
    play("12:00", "16:00")

    headline("16:00: she revokes another")
    call(page, "SELECT mirox.revoke_token($1, $2, $3) AS revoked_at", session, ids["MiroxQL notebook"], "laptop lost on the train")
    play("16:00", "24:00")

    headline("Why was that? The client was told the status alone; the DBA asks, and leaves no trace")
    request = next(r for r in requests if r["token"] == "Maintenance script" and not r["ip"].startswith("192.0.2."))
    why = call(dba, "SELECT status, reason, user_id, token_id, permissions, required_scope"
               " FROM mirox.explain_check($1, $2, $3, $4)", "Bearer " + secrets[request["token"]], request["method"],
               request["path"], request["ip"])[0]
    expect("explain_check", (why["reason"], why["token_id"]), ("ip_not_allowed", ids["Maintenance script"]))

    headline("The worker writes recorded use to the tables every ten seconds; flush() waits for it")
    call(dba, "SELECT mirox.flush()")

    headline("Her list of tokens")
    print("profile_page=> SELECT … FROM mirox.list_tokens(session);")
    rows = page.rows("SELECT place, name, hint, permissions, status, days_left, uses, refusals, last_ip, last_browser, last_os"
                     " FROM mirox.list_tokens($1)", session)
    table(rows, "place", "name", "hint", "permissions", "status", "days_left", "uses", "refusals", "last_ip", "last_browser", "last_os")
    expect("the list", [row["name"] for row in rows], ["Grafana wind dashboards", "Nightly report export", "Maintenance script"])

    headline("When and how one of them was used")
    print("profile_page=> SELECT … FROM mirox.token_history(session, token_id);")
    table(page.rows("SELECT to_char(last_at, 'HH24:MI:SS.MS') AS last_at, status, reason, requests, ip, browser, os, scope"
                    " FROM mirox.token_history($1, $2)", session, ids["Maintenance script"]),
          "last_at", "status", "reason", "requests", "ip", "browser", "os", "scope")

    headline("What a reporting tool sees of the day, unauthenticated callers apart")
    report = ("SELECT status, reason, sum(requests) AS requests, count(DISTINCT token_id) AS tokens FROM mirox.usage_daily"
              " GROUP BY status, reason ORDER BY status, reason")
    rows = call(dba, report, show=False)
    print(f"postgres=> {report};")
    table(rows, "status", "reason", "requests", "tokens")
    tried = [row for row in rows if row["reason"] == "management_refused"]
    expect("tokens that tried to manage", [int(row["requests"]) for row in tried], [1])
    expect("requests recorded", sum(int(row["requests"]) for row in rows if row not in tried),
           sum(1 for r in requests if not r["token"].startswith("(")))

    headline("What the audit log tells")
    print("postgres=> SELECT … FROM mirox_internal.audit_log ORDER BY audit_id;")
    rows = dba.rows("SELECT to_char(at, 'HH24:MI:SS.MS') AS at, event, user_id, token_id, session_id, db_role, detail"
                    " FROM mirox_internal.audit_log ORDER BY node, audit_id")
    table(rows, "at", "event", "user_id", "token_id", "session_id", "db_role", "detail")
    text = " ".join(str(row) for row in rows)
    expect("secrets in the audit log", [n for n, s in secrets.items() if len(s) > 40 and s in text], [])
    if not rows:
        wrong.append("the audit log is empty")

    if wrong:
        print("\nNot as it should be:\n  " + "\n  ".join(wrong))
        sys.exit(1)
    print(f"\n{len(requests)} requests, each judged as the rules say.")


def base62_crc(text):
    """CRC-32 in six base62 digits, by Python's own zlib."""
    import zlib
    value, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits


main(sys.argv[1], pathlib.Path(sys.argv[2]))

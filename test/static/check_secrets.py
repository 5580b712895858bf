"""What is given or shows a secret says nothing of the caller's SQL: not in an error, not in a line of the log."""
import re

from tree import created, cxx_code, files, name_of, report

# Arguments that hold a secret, or what one is found by; types of values and rows that do.
ARGUMENTS = {"session", "secret", "authorization", "credential", "sha256", "digest", "token"}
TYPES = r"\bmirox\s*\.\s*(secret|issued_token)\b"
# What only such a function calls.
CALLS = r"\b(secret_arg|secret_view|secret_text_datum|secret_row_datum|wiped_copy|in_session|require_session|digest_of)\b"

# What runs with nobody told where it was called from.
SECRET = ("MIROX_SECRET_FUNCTION", "MIROX_SECRET_ACT", "MIROX_OWN_ACT", "MIROX_READ_ONLY_ACT", "MIROX_OWN_READ_ONLY_ACT")

made, wrong = {}, []
for path in files("src/**/*.cpp"):
    code = cxx_code(path)
    starts = list(re.finditer(r"^(MIROX_\w*(?:FUNCTION|ACT))\((\w+)\)", code, re.M))
    for start, following in zip(starts, starts[1:] + [None]):
        macro, name = start.groups()
        made[name] = macro
        body = code[start.end():following.start() if following else len(code)]
        body = re.split(r"^\}", body, maxsplit=1, flags=re.M)[0]
        if macro in ("MIROX_FUNCTION", "MIROX_ACT") and re.search(CALLS, body):
            wrong.append(f"{name_of(path)}: {name} calls {re.search(CALLS, body).group(0)}, but is a {macro}")
for _, name, statement in created("FUNCTION"):
    symbol = re.search(r"'mirox_(\w+)'", statement.text)
    if not symbol:
        continue
    # Without the defaults, whose commas and brackets stand in strings that are empty here.
    arguments = re.search(r"\((.*?)\)\s*RETURNS", statement.bare, re.S | re.I)
    named = {word.lower() for word, form in re.findall(r'(?:^|,)\s*"?(\w+)"?\s+(\w+)', arguments.group(1) if arguments else "")
             if form.lower() in ("text", "bytea", "mirox")}
    why = sorted(named & ARGUMENTS) or re.findall(TYPES, statement.bare)
    if why and made.get(symbol.group(1)) not in SECRET:
        wrong.append(f"{statement.where}: {name} has {why[0]}, but is no MIROX_SECRET_FUNCTION")
report("secrets: a function that is given or shows one does not tell where it was called from", wrong)

bare = []
for path in files("src/**/*.[ch]pp"):
    if name_of(path) == "src/pg/error.hpp":
        continue
    for number, line in enumerate(cxx_code(path).splitlines(), 1):
        # A server that cannot start has no caller.
        for match in re.finditer(r"\b(?:ereport(?:_domain)?\((?!FATAL\b)|elog\()\w*", line):
            bare.append(f"{name_of(path)}:{number}: {match.group(0)}; take MIROX_RAISE, MIROX_DEFECT or MIROX_LOG")
report("secrets: errors and lines of the log leave the caller's statement out", bare)

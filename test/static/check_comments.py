"""Every object of the schema that is not marked internal explains itself to \\d+ and \\df+.

Functions that stand behind a type or operator need none (the type or operator has it), nor do comparisons.
"""
import collections
import re

from tree import behind, created, internal, report, schema

commented = collections.Counter()
for statement in schema():
    match = re.match(r"COMMENT\s+ON\s+(FUNCTION|PROCEDURE|AGGREGATE|TYPE|DOMAIN|VIEW|TABLE|OPERATOR(?:\s+CLASS|\s+FAMILY)?)\s+"
                     r"(?:mirox(?:_internal)?\s*\.\s*)?([^\s(]+)", statement.bare, re.I)
    if match and not re.search(r"\bIS\s+NULL\s*$", statement.bare, re.I):
        kind = re.sub(r"\s+", " ", match.group(1)).upper().replace("PROCEDURE", "FUNCTION").replace("DOMAIN", "TYPE")
        commented[kind, match.group(2)] += 1
hidden = behind()
made = collections.defaultdict(list)
for kind, name, statement in created("FUNCTION", "AGGREGATE", "TYPE", "VIEW", "TABLE", "OPERATOR"):
    comparison = kind == "OPERATOR" and name in ("=", "<>", "<", "<=", ">", ">=")
    triggers = re.search(r"\bRETURNS\s+(pg_catalog\.)?(event_)?trigger\b", statement.bare, re.I)
    if not internal(statement) and not comparison and (triggers or name not in hidden or kind != "FUNCTION"):
        made[kind, name].append(statement)
report("comments: every function, type, table, view and operator has one",
       [f"{s[0].where}: {k[0].lower()} {k[1]} is made {len(s)} times and has {commented[k]} comments"
        for k, s in made.items() if commented[k] < len(s)])

"""The install script cannot be turned against whoever runs it, and gives nobody more than it says."""
import re

from tree import behind, created, files, name_of, report, schema, schema_parts, sql_statements

# What policies and types call as the querying role: the contract's own list.
PUBLIC = {"current_user_id", "current_token_id", "granted", "allows", "client_ip"}

statements = schema()
scripts = statements + [s for path in files("src/upgrade/*.sql") for s in sql_statements(path)]
parts = schema_parts()
if parts:
    text = parts[0].read_text()
    begins = [] if re.search(r"^\\echo .*\\quit\s*$", text, re.M) else ["no \\echo … \\quit guard in the first part"]
    bare = [s.bare for s in statements]
    makes = [i for i, s in enumerate(bare) if re.match(r"CREATE\s+SCHEMA\s+mirox(_internal)?\s*(AUTHORIZATION\s+\S+\s*)?$", s, re.I)]
    path_set = [i for i, s in enumerate(bare) if re.match(r"SET\s+LOCAL\s+search_path\s*(=|TO)\s*pg_catalog\s*,\s*pg_temp$", s, re.I)]
    begins += [] if makes else ["no plain CREATE SCHEMA mirox"]
    first = next((i for i, s in enumerate(bare) if re.match("CREATE", s, re.I) and i not in makes), len(bare))
    begins += [] if path_set and path_set[0] < first else ["no SET LOCAL search_path = pg_catalog, pg_temp before the first object"]
    report("schema: the script owns its schema and fixes its search path", begins)
else:
    report("schema: the script owns its schema and fixes its search path", [])


report("schema: the parts are ASCII, so that CREATE EXTENSION can read them in a database of any encoding",
       [f"{name_of(p)}:{n}" for p in [*parts, *files("src/upgrade/*.sql")]
        for n, line in enumerate(p.read_text().splitlines(), 1) if not line.isascii()])


def offends(rule, pattern, whole=False, spared=lambda s: False):
    # Bodies too: a function's text is read when it runs, a DO block's at once.
    report(rule, [f"{s.where}: {m.group(0)}" for s in scripts if not spared(s)
                  for m in [re.search(pattern, s.text if whole else s.bare, re.I)] if m])


# In a script between versions the server itself refuses to replace a view or function that is no member of the extension.
offends("schema: nothing that already exists is adopted", r"\bOR\s+REPLACE\b|\bIF\s+NOT\s+EXISTS\b",
        spared=lambda s: s.where.startswith("src/upgrade/") and re.match(r"CREATE\s+OR\s+REPLACE\s+(VIEW|FUNCTION)\b", s.bare, re.I))
offends("schema: no simple CASE, whose = cannot be qualified", r"\bCASE\s+(?!WHEN\b)[\w.$('\"]+", True)
report("schema: SECURITY DEFINER only with a fixed search path",
       [f"{s.where}: {s.text[:70]!r}" for s in scripts if re.search(r"\bSECURITY\s+DEFINER\b", s.bare, re.I)
        and not re.search(r"\bSET\s+search_path\s*(=|TO)\s*pg_catalog\s*,\s*(mirox\s*,\s*)?pg_temp\b", s.bare, re.I)])

part_of = lambda statement: statement.where.split(":")[0]
revoked = {name_of(part): "" for part in parts}
for s in statements:
    if re.match(r"REVOKE\b.*\bFROM\b.*\bPUBLIC\b", s.bare, re.I | re.S):
        revoked[part_of(s)] += "\n" + s.bare
open_names = PUBLIC | behind()
bad = []
for kind, name, s in created("FUNCTION", "AGGREGATE", "TABLE", "VIEW"):
    there = revoked[part_of(s)]
    everything = r"ALL\s+(FUNCTIONS|ROUTINES)\s+IN" if kind in ("FUNCTION", "AGGREGATE") else r"ALL\s+TABLES\s+IN"
    if re.search(everything + r"\s+SCHEMA\s+mirox", there, re.I) or re.search(rf"\bmirox(_internal)?\s*\.\s*{re.escape(name)}\b", there):
        continue
    if kind in ("FUNCTION", "AGGREGATE") and (name in open_names or re.search(r"\bPUBLIC\b", s.above)):
        continue
    bad.append(f"{s.where}: {kind.lower()} {name}: no REVOKE … FROM PUBLIC in the same part")
report("schema: what a part makes, it revokes from PUBLIC", bad)

dumped = [re.findall(r"pg_extension_config_dump\s*\(\s*'(?:mirox(?:_internal)?\.)?(\w+)'", s.text, re.I) for s in statements]
names = {name for found in dumped for name in found}
report("schema: every table and sequence is dumped, or says `not dumped` and why",
       [f"{s.where}: {kind.lower()} {name}" for kind, name, s in created("TABLE", "SEQUENCE")
        if name not in names and not re.search(r"\bnot dumped\b", s.above, re.I) and not re.search(r"\bPARTITION\s+(OF|BY)\b", s.bare, re.I)]
       + [f"two pg_extension_config_dump calls in one statement: {found}" for found in dumped if len(found) > 1])

"""Every reason of src/core/reason.hpp has its counter in mirox.stat, with a comment, and its word in the manual."""
import re

from tree import ROOT, files, report, schema

table = ROOT / "src/core/reason.hpp"
rows = re.findall(r'\{Reason::\w+, "(\w+)", \d+, "(\w+)", \w+\}', table.read_text() if table.is_file() else "")
script = "\n".join(s.text for s in schema())
stat = re.search(r"CREATE FUNCTION mirox_internal\.stat_now\((.*?)\)\s+AS", script, re.S)
columns = set(re.findall(r"OUT (\w+) bigint", stat.group(1))) if stat else set()
manual = "\n".join(path.read_text() for path in files("docs/**/*.md"))
report("reasons: each has a column of stat, a comment on it, and a place in the manual",
       [f"{word}: stat_now() has no column {counter}" for word, counter in rows if counter not in columns]
       + [f"{word}: no comment on mirox.stat.{counter}" for word, counter in rows
          if not re.search(rf"COMMENT ON COLUMN mirox\.stat\.{counter} IS", script)]
       + [f"{word}: not in docs/" for word, _ in rows if not re.search(rf"\b{word}\b", manual)])

"""The manual names every function, type, view and setting that somebody outside may use."""
import re

from tree import behind, created, files, internal, report, schema

manual = "\n".join(path.read_text() for path in files("docs/**/*.md"))
words = set(re.findall(r"\w+", manual))
hidden = behind() | {name for s in schema() for name in re.findall(
    r"^COMMENT\s+ON\s+\w+\s+mirox(?:_internal)?\.(\w+).*IS\s+'Internal\b", s.text, re.S | re.I)}
missing = [f"{s.where}: {kind.lower()} {name}" for kind, name, s in created("FUNCTION", "AGGREGATE", "TYPE", "VIEW")
           if name not in words and not internal(s) and name not in hidden]
report("manual: every function, type and view is in docs/", missing)

settings = {name for path in files("src/**/*.[ch]pp") for name in re.findall(r'"mirox_tokens\.([a-z0-9_]+)"', path.read_text())}
report("manual: every setting is in docs/",
       [f"mirox_tokens.{name}" for name in sorted(settings) if not re.search(rf"mirox_tokens\.{name}\b|`{name}`", manual)])

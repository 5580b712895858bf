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

# What an argument that may be left out does is said in its function's row, in the row that this one refers to, or outside the tables.
page = next(path for path in files("docs/reference.md")).read_text()
rows = re.findall(r"^\| `(\w+)\(([^`]*)\)` \|(.*)$", page, re.M)
text = {name: rest for name, _, rest in rows}
prose = "\n".join(line for line in page.split("\n") if not line.startswith("|"))


def says(rest, argument):
    referred = "".join(text.get(name, "") for name in re.findall(r"\bas (?:of |for )?`(\w+)`", rest))
    return re.search(rf"`{argument}\b", rest + referred + prose)


unsaid = [f"{name}: {argument}" for name, arguments, rest in rows for argument in re.findall(r"(\w+) [^,]*? = ", arguments)
          if not says(rest, argument)]
report("manual: every argument that may be left out is explained in docs/reference.md", unsaid if rows else ["no row of a function is found"])

"""The version stands in mirox_tokens.control and nowhere else, and what goes into a release is of that version."""
import json
import re

from tree import ROOT, VERSION, files, name_of, report

number = re.escape(VERSION)
pattern = re.compile(rf"mirox_tokens(--|[\s_-]?v?){number}(?![\d.]*\d)|version\W{{0,5}}{number}(?![\d.]*\d)", re.I)
places = files("Makefile", "META.json.in", "README.md", "CONTRIBUTING.md", "src/**/*", "scripts/*", ".ci/*", "sql/*", "docs/**/*.md",
               "test/**/*.mk", "test/**/*.pl", "test/**/*.pm", "test/**/*.cpp", "test/**/*.hpp", "test/**/*.spec")
report("version: only mirox_tokens.control holds it",
       [f"{name_of(path)}:{number_}: {line.strip()[:100]}" for path in places if path.suffix not in (".o", ".bc")
        for number_, line in enumerate(path.read_text(errors="replace").splitlines(), 1) if pattern.search(line)])


def read(name):
    return (ROOT / name).read_text() if (ROOT / name).is_file() else ""


licence = read("LICENSE")
problems = [] if "PostgreSQL License" in licence and "Permission to use, copy, modify" in licence else ["LICENSE: not the PostgreSQL License"]
# The changes of the version that is being made stand first, under its number once it is released.
headings = re.findall(r"^## (.*)$", read("CHANGELOG.md"), re.M)
if not headings or headings[0].split()[0].rstrip(":") not in ("Unreleased", VERSION):
    problems.append(f"CHANGELOG.md: the first heading is neither Unreleased nor {VERSION}")
try:
    meta = json.loads(read("META.json.in"))
    provided = meta["provides"]["mirox_tokens"]
    problems += [f"META.json.in: {what}" for what, good in (
        ("version is not @SEMVER@", meta["version"] == provided["version"] == "@SEMVER@"),
        ("license is not postgresql", meta["license"] == "postgresql"),
        ("name is not the extension's", meta["name"] == "mirox_tokens"),
        ("file is not there", (ROOT / provided["file"]).is_file()),
        ("docfile is not there", (ROOT / provided["docfile"]).is_file())) if not good]
except (ValueError, KeyError) as trouble:
    problems.append(f"META.json.in: {trouble!r}")
if "-DMIROX_VERSION='\"$(EXTVERSION)\"'" not in read("Makefile"):
    problems.append("Makefile: the library is not told the version of the control file")
report("version: licence, changes, META.json and library are of this one", problems)

# A released version's own install script is kept in src/upgrade, and from each a way leads to this version.
steps = [p.stem.split("--")[1:] for p in files("src/upgrade/mirox_tokens--*.sql")]
reached, more = {VERSION}, True
while more:
    more = {step[0] for step in steps if len(step) == 2 and step[1] in reached} - reached
    reached |= more
report("version: every released one has its changes and a way to this one",
       [f"src/upgrade: no way from {step[0]} to {VERSION}" for step in steps if step[0] not in reached]
       + [f"CHANGELOG.md: nothing of {step[0]}" for step in steps if len(step) == 1 and not any(h.split()[0] == step[0] for h in headings)]
       + [f"{name_of(p)}: not mirox_tokens--FROM--TO.sql nor mirox_tokens--VERSION.sql" for p in files("src/upgrade/*")
          if not re.fullmatch(r"mirox_tokens(--\d[\w.]*){1,2}\.sql", p.name)])

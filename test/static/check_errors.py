"""Every error names the word of its kind, and words, SQLSTATEs and the manual's list agree."""
import pathlib
import re

from tree import ROOT, cxx_code, files, name_of, report, run

TABLE = "src/core/error_word.hpp"
table = ROOT / TABLE
words = dict(re.findall(r'KIND\((\w+), "(\w+)"\)', table.read_text() if table.is_file() else ""))
header = pathlib.Path(run("pg_config", "--includedir-server").stdout.strip()) / "utils/errcodes.h"
states = {name: "".join(letters) for name, *letters in
          re.findall(r"#define (ERRCODE_\w+) MAKE_SQLSTATE\('(.)','(.)','(.)','(.)','(.)'\)", header.read_text())}

bare, differing, used = [], [], set()
for path in files("src/**/*.[ch]pp"):
    name = name_of(path)
    if name == TABLE:
        continue
    code = cxx_code(path)
    used |= set(re.findall(r"ErrorWord::(\w+)", code))
    for raised in re.finditer(r"(?<!#define )MIROX_RAISE\(\s*([\w.]+),\s*(errword\(([^;]*?)\),\s*err)?", code):
        where = f"{name}:{code.count(chr(10), 0, raised.start()) + 1}"
        if not raised.group(2):
            bare.append(f"{where}: no errword() after the SQLSTATE")
        for word in re.findall(r"ErrorWord::(\w+)", raised.group(3) or ""):
            if raised.group(1) in states and words.get(word) != states[raised.group(1)]:
                differing.append(f"{where}: {word} is of {words.get(word)}, not of {states[raised.group(1)]}")
report("errors: each MIROX_RAISE names its word", bare)
report("errors: all errors of a word have its SQLSTATE", differing)
report("errors: each word is raised somewhere", [f"{word}: in {TABLE} alone" for word in words if word not in used])

page = ROOT / "docs/reference.md"
listed = re.findall(r"^\| `([a-z_]+)` \| `([0-9A-Z]{5})` \|", page.read_text() if page.is_file() else "", re.M)
report("errors: the manual lists each word with its SQLSTATE, and no other",
       [f"{word} of {state}: not in {name_of(page)}" for word, state in words.items() if (word, state) not in listed]
       + [f"{word} of {state}: not in {TABLE}" for word, state in listed if words.get(word) != state]
       + [f"{word}: listed twice" for word in words if [w for w, _ in listed].count(word) > 1])

"""An act of management stands behind the gate of src/store/acts.hpp, and nothing else does.

A function of mirox_internal stands behind a view, which reads and manages nothing.
"""
import re

from tree import behind, created, cxx_code, files, report, schema

MANAGING = {"login", "application", "admin"}

levels = {}
for s in schema():
    if re.match(r"INSERT\s+INTO\s+mirox(_internal)?\s*\.\s*access_rule\b", s.bare, re.I):
        for name, level in re.findall(r"\('mirox\.(\w+)\([^']*\)',\s*'function',\s*'(\w+)'\)", s.text):
            levels.setdefault(name, set()).add(level)
managing = {name for name, held in levels.items() if held <= MANAGING} - behind()

gated = {"mirox_" + name: path.name for path in files("src/**/*.cpp")
         for name in re.findall(r"^MIROX_(?:[A-Z_]+_)?ACT\((\w+)\)", cxx_code(path), re.M)}
symbols = {}
for _, name, s in created("FUNCTION"):
    match = re.search(r"\bAS\s+'MODULE_PATHNAME'\s*(?:,\s*'(\w+)')?", s.text, re.I)
    symbols.setdefault(name, set()).add((match.group(1) or name) if match else None)

wanted = {symbol for name in managing for symbol in symbols.get(name, ())}
report("acts: what login, application or admin may call is made by MIROX_ACT, and that alone",
       [f"{name}: of level {', '.join(sorted(levels[name]))}, and not by MIROX_ACT or another macro of acts.hpp"
        for name in sorted(managing) if not symbols.get(name, {None}) <= gated.keys()]
       + [f"{gated[symbol]}: {symbol} is of no such level, or of another one too" for symbol in sorted(gated.keys() - wanted)])

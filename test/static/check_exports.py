"""The library exports what the install script names, and nothing else."""
import re

from tree import ROOT, created, cxx_code, files, report, run

library = ROOT / "mirox_tokens.so"
named, wrong = set(), []
for _, name, statement in created("FUNCTION"):
    if re.search(r"\bLANGUAGE\s+('?c'?)(?!\w)", statement.text, re.I):
        match = re.search(r"\bAS\s+'MODULE_PATHNAME'\s*(?:,\s*'(\w+)')?", statement.text, re.I)
        if not match:
            wrong.append(f"{statement.where}: {name} is not AS 'MODULE_PATHNAME'")
        else:
            named.add(match.group(1) or name)
if not library.is_file():
    report("exports: the library's symbols are the script's functions", ["mirox_tokens.so is not built"])
else:
    exported = {line.split()[-1] for line in run("nm", "-D", "--defined-only", library.name).stdout.splitlines()}
    wanted = named | {"pg_finfo_" + name for name in named}
    # Mains of background workers are named to the server by C code.
    mains = {"mirox_" + name for path in files("src/**/*.cpp") for name in re.findall(r"^MIROX_WORKER\((\w+)\)", cxx_code(path), re.M)}
    wrong += [f"a worker's main, not exported: {symbol}" for symbol in sorted(mains - exported)]
    rest = {symbol for symbol in exported if symbol not in ("_PG_init", "Pg_magic_func")} - mains
    wrong += [f"exported, not in the script: {symbol}" for symbol in sorted(rest - wanted)]
    wrong += [f"in the script, not exported: {symbol}" for symbol in sorted(wanted - rest)]
    wrong += [f"not exported: {symbol}" for symbol in ("_PG_init", "Pg_magic_func") if symbol not in exported]
    report("exports: the library's symbols are the script's functions", wrong)

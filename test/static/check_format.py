"""Source is laid out as .clang-format says."""
from tree import files, name_of, report, run

sources = files("src/**/*.[ch]pp", "test/**/*.[ch]pp")
ended = run("clang-format-14", "--dry-run", "-Werror", *map(name_of, sources)) if sources else None
bad = sorted({line.split(":")[0] + " (make format)" for line in ended.stderr.splitlines() if ": error:" in line}) if ended else []
if ended and ended.returncode and not bad:
    bad = ["clang-format-14: " + ended.stderr[-300:]]
report("format: clang-format changes nothing", bad)

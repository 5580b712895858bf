"""The shell scripts parse, can be run, and stop at the first error."""
import os

from tree import ROOT, files, name_of, report, run

bad = []
for path in files("scripts/*.sh", ".ci/*"):
    parsed = run("bash", "-n", name_of(path))
    if parsed.returncode:
        bad.append(f"{name_of(path)}: {parsed.stderr.strip()}")
    if path.name not in ("lib.sh",) and not os.access(path, os.X_OK):
        bad.append(f"{name_of(path)}: not executable")
    if path.name not in ("lib.sh", "tap_one.sh") and "set -euo pipefail" not in path.read_text():
        bad.append(f"{name_of(path)}: no set -euo pipefail")
report("scripts: parse, are executable, stop at errors", bad)

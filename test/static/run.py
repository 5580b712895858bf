"""Runs every check of this folder and the self-test of the checks. TESTS="name …" chooses.

Prints `ok RULE` or `not ok RULE` and why; ends with status 1 when a rule is broken, 2 when a check itself fails.
"""
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
chosen = os.environ.get("TESTS", "").split()
status = 0
for script in sorted(HERE.glob("check_*.py")) + [HERE / "selftest.py"]:
    if chosen and not any(name in script.stem for name in chosen):
        continue
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True)
    print(ended.stdout, end="")
    if ended.returncode or not ended.stdout:
        print(f"not ok {script.name} ends with status {ended.returncode} and an outcome\n{ended.stderr[-2000:]}")
        status = 2
    elif "not ok " in ended.stdout:
        status = max(status, 1)
sys.exit(status)

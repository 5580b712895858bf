"""Every function of src/core is noexcept, as clang reads it."""
import re
import concurrent.futures

from tree import files, name_of, report, run

DECLARED = re.compile(r"(?:FunctionDecl|CXXMethodDecl|CXXConstructorDecl|CXXDestructorDecl|CXXConversionDecl) (.*?) '([^']*)'(.*)$")


def look(path):
    ended = run("clang++-14", "-std=c++20", "-fsyntax-only", "-Isrc", "-fno-exceptions", "-fno-color-diagnostics", "-x", "c++", "-Wno-pragma-once-outside-header",
                "-Xclang", "-ast-dump", "-Xclang", "-ast-dump-filter=mirox::core", name_of(path))
    bad = set()
    if ended.returncode:
        bad.add(f"{name_of(path)}: clang: {ended.stderr[:300]}")
    for line in ended.stdout.splitlines():
        match = DECLARED.search(line)
        # A lambda belongs to the function around it; what the language writes itself it also judges itself.
        if not match or " implicit " in line or "operator()" in line or re.search(r"\bdefault(_delete)?\b", match.group(3)) \
                or re.search(r"\b(delete|trivial)$", match.group(3)):
            continue
        if "noexcept" not in match.group(2):
            words = match.group(1).split()
            bad.add(f"{name_of(path)}: {words[-1]} {match.group(2)}")
    return sorted(bad)


with concurrent.futures.ThreadPoolExecutor(2) as pool:
    report("noexcept: every function of src/core", [bad for found in pool.map(look, files("src/core/*.[ch]pp")) for bad in found])

"""Every test is listed, has what it is compared with, and is run."""
import re

from tree import ROOT, files, name_of, report


def scheduled(name):
    path = ROOT / name
    words = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        if line.strip() and not line.startswith("#"):
            if not line.startswith("test:"):
                words.append(f"(bad line: {line})")
            words += line[5:].split()
    return words


def compare(kind, tests, schedule, answers):
    listed = scheduled(schedule)
    problems = [f"{test} is not in {schedule}" for test in sorted(tests - set(listed))]
    problems += [f"{test} of {schedule} has no file" for test in sorted(set(listed) - tests)]
    problems += [f"{test} stands twice in {schedule}" for test in sorted({t for t in listed if listed.count(t) > 1})]
    stems = {re.sub(r"_\d$", "", a) if a not in tests else a for a in answers}
    problems += [f"{test} has no expected output" for test in sorted(tests - stems)]
    problems += [f"expected output {stem} has no test" for stem in sorted(stems - tests)]
    report(f"listed: {kind}", problems)


compare("regress files, schedule and expected output", {p.stem for p in files("sql/*.sql")}, "test/regress.schedule",
        {p.stem for p in files("expected/*.out")})
compare("isolation specs, schedule and expected output", {p.stem for p in files("test/isolation/specs/*.spec")},
        "test/isolation.schedule", {p.stem for p in files("test/isolation/expected/*.out")})
report("listed: TAP files are NNN_name.pl and declare an end",
       [f"{name_of(p)}: name" for p in files("test/tap/*") if not re.fullmatch(r"\d{3}_[a-z0-9_]+\.pl", p.name)]
       + [f"{name_of(p)}: neither done_testing() nor a plan" for p in files("test/tap/*.pl")
          if not re.search(r"done_testing|tests\s*=>|plan ", p.read_text())])
report("listed: unit tests are NAME_test.cpp and fuzzers fuzz_NAME.cpp with a corpus",
       [f"{name_of(p)}: not run under this name" for p in files("test/unit/*.cpp") if not p.stem.endswith("_test")]
       + [f"{name_of(p)}: not run under this name" for p in files("test/fuzz/*.cpp") if not p.stem.startswith("fuzz_")]
       + [f"{name_of(p)}: no corpus in test/fuzz/corpus/{p.stem[5:]}" for p in files("test/fuzz/fuzz_*.cpp")
          if not files(f"test/fuzz/corpus/{p.stem[5:]}/*")])

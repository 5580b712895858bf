"""Checks the checks: a small good tree passes every rule, and each rule finds what it is there to find.

Each sample spoils the good tree in one way and names the rule that must break. A check whose rule has no sample
fails here, so that a new rule comes with its proof.
"""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent

GOOD = {
    "mirox_tokens.control": "default_version = '7.3'\n",
    "Makefile": "CPPFLAGS = -DMIROX_VERSION='\"$(EXTVERSION)\"'\n",
    "LICENSE": "PostgreSQL License\nPermission to use, copy, modify\n",
    "CHANGELOG.md": "# Changes\n\n## Unreleased\n\n## 7.2\n",
    "README.md": "The manual.\n",
    "META.json.in": '{"name": "mirox_tokens", "version": "@SEMVER@", "license": "postgresql", "provides": {"mirox_tokens": '
                    '{"file": "mirox_tokens.control", "docfile": "README.md", "version": "@SEMVER@"}}}\n',
    "src/upgrade/mirox_tokens--7.2.sql": "CREATE TABLE mirox.thing (id int);\n",
    "src/upgrade/mirox_tokens--7.2--7.3.sql": "CREATE OR REPLACE VIEW mirox.seen AS SELECT 1 AS one;\n",
    "src/core/one.hpp": "// One.\n#pragma once\n\nnamespace mirox::core {\n\nint one(const char* text) noexcept;\n\n}  // namespace mirox::core\n",
    "src/core/one.cpp": '// One: throw, new std::string in words only.\n#include "core/one.hpp"\n\nnamespace mirox::core {\n\n'
                        'int one(const char* text) noexcept {\n    auto f = [](int i) { return i; };\n    return f(text[0]);\n}\n\n}  // namespace mirox::core\n',
    "src/pg/prelude.hpp": "// The server's headers.\n#pragma once\n",
    "src/api/one.cpp": '// The SQL function.\n#include "pg/prelude.hpp"\n\n#include "core/one.hpp"\n\n'
                       'extern "C" {\nint pg_finfo_mirox_one = 1;\nint Pg_magic_func = 1;\nvoid _PG_init() {}\nint mirox_one() {\n    return 1;\n}\n}\n',
    "src/core/error_word.hpp": '// Words.\n#pragma once\n\n#define WORDS(KIND) KIND(name_empty, "22023")\n',
    "src/api/errors.hpp": '// Errors.\n#pragma once\n\n#include "pg/prelude.hpp"\n\nvoid raise() {\n    MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::name_empty, "name"), errmsg("empty"));\n}\n',
    "docs/reference.md": "| word | SQLSTATE | means |\n| --- | --- | --- |\n| `name_empty` | `22023` | no name |\n\n"
                         "| `one(number int = 1)` | login | `number` is how many | none |\n",
    "src/api/settings.cpp": '// Settings.\n#include "pg/prelude.hpp"\n\nconst char* kName = "mirox_tokens.ring_size";\n',
    "src/schema/00_begin.sql": "\\echo Use \"CREATE EXTENSION mirox_tokens\" to load this file. \\quit\n"
                               "CREATE SCHEMA mirox;\nSET LOCAL search_path = pg_catalog, pg_temp;\n",
    "src/schema/10_one.sql":
        "CREATE TABLE mirox.thing (id int); -- plain\nREVOKE ALL ON mirox.thing FROM PUBLIC;\n"
        "SELECT pg_catalog.pg_extension_config_dump('mirox.thing', '');\nCOMMENT ON TABLE mirox.thing IS 'A; thing';\n"
        "CREATE FUNCTION mirox.one() RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'mirox_one';\n"
        "COMMENT ON FUNCTION mirox.one() IS 'One';\nREVOKE ALL ON FUNCTION mirox.one() FROM PUBLIC;\n"
        "CREATE FUNCTION mirox.safe() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp\n"
        "AS $$ SELECT CASE WHEN true THEN 1 END; $$;\n"
        "COMMENT ON FUNCTION mirox.safe() IS 'Safe';\nREVOKE ALL ON FUNCTION mirox.safe() FROM PUBLIC;\n",
    "sql/install.sql": "SELECT 1;\n",
    "expected/install.out": "\n",
    "test/regress.schedule": "# all\ntest: install\n",
    "test/isolation/specs/race.spec": "\n",
    "test/isolation/expected/race.out": "\n",
    "test/isolation.schedule": "test: race\n",
    "test/tap/001_start.pl": "done_testing();\n",
    "test/unit/one_test.cpp": "// One.\n",
    "test/fuzz/fuzz_one.cpp": "// One.\n",
    "test/fuzz/corpus/one/a": "a",
    "docs/manual.md": "`one()` and `safe()` and `ring_size`\n",
    "scripts/run.sh": "#!/bin/bash\nset -euo pipefail\n",
}

ONE, CORE, PART = "src/api/one.cpp", "src/core/one.cpp", "src/schema/10_one.sql"
# rule, file, text to append (or None to remove the file, or (old, new) to replace), what the report must say
SAMPLES = [
    ("format: clang-format changes nothing", ONE, "int   x ;\n", "one.cpp"),
    ("rooms: includes point one way", CORE, '#include "api/one.hpp"\n', "core may not include"),
    ("rooms: includes point one way", "src/store/a.cpp", '// A.\n#include "pg/prelude.hpp"\n#include "worker/x.hpp"\n', "store may not include worker"),
    ("rooms: includes point one way", "src/store/a.cpp", '// A.\n#include "pg/prelude.hpp"\n#include "api/x.hpp"\n', "store may not include api"),
    ("rooms: includes point one way", "src/shmem/a.cpp", '// A.\n#include "pg/prelude.hpp"\n#include "store/x.hpp"\n', "shmem may not include store"),
    ("rooms: includes point one way", "src/core/two.cpp", '// Two.\n#include "one.hpp"\n', "write the include from src/"),
    ("rooms: files without server calls include no server header", CORE, '#include "postgres.h"\n', "postgres.h"),
    ("rooms: files without server calls include no server header", CORE, '#include <utils/elog.h>\n', "utils/elog.h"),
    ("rooms: files without server calls include no server header", "src/enrich/a.cpp", '// A.\n#include "pg/prelude.hpp"\n', "prelude"),
    ("rooms: pg/prelude.hpp comes first", ONE, ('#include "pg/prelude.hpp"\n\n', ""), "one.cpp"),
    ("banned: objects that own something live in files without server calls", ONE, "static std::string* s;\n", "std::string"),
    ("banned: objects that own something live in files without server calls", CORE, "using v = std::vector<int>;\n", "std::vector"),
    ("banned: no exceptions, and PG_TRY in src/pg/transaction.cpp alone", ONE, "void f() { try { } catch (...) { } }\n", "try {"),
    ("banned: no exceptions, and PG_TRY in src/pg/transaction.cpp alone", "src/store/a.cpp", '// A.\n#include "pg/prelude.hpp"\nvoid g() { PG_TRY(); }\n', "PG_TRY"),
    ("banned: memory comes from the server's contexts", ONE, "int* g() { return new int; }\n", "new"),
    ("banned: memory comes from the server's contexts", ONE, "void* h() { return malloc(1); }\n", "malloc"),
    ("banned: no static object with a constructor or destructor", ONE, "int zero();\nint later = zero();\n", "constructor"),
    ("banned: no static object with a constructor or destructor", ONE, "struct D { ~D(); };\nD& d() { static D it; return it; }\n", "destructor"),
    ("banned: the library neither throws nor allocates past the server, by its objects", ONE, "void g() { throw 1; }\n", "__cxa_throw"),
    ("banned: the library neither throws nor allocates past the server, by its objects", CORE, "void* f(unsigned long n) noexcept { return ::operator new(n); }\n", "operator new"),
    ("noexcept: every function of src/core", "src/core/one.hpp", "namespace mirox::core { struct S { int two(int) const; }; }\n", "two"),
    ("noexcept: every function of src/core", CORE, "namespace mirox::core { namespace { int three() { return 3; } } int four() noexcept { return three(); } }\n", "three"),
    ("exports: the library's symbols are the script's functions", ONE, 'extern "C" int mirox_secret() { return 1; }\n', "exported, not in the script: mirox_secret"),
    ("exports: the library's symbols are the script's functions", PART, "CREATE FUNCTION mirox.two() RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'mirox_two';\n", "in the script, not exported: mirox_two"),
    ("listed: regress files, schedule and expected output", "sql/two.sql", "SELECT 2;\n", "two is not in"),
    ("listed: regress files, schedule and expected output", "sql/install.sql", None, "install of test/regress.schedule has no file"),
    ("listed: regress files, schedule and expected output", "expected/install.out", None, "install has no expected output"),
    ("listed: regress files, schedule and expected output", "expected/old.out", "\n", "old has no test"),
    ("listed: isolation specs, schedule and expected output", "test/isolation/specs/two.spec", "\n", "two is not in"),
    ("listed: isolation specs, schedule and expected output", "test/isolation/expected/race.out", None, "race has no expected"),
    ("listed: TAP files are NNN_name.pl and declare an end", "test/tap/start.pl", "done_testing();\n", "start.pl: name"),
    ("listed: TAP files are NNN_name.pl and declare an end", "test/tap/002_x.pl", "1;\n", "002_x.pl: neither"),
    ("listed: unit tests are NAME_test.cpp and fuzzers fuzz_NAME.cpp with a corpus", "test/unit/two.cpp", "// Two.\n", "two.cpp"),
    ("listed: unit tests are NAME_test.cpp and fuzzers fuzz_NAME.cpp with a corpus", "test/fuzz/corpus/one/a", None, "no corpus"),
    ("comments: every function, type, table, view and operator has one", PART, ("COMMENT ON FUNCTION mirox.safe() IS 'Safe';", ""), "function safe"),
    ("comments: every function, type, table, view and operator has one", PART, "CREATE VIEW mirox.v AS SELECT 1;\n", "view v"),
    ("manual: every function, type and view is in docs/", PART, "CREATE FUNCTION mirox.hushed() RETURNS int LANGUAGE sql AS 'SELECT 1';\n", "function hushed"),
    ("manual: every argument that may be left out is explained in docs/reference.md", "docs/reference.md",
     "| `two(number int = 1, other int = 2)` | login | as `one` | none |\n", "two: other"),
    ("manual: every setting is in docs/", "src/api/settings.cpp", 'const char* kOther = "mirox_tokens.hushed_size";\n', "hushed_size"),
    ("reasons: each has a column of stat, a comment on it, and a place in the manual", "src/core/reason.hpp",
     '// Reasons.\n{Reason::hushed, "hushed", 401, "hushed", true},\n', "no column hushed"),
    ("errors: each MIROX_RAISE names its word", ONE, 'void f() {\n    MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("bad"));\n}\n', "one.cpp:15: no errword"),
    ("errors: all errors of a word have its SQLSTATE", "src/api/errors.hpp", ("INVALID_PARAMETER_VALUE", "NO_DATA_FOUND"), "name_empty is of 22023, not of P0002"),
    ("errors: each word is raised somewhere", "src/core/error_word.hpp", 'KIND(name_full, "22023")\n', "name_full"),
    ("errors: the manual lists each word with its SQLSTATE, and no other", "docs/reference.md", "| `name_full` | `22023` | too much |\n", "name_full of 22023: not in src"),
    ("errors: the manual lists each word with its SQLSTATE, and no other", "docs/reference.md", ("22023", "22024"), "name_empty of 22023: not in docs"),
    ("version: only mirox_tokens.control holds it", ONE, '// version 7.3\n', "version 7.3"),
    ("version: only mirox_tokens.control holds it", "Makefile", "DATA = mirox_tokens--7.3.sql\n", "--7.3"),
    ("version: licence, changes, META.json and library are of this one", "LICENSE", ("PostgreSQL", "MIT"), "LICENSE"),
    ("version: licence, changes, META.json and library are of this one", "CHANGELOG.md", ("Unreleased", "7.4"), "CHANGELOG.md"),
    ("version: licence, changes, META.json and library are of this one", "META.json.in", ('"version": "@SEMVER@", "license"', '"version": "7.3.0", "license"'), "version"),
    ("version: licence, changes, META.json and library are of this one", "META.json.in", ("README.md", "MANUAL.md"), "docfile"),
    ("version: licence, changes, META.json and library are of this one", "META.json.in", ('{"name"', '"name"'), "META.json.in"),
    ("version: licence, changes, META.json and library are of this one", "Makefile", ("$(EXTVERSION)", "9"), "Makefile"),
    ("version: every released one has its changes and a way to this one", "CHANGELOG.md", ("## 7.2", ""), "nothing of 7.2"),
    ("version: every released one has its changes and a way to this one", "src/upgrade/mirox_tokens--7.2--7.3.sql", None, "no way from 7.2"),
    ("version: every released one has its changes and a way to this one", "src/upgrade/7.1.sql", "SELECT 1;\n", "7.1.sql"),
    ("schema: the script owns its schema and fixes its search path", "src/schema/00_begin.sql", ("CREATE SCHEMA mirox;", ""), "CREATE SCHEMA"),
    ("schema: the script owns its schema and fixes its search path", "src/schema/00_begin.sql", ("SET LOCAL", "SET"), "SET LOCAL"),
    ("schema: the parts are ASCII, so that CREATE EXTENSION can read them in a database of any encoding", PART, "-- \u2026\n", "10_one.sql"),
    ("schema: nothing that already exists is adopted", PART, "CREATE OR REPLACE FUNCTION mirox.x() RETURNS int LANGUAGE sql AS 'SELECT 1';\n", "OR REPLACE"),
    ("schema: nothing that already exists is adopted", "src/upgrade/mirox_tokens--7.2--7.3.sql", "CREATE OR REPLACE RULE r AS ON INSERT TO mirox.seen DO INSTEAD NOTHING;\n", "OR REPLACE"),
    ("schema: nothing that already exists is adopted", PART, "CREATE TABLE IF NOT EXISTS mirox.x (i int);\n", "IF NOT EXISTS"),
    ("schema: no simple CASE, whose = cannot be qualified", PART, "CREATE VIEW mirox.c AS SELECT CASE 1 WHEN 1 THEN 2 END;\n", "CASE 1"),
    ("schema: SECURITY DEFINER only with a fixed search path", PART, (" SET search_path = pg_catalog, pg_temp\n", "\n"), "mirox.safe"),
    ("schema: SECURITY DEFINER only with a fixed search path", PART, ("pg_catalog, pg_temp\nAS", "public\nAS"), "mirox.safe"),
    ("schema: what a part makes, it revokes from PUBLIC", PART, ("REVOKE ALL ON FUNCTION mirox.one() FROM PUBLIC;", ""), "function one"),
    ("schema: what a part makes, it revokes from PUBLIC", PART, ("REVOKE ALL ON mirox.thing FROM PUBLIC;", ""), "table thing"),
    ("schema: every table and sequence is dumped, or says `not dumped` and why", PART, "CREATE TABLE mirox.more (i int);\n", "table more"),
    ("acts: what login, application or admin may call is made by MIROX_ACT, and that alone", PART, "INSERT INTO mirox.access_rule (object, kind, level) VALUES ('mirox.one()', 'function', 'admin');\n", "one: of level admin"),
    ("acts: what login, application or admin may call is made by MIROX_ACT, and that alone", PART, "INSERT INTO mirox.access_rule VALUES ('mirox.safe()', 'function', 'login');\n", "safe: of level login"),
    ("acts: what login, application or admin may call is made by MIROX_ACT, and that alone", ONE, "\nMIROX_ACT(one) {\n}\n", "mirox_one is of no such level"),
    ("secrets: a function that is given or shows one does not tell where it was called from", PART,
     "CREATE FUNCTION mirox.tell(place int, session text DEFAULT 'a,b') RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'mirox_tell';\n", "tell has session"),
    ("secrets: a function that is given or shows one does not tell where it was called from", PART,
     "CREATE FUNCTION mirox.tell() RETURNS mirox.issued_token LANGUAGE c AS 'MODULE_PATHNAME', 'mirox_tell';\n", "tell has issued_token"),
    ("secrets: a function that is given or shows one does not tell where it was called from", ONE,
     "MIROX_FUNCTION(tell) {\n    return pg::secret_arg(fcinfo, 0).given;\n}\n", "tell calls secret_arg"),
    ("secrets: errors and lines of the log leave the caller's statement out", ONE, "void f() {\n    ereport(WARNING, errmsg(0));\n}\n", "ereport(WARNING"),
    ("secrets: errors and lines of the log leave the caller's statement out", ONE, "void f() {\n    elog(ERROR, 0);\n}\n", "elog(ERROR"),
    ("sql: a statement longer than a line stands in a .sql file", ONE, '\nconst char* kSql =\n    "SELECT 1 "\n    "FROM thing";\n', "SELECT 1"),
    ("sql: a statement longer than a line stands in a .sql file", ONE, '\nconst char* kSql = R"(\n  DELETE FROM thing\n  WHERE false)";\n', "one.cpp"),
    ("scripts: parse, are executable, stop at errors", "scripts/run.sh", "if then\n", "syntax error"),
    ("scripts: parse, are executable, stop at errors", "scripts/b.sh", "#!/bin/bash\nset -euo pipefail\n", "not executable"),
]


def write(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def compile_tree(root, sources):
    for source in sources:
        # What a rule forbids is not for the compiler to refuse: includes are left out, names declared.
        text = re.sub(r"(?m)^#include.*", "", (root / source).read_text())
        (root / "bare.cpp").write_text(text)
        subprocess.run(["g++", "-std=c++20", "-fPIC", "-c", "-w", "-O0", "-o", (root / source).with_suffix(".o"), root / "bare.cpp"],
                       capture_output=True)
        (root / "bare.cpp").unlink()
    objects = [str(p) for p in (root / "src").rglob("*.o")]
    subprocess.run(["g++", "-shared", "-o", root / "mirox_tokens.so", "-Wl,--version-script=" + str(root / "map"), "-Wl,-z,lazy", *objects],
                   capture_output=True)


def good_tree(root):
    for name, text in GOOD.items():
        write(root, name, text)
    (root / "scripts/run.sh").chmod(0o755)
    shutil.copy(HERE.parents[1] / ".clang-format", root)
    write(root, "map", "{ global: Pg_magic_func; _PG_init; mirox_*; pg_finfo_mirox_*; local: *; };\n")
    compile_tree(root, [name for name in GOOD if name.startswith("src/") and name.endswith(".cpp")])


def outcome(root, check):
    ended = subprocess.run([sys.executable, check], capture_output=True, text=True, env={**os.environ, "MIROX_ROOT": str(root)})
    rules = {m.group(2): (m.group(1), m.group(3)) for m in re.finditer(r"^(ok|not ok) (.*)\n((?:    .*\n)*)", ended.stdout, re.M)}
    return rules or {"(none)": ("not ok", ended.stderr)}


def spoil(work, good, number, rule, name, change, says, check):
    root = work / str(number)
    shutil.copytree(good, root, symlinks=True)
    path = root / name
    if change is None:
        path.unlink()
    elif isinstance(change, tuple):
        before = path.read_text()
        if change[0] not in before:
            return f"{rule}: the sample for {name} no longer fits"
        path.write_text(before.replace(*change))
    else:
        write(root, name, (path.read_text() if path.is_file() else "") + change)
    if check.stem in ("check_banned", "check_exports") and name.endswith(".cpp"):
        compile_tree(root, [name])
    found, text = outcome(root, check).get(rule, ("missing", ""))
    shutil.rmtree(root)
    return None if found == "not ok" and says in text else f"{rule}: missed in {name} ({says}): {found} {text.strip()[:300]}"


with tempfile.TemporaryDirectory(prefix="mirox-static-") as folder:
    work = pathlib.Path(folder)
    good = work / "good"
    good_tree(good)
    checks = sorted(HERE.glob("check_*.py"))
    alarms, missed, owner = [], [], {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for check, rules in zip(checks, pool.map(lambda check: outcome(good, check), checks)):
            for rule, (found, text) in rules.items():
                owner[rule] = check
                if found != "ok":
                    alarms.append(f"{rule}: alarm in a good tree: {text.strip()[:300]}")
        known = [s for s in SAMPLES if s[0] in owner]
        missed += [f"no check has the rule {s[0]!r}" for s in SAMPLES if s[0] not in owner]
        missed += [f"{rule}: has no sample" for rule in owner if rule not in {s[0] for s in SAMPLES}]
        tried = pool.map(lambda n: spoil(work, good, n, *known[n], owner[known[n][0]]), range(len(known)))
        missed += [problem for problem in tried if problem]
for title, problems in (("selftest: a good tree raises no alarm", alarms), (f"selftest: {len(SAMPLES)} spoilt trees are found out", missed)):
    print(("not ok " if problems else "ok ") + title)
    for problem in problems:
        print("    " + problem)

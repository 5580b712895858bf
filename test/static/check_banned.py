"""Nothing that a server error would jump over, or that would take the server down, is in the library that the server loads."""
import re

from tree import cxx_code, files, name_of, report, run, server_free

OWNING = (r"std::(string|vector|unique_ptr|shared_ptr|lock_guard|unique_lock|scoped_lock|map|unordered_map|set|unordered_set"
          r"|list|deque|function|any|[io]?stringstream|[io]?fstream|mutex|thread|jthread)\b")
CONTROL = r"\b(try\s*\{|catch\s*\(|throw\b|PG_TRY|PG_CATCH|PG_FINALLY|sigsetjmp|PG_exception_stack)"
HEAP = r"(?<!operator )\bnew\b(?!\s*\()|(?<!= )(?<!operator )\bdelete\b|\b(malloc|calloc|realloc|free|strdup|posix_memalign)\s*\("

# A background process goes on after an error; a setting's value of 15 is the C library's.
EXCUSED = {"control": "src/pg/transaction.cpp", "heap": "src/pg/compat.hpp"}

found = {"owning": [], "control": [], "heap": []}
for path in files("src/**/*.[ch]pp"):
    name = name_of(path)
    core = name.startswith("src/core/")
    for number, line in enumerate(cxx_code(path).splitlines(), 1):
        if core or not server_free(path):
            for key, pattern in (("owning", OWNING), ("control", CONTROL), ("heap", HEAP)):
                if name == EXCUSED.get(key):
                    continue
                for match in re.finditer(pattern, line):
                    found[key].append(f"{name}:{number}: {match.group(0).strip()}")
        if core and re.search(r"\b(dynamic_cast|typeid)\b", line):
            found["control"].append(f"{name}:{number}: RTTI")
report("banned: objects that own something live in files without server calls", found["owning"])
report("banned: no exceptions, and PG_TRY in src/pg/transaction.cpp alone", found["control"])
report("banned: memory comes from the server's contexts", found["heap"])

# What the compiler made of it: one object a source. string_view's bounds check (out_of_range) may stay: it is an assertion.
statics, throwing = [], []
for path in files("src/**/*.cpp"):
    built = path.with_suffix(".o")
    if not built.is_file():
        statics.append(f"{name_of(path)}: not built")
        continue
    symbols = run("nm", "-C", name_of(built)).stdout
    if "_GLOBAL__sub_I_" in symbols or "__static_initialization_and_destruction" in symbols:
        statics.append(f"{name_of(path)}: a static object with a constructor, which would run when the library is loaded")
    if re.search(r"U (__cxa_atexit|__dso_handle)\b", symbols):
        statics.append(f"{name_of(path)}: a static object with a destructor, which would run after the server has gone")
    if not name_of(path).startswith("src/enrich/"):
        # A setting's value of 15 is the C library's (pg/compat.hpp).
        heap = "malloc|calloc|realloc|free|" if name_of(path) != "src/pg/settings.cpp" else ""
        for match in re.finditer(r" U (operator (?:new|delete)[^\n]*|(?:" + heap + r"__cxa_throw|__cxa_begin_catch|__cxa_guard_acquire|"
                                 r"std::__throw_(?!out_of_range)\w+)\b[^\n]*)", symbols):
            throwing.append(f"{name_of(path)}: {match.group(1)}")
report("banned: no static object with a constructor or destructor", statics)
report("banned: the library neither throws nor allocates past the server, by its objects", throwing)

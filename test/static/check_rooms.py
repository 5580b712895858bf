"""Includes point one way, and the server's headers come in by src/pg/prelude.hpp first."""
import re

from tree import ROOMS, ROOT, files, name_of, report, server_free

MAY = {
    "core": {"core"},
    "pg": {"pg", "core"},
    "store": {"store", "shmem", "pg", "core"},
    "shmem": {"shmem", "pg", "core"},
    "worker": {"worker", "enrich", "store", "shmem", "pg", "core"},
    "enrich": {"enrich", "pg", "core"},
    "api": set(ROOMS),
}
FREE = ("core/", "enrich/", "shmem/core_")


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
        if match:
            yield number, match.group(1) == '"', match.group(2)


def prelude_first(path, seen=()):
    # Headers of src/core know no server and may come before.
    first = next((name for _, quoted, name in includes(path) if not name.startswith("core/")), None)
    if first == "pg/prelude.hpp":
        return True
    inner = ROOT / "src" / str(first)
    return inner.is_file() and inner not in seen and prelude_first(inner, (*seen, inner))


direction, pure, order = [], [], []
for path in files("src/**/*.[ch]pp"):
    name = name_of(path)
    room = name.split("/")[1]
    if room not in ROOMS:
        direction.append(f"{name}: no such room")
        continue
    free = server_free(path) or room == "core"
    for number, quoted, target in includes(path):
        target_room = target.split("/")[0] if "/" in target else None
        where = f"{name}:{number}"
        if (ROOT / "src" / target).is_file() or (quoted and target_room in ROOMS):
            if target_room not in MAY[room]:
                direction.append(f"{where}: {room} may not include {target}")
            elif target_room == "api" and not name.startswith("src/api/"):
                direction.append(f"{where}: nothing includes api")
            if free and (target_room == "pg" or (name.startswith(tuple("src/" + f for f in FREE)) and not target.startswith(FREE))):
                pure.append(f"{where}: {target} knows the server")
        elif (path.parent / target).is_file():
            direction.append(f"{where}: write the include from src/ ({room}/{target})")
        elif free and (quoted or re.match(r"(postgres|c\.h|fmgr|catalog/|utils/|storage/|access/|executor/|nodes/|server/)", target)):
            pure.append(f"{where}: {target} is a server header or unknown")
    if path.suffix == ".cpp" and not free and not prelude_first(path):
        order.append(f"{name}: its first include is not pg/prelude.hpp, nor a header that begins with it")
report("rooms: includes point one way", direction)
report("rooms: files without server calls include no server header", pure)
report("rooms: pg/prelude.hpp comes first", order)

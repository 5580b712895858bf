# What the project's scripts share. Sourced by bash scripts that have `set -euo pipefail`.

MIROX_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$MIROX_ROOT"
unset MAKEFLAGS MFLAGS MAKELEVEL CDPATH

# NO_BITCODE=1 leaves out the bitcode for the server's JIT, which takes as long to make as the library.
BITCODE=${NO_BITCODE:+with_llvm=no}

say() { printf '%s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }

# What each release of Debian brings: its PostgreSQL, and the end of its clang packages' names (the sources are laid out, and
# src/core is read, by clang 14, which 12 has; elsewhere the fuzzers are built by the release's own).
case $(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}") in
    trixie) RELEASE_MAJOR=17 RELEASE_CLANG= ;;
    forky | sid) RELEASE_MAJOR=18 RELEASE_CLANG= ;;
    *) RELEASE_MAJOR=15 RELEASE_CLANG=-14 ;;
esac

# The newest PostgreSQL of this machine whose server is installed; empty when there is none.
newest_server() { { ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null || true; } | cut -d/ -f5 | sort -n | tail -1; }

# Sets PG_CONFIG and PG_MAJOR: by PG_CONFIG when it is given and there, else by PG_MAJOR, else the newest server, else the
# release's own.
choose_server() {
    if [ "${PG_CONFIG:-pg_config}" != pg_config ] && [ -x "$PG_CONFIG" ]; then
        PG_MAJOR=$("$PG_CONFIG" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
    else
        PG_MAJOR=${PG_MAJOR:-$(newest_server)}
        PG_MAJOR=${PG_MAJOR:-$RELEASE_MAJOR}
        PG_CONFIG=/usr/lib/postgresql/$PG_MAJOR/bin/pg_config
    fi
    export PG_MAJOR PG_CONFIG
}

# The ordinary user that servers and tests run as: the caller, or `postgres` (which the package brings) for root.
ordinary_user() { if is_root; then echo postgres; else id -un; fi; }

# as_user COMMAND…: runs it as that user, without the caller's PG* variables, finding the staged server first.
as_user() {
    local clean=(env -u PGHOST -u PGPORT -u PGUSER -u PGPASSWORD -u PGDATABASE -u PGSERVICE -u PGOPTIONS -u PGDATA
        -u PGSSLMODE -u PG_REGRESS -u LANGUAGE -u LC_CTYPE -u LC_COLLATE -u LC_MESSAGES
        LC_ALL=C.UTF-8 HOME="$WORK" TMPDIR="$WORK" MIROX_RUN="$WORK" PATH="$STAGE_BIN:$PATH")
    if is_root; then runuser -u postgres -- "${clean[@]}" "$@"; else "${clean[@]}" "$@"; fi
}

# Makes WORK, a temporary folder of the ordinary user's, and sees to it that nothing outlives the script: not a
# server or program that was started in it (a server is known by its data folder, others by their environment),
# nor the folder.
make_work() {
    WORK=$(mktemp -d "/tmp/mirox-$1.XXXXXX")
    if is_root; then chown postgres: "$WORK"; fi
    trap 'leave' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}
leave() {
    local status=$?
    trap - EXIT
    trap '' INT TERM HUP
    set +e
    if declare -F before_leaving >/dev/null; then before_leaving; fi
    if [ -n "${KEEP_WORK:-}" ]; then exit "$status"; fi
    stop_all
    rm -rf "$WORK"
    exit "$status"
}
stop_all() {
    local pid environ round
    for round in INT INT QUIT KILL; do
        local any=
        for pid in $(find "$WORK" -name postmaster.pid -exec head -qn1 {} + 2>/dev/null); do
            kill "-$round" "$pid" 2>/dev/null && any=1
        done
        for environ in /proc/[0-9]*/environ; do
            pid=${environ#/proc/}; pid=${pid%/environ}
            [ "$pid" = $$ ] && continue
            if tr '\0' '\n' 2>/dev/null <"$environ" | grep -qxF "MIROX_RUN=$WORK"; then
                kill "-$([ "$round" = INT ] && echo TERM || echo "$round")" "$pid" 2>/dev/null && any=1
            fi
        done 2>/dev/null
        [ -z "$any" ] && return
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            sleep 0.1
            [ -z "$(find "$WORK" -name postmaster.pid 2>/dev/null)" ] && break
        done
    done
}

# stage_server: a private copy of the server's tree with this build installed in it. A server finds its libraries
# and extensions relative to its own program, so the programs are copied and all else is linked. Thus a test or
# demo needs no root, cannot be confused by another build, and replaces no library that a running server may load.
stage_server() {
    STAGE=$WORK/stage
    local bin lib share
    bin=$("$PG_CONFIG" --bindir) lib=$("$PG_CONFIG" --pkglibdir) share=$("$PG_CONFIG" --sharedir)
    mkdir -p "$STAGE$bin" "$STAGE$lib" "$STAGE$share"
    cp -LR "$bin/." "$STAGE$bin/"
    cp -Rs "$lib/." "$STAGE$lib/"
    cp -Rs "$(readlink -f "$share")/." "$STAGE$share/"
    rm -rf "$STAGE$lib"/mirox_tokens* "$STAGE$lib"/bitcode/mirox_tokens* "$STAGE$share"/extension/mirox_tokens*
    make -s install $BITCODE DESTDIR="$STAGE" >"$WORK/install.log" 2>&1 || { cat "$WORK/install.log"; fail 'make install failed'; }
    STAGE_BIN=$STAGE$bin
    if is_root; then chown -R postgres: "$STAGE"; fi
}

build() {
    [ -n "${BUILT:-}" ] && return
    BUILT=1
    say "== build for PostgreSQL $PG_MAJOR"
    make -s -j"$(nproc)" $BITCODE all
}

#!/bin/bash
# Measures this build beside limits and peers on a server of its own with durable settings (see docs/performance.md):
#
#   scripts/bench.sh [quick] [OPTION…]    options of test/bench/run.py
#   SIZE=large                            10,000,000 tokens instead of 1,000,000, without the peers; longer overload, more reports
#   KEEP=1                                leaves the server up
#   BEFORE=REVISION                       measures checks beside that revision's build too, in turns
#   HUGE_PAGES=off                        takes none, where another server uses the machine's
#
# Results go to bench/ (not in git): results.json. make bench-docs makes docs/performance.md of them.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

command="make bench" options=()
if [ "${1:-}" = quick ]; then
    shift
    command="make bench-quick"
    options+=(--quick)
fi
case "${SIZE:-}" in
    '') ;;
    large) options+=(--size 10000000) command="$command SIZE=large" ;;
    *[!0-9]*) fail "SIZE is a number of tokens, or large" ;;
    *) options+=(--size "$SIZE") command="$command SIZE=$SIZE" ;;
esac

scripts/setup.sh
choose_server
make_work bench
build
stage_server
socket=$WORK/socket
as_user mkdir -p "$socket" "$WORK/out"
mkdir -p "$WORK/programs"
cp test/bench/*.py test/bench/*.sql "$WORK/programs/"
if is_root; then chown -R postgres: "$WORK/programs"; fi
revision=$(git describe --always --dirty 2>/dev/null || echo unknown)
top=$PWD

# Shared buffers fit the data when the machine has the memory: what is compared is the work, not the disk's reads.
memory=$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
buffers=$((memory / 3 > 8192 ? 8192 : memory / 3))
cd "$WORK"
# make_data MB: a data folder in WORK, for the server that was staged there.
make_data() {
    as_user initdb -D "$WORK/data" -A trust -U postgres --encoding=UTF8 --no-locale ${CHECKSUMS:+--data-checksums} \
        >"$WORK/initdb.log" 2>&1 || { cat "$WORK/initdb.log"; fail 'initdb failed'; }
    # Autovacuum is off while measuring: a run of it would meet one contender and not another.
    as_user tee -a "$WORK/data/postgresql.conf" >/dev/null <<CONF
shared_preload_libraries = 'mirox_tokens'
listen_addresses = ''
unix_socket_directories = '$WORK/socket'
max_connections = 100
fsync = on
synchronous_commit = on
full_page_writes = on
shared_buffers = ${1}MB
max_wal_size = 8GB
checkpoint_timeout = 30min
autovacuum = off
jit = off
log_statement = none
${BENCH_CONF:-}
CONF
}
make_data "$buffers"
# Huge pages, as buffers of this size have them anywhere: without them the first touch of each page by each new connection is a
# page fault, and in runs of two seconds these are a good part of what is measured. The machine has them back at the end.
pool=/proc/sys/vm/nr_hugepages had=$(cat /proc/sys/vm/nr_hugepages 2>/dev/null || echo 0)
set_pool() { if is_root; then echo "$1" >$pool; else sudo -n sh -c "echo $1 >$pool"; fi 2>/dev/null; }
wanted=$((had + $(as_user postgres -D "$WORK/data" -C shared_memory_size_in_huge_pages)))
before_leaving() { if [ -z "${HUGE_PAGES:-}" ]; then set_pool "$had"; fi; }
if [ -z "${HUGE_PAGES:-}" ]; then set_pool "$wanted" || true; fi
if [ "${HUGE_PAGES:-on}" = on ] && [ "$(cat $pool 2>/dev/null || echo 0)" -ge "$wanted" ]; then
    echo 'huge_pages = on'
else
    before_leaving || true
    say 'no huge pages to be had: page faults will be part of what is measured' >&2
    echo 'huge_pages = off'
fi | as_user tee -a "$WORK/data/postgresql.conf" >/dev/null
as_user pg_ctl -s -w -D "$WORK/data" -l "$WORK/server.log" start || { tail -20 "$WORK/server.log"; fail 'no server'; }
measure() {
    as_user env PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$WORK/programs/run.py" "$socket" "$WORK/out" "$@" ||
        { tail -5 "$WORK/server.log"; fail 'the bench failed'; }
}
if [ -n "${BEFORE:-}" ]; then
    before=$(git -C "$top" rev-parse --short "$BEFORE^{commit}")
    say "== build of $before, to compare with"
    mkdir -p "$WORK/before/tree" "$WORK/before/socket"
    git -C "$top" archive "$before" | tar -x -C "$WORK/before/tree"
    (
        cd "$WORK/before/tree"
        make -s -j"$(nproc)" with_llvm=no all >"$WORK/before/build.log" 2>&1 || { tail -20 "$WORK/before/build.log"; fail 'it does not build'; }
        if is_root; then chown -R postgres: "$WORK/before"; fi
        WORK=$WORK/before BITCODE=with_llvm=no
        stage_server
        cd "$WORK"
        make_data 1024
        as_user pg_ctl -s -w -D "$WORK/data" -l "$WORK/server.log" start || { tail -20 "$WORK/server.log"; fail 'no server of that revision'; }
    )
    options+=(--before "$WORK/before" --before-revision "$before")
fi
measure "${options[@]}" --command "$command" --revision "$revision" "$@"

mkdir -p "$top/bench"
cp "$WORK/out/results.json" "$top/bench/"
say "kept as bench/results.json"
if [ -n "${KEEP:-}" ]; then
    KEEP_WORK=1
    say '' "The server is still up: psql -h $socket -U postgres bench" "End it by pg_ctl -D $WORK/data stop; rm -rf $WORK"
    if [ -n "${BEFORE:-}" ]; then say "And by pg_ctl -D $WORK/before/data stop"; fi
fi

#!/bin/bash
# Runs the test suites and ends in a line `N passed, N failed` over all of them.
#
#   scripts/test.sh [SUITE…]      static, unit, regress, isolation, tap; all by default
#   TESTS="name …"                only these: static checks, gtest filters, regress files, specs, TAP files
#
# Exit status 0 only when every suite ran and nothing failed. A suite with files and no test run is a failure.
# Servers are its own, in a temporary folder, as an ordinary user, on private sockets; nothing of it is left. Full
# logs: results/SUITE*. TESTS_KEEP_SETUP=1 skips the look for missing packages.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
suites=("$@")
[ ${#suites[@]} = 0 ] && suites=(static unit regress isolation tap)
chosen=${TESTS:-}
started=$SECONDS

[ -n "${TESTS_KEEP_SETUP:-}" ] || scripts/setup.sh
choose_server
rm -rf results
mkdir -p results
make_work test

passed=0 failed=0
# count SUITE PASSED FAILED STATUS FILES: adds to the totals and says how the suite went.
count() {
    local bad=$3 note=
    if [ "$4" != 0 ] && [ "$bad" = 0 ]; then bad=1; note=" (ended with status $4)"; fi
    if [ "$2" = 0 ] && [ "$bad" = 0 ] && [ "$5" != 0 ]; then bad=1; note=' (no test ran)'; fi
    if [ "$5" = 0 ] && [ "$bad" = 0 ]; then note=' (no test files)'; fi
    passed=$((passed + $2)) failed=$((failed + bad))
    say "-- $1: $2 passed, $bad failed$note"
}
# matches FILE PATTERN: the number of lines that match, 0 for none or no file.
matches() { grep -cE "$2" "$1" 2>/dev/null || true; }
files() { local n=0 f; for f in "$@"; do [ -e "$f" ] && n=$((n + 1)); done; echo "$n"; }
# Names of a schedule file, in order.
scheduled() { sed -n 's/^test: *//p' "$1" 2>/dev/null | tr ' ' '\n' | sed '/^$/d'; }

suite_static() {
    build # some rules are about what the compiler made
    say '== static'
    local status=0
    TESTS="$chosen" /usr/bin/python3 test/static/run.py >results/static.log 2>&1 || status=$?
    sed -n '/^not ok/,/^ok/{/^ok/!p}' results/static.log
    [ "$status" = 0 ] || grep -qE '^not ok' results/static.log || tail -20 results/static.log
    count static "$(matches results/static.log '^ok ')" "$(matches results/static.log '^not ok ')" "$status" 1
}

suite_unit() {
    say '== unit'
    local status=0 good=0 bad=0 sources fuzzers log=results/unit.log
    sources=$(files test/unit/*_test.cpp) fuzzers=$(files test/fuzz/fuzz_*.cpp)
    if [ "$sources" != 0 ]; then
        if make -s -j"$(nproc)" -f test/unit/unit.mk >results/unit-build.log 2>&1; then
            local filter=${chosen// /*:*}
            ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 \
                build/unit/tests --gtest_color=no ${chosen:+"--gtest_filter=*$filter*"} >"$log" 2>&1 || status=$?
            good=$(matches "$log" '^\[       OK \]')
            bad=$(matches "$log" '^\[  FAILED  \] .* \([0-9]+ ms\)$')
            local begun=$(matches "$log" '^\[ RUN      \]') skipped=$(matches "$log" '^\[  SKIPPED \] .* \([0-9]+ ms\)$')
            [ "$begun" -gt $((good + bad + skipped)) ] && bad=$((bad + 1)) # a crash inside a test
            if [ "$status" != 0 ]; then
                awk '/^\[ RUN/ {text = ""} {text = text $0 "\n"}
                    /^\[  FAILED  \] .* ms\)$/ {printf "%s", text} /^\[       OK/ {text = ""}
                    END {if (text ~ /^\[ RUN/ && text !~ /tests ran/) printf "%s", text}' "$log" | head -200
            fi
        else
            cat results/unit-build.log
            status=2
        fi
    fi
    # What fuzzing has found or was given as a start runs through again.
    if [ "$fuzzers" != 0 ] && [ -z "$chosen" ]; then
        if ! make -s -j"$(nproc)" -f test/fuzz/fuzz.mk >results/fuzz-build.log 2>&1; then
            cat results/fuzz-build.log
            bad=$((bad + 1))
        else
            local source name
            for source in test/fuzz/fuzz_*.cpp; do
                name=${source#test/fuzz/fuzz_}; name=${name%.cpp}
                if [ "$(files test/fuzz/corpus/"$name"/*)" = 0 ]; then
                    say "fuzz $name: no corpus in test/fuzz/corpus/$name"
                    bad=$((bad + 1))
                elif build/fuzz/"$name" -runs=0 -timeout=10 "test/fuzz/corpus/$name" >"results/fuzz-$name.log" 2>&1; then
                    good=$((good + 1))
                else
                    say "fuzz $name ended with status $?"
                    tail -40 "results/fuzz-$name.log"
                    bad=$((bad + 1))
                fi
            done
        fi
    fi
    count unit "$good" "$bad" "$status" $((sources + fuzzers))
}

# Once: builds and installs into the stage, and copies what the server's suites read to the work folder, where the
# ordinary user may write.
prepare_servers() {
    [ -n "${STAGE_BIN:-}" ] && return
    build
    stage_server
    TREE=$WORK/tree
    mkdir -p "$TREE"
    # Objects too, and the headers that SQL was made into: some tests change a copy of the tree and build it.
    tar -c --exclude=.git --exclude='./build/[!s]*' --exclude=./results --exclude='*.bc' \
        --exclude=node_modules . | tar -x -C "$TREE"
    PGXS_DIR=$(dirname "$(dirname "$(dirname "$("$PG_CONFIG" --pgxs)")")")
    if is_root; then chown -R postgres: "$TREE" "$STAGE"; fi
}

# driver SUITE PROGRAM ARGUMENT…: pg_regress or its isolation kin, on a server of its own.
driver() {
    local suite=$1 program=$2 out=$WORK/$1 status=0
    shift 2
    as_user mkdir -p "$out"
    (cd "$TREE" && as_user env PGISOLATIONTIMEOUT=60 PG_TEST_TIMEOUT_DEFAULT=120 "$program" \
        --bindir="$STAGE_BIN" --temp-instance="$out/instance" --temp-config=test/conf/mirox_tokens.conf \
        --encoding=UTF8 --no-locale --outputdir="$out" "$@") >"results/$suite.log" 2>&1 || status=$?
    mkdir -p "results/$suite"
    cp -r "$out/results" "$out"/log "$out"/regression.* "results/$suite/" 2>/dev/null || true
    # 15 says `name ... ok 12 ms`, 16 and later `ok 1 - name 12 ms`.
    local good bad
    good=$(matches "results/$suite.log" '^(test .*|    .*)\.\.\. ok |^ok [0-9]')
    bad=$(matches "results/$suite.log" '^(test .*|    .*)\.\.\. FAILED|^not ok [0-9]')
    if [ "$status" != 0 ]; then
        grep -E '\.\.\. FAILED|^not ok|^Bail|^pg_.*: (error|fatal)|^# ' "results/$suite.log" || tail -30 "results/$suite.log"
        head -300 "results/$suite/regression.diffs" 2>/dev/null || tail -30 "results/$suite/log/postmaster.log" 2>/dev/null || true
        grep -hE 'PANIC|FATAL: .*(mirox|library)|terminated by signal|ERROR: .*internal' "results/$suite/log/postmaster.log" 2>/dev/null |
            head -20 || true
    fi
    count "$suite" "$good" "$bad" "$status" "$SUITE_FILES"
}

suite_regress() {
    prepare_servers
    say '== regress'
    SUITE_FILES=$(files sql/*.sql)
    if [ "$SUITE_FILES" = 0 ]; then count regress 0 0 0 0; return; fi
    local what=(--schedule=test/regress.schedule)
    # The first test of the schedule makes the extension, so it comes before any choice.
    if [ -n "$chosen" ]; then what=($(scheduled test/regress.schedule | head -1) $chosen); fi
    driver regress "$PGXS_DIR/src/test/regress/pg_regress" --inputdir=. --dbname=regression "${what[@]}"
}

suite_isolation() {
    prepare_servers
    say '== isolation'
    SUITE_FILES=$(files test/isolation/specs/*.spec)
    if [ "$SUITE_FILES" = 0 ]; then count isolation 0 0 0 0; return; fi
    local what=(--schedule=test/isolation.schedule)
    if [ -n "$chosen" ]; then what=($chosen); fi
    driver isolation "$PGXS_DIR/src/test/isolation/pg_isolation_regress" --inputdir=test/isolation \
        --dbname=isolation_regression --load-extension=mirox_tokens "${what[@]}"
}

suite_tap() {
    prepare_servers
    say '== tap'
    local tests=() name file status=0 log good=0 bad=0 here worst
    SUITE_FILES=$(files test/tap/*.pl)
    if [ "$SUITE_FILES" = 0 ]; then count tap 0 0 0 0; return; fi
    if [ -n "$chosen" ]; then
        for name in $chosen; do
            for file in test/tap/*"$name"*; do [ -e "$file" ] && tests+=("$file"); done
        done
    else
        tests=(test/tap/*.pl)
    fi
    as_user mkdir -p "$WORK/tap"
    (cd "$TREE" && as_user env TESTDIR="$WORK/tap" TESTLOGDIR="$WORK/tap/tmp_check/log" TESTDATADIR="$WORK/tap/tmp_check" \
        PG_REGRESS="$PGXS_DIR/src/test/regress/pg_regress" PG_TEST_TIMEOUT_DEFAULT="${PG_TEST_TIMEOUT_DEFAULT:-120}" \
        MIROX_TREE="$TREE" MIROX_STAGE="$STAGE" MIROX_BIN="${STAGE_BIN#"$STAGE"}" MIROX_CONF="$TREE/test/conf/mirox_tokens.conf" PG_MAJOR="$PG_MAJOR" \
        PERL5LIB="$PGXS_DIR/src/test/perl:$TREE/test/tap/lib" \
        prove -j2 --timer --exec "bash scripts/tap_one.sh $WORK/tap" "${tests[@]}") >results/tap.log 2>&1 || status=$?
    grep -E '\.\. ' results/tap.log || true
    cp -r "$WORK/tap/logs" results/tap 2>/dev/null || true
    mkdir -p results/tap/server
    cp "$WORK"/tap/tmp_check/log/* results/tap/server/ 2>/dev/null || true
    for file in "${tests[@]}"; do
        name=$(basename "$file" .pl) log=results/tap/$(basename "$file" .pl).log
        good=$((good + $(matches "$log" '^ok ')))
        here=$(matches "$log" '^not ok ') worst=$(cat "$WORK/tap/logs/$name.status" 2>/dev/null || echo 255)
        # A file that dies, or does not say how many tests it has, has failed even if no test of it did.
        if [ "$here" = 0 ] && { [ "$worst" != 0 ] || ! grep -qE '^1\.\.[0-9]' "$log"; }; then here=1; fi
        bad=$((bad + here))
        if [ "$here" != 0 ]; then
            say "---- $file (status $worst)"
            grep -vE '^ok |^# (Checking port|Found port|Name:|Data directory:|Backup directory:|Archive directory:|Connection string:|Log file:)' "$log" 2>/dev/null | tail -60 || true
            for log in "results/tap/server/regress_log_$name" results/tap/server/"$name"_*.log; do
                [ -e "$log" ] && { say "---- ${log##*/}"; tail -25 "$log"; }
            done
        fi
    done
    count tap "$good" "$bad" "$status" "$SUITE_FILES"
}

for suite in "${suites[@]}"; do
    case $suite in
    static | unit | regress | isolation | tap) "suite_$suite" ;;
    *) fail "no such suite: $suite" ;;
    esac
done
say "== $((SECONDS - started)) s; full logs in results/"
say "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]

#!/bin/bash
# Builds the fuzzers and runs each for the given number of seconds, starting from its corpus in
# test/fuzz/corpus/NAME. New inputs stay in build/fuzz/found/NAME; an input that breaks something is named and
# kept in build/fuzz/. TESTS="NAME …" chooses.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
seconds=${1:-20}
make -s -j"$(nproc)" -f test/fuzz/fuzz.mk
status=0
for source in test/fuzz/fuzz_*.cpp; do
    [ -e "$source" ] || fail 'no fuzzer in test/fuzz'
    name=${source#test/fuzz/fuzz_}; name=${name%.cpp}
    case " ${TESTS:-$name} " in *" $name "*) ;; *) continue ;; esac
    mkdir -p "build/fuzz/found/$name" "test/fuzz/corpus/$name"
    say "== fuzz $name: $seconds s"
    if build/fuzz/"$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="build/fuzz/$name-" \
        -print_final_stats=1 "build/fuzz/found/$name" "test/fuzz/corpus/$name" >"build/fuzz/$name.log" 2>&1; then
        grep -E 'number_of_executed_units|new_units_added' "build/fuzz/$name.log"
    else
        tail -40 "build/fuzz/$name.log"
        status=1
    fi
done
exit "$status"

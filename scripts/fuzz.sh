#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes every parser with libFuzzer for a while, from the corpora of tests/fuzz/corpus, or makes those corpora anew.
# What is found stays in build/fuzz, so that a run never changes the clone.
set -euo pipefail
top=$(dirname -- "$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)")
readonly build=$top/build/clang out=$top/build/fuzz

usage() {
    cat <<'TEXT'
Usage: fuzz.sh [--target NAME]... [SECONDS]
       fuzz.sh --make-corpus
Builds the fuzz targets with clang (preset clang) and runs each for SECONDS (default: 60). A target that crashes fails the
run; its input is then in build/fuzz/NAME-... and the command that repeats it is printed.

  --target NAME   only this target, for example header
  --make-corpus   make tests/fuzz/corpus anew of tests/vectors, of the event logs of tests/policies and by hand, after one of these
                  or a format has changed; commit the result

Example: scripts/fuzz.sh --target manifest_page 600
TEXT
}

usage_error() {
    printf 'fuzz.sh: %s; see --help.\n' "$*" >&2
    exit 2
}

seconds=60 targets=() make_corpus=false
while (($#)); do
    case $1 in
        --target)
            (($# > 1)) || usage_error "--target wants a name"
            targets+=("$2")
            shift
            ;;
        --make-corpus) make_corpus=true ;;
        --help | -h)
            usage
            exit 0
            ;;
        *)
            [[ $1 =~ ^[1-9][0-9]*$ ]] || usage_error "$1 is no number of seconds"
            seconds=$1
            ;;
    esac
    shift
done

cd -- "$top"
cmake --preset clang >/dev/null
if $make_corpus; then
    cmake --build "$build" --target fuzz_make_corpus
    rm -rf -- tests/fuzz/corpus
    "$build/tests/fuzz/fuzz_make_corpus" tests/vectors tests/fuzz/corpus
    exit
fi

if ((${#targets[@]} == 0)); then
    for source in tests/fuzz/fuzz_*.cc; do
        name=$(basename -- "$source" .cc)
        targets+=("${name#fuzz_}")
    done
fi
cmake --build "$build" --target "${targets[@]/#/fuzz_}"
status=0
for name in "${targets[@]}"; do
    corpus=tests/fuzz/corpus/$name
    [[ -n $(ls -A -- "$corpus" 2>/dev/null) ]] || usage_error "the corpus $corpus is empty"
    mkdir -p -- "$out/$name"
    printf 'Fuzzing %s for %s s.\n' "$name" "$seconds"
    # What is new goes to the first folder.
    if ! "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=20000 -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$out/$name-" "$out/$name" "$corpus" >"$out/$name.log" 2>&1; then
        printf 'fuzz.sh: %s failed; see %s, and repeat with: %s FILE\n' "$name" "$out/$name.log" \
            "$build/tests/fuzz/fuzz_$name" >&2
        status=1
    fi
    grep -E '^stat::number_of_executed_units' -- "$out/$name.log" || status=1
done
exit "$status"

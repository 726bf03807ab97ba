#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes every parser with libFuzzer for a while, from the corpora of tests/fuzz/corpus, or adds to those corpora; or gives
# whole files to both readers. What is found stays in build/fuzz, so that fuzzing never changes the clone.
set -euo pipefail
top=$(dirname -- "$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)")
readonly build=$top/build/clang out=$top/build/fuzz

usage() {
    cat <<'TEXT'
Usage: fuzz.sh [--target NAME]... [SECONDS]
       fuzz.sh --make-corpus [--target NAME]...
       fuzz.sh differential [--seconds N]
Builds the fuzz targets with clang (preset clang) and runs each for SECONDS (default: 60). A target that crashes fails the
run; its input is then in build/fuzz/NAME-... and the command that repeats it is printed.

  --target NAME   only this target, for example header
  --make-corpus   make inputs of tests/vectors, of the event logs of tests/policies and by hand, and add to tests/fuzz/corpus
                  those that reach code the corpus does not, after one of these or a format has changed; commit the result.
                  To make a corpus anew, remove its folder first

differential makes random sealed files and faults in them for N seconds (default: 60), and compares what our reader and the
independent one of tests/reader say. What they disagree in is in build/fuzz/differential, one folder a case, and the command
that repeats a case is printed.

Examples: scripts/fuzz.sh --target manifest_page 600
          scripts/fuzz.sh differential --seconds 600
TEXT
}

usage_error() {
    printf 'fuzz.sh: %s; see --help.\n' "$*" >&2
    exit 2
}

seconds=60 targets=() make_corpus=false differential=false
if [[ ${1-} == differential ]]; then
    differential=true
    shift
fi
while (($#)); do
    if $differential && [[ ! $1 =~ ^(--seconds|--help|-h)$ ]]; then
        usage_error "differential takes no $1"
    fi
    case $1 in
        --seconds)
            $differential || usage_error "--seconds is for differential"
            [[ ${2-} =~ ^[1-9][0-9]*$ ]] || usage_error "--seconds wants a number"
            seconds=$2
            shift
            ;;
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
if $differential; then
    cmake --build "$build" --target sealed_verdicts
    compare=(/usr/bin/python3 -B tests/differential/differential.py "$build/tests/differential/sealed_verdicts" --output "$out/differential")
    if ! "${compare[@]}" --seconds "$seconds"; then
        printf 'fuzz.sh: repeat a case with: %s --only "SEED"\n' "${compare[*]}" >&2
        exit 1
    fi
    exit
fi
if ((${#targets[@]} == 0)); then
    for source in tests/fuzz/fuzz_*.cc; do
        name=$(basename -- "$source" .cc)
        targets+=("${name#fuzz_}")
    done
fi
cmake --build "$build" --target "${targets[@]/#/fuzz_}"

# What is made is many times what it takes to reach the same code, so only what adds to that is kept.
if $make_corpus; then
    cmake --build "$build" --target fuzz_make_corpus ckptseal_vectors
    readonly made=$out/made
    rm -rf -- "$made"
    mkdir -p -- "$out"
    "$build/tests/fuzz/fuzz_make_corpus" "$build/tests/sealing/vectors" "$made"
    for name in "${targets[@]}"; do
        fuzz=("$build/tests/fuzz/fuzz_$name" -max_len=20000 -timeout=10 -artifact_prefix="$out/$name-")
        corpus=tests/fuzz/corpus/$name
        mkdir -p -- "$corpus"
        before=$(find "$corpus" -type f | wc -l)
        # First once on each, for a merge passes over what crashes the target.
        if ! { "${fuzz[@]}" -runs=0 "$made/$name" && "${fuzz[@]}" -merge=1 "$corpus" "$made/$name"; } >"$out/$name.log" 2>&1; then
            printf 'fuzz.sh: %s failed on what was made for it; see %s.\n' "$name" "$out/$name.log" >&2
            exit 1
        fi
        # libFuzzer names by another hash; by ours an input that is there already stays one file.
        find "$corpus" -type f -name "$(printf '?%.0s' {1..40})" -exec sha256sum -- {} + | while read -r sum file; do
            mv -- "$file" "$corpus/${sum:0:16}"
        done
        printf '%s: %d inputs, and before %d.\n' "$name" "$(find "$corpus" -type f | wc -l)" "$before"
    done
    exit
fi

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

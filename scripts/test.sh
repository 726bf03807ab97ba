#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does all set-up, builds, and runs the tests: what stands between a clone and "it works". Needs no terminal and leaves nothing running.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
top=$(dirname -- "$here")

usage() {
    cat <<'TEXT'
Usage: test.sh [--fast | --preset NAME... | --long] [--jobs N] [--no-install]
Installs what is missing (as root), builds, and runs the tests. The last line is "N passed, N failed, N skipped".
A test that skips itself and is not in tests/expected-skips.txt counts as failed.

  --preset NAME  build this preset of CMakePresets.json and run all its tests; may be repeated
  --fast         the same as --preset debug
  --long         only the tests that take long, labelled "long", in the release build
  --jobs N       compile and test N at a time (default: one for each processor)
  --no-install   do not look for missing packages

Without --preset: all tests under AddressSanitizer and UndefinedBehaviorSanitizer (clang), then those labelled "release" or
"nosan" in the release build (g++).

Example: scripts/test.sh --fast
TEXT
}

# Why these two: the sanitizers find what a passing test hides, so every test runs under them once. What they change is memory,
# time and the final binary: tests of the command line as users have it are labelled "release" and run in the release build, too;
# tests of memory cannot run under sanitizers, are labelled "nosan" and run in the release build alone. Running all tests twice
# would find nothing more and take twice as long.
presets=() long=no jobs=$(nproc) install=yes
while (($#)); do
    case $1 in
        --fast) presets+=(debug) ;;
        --long) long=yes ;;
        --preset | --jobs)
            (($# > 1)) || {
                echo "test.sh: $1 wants a value; see --help." >&2
                exit 2
            }
            if [[ $1 == --jobs ]]; then jobs=$2; else presets+=("$2"); fi
            shift
            ;;
        --no-install) install=no ;;
        --help | -h)
            usage
            exit 0
            ;;
        *)
            echo "test.sh: $1 is no option of this script; see --help." >&2
            exit 2
            ;;
    esac
    shift
done
if [[ $long == yes ]] && ((${#presets[@]})); then
    echo "test.sh: --long has a preset of its own, so there is none beside it; see --help." >&2
    exit 2
fi
[[ $jobs =~ ^[1-9][0-9]{0,3}$ ]] || {
    echo "test.sh: --jobs wants a number from 1 on; see --help." >&2
    exit 2
}

results=$(mktemp -d)
trap 'rm -rf -- "$results"' EXIT

# stop SENTENCE: what keeps the tests from running is a failure, in the same form as theirs.
stop() {
    printf 'test.sh: %s\n0 passed, 1 failed, 0 skipped\n' "$1"
    exit 1
}

# build_and_test PRESET TARGET [CTEST-OPTION...]
build_and_test() {
    local preset=$1 target=$2
    shift 2
    echo "== $preset: build"
    # Debian's own python3 has the Python packages that were installed above; another one in PATH may not.
    cmake --preset "$preset" -DBUILD_TESTING=ON -DPython3_EXECUTABLE=/usr/bin/python3 || stop "the preset $preset cannot be configured; the lines above say why."
    cmake --build --preset "$preset" --target "$target" -j "$jobs" || stop "the preset $preset does not build; the lines above say why."
    echo "== $preset: tests"
    local status=0
    ctest --preset "$preset" -j "$jobs" --output-on-failure --no-tests=error --test-output-size-passed 65536 \
        --output-junit "$results/$preset.xml" "$@" </dev/null || status=$?
    echo "$status" >"$results/$preset.status"
}

cd -- "$top"
if [[ $install == yes ]]; then
    "$here/install-deps.sh" || stop "packages are missing; the lines above say which."
fi
# Processes are dumped and restored by root, and with a CRIU that works on this kernel.
if ((EUID == 0)) && [[ -z ${CRIU-} ]]; then
    options=()
    [[ $install == yes ]] || options=(--no-download)
    if CRIU=$("$top/swtpm-ci/get-criu" "${options[@]}"); then
        export CRIU
    else
        unset CRIU
        echo "test.sh: there is no CRIU, so the tests that dump processes skip themselves."
    fi
fi
# Tests make sockets below TMPDIR, and the path of a socket is short.
folder=${TMPDIR:-/tmp}
((${#folder} <= 40)) || export TMPDIR=/tmp
if ((${#presets[@]})); then
    for preset in "${presets[@]}"; do
        case $preset in
            asan | clang) build_and_test "$preset" all --label-exclude '^(nosan|long)$' ;;
            *) build_and_test "$preset" all --label-exclude '^long$' ;;
        esac
    done
elif [[ $long == yes ]]; then
    build_and_test release release_tests --label-regex '^long$'
else
    build_and_test asan all --label-exclude '^(nosan|long)$'
    build_and_test release release_tests --label-regex '^(release|nosan)$'
fi
# docs/security-tests.md with what came of its tests.
reports=("$results"/*.xml)
[[ ! -e ${reports[0]} ]] || /usr/bin/python3 -B tests/claims/claims.py outcome "$top" "${reports[@]}" >build/security-tests.md
echo "== summary (${SECONDS} s)"
exec /usr/bin/python3 -B "$here/test-summary.py" "$results" "$top/tests/expected-skips.txt"

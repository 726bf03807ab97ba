#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures what sealing costs next to plain CRIU and to tools that encrypt its images: all set-up for bench/bench.py, which measures.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
top=$(dirname -- "$here")

usage() {
    cat <<'TEXT'
Usage: bench.sh [--size MIB] [--runs N] [--output FILE] [--folder DIR] [--only NAME...] [--no-install]
Installs what is missing, builds the release, and dumps and restores a process of random memory with plain CRIU, ckpt-seal, and
CRIU with age, gpg and openssl, in turns, on a tmpfs that is mounted for the run. Prints a table of ratios to plain CRIU; the
same with the facts of the machine goes to FILE, the raw figures to FILE.jsonl. Needs root, three times the size in memory, and
a machine that does nothing else. docs/performance.md explains the table.

  --size MIB     memory of the process (default: 1024)
  --runs N       rounds (default: 5)
  --output FILE  where the table goes (default: build/bench.md)
  --folder DIR   work below DIR, on a disk for instance, and mount nothing
  --only NAME    only these, and plain: ckpt-seal, ckpt-seal-exclusive, age, gpg, openssl
  --no-install   do not look for missing packages

The exit code is 1 when a method fails or when restored memory differs; it says nothing about speed.

Example: scripts/bench.sh --size 512 --only ckpt-seal age
TEXT
}

usage_error() {
    printf 'bench.sh: %s; see --help.\n' "$*" >&2
    exit 2
}

size=1024 output=$top/build/bench.md folder="" install=yes rest=()
while (($#)); do
    case $1 in
        --size | --runs | --output | --folder)
            (($# > 1)) || usage_error "$1 wants a value"
            case $1 in
                --size) size=$2 ;;
                --runs) rest+=(--runs "$2") ;;
                --output) output=$2 ;;
                --folder) folder=$2 ;;
            esac
            shift
            ;;
        --only)
            rest+=(--only)
            while (($# > 1)) && [[ $2 != --* ]]; do
                rest+=("$2")
                shift
            done
            ;;
        --no-install) install=no ;;
        --help | -h)
            usage
            exit 0
            ;;
        *) usage_error "$1 is no option of this script" ;;
    esac
    shift
done
[[ $size =~ ^[1-9][0-9]{0,6}$ ]] || usage_error "--size wants a number of MiB from 1 on"
if ((EUID != 0)); then
    echo "bench.sh: only root can dump and restore processes; run this script as root." >&2
    exit 1
fi

[[ $install == no ]] || "$here/install-deps.sh" --bench
(
    cd -- "$top"
    cmake --preset release -DPython3_EXECUTABLE=/usr/bin/python3 >/dev/null
    cmake --build --preset release --target ckpt-seal -j "$(nproc)"
)
CRIU=$("$top/swtpm-ci/get-criu")
export CRIU

mounted="" bench=""
# shellcheck disable=SC2317 # run by the trap
clean_up() {
    local status=$?
    trap '' HUP INT TERM
    if [[ -n $bench ]]; then
        kill -TERM "$bench" 2>/dev/null || true
        wait "$bench" || true
    fi
    if [[ -n $mounted ]]; then
        umount -- "$mounted" && rmdir -- "$mounted"
    fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

if [[ -z $folder ]]; then
    folder=$(mktemp -d /tmp/ckpt-bench-XXXXXX)
    # The images, those encrypted, and what is small.
    mount -t tmpfs -o "mode=700,size=$((size * 2 + 256))m" ckpt-bench "$folder"
    mounted=$folder
fi
# In the background, so that a signal is seen at once; it ends what it started when it gets one.
/usr/bin/python3 -B "$top/bench/bench.py" --size "$size" --output "$output" --folder "$folder" \
    --ckpt-seal "$top/build/release/cli/ckpt-seal" "${rest[@]}" &
bench=$!
status=0
wait "$bench" || status=$?
bench=""
exit "$status"

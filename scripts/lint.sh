#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Reads the code with the tools that read code: formatting, shell scripts, clang-tidy. It changes nothing.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
top=$(dirname -- "$here")
readonly CLANG_FORMAT=14 # Debian 12's; other releases format differently

usage() {
    cat <<'TEXT'
Usage: lint.sh [--all | --since COMMIT] [--cppcheck] [--jobs N]
Checks the formatting of all C++ files and all shell scripts, and with clang-tidy the C++ files that differ from the last
commit. Says what is wrong and exits 1; changes nothing. scripts/install-deps.sh --dev installs the tools.

  --all           clang-tidy on all files
  --since COMMIT  clang-tidy on the files that differ from COMMIT
  --cppcheck      cppcheck as well
  --jobs N        check N files at a time (default: one for each processor)

Example: scripts/lint.sh --since main
TEXT
}

die() {
    printf 'lint.sh: %s\n' "$*" >&2
    exit 1
}

usage_error() {
    printf 'lint.sh: %s; see --help.\n' "$*" >&2
    exit 2
}

all=no since=HEAD cppcheck=no jobs=$(nproc)
while (($#)); do
    case $1 in
        --all) all=yes ;;
        --cppcheck) cppcheck=yes ;;
        --since | --jobs)
            (($# > 1)) || usage_error "$1 wants a value"
            if [[ $1 == --jobs ]]; then jobs=$2; else since=$2; fi
            shift
            ;;
        --help | -h)
            usage
            exit 0
            ;;
        *) usage_error "$1 is no option of this script" ;;
    esac
    shift
done
cd -- "$top"

# Files of the project, with those that are not committed yet; without a repository all but what was built.
project_files() {
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard
    else
        find . \( -path ./build -o -path ./.git \) -prune -o -type f -printf '%P\0'
    fi
}

sources=() scripts=()
while IFS= read -r -d '' file; do
    [[ -f $file ]] || continue
    case $file in
        *.cc | *.h) sources+=("$file") ;;
        *.sh) scripts+=("$file") ;;
        *.*) ;;
        *)
            first=""
            { IFS= read -r -n 64 first || true; } <"$file" 2>/dev/null
            [[ $first != '#!'*sh* ]] || scripts+=("$file")
            ;;
    esac
done < <(project_files)
((${#sources[@]})) || die "no C++ file was found; is this the top of the project?"

failed=()

echo "== formatting of ${#sources[@]} files"
command -v clang-format >/dev/null || die "clang-format is not installed; run scripts/install-deps.sh --dev."
if [[ $(clang-format --version) == *"version $CLANG_FORMAT."* ]]; then
    clang-format --dry-run -Werror "${sources[@]}" || failed+=(formatting)
else
    echo "Left out: the formatting is that of clang-format $CLANG_FORMAT (Debian 12), and here is another."
fi

echo "== ${#scripts[@]} shell scripts"
command -v shellcheck >/dev/null || die "shellcheck is not installed; run scripts/install-deps.sh --dev."
shellcheck -x "${scripts[@]}" || failed+=(shellcheck)

# Which .cc files clang-tidy reads. A header is read with every file that includes it, so a change there needs --all.
tidy=()
if [[ $all == no ]] && ! git rev-parse --verify -q "$since^{commit}" >/dev/null; then
    [[ $since == HEAD ]] || usage_error "$since is no commit"
    echo "There is no commit to compare with: all files are read."
    all=yes
fi
if [[ $all == yes ]]; then
    candidates=("${sources[@]}")
else
    mapfile -d '' -t candidates < <(git diff -z --name-only --relative "$since" -- '*.cc' && git ls-files -z --others --exclude-standard -- '*.cc')
fi
for file in "${candidates[@]}"; do
    [[ $file != *.cc || ! -f $file ]] || tidy+=("$file")
done

echo "== clang-tidy on ${#tidy[@]} files"
if ((${#tidy[@]})); then
    command -v clang-tidy >/dev/null || die "clang-tidy is not installed; run scripts/install-deps.sh --dev."
    # With clang's preset, for clang-tidy does not know all warnings of g++. The generated protobuf headers must be there.
    cmake --preset clang >/dev/null || die "the preset clang cannot be configured; the lines above say why."
    cmake --build --preset clang -j "$jobs" --target ckptseal_proto >/dev/null || die "the protobuf code cannot be generated."
    # Only what is compiled has a command; the rest (a test for another compiler) is left out by name.
    built=()
    for file in "${tidy[@]}"; do
        if grep -qF "\"file\": \"$top/$file\"" build/clang/compile_commands.json; then
            built+=("$file")
        else
            echo "Left out, for the preset clang does not compile it: $file"
        fi
    done
    if ((${#built[@]})); then
        printf '%s\0' "${built[@]}" | xargs -0 -n 1 -P "$jobs" clang-tidy --quiet -p build/clang 2> >(grep -vE '^[0-9]+ warnings? ' >&2) ||
            failed+=(clang-tidy)
    fi
fi

if [[ $cppcheck == yes ]]; then
    echo "== cppcheck"
    command -v cppcheck >/dev/null || die "cppcheck is not installed; run scripts/install-deps.sh --dev."
    cppcheck --quiet --std=c++20 --language=c++ --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
        --library=googletest --suppress=missingIncludeSystem -I . -j "$jobs" "${sources[@]}" || failed+=(cppcheck)
fi

((${#failed[@]} == 0)) || die "something is wrong in: ${failed[*]}."
echo "Nothing is wrong."

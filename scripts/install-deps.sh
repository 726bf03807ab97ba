#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what building and testing needs, from the Debian packages of the machine's own apt sources (Debian 12 and 13).
# It exists so that nobody has to know the names, which differ between releases. Asks for root only when something is missing.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: install-deps.sh [--dev] [--bench] [--list]
Installs the packages that are missing. When there are none it says so and changes nothing.

  --dev    also what scripts/lint.sh needs: clang-format, clang-tidy, cppcheck, shellcheck
  --bench  also what scripts/bench.sh compares with: age, gpg, openssl
  --list   print the packages, one a line, and install nothing

Example: scripts/install-deps.sh --dev
TEXT
}

# A name with a | is one package under its names in several releases; the first that the machine knows is taken.
# The TCTIs are loaded at run time, so that no other package brings them; Debian 13 calls them ...t64.
readonly BUILD=(
    g++ cmake ninja-build pkg-config ccache
    protobuf-compiler libprotobuf-dev
    libtss2-dev "libtss2-tcti-device0t64|libtss2-tcti-device0"
    libgnutls28-dev nettle-dev libgmp-dev
    libseccomp-dev libargon2-dev libgfshare-dev libarchive-dev libmnl-dev libssl-dev libp11-kit-dev
    libcli11-dev libfmt-dev nlohmann-json3-dev
)
readonly TEST=(
    clang libclang-rt-dev
    libgtest-dev libgmock-dev
    swtpm swtpm-tools tpm2-tools "libtss2-tcti-swtpm0t64|libtss2-tcti-swtpm0"
    python3 python3-cryptography python3-argon2
    nftables iproute2 # CRIU runs ip for a network namespace
    strace e2fsprogs mount # for disks that fail
    valgrind
    softhsm2 opensc libnss3-tools # tokens of two makers, and pkcs11-tool to make keys in them
    redis-tools # has the database server under another name, and starts none
)
readonly DEV=(clang-format clang-tidy cppcheck shellcheck)
readonly BENCH=(age gnupg openssl)

is_installed() {
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

is_known() {
    [[ -n $(apt-cache show --no-all-versions "$1" 2>/dev/null) ]]
}

# missing_of ENTRY...: fills `missing` with the entries of which no name is installed.
missing_of() {
    local entry name
    local -a names
    missing=()
    for entry in "$@"; do
        IFS='|' read -r -a names <<<"$entry"
        for name in "${names[@]}"; do
            ! is_installed "$name" || continue 2
        done
        missing+=("$entry")
    done
}

# Fills `packages` with one name for each missing entry.
choose_names() {
    local entry name
    local -a names
    packages=()
    for entry in "${missing[@]}"; do
        IFS='|' read -r -a names <<<"$entry"
        for name in "${names[@]}"; do
            is_known "$name" || continue
            packages+=("$name")
            continue 2
        done
        echo "install-deps.sh: this machine's apt sources have no package ${entry//|/ or }; Debian 12 and 13 have it in main." >&2
        exit 1
    done
}

wanted=("${BUILD[@]}" "${TEST[@]}")
# Only there is it built for; elsewhere the code does without.
[[ $(dpkg --print-architecture 2>/dev/null) != amd64 ]] || wanted+=(libipsec-mb-dev)
list=no
while (($#)); do
    case $1 in
        --dev) wanted+=("${DEV[@]}") ;;
        --bench) wanted+=("${BENCH[@]}") ;;
        --list) list=yes ;;
        --help | -h)
            usage
            exit 0
            ;;
        *)
            echo "install-deps.sh: $1 is no option of this script; see --help." >&2
            exit 2
            ;;
    esac
    shift
done

if [[ $list == yes ]]; then
    printf '%s\n' "${wanted[@]}"
    exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "install-deps.sh: this is no Debian system (there is no apt-get); install by hand what --list prints." >&2
    exit 1
fi
missing=() packages=()
missing_of "${wanted[@]}"
if ((${#missing[@]} == 0)); then
    echo "All ${#wanted[@]} packages that are needed are installed."
    exit 0
fi
if ((EUID != 0)); then
    echo "install-deps.sh: ${#missing[@]} packages are missing (${missing[*]}) and only root can install them; run this script as root." >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "Installing ${#missing[@]} packages: ${missing[*]}"
apt-get -q update </dev/null
choose_names
apt-get -q install -y --no-install-recommends "${packages[@]}" </dev/null

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shows the main job on software TPMs: two hosts, a file sealed for the second on the first; who can open it, and who cannot.
set -euo pipefail
top=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

if [[ ${1:-} == --help || ${1:-} == -h ]]; then
    cat <<'TEXT'
Usage: demo.sh
Installs what is missing (as root), builds, and shows sealing and opening between two hosts with software TPMs. It works in a
folder of its own and leaves nothing running.

Example: scripts/demo.sh
TEXT
    exit 0
fi

say() { printf '\n%s\n' "$*"; }

"$top/scripts/install-deps.sh"
say "Building ckpt-seal ..."
(cd -- "$top" && cmake --preset release -DBUILD_TESTING=OFF >/dev/null && cmake --build --preset release --target ckpt-seal -j "$(nproc)")

work=$(mktemp -d /tmp/ckpt-demo-XXXXXX)
trap 'rm -rf -- "$work"' EXIT
cd -- "$work"

# on HOST COMMAND...: ckpt-seal as that host; shown without the options that only the demo needs.
on() {
    local host=$1
    shift
    printf '%s# ckpt-seal %s\n' "$host" "$*"
    "$top/build/release/cli/ckpt-seal" --state "$work/$host" "$@"
}

# refused EXIT-CODE HOST COMMAND...: the command has to fail, with this exit code and no output file.
refused() {
    local expected=$1 status=0
    shift
    on "$@" || status=$?
    if ((status != expected)); then
        echo "demo.sh: the exit code is $status and should be $expected; this is a bug." >&2
        exit 1
    fi
    [[ ! -e opened-wrongly ]] || {
        echo "demo.sh: there is an output file that should not be there; this is a bug." >&2
        exit 1
    }
    echo "(refused, exit code $status)"
}

say "Two hosts are set up, each with a software TPM of its own. --tpm soft is for trying out: it protects nothing against root."
on host-a --tpm soft provision --name host-a
on host-b --tpm soft provision --name host-b

say "Each needs the other's record: host-a to seal for host-b, host-b to know whom it has the file from."
on host-a host export -o host-a.record
on host-b host export -o host-b.record
on host-a host trust host-b.record --as recipient
on host-b host trust host-a.record --as origin

say "On host-a a file with a secret is sealed for host-b. No secret of host-b is needed for that, nor a network."
echo "the secret is 4711" >report.txt
on host-a seal -o report.cks --to host-b report.txt
if grep -q 4711 report.cks; then
    echo "demo.sh: the secret can be read in the sealed file; this is a bug." >&2
    exit 1
fi
echo "The sealed file has $(stat -c %s report.cks) bytes, and the secret cannot be found in them."

say "host-b opens it."
on host-b open -o report.opened report.cks
cmp report.txt report.opened
echo "It is the same, byte for byte."

say "host-a, which made it, cannot: it has no slot in the file."
refused 9 host-a open -o opened-wrongly report.cks

say "One byte of a copy is changed: host-b refuses it."
cp report.cks tampered.cks
byte=$(od -An -tu1 -j 135168 -N 1 tampered.cks)
printf '%b' "\\x$(printf %02x $(((byte + 1) % 256)))" | dd of=tampered.cks bs=1 seek=135168 conv=notrunc status=none
refused 5 host-b open -o opened-wrongly tampered.cks

say "Something else is started at boot on host-b, so that PCR 4 changes: its TPM does not give the key out."
"$top/swtpm-ci/extend-soft" "$work/host-b" 4 "another boot loader"
refused 3 host-b open -o opened-wrongly report.cks

say "That is all: the file opened on the host it was meant for, in the state it was meant for, unaltered, and nowhere else."

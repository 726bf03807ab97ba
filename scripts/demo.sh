#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shows the main job on software TPMs: a running process is dumped on one host, sealed for a second; who can restore it, and who cannot.
set -euo pipefail
top=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

if [[ ${1:-} == --help || ${1:-} == -h ]]; then
    cat <<'TEXT'
Usage: demo.sh
Installs what is missing (as root), builds, and shows how a running program moves between two hosts with software TPMs. Without
root or a CRIU that works on this kernel it shows the same with a file. It works in a folder of its own and leaves nothing running.

Example: scripts/demo.sh
TEXT
    exit 0
fi

say() { printf '\n%s\n' "$*"; }

bug() {
    echo "demo.sh: $*; this is a bug." >&2
    exit 1
}

"$top/scripts/install-deps.sh"
say "Building ckpt-seal ..."
(cd -- "$top" && cmake --preset release -DBUILD_TESTING=OFF >/dev/null && cmake --build --preset release --target ckpt-seal -j "$(nproc)")

work=$(mktemp -d /tmp/ckpt-demo-XXXXXX)
program=""

# Ends the program by its number, the original or the restored one: they have the same. It may be somebody else's by now.
end_program() {
    local -a words=()
    [[ -n $program ]] || return 0
    { mapfile -d '' -t words <"/proc/$program/cmdline"; } 2>/dev/null || true
    [[ " ${words[*]-} " != *" $work/count "* ]] || kill -KILL "$program" 2>/dev/null || true
}
trap 'end_program; rm -rf -- "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
cd -- "$work"

# until_true COMMAND...: waits for it, at most a minute.
until_true() {
    local tries=600
    until "$@"; do
        ((tries-- > 0)) || bug "it took a minute and did not happen: $*"
        sleep 0.1
    done
}

# on HOST COMMAND...: ckpt-seal as that host; shown without the options that only the demo needs.
on() {
    local host=$1
    shift
    printf '%s# ckpt-seal %s\n' "$host" "$*"
    "$top/build/release/cli/ckpt-seal" --state "$work/$host" "$@"
}

# refused EXIT-CODE HOST COMMAND...: the command has to fail, with this exit code, and nothing may come of it.
refused() {
    local expected=$1 status=0
    shift
    on "$@" || status=$?
    ((status == expected)) || bug "the exit code is $status and should be $expected"
    [[ ! -e opened && ! -e pid ]] || bug "something came out of what was refused"
    echo "(refused, exit code $status: $nothing)"
}

counted() { tail -n 1 count 2>/dev/null || true; }
counted_on() { (($(counted) > $1)); }
is_gone() { [[ ! -e /proc/$program ]]; }

start_program() {
    cat >counter.py <<'TEXT'
import sys, time
secret = open(sys.argv[2]).read()  # in memory from here on, and nowhere else
number = 0
while True:
    number += 1
    with open(sys.argv[1], "a") as out:
        out.write(f"{number}\n")
    time.sleep(0.05)
TEXT
    echo "the secret is 4711" >secret.txt
    setsid /usr/bin/python3 "$work/counter.py" "$work/count" "$work/secret.txt" </dev/null >/dev/null 2>&1 &
    program=$!
    disown
    until_true test -s count
    rm -- secret.txt
    until_true counted_on 20
}

# The one of the system or a newer one; "" if there is none that works, or nobody who may use it.
criu=""
if ((EUID != 0)); then
    say "Only root can dump processes, so a file is sealed here instead of a running program. Run this as root to see it all."
elif ! criu=${CRIU:-$("$top/swtpm-ci/get-criu")}; then
    criu=""
    say "There is no CRIU that works on this kernel (the lines above say why), so a file is sealed here instead of a running program."
fi

say "Two hosts are set up, each with a software TPM of its own. --tpm soft is for trying out: it protects nothing against root."
on host-a --tpm soft provision --name host-a
on host-b --tpm soft provision --name host-b

say "Each needs the other's record: host-a to seal for host-b, host-b to know whom it has the file from."
on host-a host export -o host-a.record
on host-b host export -o host-b.record
on host-a host trust host-b.record --as recipient
on host-b host trust host-a.record --as origin

if [[ -n $criu ]]; then
    export CRIU=$criu
    take=(restore --detach --pidfile pid) nothing="no task runs"
    start_program
    say "On host-a a program counts, one number a line, and holds a secret in its memory. It has come to $(counted)."
    say "It is dumped and sealed for host-b, which ends it here. No secret of host-b is needed for that, nor a network."
    on host-a dump -t "$program" -o x.cks --to host-b
    until_true is_gone
    last=$(counted)
    echo "The program is gone. The last number it wrote is $last."
else
    take=(open -o opened) nothing="nothing came out"
    say "On host-a a file with a secret is sealed for host-b. No secret of host-b is needed for that, nor a network."
    echo "the secret is 4711" >report.txt
    on host-a seal -o x.cks --to host-b report.txt
fi
! grep -q 4711 x.cks || bug "the secret can be read in the sealed file"
echo "The sealed file has $(stat -c %s x.cks) bytes, and the secret cannot be found in them."

say "host-a, which made it, cannot use it: its TPM is another one, and has no slot in the file."
refused 9 host-a "${take[@]}" x.cks

say "One byte of a copy is changed: host-b refuses it."
cp x.cks tampered.cks
byte=$(od -An -tu1 -j 135168 -N 1 tampered.cks)
printf '%b' "\\x$(printf %02x $(((byte + 1) % 256)))" | dd of=tampered.cks bs=1 seek=135168 conv=notrunc status=none
refused 5 host-b "${take[@]}" tampered.cks

say "Something else is started at boot on a copy of host-b, so that PCR 4 changes: its TPM does not give the key out."
cp -a host-b host-b-changed
"$top/swtpm-ci/extend-soft" "$work/host-b-changed" 4 "another boot loader"
refused 3 host-b-changed "${take[@]}" x.cks

if [[ -n $criu ]]; then
    [[ $(counted) == "$last" ]] || bug "the program ran although it was refused"
    say "host-b restores it, and it goes on."
    on host-b "${take[@]}" x.cks
    [[ $(<pid) == "$program" ]] || bug "the restored program has another number"
    until_true counted_on "$((last + 20))"
    awk '$1 != NR { exit 1 }' count || bug "the program did not go on from where it stopped"
    echo "After $last came $((last + 1)), and so on; now it is at $(counted). The demo ends it."
    end_program
    until_true is_gone
    say "That is all: the program went on at the host it was meant for, in the state it was meant for, unaltered, and nowhere else."
else
    say "host-b opens it."
    on host-b "${take[@]}" x.cks
    cmp report.txt opened
    echo "It is the same, byte for byte."
    say "That is all: the file opened on the host it was meant for, in the state it was meant for, unaltered, and nowhere else."
fi

# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the scripts of this folder share: how a TPM folder is checked and locked, and how its swtpm is started, asked and ended.
# To be sourced. Functions that end in failure print one sentence and leave the shell.
#
# A TPM folder holds tpm2-00.permall (the TPM's permanent memory: seeds, NV, counters) and ek-ca.pem (the certificates that the
# EK certificate is checked against); while the TPM runs also sock, sock.ctrl, pid and log.
# .ci-lock is held by whichever script is at work, .ci-alive by the running swtpm itself (it inherits the descriptor), so that a
# deleted or overwritten pid file cannot hide a running TPM. Descriptors 8 and 9 are theirs.

set -euo pipefail
unset CDPATH
umask 077

readonly STATE_FILE=tpm2-00.permall
readonly UNIX_PATH_MAX=108 # sizeof(sun_path), its NUL among them

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# usage_error TEXT: wrong arguments end with 2, as the command line of the project does.
usage_error() {
    printf '%s: %s; see %s --help.\n' "${0##*/}" "$*" "${0##*/}" >&2
    exit 2
}

need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null ||
            die "$tool is not installed; install the packages swtpm, swtpm-tools, tpm2-tools and python3."
    done
}

# check_name PATH: swtpm, its configuration files and the TCTI string split at these characters and have no way to quote them.
check_name() {
    [[ -n $1 ]] || usage_error "a folder's name is empty"
    case $1 in
        *[[:cntrl:],=\$\'\"\\]*) die "$1 has a character that swtpm cannot take in a path (, = \$ quote, backslash or control); choose another name." ;;
    esac
}

# real_dir DIR: the absolute path; swtpm changes its folder when it becomes a daemon, so a relative one would end in a failed TPM.
real_dir() {
    check_name "$1"
    [[ -d $1 ]] || die "$1 is not a folder; name an existing one."
    [[ -r $1 && -w $1 && -x $1 ]] || die "$1 cannot be read and written by this user; use a folder of your own."
    local path
    path=$(cd -- "$1" && pwd -P)
    check_name "$path"
    printf '%s\n' "$path"
}

# tpm_dir DIR: as real_dir, for a folder that must already hold a TPM.
tpm_dir() {
    local path
    path=$(real_dir "$1") || exit 1
    [[ -f $path/$STATE_FILE ]] || die "$1 holds no TPM; make one with: manufacture $1"
    printf '%s\n' "$path"
}

# short_temp_dir NAME: a new folder whose sockets stay under the limit of a Unix socket's path; a long TMPDIR is passed over.
short_temp_dir() {
    local base=${TMPDIR:-/tmp}
    ((${#base} <= 40)) || base=/tmp
    mktemp -d -- "$base/$1.XXXXXX"
}

# lock_dir DIR: one script at a time; held until the script ends.
lock_dir() {
    exec 9>>"$1/.ci-lock"
    flock -w 60 9 || die "another script has been at work in $1 for a minute; wait for it or end it."
}

# unlocked: runs a command that may outlive this script, or must not wait for it, without our locks.
unlocked() {
    "$@" 8>&- 9>&-
}

# is_its_swtpm DIR PID: whether the process is the swtpm that serves DIR (a pid may long belong to somebody else).
is_its_swtpm() {
    local -a words=()
    local word
    { mapfile -d '' -t words <"/proc/$2/cmdline"; } 2>/dev/null || return 1
    ((${#words[@]})) || return 1
    [[ ${words[0]##*/} == swtpm ]] || return 1
    for word in "${words[@]}"; do
        [[ $word != "type=unixio,path=$1/sock" ]] || return 0
    done
    return 1
}

# its_pid DIR: prints the pid if the pid file names the swtpm of DIR; else fails.
its_pid() {
    local pid=""
    [[ -f $1/pid ]] || return 1
    { read -r -n 16 pid || true; } <"$1/pid"
    [[ $pid =~ ^[1-9][0-9]{0,9}$ ]] || return 1
    is_its_swtpm "$1" "$pid" || return 1
    printf '%s\n' "$pid"
}

# is_alive DIR: whether a swtpm of DIR runs, whatever the pid file says.
is_alive() {
    ! flock -s -n "$1/.ci-alive" true || its_pid "$1" >/dev/null
}

require_running() {
    is_alive "$1" || die "no TPM runs in $1; start it with: start $1"
}

# tpm DIR TOOL [ARGUMENT...]: one TPM tool on the TPM of DIR, bounded, without the TPM software stack's own log.
tpm() {
    local dir=$1
    shift
    TPM2TOOLS_TCTI="swtpm:path=$dir/sock" TSS2_LOG=all+NONE unlocked timeout -k 1 30 "$@"
}

# reason TEXT: the line of a TPM tool's errors that says why: the TPM's own answer if there is one, else the last.
reason() {
    local line last="it did not say why"
    while IFS= read -r line; do
        [[ -n $line ]] || continue
        last=${line#ERROR: }
        [[ $line != *"tpm:"* ]] || break
    done <<<"$1"
    printf '%s\n' "${last%.}"
}

# tpm_or_die DIR WHAT TOOL [ARGUMENT...]: as tpm, silent; a failure becomes the sentence "WHAT: the TPM's reason."
tpm_or_die() {
    local dir=$1 what=$2 errors
    shift 2
    errors=$(tpm "$dir" "$@" 2>&1 >/dev/null) || die "$what: $(reason "$errors")."
}

# check_socket_path DIR: in bytes, whatever the locale.
check_socket_path() {
    local LC_ALL=C path="$1/sock.ctrl"
    ((${#path} < UNIX_PATH_MAX)) ||
        die "$path has ${#path} bytes and the path of a Unix socket must be under $UNIX_PATH_MAX; use a folder with a shorter path."
}

# launch DIR FLAGS: swtpm as a daemon. It keeps what it inherits for life: a pipe of our caller left open in it would never end.
launch() (
    for fd in "/proc/$BASHPID/fd/"*; do
        fd=${fd##*/}
        ((fd <= 2 || fd == 8)) || exec {fd}>&-
    done
    exec timeout -k 1 20 swtpm socket --tpm2 --tpmstate "dir=$1" --server "type=unixio,path=$1/sock" \
        --ctrl "type=unixio,path=$1/sock.ctrl" --flags "$2" --pid "file=$1/pid" --log "file=$1/log" --daemon \
        </dev/null >/dev/null 2>>"$1/log"
)

# await_answer DIR: until the TPM answers as one that has been started up; on failure prints the reason. Bounded.
await_answer() {
    local deadline=$((SECONDS + 10)) errors
    while true; do
        errors=$(tpm "$1" tpm2_readclock 2>&1 >/dev/null) && return 0
        # An answer that is a refusal is final: 0x100 is a failed TPM2_Startup, 0x101 a TPM in failure mode.
        if [[ $errors == *"tpm:"* ]] || ((SECONDS >= deadline)) || ! is_alive "$1"; then
            reason "$errors"
            return 1
        fi
        sleep 0.02
    done
}

# start_tpm DIR clear|state: needs lock_dir. Returns when the TPM answers.
start_tpm() {
    local dir=$1 flags="startup-$2" why
    check_socket_path "$dir"
    exec 8>>"$dir/.ci-alive"
    # Half a second, for a swtpm that is just ending. A second swtpm would unlink the first one's sockets before it gives up.
    if ! flock -w 0.5 8 || its_pid "$dir" >/dev/null; then
        die "a TPM already runs in $dir; stop it first."
    fi
    if [[ -S $dir/sock.ctrl ]] && timeout 5 swtpm_ioctl --unix "$dir/sock.ctrl" -c >/dev/null 2>&1; then
        die "another swtpm, not started by these scripts, answers on $dir/sock.ctrl; end it first."
    fi
    # Since 0.8 swtpm sends TPM2_Shutdown by itself when it is reset or ended: no power cut could be played.
    [[ $(swtpm socket --tpm2 --print-capabilities 2>/dev/null) != *disable-auto-shutdown* ]] || flags+=,disable-auto-shutdown
    rm -f -- "$dir/sock" "$dir/sock.ctrl" "$dir/pid"
    : >"$dir/log"
    launch "$dir" "$flags" || die "swtpm did not start in $dir: $(reason "$(cat -- "$dir/log")")."
    exec 8>&-
    if ! why=$(await_answer "$dir"); then
        stop_tpm "$dir" 5
        die "the TPM in $dir did not start up with TPM2_Startup(${2^^}): $why."
    fi
}

# await_end DIR PID SECONDS: true once the process has gone.
await_end() {
    local deadline=$((SECONDS + $3))
    while is_its_swtpm "$1" "$2"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.01
    done
}

# stop_tpm DIR SECONDS: needs lock_dir. SIGTERM, after SECONDS SIGKILL; returns when the process is gone. Nothing to stop is no error.
stop_tpm() {
    local dir=$1 seconds=$2 pid
    if pid=$(its_pid "$dir"); then
        kill -TERM "$pid" 2>/dev/null || ! is_its_swtpm "$dir" "$pid" ||
            die "process $pid, the TPM of $dir, belongs to another user; stop it as that user."
        if ! await_end "$dir" "$pid" "$seconds"; then
            ! is_its_swtpm "$dir" "$pid" || kill -KILL "$pid" 2>/dev/null || true
            await_end "$dir" "$pid" 10 || die "process $pid, the TPM of $dir, did not end on SIGKILL; look at its state in /proc/$pid."
        fi
        # A process loses its command line a moment before its locks.
        flock -w 10 "$dir/.ci-alive" true || die "something still holds $dir/.ci-alive after the TPM ended; end that process."
    elif is_alive "$dir"; then
        die "a TPM runs in $dir but $dir/pid does not name it, so nothing was killed; put its process id back into that file."
    fi
    rm -f -- "$dir/sock" "$dir/sock.ctrl" "$dir/pid"
}

# one_dir_argument usage "$@": for the scripts that take a folder and nothing else; sets dir.
one_dir_argument() {
    local usage=$1
    shift
    if [[ ${1-} == --help || ${1-} == -h ]]; then
        "$usage"
        exit 0
    fi
    [[ ${1-} != -- ]] || shift
    (($# == 1)) || usage_error "one folder is expected"
    [[ $1 != -* ]] || usage_error "$1 is no option of this script"
    dir=$(tpm_dir "$1") || exit 1
}

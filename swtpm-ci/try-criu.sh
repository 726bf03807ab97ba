# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# How get-criu finds out whether a CRIU works on this kernel: by using it, because "criu check" passes one that cannot dump a socket.
# To be sourced after lib.sh, which get-criu has done. Uses the caller's how (see how_to_try), work (a temporary folder) and
# listener (the process that is being dumped, "" if none, for the caller's trap); sets version and why.
# shellcheck disable=SC2154 # how and work are the caller's
# shellcheck disable=SC2034 # version and why are used by the caller

readonly CAP_SYS_ADMIN=21 CAP_CHECKPOINT_RESTORE=40

note() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# last_line TEXT: what went wrong, of a program that says much: its last error, else its last line.
last_line() {
    local line last="it did not say why"
    while IFS= read -r line; do
        line=${line#"${line%%[![:blank:]]*}"}
        [[ $line != [EW]:* ]] || line=${line#?: }
        [[ -z $line || $line == "Try -h|--help"* ]] || last=$line
    done <<<"$(grep -E '(^E:|Error|rror:)' <<<"$1" || cat <<<"$1")"
    printf '%s\n' "${last%.}"
}

# first_error TEXT: of CRIU's log, whose later errors follow from the first. That a limit cannot be raised is no error.
first_error() {
    last_line "$(grep 'Error (' <<<"$1" | grep -v 'rlimit:' | head -n 1 || cat <<<"$1")"
}

# has_capability NUMBER: whether this process has it in effect.
has_capability() {
    local name value caps=0
    while read -r name value; do
        [[ $name != CapEff: ]] || caps=$((16#$value))
    done </proc/self/status
    ((caps >> $1 & 1))
}

# how_to_try: "dump" as root, "check" with the capabilities that criu check wants, else "nothing".
how_to_try() {
    if ((EUID == 0)); then
        echo dump
    elif has_capability "$CAP_SYS_ADMIN" || has_capability "$CAP_CHECKPOINT_RESTORE"; then
        echo check
    else
        echo nothing
    fi
}

# start_listener: a process with a session and a listening TCP socket of its own; prints its id. It closes standard output when it
# is ready, which ends the $(...) around this function: nothing of ours is open in it when it is dumped.
start_listener() {
    # exec: a shell that waited for it would hold the output open until its end.
    exec python3 -c '
import os, signal, socket
os.setsid()
os.closerange(3, 1024)  # what our caller left open would be dumped as well
signal.alarm(300)  # not for ever, should this script be killed
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(1)
os.write(1, b"%d\n" % os.getpid())
os.dup2(0, 1)
signal.pause()' </dev/null 2>/dev/null
}

# end_listener: kills the process if the dump did not. It is not our child but init's, and its id may be somebody else's by now.
end_listener() {
    local -a words=()
    [[ -n $listener ]] || return 0
    { mapfile -d '' -t words <"/proc/$listener/cmdline"; } 2>/dev/null || true
    [[ ${words[2]-} != *"signal.alarm(300)"* ]] || kill -KILL "$listener" 2>/dev/null || true
    listener=""
}

# try_dump CRIU: a real dump; criu check passes a CRIU that cannot dump sockets on a newer kernel.
try_dump() {
    local images=$work/images status=0
    rm -rf -- "$images"
    mkdir -- "$images"
    listener=$(start_listener &)
    if [[ -z $listener ]]; then
        why="python3 could not open a TCP socket to be dumped"
        return 1
    fi
    # SIGKILL, should it hang: CRIU ends without a word to its network lock or its tasks only then.
    unlocked timeout -s KILL 120 "$1" dump --no-default-config -t "$listener" -D "$images" -o dump.log -v1 \
        </dev/null >"$work/out" 2>&1 || status=$?
    end_listener
    ((status != 0)) || return 0
    why="its dump of a listening TCP socket failed: $(first_error "$(cat -- "$images/dump.log" "$work/out" 2>/dev/null)")"
    return 1
}

# passes CRIU: true if it works; sets version, and why it does not.
passes() {
    local text options=(--no-default-config)
    [[ $how == dump ]] || options+=(--unprivileged) # CRIU wants to hear it
    version="" why=""
    if ! text=$(unlocked timeout -s KILL 120 "$1" --version 2>&1 </dev/null); then
        why="it does not run: $(last_line "$text")"
        return 1
    fi
    version=$(sed -n 's/^Version: //p' <<<"$text")
    if [[ -z $version ]]; then
        why="it is no CRIU, for it prints no version"
        return 1
    fi
    if ! text=$(unlocked timeout -s KILL 120 "$1" check "${options[@]}" 2>&1 </dev/null); then
        why="criu check failed: $(last_line "$text")"
        return 1
    fi
    [[ $how != dump ]] || try_dump "$1"
}

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs what the README shows: every ```console block behind a line <!-- tour -->, in one shell and a new folder.

A line that begins with "$ " is a command, a line "> " its continuation; what follows up to the next command is what it prints,
standard error included. In it "..." stands for anything within a line, and a line "..." for any lines. It exists because a
tour that nobody runs is wrong after a month. Standard library only.
"""

import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"^<!-- tour -->\n+```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MARKED = "<!-- tour -->"
TIMEOUT_SECONDS = 240


def parse_tour(text):
    """[(line number, command, expected lines)] of all blocks in order."""
    steps = []
    blocks = list(BLOCK.finditer(text))
    if not blocks or len(blocks) != text.count(MARKED):
        raise ValueError(f"{text.count(MARKED)} lines are {MARKED}, and {len(blocks)} of them have a ```console block behind them")
    for block in blocks:
        first = text.count("\n", 0, block.start(1)) + 1
        in_block = []
        for number, line in enumerate(block.group(1).splitlines(), first):
            if line.startswith("$ "):
                in_block.append((number, [line[2:]], []))
            elif not in_block:
                raise ValueError(f"line {number}: a block begins with a command, and this is none")
            elif line.startswith("> ") and not in_block[-1][2]:
                in_block[-1][1].append(line[2:])
            else:
                in_block[-1][2].append(line)
        steps += in_block
    return [(number, "\n".join(command), expected) for number, command, expected in steps]


def line_matches(expected, line):
    return re.fullmatch(".*".join(map(re.escape, expected.split("..."))), line) is not None


def output_matches(expected, lines):
    """Whether the lines are those expected; "..." alone stands for any number of lines, as few as will do."""
    if not expected:
        return not lines
    if expected[0] == "...":
        return any(output_matches(expected[1:], lines[skipped:]) for skipped in range(len(lines) + 1))
    return bool(lines) and line_matches(expected[0], lines[0]) and output_matches(expected[1:], lines[1:])


def script_of(steps, sentinel):
    """All commands in one script. The status of each is kept for the next, so that `echo $?` shows it."""
    parts = ["exec 2>&1"]
    for _, command, _ in steps:
        parts.append(command)
        parts.append(f"readme_status=$?; printf '\\n%s\\n' {sentinel}; (exit \"$readme_status\")")
    return "\n".join(parts) + "\n"


def run_script(script, folder, programs):
    """What it printed. It and everything it left in its session is ended when it takes too long."""
    environment = {"PATH": os.pathsep.join([*programs, os.environ.get("PATH", "/usr/bin:/bin")]), "HOME": folder, "LC_ALL": "C.UTF-8"}
    # The sanitizers' own settings pass; what configures ckpt-seal does not.
    environment |= {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}
    process = subprocess.Popen(
        ["bash", "-c", script], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        output, _ = process.communicate(timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return output.decode(errors="replace") + f"\n(ended after {TIMEOUT_SECONDS} s)"
    return output.decode(errors="replace")


def left_running(folder):
    """Pids of processes whose command line names the folder."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if os.fsencode(folder) in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue  # it ended meanwhile
    return [pid for pid in found if pid != os.getpid()]


def compare(steps, output, sentinel):
    """Sentences about the steps that printed something else than the page says."""
    printed = output.split(f"\n{sentinel}\n")
    problems = []
    for index, (number, command, expected) in enumerate(steps):
        if index >= len(printed) - 1:
            problems.append(f"line {number}: {command}\n  was not reached or did not end; the last that was printed:\n{printed[-1]}")
            break
        lines = printed[index].splitlines()
        if not output_matches(expected, lines):
            said = "".join(f"    {line}\n" for line in expected) or "    (nothing)\n"
            real = "".join(f"    {line}\n" for line in lines) or "    (nothing)\n"
            problems.append(f"line {number}: {command}\n  should print\n{said}  and prints\n{real}")
    return problems


def check_page(page, programs):
    text = pathlib.Path(page).read_text(encoding="utf-8")
    try:
        steps = parse_tour(text)
    except ValueError as error:
        return [str(error)]
    sentinel = f"readme-{os.urandom(8).hex()}"
    with tempfile.TemporaryDirectory(prefix="readme.", dir="/tmp") as folder:
        problems = compare(steps, run_script(script_of(steps, sentinel), folder, programs), sentinel)
        left = left_running(folder)
        problems += [f"process {pid} still runs when the tour is over" for pid in left]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    return problems


def main():
    parser = argparse.ArgumentParser(description="Runs the tour of a page; exits 1 and shows the difference when it prints something else.")
    parser.add_argument("page")
    parser.add_argument("--programs", action="append", default=[], metavar="DIR", help="a folder for the front of PATH (may be repeated)")
    arguments = parser.parse_args()
    problems = check_page(arguments.page, [os.path.abspath(folder) for folder in arguments.programs])
    for problem in problems:
        print(f"{arguments.page}: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

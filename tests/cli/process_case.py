# SPDX-License-Identifier: Apache-2.0
"""What the tests of dump and restore share: programs to dump, the way there and back, and an end for all of them."""

import json
import os
import pathlib
import signal
import subprocess
import time
import unittest

import support

MARKER = b"a marker in the memory of a process"

# Counts into a file as fast as it may, with a marker in memory that was never on its command line.
COUNTER = """
import sys, time
marker = bytes(reversed(sys.argv[2].encode()))
number = 0
while True:
    number += 1
    with open(sys.argv[1], "a") as out:
        out.write(f"{number} {len(marker)}\\n")
    time.sleep(0.01)
"""
# What a program begins with that tells what it holds: once before its dump, and again when it is asked (SIGUSR1) after it.
TELLER = """
import hashlib, json, os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
folder = os.path.dirname(sys.argv[1])
def digest(content):
    return hashlib.sha256(content).hexdigest()
def tell(role="it", **what):  # whole or not at all
    path = os.path.join(folder, "said." + role)
    with open(path + ".new", "w") as out:
        json.dump(what, out)
    os.rename(path + ".new", path)
def asked():
    signal.sigwait({signal.SIGUSR1})
def stay():
    while True:
        signal.pause()
"""


def alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # the latter between open and read
        return False
    return state not in "ZX"


def children_of(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def tasks_below(folder):
    """Processes with a word in their command lines that begins with this path."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue  # it ended meanwhile
        if any(word.startswith(os.fsencode(folder)) for word in words):
            found.append(int(path.parent.name))
    return found


def wait_until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what} within {seconds} s")
        time.sleep(0.01)


class ProcessCase(support.CliTest):
    """The program that is dumped gets a path in a folder of its own as its first argument; by that its tasks are known."""

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("only root can dump and restore processes")
        if not os.environ.get("CRIU"):
            raise unittest.SkipTest("CRIU in the environment names no CRIU: swtpm-ci/get-criu finds one")
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.out = self.folder / "out"
        self.sealed_file = self.folder / "x.cks"
        self.restored = []
        self.addCleanup(self.end_tasks)

    def tasks(self):
        """Processes of this test's program, original or restored: their command lines name its folder."""
        return tasks_below(self.folder)

    def end_tasks(self):
        for pid in self.tasks():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_until(lambda: not self.tasks(), "the program ends")

    def launch(self, *command, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/",
                   "start_new_session": True, **options}
        child = subprocess.Popen(command, **options)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child

    def start(self, program):
        child = self.launch("/usr/bin/python3", "-c", program, self.out, MARKER[::-1].decode())
        wait_until(self.numbers, "the program starts")
        return child

    def numbers(self):
        lines = self.out.read_text().splitlines() if self.out.exists() else []
        return [int(line.split()[0]) for line in lines if " " in line]

    def goes_on(self):
        before = len(self.numbers())
        wait_until(lambda: len(self.numbers()) > before, "the process goes on")

    def dump(self, child, *more, host=None, file=None):
        return (host or self.a).run("dump", "-t", child.pid, "-o", file or self.sealed_file, "--to",
                                    self.b.record(), *more)

    def dumped(self, program=COUNTER):
        child = self.start(program)
        self.dump_away(child)
        return child.pid

    def dump_away(self, child, *more):
        """Dumps it. After that nothing of it is left."""
        family = self.tasks()
        self.succeeds(self.dump(child, *more))
        self.assertEqual(child.wait(timeout=60), -signal.SIGKILL)
        # Their numbers are free once whoever adopted the children has reaped them.
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in family), "the dumped tasks are gone")
        self.b.run("host", "trust", self.a.record(), "--as", "origin")

    def restore(self, *more, host=None, file=None):
        pidfile = self.folder / f"pid{len(self.restored)}"
        done = (host or self.b).run("restore", "--detach", "--pidfile", pidfile, file or self.sealed_file, *more)
        if pidfile.exists():
            self.restored.append(int(pidfile.read_text()))
        return done

    def refused_restore(self, pid, code, **where):
        count = len(self.numbers())
        self.refused(self.restore(**where), code)
        self.assertFalse(alive(pid))
        self.assertEqual(len(self.numbers()), count)

    def flip_a_bit(self):
        """In the middle of the sealed file, where the biggest images are. A second time it undoes the first."""
        with open(self.sealed_file, "r+b") as file:
            file.seek(self.sealed_file.stat().st_size // 2)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))


class TellingCase(ProcessCase):
    """Programs that begin with TELLER. The way of each: it tells, is dumped, is refused when tampered with, is restored, tells again."""

    def start_teller(self, program, roles=1, **options):
        """The program, and what its tasks say they hold."""
        child = self.launch("/usr/bin/python3", "-c", TELLER + program, self.out, **options)
        return child, self.hear(roles, child)

    def hear(self, roles=1, child=None):
        """What that many tasks have told, by role; once."""
        def said():
            self.assertFalse(child and child.poll() is not None, "the program ended")
            return [path for path in self.folder.glob("said.*") if path.suffix != ".new"]
        wait_until(lambda: len(said()) == roles, f"{roles} tasks tell")
        told = {path.suffix[1:]: json.loads(path.read_text()) for path in said()}
        for path in said():
            path.unlink()
        return told if roles > 1 else told["it"]

    def there_and_back(self, child, *options, restore_options=None):
        """Dumped with these options, refused with one flipped bit, restored."""
        self.dump_away(child, *options)
        self.back(*(options if restore_options is None else restore_options))

    def back(self, *options):
        self.flip_a_bit()
        self.refused(self.restore(*options), 5)
        self.assertEqual(self.tasks(), [])
        self.assertEqual(self.restored, [])
        self.assertEqual(list(self.folder.glob("said.*")), [])
        self.flip_a_bit()
        self.succeeds(self.restore(*options))

    def ask(self, roles=1):
        os.kill(self.restored[-1], signal.SIGUSR1)
        return self.hear(roles)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where data key and content are, and are not, while a process is dumped and restored: memory, files, command lines,
environments, core files, swap. And who can look into the helper."""

import ctypes
import mmap
import os
import pathlib
import resource
import signal
import subprocess
import sys
import unittest

import support
from key_search_test import memory_of
from process_case import COUNTER, MARKER, alive, wait_until
from step_case import StepCase, status_of, table

PROCESS_MADVISE = 440
MADV_PAGEOUT = 21

# Tries to trace a process and to open its memory; says what it could do.
INTRUDER = """
import ctypes, os, signal, sys
pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE = 0x4206
if libc.ptrace(PTRACE_SEIZE, pid, None, None) == 0:
    print("traced")
for name in ("mem", "environ", "maps", "auxv"):
    try:
        os.read(os.open(f"/proc/{pid}/{name}", os.O_RDONLY), 1)
        print("read " + name)
    except PermissionError:
        pass
    except OSError:  # nothing is mapped at 0, but it was opened
        print("opened " + name)
"""


class SecretsCase(StepCase):
    def at(self, step, *command):
        """The command, stopped there: its processes by role, and who has to be let go on."""
        step, stops, there, _ = next(row for row in table() if row[0] == step)
        running, roles = self.stopped_at(step, stops, there, command)
        return running, roles, roles[stops]

    def dump_command(self, pid):
        return ("--state", self.a.state, "dump", "--leave-running", "-t", pid, "-o", self.sealed_file, "--to",
                self.b.record())

    def restore_command(self):
        return "--state", self.b.state, "restore", "--detach", self.sealed_file


class Secrets(SecretsCase):
    """What root can read of each process, and later is searched for the key that only then is known."""

    def setUp(self):
        super().setUp()
        self.seen = []  # (where, content)

    def look_at(self, step, command):
        print(f"at {step}", flush=True)
        running, roles, stopped = self.at(step, *command)
        there = next(row[2] for row in table() if row[0] == step)
        for role, pid in roles.items():
            try:
                self.seen += [(f"{step}: memory of {role}", part) for part in memory_of(pid)]
                for name in ("cmdline", "environ"):
                    self.seen.append((f"{step}: {name} of {role}", pathlib.Path(f"/proc/{pid}/{name}").read_bytes()))
            except (FileNotFoundError, ProcessLookupError):
                self.assertNotIn(role, there)  # it was about to end
        folder = self.run_folder_of(running.pid)
        for path in folder.rglob("*"):
            if path.is_file():
                self.seen.append((f"{step}: {path.name}", path.read_bytes()))
        os.kill(stopped, signal.SIGCONT)
        self.assertEqual(running.wait(timeout=120), 0)

    def found(self, needle):
        return sorted({where for where, part in self.seen if needle in part})

    def nobody_but_the_helper_has(self, *secrets):
        for secret in secrets:
            for form in (secret, secret.hex().encode()):
                where = [place for place in self.found(form) if not place.endswith("memory of helper")]
                self.assertEqual(where, [])

    def files(self):
        self.seen += [(str(path), path.read_bytes()) for path in self.base.rglob("*") if path.is_file()]

    def test_of_a_dump(self):
        child = self.start(COUNTER)
        self.seen = [("the application", part) for part in memory_of(child.pid)]
        self.assertEqual(self.found(MARKER), ["the application"], "the search finds nothing")
        self.seen = []
        for step in ("dump: pages flow", "dump: post-dump asks", "dump: the TPM is reached",
                     "dump: the file has its name"):
            self.look_at(step, self.dump_command(child.pid))
            self.files()
            key = self.b.unseal_by_other_means(self.sealed_file)
            self.nobody_but_the_helper_has(key, MARKER)
            self.sealed_file.unlink()
            self.seen = []

    def test_of_a_restore(self):
        pid = self.dumped()
        key = self.b.unseal_by_other_means(self.sealed_file)
        for step in ("restore: the key is released", "restore: pages flow", "restore: post-restore asks",
                     "restore: the tasks are about to run"):
            self.look_at(step, self.restore_command())
            self.files()
            self.nobody_but_the_helper_has(key, MARKER)
            self.seen = [("the application", part) for part in memory_of(pid)]
            self.assertEqual(self.found(MARKER), ["the application"])
            self.assertEqual(self.found(key), [])
            self.seen = []
            self.end_tasks()
            wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the restored task is gone")


class Intruders(SecretsCase):
    def intrude(self, pid, user):
        done = subprocess.run(["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=-all",
                               sys.executable, "-c", INTRUDER, str(pid)], capture_output=True, text=True, timeout=60, cwd="/")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.split("\n")[:-1]

    def test_no_other_user_looks_into_the_helper(self):
        child = self.start(COUNTER)
        for step in ("dump: the slots are wrapped", "dump: pages flow"):  # before and in its sandbox
            running, roles, stopped = self.at(step, *self.dump_command(child.pid))
            helper = roles["helper"]
            owner = pathlib.Path(f"/proc/{helper}/status").read_text().split("Uid:\t")[1].split()[0]
            for user in {"12345", owner} - {"0"}:
                self.assertEqual(self.intrude(helper, user), [], f"{step}, user {user}")
            os.kill(stopped, signal.SIGCONT)
            self.assertEqual(running.wait(timeout=120), 0)
            self.sealed_file.unlink()

    def test_the_intruder_can_look_into_others(self):
        other = self.launch("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "sleep", "60")
        wait_until(lambda: pathlib.Path(f"/proc/{other.pid}/comm").read_text() == "sleep\n", "it sleeps")
        self.assertIn("read environ", self.intrude(other.pid, "12345"))
        self.assertIn("traced", self.intrude(other.pid, "0"))


class CoreFiles(SecretsCase):
    def cores(self, folder):
        return [path for path in pathlib.Path(folder).iterdir() if path.name.startswith("core")]

    def crash(self, pid):
        try:
            resource.prlimit(pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except PermissionError:  # this root may not raise the limit that the helper set itself
            self.assertRegex(pathlib.Path(f"/proc/{pid}/limits").read_text(), "Max core file size +0 +0 ")
        os.kill(pid, signal.SIGSEGV)

    def test_a_helper_that_crashes_leaves_none(self):
        child = self.start(COUNTER)
        other = self.launch("sleep", "60", cwd=self.folder)
        self.crash(other.pid)
        other.wait(timeout=60)
        if not self.cores(self.folder):
            self.skipTest("this machine writes no core files into the folder of a process")
        for path in self.cores(self.folder):
            path.unlink()
        for step in ("dump: the slots are wrapped", "dump: pages flow", "dump: the file is complete"):
            running, roles, stopped = self.at(step, *self.dump_command(child.pid))
            helper = roles["helper"]
            folder = os.readlink(f"/proc/{helper}/cwd")
            before = self.cores(folder)
            self.crash(helper)
            os.kill(stopped, signal.SIGCONT)
            self.assertEqual(running.wait(timeout=120), 1)
            self.assertFalse(alive(helper))
            self.assertEqual(self.cores(folder), before)
            self.assertEqual(self.cores(self.folder), [])
            self.assertFalse(self.sealed_file.exists())
            self.goes_on_undisturbed(child.pid)


class Swap:
    """A swap file, into which processes are pushed on request. Pages that are locked do not go."""

    SIZE = 128 << 20

    def __init__(self, case):
        self.path = case.folder / "swap"
        with open(self.path, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            for _ in range(self.SIZE >> 20):  # what was never written would be read as zeros
                file.write(bytes(1 << 20))
            file.flush()
            os.fsync(file.fileno())
        subprocess.run(["mkswap", self.path], check=True, capture_output=True, timeout=60)
        if subprocess.run(["swapon", self.path], capture_output=True, timeout=60).returncode != 0:
            case.skipTest("no file here can be swap")
        case.addCleanup(self.off)

    def push(self, pid):
        """How many KiB of that process are in swap afterwards."""
        libc = ctypes.CDLL(None, use_errno=True)
        handle = os.pidfd_open(pid)
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            if start < 1 << 63 and end - start <= 1 << 34:
                part = (ctypes.c_uint64 * 2)(start, end - start)
                libc.syscall(PROCESS_MADVISE, handle, part, ctypes.c_size_t(1), MADV_PAGEOUT, ctypes.c_uint(0))
        os.close(handle)
        return int(status_of(pid)["VmSwap"].split()[0])

    def off(self):
        """What is in it."""
        if not self.path.exists():
            return b""
        subprocess.run(["swapoff", self.path], check=True, timeout=120)
        # The kernel wrote to the disk, past the cache of the file.
        with mmap.mmap(-1, self.SIZE) as content:
            file = os.open(self.path, os.O_RDONLY | os.O_DIRECT)
            done = os.readv(file, [content])
            os.close(file)
            self.path.unlink()
            return content[:done]


class SecretsInSwap(SecretsCase):
    def pushed(self, step, command):
        """All processes of the command go into swap at that step. What is there then."""
        print(f"at {step}", flush=True)
        running, roles, stopped = self.at(step, *command)
        swap = Swap(self)
        went = {role: swap.push(pid) for role, pid in roles.items()}
        print(went, flush=True)
        self.assertGreater(went["ckpt-seal"], 0)
        content = swap.off()
        self.assertEqual(len(content), Swap.SIZE)
        os.kill(stopped, signal.SIGCONT)
        self.assertEqual(running.wait(timeout=120), 0)
        return content

    def test_neither_key_nor_content_goes_there(self):
        child = self.start(COUNTER)
        swap = Swap(self)
        self.assertGreater(swap.push(child.pid), 0)
        self.assertTrue(MARKER in swap.off(), "the search finds nothing")
        for step in ("dump: pages flow", "dump: post-dump asks"):
            content = self.pushed(step, self.dump_command(child.pid))
            self.assertFalse(self.b.unseal_by_other_means(self.sealed_file) in content)
            self.assertFalse(MARKER in content)
            self.sealed_file.unlink()
        self.dump_away(child)
        key = self.b.unseal_by_other_means(self.sealed_file)
        for step in ("restore: pages flow", "restore: post-restore asks"):
            content = self.pushed(step, self.restore_command())
            self.assertFalse(key in content)
            self.assertFalse(MARKER in content)
            self.end_tasks()
            wait_until(lambda: not os.path.exists(f"/proc/{child.pid}"), "the restored task is gone")


if __name__ == "__main__":
    support.main()

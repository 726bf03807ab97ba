#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at every step of dump and restore, to every process that is there. The steps, and what may be left, are read from
docs/criu.md, "Steps"."""

import json
import os
import pathlib
import re
import signal
import stat
import unittest

import support
from process_case import COUNTER, alive, wait_until
from process_test import FAMILY
from step_case import VARIABLE, StepCase, build_has_steps, status_of, table, words_of

# A step of which all before are early.
DUMP_MIDDLE = "dump: pages flow"
RESTORE_MIDDLE = "restore: the manifest is verified"


class Steps(unittest.TestCase):
    def test_the_table_has_those_of_the_code(self):
        named = []
        for path in support.TOP.glob("[a-z]*/**/*.cc"):
            if path.relative_to(support.TOP).parts[0] not in ("build", "tests"):
                named += re.findall(r'"((?:dump|restore): [^"]+)"', path.read_text())
        self.assertEqual(sorted(named), sorted(step for step, *_ in table()))

    def test_what_is_installed_has_none(self):
        content = pathlib.Path(support.program()).read_bytes()
        self.assertEqual(VARIABLE.encode() in content, build_has_steps())


class KillCase(StepCase):
    def setUp(self):
        super().setUp()
        self.left_folders = []

    def killed(self, row, victim, command):
        """Everything of that run but what it restored has ended. Its exit code."""
        step, stops, there, _ = row
        running, roles = self.stopped_at(step, stops, there, command)
        folder = self.run_folder_of(running.pid)
        os.kill(roles[victim], signal.SIGKILL)
        wait_until(lambda: not alive(roles[victim]), "the victim ends")
        if victim != stops and alive(roles[stops]):
            os.kill(roles[stops], signal.SIGCONT)
        running.wait(timeout=120)
        try:
            wait_until(lambda: not self.processes_of_the_run(), "what it started ends")
        finally:
            for pid in self.processes_of_the_run():
                print(f"still there: {words_of(pid)} {status_of(pid)}")
                os.kill(pid, signal.SIGKILL)
        text = running.stderr.read().decode()  # what is left would keep it open
        self.nothing_else_is_left(victim, folder)
        self.assertEqual(running.returncode == -signal.SIGKILL, victim == "ckpt-seal", text)
        if running.returncode > 0:
            said = [line for line in text.splitlines() if re.match("ckpt-seal: (?!warning:)", line)]
            self.assertEqual(len(said), 1, text)
        return running.returncode

    def nothing_else_is_left(self, victim, folder):
        # This run has removed what an earlier one had to leave.
        for earlier in self.left_folders:
            self.assertFalse(earlier.exists())
        self.left_folders = []
        if folder and victim == "ckpt-seal":
            self.left_folders = [folder]
        elif folder:
            self.assertFalse(folder.exists())
        mounts = pathlib.Path("/proc/self/mountinfo").read_text()
        for name in filter(None, (self.folder, folder)):
            self.assertNotIn(f" {name}", mounts)
        self.assertEqual([path for path in self.base.rglob("*unfinished*")], [])

    def sockets(self):
        return [path for path in self.base.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)]

    def for_each(self, rows, one):
        for row in rows:
            for victim in row[2]:
                print(f"{row[0]}: {victim} is killed", flush=True)
                one(row, victim)


class DumpCase(KillCase):
    def parts(self, pid):
        """What a dump may leave in a process, as far as it can be seen: mappings and descriptors."""
        maps = [line.split()[0] for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()]
        open_files = []
        for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            try:
                open_files.append((path.name, os.readlink(path)))
            except FileNotFoundError:
                continue  # the program opens its file again and again
        return maps, [what for what in open_files if what[1] != str(self.out)]

    def kill_a_dump(self, row, victim):
        files = set(self.folder.iterdir())
        maps, open_files = self.parts(self.pid)
        code = self.killed(row, victim, ["--state", self.a.state, "dump", "-t", self.pid, "-o", self.sealed_file, "--to",
                                         self.b.record()])
        lives = alive(self.pid)
        self.assertEqual(self.sealed_file.exists(), row[3] == "file")
        self.assertEqual(set(self.folder.iterdir()) - {self.sealed_file}, files)
        self.assertTrue(lives or row[3] == "file")
        if code == 0:
            self.assertFalse(lives)
        if victim != "ckpt-seal":
            last = json.loads((self.a.state / "journal").read_text().splitlines()[-1])
            self.assertEqual(last["checkpoint_id"] is not None, row[3] == "file")
        if lives:
            self.goes_on_undisturbed(self.pid)
            maps_now, open_files_now = self.parts(self.pid)
            self.assertEqual(open_files_now, open_files)
            # docs/criu.md, "Dump": a CRIU that is killed may leave two.
            self.assertLessEqual(len(maps_now), len(maps) + (2 if victim in ("CRIU", "ckpt-seal") else 0))
        if row[3] == "file":
            self.succeeds(self.b.run("verify", self.sealed_file))
        if not lives:
            self.comes_back()
        self.sealed_file.unlink(missing_ok=True)

    def comes_back(self):
        if self.child:
            self.child.wait(timeout=60)
            self.child = None
        wait_until(lambda: not os.path.exists(f"/proc/{self.pid}"), "the dumped task is gone")
        self.succeeds(self.restore())
        self.goes_on_undisturbed(self.pid)

    def kill_dumps(self, rows):
        self.child = self.start(COUNTER)
        self.pid = self.child.pid
        self.for_each(rows, self.kill_a_dump)
        # After all that it can be dumped and restored, and no kill leaves more than the next run removes.
        self.succeeds(self.a.run("dump", "-t", self.pid, "-o", self.sealed_file, "--to", self.b.record()))
        self.assertFalse(any(folder.exists() for folder in self.left_folders))
        self.comes_back()
        self.assertEqual(self.sockets(), [])


def split(kind, middle):
    rows = [row for row in table() if row[0].startswith(kind)]
    at = [row[0] for row in rows].index(middle)
    return rows[:at], rows[at:]


class DumpsKilledEarly(DumpCase):
    def test_the_process_goes_on_and_there_is_no_file(self):
        self.kill_dumps(split("dump", DUMP_MIDDLE)[0])


class DumpsKilledLate(DumpCase):
    def test_the_process_goes_on_or_there_is_a_whole_file(self):
        self.kill_dumps(split("dump", DUMP_MIDDLE)[1])


class RestoreCase(KillCase):
    def kill_a_restore(self, row, victim):
        files = set(self.folder.iterdir())
        command = ["--state", self.b.state, "restore", "--detach", self.sealed_file]
        code = self.killed(row, victim, command)
        self.assertEqual(set(self.folder.iterdir()), files)
        tasks = sorted(self.tasks())
        self.assertIn(tasks, {"nothing": [[]], "all": [self.family], "all or nothing": [[], self.family]}[row[3]])
        self.assertFalse(code == 0 and not tasks)
        self.assertEqual([pid for pid in self.family if alive(pid)], tasks)
        if tasks:
            self.goes_on_undisturbed(*self.family)
        self.back_to_the_dump()

    def back_to_the_dump(self):
        self.end_tasks()
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in self.family), "the restored tasks are gone")
        self.out.write_bytes(self.written)

    def kill_restores(self, rows):
        child = self.start(FAMILY)
        self.family = sorted(self.tasks())
        self.assertEqual(len(self.family), 2)
        self.dump_away(child)
        self.written = self.out.read_bytes()
        self.for_each(rows, self.kill_a_restore)
        self.succeeds(self.restore())
        self.goes_on_undisturbed(*self.family)
        self.assertFalse(any(folder.exists() for folder in self.left_folders))
        self.assertEqual(self.sockets(), [])


class RestoresKilledEarly(RestoreCase):
    def test_no_task_is_left(self):
        self.kill_restores(split("restore", RESTORE_MIDDLE)[0])


class RestoresKilledLate(RestoreCase):
    def test_no_task_is_left_or_all_of_it_runs(self):
        self.kill_restores(split("restore", RESTORE_MIDDLE)[1])


class StalledTpms(KillCase):
    """A software TPM that is stopped, which as a hardware TPM would answers no more, and holds what it was asked."""

    def stalled(self, step, *command):
        step, stops, there, _ = next(row for row in table() if row[0] == step)
        running, roles = self.stopped_at(step, stops, there, ["--tpm-timeout", "1", *command])
        folder = self.run_folder_of(running.pid)
        os.kill(roles["swtpm"], signal.SIGSTOP)
        wait_until(lambda: status_of(roles["swtpm"])["State"].startswith("T"), "the TPM stalls")
        os.kill(roles[stops], signal.SIGCONT)
        running.wait(timeout=120)
        wait_until(lambda: not self.processes_of_the_run(), "what it started ends")
        self.nothing_else_is_left("swtpm", folder)
        text = running.stderr.read().decode()
        self.assertEqual(running.returncode, 8, text)
        self.assertIn("does not answer in time", text)

    def test_the_process_goes_on_or_none_runs(self):
        child = self.start(COUNTER)
        files = set(self.folder.iterdir())
        self.stalled("dump: the TPM is reached", "--state", self.a.state, "dump", "-t", child.pid, "-o", self.sealed_file,
                     "--to", self.b.record())
        self.assertEqual(set(self.folder.iterdir()), files)
        self.goes_on_undisturbed(child.pid)
        self.dump_away(child)
        self.stalled("restore: the TPM is reached", "--state", self.b.state, "restore", "--detach", self.sealed_file)
        self.assertEqual(self.tasks(), [])
        self.succeeds(self.restore())
        self.goes_on_undisturbed(child.pid)


if __name__ == "__main__":
    support.main()

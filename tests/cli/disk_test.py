#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Disks that are full, fail to sync, or lose what was not synced: there is a whole file, or none and the process goes on."""

import contextlib
import itertools
import os
import signal
import subprocess
import unittest

import support
from process_case import COUNTER, ProcessCase, alive
from step_case import StepCase, table

PAGE = 4096


class DiskCase(ProcessCase):
    def mount(self, what, kind, options):
        place = self.folder / f"disk{len(list(self.folder.glob('disk*')))}"
        place.mkdir()
        subprocess.run(["mount", "-t", kind, "-o", options, what, place], check=True, timeout=60)
        self.addCleanup(subprocess.run, ["umount", place], check=True)
        return place

    def seal(self, path, plain, *more):
        return ["--state", self.a.state, "seal", "-o", path, "--to", self.b.record(), *more, plain]

    def whole(self, path):
        self.succeeds(self.b.run("verify", path))


class FullDisks(DiskCase):
    def setUp(self):
        super().setUp()
        self.disk = self.mount("tmpfs", "tmpfs", "size=64m")
        self.file = self.disk / "x.cks"

    def pages(self, count):
        subprocess.run(["mount", "-o", f"remount,size={count * PAGE}", self.disk], check=True, timeout=60)

    def test_each_page_of_a_sealed_file_is_one_too_many(self):
        plain = self.write("plain", os.urandom(40_000))
        self.file.write_bytes(b"an older file")
        older = self.file.stat().st_blocks * 512 // PAGE
        self.succeeds(support.run(*self.seal(self.file, plain, "--force")))
        size = self.file.stat().st_blocks * 512 // PAGE
        self.assertGreater(size, 10)
        self.file.write_bytes(b"an older file")
        for room in range(size):
            self.pages(older + room)
            self.refused(support.run(*self.seal(self.file, plain, "--force")), 1, "space")
            self.assertEqual(self.file.read_bytes(), b"an older file")
            self.assertEqual(list(self.disk.iterdir()), [self.file])
        self.pages(4 * size)
        self.succeeds(support.run(*self.seal(self.file, plain, "--force")))
        self.whole(self.file)

    def test_each_page_of_an_opened_file_is_one_too_many(self):
        content = os.urandom(10 * PAGE)
        path = self.sealed(content)
        for room in range(1, 10):
            self.pages(room)
            self.refused(self.b.run("open", "-o", self.disk / "plain", path), 1, "space")
            self.assertEqual(list(self.disk.iterdir()), [])
        self.pages(10)
        self.succeeds(self.b.run("open", "-o", self.disk / "plain", path))
        self.assertEqual((self.disk / "plain").read_bytes(), content)

    def test_a_read_only_disk(self):
        path = self.sealed()
        child = self.start(COUNTER)
        subprocess.run(["mount", "-o", "remount,ro", self.disk], check=True, timeout=60)
        self.refused(support.run(*self.seal(self.file, self.folder / "plain")), 1, "Read-only")
        self.refused(self.b.run("open", "-o", self.disk / "plain", path), 1, "Read-only")
        self.refused(self.dump(child, file=self.file), 1, "Read-only")
        self.goes_on()

    def test_a_dump_that_has_too_little_room_lets_the_process_go_on(self):
        child = self.start(COUNTER)
        self.succeeds(self.dump(child, "--leave-running", file=self.file))
        size = self.file.stat().st_blocks * 512 // PAGE
        self.file.unlink()
        # The first pages, the last, and some between.
        for room in [1, 2, 8, *(size * part // 8 for part in range(1, 8)), size - 8, size - 2, size - 1]:
            self.pages(room)
            self.refused(self.dump(child, file=self.file), 1, "space")
            self.assertEqual(list(self.disk.iterdir()), [])
            self.goes_on()
        self.pages(2 * size)
        self.dump_away(child)
        self.succeeds(self.restore())
        self.goes_on()


class FailingSyncs(DiskCase):
    """strace(1) makes one call of ckpt-seal fail, as a disk would; the processes that it starts are let alone."""

    def each_call_fails(self, command, output, check, older=None):
        """Runs the command until each of these calls has failed once; it is to leave no output, or what was there before it."""
        failed = 0
        for call, error in (("fsync", "EIO"), ("fsync", "ENOSPC"), ("linkat", "EROFS"), ("renameat2", "EIO")):
            log = self.folder / "strace"
            for number in itertools.count(1):
                output.unlink(missing_ok=True)
                if older is not None:
                    output.write_bytes(older)
                files = set(self.folder.iterdir()) | {log}
                done = subprocess.run(
                    ["strace", "-qq", "-o", log, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={number}",
                     support.program(), *map(str, command)], capture_output=True, stdin=subprocess.DEVNULL, timeout=120,
                    env=support.ENVIRONMENT)
                self.assertEqual(set(self.folder.iterdir()) - {output}, files - {output})
                if done.returncode == 0:
                    check()
                elif older is None:
                    self.assertFalse(output.exists())
                elif output.read_bytes() != older:  # the last fsync
                    check()
                if "(INJECTED)" not in log.read_text():
                    self.succeeds(done)
                    break
                if done.returncode:
                    failed += 1
                    self.refused(done, 1, "Cannot ")
        self.assertGreaterEqual(failed, 5)

    def test_there_is_no_sealed_file(self):
        plain = self.write("plain", b"content")
        self.each_call_fails(self.seal(self.sealed_file, plain), self.sealed_file, lambda: self.whole(self.sealed_file))

    def test_an_older_file_is_there_or_a_whole_one(self):
        plain = self.write("plain", b"content")
        self.each_call_fails(self.seal(self.sealed_file, plain, "--force"), self.sealed_file,
                             lambda: self.whole(self.sealed_file), older=b"an older file")

    def test_there_is_no_opened_file(self):
        path = self.sealed(b"content")
        opened = self.folder / "opened"
        self.each_call_fails(["--state", self.b.state, "open", "-o", opened, path], opened,
                             lambda: self.assertEqual(opened.read_bytes(), b"content"))

    def test_there_is_no_dump_and_the_process_goes_on(self):
        child = self.start(COUNTER)
        self.each_call_fails(["--state", self.a.state, "dump", "-t", child.pid, "-o", self.sealed_file, "--to",
                              self.b.record(), "--leave-running"], self.sealed_file, lambda: self.whole(self.sealed_file))
        self.goes_on()
        self.sealed_file.unlink()
        self.dump_away(child)
        self.succeeds(self.restore())
        self.goes_on()


class Disk:
    """An ext4 in a file. What was synced is in the file, what was not is in the kernel's memory alone; so a copy of the file is
    the disk after a power cut."""

    def __init__(self, case):
        if not os.path.exists("/dev/loop-control"):
            raise unittest.SkipTest("there are no loop devices")
        self.case = case
        self.image = case.folder / "image"
        subprocess.run(["truncate", "-s", "64M", self.image], check=True)
        subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image], check=True)
        # The kernel syncs by itself only after minutes.
        self.place = case.mount(self.image, "ext4", "loop,commit=900")

    def sync(self):
        folder = os.open(self.place, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    @contextlib.contextmanager
    def after_a_power_cut(self):
        """The folder as it is found then; its journal has been replayed."""
        copy, place = self.case.folder / "copy", self.case.folder / "cut"
        subprocess.run(["cp", "--sparse=always", self.image, copy], check=True)
        place.mkdir()
        subprocess.run(["mount", "-t", "ext4", "-o", "loop", copy, place], check=True, timeout=60)
        try:
            yield place
        finally:
            subprocess.run(["umount", place], check=True, timeout=60)
            place.rmdir()
            copy.unlink()


class PowerCuts(DiskCase):
    def setUp(self):
        super().setUp()
        self.disk = Disk(self)

    def test_what_is_not_synced_is_lost(self):
        (self.disk.place / "file").write_bytes(b"content")
        with self.disk.after_a_power_cut() as found:
            self.assertFalse((found / "file").exists())

    def test_sealed_and_opened_files_are_not_lost(self):
        plain = self.write("plain", os.urandom(3_000_000))
        self.succeeds(support.run(*self.seal(self.disk.place / "x.cks", plain)))
        with self.disk.after_a_power_cut() as found:
            self.whole(found / "x.cks")
        self.succeeds(self.b.run("open", "-o", self.disk.place / "plain", self.disk.place / "x.cks"))
        with self.disk.after_a_power_cut() as found:
            self.assertEqual((found / "plain").read_bytes(), plain.read_bytes())

    def test_a_folder_that_was_opened_is_not_lost(self):
        folder = self.folder / "folder"
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "file").write_bytes(os.urandom(100_000))
        self.succeeds(support.run(*self.seal(self.sealed_file, folder)))
        self.succeeds(self.b.run("open", "-o", self.disk.place / "folder", self.sealed_file))
        with self.disk.after_a_power_cut() as found:
            self.assertEqual((found / "folder" / "deep" / "file").read_bytes(), (folder / "deep" / "file").read_bytes())

    def test_a_dumped_process_is_not_lost(self):
        child = self.start(COUNTER)
        self.succeeds(self.dump(child, file=self.disk.place / "x.cks"))
        child.wait(timeout=60)
        with self.disk.after_a_power_cut() as found:
            self.sealed_file.write_bytes((found / "x.cks").read_bytes())
        self.succeeds(self.restore())
        self.goes_on()


class PowerCutsAtSteps(StepCase, DiskCase):
    def test_a_dump_leaves_nothing_or_a_whole_file(self):
        child = self.start(COUNTER)
        disk = Disk(self)
        path = disk.place / "x.cks"
        for step, stops, there, left in (row for row in table() if row[0].startswith("dump")):
            print(f"power is cut at {step}", flush=True)
            running, roles = self.stopped_at(step, stops, there, [
                "--state", self.a.state, "dump", "-t", child.pid, "-o", path, "--to", self.b.record(), "--leave-running"])
            with disk.after_a_power_cut() as found:
                self.assertEqual((found / path.name).exists(), left == "file")
                if left == "file":
                    self.whole(found / path.name)
            os.kill(roles[stops], signal.SIGCONT)
            self.assertEqual(running.wait(timeout=120), 0)
            with disk.after_a_power_cut() as found:
                self.whole(found / path.name)
            path.unlink()
            disk.sync()
        self.assertTrue(alive(child.pid))
        self.goes_on()


if __name__ == "__main__":
    support.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The journal: which dump, restore, rewrap and shred leaves which line, and what happens when there can be none. docs/state.md."""

import datetime
import fcntl
import json
import os
import pathlib
import re
import signal
import subprocess
import unittest

import support
from sealed_layout import Layout
from process_test import COUNTER, ProcessCase, wait_until

MEMBERS = ["time", "verb", "code", "reason", "message", "checkpoint_id", "origin", "recipients", "recipient_count",
           "removed", "removed_count", "opened_slot", "path", "pid", "uid"]
LONGEST_LINE = 64 << 10


def journal_of(state):
    return pathlib.Path(state) / "journal"


class JournalCase(support.CliTest):
    """Reads journals strictly; a test begins without one."""

    def setUp(self):
        super().setUp()
        for host in self.hosts.values():
            journal_of(host.state).unlink(missing_ok=True)

    def entries(self, state):
        content = journal_of(state).read_bytes()
        self.assertTrue(content.endswith(b"\n"), content)
        lines = content[:-1].split(b"\n")
        for line in lines:
            self.assertLess(len(line), LONGEST_LINE)
            self.assertRegex(line, rb"\A[ -~]+\Z")
        out = [json.loads(line) for line in lines]
        for entry in out:
            self.assertEqual(list(entry), MEMBERS)
            datetime.datetime.strptime(entry["time"], "%Y-%m-%dT%H:%M:%SZ")
        return out

    def restore_of_nothing(self, state, file="missing.cks"):
        """Refused: there is no such file."""
        return support.run("--state", state, "restore", "--criu", "/bin/true", file)

    def full_disk(self, size="64k"):
        """A state folder on a disk without room; made by root alone."""
        disk = self.folder / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", disk], check=True)
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        return disk

    def fill(self, disk):
        with open(disk / "filling", "wb", buffering=0) as filling:
            try:
                while True:
                    filling.write(bytes(4096))
            except OSError:
                pass


class Journal(JournalCase):
    HOSTS = ("host-b",)

    def test_refusals_are_told_of_and_a_dry_run_is_not(self):
        self.refused(self.restore_of_nothing(self.b.state, "sub/../missing.cks"), 1)
        self.refused(self.b.run("dump", "-t", os.getpid(), "-o", self.folder / "x.cks", "--to", "nobody", "--criu",
                                "/bin/true"), 2)
        self.refused(self.b.run("dump", "-t", 1, "-o", "-", "--to", "self", "--criu", "/bin/true"), 2)
        self.succeeds(self.b.run("dump", "-t", 1, "-o", self.folder / "x.cks", "--dry-run", "--criu",
                                 "/bin/true"))
        first, second, third = self.entries(self.b.state)
        self.assertEqual((first["verb"], first["code"], first["reason"]), ("restore", 1, "failed"))
        self.assertIn("No such file", first["message"])
        self.assertEqual(first["path"], str(pathlib.Path.cwd() / "missing.cks"))
        for member in ("checkpoint_id", "origin", "opened_slot", "pid"):
            self.assertIsNone(first[member])
        self.assertEqual((first["recipients"], first["recipient_count"], first["uid"]), ([], 0, os.getuid()))
        self.assertEqual((second["verb"], second["pid"], second["path"]),
                         ("dump", os.getpid(), str(self.folder / "x.cks")))
        self.assertEqual((third["code"], third["reason"], third["path"]), (2, "usage", "-"))
        self.assertEqual(journal_of(self.b.state).stat().st_mode & 0o7777, 0o600)

    def test_hostile_names_stay_one_plain_line(self):
        bad = b"\x1b[31m\r\n\xc2\x9b\xff\x7f\"\\" + "ä€😀".encode()
        for name in (bad, "€".encode() * 1300):
            self.assertEqual(self.restore_of_nothing(self.b.state, os.fsdecode(name)).returncode, 1)
        first, second = self.entries(self.b.state)
        self.assertTrue(first["path"].endswith("/?[31m???\ufffd?\"\\ä€😀"), first["path"])
        self.assertTrue(second["path"].endswith("€..."), second["path"])
        for text in (second["path"], second["message"]):
            self.assertIn(len(text.encode()), range(1000, 1025))

    def test_many_at_once_and_a_torn_line(self):
        journal = journal_of(self.b.state)
        journal.touch(0o600)
        journal.write_bytes(b'{"time":"2026')
        commands = [subprocess.Popen([support.program(), "--state", self.b.state, "restore", "--criu", "/bin/true",
                                      f"missing-{number}"], env=support.ENVIRONMENT, stderr=subprocess.DEVNULL)
                    for number in range(12)]
        for command in commands:
            self.assertEqual(command.wait(timeout=240), 1)
        torn, rest = journal.read_bytes().split(b"\n", 1)
        self.assertEqual(torn, b'{"time":"2026')
        journal.write_bytes(rest)
        names = {pathlib.Path(entry["path"]).name for entry in self.entries(self.b.state)}
        self.assertEqual(names, {f"missing-{number}" for number in range(12)})

    def test_after_a_rotation_a_new_one_is_made(self):
        self.restore_of_nothing(self.b.state, "before")
        journal_of(self.b.state).rename(self.folder / "rotated")
        self.restore_of_nothing(self.b.state, "after")
        self.assertEqual([pathlib.Path(entry["path"]).name for entry in self.entries(self.b.state)], ["after"])

    def test_it_outlives_the_host(self):
        host = support.Host(self.folder, "host-c")
        self.restore_of_nothing(host.state, "before")
        self.succeeds(host.run("provision", "--remove"))
        self.restore_of_nothing(host.state, "after")
        self.assertEqual([path.name for path in host.state.iterdir()], ["journal"])
        self.assertEqual([pathlib.Path(entry["path"]).name for entry in self.entries(host.state)], ["before", "after"])

    def test_a_lock_that_is_kept_is_a_warning(self):
        journal = journal_of(self.b.state)
        journal.touch(0o600)
        with open(journal, "r+b") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            done = self.refused(self.restore_of_nothing(self.b.state), 1, "No such file")
        self.assertIn(b"warning: no line in the journal", done.stderr)
        self.assertEqual(journal.read_bytes(), b"")

    def test_a_journal_of_doubtful_kind_stops_the_verb(self):
        journal = journal_of(self.b.state)
        target = self.write("target", b"")
        target.chmod(0o600)
        for make, word in ((lambda: journal.symlink_to(target), "symbolic link"),
                           (lambda: journal.touch(0o640), "chmod 600"),
                           (lambda: os.mkfifo(journal, 0o600), "regular"),
                           (lambda: journal.mkdir(0o700), "directory")):
            with self.subTest(word):
                make()
                done = self.refused(self.restore_of_nothing(self.b.state), 1, "journal", word)
                self.assertNotIn(b"No such file", done.stderr)
                (journal.rmdir if journal.is_dir() and not journal.is_symlink() else journal.unlink)()
        self.assertEqual(target.read_bytes(), b"")


class JournalOfChanges(JournalCase):
    """Of rewrap and shred."""

    HOSTS = ("host-a", "host-b")

    def record_of(self, host):
        return self.json(host.run("--json", "host", "show"))["record"]

    def vouched_for(self, path):
        return self.json(self.b.run("--json", "inspect", path))["checkpoint_id"], self.record_of(self.a)["identity"]

    def test_a_rewrap(self):
        path = self.sealed()
        expected = self.vouched_for(path)
        self.succeeds(self.b.run("rewrap", "--dry-run", path, "--add", self.a.record()))
        self.succeeds(self.b.run("rewrap", path))
        self.assertFalse(journal_of(self.b.state).exists() and journal_of(self.b.state).read_bytes())
        self.succeeds(self.b.run("rewrap", path, "--add", self.a.record(), "--add", "passphrase", "--new-passphrase-fd", "0",
                                 input=b"horse"))
        self.succeeds(self.b.run("rewrap", path, "--remove", "passphrase", "--remove", self.a.record()))
        self.refused(self.b.run("rewrap", path, "--remove", "0"), 2)
        missing = self.folder / "missing.cks"
        self.refused(self.b.run("rewrap", path, missing, "--add", self.a.record()), 1, "1 of 2")
        added, removed, refused, changed, failed = self.entries(self.b.state)
        host = {key: self.record_of(self.a)[key] for key in ("name", "identity", "fingerprint")}
        self.assertEqual((added["verb"], added["code"], added["reason"], added["opened_slot"]), ("rewrap", 0, "done", 0))
        self.assertEqual(added["recipients"], [host, {"name": "passphrase", "identity": None, "fingerprint": None}])
        self.assertEqual((added["recipient_count"], added["removed"], added["removed_count"]), (2, [], 0))
        self.assertEqual((removed["recipients"], removed["removed"]), ([], ["passphrase", str(self.a.record())]))
        self.assertEqual((refused["code"], refused["removed"], refused["removed_count"]), (2, ["0"], 1))
        self.assertIn("no slot would be left", refused["message"])
        self.assertEqual((changed["recipients"], changed["path"]), ([host], str(path)))
        self.assertEqual((failed["code"], failed["path"], failed["checkpoint_id"]), (1, str(missing), None))
        for entry in (added, removed, refused, changed):
            self.assertEqual((entry["checkpoint_id"], entry["origin"]), expected)
            self.assertEqual((entry["uid"], entry["pid"]), (os.getuid(), None))

    def test_a_rewrap_that_fails_in_the_middle(self):
        path = self.sealed()
        done = subprocess.run(["strace", "-qq", "-o", "/dev/null", "-e", "inject=pwrite64:error=EIO:when=2", support.program(),
                               "--state", self.b.state, "rewrap", path, "--add", self.a.record()], capture_output=True,
                              timeout=120, env=support.ENVIRONMENT)
        self.refused(done, 1, "Cannot write")
        self.succeeds(self.b.run("rewrap", path))
        failed, completed = self.entries(self.b.state)
        self.assertIn("from before or for those from after", failed["message"])
        self.assertEqual((failed["code"], failed["recipient_count"], failed["opened_slot"]), (1, 1, None))
        self.assertEqual((completed["code"], completed["recipient_count"]), (0, 0))
        self.assertEqual(failed["checkpoint_id"], completed["checkpoint_id"])

    def test_a_shred(self):
        path = self.sealed()
        expected = self.vouched_for(path)
        self.succeeds(self.b.run("shred", "--dry-run", path))
        self.assertFalse(journal_of(self.b.state).exists())
        self.refused(self.b.run("shred", path), 2, "--yes")
        self.succeeds(self.b.run("shred", "--yes", path))
        self.succeeds(self.b.run("shred", "--yes", path))
        self.refused(self.b.run("shred", "--yes", self.write("plain", b"p" * 200_000)), 5)
        unasked, done, again, refused = self.entries(self.b.state)
        self.assertEqual((unasked["code"], done["verb"], done["code"], done["path"]), (2, "shred", 0, str(path)))
        self.assertEqual((done["checkpoint_id"], done["origin"]), expected)
        self.assertEqual((done["recipients"], done["removed"]), ([], []))
        # Nothing is left that could say what it was.
        self.assertEqual((again["code"], again["checkpoint_id"], again["origin"]), (0, None, None))
        self.assertEqual((refused["code"], refused["checkpoint_id"]), (5, None))

    def test_nothing_that_nobody_vouches_for(self):
        plain = self.write("plain", b"some content")
        unsigned, stranger = self.folder / "unsigned.cks", self.folder / "stranger.cks"
        self.succeeds(self.a.run("seal", "--unsigned", "-o", unsigned, "--to", self.b.record(), plain))
        self.succeeds(self.b.run("seal", "-o", stranger, "--to", self.a.record(), plain))  # host-a does not trust host-b
        damaged = self.sealed()
        content = bytearray(damaged.read_bytes())
        content[Layout(content).signature] ^= 1
        damaged.write_bytes(content)
        self.succeeds(self.b.run("rewrap", unsigned, "--allow-unsigned", "--add", self.a.record()))
        self.refused(self.a.run("rewrap", stranger, "--add", self.a.record()), 4)
        self.refused(self.b.run("rewrap", damaged, "--add", self.a.record()), 5)
        for host, path in ((self.b, unsigned), (self.a, stranger), (self.b, damaged)):
            self.succeeds(host.run("shred", "--yes", path))
        entries = self.entries(self.a.state) + self.entries(self.b.state)
        self.assertEqual([entry["code"] for entry in entries], [4, 0, 0, 5, 0, 0])
        for entry in entries:
            self.assertEqual((entry["checkpoint_id"], entry["origin"]), (None, None))

    def test_what_is_removed_under_a_long_name(self):
        names = ["€" * 100] + [f"{number}/\"\\" for number in range(17)]
        self.refused(self.b.run("rewrap", self.sealed(), *[word for name in names for word in ("--remove", name)]), 2)
        entry, = self.entries(self.b.state)
        self.assertEqual((len(entry["removed"]), entry["removed_count"]), (16, 18))
        self.assertEqual(entry["removed"][:2], ["€" * 84 + "...", '0/"\\'])

    def test_without_a_journal_nothing_is_done(self):
        path = self.sealed()
        before = path.read_bytes()
        journal_of(self.b.state).symlink_to(self.folder / "elsewhere")
        for verb in (("rewrap", path, "--add", self.a.record()), ("shred", "--yes", path)):
            self.refused(self.b.run(*verb), 1, "journal", "symbolic link")
            self.assertEqual(path.read_bytes(), before)
        # A dry run changes nothing, so there is nothing to tell of.
        self.succeeds(self.b.run("shred", "--dry-run", path))
        self.succeeds(self.b.run("rewrap", "--dry-run", path, "--add", self.a.record()))
        journal_of(self.b.state).unlink()
        self.succeeds(self.b.run("shred", "--yes", path))
        self.assertEqual(len(self.entries(self.b.state)), 1)

    def test_without_a_state_folder(self):
        files = [self.sealed().rename(self.folder / f"{number}.cks") for number in range(2)]
        for path in files:
            self.succeeds(self.b.run("rewrap", path, "--add", "passphrase", "--new-passphrase-fd", "0", input=b"horse"))
        nowhere = self.folder / "nowhere"
        trust = ("--trust", self.a.record(), "--trust", self.b.record())
        for path in files:
            done = support.run("--state", nowhere, "rewrap", "--unsigned", path, *trust, "--identity", "passphrase", "--passphrase-fd", "0",
                               "--remove", self.b.record(), "--only-passphrase", input=b"horse")
            self.assertIn(b"no state folder, so no journal", self.succeeds(done).stderr)
        done = support.run("--json", "--state", nowhere, "shred", "--yes", files[0])
        self.assertIn("no state folder, so no journal", self.json(self.succeeds(done))["warnings"][0])
        done = support.run("--state", nowhere, "shred", "--yes", self.folder / "missing.cks")
        self.assertNotIn(b"journal", self.refused(done, 1).stderr)
        self.assertFalse(nowhere.exists())


class JournalRights(JournalCase):
    HOSTS = ("host-b",)

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("only root can give files away or mount")
        super().setUpClass()

    def test_a_journal_of_another_user_stops_the_verb(self):
        journal_of(self.b.state).touch(0o600)
        os.chown(journal_of(self.b.state), 12345, 0)
        self.refused(self.restore_of_nothing(self.b.state), 1, "journal", "user 12345")

    def test_a_state_folder_of_another_user_stops_what_changes_a_file(self):
        """It is not as if there were none: then anybody could do without the journal."""
        path = self.write("x.cks", b"")
        for folder in (self.base, self.folder):
            folder.chmod(0o755)
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", support.program(), "--state",
                               self.b.state, "shred", "--yes", path], capture_output=True, timeout=60, env=support.ENVIRONMENT)
        self.refused(done, 1, "state folder")

    def test_a_full_disk_is_a_warning_and_leaves_no_half_line(self):
        disk = self.full_disk()
        journal = journal_of(disk)
        journal.touch(0o600)
        journal.write_bytes(b"x" * 4000 + b"\n")
        self.fill(disk)
        before = journal.read_bytes()
        done = self.refused(self.restore_of_nothing(disk), 1, "No such file")
        self.assertIn(b"warning: no line in the journal", done.stderr)
        self.assertIn(b"No space left", done.stderr)
        self.assertEqual(journal.read_bytes(), before)
        # Its twin: with room the line is there.
        (disk / "filling").unlink()
        self.assertNotIn(b"warning", self.refused(self.restore_of_nothing(disk), 1).stderr)
        self.assertEqual(len(journal.read_bytes().splitlines()), 2)


class JournalOfProcesses(ProcessCase, JournalCase):
    def test_a_dump_and_its_restores(self):
        child = self.start(COUNTER)
        self.refused(self.dump(child, "--", "--page-server"), 2)
        sealed = self.json(self.succeeds(self.dump(child, "--json")))
        child.wait(timeout=60)
        self.refused(self.restore(host=self.a), 9)
        restored = self.json(self.succeeds(self.restore("--json")))
        refused, dump, elsewhere = self.entries(self.a.state)
        (restore,) = self.entries(self.b.state)
        self.assertEqual((refused["code"], refused["reason"], refused["pid"]), (2, "usage", child.pid))
        records = {host.name: self.json(host.run("--json", "host", "show"))["record"] for host in (self.a, self.b)}
        self.assertEqual((dump["verb"], dump["code"], dump["reason"], dump["message"]), ("dump", 0, "done", None))
        self.assertEqual(dump["recipients"], [{key: records["host-b"][key] for key in ("name", "identity", "fingerprint")}])
        self.assertEqual((dump["recipient_count"], dump["opened_slot"], dump["pid"]), (1, None, child.pid))
        self.assertEqual((elsewhere["verb"], elsewhere["reason"], elsewhere["pid"]), ("restore", "no_slot", None))
        self.assertEqual((restore["code"], restore["opened_slot"], restore["pid"]), (0, 0, restored["pid"]))
        self.assertEqual((restore["recipients"], restore["recipient_count"]), ([], 0))
        for entry in (dump, restore, elsewhere):
            self.assertEqual(entry["checkpoint_id"], sealed["checkpoint_id"])
            self.assertEqual(entry["origin"], records["host-a"]["identity"])
            self.assertEqual((entry["path"], entry["uid"]), (str(self.sealed_file), os.getuid()))

    def test_a_refused_restore_names_what_was_vouched_for(self):
        self.dumped()
        sealed = self.json(self.a.run("--json", "inspect", self.sealed_file))
        whole = self.sealed_file.read_bytes()
        self.assertTrue(sealed["signature_verified"])
        size, layout = len(whole), Layout(whole)
        # What is behind the signature, as docs/format.md lays it out, and what the signature itself is or covers.
        id_of_file = bytes.fromhex(sealed["checkpoint_id"])
        cases = (("no slot", 9, {"host": self.a}, None, True), ("a chunk", 5, {}, size // 2, True),
                 ("no CRIU", 1, {"criu": "/bin/false"}, None, True),
                 ("signature", 5, {}, layout.signature, False), ("manifest", 5, {}, layout.manifest + 100, False),
                 ("its id", 5, {}, whole.index(id_of_file), False), ("no file", 5, {}, 0, False))
        for name, code, how, at, vouched in cases:
            with self.subTest(name):
                content = bytearray(whole)
                if name == "its id":  # in both copies of the header, each with its checksum wrong then
                    content = content.replace(id_of_file, bytes(16))
                elif at is not None:
                    content[at] ^= 1
                self.sealed_file.write_bytes(content)
                host = how.get("host", self.b)
                more = ("--criu", how["criu"]) if "criu" in how else ()
                self.refused(self.restore(*more, host=host), code)
                entry = self.entries(host.state)[-1]
                self.assertEqual((entry["verb"], entry["code"], entry["pid"], entry["opened_slot"]),
                                 ("restore", code, None, None))
                expected = (sealed["checkpoint_id"], sealed["origin"]) if vouched else (None, None)
                self.assertEqual((entry["checkpoint_id"], entry["origin"]), expected)
        self.sealed_file.write_bytes(whole)
        self.addCleanup(self.b.run, "host", "trust", self.a.record(), "--as", "origin")
        self.succeeds(self.b.run("host", "trust", "--remove", "host-a", "--as", "origin"))
        self.refused(self.restore(), 4)
        entry = self.entries(self.b.state)[-1]
        self.assertEqual((entry["checkpoint_id"], entry["origin"]), (None, None))

    def test_without_a_journal_nothing_is_done(self):
        child = self.start(COUNTER)
        journal_of(self.a.state).symlink_to(self.folder / "elsewhere")
        self.refused(self.dump(child), 1, "journal")
        self.assertFalse(self.sealed_file.exists())
        self.goes_on()
        journal_of(self.a.state).unlink()
        self.succeeds(self.dump(child))

    def test_a_restore_stands_when_the_line_cannot_be_written(self):
        child = self.start(COUNTER)
        secret = self.write("secret", b"a long passphrase")
        with open(secret) as file:
            self.succeeds(self.a.run("dump", "-t", child.pid, "-o", self.sealed_file, "--to", "passphrase", "--to",
                                     "self", "--passphrase-fd", file.fileno(), pass_fds=[file.fileno()]))
        child.wait(timeout=60)
        disk = self.full_disk()
        self.fill(disk)
        for state, warning in ((disk, b"No space left"), (self.folder / "none", b"no state folder")):
            pidfile = self.folder / f"pid-{state.name}"
            with open(secret) as file:
                done = support.run("--state", state, "restore", "--detach", "--pidfile", pidfile, "--identity",
                                   "passphrase", "--passphrase-fd", file.fileno(), "--trust", self.a.record(),
                                   self.sealed_file, pass_fds=[file.fileno()])
            self.succeeds(done)
            pid = int(pidfile.read_text())
            self.restored = [pid]
            self.assertRegex(done.stderr, b"warning: .*" + re.escape(warning))
            self.goes_on()
            os.kill(pid, signal.SIGKILL)
            # Its number is free for the next once whoever adopted it has reaped it.
            wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the restored task is gone")


if __name__ == "__main__":
    support.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rewrap and shred: who can open a file changes, whatever happens in the middle. docs/format.md, "Changing the slots"."""

import fcntl
import itertools
import os
import pathlib
import signal
import subprocess

import support
from disk_test import Disk, DiskCase
from sealed_layout import Layout, with_headers
from slot_changes import Changer, sha256, u16, u64, with_slots

HEADER = 8192  # of a file for one host or two
COPIES = (4096, 4096 + HEADER)


class RewrapCase(support.CliTest):
    HOSTS = ("host-a", "host-b", "host-c")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        a, b, c = (cls.hosts[name] for name in cls.HOSTS)
        for host in (b, c):
            host.run("host", "trust", a.record(), "--as", "origin")
        c.run("host", "trust", b.record(), "--as", "origin")

    @property
    def c(self):
        return self.hosts["host-c"]

    def slots(self, path):
        return self.json(self.succeeds(self.b.run("--json", "inspect", path)))["slots"]

    def sealed(self, *arguments):
        (self.folder / "x.cks").unlink(missing_ok=True)
        return super().sealed(*arguments)

    def opens(self, host, path, *more, **options):
        self.assertEqual(self.succeeds(host.run("open", "-o", "-", path, *more, **options)).stdout, b"some content")

    def headers(self, path):
        content = pathlib.Path(path).read_bytes()
        return [content[at:at + HEADER] for at in COPIES]

    def is_whole(self, path, *hosts):
        """Both copies are one, no warning, and these hosts open it."""
        first, second = self.headers(path)
        self.assertEqual(first, second)
        done = self.succeeds(self.b.run("verify", "--no-key", path))
        self.assertNotIn(b"copies", done.stderr)
        for host in hosts:
            self.opens(host, path)


class Rewrap(RewrapCase):
    def test_who_is_added_opens_it(self):
        path = self.sealed()
        data = path.read_bytes()[4096 + 2 * HEADER:]
        self.refused(self.c.run("open", "-o", "-", path), 9)
        self.succeeds(self.b.run("rewrap", path, "--add", self.c.record()))
        self.is_whole(path, self.b, self.c)
        self.assertEqual(path.read_bytes()[4096 + 2 * HEADER:], data)
        kinds = [(slot["kind"], slot["adder"] == "origin") for slot in self.slots(path)]
        self.assertEqual(kinds, [("tpm2", True), ("tpm2", False)])
        # By other programs than ours: the same data key from either slot.
        self.assertEqual(self.c.unseal_by_other_means(path, 1), self.b.unseal_by_other_means(path, 0))

    def test_its_twin_an_adder_who_is_not_trusted(self):
        path = self.sealed()
        self.succeeds(self.b.run("rewrap", path, "--add", self.c.record()))
        self.succeeds(self.c.run("host", "trust", "--remove", "host-b", "--as", "origin"))
        self.addCleanup(self.c.run, "host", "trust", self.b.record(), "--as", "origin")
        self.refused(self.c.run("open", "-o", "-", path), 4, "changed by a host", "not trusted")
        self.opens(self.b, path)

    def test_its_twin_who_had_a_slot_before_has_to_trust_the_changer_too(self):
        path = self.sealed(b"some content", "host-b", "--to", "self")
        self.opens(self.a, path)
        done = self.succeeds(self.b.run("rewrap", path, "--add", self.c.record()))
        self.assertIn(b"has to trust this host as origin, too", done.stderr)
        self.refused(self.a.run("open", "-o", "-", path), 4, "changed by a host", "not trusted")
        self.opens(self.a, path, "--trust", self.b.record())

    def test_a_change_that_nobody_signs(self):
        path = self.sealed()
        before = path.read_bytes()
        self.succeeds(self.b.run("rewrap", path, "--unsigned", "--add", self.c.record()))
        for host in (self.b, self.c):
            self.refused(host.run("open", "-o", "-", path), 4, "not signed", "--allow-unsigned")
            self.opens(host, path, "--allow-unsigned")
        shown = self.json(self.b.run("--json", "inspect", path))
        self.assertEqual((shown["changer"], [slot["vouched_for"] for slot in shown["slots"]]), ("unsigned", [True, False]))
        # Who can sign makes it good again, for those slots that the origin put there.
        self.succeeds(self.b.run("rewrap", path, "--allow-unsigned", "--remove", "1"))
        self.is_whole(path, self.b)
        # Who cannot is told before anything is written.
        path.write_bytes(before)
        self.succeeds(self.b.run("rewrap", path, "--add", "passphrase", "--new-passphrase-fd", "0", input=b"horse\n"))
        before = path.read_bytes()
        nobody = ("--state", self.folder / "nobody", "rewrap", path, "--trust", self.a.record(), "--trust", self.b.record(),
                  "--identity", "passphrase", "--passphrase-fd", "0", "--remove", self.b.record(), "--only-passphrase")
        self.refused(support.run(*nobody, input=b"horse\n"), 2, "cannot sign the change", "--unsigned")
        self.assertEqual(path.read_bytes(), before)
        self.succeeds(support.run(*nobody, "--unsigned", input=b"horse\n"))
        by_passphrase = ("--identity", "passphrase", "--passphrase-fd", "0")
        self.refused(self.b.run("open", "-o", "-", path, *by_passphrase, input=b"horse\n"), 4, "--allow-unsigned")
        self.opens(self.b, path, *by_passphrase, "--allow-unsigned", input=b"horse\n")

    def test_its_twin_an_added_slot_with_another_signature(self):
        path = self.sealed()
        self.succeeds(self.b.run("rewrap", path, "--add", self.c.record()))
        # Of the last slot; the header is sound, has the right MAC, and a host that is trusted has signed it.
        path.write_bytes(with_slots(path.read_bytes(), self.b.unseal_by_other_means(path),
                                    lambda slots: slots[:-1] + bytes([slots[-1] ^ 1]), Changer(self.b), 3))
        self.refused(self.c.run("open", "-o", "-", path), 5, "the signature of who added slot 1 holds by no key")
        self.opens(self.b, path)
        self.refused(self.b.run("verify", path), 5, "vouches for its slot 1")
        # Somebody else may know that key, so that a change leaves it, and says how to take it out.
        done = self.succeeds(self.b.run("rewrap", path, "--add", "self"))
        self.assertIn(b"its slot 1 stays", done.stderr)
        self.assertEqual(len(self.slots(path)), 2)
        self.succeeds(self.b.run("rewrap", path, "--remove", "1"))
        self.is_whole(path, self.b)
        self.assertEqual(len(self.slots(path)), 1)

    def test_who_is_removed_is_in_neither_copy(self):
        path = self.sealed(b"some content", "host-b", "--to", self.c.record())
        identity = bytes.fromhex(self.slots(path)[0]["recipient"])
        self.assertEqual(path.read_bytes().count(identity), 2)
        done = self.succeeds(self.c.run("rewrap", path, "--remove", self.b.record()))
        self.assertIn(b"only sealing the content anew revokes", done.stderr)
        self.assertEqual(path.read_bytes().count(identity), 0)
        self.is_whole(path, self.c)
        self.refused(self.b.run("open", "-o", "-", path), 9)

    def test_one_is_replaced_in_one_step(self):
        path = self.sealed()
        self.succeeds(self.b.run("rewrap", path, "--replace", f"0={self.c.record()}"))
        self.is_whole(path, self.c)
        self.assertEqual(self.json(self.c.run("--json", "inspect", path))["generation"], 2)
        self.refused(self.b.run("open", "-o", "-", path), 9)

    def test_a_passphrase(self):
        path = self.sealed()
        add = ("--add", "passphrase", "--new-passphrase-fd", "0")
        by_passphrase = ("--identity", "passphrase", "--passphrase-fd", "0")
        self.succeeds(self.b.run("rewrap", path, *add, input=b"horse\n"))
        self.opens(self.c, path, *by_passphrase, input=b"horse\n")
        self.refused(self.c.run("open", "-o", "-", *by_passphrase, path, input=b"donkey\n"), 3)
        self.refused(self.b.run("rewrap", path, "--remove", "self"), 2, "--only-passphrase")
        self.succeeds(self.b.run("rewrap", path, "--remove", "self", "--only-passphrase"))
        self.refused(self.b.run("rewrap", path, "--remove", "passphrase"), 2, "no slot would be left")
        self.succeeds(self.c.run("rewrap", path, "--replace", f"passphrase={self.b.record()}", *by_passphrase, input=b"horse\n"))
        self.succeeds(self.b.run("host", "trust", self.c.record(), "--as", "origin"))
        self.is_whole(path, self.b)

    def test_who_has_a_slot_gets_no_other(self):
        path = self.sealed()
        before = path.read_bytes()
        report = self.json(self.succeeds(self.b.run("--json", "rewrap", path, "--add", "self")))
        self.assertFalse(report["files"][0]["changed"])
        self.assertEqual(path.read_bytes(), before)

    def test_dry_run_changes_nothing(self):
        path = self.sealed()
        before = path.read_bytes()
        report = self.json(self.succeeds(self.b.run("--json", "rewrap", "--dry-run", path, "--add", self.c.record())))
        self.assertTrue(report["files"][0]["changed"])
        self.assertEqual(path.read_bytes(), before)

    def test_many_files_of_which_one_cannot_be_changed(self):
        files = []
        for number in range(3):
            files.append(self.sealed().rename(self.folder / f"{number}.cks"))
        files[1].write_bytes(files[1].read_bytes()[:-1])
        done = self.refused(self.b.run("rewrap", *files, "--add", self.c.record()), 5, "1 of 3")
        self.assertIn(b"1.cks", done.stderr)
        self.is_whole(files[0], self.c)
        self.is_whole(files[2], self.c)

    def test_refused(self):
        path = self.sealed()
        exclusive = self.folder / "exclusive.cks"
        plain = self.write("plain", b"x")
        self.succeeds(self.a.run("seal", "--exclusive", "-o", exclusive, "--to", self.b.record(), plain))
        unsigned = self.folder / "unsigned.cks"
        self.succeeds(self.a.run("seal", "--unsigned", "-o", unsigned, "--to", self.b.record(), plain))
        add = ("--add", self.c.record())
        for arguments, code, words in (
                ((path, "--remove", "0"), 2, ("no slot would be left", "shred")),
                ((path, "--remove", "1", *add), 2, ("no slot 1",)),
                ((path, "--remove", self.c.record(), *add), 2, ("no slot", "inspect")),
                ((path, "--remove", "passphrase", *add), 2, ("no slot passphrase",)),
                ((path, "--remove", "f" * 64, *add), 2, ("no slot ffff",)),
                ((path, "--remove", "nobody", *add), 4, ("nobody",)),
                ((path, "--replace", "0"), 2, ("SLOT=RECIPIENT",)),
                ((path, "--replace", "=host-c"), 2, ("SLOT=RECIPIENT",)),
                ((path, path, "--remove", "0", *add), 2, ("number of a slot",)),
                ((exclusive, *add), 2, ("exclusive",)),
                ((unsigned, *add), 4, ("--allow-unsigned",)),
                ((self.folder, *add), 2, ("not a regular file",)),
                ((plain, *add), 5, ("not a sealed checkpoint",)),
                ((self.folder / "none.cks", *add), 1, ("none.cks",))):
            with self.subTest(arguments):
                before = path.read_bytes()
                self.refused(self.b.run("rewrap", *arguments), code, *words)
                self.assertEqual(path.read_bytes(), before)
        self.refused(self.c.run("rewrap", path, *add), 9)
        self.succeeds(self.b.run("rewrap", unsigned, "--allow-unsigned", *add))
        nowhere = support.Host.__new__(support.Host)
        nowhere.state = self.folder / "nowhere"
        self.refused(nowhere.run("rewrap", path, *add), 2, "--identity")

    def test_while_another_changes_it(self):
        path = self.sealed()
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.refused(self.b.run("rewrap", path, "--add", self.c.record()), 1, "another ckpt-seal", "later")
            self.refused(self.b.run("shred", "--yes", path), 1, "another ckpt-seal", "later")
        self.succeeds(self.b.run("rewrap", path, "--add", self.c.record()))
        self.is_whole(path, self.b, self.c)

    def test_readers_find_it_whole_at_any_moment(self):
        path = self.sealed()
        with subprocess.Popen(["sh", "-c", f"""
                for i in 1 2 3 4 5 6; do
                    {support.program()} --state {self.b.state} rewrap {path} --add {self.c.record()} || exit 1
                    {support.program()} --state {self.b.state} rewrap {path} --remove {self.c.record()} || exit 1
                done"""], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=support.ENVIRONMENT) as changes:
            count = 0
            while changes.poll() is None:
                self.succeeds(self.a.run("inspect", path))
                count += 1
            self.assertEqual(changes.returncode, 0, changes.stderr.read())
        self.assertGreater(count, 10)
        self.is_whole(path, self.b)

    def test_its_header_has_an_end(self):
        path = self.sealed()
        changer = Changer(self.b)
        used = Layout(path.read_bytes()).behind_slots - 4096 + (32 + 8 + 68) + 64  # with a change, MAC and checksum
        # Of an unknown kind. A passphrase slot of an adder has 201 bytes: there is room for one, and not for two.
        body = bytes(HEADER - 300 - used - 8 - (32 + 8 + 8 + 68))

        def nearly_full(slots):
            return u16(2) + slots[2:] + changer.added(path.read_bytes(), 2, 99, body)

        path.write_bytes(with_slots(path.read_bytes(), self.b.unseal_by_other_means(path), nearly_full, changer))
        add = ("--add", "passphrase", "--new-passphrase-fd", "0")
        self.succeeds(self.b.run("rewrap", path, *add, input=b"horse\n"))
        before = path.read_bytes()
        self.refused(self.b.run("rewrap", path, *add, input=b"horse\n"), 1, "no room", "seal the content anew")
        self.assertEqual(path.read_bytes(), before)
        self.is_whole(path, self.b)
        self.succeeds(self.b.run("rewrap", path, "--replace", f"1={self.c.record()}"))
        self.is_whole(path, self.b, self.c)


class InterruptedCase(RewrapCase):
    """strace(1) kills ckpt-seal at each of its writes and syncs, or makes them fail."""

    # Which recipients a file has when the first and when the second call of that name was interfered with.
    NEW = (("pwrite64", [False, True]), ("fsync", [True, True]))

    def fresh(self):
        return self.sealed(b"some content", "host-b", "--to", self.a.record())

    def changes(self, path, call, inject):
        """A rewrap that is interfered with where it writes to the file, and not to the journal."""
        log = self.folder / "strace"
        done = subprocess.run(
            ["strace", "-qq", "-o", log, "-P", path, "-e", f"trace={call}", "-e", f"inject={call}:{inject}",
             support.program(), "--state", str(self.b.state), "rewrap", str(path), "--add", str(self.c.record()), "--remove",
             str(self.a.record())], capture_output=True, stdin=subprocess.DEVNULL, timeout=120, env=support.ENVIRONMENT)
        return done, log.read_text()

    def opens_and_is_completed(self, path):
        """Whoever stays opens it; a rewrap without options leaves two equal copies; the slots are the old ones or the new."""
        self.opens(self.b, path)
        recipients = {slot.get("recipient") for slot in self.slots(path)}
        self.succeeds(self.b.run("rewrap", path))
        self.assertEqual({slot.get("recipient") for slot in self.slots(path)}, recipients)
        self.assertEqual(len(recipients), 2)
        new = self.c.run("open", "-o", "-", path).returncode == 0
        self.is_whole(path, self.b, self.c if new else self.a)
        return new


class RewrapInterrupted(InterruptedCase):
    def each_call(self, call, inject):
        outcomes = []
        for number in itertools.count(1):
            path = self.fresh()
            done, log = self.changes(path, call, f"{inject}:when={number}")
            if done.returncode == 0:
                self.assertNotIn("INJECTED", log)
                break
            self.assertIn("INJECTED" if "error" in inject else "SIGKILL", log, done.stderr.decode())
            outcomes.append((self.opens_and_is_completed(path), done))
        return outcomes

    def test_killed(self):
        for call, expected in self.NEW:
            self.assertEqual([new for new, _ in self.each_call(call, "signal=SIGKILL")], expected)

    def test_disk_that_fails(self):
        for (call, expected), error in itertools.product(self.NEW, ("EIO", "ENOSPC")):
            outcomes = self.each_call(call, f"error={error}")
            self.assertEqual([new for new, _ in outcomes], expected)
            for _, done in outcomes:
                self.refused(done, 1, "Cannot write", "from before or for those from after", "ckpt-seal rewrap")

    def test_each_copy_half_written(self):
        path = self.sealed(b"some content", "host-b", "--to", self.a.record())
        content = path.read_bytes()
        old = self.headers(path)[0]
        self.succeeds(self.b.run("rewrap", path, "--add", self.c.record(), "--remove", self.a.record()))
        new = self.headers(path)[0]
        # Two checksums may end with the same bytes, and without those the new one is whole.
        last = max(at for at in range(HEADER) if new[at] != old[at])
        for cut in (1, 24, 300, 512, 700, HEADER - 32, last):
            torn = new[:cut] + old[cut:]
            for first, second, is_new in ((old, torn, False), (torn, new, True)):
                with self.subTest((cut, is_new)):
                    path.write_bytes(with_headers(content, first, second))
                    self.assertEqual(self.opens_and_is_completed(path), is_new)

    def test_a_forged_newer_copy_is_not_spread(self):
        """Its checksum needs no key: refused for who has not signed it, and else by its MAC; the copy that opens is left."""
        path = self.sealed()
        content = path.read_bytes()
        layout = Layout(content)
        good = self.headers(path)[0]
        forged = good[:8] + u64(7) + good[16:layout.behind_slots - 4096] + bytes(32 + 8 + 4)  # changed by nobody
        forged = (forged + b"\1" * 32).ljust(HEADER - 32, b"\0")
        forged += sha256(forged)
        path.write_bytes(with_headers(content, good, forged))
        self.refused(self.b.run("rewrap", path), 4, "has not signed")
        self.refused(self.b.run("rewrap", path, "--allow-unsigned"), 5, "MAC")
        self.assertEqual(self.headers(path), [good, forged])

    def test_as_few_bytes_whatever_the_size(self):
        for size in (1, 50_000_000):
            path = self.sealed(os.urandom(1) * size)
            log = self.folder / "strace"
            subprocess.run(["strace", "-qq", "-f", "-y", "-o", log, "-e", "trace=pwrite64", support.program(), "--state",
                            str(self.b.state), "rewrap", str(path), "--add", str(self.c.record())], check=True,
                           capture_output=True, timeout=240, env=support.ENVIRONMENT)
            written = [line for line in log.read_text().splitlines() if "pwrite64(" in line and path.name in line]
            self.assertEqual([line.rsplit("= ", 1)[1] for line in written], [str(HEADER)] * 2)


class RewrapPowerCuts(InterruptedCase, DiskCase):
    """What was not synced is lost, after each call at which ckpt-seal was killed and after its success."""

    def setUp(self):
        super().setUp()
        self.disk = Disk(self)
        self.path = self.disk.place / "x.cks"

    def found_after(self, call, inject):
        self.path.write_bytes(self.fresh().read_bytes())
        with open(self.path, "rb") as file:
            os.fsync(file.fileno())
        self.disk.sync()
        done, _ = self.changes(self.path, call, inject)
        with self.disk.after_a_power_cut() as found:
            (self.folder / "x.cks").write_bytes((found / "x.cks").read_bytes())
        return self.folder / "x.cks", done

    def test_it_opens_for_the_old_or_the_new(self):
        outcomes = []
        for call, number in itertools.product(("pwrite64", "fsync"), (1, 2)):
            path, done = self.found_after(call, f"signal=SIGKILL:when={number}")
            self.assertEqual(done.returncode, -signal.SIGKILL)
            outcomes.append(self.opens_and_is_completed(path))
        # At the first fsync the first copy is written and not synced.
        self.assertEqual(outcomes, [False, True, False, True])

    def test_success_is_on_disk(self):
        path, done = self.found_after("fsync", "delay_enter=1:when=1")
        self.succeeds(done)
        self.is_whole(path, self.b, self.c)
        self.refused(self.a.run("open", "-o", "-", path, "--trust", self.b.record()), 9)


class Shred(RewrapCase):
    def test_nobody_opens_it_again(self):
        path = self.sealed()
        content = path.read_bytes()
        self.refused(self.b.run("shred", path), 2, "--yes")
        self.succeeds(self.b.run("shred", "--dry-run", path))
        self.assertEqual(path.read_bytes(), content)
        done = self.succeeds(self.b.run("shred", "--yes", path))
        self.assertIn(b"Copies, snapshots and backups", done.stderr)
        for verb in ("open", "verify", "inspect"):
            more = ("-o", "-") if verb == "open" else ()
            self.refused(self.b.run(verb, *more, path), 5, "header")
        first, second = self.headers(path)
        for copy in (first, second):
            self.assertGreater(len(set(copy[at:at + 16] for at in range(0, HEADER, 16))), HEADER // 16 - 10)
        self.assertNotEqual(first, second)
        self.assertEqual(with_headers(path.read_bytes(), *[content[at:at + HEADER] for at in COPIES]), content)

    def test_whoever_mends_its_preamble_opens_nothing(self):
        """A smaller H in the preamble left the second copy whole, and shred said that it was done."""
        path = self.sealed()
        content = path.read_bytes()
        self.assertEqual(content[10], 13)
        for bit in range(8):
            path.write_bytes(content[:10] + bytes([content[10] ^ 1 << bit]) + content[11:])
            done = self.succeeds(self.b.run("shred", "--yes", path))
            self.assertIn(b"first 8 MiB", done.stderr)
            self.assertEqual(path.stat().st_size, len(content))
            for size in range(12, 23):
                path.write_bytes(content[:10] + bytes([size]) + path.read_bytes()[11:])
                self.refused(self.b.run("open", "-o", "-", path), 5)

    def test_refused(self):
        plain = self.write("plain", b"p" * 200_000)
        self.refused(self.b.run("shred", "--yes", plain), 5, "not a sealed checkpoint", "nothing of it is destroyed", "delete it")
        self.assertEqual(plain.read_bytes(), b"p" * 200_000)
        self.refused(self.b.run("shred", "--yes", self.folder), 2, "not a regular file")
        self.refused(self.b.run("shred", "--yes", self.folder / "none"), 1, "none")

    def test_killed_in_between_and_said_again(self):
        for number in range(1, 5):
            path = self.sealed()
            subprocess.run(["strace", "-qq", "-f", "-o", "/dev/null", "-e", "trace=pwrite64,fsync", "-e",
                            f"inject=pwrite64,fsync:signal=SIGKILL:when={number}", support.program(), "--state",
                            str(self.b.state), "shred", "--yes", str(path)], capture_output=True, timeout=120,
                           env=support.ENVIRONMENT, check=False)
            self.succeeds(self.b.run("shred", "--yes", path))
            self.refused(self.b.run("open", "-o", "-", path), 5, "header")


if __name__ == "__main__":
    support.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that may be restored a limited number of times, or until some time: docs/policies.md, "Limits"."""

import json
import shutil
import subprocess
import time

import sealed_layout
import support
from limit_case import CONTENT, COUNTER, LimitCase, utc, wait_for

PASSPHRASE = b"a passphrase of some length\n"
BY_PASSPHRASE = ("--identity", "passphrase", "--passphrase-fd", "0")


class UseLimits(LimitCase):
    def test_so_many_times_and_no_more(self):
        self.seal("--restores", 3)
        for _ in range(3):
            self.opens()
        self.stays_shut(6, "its 3 restores are used up")
        self.assertEqual(list(self.record.uses.values()), [3])
        self.assertEqual(self.record.counter, self.counter())

    def test_once(self):
        self.seal("--restores", 1)
        self.opens()
        self.stays_shut(6, "its one restore is used up")

    def test_to_a_file_that_exists_costs_nothing_and_none_is_left_when_used_up(self):
        self.seal("--restores", 1)
        out = self.write("out", b"there")
        self.refused(self.open("-o", out), 1, "exists")
        self.succeeds(self.open("-o", out, "--force"))
        self.assertEqual(out.read_bytes(), CONTENT)
        other = self.folder / "other"
        self.refused(self.open("-o", other), 6, "used up")
        self.assertFalse(other.exists())

    def test_a_folder(self):
        folder = self.folder / "many"
        folder.mkdir()
        (folder / "file").write_bytes(CONTENT)
        self.succeeds(self.host.run("seal", "--restores", 1, "-o", self.path, folder))
        self.succeeds(self.open("-o", self.folder / "back"))
        self.assertEqual((self.folder / "back" / "file").read_bytes(), CONTENT)
        self.refused(self.open("-o", self.folder / "again"), 6, "used up")
        self.assertFalse((self.folder / "again").exists())

    def test_a_copy_has_no_uses_of_its_own(self):
        self.seal("--restores", 1)
        other = self.folder / "copy.cks"
        shutil.copy(self.path, other)
        self.opens()
        self.stays_shut(6, "used up", path=other)

    def test_each_checkpoint_for_itself(self):
        other = self.folder / "y.cks"
        self.seal("--restores", 1)
        self.seal("--restores", 2, path=other)
        self.seal(path=self.folder / "free.cks")
        self.opens()
        for _ in range(2):
            self.opens(path=other)
        self.stays_shut(6, path=other)
        self.stays_shut(6)
        for _ in range(3):
            self.opens(path=self.folder / "free.cks")
        self.assertEqual(sorted(self.record.uses.values()), [1, 2])

    def test_any_slot_uses_it_up(self):
        self.seal("--restores", 2, "--to", "self", "--to", "passphrase", "--passphrase-fd", "0", input=PASSPHRASE)
        self.opens()
        self.opens(*BY_PASSPHRASE, input=PASSPHRASE)
        self.stays_shut(6, "used up")
        self.refused(self.open(*BY_PASSPHRASE, input=PASSPHRASE), 6, "used up")

    def test_a_slot_that_is_added_has_the_limit_too(self):
        self.seal("--restores", 2)
        limits = self.json(self.host.run("--json", "inspect", self.path))["limits"]
        self.opens()
        self.succeeds(self.host.run("rewrap", self.path, "--add", "passphrase", "--new-passphrase-fd", "0", input=PASSPHRASE))
        self.assertEqual(self.json(self.host.run("--json", "inspect", self.path))["limits"], limits)
        self.opens(*BY_PASSPHRASE, input=PASSPHRASE)
        self.refused(self.open(*BY_PASSPHRASE, input=PASSPHRASE), 6, "used up")
        self.stays_shut(6, "used up")

    def test_what_gives_out_no_content_uses_nothing_and_works_when_it_is_used_up(self):
        self.seal("--restores", 1)
        before = self.uses_path.read_bytes()
        self.succeeds(self.host.run("verify", self.path))
        self.succeeds(self.host.run("inspect", "--identity", "self", self.path))
        self.succeeds(self.host.run("rewrap", self.path, "--add", "passphrase", "--new-passphrase-fd", "0", input=PASSPHRASE))
        self.succeeds(self.host.run("rewrap", self.path, "--remove", "passphrase"))
        self.assertEqual(self.uses_path.read_bytes(), before)
        self.opens()
        self.stays_shut(6)
        self.succeeds(self.host.run("verify", self.path))

    def test_what_is_refused_before_uses_nothing(self):
        self.seal("--restores", 1)
        whole = self.path.read_bytes()
        before = self.uses_path.read_bytes()
        size = len(whole)
        layout = sealed_layout.Layout(whole)
        self.stays_shut(5, path=self.write("altered.cks", sealed_layout.altered(whole, layout.immutable + 16)))
        for at in (200, layout.signature, layout.manifest + 5, size - 1):
            altered = bytearray(whole)
            altered[at] ^= 1
            self.stays_shut(5, path=self.write("altered.cks", altered))
        self.stays_shut(5, path=self.write("cut.cks", whole[:-4096]))
        self.refused(self.open(*BY_PASSPHRASE, input=PASSPHRASE), 9)
        self.assertEqual(self.uses_path.read_bytes(), before)
        # A chunk is found damaged when it is given out, and by then a use is written down.
        altered = bytearray(whole)
        altered[layout.data] ^= 1
        self.stays_shut(5, path=self.write("altered.cks", altered))
        self.stays_shut(6, "used up")

    def test_of_two_at_once_with_one_left_one_wins(self):
        for number in range(5):
            path = self.folder / f"{number}.cks"
            self.seal("--restores", 1, path=path)
            command = [support.program(), "--state", str(self.host.state), "open", str(path)]
            running = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=support.ENVIRONMENT) for _ in range(3)]
            done = [process.communicate(timeout=120) + (process.returncode,) for process in running]
            self.assertEqual(sorted(code for *_, code in done), [0, 6, 6], done)
            self.assertEqual(sorted(out for out, *_ in done), [b"", b"", CONTENT])

    def test_hosts_that_keep_no_record_refuse(self):
        self.seal("--restores", 1, "--to", "passphrase", "--only-passphrase", "--passphrase-fd", "0", input=PASSPHRASE)
        done = support.run("--state", self.folder / "none", "open", "--trust", self.host.record(), *BY_PASSPHRASE, self.path,
                           input=PASSPHRASE)
        self.refused(done, 2, "keeps no record of uses", "ckpt-seal provision")
        self.assertEqual(done.stdout, b"")

    def test_inspect_tells_it_and_whom_it_binds(self):
        self.seal("--restores", 2, "--not-after", utc(4000000000))
        text = self.succeeds(self.host.run("inspect", self.path)).stdout.decode()
        self.assertIn("Limits:      2 restores on each host, not after 2096-10-02T07:06:40Z; they bind an honest host", text)
        limits = self.json(self.host.run("--json", "inspect", self.path))["limits"]
        self.assertEqual(limits, {"restores": 2, "not_after": "2096-10-02T07:06:40Z", "bind": "honest_host"})
        self.seal(path=self.folder / "free.cks")
        self.assertIsNone(self.json(self.host.run("--json", "inspect", self.folder / "free.cks"))["limits"])
        self.assertNotIn(b"Limits", self.host.run("inspect", self.folder / "free.cks").stdout)


class UseTimes(LimitCase):
    def test_after_its_time_everything_that_needs_the_key_refuses(self):
        end = int(time.time()) + 3
        self.seal("--not-after", utc(end), "--to", "self", "--to", "passphrase", "--passphrase-fd", "0", input=PASSPHRASE)
        wait_for(end)
        before = self.path.read_bytes()
        for verb in (["open"], ["verify"], ["inspect", "--identity", "self"],
                     ["rewrap", "--remove", "1"]):
            self.refused(self.host.run(*verb, self.path), 6, utc(end))
        # Before a slot is tried: a wrong passphrase is not found out.
        self.refused(self.open(*BY_PASSPHRASE, input=b"a wrong one\n"), 6, utc(end))
        self.assertEqual(self.path.read_bytes(), before)
        self.assertIn(utc(end).encode(), self.succeeds(self.host.run("inspect", self.path)).stdout)
        self.succeeds(self.host.run("shred", "--yes", self.path))

    def test_before_it_nothing_is_refused_or_counted(self):
        self.seal("--not-after", utc(4000000000))
        before = self.uses_path.read_bytes()
        for _ in range(3):
            self.opens()
        self.assertEqual(self.uses_path.read_bytes(), before)

    def test_what_has_ended_uses_nothing(self):
        end = int(time.time()) + 3
        self.seal("--not-after", utc(end), "--restores", 1)
        wait_for(end)
        before = self.uses_path.read_bytes()
        self.stays_shut(6, utc(end))
        self.assertEqual(self.uses_path.read_bytes(), before)


class UseRecords(LimitCase):
    def test_an_earlier_record_is_noticed(self):
        self.seal("--restores", 9)
        earlier = [self.uses_path.read_bytes()]
        for _ in range(3):
            self.opens()
            earlier.append(self.uses_path.read_bytes())
        for content in earlier[:-1]:
            self.uses_path.write_bytes(content)
            self.stays_shut(6, "is not the latest one")
            self.assertEqual(self.uses_path.read_bytes(), content)
        self.uses_path.write_bytes(earlier[-1])
        self.opens()

    def test_an_earlier_record_refuses_other_checkpoints_too(self):
        self.seal("--restores", 1)
        earlier = self.uses_path.read_bytes()
        self.opens()
        self.uses_path.write_bytes(earlier)
        other = self.folder / "new.cks"
        self.seal("--restores", 5, path=other)
        self.stays_shut(6, "is not the latest one", path=other)
        self.seal(path=self.folder / "free.cks")
        self.opens(path=self.folder / "free.cks")

    def test_one_that_is_further_than_a_crash_leaves_it(self):
        self.seal("--restores", 9)
        record = self.record
        record.counter += 2
        self.put(record)
        self.stays_shut(6, "is not the latest one")

    def test_one_ahead_is_what_a_crash_leaves(self):
        self.seal("--restores", 3)
        self.opens()
        record = self.record
        record.counter += 1
        record.uses = {checkpoint: uses + 1 for checkpoint, uses in record.uses.items()}
        self.put(record)
        self.opens()
        self.stays_shut(6, "used up")
        self.assertEqual(self.record.counter, self.counter())

    def test_without_a_record(self):
        self.seal("--restores", 9)
        self.uses_path.unlink()
        self.stays_shut(8, "is missing", "ckpt-seal provision")
        self.assertFalse(self.uses_path.exists())

    def test_a_damaged_record(self):
        self.seal("--restores", 9)
        whole = self.uses_path.read_bytes()
        for content in (b"", whole[:-1], whole + b"x", b"CKSUSES1", whole[:40] + b"\1" + whole[41:]):
            self.uses_path.write_bytes(content)
            self.stays_shut(5, str(self.uses_path))
        self.uses_path.chmod(0o666)
        self.stays_shut(1, "others may write")

    def test_of_another_counter(self):
        self.seal("--restores", 9)
        record = self.record
        record.index += 1
        self.put(record)
        self.stays_shut(8, "ckpt-seal provision")
        record.index = 0x1800F00  # the epoch's
        self.put(record)
        self.stays_shut(6, "is not the latest one")

    def test_bound_to_no_counter(self):
        self.seal("--restores", 9)
        record = self.record
        record.index = record.counter = record.since = 0
        self.put(record)
        self.stays_shut(8, "is missing")

    def test_a_counter_that_is_gone_or_made_anew(self):
        self.seal("--restores", 9)
        self.opens()
        self.host.with_tools("tpm2_nvundefine", "-C", "o", COUNTER)
        self.stays_shut(8, "use counter", "ckpt-seal provision")
        self.host.with_tools("tpm2_nvdefine", "-C", "o", "-s", "8", "-a", "ownerwrite|ownerread|authread|no_da|nt=counter", COUNTER)
        self.host.with_tools("tpm2_nvincrement", "-C", "o", COUNTER)
        self.host.with_tools("tpm2_nvincrement", "-C", "o", COUNTER)
        self.stays_shut(6, "is not the latest one")

    def test_provisioning_anew_wins_no_use(self):
        self.seal("--restores", 2)
        self.opens()
        latest = self.uses_path.read_bytes()

        def lose_record():
            self.uses_path.unlink()

        def damage_record():
            self.uses_path.write_bytes(latest[:-1])

        def lose_counter():
            self.host.with_tools("tpm2_nvundefine", "-C", "o", COUNTER)

        def lose_both():
            lose_record()
            lose_counter()
        for lose in (lose_record, damage_record, lose_counter):
            lose()
            self.assertIn("has been made anew", self.provision_anew(), lose.__name__)
            self.stays_shut(6, "before the record of uses")
        lose_both()
        self.provision_anew()
        self.stays_shut(6, "before the record of uses")
        # Not even the latest record of then brings a use back.
        new = self.uses_path.read_bytes()
        self.uses_path.write_bytes(latest)
        self.stays_shut(6, "is not the latest one")
        self.uses_path.write_bytes(new)
        self.seal("--restores", 1, path=self.folder / "new.cks")
        self.opens(path=self.folder / "new.cks")
        self.stays_shut(6, "used up", path=self.folder / "new.cks")

    def test_provisioning_again_leaves_a_good_record_alone(self):
        self.seal("--restores", 2)
        self.opens()
        before = self.uses_path.read_bytes()
        self.assertNotIn(b"uses", self.succeeds(self.host.run("provision")).stderr)
        self.assertEqual(self.uses_path.read_bytes(), before)
        self.opens()
        self.stays_shut(6, "used up")

    def test_removed_and_provisioned_again(self):
        self.seal("--restores", 2, "--to", "passphrase", "--only-passphrase", "--passphrase-fd", "0", input=PASSPHRASE)
        origin = self.host.record()
        wait_for(int(time.time()))
        steps = self.json(self.host.run("--json", "provision", "--remove", "--dry-run"))
        self.assertIn({"what": "use counter", "handle": "0x01800f10", "existed": True}, steps["tpm"])
        self.assertIn(str(self.uses_path), steps["paths"])
        self.assertTrue(self.uses_path.exists())
        self.succeeds(self.host.run("provision", "--remove"))
        self.assertFalse(self.uses_path.exists())
        self.succeeds(self.host.run("--tpm", "soft", "provision", "--name", "host-b"))
        self.refused(self.open("--trust", origin, *BY_PASSPHRASE, input=PASSPHRASE), 6, "before the record of uses")

    def test_a_file_of_a_host_whose_clock_is_behind(self):
        self.seal("--restores", 9)
        record = self.record
        record.since = int(time.time()) + 1000
        self.put(record)
        self.stays_shut(6, "before the record of uses")
        self.assertEqual(self.uses_path.read_bytes(), record.bytes())

    def test_doctor_tells(self):
        def verdict():
            findings = json.loads(self.host.run("--json", "doctor").stdout)["findings"]
            finding, = (finding for finding in findings if finding["check"] == "uses")
            return finding["verdict"], finding["message"]
        self.assertEqual(verdict()[0], "good")
        self.seal("--restores", 9)
        earlier = self.uses_path.read_bytes()
        self.opens()
        self.uses_path.write_bytes(earlier)
        self.assertEqual(verdict()[0], "problem")
        self.assertIn("is not the latest one", verdict()[1])
        self.uses_path.unlink()
        self.assertIn("is missing", verdict()[1])


if __name__ == "__main__":
    support.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Approvals of states of hosts, and tickets for them. docs/policies.md, "Approval"."""

import base64
import os
import time

import support
from policy_case import CONTENT, OtherAuthority, PolicyCase, WithAuthority, sha256
from token_case import PIN, WithTokens

DAY = 86400


class ApprovedStates(WithTokens, PolicyCase):
    """The authority's key is in a token."""

    def setUp(self):
        super().setUp()
        pin = self.write("pin", PIN.encode())
        self.key = self.uri("token=archive;object=authority", more=f"&pin-source=file:{pin}")
        self.succeeds(self.ckpt_seal("authority", "init", "--key", self.key, "-o", self.folder / "fleet.pem"))
        self.fleet = self.policy("--tpm2-public-key", self.folder / "fleet.pem", "--domain", "fleet", "--migration", "--epoch")

    def approve(self, name, *more):
        self.succeeds(self.a.run("provision"))
        path = self.a.state / "approvals" / f"{name}.approval"
        return self.ckpt_seal("authority", "approve", "--key", self.key, "--domain", "fleet", "--of", "self", "--label", name, "-o",
                              path, *more)

    def test_an_update_that_is_approved_and_one_that_is_not(self):
        self.sealed("--policy", self.fleet)
        self.refused(self.open(), 3, "No approval", '"fleet"')
        self.succeeds(self.approve("kernel-6.1"))
        self.opens()
        self.a.extend(4, "kernel 6.2")
        self.refused(self.open(), 3, "PCR 4 (boot loader) differs", '"kernel-6.1"')
        self.succeeds(self.approve("kernel-6.2"))
        self.opens()
        self.a.extend(7, "Secure Boot off")
        self.a.extend(9, "another initrd")
        self.refused(self.open(), 3, "PCR 7 (Secure Boot) and 9", "differ", '"kernel-6.2"')

    def test_commands_and_tickets(self):
        self.sealed("--policy", self.fleet)
        self.succeeds(self.approve("now"))
        self.assertEqual([self.commands() for _ in range(3)], [12, 9, 9])
        good = self.tickets.read_bytes()
        self.assertEqual((good[:8], good[8], good[-32:]), (b"CKSTICK1", 1, sha256(good[:-32])))
        self.assertEqual(len(good), 8 + 1 + 32 + 34 + 1 + good[8 + 1 + 32 + 34] + 32)
        self.assertEqual(self.tickets.stat().st_mode & 0o7777, 0o600)
        for at in (0, 8, 20, 50, 75, 80, len(good) - 1):
            bad = bytearray(good)
            bad[at] ^= 1
            self.tickets.write_bytes(bad)
            with self.subTest(flipped=at):
                self.assertEqual(self.commands(), 12)
                self.assertEqual(self.tickets.read_bytes(), good)
        for content in (b"", good[:7], good[:40], good[:-1], good + b"\0", b"CKSTICK1\xff" + bytes(5000)):
            self.tickets.write_bytes(content)
            with self.subTest(size=len(content)):
                self.assertEqual(self.commands(), 12)
                self.assertEqual(self.tickets.read_bytes(), good)
        # Right in form, but of another TPM: refused there, then verified anew.
        other = bytearray(good[:-32])
        other[76:] = bytes(len(other) - 76)
        self.tickets.write_bytes(bytes(other) + sha256(bytes(other)))
        self.assertGreater(self.commands(), 12)
        self.assertEqual(self.commands(), 9)
        self.assertEqual(self.tickets.read_bytes(), good)

    def test_tickets_that_are_no_file(self):
        self.sealed("--policy", self.fleet)
        self.succeeds(self.approve("now"))
        target = self.write("target", b"of somebody else")
        for make in (self.tickets.mkdir, lambda: os.mkfifo(self.tickets), lambda: self.tickets.symlink_to(target)):
            make()
            self.assertEqual(self.commands(), 12)
            (self.tickets.rmdir if self.tickets.is_dir() else self.tickets.unlink)()
        self.assertEqual(target.read_bytes(), b"of somebody else")

    def test_no_ticket_opens_another_state(self):
        self.sealed("--policy", self.fleet)
        self.succeeds(self.approve("now"))
        self.opens()
        self.a.extend(4, "another loader")
        self.refused(self.open(), 3, "PCR 4", '"now"')

    def test_of_a_part_of_the_pcrs(self):
        self.sealed("--policy", self.fleet)
        self.succeeds(self.approve("seven", "--tpm2-pcrs", "sha256:7"))
        self.a.extend(4, "any loader")
        self.opens()
        self.a.extend(7, "Secure Boot off")
        self.refused(self.open(), 3, "PCR 7 (Secure Boot) differs")
        self.refused(self.approve("none", "--tpm2-pcrs", "sha256:5"), 2, "PCR 5")

    def test_how_approvals_are_written(self):
        done = self.succeeds(self.approve("dry", "--dry-run"))
        self.assertIn(b"Would approve", done.stdout)
        self.assertEqual(list((self.a.state / "approvals").iterdir()), [])
        self.assertIn(b"holds for ever", self.succeeds(self.approve("a", "--expires", "3")).stderr)
        self.refused(self.approve("a"), 1, "--force")
        self.assertNotIn(b"holds for ever", self.succeeds(self.approve("a", "--force", "--epoch-of", "self")).stderr)
        self.sealed("--policy", self.fleet)
        self.opens()


class Approvals(WithAuthority):
    """Each that is refused beside one that is not."""

    def test_as_another_implementation_makes_them(self):
        self.sealed("--policy", self.fleet)
        for more in ({}, {"label": b"6.1"}, {"expires": int(time.time()) + DAY}, {"epoch": self.epoch()}):
            with self.subTest(more):
                self.approved(self.authority.approve(self.pcrs(), **more))
                self.opens()
                self.tickets.unlink()

    def test_what_serves_nobody(self):
        self.sealed("--policy", self.fleet)
        pcrs, now = self.pcrs(), int(time.time())
        stranger, us = OtherAuthority(), self.authority
        of_fleet = us.approve(pcrs, domain="fleet")
        body = base64.b64decode(b"".join(of_fleet.splitlines()[1:-1]))
        for what, content, word in (
                ("another key", stranger.approve(pcrs), "is at hand"),
                ("another key that says it is ours", stranger.approve(pcrs, point=us.point), "can be used"),
                ("another domain", us.approve(pcrs, domain="fleets"), "is at hand"),
                ("for migration", us.approve(pcrs, purpose=2), "can be used"),
                ("expired", us.approve(pcrs, created=now - 2 * DAY, expires=now - DAY), "has expired"),
                ("expires before it was signed", us.approve(pcrs, created=now, expires=now - 1), "can be used"),
                ("of no time", us.approve(pcrs, created=0), "can be used"),
                ("a label with a control character", us.approve(pcrs, label=b"\x1b[2J"), "can be used"),
                ("no PCR", us.approve({}), "can be used"),
                ("PCR 10", us.approve({10: bytes(32)}), "can be used"),
                ("an epoch that is none", us.approve(pcrs, epoch=(0x81000001, 1)), "can be used"),
                ("empty", b"", "can be used"),
                ("no PEM", body, "can be used"),
                ("more behind it", of_fleet + b"\n", "can be used"),
                ("more in it", us.pem(body + b"\0"), "can be used"),
                ("cut", us.pem(body[:-1]), "can be used"),
                ("two", of_fleet + of_fleet, "can be used"),
                ("long", of_fleet + b"x" * 10000, "can be used"),
                ("another label", of_fleet.replace(b"CKPT-SEAL APPROVAL", b"CKPT-SEAL HOST RECORD"), "can be used")):
            with self.subTest(what):
                path = self.approved(content)
                self.assertNotIn("\x1b", self.refused(self.open(), 3, "No approval", word).stderr.decode())
                # It does no harm to the right one beside it.
                self.approved(of_fleet, "b")
                self.opens()
                (self.a.state / "approvals" / "b.approval").unlink()
                path.unlink()
                self.tickets.unlink()

    def test_every_seventh_byte_flipped(self):
        self.sealed("--policy", self.fleet)
        good = self.authority.approve(self.pcrs(), label=b"6.1", epoch=self.epoch())
        path = self.approved(good)
        self.opens()
        for at in range(0, len(good), 7):
            bad = bytearray(good)
            bad[at] ^= 1
            path.write_bytes(bad)
            with self.subTest(at):
                self.refused(self.open(), 3, "No approval")  # though a ticket is there
        path.write_bytes(good)
        self.opens()


class ApprovalFiles(WithAuthority):
    def setUp(self):
        super().setUp()
        self.sealed("--policy", self.fleet)
        self.good = self.authority.approve(self.pcrs())

    def test_beside_the_file(self):
        self.refused(self.open(), 3, "No approval")
        path = self.approved(self.good, folder=self.folder)
        self.opens()
        self.opens(cwd=self.folder)
        done = self.a.run("open", "-o", "-", "x.cks", cwd=self.folder)  # a path without a folder
        self.assertEqual(self.succeeds(done).stdout, CONTENT)
        path.rename(self.folder / "a.approval.old")
        self.refused(self.open(), 3, "No approval")

    def test_from_a_stream_there_is_no_beside(self):
        self.approved(self.good, folder=self.folder)
        content = (self.folder / "x.cks").read_bytes()
        self.refused(self.a.run("open", "-o", "-", "-", input=content, cwd=self.folder), 3, "No approval")
        self.approved(self.good)
        self.assertEqual(self.succeeds(self.a.run("open", "-o", "-", "-", input=content)).stdout, CONTENT)

    def test_what_is_no_file(self):
        for folder in (self.a.state / "approvals", self.folder):
            os.mkfifo(folder / "0.approval")
            (folder / "1.approval").mkdir()
            (folder / ".approval").write_bytes(self.good)
            (folder / "x.approvals").write_bytes(self.good)
            self.refused(self.open(), 3, "No approval")
        self.approved(self.good)
        self.opens()

    def test_links_that_lead_nowhere(self):
        for folder in (self.a.state / "approvals", self.folder):
            (folder / "0.approval").symlink_to("missing")
            (folder / "1.approval").symlink_to("/dev/zero")
        self.refused(self.open(), 3, "No approval")
        self.approved(self.good)
        self.opens()

    def test_too_many(self):
        for folder in (self.a.state / "approvals", self.folder):
            paths = [self.approved(b"", f"n{number}", folder) for number in range(300)]
            self.refused(self.open(), 2, "more than 256", str(folder))
            for path in paths[255:]:
                path.unlink()
            self.approved(self.good, "right", folder)  # 256 are not too many
            self.opens()
            for path in (*paths[:255], folder / "right.approval"):
                path.unlink()

    def test_a_missing_folder_is_an_empty_one(self):
        (self.a.state / "approvals").rmdir()
        self.approved(self.good, folder=self.folder)
        self.opens()


if __name__ == "__main__":
    support.main()

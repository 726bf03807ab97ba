#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Release policies as users have them. docs/policies.md."""

import base64
import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import time

import support
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from process_case import COUNTER, ProcessCase
from token_case import PIN as TOKEN_PIN
from token_case import WithTokens

CONTENT = b"some content"
HOST_PIN = "Zq7-unlike-9182736455"
DAY = 86400


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


class OtherAuthority:
    """An authority that shares nothing with ckpt-seal but docs/policies.md, and signs what that would not."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        numbers = self.key.public_key().public_numbers()
        self.point = b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")

    def public_key(self):
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, digest):
        der = self.key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        return b"".join(number.to_bytes(32, "big") for number in utils.decode_dss_signature(der))

    def approve(self, pcrs, domain="fleet", epoch=None, created=None, expires=0, label=b"", purpose=1, point=None):
        """pcrs: values by number. epoch: NV index and highest value."""
        mask = sum(1 << pcr for pcr in pcrs)
        values = b"".join(value for _, value in sorted(pcrs.items()))
        words = f"ckpt-seal/{('', 'restore', 'migrate')[purpose]}/{domain}".encode()
        state = sha256(bytes(32), bytes.fromhex("0000017f00000001000b03"), mask.to_bytes(3, "little"), sha256(values))
        if epoch:
            index, at_most = epoch
            name = b"\0\x0b" + sha256(struct.pack(">I", index), bytes.fromhex("000b2206001200000008"))
            state = sha256(state, bytes.fromhex("00000149"), sha256(struct.pack(">Q", at_most), b"\0\0\0\x09"), name)
        body = b"CKSAPPR1" + bytes([purpose, len(domain)]) + domain.encode() + (point or self.point) + struct.pack(">I", mask) + values
        body += b"\1" + struct.pack(">IQ", *epoch) if epoch else b"\0"
        body += struct.pack(">QQB", int(time.time()) if created is None else created, expires, len(label)) + label
        body += self.sign(sha256(state, words))
        body += self.sign(sha256(b"ckpt-seal/v1/approval", body))
        return self.pem(body)

    @staticmethod
    def pem(body):
        text = base64.b64encode(body)
        lines = [text[at:at + 64] for at in range(0, len(text), 64)]
        return b"\n".join([b"-----BEGIN CKPT-SEAL APPROVAL-----", *lines, b"-----END CKPT-SEAL APPROVAL-----", b""])


class PolicyCase(support.CliTest):
    HOSTS = ("host-a",)

    def setUp(self):
        super().setUp()
        shutil.rmtree(self.a.state / "approvals", ignore_errors=True)
        (self.a.state / "approvals").mkdir()
        self.tickets.unlink(missing_ok=True)
        self.succeeds(self.a.run("provision", "--policy", "none"))

    @property
    def tickets(self):
        return self.a.state / "tpm" / "tickets"

    def policy(self, *options, name="policy"):
        path = self.folder / f"{name}.json"
        self.succeeds(self.a.run("policy", "create", *options, "-o", path, "--force"))
        return path

    def seal(self, *more, name="x.cks", **options):
        return self.a.run("seal", "--force", "-o", self.folder / name, *more, self.write("plain", CONTENT), **options)

    def sealed(self, *more, **options):
        self.succeeds(self.seal(*more, **options))
        return self.folder / options.get("name", "x.cks")

    def open(self, *more, name="x.cks", **options):
        return self.a.run(*more, "open", "-o", "-", self.folder / name, **options)

    def opens(self, *more, **options):
        done = self.succeeds(self.open(*more, **options))
        self.assertEqual(done.stdout, CONTENT)
        return done

    def commands(self):
        """How many the TPM was given."""
        lines = [line for line in self.opens("--verbose").stderr.decode().splitlines() if "TPM commands" in line]
        self.assertEqual(len(lines), 1, lines)
        return int(lines[0].split()[1])

    def approved(self, content, name="a", folder=None):
        path = (folder or self.a.state / "approvals") / f"{name}.approval"
        path.write_bytes(content)
        return path

    def pcrs(self):
        """The values of PCRs 4 and 7 in the host's record, which is made anew."""
        self.succeeds(self.a.run("provision"))
        document = self.policy("--tpm2-pcrs", "sha256:4,7", name="values")
        (term,) = self.json(self.a.run("--json", "policy", "show", "--for", "self", document))["policy"]
        return {int(pcr): bytes.fromhex(value) for pcr, value in term["pcrs"].items()}

    def epoch(self):
        (term,) = self.json(self.a.run("--json", "policy", "show", "--for", "self", self.policy("--epoch", name="epoch")))["policy"]
        return term["epoch"]["nv_index"], term["epoch"]["at_most"]


class WithAuthority(PolicyCase):
    def setUp(self):
        super().setUp()
        self.authority = OtherAuthority()
        self.fleet = self.policy_of(self.authority)

    def policy_of(self, authority, *more, name="fleet"):
        key = self.write(f"{name}.pem", authority.public_key())
        return self.policy("--tpm2-public-key", key, "--domain", "fleet", *more, name=name)


class ApprovedStates(WithTokens, PolicyCase):
    """The authority's key is in a token."""

    def setUp(self):
        super().setUp()
        pin = self.write("pin", TOKEN_PIN.encode())
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


class Revocations(WithAuthority):
    def revoke(self, *more):
        return self.a.run("host", "revoke", *more)

    def test_what_was_sealed_before_ends(self):
        self.sealed("--policy", self.policy("--epoch"))
        self.opens()
        epoch = self.epoch()
        done = self.succeeds(self.revoke("--dry-run"))
        self.assertIn(b"Would end", done.stdout)
        self.assertEqual(self.epoch(), epoch)
        self.opens()
        self.succeeds(self.revoke())
        self.refused(self.open(), 6, "revoked")
        self.assertGreater(self.epoch()[1], epoch[1])
        self.sealed("--policy", self.policy("--epoch"), name="y.cks")
        self.opens(name="y.cks")
        self.refused(self.open(), 6)

    def test_a_host_whose_policy_has_no_epoch(self):
        self.sealed()
        self.assertIn(b"has no epoch", self.succeeds(self.revoke("--dry-run")).stderr)
        self.assertIn(b"has no epoch", self.succeeds(self.revoke()).stderr)
        self.opens()

    def test_a_host_whose_policy_has_one(self):
        self.succeeds(self.a.run("provision", "--policy", self.policy("--epoch", "--tpm2-pcrs", "sha256:7")))
        old = self.folder / "old.record"
        self.succeeds(self.a.run("host", "export", "-o", old))
        self.sealed()
        self.opens()
        self.assertNotIn(b"has no epoch", self.succeeds(self.revoke()).stderr)
        self.refused(self.open(), 6, "revoked")
        # Whoever has the old record alone seals what never opens, who has the new one what does.
        self.sealed("--to", old, name="old.cks")
        self.refused(self.open(name="old.cks"), 6, "revoked")
        self.sealed(name="new.cks")
        self.opens(name="new.cks")

    def test_other_slots_still_open(self):
        self.sealed("--policy", self.policy("--epoch"), "--to", "self", "--to", "passphrase", "--passphrase-fd", "0", input=b"a long one\n")
        self.succeeds(self.revoke())
        self.refused(self.open(), 6, "revoked")
        done = self.a.run("open", "-o", "-", "--identity", "passphrase", "--passphrase-fd", "0", self.folder / "x.cks", input=b"a long one\n")
        self.assertEqual(self.succeeds(done).stdout, CONTENT)

    def test_the_recovery_key_still_opens(self):
        done = self.succeeds(self.seal("--policy", self.policy("--epoch"), "--to", "self", "--to", "recovery"))
        digits = [line for line in done.stdout.decode().splitlines() if line.count("-") >= 7]
        self.assertEqual(len(digits), 1, done.stdout)
        self.succeeds(self.revoke())
        self.refused(self.open(), 6, "revoked")
        done = self.a.run("open", "-o", "-", "--identity", "recovery", "--passphrase-fd", "0", self.folder / "x.cks",
                          input=digits[0].strip().encode() + b"\n")
        self.assertEqual(self.succeeds(done).stdout, CONTENT)

    def test_an_approval_that_is_brought_back(self):
        """Of an old kernel: with an epoch it ends with it, without one it does not."""
        pcrs = self.pcrs()
        bound, free = self.authority.approve(pcrs, epoch=self.epoch()), self.authority.approve(pcrs)
        self.approved(bound)
        self.sealed("--policy", self.fleet)
        self.opens()
        self.succeeds(self.revoke())
        self.sealed("--policy", self.fleet, name="new.cks")
        for name in ("x.cks", "new.cks"):
            self.refused(self.open(name=name), 6, "epoch")
        self.approved(free)
        for name in ("x.cks", "new.cks"):
            self.opens(name=name)
        # What says that the epoch is another one is signed by nobody.
        index, at_most = self.epoch()
        forged = bytearray(base64.b64decode(b"".join(bound.splitlines()[1:-1])))
        at = forged.index(struct.pack(">I", index)) + 4
        forged[at:at + 8] = struct.pack(">Q", at_most)
        self.approved(OtherAuthority.pem(bytes(forged)))
        self.refused(self.open(name="new.cks"), 3, "can be used")


class RevocationsOfTokens(WithTokens, support.CliTest):
    HOSTS = ()

    def test_a_host_with_a_token(self):
        pin = self.write("pin", TOKEN_PIN.encode())
        state = self.folder / "host-t"
        uri = self.uri("token=archive", more=f"&pin-source=file:{pin}")

        def on_host(*arguments):
            return support.run("--state", state, *arguments, more_environment=self.environment)
        self.succeeds(on_host("provision", "--name", "host-t", "--hsm", uri))
        for more in ((), ("--dry-run",)):
            self.refused(on_host("host", "revoke", *more), 2, "token", "rewrap")
        policy = self.folder / "p.json"
        self.succeeds(on_host("policy", "create", "--epoch", "-o", policy))
        self.refused(on_host("policy", "show", policy, "--for", "self"), 2, "token")
        self.refused(on_host("seal", "-o", self.folder / "x.cks", "--policy", policy, self.write("plain", CONTENT)), 2, "--policy is for")
        self.refused(on_host("authority", "approve", "--key", uri, "--domain", "fleet", "--of", "self", "-o", self.folder / "a.approval"), 2,
                     "token")


class PowerCycles(WithAuthority):
    """On a TPM that runs by itself, so that it can lose its power."""

    @classmethod
    def make_host(cls, name):
        cls.tpm = support.start_tpm(cls, "tpm")
        return support.Host(cls.base, name, f"swtpm:path={cls.tpm}")

    def cycle(self, how):
        subprocess.run([support.TOP / "swtpm-ci" / how, self.tpm.parent], check=True, timeout=60, stdout=subprocess.DEVNULL)

    def boot(self, *texts, how="reboot"):
        """What is measured at a boot, into PCR 4."""
        self.cycle(how)
        for text in texts:
            self.a.with_tools("tpm2_pcrextend", f"4:sha256={sha256(text.encode()).hex()}")

    def test_the_same_boot_opens_again_and_another_does_not(self):
        for how in ("reboot", "power-cycle"):
            with self.subTest(how):
                self.boot("loader", "kernel")
                self.sealed("--policy", self.fleet)
                self.approved(self.authority.approve(self.pcrs(), label=b"good"))
                self.assertEqual([self.commands(), self.commands()], [10, 7])
                self.boot(how=how)
                self.refused(self.open(), 3, "PCR 4", '"good"')
                self.boot("kernel", "loader", how=how)
                self.refused(self.open(), 3, "PCR 4", '"good"')
                self.boot("loader", "kernel", how=how)
                self.assertEqual(self.commands(), 7)  # by the ticket
                self.tickets.unlink()

    def test_a_ticket_of_another_tpm(self):
        other = support.Host(self.folder, "other")
        done = other.run("seal", "-o", self.folder / "o.cks", "--policy", self.fleet, self.write("plain", CONTENT))
        self.succeeds(done)
        other.run("provision")
        self.boot()
        self.sealed("--policy", self.fleet)
        approval = self.authority.approve({7: bytes(32)})
        self.approved(approval)
        self.approved(approval, folder=self.folder)
        self.assertEqual(self.succeeds(other.run("open", "-o", "-", self.folder / "o.cks", "--trust", other.record())).stdout, CONTENT)
        shutil.copyfile(other.state / "tpm" / "tickets", self.tickets)
        theirs = self.tickets.read_bytes()
        self.assertGreater(self.commands(), 10)
        self.assertNotEqual(self.tickets.read_bytes(), theirs)
        self.assertEqual(self.commands(), 7)

    def test_a_revocation_outlives_the_power(self):
        self.sealed("--policy", self.policy("--epoch"))
        self.opens()
        self.succeeds(self.a.run("host", "revoke"))
        self.sealed("--policy", self.policy("--epoch"), name="new.cks")
        for how in ("reboot", "power-cycle", "power-cycle"):
            self.cycle(how)
            self.refused(self.open(), 6, "revoked")
            self.opens(name="new.cks")


class Pins(PolicyCase):
    def setUp(self):
        super().setUp()
        self.a.with_tools("tpm2_dictionarylockout", "-c")
        self.with_pin = self.policy("--tpm2-with-pin", "--tpm2-pcrs", "sha256:7")

    def sealed(self, *more, pin=HOST_PIN, **options):
        return super().sealed("--policy", self.with_pin, "--passphrase-fd", "0", *more, input=f"{pin}\n".encode(), **options)

    def try_pin(self, pin, name="x.cks"):
        return self.a.run("open", "-o", "-", "--passphrase-fd", "0", self.folder / name, input=f"{pin}\n".encode())

    def test_right_and_wrong(self):
        self.sealed()
        self.assertEqual(self.succeeds(self.try_pin(HOST_PIN)).stdout, CONTENT)
        for wrong in ("0123456", HOST_PIN[:-1], HOST_PIN + "x"):
            done = self.refused(self.try_pin(wrong), 3, "The PIN is wrong", "2 more wrong ones lock the TPM")
            self.assertNotIn(wrong.encode(), done.stderr)
            self.assertEqual(self.succeeds(self.try_pin(HOST_PIN)).stdout, CONTENT)
            self.a.with_tools("tpm2_dictionarylockout", "-c")
        self.refused(self.try_pin(""), 2, "empty")

    def test_the_pcrs_count_as_well(self):
        self.sealed()
        self.a.extend(7, "Secure Boot off")
        self.refused(self.try_pin(HOST_PIN), 3, "PCR 7")

    def test_nobody_to_ask(self):
        self.sealed()
        self.refused(self.open(start_new_session=True), 1, "no terminal")
        self.refused(self.seal("--policy", self.with_pin, start_new_session=True), 1, "no terminal")

    def test_it_stays_nowhere(self):
        path = self.sealed()
        self.assertEqual(self.succeeds(self.try_pin(HOST_PIN)).stdout, CONTENT)
        self.refused(self.try_pin(HOST_PIN + "x"), 3)
        files = [file for file in self.a.state.rglob("*") if file.is_file()] + [path]
        self.assertGreater(len(files), 5)
        for file in files:
            content = file.read_bytes()
            for form in (HOST_PIN.encode(), HOST_PIN.encode().hex().encode(), sha256(HOST_PIN.encode())):
                self.assertNotIn(form, content, file)

    def test_a_lockout(self):
        self.sealed()
        super().sealed("--policy", self.policy("--tpm2-pcrs", "sha256:7", name="without"), name="without.cks")
        either = self.policy("--any-of", self.with_pin, "--any-of", self.policy("--tpm2-pcrs", "sha256:4", name="four"), name="either")
        super().sealed("--policy", either, "--passphrase-fd", "0", input=f"{HOST_PIN}\n".encode(), name="either.cks")
        for _ in range(40):
            done = self.try_pin("wrong")
            if done.returncode != 3:
                break
        self.refused(done, 7, "locked", " s, or once its owner")
        self.refused(self.try_pin(HOST_PIN), 7, "locked", " s, or once its owner")
        self.opens(name="without.cks")
        self.opens(name="either.cks", start_new_session=True)  # by the way that asks for no PIN, and nobody is asked
        self.a.with_tools("tpm2_dictionarylockout", "-c")
        self.assertEqual(self.succeeds(self.try_pin(HOST_PIN)).stdout, CONTENT)


class PolicyDocuments(WithAuthority):
    def create(self, *options):
        return self.a.run("policy", "create", *options)

    def test_what_create_refuses(self):
        one = self.policy("--tpm2-pcrs", "sha256:7", name="one")
        for options, words in (((), ("demands nothing", "--empty")),
                               (("--empty", "--epoch"), ("--empty",)),
                               (("--tpm2-pcrs", "sha256:10"), ("PCR 10",)),
                               (("--tpm2-pcrs", "sha256:7,10"), ("PCR 10",)),
                               (("--tpm2-pcrs", "sha256:24"), ("PCR",)),
                               (("--tpm2-pcrs", "sha384:7"), ("sha384:7",)),
                               (("--tpm2-pcrs", "seven"), ("sha256",)),
                               (("--any-of", one), ("2 to 8",)),
                               (("--any-of", one, "--any-of", one), ("same",)),
                               (("--domain", "fleet"), ("--tpm2-public-key",)),
                               (("--tpm2-public-key", self.folder / "fleet.pem"), ("--domain",)),
                               (("--tpm2-public-key", self.folder / "fleet.pem", "--domain", "a b"), ("domain",)),
                               (("--migration", "--epoch"), ("--migration",)),
                               (("--any-of", self.fleet, "--any-of", one, "--tpm2-public-key", self.folder / "fleet.pem", "--domain", "x"),
                                ("approvals stand behind",))):
            with self.subTest(options):
                self.refused(self.create(*options), 2, *words)
        self.assertIn(b"demands nothing", self.succeeds(self.create("--empty")).stderr)
        self.refused(self.create("--epoch", "-o", one), 1, "--force")

    def test_show(self):
        everything = self.policy_of(self.authority, "--epoch", "--tpm2-with-pin", "--tpm2-pcrs", "sha256:7,11", name="all")
        shown = self.succeeds(self.a.run("policy", "show", everything)).stdout.decode()
        for word in ('approved for the domain "fleet"', "the epoch of the sealing", "the PIN", "sha256:7,11", "--for"):
            self.assertIn(word, shown)
        shown = self.succeeds(self.a.run("policy", "show", "--for", "self", everything)).stdout.decode()
        self.assertIn("an epoch of at most", shown)
        self.assertIn("Policy digest: ", shown)
        self.assertIsNone(self.json(self.a.run("--json", "policy", "show", everything))["digest"])
        # By a record file, and by other means.
        plain = self.policy("--tpm2-pcrs", "sha256:4,7", name="plain")
        record = self.folder / "a.record"
        pcrs = self.pcrs()
        self.succeeds(self.a.run("host", "export", "-o", record))
        shown = self.json(self.a.run("--json", "policy", "show", "--for", record, plain))
        digest = sha256(bytes(32), bytes.fromhex("0000017f00000001000b03900000"), sha256(pcrs[4], pcrs[7]))
        self.assertEqual((shown["host"], shown["digest"]), ("host-a", digest.hex()))

    def test_documents_that_are_none(self):
        good = json.loads(self.fleet.read_text())
        key = good["all_of"][0]["approvals"]["public_key"]
        for document, word in (("", "JSON"), ("{", "JSON"), ("[]", "JSON object"), ('{"all_of": []}', "schema_version"),
                               ('{"schema_version": 2, "all_of": []}', "schema_version"), ('{"schema_version": 1}', "all_of"),
                               ('{"schema_version": 1, "all_of": [], "all_of": []}', "twice"),
                               ({"colour": 1}, "colour"), ([{"pcr": "sha256:7"}], '"pcr"'), ([{"pin": 1}], "pin"), ([{"pin": True, "epoch": True}], "one member"),
                               ([{"pcrs": "sha256:10"}], "PCR 10"), ([{"pcrs": {"7": "00"}}], "hexadecimal"), ([{"pcrs": {}}], "PCR"),
                               ([{"pin": True}, {"pin": True}], "PIN"), ([{"any_of": [{"pin": True}]}], "2 to 8"),
                               ([{"approvals": {"public_key": key, "domain": "fleet", "for": "x"}}], '"for"'),
                               ([{"approvals": {"public_key": key[:-2], "domain": "fleet"}}], "P-256"),
                               ([{"approvals": {"public_key": key, "domain": "fleet", "purpose": "all"}}], "purpose"),
                               ([{"epoch": {"nv_index": 1, "at_most": 1}}], "NV index"),
                               (dict(good, colour="x" * 60000), "colour")):
            if isinstance(document, dict):
                document = json.dumps(dict(good, **document))
            if isinstance(document, list):
                document = json.dumps({"schema_version": 1, "all_of": document})
            path = self.write("bad.json", document.encode())
            with self.subTest(document[:80]):
                self.refused(self.a.run("policy", "show", path), 2, word)
        self.refused(self.a.run("policy", "show", self.write("long.json", b" " * 65537)), 1, "65536")
        path.write_text(json.dumps({"schema_version": 1, "all_of": [{"colour": 1}]}))
        self.refused(self.seal("--policy", path), 2, "colour")
        self.refused(self.a.run("provision", "--policy", path), 2, "colour")

    def test_where_they_do_not_fit(self):
        self.refused(self.seal("--policy", self.fleet, "--to", "passphrase", "--only-passphrase", "--passphrase-fd", "0", input=b"long one\n"),
                     2, "--policy is for hosts with a TPM")
        self.refused(self.seal("--policy", self.policy("--tpm2-pcrs", "sha256:5")), 2, "PCR 5", "host-a")
        self.assertFalse((self.folder / "x.cks").exists())

    def test_a_policy_without_a_demand(self):
        done = self.succeeds(self.seal("--policy", self.policy("--empty")))
        self.assertIn(b"demands nothing", done.stderr)
        self.a.extend(7, "anything")
        self.opens()
        (slot,) = self.json(self.a.run("--json", "inspect", self.folder / "x.cks"))["slots"]
        self.assertEqual((slot["policy"], slot["measured_state"]), ([], False))


class PolicyOfAHost(WithAuthority):
    def shown(self):
        return self.json(self.a.run("--json", "host", "show"))["record"]

    def test_provision_keeps_it_and_fills_in_values(self):
        self.succeeds(self.a.run("provision", "--policy", self.policy("--tpm2-pcrs", "sha256:7", "--epoch")))
        before = self.shown()
        self.succeeds(self.a.run("provision"))
        self.assertEqual(self.shown(), before)
        self.sealed()
        self.a.extend(4, "what the policy says nothing of")
        self.opens()
        self.a.extend(7, "Secure Boot off")
        self.refused(self.open(), 3, "PCR 7 (Secure Boot) differs")
        self.succeeds(self.a.run("provision"))
        after = self.shown()
        self.assertEqual(list(after["policy"][0]["pcrs"]), ["7"])
        self.assertNotEqual(after["policy"][0], before["policy"][0])
        self.assertEqual(after["policy"][1], before["policy"][1])
        self.refused(self.open(), 3)
        self.sealed()
        self.opens()

    def test_none_goes_back(self):
        plain = self.shown()["policy"]
        self.succeeds(self.a.run("provision", "--policy", self.fleet))
        self.assertIn("approvals", self.shown()["policy"][0])
        self.succeeds(self.a.run("provision", "--policy", "none"))
        self.assertEqual(self.shown()["policy"], plain)
        self.sealed()
        self.opens()
        self.a.extend(4, "another loader")
        self.refused(self.open(), 3, "PCR 4")

    def test_fixed_values_are_refused(self):
        before = self.shown()
        pcrs = {"7": "00" * 32}
        for term in ({"pcrs": pcrs}, {"epoch": {"nv_index": 0x1800f00, "at_most": 1}}, {"any_of": [{"pcrs": pcrs}, {"pin": True}]}):
            path = self.write("fixed.json", json.dumps({"schema_version": 1, "all_of": [term]}).encode())
            self.refused(self.a.run("provision", "--policy", path), 2, "leave them open")
        self.refused(self.a.run("provision", "--policy", self.policy("--tpm2-pcrs", "sha256:5")), 2, "PCR 5")
        self.refused(self.a.run("provision", "--policy", self.folder / "missing.json"), 1, "missing.json")
        self.assertEqual(self.shown(), before)


class AnyOf(WithAuthority):
    def test_either_opens(self):
        seven, twelve = (self.policy("--tpm2-pcrs", f"sha256:{pcr}", name=f"p{pcr}") for pcr in (7, 12))
        for left, gone in ((12, 7), (7, 12)):
            self.succeeds(self.a.run("provision"))
            self.sealed("--policy", self.policy("--any-of", seven, "--any-of", twelve))
            self.opens()
            self.a.extend(gone, "changed")
            self.opens()
            self.a.extend(left, "changed")
            self.refused(self.open(), 3, "PCR", "differ")

    def test_approvals_or_values(self):
        """After an update by the approval, before it without one."""
        self.succeeds(self.a.run("provision"))
        either = self.policy("--any-of", self.policy("--tpm2-pcrs", "sha256:4,7", name="values"), "--any-of", self.fleet)
        self.sealed("--policy", either)
        self.opens()
        self.a.extend(4, "another kernel")
        self.refused(self.open(), 3, "PCR 4")
        self.approved(self.authority.approve(self.pcrs()))
        self.opens()

    def test_what_inspect_says(self):
        either = self.policy("--any-of", self.fleet, "--any-of", self.policy("--epoch", name="e"))
        for policy, measured, words in ((either, False, "one of ("), (self.fleet, True, "approved"), (None, True, "sha256:"),
                                        (self.policy("--tpm2-with-pin", name="pin"), False, "the PIN")):
            options = ("--policy", policy) if policy else ()
            self.sealed(*options, "--passphrase-fd", "0", input=b"1234\n")
            (slot,) = self.json(self.a.run("--json", "inspect", self.folder / "x.cks"))["slots"]
            self.assertEqual(slot["measured_state"], measured)
            self.assertIn(words, slot["needs"])
            self.assertIn("its TPM with", slot["needs"])
            if policy and policy != either:
                wanted = json.loads(pathlib.Path(policy).read_text())["all_of"]
                self.assertEqual(slot["policy"], wanted)
            text = self.succeeds(self.a.run("inspect", self.folder / "x.cks")).stdout.decode()
            self.assertEqual(("any machine" in text, "in any state of the machine" in text), (False, not measured), text)


class PoliciesOfOthers(WithAuthority):
    HOSTS = ("host-a", "host-b")

    def open_on_b(self):
        return self.b.run("open", "-o", "-", self.folder / "x.cks", "--trust", self.a.record())

    def test_rewrap_adds_a_host_under_a_policy(self):
        self.sealed()
        self.refused(self.open_on_b(), 9)
        path = self.folder / "x.cks"
        self.refused(self.a.run("rewrap", path, "--policy", self.fleet, "--add", "passphrase", "--new-passphrase-fd", "0", input=b"long one\n"), 2,
                     "--policy is for")
        self.succeeds(self.a.run("rewrap", path, "--add", self.b.record(), "--policy", self.fleet))
        slots = self.json(self.a.run("--json", "inspect", path))["slots"]
        self.assertEqual([list(slot["policy"][0]) for slot in slots], [["pcrs"], ["approvals"]])
        self.opens()
        self.refused(self.open_on_b(), 3, "No approval")
        self.b.extend(7, "whatever")
        self.succeeds(self.b.run("provision"))
        document = self.policy("--tpm2-pcrs", "sha256:7", name="values")
        (term,) = self.json(self.b.run("--json", "policy", "show", "--for", "self", document))["policy"]
        self.approved(self.authority.approve({7: bytes.fromhex(term["pcrs"]["7"])}), folder=self.folder)
        self.assertEqual(self.succeeds(self.open_on_b()).stdout, CONTENT)
        self.b.extend(7, "something else")
        self.refused(self.open_on_b(), 3, "PCR 7")


class PoliciesOfProcesses(ProcessCase):
    """Dumped on host-a for host-b, under approvals and a PIN."""

    def test_there_and_back(self):
        authority = OtherAuthority()
        policy = self.folder / "policy.json"
        self.succeeds(self.a.run("policy", "create", "--tpm2-public-key", self.write("fleet.pem", authority.public_key()), "--domain", "fleet",
                                 "--epoch", "--tpm2-with-pin", "-o", policy))
        child = self.start(COUNTER)
        done = self.a.run("dump", "-t", child.pid, "-o", self.sealed_file, "--to", self.b.record(), "--policy", policy, "--passphrase-fd", "0",
                          input=f"{HOST_PIN}\n".encode())
        self.succeeds(done)
        child.wait(timeout=60)
        self.b.run("host", "trust", self.a.record(), "--as", "origin")

        def restore(pin):
            return self.b.run("restore", "--detach", "--passphrase-fd", "0", self.sealed_file, input=f"{pin}\n".encode())
        approval = self.folder / "now.approval"
        self.refused(restore(HOST_PIN), 3, "No approval")
        approval.write_bytes(authority.approve({7: sha256(b"of another boot")}))
        self.refused(restore(HOST_PIN), 3, "PCR 7")
        approval.write_bytes(authority.approve({7: bytes(32)}))
        self.refused(restore("0123456"), 3, "The PIN is wrong")
        self.assertEqual(self.tasks(), [])
        self.succeeds(restore(HOST_PIN))
        self.goes_on()
        self.end_tasks()
        self.succeeds(self.b.run("host", "revoke"))
        self.refused(restore(HOST_PIN), 6, "revoked")
        self.assertEqual(self.tasks(), [])


if __name__ == "__main__":
    support.main()

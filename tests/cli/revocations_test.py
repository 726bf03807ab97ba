#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`host revoke`, and what outlives a reboot and a power cut."""

import base64
import shutil
import struct
import subprocess

import support
from policy_case import CONTENT, OtherAuthority, WithAuthority, sha256
from token_case import PIN, WithTokens


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
        pin = self.write("pin", PIN.encode())
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


if __name__ == "__main__":
    support.main()

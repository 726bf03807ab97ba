#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hosts that have a PKCS #11 token and no TPM: `provision --hsm`. docs/state.md, "token"."""

import re
import time

import support
from process_case import COUNTER, ProcessCase, wait_until
from token_case import DEVICE_REMOVED, PIN, SOFTHSM, WithFailures, WithTokens

KEYS = ("ckpt-seal signing key", "ckpt-seal storage key")


class HsmCase(WithTokens):
    def setUp(self):
        super().setUp()
        self.pin = self.write("pin", f"{PIN}\n".encode())
        self.state = self.folder / "hsm"

    def hsm_uri(self, path="token=archive", module=SOFTHSM):
        return self.uri(path, module, f"&pin-source=file:{self.pin}")

    def on_hsm(self, *arguments, more_environment=None, **options):
        return support.run("--state", self.state, *arguments, more_environment=dict(self.environment, **(more_environment or {})),
                           **options)

    def provision(self, *arguments, uri=None, **options):
        return self.on_hsm("provision", "--hsm", uri or self.hsm_uri(), "--name", "hsm-host", *arguments, **options)

    def provisioned(self):
        self.succeeds(self.provision())
        record = self.folder / "hsm.record"
        self.succeeds(self.on_hsm("host", "export", "-o", record))
        return record

    def keys(self):
        """Of hosts, in the token: private ones, whole pairs or not."""
        return sorted(re.findall(r"label: +(ckpt-seal .*)", self.pkcs11_tool("--list-objects", "--type", "privkey")))

    def verdict(self):
        """Of doctor, about the token."""
        findings = self.json(self.on_hsm("--json", "doctor"))["findings"]
        return next(finding["verdict"] for finding in findings if finding["check"] == "token")

    def plain(self):
        return self.write("plain", b"some content")


class HsmHosts(HsmCase, support.CliTest):
    HOSTS = ("host-a",)

    def test_seals_and_opens_for_itself(self):
        done = self.provision()
        self.assertIn(b"measures nothing", self.succeeds(done).stderr)
        self.assertEqual(self.keys(), sorted(KEYS))
        path = self.folder / "x.cks"
        self.succeeds(self.on_hsm("seal", "-o", path, self.plain()))
        for identity in ((), ("--identity", "self")):
            self.assertEqual(self.succeeds(self.on_hsm("open", "-o", "-", *identity, path)).stdout, b"some content")
        self.assertIn(b"every chunk good", self.succeeds(self.on_hsm("verify", path)).stdout)
        slot = self.json(self.on_hsm("--json", "inspect", path))["slots"][0]
        self.assertEqual((slot["kind"], slot["source"], slot["label"], slot["measured_state"]),
                         ("public_key", "token", "hsm-host", False))

    def test_it_counts_no_uses_and_refuses_what_has_a_limit_of_them(self):
        self.provisioned()
        path = self.folder / "x.cks"
        self.succeeds(self.on_hsm("seal", "--restores", 3, "-o", path, self.plain()))
        done = self.refused(self.on_hsm("open", "-o", "-", path), 2, "has no TPM, keeps no record of uses")
        self.assertEqual(done.stdout, b"")
        self.succeeds(self.on_hsm("verify", path))
        self.assertFalse((self.state / "uses").exists())
        self.succeeds(self.on_hsm("seal", "--force", "--not-after", "90d", "-o", path, self.plain()))
        self.assertEqual(self.succeeds(self.on_hsm("open", "-o", "-", path)).stdout, b"some content")

    def test_hosts_with_a_tpm_and_with_a_token(self):
        record = self.provisioned()
        self.succeeds(self.a.run("host", "trust", record, "--as", "recipient", "--as", "origin"))
        self.succeeds(self.on_hsm("host", "trust", self.a.record(), "--as", "recipient", "--as", "origin"))
        there, back = self.folder / "there.cks", self.folder / "back.cks"
        done = self.a.run("seal", "-o", there, "--to", "hsm-host", self.plain())
        self.assertIn(b"any state", self.succeeds(done).stderr)
        self.assertEqual(self.succeeds(self.on_hsm("open", "-o", "-", there)).stdout, b"some content")
        self.refused(self.a.run("open", "-o", "-", there), 9)
        self.succeeds(self.on_hsm("seal", "-o", back, "--to", "host-a", self.plain()))
        self.assertEqual(self.succeeds(self.a.run("open", "-o", "-", back)).stdout, b"some content")
        # A slot that the host with the token adds is signed by it.
        self.succeeds(self.on_hsm("rewrap", there, "--add", "host-a"))
        self.assertEqual(self.succeeds(self.a.run("open", "-o", "-", there)).stdout, b"some content")
        self.succeeds(self.a.run("rewrap", there, "--remove", "hsm-host"))
        self.refused(self.on_hsm("open", "-o", "-", there), 9)

    def test_a_record_that_was_altered(self):
        """By whoever carries it: the signature of the token's key counts."""
        record = self.provisioned()
        text = record.read_bytes()
        at = text.index(b"\n") + 40
        for offset in range(0, 200, 13):
            altered = text[:at + offset] + (b"A" if text[at + offset:at + offset + 1] != b"A" else b"B") + text[at + offset + 1:]
            done = self.a.run("host", "trust", self.write("altered.record", altered), "--as", "recipient")
            self.assertIn(done.returncode, (4, 5), done.stderr)

    def test_provisioning_again(self):
        record = self.provisioned().read_bytes()
        self.assertIn(b"Nothing changed", self.succeeds(self.on_hsm("provision")).stdout)
        self.assertEqual((self.state / "host.record").read_bytes(), record)
        path = self.folder / "x.cks"
        self.succeeds(self.on_hsm("seal", "-o", path, self.plain()))
        identity = self.json(self.on_hsm("--json", "host", "show"))["record"]["identity"]
        self.succeeds(self.on_hsm("provision", "--label", "rack=r1", "--expires", "30"))
        self.assertNotEqual((self.state / "host.record").read_bytes(), record)
        self.assertEqual(self.succeeds(self.on_hsm("open", "-o", "-", path)).stdout, b"some content")
        shown = self.json(self.on_hsm("--json", "host", "show"))["record"]
        self.assertEqual(shown["identity"], identity)
        self.assertEqual((shown["labels"], shown["software_token"], "pcrs" in shown), ({"rack": "r1"}, True, False))

    def test_two_hosts_in_one_token(self):
        self.provisioned()
        first, self.state = self.state, self.folder / "second"
        self.succeeds(self.provision())
        self.assertEqual(self.keys(), sorted(2 * KEYS))
        path = self.folder / "x.cks"
        self.succeeds(self.on_hsm("seal", "-o", path, self.plain()))
        self.succeeds(self.on_hsm("provision", "--remove"))
        self.state = first
        self.assertEqual(self.keys(), sorted(KEYS))
        self.refused(self.on_hsm("open", "-o", "-", path), 4)
        self.succeeds(self.on_hsm("seal", "--force", "-o", path, self.plain()))
        self.succeeds(self.on_hsm("open", "-o", "-", path))

    def test_remove(self):
        self.provisioned()
        self.assertIn(b"Would remove", self.succeeds(self.on_hsm("provision", "--remove", "--dry-run")).stdout)
        self.assertEqual(self.keys(), sorted(KEYS))
        self.succeeds(self.on_hsm("provision", "--remove"))
        self.assertEqual(self.keys(), [])
        self.assertFalse(self.state.exists())
        self.succeeds(self.provision())
        self.succeeds(self.on_hsm("provision", "--remove", "--without-tpm"))
        self.assertEqual(self.keys(), sorted(KEYS))

    def test_another_token(self):
        self.provisioned()
        self.make_token("other")
        record = (self.state / "host.record").read_bytes()
        self.refused(self.on_hsm("provision", "--hsm", self.hsm_uri("token=other")), 1, "keys of this host", "--remove")
        self.assertEqual((self.state / "host.record").read_bytes(), record)
        self.assertIn(b"token=archive", (self.state / "token").read_bytes())
        self.assertEqual(self.verdict(), "hint")
        # The same token by another name is the same.
        serial = re.search(r"token label +: archive.*?serial num +: (\w+)",
                           self.tool("pkcs11-tool", "--module", SOFTHSM, "--list-slots"), re.DOTALL).group(1)
        self.succeeds(self.on_hsm("provision", "--hsm", self.hsm_uri(f"serial={serial}")))
        self.assertIn(b"serial=", (self.state / "token").read_bytes())

    def test_keys_that_are_gone(self):
        self.provisioned()
        path = self.folder / "x.cks"
        self.succeeds(self.on_hsm("seal", "-o", path, self.plain()))
        self.pkcs11_tool("--delete-object", "--type", "privkey", "--label", KEYS[0])
        self.refused(self.on_hsm("seal", "-o", self.folder / "y.cks", self.plain()), 1, "no signing key")
        self.assertFalse((self.folder / "y.cks").exists())
        self.refused(self.on_hsm("provision"), 1, "keys of this host")
        self.pkcs11_tool("--delete-object", "--type", "privkey", "--label", KEYS[1])
        self.refused(self.on_hsm("open", "-o", "-", path), 1, "no private one")
        self.assertEqual(self.verdict(), "problem")

    def test_a_signing_key_that_was_exchanged(self):
        """Somebody puts another key under its id: nothing is signed that nobody could verify."""
        self.provisioned()
        number = re.search(r"label: +ckpt-seal signing key\s+ID: +(\w+)", self.pkcs11_tool("--list-objects", "--type", "privkey")).group(1)
        for kind in ("privkey", "pubkey"):
            self.pkcs11_tool("--delete-object", "--type", kind, "--id", number)
        self.make_key("ckpt-seal signing key", number=number, usage="--usage-sign")
        self.refused(self.on_hsm("seal", "-o", self.folder / "y.cks", self.plain()), 1, "another key")
        self.assertFalse((self.folder / "y.cks").exists())
        # It would be another host.
        self.refused(self.on_hsm("provision", "--label", "rack=r1"), 1, "keys of this host", "--remove")

    def test_refused(self):
        key_uri = self.hsm_uri("token=archive;object=x")
        for words, code, word in ((("--hsm", key_uri), 2, "names a key"),
                                  (("--hsm", self.uri("token=archive")), 2, "pin-source"),
                                  (("--hsm", self.uri("token=archive", more="&pin-value=1")), 2, "PIN"),
                                  (("--hsm", self.hsm_uri("token=other")), 8, "put it in"),
                                  (("--hsm", self.hsm_uri(), "--pcrs", "sha256:7"), 2, "--pcrs"),
                                  (("--hsm", self.hsm_uri(), "--name", "Not A Name"), 2, "name")):
            with self.subTest(words):
                self.refused(self.on_hsm("provision", *words), code, word)
                self.assertFalse((self.state / "host.record").exists())
        self.refused(self.on_hsm("--tpm", "soft", "provision", "--hsm", self.hsm_uri()), 2, "--tpm")
        self.assertEqual(self.keys(), [])
        self.pin.write_bytes(b"wrong")
        self.refused(self.provision(), 3, "is wrong")
        self.assertFalse((self.state / "token").exists())
        done = self.a.run("provision", "--hsm", self.hsm_uri(), more_environment=self.environment)
        self.refused(done, 2, "host with a TPM")
        self.assertEqual(self.keys(), [])

    def test_state_that_was_altered(self):
        self.provisioned()
        token = self.state / "token"
        whole = token.read_bytes()
        for content in (b"", whole[:-1], whole[:-2] + b"\n", whole + b"x", b"\n" + whole, whole.replace(b"\n", b"\n\n", 1)):
            token.write_bytes(content)
            for verb in (("provision",), ("seal", "-o", self.folder / "y.cks", self.plain())):
                self.refused(self.on_hsm(*verb), 5, "token")
        token.write_bytes(whole)
        (self.state / "host.record").write_bytes(self.a.record().read_bytes())
        self.refused(self.on_hsm("seal", "-o", self.folder / "y.cks", self.plain()), 5, "host.record")

    def test_the_pin_is_wrong_later(self):
        self.provisioned()
        path = self.folder / "x.cks"
        self.succeeds(self.on_hsm("seal", "-o", path, self.plain()))
        self.pin.write_bytes(b"wrong")
        self.refused(self.on_hsm("open", "-o", "-", path), 3, "is wrong")
        self.refused(self.on_hsm("seal", "-o", self.folder / "y.cks", self.plain()), 3, "is wrong")
        self.pin.unlink()
        self.refused(self.on_hsm("open", "-o", "-", path), 1, "pin")
        self.assertFalse((self.folder / "y.cks").exists())


class HsmCalls(WithFailures, HsmCase, support.CliTest):
    HOSTS = ()

    def setUp(self):
        super().setUp()
        self.through = self.hsm_uri(module=self.failing)

    def test_each_call_of_provisioning(self):
        """Whichever fails, running again completes it, with one pair of keys each."""
        calls = self.calls_of(lambda more: self.provision(uri=self.through, more_environment=more))
        self.assertEqual(calls.count("C_GenerateKeyPair"), 2)
        self.succeeds(self.on_hsm("provision", "--remove"))
        for nth, name in enumerate(calls, 1):
            with self.subTest(call=nth, name=name):
                done = self.provision(uri=self.through, more_environment=self.failure(nth=nth, rv=DEVICE_REMOVED))
                if name in ("C_CloseSession", "C_Finalize"):
                    self.succeeds(done)
                else:
                    self.refused(done, 8)
                    self.assertFalse((self.state / "host.record").exists())
                self.succeeds(self.provision(uri=self.through))
                self.assertEqual(self.keys(), sorted(KEYS))
                self.succeeds(self.on_hsm("provision", "--remove"))
                self.assertEqual(self.keys(), [])

    def test_each_call_of_a_signature(self):
        self.succeeds(self.provision(uri=self.through))
        path = self.folder / "x.cks"
        calls = self.calls_of(lambda more: self.on_hsm("seal", "-o", path, self.plain(), more_environment=more))
        self.assertIn("C_Sign", calls)
        for nth, name in enumerate(calls, 1):
            with self.subTest(call=nth, name=name):
                new = self.folder / f"{nth}.cks"
                done = self.on_hsm("seal", "-o", new, self.plain(), more_environment=self.failure(nth=nth, rv=DEVICE_REMOVED))
                if name in ("C_CloseSession", "C_Finalize"):
                    self.succeeds(done)
                else:
                    self.refused(done, 8)
                    self.assertFalse(new.exists())

    def test_a_token_that_hangs(self):
        self.succeeds(self.provision(uri=self.through))
        start = time.monotonic()
        done = self.on_hsm("--tpm-timeout", "2", "seal", "-o", self.folder / "x.cks", self.plain(),
                           more_environment=self.failure(call="C_Sign", sleep=200))
        self.refused(done, 8, "does not answer", "--tpm-timeout")
        self.assertLess(time.monotonic() - start, 100)
        self.assertFalse((self.folder / "x.cks").exists())


class HsmProcesses(HsmCase, ProcessCase):
    """Dumped on a host with a token for one with a token: the same one."""

    HOSTS = ("host-a", "host-b")

    def test_there_and_back(self):
        self.provisioned()
        child = self.start(COUNTER)
        pid = child.pid
        self.succeeds(self.on_hsm("dump", "-t", pid, "-o", self.sealed_file))
        child.wait()
        last = self.numbers()[-1]
        self.succeeds(self.on_hsm("restore", "--detach", self.sealed_file))
        wait_until(lambda: self.numbers()[-1] > last, "the process goes on")
        lines = (self.state / "journal").read_text().splitlines()
        self.assertEqual(len(lines), 2)

    def test_without_the_pin_nothing_is_frozen_for_good(self):
        self.provisioned()
        child = self.start(COUNTER)
        self.pin.write_bytes(b"wrong")
        self.refused(self.on_hsm("dump", "-t", child.pid, "-o", self.sealed_file), 3, "is wrong")
        self.assertFalse(self.sealed_file.exists())
        self.goes_on()


if __name__ == "__main__":
    support.main()

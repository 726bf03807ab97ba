#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `policy preflight` foresees, and what then happens. docs/policies.md, "Preflight"."""

import hashlib
import json

import support
from token_case import PIN, SOFTHSM, WithTokens

START = {pcr: bytes(32) for pcr in (0, 2, 4, 7, 8, 9, 11, 12)}


def extended(value, text):
    return hashlib.sha256(value + hashlib.sha256(text.encode()).digest()).digest()


class PreflightCase(WithTokens, support.CliTest):
    HOSTS = ()

    def setUp(self):
        super().setUp()
        self.pin_file = self.write("pin", PIN.encode())
        self.key = f"pkcs11:token=archive;object=approvals?module-path={SOFTHSM}&pin-source={self.pin_file}"
        self.host = support.Host(self.folder, "host-a")
        self.now = dict(START)
        self.succeeds(self.host_runs("authority", "init", "--key", self.key, "-o", self.folder / "fleet.pem"))
        self.policy("literal", "--tpm2-pcrs", "7")
        self.policy("epoch", "--tpm2-pcrs", "4", "--epoch")
        self.policy("approved", "--tpm2-public-key", self.folder / "fleet.pem", "--domain", "fleet", "--epoch")
        self.policy("pin", "--tpm2-pcrs", "11", "--tpm2-with-pin")
        self.policy("either", "--any-of", self.folder / "literal.json", "--any-of", self.folder / "epoch.json")

    def host_runs(self, *words, **options):
        return self.ckpt_seal(*words, host=self.host, **options)

    def policy(self, name, *demands):
        self.succeeds(self.host_runs("policy", "create", *demands, "-o", self.folder / f"{name}.json"))

    def seal(self, *names):
        store = self.folder / "store" / "below"
        store.mkdir(parents=True, exist_ok=True)
        plain = self.write("plain", b"some content")
        for name in names:
            self.succeeds(self.host_runs("seal", "--force", "--policy", self.folder / f"{name}.json", "--passphrase-fd", "0",
                                         "-o", store / f"{name}.cks", plain, input=b"1234\n"))

    def state(self, pcrs):
        document = {"schema_version": 1, "bank": "sha256", "pcrs": {str(pcr): value.hex() for pcr, value in sorted(pcrs.items())}}
        return self.write("next.json", json.dumps(document).encode())

    def preflight(self, path=None):
        return self.host_runs("--json", "policy", "preflight", "--next", path or self.state(self.now), self.folder / "store")

    def verdicts(self, path=None):
        return {file["file"].rsplit("/", 1)[1][:-4]: file for file in self.json(self.preflight(path))["files"]}

    def approve(self, *words, name="one"):
        folder = self.host.state / "approvals"
        folder.mkdir(mode=0o700, exist_ok=True)
        self.succeeds(self.host_runs("authority", "approve", "--key", self.key, "--domain", "fleet", "--force", *words, "-o",
                                     folder / f"{name}.approval"))

    def exit_code(self, name):
        return self.host_runs("open", "--passphrase-fd", "0", "-o", "-", self.folder / "store" / "below" / f"{name}.cks",
                              input=b"1234\n").returncode


class Preflight(PreflightCase):
    def test_names_what_is_in_the_way_and_the_cure(self):
        self.seal("literal", "approved", "pin")
        self.approve("--state", self.state(self.now), "--tpm2-pcrs", "4,7")
        done = self.preflight()
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.json(done)["locked_out"], 0)
        self.assertEqual({name: file["verdict"] for name, file in self.verdicts().items()},
                         {"literal": "opens", "approved": "opens", "pin": "opens_with_pin"})
        next_state = self.state({**self.now, 7: bytes(31) + b"x"})
        done = self.preflight(next_state)
        self.assertEqual(done.returncode, 3)
        found = self.verdicts(next_state)
        self.assertEqual((found["literal"]["verdict"], found["literal"]["pcrs"]), ("other_pcrs", [7]))
        self.assertIn("rewrap --add", found["literal"]["message"])
        self.assertEqual((found["approved"]["verdict"], found["approved"]["domain"]), ("not_approved", "fleet"))
        self.assertIn(f"authority approve --domain fleet --state {next_state}", found["approved"]["message"])
        # The cure that it named.
        self.approve("--state", next_state, name="two")
        self.assertEqual(self.verdicts(next_state)["approved"]["verdict"], "opens")

    def test_what_it_cannot_tell(self):
        self.seal("literal")
        few = self.state({4: bytes(32)})
        self.assertEqual(self.preflight(few).returncode, 3)
        self.assertEqual(self.verdicts(few)["literal"], dict(self.verdicts(few)["literal"], verdict="unknown", pcrs=[7]))
        (self.folder / "store" / "bad.cks").write_bytes(b"no sealed file")
        done = self.preflight()
        self.assertEqual((done.returncode, self.json(done)["unreadable"]), (1, 1))
        # A file for others, and one that is no sealed file by its name.
        self.succeeds(self.host_runs("seal", "--to", "recovery", "--recovery-fd", "2", "-o", self.folder / "store" / "bad.cks", "--force",
                                     self.write("plain", b"x")))
        (self.folder / "store" / "notes.txt").write_bytes(b"notes")
        done = self.preflight()
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertEqual(self.verdicts()["bad"]["verdict"], "no_slot")

    def test_bad_input(self):
        self.seal("literal")
        for content, word in ((b"", "next.json"), (b"{}", "next.json"), (b'{"schema_version":1,"bank":"sha1","pcrs":{}}', "sha")):
            self.refused(self.host_runs("policy", "preflight", "--next", self.write("next.json", content), self.folder), 5, word)
        self.refused(self.host_runs("policy", "preflight", "--next", self.folder / "missing", self.folder), 1, "missing")
        self.refused(support.run("--state", self.folder / "none", "policy", "preflight", "--next", self.state(self.now), self.folder),
                     1, "provision")


class Forecasts(PreflightCase):
    def test_twenty_changes(self):
        """Whatever is foreseen of a change comes so."""
        names = ("literal", "epoch", "approved", "pin", "either")
        opened = 0
        for number in range(20):
            touched = [pcr for bit, pcr in enumerate((4, 7, 11)) if number >> bit & 1]
            approved = number % 3 != 0
            self.seal(*names)
            if number in (9, 14):
                self.succeeds(self.host_runs("host", "revoke"))
            following = dict(self.now)
            for pcr in touched:
                following[pcr] = extended(following[pcr], f"change {number}")
            for old in (self.host.state / "approvals").glob("*"):
                old.unlink()
            self.approve("--state", self.state(following if approved else {**following, 4: bytes(32 * [number + 1])}),
                         "--tpm2-pcrs", "4,7")
            path = self.state(following)
            foreseen = {name: file["verdict"] for name, file in self.verdicts(path).items()}
            for pcr in touched:
                self.host.extend(pcr, f"change {number}")
            self.now = following
            happened = {name: self.exit_code(name) for name in names}
            self.succeeds(self.host_runs("provision"))  # the next are sealed for this state
            with self.subTest(number=number, touched=touched, approved=approved):
                # The TPM is asked for the approval before the epoch: without both it says the former.
                expected = {"opens": (0,), "opens_with_pin": (0,), "revoked": (3, 6), "not_approved": (3,), "other_pcrs": (3,)}
                self.assertEqual(set(foreseen), set(names))
                for name in names:
                    self.assertIn(happened[name], expected[foreseen[name]], (name, foreseen, happened))
            opened += list(happened.values()).count(0)
        self.assertTrue(30 < opened < 80, opened)


class Caps(PreflightCase):
    def open(self, *words):
        return self.host_runs("open", "-o", "-", *words, self.folder / "store" / "below" / "literal.cks")

    def test_once_a_boot(self):
        self.seal("literal")
        self.succeeds(self.open())
        self.refused(self.open("--cap-pcr", "12"), 2, "does not bind it")
        for words in (("10",), ("16",), ("23",), ("-1",), ("x",)):
            self.refused_usage(self.open("--cap-pcr", *words))
        self.refused(self.open("--cap-pcr", "7", "--identity", "passphrase"), 2, "--identity self")
        self.succeeds(self.open())
        self.assertEqual(self.succeeds(self.open("--cap-pcr", "7")).stdout, b"some content")
        self.refused(self.open(), 3, "PCR 7 (Secure Boot) differs")
        self.refused(self.open("--cap-pcr", "7"), 3, "PCR 7")

    def test_a_mistyped_passphrase_costs_nothing(self):
        path = self.folder / "together.cks"
        self.succeeds(self.host_runs("seal", "-o", path, "--to", "self", "--to", "passphrase", "--threshold", "2", "--policy",
                                     self.folder / "literal.json", "--passphrase-fd", "0", self.write("plain", b"some content"),
                                     input=b"horse\n"))

        def opened_by(word):
            return self.host_runs("open", "-o", "-", path, "--cap-pcr", "7", "--identity", "self", "--identity", "passphrase",
                                  "--passphrase-fd", "0", input=word)

        self.refused(opened_by(b"hose\n"), 3, "passphrase")
        self.assertEqual(self.succeeds(opened_by(b"horse\n")).stdout, b"some content")
        self.refused(opened_by(b"horse\n"), 3, "PCR 7")

    def refused_usage(self, done):
        self.assertEqual(done.returncode, 2, done.stderr.decode())


if __name__ == "__main__":
    support.main()

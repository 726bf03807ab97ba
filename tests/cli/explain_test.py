#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `policy explain` says of boots of a real machine. docs/policies.md, "Explain"; docs/state.md, "tpm/opened/"."""

import os
import subprocess

import support
from boot_case import LOGS, BootCase
from policy_case import OtherAuthority


class Boots(BootCase):
    def test_the_same_boot_opens_and_another_is_explained(self):
        self.boot("uki")
        host = support.Host(self.folder, "host-c", f"swtpm:path={self.socket}")
        sealed = self.folder / "x.cks"
        self.succeeds(host.run("seal", "-o", sealed, self.write("plain", b"some content")))
        self.boot("uki")
        self.assertEqual(self.succeeds(host.run("open", "-o", "-", sealed)).stdout, b"some content")
        explained = host.run("--json", "policy", "explain", "--log", LOGS / "uki.eventlog", sealed)
        self.assertEqual(self.json(self.succeeds(explained))["slots"][0]["verdict"], "opens")
        self.boot("uki-changed")
        self.refused(host.run("open", "-o", "-", sealed), 3, "PCR 4")
        explained = host.run("--json", "policy", "explain", "--log", LOGS / "uki-changed.eventlog", sealed)
        self.assertEqual(explained.returncode, 3)
        (slot,) = self.json(explained)["slots"]
        self.assertEqual(slot["verdict"], "other_pcrs")
        pcrs = {pcr["pcr"]: pcr for pcr in slot["pcrs"]}
        self.assertIn(4, pcrs)
        self.assertTrue(all(pcr["log_agrees"] for pcr in pcrs.values()))
        self.assertTrue(any("boot services application" in event for event in pcrs[4]["events"]), pcrs[4])
        # With the log of another boot it says that this is none of this one.
        explained = host.run("--json", "policy", "explain", "--log", LOGS / "entry.eventlog", sealed)
        (slot,) = self.json(explained)["slots"]
        self.assertFalse(any(pcr["log_agrees"] for pcr in slot["pcrs"] if pcr["pcr"] == 4))
        words = host.run("policy", "explain", "--log", LOGS / "uki-changed.eventlog", sealed).stdout.decode()
        self.assertIn("PCR 4 (boot loader)", words)
        # Without a slot for it.
        self.succeeds(host.run("seal", "--force", "--to", "recovery", "--recovery-fd", "2", "-o", sealed, self.folder / "plain"))
        self.refused(host.run("policy", "explain", sealed), 9)


class ChangedSince(BootCase):
    """What changed since the file was opened last."""

    def setUp(self):
        super().setUp()
        self.boot("uki")
        self.log = LOGS / "uki.eventlog"
        self.host = support.Host(self.folder, "host-c", f"swtpm:path={self.socket}")
        self.opened = self.host.state / "tpm" / "opened"

    def boot(self, name):
        super().boot(name)
        self.log = LOGS / f"{name}.eventlog"

    def runs(self, *words, **options):
        return self.host.run(*words, more_environment={"CKPT_SEAL_EVENT_LOG": str(self.log)}, **options)

    def seal(self, *more, pcrs=None, name="x"):
        if pcrs:
            self.succeeds(self.runs("policy", "create", "--force", "--tpm2-pcrs", pcrs, "-o", self.folder / "pcrs.json"))
            more = ("--policy", self.folder / "pcrs.json")
        self.succeeds(self.runs("seal", "--force", "-o", self.folder / f"{name}.cks", *more, self.write("plain", b"some content")))

    def open(self, *more, name="x"):
        return self.runs("open", "-o", "-", *more, self.folder / f"{name}.cks")

    def opens(self, *more, **options):
        self.assertEqual(self.succeeds(self.open(*more, **options)).stdout, b"some content")

    def since(self, name="x"):
        return self.json(self.runs("--json", "policy", "explain", self.folder / f"{name}.cks"))["since_opened"]

    def changed(self, name="x"):
        return {pcr["pcr"]: pcr for pcr in self.since(name)["pcrs"]}

    def words(self, name="x"):
        return self.runs("policy", "explain", self.folder / f"{name}.cks").stdout.decode()

    def extend(self, pcr):
        subprocess.run(["tpm2_pcrextend", "-T", f"swtpm:path={self.socket}", f"{pcr}:sha256=" + "ab" * 32], check=True, timeout=60)

    def test_names_pcr_and_event(self):
        self.seal()
        self.assertIsNone(self.since())
        self.assertIn("is not remembered", self.words())
        self.opens()
        self.assertEqual(self.since()["pcrs"], [])
        self.assertIn("No PCR that it asks for has changed since it was opened here last, on 2", self.words())
        self.boot("uki-changed")
        self.refused(self.open(), 3, "PCR 4")
        changed = self.changed()
        # As the recorded machine had them in either boot.
        values = [dict(line.split() for line in (LOGS / f"{name}.pcrs").read_text().splitlines()) for name in ("uki", "uki-changed")]
        for pcr, told in changed.items():
            self.assertEqual([told["value_then"], told["value"]], [value[str(pcr)].lower() for value in values])
            self.assertTrue(told["log_tells"])
            self.assertTrue(told["events"])
        asked = (0, 2, 4, 7, 8, 9, 11, 12)
        self.assertEqual(sorted(changed), [pcr for pcr in asked if values[0][str(pcr)] != values[1][str(pcr)]])
        self.assertTrue(any(event["change"] == "changed" and "boot services application" in event["event"]
                            for event in changed[4]["events"]), changed[4])
        self.assertRegex(self.words(), r"these have changed:\n  PCR 4 \(boot loader\)\n    changed: PCR 4: boot services application")
        # A refused opening changes nothing of it, and going back does.
        self.boot("uki")
        self.assertEqual(self.since()["pcrs"], [])

    def test_every_verb_that_opens(self):
        self.seal()
        for verb in (("verify",), ("inspect", "--identity", "self"), ("rewrap", "--add", "recovery", "--recovery-fd", "2")):
            self.forget()
            self.succeeds(self.runs(*verb, self.folder / "x.cks"))
            self.assertEqual(self.since()["pcrs"], [], verb)
        self.forget()
        # These do not, or not by the TPM.
        self.succeeds(self.runs("inspect", self.folder / "x.cks"))
        self.succeeds(self.runs("verify", "--no-key", self.folder / "x.cks"))
        self.assertIsNone(self.since())

    def forget(self):
        for path in self.opened.glob("*"):
            path.unlink()

    def test_what_no_log_has(self):
        self.seal(pcrs="4,12")
        self.opens()
        self.extend(12)
        self.refused(self.open(), 3, "PCR 12")
        (pcr,) = self.since()["pcrs"]
        self.assertEqual((pcr["pcr"], pcr["log_tells"], pcr["events"]), (12, False, []))
        self.assertIn("something that the logs of then and now do not have has extended it", self.words())
        # A cap is such a thing: what is remembered is what was before it.
        self.boot("uki")
        self.opens("--cap-pcr", "4")
        self.refused(self.open(), 3, "PCR 4")
        self.assertEqual([(pcr["pcr"], pcr["log_tells"]) for pcr in self.since()["pcrs"]], [(4, False)])
        self.boot("uki")
        self.opens()

    def test_pcrs_that_were_not_asked_for(self):
        self.seal(pcrs="7")
        self.opens()
        self.boot("uki-changed")
        self.opens()
        self.boot("uki")
        changed = self.changed()
        self.assertIn(4, changed)
        self.assertIsNone(changed[4]["value_then"])
        self.assertTrue(changed[4]["events"])
        # Not where the log does not tell what the PCR holds now.
        self.extend(4)
        self.assertNotIn(4, self.changed())

    def test_approvals_tell_the_values_too(self):
        authority = OtherAuthority()
        self.succeeds(self.runs("policy", "create", "--tpm2-public-key", self.write("key.pem", authority.public_key()), "--domain",
                                "fleet", "-o", self.folder / "fleet.json"))
        values = dict(line.split() for line in (LOGS / "uki.pcrs").read_text().splitlines())
        approvals = self.host.state / "approvals"
        approvals.mkdir(mode=0o700)
        (approvals / "a.approval").write_bytes(authority.approve({pcr: bytes.fromhex(values[str(pcr)]) for pcr in (4, 7)}))
        self.seal("--policy", self.folder / "fleet.json")
        self.opens()
        self.boot("uki-changed")
        self.refused(self.open(), 3, "PCR 4")
        self.assertEqual(self.changed()[4]["value_then"], values["4"].lower())

    def test_without_logs(self):
        self.seal()
        for log in (self.folder / "none", LOGS / "shim-grub.eventlog", self.write("cut", self.log.read_bytes()[:-1]), self.folder):
            self.forget()
            self.log = log
            self.opens()
            self.assertEqual([path.name for path in self.opened.iterdir()], ["index"], log)
        self.boot("uki-changed")
        pcr = self.changed()[4]
        self.assertEqual((pcr["log_tells"], pcr["events"]), (None, []))
        self.assertIn("are not both at hand", self.words())

    def test_damaged_memory_says_nothing_wrong(self):
        self.seal()
        self.opens()
        self.boot("uki-changed")
        right = self.since()
        files = {path.name: path.read_bytes() for path in self.opened.iterdir()}
        self.assertEqual(len(files), 2)
        for name, content in files.items():
            for damaged in (b"", content[:-1], content[:100], content + b"x", bytes([content[0] ^ 1]) + content[1:], os.urandom(200_000)):
                (self.opened / name).write_bytes(damaged)
                found = self.since()
                if name == "index":
                    self.assertIsNone(found)
                else:
                    self.assertEqual([(pcr["pcr"], pcr["value_then"], pcr["events"]) for pcr in found["pcrs"]],
                                     [(pcr["pcr"], pcr["value_then"], []) for pcr in right["pcrs"]])
            (self.opened / name).write_bytes(content)
        self.assertEqual(self.since(), right)
        # What stands in its place is no reason not to open, and not written to.
        other = self.write("other", b"other")
        for put in (lambda path: path.symlink_to(other), os.mkfifo, os.mkdir):
            self.boot("uki")
            (self.opened / "index").unlink()
            put(self.opened / "index")
            self.opens()
            self.assertIsNone(self.since())
            (self.opened / "index").rmdir() if put is os.mkdir else None
            (self.opened / "index").touch()
        self.opens()
        self.assertEqual(other.read_bytes(), b"other")
        self.assertEqual(self.since()["pcrs"], [])
        self.opened.chmod(0o755)  # others may enter: not used
        self.assertIsNone(self.since())

    def test_openings_at_once(self):
        self.seal()
        self.succeeds(self.runs("verify", self.folder / "x.cks"))
        files = {path.name for path in self.opened.iterdir()}
        for _ in range(3):
            environment = dict(support.ENVIRONMENT, CKPT_SEAL_EVENT_LOG=str(self.log))
            running = [subprocess.Popen([support.program(), "--state", self.host.state, "verify", self.folder / "x.cks"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
                       for _ in range(4)]
            for child in running:
                self.assertEqual((child.communicate(timeout=240)[1], child.returncode), (b"", 0))
            self.assertEqual(self.since()["pcrs"], [])
            self.assertEqual({path.name for path in self.opened.iterdir()}, files)

    def test_many_openings_keep_it_bounded(self):
        self.seal(pcrs="7")
        for number in range(20):
            self.extend(12)
            self.succeeds(self.runs("provision"))
            self.seal(pcrs="7,12", name=f"y{number}")
            self.opens(name=f"y{number}")
        self.assertEqual(sorted(path.name == "index" for path in self.opened.iterdir()), [False, True])
        self.assertLess((self.opened / "index").stat().st_size, 65536)
        self.assertIsNone(self.since(name="y3"))
        self.assertIsNotNone(self.since(name="y4"))
        self.assertEqual(self.opened.stat().st_mode & 0o777, 0o700)
        self.assertEqual({path.stat().st_mode & 0o777 for path in self.opened.iterdir()}, {0o600})
        # It goes with the host.
        self.succeeds(self.runs("provision", "--remove"))
        self.assertFalse(self.opened.exists())


if __name__ == "__main__":
    support.main()

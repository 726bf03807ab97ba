#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Release policies as users have them. docs/policies.md."""

import json
import pathlib

import support
from policy_case import CONTENT, OtherAuthority, PolicyCase, WithAuthority, sha256
from process_case import COUNTER, ProcessCase

HOST_PIN = "Zq7-unlike-9182736455"


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

    def test_a_key_that_is_none(self):
        """No approval would verify with it, so what is sealed under it would be lost."""
        key = json.loads(self.fleet.read_bytes())["all_of"][0]["approvals"]["public_key"]
        for other in (key[:-2] + f"{int(key[-2:], 16) ^ 1:02x}", "04" + "00" * 64):
            policy = json.loads(self.fleet.read_text().replace(key, other))
            in_a_branch = dict(policy, all_of=[{"any_of": [{"pin": True}, policy["all_of"][0]]}])
            for document in (policy, in_a_branch):
                path = self.write("off.json", json.dumps(document).encode())
                self.refused(self.a.run("policy", "show", path), 2, "no key of P-256")
                self.refused(self.a.run("seal", "--policy", path, "-o", self.folder / "off.cks", self.write("plain", b"x")), 2,
                             "no key of P-256")
        self.assertFalse((self.folder / "off.cks").exists())

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

    def test_doctor_knows_what_the_slots_bind_to(self):
        for policy, verdict, words in ((self.fleet, "good", "does not bind to their values"), ("none", "problem", "does not open now")):
            self.succeeds(self.a.run("provision", "--policy", policy))
            self.a.extend(4, f"an update, {verdict}")
            found = {finding["check"]: finding for finding in self.json(self.a.run("--json", "doctor"))["findings"]}["pcrs"]
            self.assertEqual(found["verdict"], verdict)
            self.assertIn(words, found["message"])

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
        explain = ("--json", "policy", "explain", self.sealed_file)
        self.assertIsNone(self.json(self.b.run(*explain))["since_opened"])
        self.succeeds(restore(HOST_PIN))
        self.assertEqual(self.json(self.b.run(*explain))["since_opened"]["pcrs"], [])
        self.goes_on()
        self.end_tasks()
        self.succeeds(self.b.run("host", "revoke"))
        self.refused(restore(HOST_PIN), 6, "revoked")
        self.assertEqual(self.tasks(), [])


if __name__ == "__main__":
    support.main()

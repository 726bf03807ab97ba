#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A host whose record changes is still the same host. docs/host-record.md, "Host identity"."""

import itertools

import support

CONTENT = b"some content"


class HostRecords(support.CliTest):
    def setUp(self):
        super().setUp()
        self.numbers = itertools.count()
        # Of each test alone, for their records change.
        self.origin, self.recipient = (support.Host(self.folder, name) for name in ("origin", "recipient"))

    def exported(self, host):
        path = self.folder / f"{next(self.numbers)}.record"
        self.succeeds(host.run("host", "export", "-o", path))
        return path

    def shown(self, host):
        return self.json(self.succeeds(host.run("--json", "host", "show")))["record"]

    def provisioned_anew(self, host, *options):
        """The new record of a host that has changed."""
        before = self.shown(host)
        self.succeeds(host.run("provision", *options))
        after = self.shown(host)
        self.assertNotEqual(after["fingerprint"], before["fingerprint"])
        self.assertEqual(after["identity"], before["identity"])
        return self.exported(host)

    def trusts(self, host, record, *roles):
        self.succeeds(host.run("host", "trust", record, *(word for role in roles for word in ("--as", role))))

    def sealed_by(self, host, *to):
        path = self.folder / "x.cks"
        self.succeeds(host.run("seal", "--force", "-o", path, *(word for one in to for word in ("--to", one)), self.write("plain", CONTENT)))
        return path

    def opens(self, host, path, *more):
        self.assertEqual(self.succeeds(host.run("open", "-o", "-", *more, path)).stdout, CONTENT)

    def test_each_verb_says_the_identity(self):
        own, other = self.shown(self.origin), self.shown(self.recipient)
        self.assertNotEqual(own["identity"], other["identity"])
        done = self.origin.run("host", "show")
        self.assertIn(f"Identity:        {own['identity']}\n", self.succeeds(done).stdout.decode())
        done = self.succeeds(self.origin.run("host", "export", "-o", self.folder / "own.record"))
        self.assertIn(f"identity {own['identity']}.", done.stdout.decode())
        done = self.succeeds(self.origin.run("host", "trust", self.exported(self.recipient), "--as", "recipient"))
        self.assertIn(f"identity {other['identity']}.", done.stdout.decode())
        done = self.succeeds(self.origin.run("host", "list"))
        for record in (own, other):
            self.assertIn(f"{record['fingerprint']} identity {record['identity']} ", done.stdout.decode())
        hosts = self.json(self.origin.run("--json", "host", "list"))["hosts"]
        self.assertEqual([host["identity"] for host in hosts], [own["identity"], other["identity"]])

    def test_what_was_sealed_under_an_earlier_record_opens(self):
        path = self.sealed_by(self.origin, self.exported(self.recipient))
        earlier = self.exported(self.origin)
        newest = self.provisioned_anew(self.origin, "--label", "rack=r1")
        # The twins: nobody is trusted, and another host.
        self.refused(self.recipient.run("open", "-o", "-", path), 4, self.shown(self.origin)["identity"])
        self.refused(self.recipient.run("open", "-o", "-", "--trust", self.a.record(), path), 4, "not trusted here")
        self.opens(self.recipient, path, "--trust", newest)
        self.trusts(self.recipient, newest, "origin")
        self.opens(self.recipient, path)
        # And the other way round, also beside the newest.
        self.trusts(self.recipient, earlier, "origin")
        self.opens(self.recipient, self.sealed_by(self.origin, self.exported(self.recipient)))
        self.succeeds(self.recipient.run("host", "trust", "--remove", "origin", "--as", "origin"))
        self.opens(self.recipient, path, "--trust", earlier)

    def test_who_added_a_slot_under_an_earlier_record_is_trusted_by_the_newest(self):
        self.trusts(self.recipient, self.a.record(), "origin")
        self.trusts(self.origin, self.a.record(), "origin")
        path = self.sealed_by(self.a, self.exported(self.recipient))
        self.succeeds(self.recipient.run("rewrap", path, "--add", self.exported(self.origin)))
        newest = self.provisioned_anew(self.recipient, "--label", "rack=r1")
        self.refused(self.origin.run("open", "-o", "-", path), 4, self.shown(self.recipient)["identity"])
        self.trusts(self.origin, newest, "origin")
        self.opens(self.origin, path)

    def test_who_is_removed_loses_the_slots_of_all_its_records(self):
        """A slot for the record of before stayed, and opened the file."""
        self.trusts(self.recipient, self.exported(self.origin), "origin")
        for change, is_added in (((), True), (("--label", "rack=r1"), False)):
            with self.subTest(change):
                self.trusts(self.origin, self.exported(self.recipient), "recipient")
                path = self.sealed_by(self.origin, "recipient", "self")
                self.opens(self.recipient, path)
                if not change:
                    self.recipient.extend(7, "another state")
                self.trusts(self.origin, self.provisioned_anew(self.recipient, *change), "recipient")
                done = self.json(self.succeeds(self.origin.run("--json", "rewrap", path, "--add", "recipient")))
                self.assertEqual(done["files"][0]["changed"], is_added)
                self.opens(self.recipient, path)
                slots = self.json(self.origin.run("--json", "inspect", path))["slots"]
                identity = self.shown(self.recipient)["identity"]
                self.assertEqual([slot["recipient"] for slot in slots].count(identity), 2 if is_added else 1)
                self.assertIn(f"tpm2 of host {identity}", self.origin.run("inspect", path).stdout.decode())
                self.succeeds(self.origin.run("rewrap", path, "--remove", "recipient"))
                self.refused(self.recipient.run("open", "-o", "-", path), 9)
                self.assertEqual(path.read_bytes().count(bytes.fromhex(identity)), 0)
                self.opens(self.origin, path)

    def test_a_host_is_removed_by_its_identity(self):
        path = self.sealed_by(self.origin, self.exported(self.recipient), "self")
        record = self.shown(self.recipient)
        self.refused(self.origin.run("rewrap", path, "--remove", record["fingerprint"]), 2, "no slot")
        self.succeeds(self.origin.run("rewrap", path, "--remove", record["identity"]))
        self.trusts(self.recipient, self.exported(self.origin), "origin")
        self.refused(self.recipient.run("open", "-o", "-", path), 9)


if __name__ == "__main__":
    support.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Slots of an adder whom not everybody trusts: a host that does not must neither count on them nor be kept by them from adding
its own. docs/format.md, "Slots", "Changing the slots"."""

import support
from rewrap_test import RewrapCase


class RewrapTrust(RewrapCase):
    """host-c adds a slot for a key; host-a, which trusts it, changes the file after it; host-b trusts host-a alone."""

    def setUp(self):
        super().setUp()
        self.key, self.public = self.folder / "k.key", self.folder / "k.pub"
        self.succeeds(self.a.run("keygen", "-o", self.key, "--public", self.public))
        self.succeeds(self.a.run("host", "trust", self.c.record(), "--as", "origin"))
        self.path = self.sealed(b"some content", "host-b", "--to", self.c.record(), "--to", "self")
        self.succeeds(self.c.run("rewrap", self.path, "--add", self.public))
        self.succeeds(self.a.run("rewrap", self.path, "--remove", self.c.record()))

    def by_key(self, host):
        return host.run("open", "-o", "-", self.path, "--identity", self.key)

    def test_it_is_no_way_in_for_who_does_not_trust_its_adder(self):
        self.assertEqual(self.succeeds(self.by_key(self.a)).stdout, b"some content")
        self.refused(self.by_key(self.b), 4, "added by somebody who is not trusted here")
        before = self.path.read_bytes()
        done = self.b.run("rewrap", self.path, "--remove", "self", "--remove", self.a.record())
        self.refused(done, 2, "no slot would be left")
        self.assertEqual(self.path.read_bytes(), before)

    def test_it_keeps_nobody_from_adding_another(self):
        self.succeeds(self.b.run("rewrap", self.path, "--add", self.public))
        self.assertEqual(self.succeeds(self.by_key(self.b)).stdout, b"some content")
        self.assertEqual([slot["kind"] for slot in self.slots(self.path)].count("public_key"), 2)
        # Who has one that is good gets no other.
        done = self.json(self.succeeds(self.b.run("--json", "rewrap", self.path, "--add", self.public)))
        self.assertFalse(done["files"][0]["changed"])

    def test_a_copy_made_good_again_is_no_change(self):
        good = self.path.read_bytes()
        broken = bytearray(good)
        broken[4096 + 200] ^= 1
        self.path.write_bytes(broken)
        done = self.succeeds(self.b.run("rewrap", self.path))
        self.assertNotIn(b"has to trust this host", done.stderr)
        self.assertEqual(self.path.read_bytes(), good)


if __name__ == "__main__":
    support.main()

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

    def test_inspect_says_what_is_known(self):
        """That a slot is vouched for was said of files of which nothing had been verified, and no line named the adder."""
        adder = self.json(self.c.run("--json", "host", "show"))["record"]["identity"]
        changer = self.json(self.a.run("--json", "host", "show"))["record"]["identity"]

        def shown(inspect):
            json = self.json(self.succeeds(inspect("--json", "inspect", self.path)))
            text = self.succeeds(inspect("inspect", self.path)).stdout.decode().splitlines()
            slots = [(slot["adder"], slot["adder_name"], slot["vouched_for"]) for slot in json["slots"]]
            lines = [line for line in text if line.startswith("  ")]
            return slots, lines, json, next(line for line in text if line.startswith("Changed:"))

        slots, lines, json, change = shown(self.a.run)
        self.assertEqual(slots, [("origin", None, True)] * 2 + [(adder, "host-c", True)])
        self.assertTrue(lines[2].endswith("; added by host-c"), lines)
        self.assertEqual((json["changer"], json["changer_name"]), (changer, "host-a"))
        self.assertTrue(change.endswith(" by host-a (trusted, signature good)"), change)
        # The adder is not trusted.
        slots, lines, _, _ = shown(self.b.run)
        self.assertEqual(slots, [("origin", None, True)] * 2 + [(adder, None, False)])
        self.assertTrue(lines[2].endswith(f"; added by host {adder}; nobody vouches for it who is trusted here"), lines)
        # Nobody is trusted.
        nobody = self.folder / "nobody"
        slots, lines, json, change = shown(lambda *arguments: support.run("--state", nobody, *arguments))
        self.assertEqual(slots, [("origin", None, None)] * 2 + [(adder, None, None)])
        self.assertTrue(lines[2].endswith(f"; added by host {adder} (signature not checked)"), lines)
        self.assertNotIn("vouches", "".join(lines))
        self.assertEqual((json["signature_verified"], json["changer"], json["changer_name"]), (False, changer, None))
        self.assertTrue(change.endswith(f" by host {changer} (signature not checked)"), change)

    def test_inspect_where_the_changer_alone_is_not_trusted(self):
        """The origin was said to be not trusted, and its signature not checked."""
        path = self.sealed()
        self.succeeds(self.b.run("rewrap", path, "--add", self.public))
        identity = self.json(self.b.run("--json", "host", "show"))["record"]["identity"]
        json = self.json(self.succeeds(self.a.run("--json", "inspect", path)))
        self.assertEqual((json["origin_name"], json["signature_verified"], json["changer_name"]), ("host-a", True, None))
        self.assertEqual([slot["vouched_for"] for slot in json["slots"]], [True, False])
        text = self.succeeds(self.a.run("inspect", path)).stdout.decode()
        self.assertIn("Origin:      host-a (trusted, signature good)\n", text)
        self.assertIn(f"Changed:     by host {identity} (not trusted here, signature not checked)\n", text)

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

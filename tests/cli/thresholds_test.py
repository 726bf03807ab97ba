#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files that some of several recipients open together. docs/recipients.md, "Several together"."""

import support
from keys_test import KEYS, PEM, KeysCase, certificate, key_file
from sealed_layout import Layout


class Thresholds(KeysCase):
    """--threshold: some of the recipients together."""

    def setUp(self):
        super().setUp()
        self.keys = [KEYS["ecdh-p256"]() for _ in range(3)]
        self.recipients = [self.write(f"c{i}.crt", certificate(key, f"key {i}").public_bytes(PEM)) for i, key in enumerate(self.keys)]
        self.files = [self.write(f"k{i}.pem", key_file(key)) for i, key in enumerate(self.keys)]

    def sealed_for_two_of(self, *recipients, name="k.cks", **options):
        path = self.folder / name
        to = [word for recipient in recipients for word in ("--to", recipient)]
        return path, self.succeeds(self.a.run("seal", "--force", "-o", path, *to, "--threshold", "2", "--passphrase-fd", "0",
                                              self.write("plain", b"some content"), **options))

    def open_with(self, path, *identities, **options):
        words = [word for identity in identities for word in ("--identity", identity)]
        return self.b.run("open", "-o", "-", *words, "--passphrase-fd", "0", path, **options)

    def opens_with(self, path, *identities, **options):
        self.assertEqual(self.succeeds(self.open_with(path, *identities, **options)).stdout, b"some content")

    def refused_with(self, code, path, *identities, words=(), **options):
        self.refused(self.open_with(path, *identities, **options), code, *words)

    def test_any_two_of_three(self):
        path, done = self.sealed_for_two_of(*self.recipients)
        self.assertIn(b"2 together of", done.stdout)
        for pair in ((0, 1), (0, 2), (1, 2), (2, 0)):
            self.opens_with(path, *(self.files[i] for i in pair))
        self.opens_with(path, *self.files)
        for one in self.files:
            self.refused_with(9, path, one, words=("2 of 3", "--identity"))
        self.refused_with(9, path, self.files[0], self.files[0])
        self.refused_with(9, path, self.write("other.pem", key_file(KEYS["ecdh-p256"]())))
        self.succeeds(self.b.run("verify", "--slot", "0", "--identity", self.files[0], "--identity", self.files[2], path))

    def test_a_host_a_paper_and_a_passphrase(self):
        path, done = self.sealed_for_two_of(self.b.record(), "recovery", "passphrase", input=b"horse\n")
        paper = done.stdout.splitlines()[1]
        self.opens_with(path, "tpm", "recovery", input=paper)
        self.opens_with(path, "tpm", "passphrase", input=b"horse\n")
        self.opens_with(path, "recovery", "passphrase", input=paper + b"\nhorse\n")
        self.refused_with(9, path, words=("2 of 3",))
        self.refused_with(3, path, "tpm", "passphrase", words=("passphrase",), input=b"donkey\n")

    def test_secrets_are_read_in_the_order_in_which_they_are_named(self):
        path, done = self.sealed_for_two_of("recovery", "passphrase", input=b"horse\n")
        paper = done.stdout.splitlines()[1]
        self.opens_with(path, "recovery", "passphrase", input=paper + b"\nhorse\n")
        self.opens_with(path, "passphrase", "recovery", input=b"horse\n" + paper)
        self.opens_with(path, "passphrase", "recovery", "passphrase", input=b"horse\n" + paper)
        self.assertNotEqual(self.open_with(path, "passphrase", "recovery", input=paper + b"\nhorse\n").returncode, 0)
        encrypted = self.write("e.pem", key_file(self.keys[0], password=b"stable"))
        path, done = self.sealed_for_two_of(self.recipients[0], "passphrase", input=b"horse\n")
        self.opens_with(path, "passphrase", encrypted, input=b"horse\nstable\n")
        self.opens_with(path, encrypted, "passphrase", input=b"stable\nhorse\n")

    def test_each_byte_flipped(self):
        path, _ = self.sealed_for_two_of(*self.recipients)
        content = path.read_bytes()
        start = Layout(content).slots + 2
        size = int.from_bytes(content[start + 4:start + 8], "big")
        shares = 0
        for at in range(start + 8, start + 8 + size, 23):
            self.alter(path, content, at)
            done = self.b.run("open", "-o", "-", "--identity", self.files[0], "--identity", self.files[1], path)
            # Before any of it is looked at: it is not the slot from the sealing.
            self.assertEqual(done.returncode, 5, done.stderr)
            self.assertEqual(done.stdout, b"")
            shares += 1
        self.assertGreater(shares, 20)

    def test_shares_of_another_file(self):
        """Somebody who stores two files exchanges their shares."""
        one, _ = self.sealed_for_two_of(*self.recipients, name="one.cks")
        two, _ = self.sealed_for_two_of(*self.recipients, name="two.cks")
        contents = [path.read_bytes() for path in (one, two)]
        start = Layout(contents[0]).slots + 2 + 8 + 2
        size = 6 + int.from_bytes(contents[0][start + 2:start + 6], "big")
        mixed = contents[0][:start] + contents[1][start:start + size] + contents[0][start + size:]
        self.alter(one, mixed, 4096)
        self.alter(one, one.read_bytes(), 4096)
        self.refused_with(5, one, self.files[0], self.files[1])
        self.refused_with(5, one, self.files[1], self.files[2])
        one.write_bytes(contents[0])
        self.opens_with(one, self.files[0], self.files[1])

    def test_rewrap(self):
        path, _ = self.sealed_for("self")
        self.succeeds(self.b.run("host", "trust", self.a.record(), "--as", "origin"))
        add = [word for recipient in self.recipients[:2] for word in ("--add", recipient)]
        self.succeeds(self.a.run("rewrap", path, *add, "--threshold", "2"))
        self.refused_with(9, path, self.files[0])
        self.opens_with(path, *self.files[:2])
        self.succeeds(self.a.run("rewrap", path, "--remove", "1"))
        self.refused_with(9, path, *self.files[:2])
        # The two together can change it again.
        path, _ = self.sealed_for_two_of(*self.recipients)
        self.succeeds(self.a.run("rewrap", path, "--add", "self", "--identity", self.files[0], "--identity", self.files[1]))
        self.succeeds(self.a.run("open", "-o", "-", path))

    def test_inspect(self):
        path, _ = self.sealed_for_two_of(self.b.record(), self.recipients[0], "recovery")
        slot = self.json(self.b.run("--json", "inspect", path))["slots"][0]
        self.assertEqual((slot["kind"], slot["threshold"], slot["needs"], slot["measured_state"]),
                         ("threshold", 2, "2 of 3 together", False))
        self.assertEqual([(share["number"], share["kind"], share["measured_state"]) for share in slot["shares"]],
                         [(1, "tpm2", True), (2, "public_key", False), (3, "recovery", False)])
        path, _ = self.sealed_for_two_of(self.b.record(), self.recipients[0])
        self.assertTrue(self.json(self.b.run("--json", "inspect", path))["slots"][0]["measured_state"])
        self.assertIn(b"2: public_key", self.b.run("inspect", path).stdout)

    def test_warnings(self):
        """Whether something opens it when the host no longer can."""
        _, done = self.sealed_for_two_of(self.b.record(), self.recipients[0])
        self.assertIn(b"locks it out", done.stderr)
        _, done = self.sealed_for_two_of(self.b.record(), *self.recipients[:2])
        self.assertNotIn(b"locks it out", done.stderr)

    def test_refused(self):
        plain = self.write("plain", b"x")
        for words, code, word in ((("--threshold", "4"), 2, "--threshold"), (("--threshold", "0"), 2, "--threshold"),
                                  (("--threshold", "2", "--exclusive"), 2, "--exclusive"), (("--threshold", "x"), 2, "")):
            to = [word for recipient in self.recipients for word in ("--to", recipient)]
            done = self.a.run("seal", "-o", self.folder / "r.cks", *to, *words, plain)
            self.assertEqual(done.returncode, code)
            self.assertIn(word.encode(), done.stderr)
        self.refused(self.a.run("seal", "-o", self.folder / "r.cks", "--threshold", "2", plain), 2, "1 recipients")
        self.assertFalse((self.folder / "r.cks").exists())


if __name__ == "__main__":
    support.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who vouches for the certificates that a file is sealed for. docs/recipients.md, "Who vouches for a certificate"."""

from cryptography.hazmat.primitives import serialization

import support
from keys_test import KEYS, PEM, Authority, KeysCase, certificate, key_file


class Chains(KeysCase):
    """--ca and --crl: who vouches for a certificate, and whether it still does."""

    def setUp(self):
        super().setUp()
        self.key = KEYS["ecdh-p256"]()
        self.root = Authority("root")
        self.between = Authority("between", self.root, serial=2)
        self.direct = self.issued(self.root, "direct.crt")
        self.longer = self.issued(self.between, "longer.crt")
        self.ca = self.write("root.pem", self.root.pem)

    def issued(self, by, name, **options):
        return self.write(name, certificate(self.key, by=by, **options).public_bytes(PEM))

    def seal(self, *arguments):
        return self.a.run("seal", "--force", "-o", self.folder / "x.cks", *arguments, self.write("plain", b"some content"))

    def is_sealed(self, *arguments):
        self.succeeds(self.seal(*arguments))
        self.opens(self.folder / "x.cks", "--identity", self.write("k.pem", key_file(self.key)))
        (self.folder / "x.cks").unlink()

    def is_refused(self, code, *arguments, words=()):
        self.refused(self.seal(*arguments), code, *words)
        self.assertFalse((self.folder / "x.cks").exists())

    def test_up_to_a_trusted_authority(self):
        self.is_sealed("--to", self.direct, "--ca", self.ca)
        both = self.write("both.pem", self.between.pem + self.root.pem)
        between = self.write("between.pem", self.between.pem.rstrip())
        self.is_sealed("--to", self.longer, "--to", self.direct, "--to", "self", "--ca", both)
        self.is_sealed("--to", self.longer, "--ca", between, "--ca", self.ca)

    def test_its_twins(self):
        stranger = self.write("stranger.pem", Authority("root").pem)  # by name alone the same
        between = self.write("between.pem", self.between.pem)
        old = Authority("old", days=-1)
        by_old = self.issued(old, "old.crt")
        vouched = ("No authority that is trusted", "longer.crt")
        self.is_refused(4, "--to", self.direct, "--ca", stranger, words=("direct.crt",))
        self.is_refused(4, "--to", self.longer, "--ca", self.ca, words=vouched)
        # One that another has to vouch for ends no chain.
        self.is_refused(4, "--to", self.longer, "--ca", between, words=vouched)
        self.is_refused(4, "--to", self.direct, "--to", self.longer, "--ca", self.ca, words=vouched)
        self.is_refused(4, "--to", by_old, "--ca", self.write("old.pem", old.pem), words=("expired", "old.crt"))
        self.is_sealed("--to", by_old)  # nobody is asked
        content = certificate(self.key, by=self.root).public_bytes(serialization.Encoding.DER)
        altered = self.write("altered.der", content[:-1] + bytes([content[-1] ^ 1]))
        self.is_refused(4, "--to", altered, "--ca", self.ca)
        self.is_sealed("--to", self.write("sound.der", content), "--ca", self.ca)

    def test_revoked(self):
        ca = ("--ca", self.write("both.pem", self.between.pem + self.root.pem))
        lists = {"none": self.root.revokes(8) + self.between.revokes(), "this": self.root.revokes(7) + self.between.revokes(),
                 "between": self.root.revokes(2) + self.between.revokes(), "old": self.root.revokes(days=-1),
                 "forged": Authority("root").revokes(), "root": self.root.revokes(), "longer": self.between.revokes()}
        crl = {name: ("--crl", self.write(f"{name}.crl", content)) for name, content in lists.items()}
        self.is_sealed("--to", self.direct, "--to", self.longer, *ca, *crl["none"])
        self.is_sealed("--to", self.longer, *ca, *crl["root"], *crl["longer"])
        self.is_sealed("--to", self.direct, *ca, *crl["between"])
        for certificate_file, name, code, word in (
                (self.direct, "this", 6, "revoked"), (self.longer, "between", 6, "authority above it was revoked"),
                (self.direct, "old", 4, "too old"), (self.direct, "forged", 4, "direct.crt"),
                (self.direct, "longer", 4, "None of the revocation lists"),
                (self.longer, "longer", 4, "None of the revocation lists"),
                (self.longer, "root", 4, "None of the revocation lists")):
            with self.subTest(name):
                self.is_refused(code, "--to", certificate_file, *ca, *crl[name], words=(word,))
        self.is_refused(2, "--to", self.direct, *ca, "--crl", self.write("empty.crl", b""), words=("revocation lists",))
        self.is_refused(2, "--to", self.direct, *ca, "--crl", self.ca, words=("X509 CRL",))
        self.is_refused(1, "--to", self.direct, *ca, "--crl", self.folder / "missing.crl", words=("missing.crl",))
        altered = lists["root"].replace(b"M", b"!", 1)
        self.is_refused(5, "--to", self.direct, *ca, "--crl", self.write("altered.crl", altered))

    def test_what_cannot_be_checked(self):
        public = self.write("k.pub", self.key.public_key().public_bytes(
            PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        ca = ("--ca", self.ca)
        token = "pkcs11:token=archive;object=backup?module-path=/none.so"
        for recipient, shown in ((public, "k.pub"), (token, "pkcs11:")):
            self.is_refused(2, "--to", self.direct, "--to", recipient, *ca, words=(shown, "no issuer vouches", "--ca"))
        self.is_refused(2, *ca, words=("no recipient is one",))
        self.is_refused(2, "--to", self.b.record(), "--to", "recovery", *ca, words=("no recipient is one",))
        self.is_refused(2, "--to", self.direct, "--crl", self.write("r.crl", self.root.revokes()), words=("--ca",))
        for name in ("", "/dev/null"):  # as "$UNSET" would
            self.assertNotEqual(self.seal("--to", self.direct, "--ca", name).returncode, 0)
            self.assertNotEqual(self.seal("--to", self.direct, *ca, "--crl", name).returncode, 0)
        self.is_refused(2, "--to", self.direct, "--ca", self.write("empty.pem", b""), words=("trusted certificates",))

    def test_rewrap_and_dump(self):
        path = self.sealed()
        before = path.read_bytes()
        root, nobody = ("--ca", self.ca), ("--ca", self.write("nobody.pem", Authority("nobody").pem))
        revoked = ("--crl", self.write("r.crl", self.root.revokes(7)))
        for arguments, code, word in ((("--add", self.direct, *nobody), 4, "No authority"),
                                      (("--add", self.direct, *root, *revoked), 6, "revoked"),
                                      (("--add", self.direct, *revoked), 2, "--ca"),
                                      (("--remove", "0", *root), 2, "no recipient is one")):
            self.refused(self.b.run("rewrap", path, *arguments), code, word)
            self.assertEqual(path.read_bytes(), before)
        self.succeeds(self.b.run("rewrap", path, "--add", self.direct, *root))
        self.opens(path, "--identity", self.write("k.pem", key_file(self.key)), "--trust", self.b.record())
        # Whom nobody vouches for any more can still be taken away.
        self.succeeds(self.b.run("rewrap", path, "--remove", self.direct))
        dump = ("dump", "--dry-run", "-t", 1, "-o", self.folder / "d.cks", "--criu", "/bin/true", "--to", self.direct)
        self.succeeds(self.b.run(*dump, *root))
        self.refused(self.b.run(*dump, *nobody), 4, "No authority")


if __name__ == "__main__":
    support.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`keygen`, and files sealed for post-quantum keys where OpenSSL has ML-KEM. docs/recipients.md, "Keys in a file"."""

import ctypes
import stat
import unittest

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519

import support
from keys_test import KEYS, KeysCase, certificate, key_file

# Not by a program, which may be of another OpenSSL than the command.
HAS_ML_KEM = ctypes.CDLL("libcrypto.so.3").OpenSSL_version_num() >= 0x30500000
PUBLIC = b"-----BEGIN CKPT-SEAL HYBRID PUBLIC KEY-----\n"
PRIVATE = b"-----BEGIN CKPT-SEAL HYBRID PRIVATE KEY-----\n"


def vector(name):
    """A text of tests/keymgr/hybrid_vectors.h."""
    text = (support.TOP / "tests/keymgr/hybrid_vectors.h").read_text(encoding="ascii")
    lines = text.split(f" {name} =\n", 1)[1].split(";", 1)[0].splitlines()
    return "".join(line.strip().strip('"').replace("\\n", "\n") for line in lines).encode()


class KeygenCase(KeysCase):
    def keygen(self, *arguments, **options):
        return support.run("keygen", *arguments, **options)

    def made(self, name, *more):
        """A new private key and its public one, in two files."""
        private, public = self.folder / f"{name}.key", self.folder / f"{name}.pub"
        self.succeeds(self.keygen("-o", private, "--public", public, *more))
        return private, public

    def nothing_made(self, *names):
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), sorted(names))


class Keygen(KeygenCase):
    def test_a_key_that_others_read(self):
        path = self.folder / "k.key"
        done = self.succeeds(self.keygen("-o", path, umask=0))
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        private = serialization.load_pem_private_key(path.read_bytes(), None)
        self.assertIsInstance(private, x25519.X25519PrivateKey)
        public = private.public_key().public_bytes(serialization.Encoding.PEM,
                                                   serialization.PublicFormat.SubjectPublicKeyInfo)
        self.assertEqual(done.stdout, public)
        self.assertEqual(done.stderr, b"")

    def test_it_opens_what_is_sealed_for_it(self):
        private, public = self.made("one")
        path, _ = self.sealed_for(public)
        self.opens(path, "--identity", private)
        other, _ = self.made("two")
        self.refused(self.b.run("open", "-o", "-", "--identity", other, path), 9)

    def test_reports(self):
        path = self.folder / "k.key"
        report = self.json(self.succeeds(self.keygen("--json", "-o", path)))
        self.assertEqual((report["algorithm"], report["output"], report["public"], report["dry_run"]),
                         ("x25519", str(path), "-", False))
        pem = report["pem"]
        sealed, _ = self.sealed_for(self.write("k.pub", pem.encode()))
        self.assertEqual(self.json(self.b.run("--json", "inspect", sealed))["slots"][0]["recipient"], report["key_id"])
        done = self.succeeds(self.keygen("-o", self.folder / "l.key", "--public", self.folder / "l.pub"))
        self.assertIn(b"Made the key, id ", done.stdout)
        self.assertNotIn(b"BEGIN", done.stdout)

    def test_nothing_is_replaced(self):
        private, public = self.made("one")
        before = private.read_bytes(), public.read_bytes()
        self.refused(self.keygen("-o", private), 1, "one.key")
        self.refused(self.keygen("-o", self.folder / "new.key", "--public", public), 1, "one.pub")
        self.assertEqual((private.read_bytes(), public.read_bytes()), before)
        self.nothing_made("one.key", "one.pub")
        private.chmod(0o644)
        self.succeeds(self.keygen("--force", "-o", private, "--public", public))
        self.assertNotEqual(private.read_bytes(), before[0])
        self.assertNotEqual(public.read_bytes(), before[1])
        self.assertEqual(stat.S_IMODE(private.stat().st_mode), 0o600)

    def test_refused(self):
        path = self.folder / "k.key"
        self.refused(self.keygen("-o", "-"), 2, "-o")
        for other in (path, self.folder / "." / "k.key", self.folder / "x" / ".." / "k.key"):
            self.refused(self.keygen("--force", "-o", path, "--public", other), 2, "--public")
        self.assertEqual(self.keygen().returncode, 2)
        self.refused(self.keygen("-o", self.folder / "missing" / "k.key"), 1, "missing")
        self.nothing_made()

    def test_a_dry_run_makes_none(self):
        done = self.succeeds(self.keygen("--dry-run", "-o", self.folder / "k.key", "--public", self.folder / "k.pub"))
        self.assertIn(b"Would make", done.stdout)
        self.nothing_made()

    def test_stdout_that_takes_nothing(self):
        with open("/dev/full", "wb") as full:
            done = support.subprocess.run([support.program(), "keygen", "-o", self.folder / "k.key"], stdout=full,
                                          stderr=support.subprocess.PIPE, timeout=60, env=support.ENVIRONMENT)
        self.assertEqual(done.returncode, 1)

    def test_the_two_halves_exchanged(self):
        """Told by their PEM labels, on any machine."""
        private, public = self.write("h.key", vector("hybrid_private_pem")), self.write("h.pub", vector("hybrid_public_pem"))
        plain = self.write("plain", b"x")
        self.refused(self.a.run("seal", "-o", self.folder / "x.cks", "--to", private, plain), 2, "private key")
        path = self.sealed()
        self.refused(self.b.run("open", "-o", "-", "--identity", public, path), 2, "public key")
        self.refused(self.b.run("open", "-o", "-", "--identity", private, path), 9)

    def test_damaged_post_quantum_files(self):
        path = self.sealed()
        plain = self.write("plain", b"x")
        private, public = vector("hybrid_private_pem"), vector("hybrid_public_pem")
        for damaged in (private[:-1], private + b"\n", private.replace(b"\n", b"\r\n"), private[:80] + private[81:],
                        private[:60] + b"*" + private[61:]):
            self.refused(self.b.run("open", "-o", "-", "--identity", self.write("h.key", damaged), path), 5, "h.key")
        for damaged in (public[:-1], public + b"\n", public.replace(b"\n", b"\r\n"), public[:80] + public[81:]):
            self.refused(self.a.run("seal", "-o", self.folder / "n.cks", "--to", self.write("h.pub", damaged), plain), 5, "h.pub")

    def test_without_ml_kem_a_sentence_says_so(self):
        if HAS_ML_KEM:
            return
        words = ("OpenSSL", "3.5", "Debian 13")
        self.refused(self.keygen("--post-quantum", "-o", self.folder / "k.key"), 2, *words)
        self.refused(self.keygen("--post-quantum", "--dry-run", "-o", self.folder / "k.key"), 2, *words)
        self.nothing_made()
        public = self.write("h.pub", vector("hybrid_public_pem"))
        plain = self.write("plain", b"x")
        for more in ((), ("--dry-run",)):
            self.refused(self.a.run("seal", "-o", self.folder / "x.cks", "--to", public, *more, plain), 2, *words)
        path = self.sealed()
        self.refused(self.b.run("rewrap", path, "--add", public, "--mix-classical"), 2, *words)
        # To remove one takes its key id alone.
        self.refused(self.b.run("rewrap", path, "--remove", public), 2, "has no slot")


@unittest.skipUnless(HAS_ML_KEM, "libcrypto has no ML-KEM before OpenSSL 3.5")
class PostQuantum(KeygenCase):
    def made(self, name, *more):
        return super().made(name, "--post-quantum", *more)

    def slots(self, path):
        return [slot["kind"] for slot in self.json(self.b.run("--json", "inspect", path))["slots"]]

    def test_it_opens_with_its_key_alone(self):
        private, public = self.made("one")
        self.assertTrue(private.read_bytes().startswith(PRIVATE))
        self.assertTrue(public.read_bytes().startswith(PUBLIC))
        self.assertEqual(stat.S_IMODE(private.stat().st_mode), 0o600)
        path, done = self.sealed_for(public)
        self.assertNotIn(b"warning", done.stderr)
        self.opens(path, "--identity", private)
        self.assertEqual(self.slots(path), ["hybrid"])
        other, _ = self.made("two")
        self.refused(self.b.run("open", "-o", "-", "--identity", other, path), 9)
        self.refused(self.b.run("open", "-o", "-", path), 9)
        self.succeeds(self.b.run("verify", "--identity", private, path))

    def test_reports(self):
        report = self.json(self.succeeds(self.keygen("--json", "--post-quantum", "-o", self.folder / "k.key")))
        self.assertEqual(report["algorithm"], "x25519-ml-kem-768")
        self.assertTrue(report["pem"].encode().startswith(PUBLIC))
        public = self.write("k.pub", report["pem"].encode())
        self.assertEqual(self.succeeds(self.keygen("--post-quantum", "-o", self.folder / "l.key")).stdout[:len(PUBLIC)], PUBLIC)
        sealed = self.json(self.succeeds(self.a.run("--json", "seal", "-o", self.folder / "x.cks", "--to", public,
                                                    self.write("plain", b"x"))))
        self.assertEqual(sealed["recipients"], ["k.pub"])

    def test_several_and_one_twice(self):
        one, two = self.made("one"), self.made("two")
        path, _ = self.sealed_for(one[1], two[1], one[1])
        self.assertEqual(self.slots(path), ["hybrid", "hybrid"])
        for private, _ in (one, two):
            self.opens(path, "--identity", private)

    def test_exclusive(self):
        private, public = self.made("one")
        path = self.folder / "e.cks"
        self.succeeds(self.a.run("seal", "--exclusive", "-o", path, "--to", public, self.write("plain", b"some content")))
        self.opens(path, "--identity", private)

    def test_it_stands_alone_unless_told(self):
        private, public = self.made("one")
        key = KEYS["x25519"]()
        cert = self.write("c.crt", certificate(key).public_bytes(serialization.Encoding.PEM))
        plain = self.write("plain", b"x")
        for other in (cert, self.b.record(), "self"):
            for more in ((), ("--dry-run",), ("--threshold", "2")):
                done = self.a.run("seal", "-o", self.folder / "m.cks", "--to", other, "--to", public, *more, plain)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(b"--mix-classical", done.stderr)
                self.assertFalse((self.folder / "m.cks").exists())
        # Neither of these rests on public key cryptography.
        path = self.folder / "s.cks"
        self.succeeds(self.a.run("seal", "-o", path, "--to", "recovery", "--to", "passphrase", "--to", public, "--passphrase-fd",
                                 "0", plain, input=b"horse\n"))
        self.assertEqual(sorted(self.slots(path)), ["hybrid", "passphrase", "recovery"])
        path = self.folder / "m.cks"
        self.succeeds(self.a.run("seal", "-o", path, "--to", cert, "--to", public, "--mix-classical",
                                 self.write("plain", b"some content")))
        self.assertEqual(self.slots(path), ["public_key", "hybrid"])
        self.opens(path, "--identity", private)
        self.opens(path, "--identity", self.write("k.pem", key_file(key)))

    def test_rewrap(self):
        (one, one_public), (two, two_public) = self.made("one"), self.made("two")
        path, _ = self.sealed_for(one_public)
        self.succeeds(self.b.run("host", "trust", self.b.record(), "--as", "origin"))
        self.succeeds(self.b.run("rewrap", path, "--identity", one, "--add", two_public, "--add", one_public))
        self.assertEqual(self.slots(path), ["hybrid", "hybrid"])
        self.opens(path, "--identity", two)
        self.succeeds(self.b.run("rewrap", path, "--identity", two, "--remove", one_public))
        self.refused(self.b.run("open", "-o", "-", "--identity", one, path), 9)
        self.refused(self.b.run("rewrap", path, "--identity", two, "--add", one_public, "--add", "self"), 2, "--mix-classical")
        self.succeeds(self.b.run("rewrap", path, "--identity", two, "--add", one_public, "--add", "self", "--mix-classical"))
        self.assertEqual(sorted(self.slots(path)), ["hybrid", "hybrid", "tpm2"])
        self.opens(path, "--identity", one)
        self.succeeds(self.b.run("rewrap", path, "--identity", one, "--remove", two_public))

    def test_rewrap_judges_the_slots_that_stay(self):
        private, public = self.made("one")
        path, _ = self.sealed_for(public)
        before = path.read_bytes()
        for more in ((), ("--dry-run",)):
            self.refused(self.b.run("rewrap", path, "--identity", private, "--add", "self", *more), 2, "--mix-classical")
        self.assertEqual(path.read_bytes(), before)
        self.succeeds(self.b.run("rewrap", path, "--identity", private, "--replace", f"{public}=self"))
        self.assertEqual(self.slots(path), ["tpm2"])
        path = self.sealed()
        self.refused(self.b.run("rewrap", path, "--add", public), 2, "--mix-classical")
        self.succeeds(self.b.run("rewrap", path, "--add", public, "--mix-classical"))
        self.assertEqual(self.slots(path), ["tpm2", "hybrid"])

    def test_inspect(self):
        report = self.json(self.succeeds(self.keygen("--json", "--post-quantum", "-o", self.folder / "k.key")))
        path, _ = self.sealed_for(self.write("k.pub", report["pem"].encode()))
        slot = self.json(self.b.run("--json", "inspect", path))["slots"][0]
        self.assertEqual((slot["kind"], slot["recipient"], slot["label"]), ("hybrid", report["key_id"], "k.pub"))
        self.assertIn(f"hybrid {report['key_id']} (k.pub), needs its post-quantum private key; on any machine".encode(),
                      self.b.run("inspect", path).stdout)

    def test_no_issuer_vouches_for_it(self):
        _, public = self.made("one")
        ca = self.write("ca.pem", certificate(KEYS["ecdh-p256"]()).public_bytes(serialization.Encoding.PEM))
        self.refused(self.a.run("seal", "-o", self.folder / "x.cks", "--ca", ca, "--to", public, self.write("plain", b"x")), 2,
                     "--ca")

    def test_an_altered_public_key(self):
        _, public = self.made("one")
        text = public.read_bytes().splitlines(keepends=True)
        text[5] = b"/" * 64 + b"\n"  # numbers above the modulus
        self.refused(self.a.run("seal", "-o", self.folder / "x.cks", "--to", self.write("bad.pub", b"".join(text)),
                                self.write("plain", b"x")), 5, "bad.pub")


if __name__ == "__main__":
    support.main()

# SPDX-License-Identifier: Apache-2.0
"""Published vectors for what the reader and the writer of the vectors compute, and, where nobody has published any, the
one against the other. The files of tests/vectors/published are also those of the C++ side: they are checked here too."""

import pathlib
import sys
import unittest

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE.parent / "vectors"
sys.path[:0] = [str(HERE), str(VECTORS)]

import cks_mlkem  # noqa: E402
import cks_primitives as reader  # noqa: E402
import mlkem  # noqa: E402
import primitives as writer  # noqa: E402
import tpm_slot  # noqa: E402
from cks_keys import StorageParent  # noqa: E402


def cases(name):
    """The paragraphs of a file of `name = hex` lines, each as {name: bytes}."""
    result = []
    for paragraph in (VECTORS / "published" / name).read_text(encoding="ascii").split("\n\n"):
        lines = [line for line in paragraph.splitlines() if line and not line.startswith("#")]
        fields = dict(line.split(" =", 1) for line in lines)
        if fields:
            result.append({key: bytes.fromhex(value) for key, value in fields.items()})
    return result


def flipped(data):
    return bytes([data[0] ^ 1]) + data[1:]


class Published(unittest.TestCase):
    def test_hkdf(self):
        some = cases("rfc5869.txt")
        self.assertEqual(len(some), 3)
        for case in some:
            self.assertEqual(reader.hkdf_extract(case["salt"], case["ikm"]), case["prk"])
            self.assertEqual(reader.hkdf_expand(case["prk"], case["info"]), case["okm"][:32])
            self.assertEqual(writer.extract(case["salt"], case["ikm"]), case["prk"])
            self.assertEqual(writer.expand(case["prk"], case["info"]), case["okm"][:32])
            self.assertNotEqual(reader.hkdf_extract(case["salt"], flipped(case["ikm"])), case["prk"])

    def check_aead(self, suite, name, count, primitive, decrypt):
        some = cases(name)
        self.assertEqual(len(some), count)
        for case in some:
            inputs = (case["key"], case["nonce"], case["ciphertext"], case["tag"])
            sealed = case["ciphertext"] + case["tag"]
            library = primitive(case["key"]).encrypt(case["nonce"], case["plaintext"], case["associated"])
            self.assertEqual(library, sealed)
            self.assertEqual(decrypt(*inputs, case["associated"]), case["plaintext"])
            self.assertIsNone(decrypt(*inputs[:3], flipped(case["tag"]), case["associated"]))
            again = writer.seal(suite, case["key"], case["nonce"], case["plaintext"], case["associated"])
            self.assertEqual(again, (case["ciphertext"], case["tag"]))

    def test_gcm(self):
        self.check_aead(1, "gcm.txt", 50, AESGCM, reader.aes_gcm_open)

    def test_chacha20_poly1305(self):
        self.check_aead(2, "chacha20poly1305.txt", 2, ChaCha20Poly1305, reader.chacha20_poly1305_open)

    def test_ecdsa(self):
        some = cases("rfc6979.txt")
        self.assertEqual(len(some), 2)
        for case in some:
            public = reader.p256_point(case["x"], case["y"])
            scalar = int.from_bytes(case["private"], "big")
            self.assertEqual(writer.coordinates(writer.multiply(scalar)), (case["x"], case["y"]))
            self.assertEqual(writer.ecdsa_sign(scalar, case["digest"]), case["signature"])
            self.assertTrue(reader.ecdsa_holds(public, case["digest"], case["signature"]))
            self.assertFalse(reader.ecdsa_holds(public, flipped(case["digest"]), case["signature"]))
            order = writer.N.to_bytes(32, "big")
            for bad in (bytes(64), case["signature"][:32] + order, order + case["signature"][32:]):
                self.assertFalse(reader.ecdsa_holds(public, case["digest"], bad))


class EachOther(unittest.TestCase):
    """What the reader and the writer have each by themselves."""

    def test_storage_parent(self):
        parent = tpm_slot.StorageParent("somebody")
        self.assertEqual(StorageParent(parent.scalar.to_bytes(32, "big")).name, parent.name())

    def test_point_off_the_curve(self):
        x, y = writer.coordinates(writer.G)
        self.assertIsNone(reader.p256_point(x, flipped(y)))
        self.assertIsNotNone(reader.p256_point(x, y))

    def test_ml_kem(self):
        """FIPS 203 by two hands; the reader's part was held against a library, too, where there is one that has it."""
        d, z = bytes(range(32)), bytes(range(32, 64))
        public, secret = cks_mlkem.expand(d + z)
        self.assertEqual(mlkem.encapsulation_key(d), public)
        shared, ciphertext = mlkem.encapsulate(public, b"m" * 32)
        self.assertEqual(cks_mlkem.decapsulate(secret, ciphertext), shared)
        self.assertNotEqual(cks_mlkem.decapsulate(secret, flipped(ciphertext)), shared)

    def test_forged_chunk_keeps_its_tag(self):
        """What makes the digests necessary: the vector chunk_exchanged_tag_valid must be what it says."""
        key, nonce, plain = b"k" * 32, bytes(12), bytes(range(200))
        cipher, tag = writer.seal(1, key, nonce, plain)
        forged = writer.gcm_forge(key, cipher, 2, b"\xff" * 16)
        self.assertNotEqual(forged, cipher)
        self.assertIsNotNone(reader.aes_gcm_open(key, nonce, forged, tag))


if __name__ == "__main__":
    unittest.main()

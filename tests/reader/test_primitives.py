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

import cks_primitives as reader  # noqa: E402
import primitives as writer  # noqa: E402
import tpm_slot  # noqa: E402
from cks_slots import storage_parent_name  # noqa: E402


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
            self.assertEqual(reader.hkdf_expand(case["prk"], case["info"], len(case["okm"])), case["okm"])
            self.assertEqual(writer.extract(case["salt"], case["ikm"]), case["prk"])
            self.assertEqual(writer.expand(case["prk"], case["info"]), case["okm"][:32])
            self.assertNotEqual(reader.hkdf_extract(case["salt"], flipped(case["ikm"])), case["prk"])
        with self.assertRaises(ValueError):
            reader.hkdf_expand(bytes(32), b"", 255 * 32 + 1)

    def check_aead(self, suite, name, count, primitive):
        some = cases(name)
        self.assertEqual(len(some), count)
        for case in some:
            inputs = (case["key"], case["nonce"], case["ciphertext"], case["tag"])
            sealed = case["ciphertext"] + case["tag"]
            library = primitive(case["key"]).encrypt(case["nonce"], case["plaintext"], case["associated"])
            self.assertEqual(library, sealed)
            self.assertEqual(reader.aead_open(suite, *inputs, case["associated"]), case["plaintext"])
            self.assertIsNone(reader.aead_open(suite, *inputs[:3], flipped(case["tag"]), case["associated"]))
            again = writer.seal(suite, case["key"], case["nonce"], case["plaintext"], case["associated"])
            self.assertEqual(again, (case["ciphertext"], case["tag"]))

    def test_aes_gcm(self):
        self.check_aead(1, "gcm.txt", 50, AESGCM)

    def test_chacha20_poly1305(self):
        self.check_aead(2, "chacha20poly1305.txt", 2, ChaCha20Poly1305)

    def test_ecdsa(self):
        some = cases("rfc6979.txt")
        self.assertEqual(len(some), 2)
        for case in some:
            public = reader.p256_public(case["x"], case["y"])
            scalar = int.from_bytes(case["private"], "big")
            self.assertEqual(writer.coordinates(writer.multiply(scalar)), (case["x"], case["y"]))
            self.assertEqual(writer.ecdsa_sign(scalar, case["digest"]), case["signature"])
            self.assertTrue(reader.ecdsa_verify(public, case["digest"], case["signature"]))
            self.assertFalse(reader.ecdsa_verify(public, flipped(case["digest"]), case["signature"]))
            order = reader.P256_ORDER.to_bytes(32, "big")
            for bad in (bytes(64), case["signature"][:32] + order, order + case["signature"][32:]):
                self.assertFalse(reader.ecdsa_verify(public, case["digest"], bad))

    def test_cfb(self):
        """NIST SP 800-38A, F.3.13, CFB128-AES128, but with the zero IV that the page demands: from its first block on
        this is the library's own CFB."""
        key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
        plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
        for size in (0, 1, 15, 16, 17, 32):
            encrypted = writer.cfb_encrypt(key, plain[:size])
            self.assertEqual(reader.aes128_cfb_decrypt(key, encrypted), plain[:size])
        # With F.3.13's IV as ciphertext in front, its first block decrypts as the second one here.
        iv = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
        first = bytes.fromhex("3b3fd92eb72dad20333449f8e83cfb4a")
        self.assertEqual(reader.aes128_cfb_decrypt(key, iv + first)[16:], plain[:16])


class EachOther(unittest.TestCase):
    """The reader has written these out, the writer takes them from the library."""

    def test_kdfa(self):
        for bits in (128, 256):
            theirs = writer.kdfa(b"k" * 32, b"STORAGE", b"name", bits)
            self.assertEqual(reader.kdfa(b"k" * 32, "STORAGE", b"name", b"", bits), theirs)
        # The number of bits goes into the KDF, so a short output is no prefix of a long one.
        both = [reader.kdfa(b"k" * 32, "STORAGE", b"name", b"", bits)[:16] for bits in (128, 256)]
        self.assertNotEqual(*both)

    def test_kdfe(self):
        theirs = writer.kdfe(b"z" * 32, b"DUPLICATE", b"u" * 32, b"v" * 32)
        self.assertEqual(reader.kdfe(b"z" * 32, "DUPLICATE", b"u" * 32, b"v" * 32, 256), theirs)

    def test_argon2id(self):
        arguments = (b"passphrase", b"s" * 16, 2, 64, 2)
        self.assertEqual(reader.argon2id(*arguments), writer.argon2id(*arguments))

    def test_storage_parent(self):
        parent = tpm_slot.StorageParent("somebody")
        public = reader.p256_public(*writer.coordinates(parent.point))
        self.assertEqual(storage_parent_name(public), parent.name())

    def test_point_off_the_curve(self):
        x, y = writer.coordinates(writer.G)
        self.assertIsNone(reader.p256_public(x, flipped(y)))
        self.assertIsNotNone(reader.p256_public(x, y))

    def test_forged_chunk_keeps_its_tag(self):
        """What makes the digests necessary: the vector chunk_exchanged_tag_valid must be what it says."""
        key, nonce, plain = b"k" * 32, bytes(12), bytes(range(200))
        cipher, tag = writer.seal(1, key, nonce, plain)
        forged = writer.gcm_forge(key, cipher, 2, b"\xff" * 16)
        self.assertNotEqual(forged, cipher)
        self.assertIsNotNone(reader.aead_open(1, key, nonce, forged, tag))


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: Apache-2.0
"""The cryptography of docs/format.md that no Debian package offers in the shape that the page needs.

HKDF with Extract and Expand apart, the two KDFs and the CFB of TPM 2.0 Part 1, and thin covers over
python3-cryptography and argon2-cffi that take and give the page's own encodings. Published vectors for what stands
here run in test_primitives.py.
"""

import hashlib
import hmac

from argon2 import low_level
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Refused(Exception):
    """The file is not accepted. `code` is the exit code, `rule` the heading of docs/format.md that says so."""

    def __init__(self, code, rule, message):
        super().__init__(message)
        self.code = code
        self.rule = rule
        self.message = message


def require(condition, rule, message, code=5):
    """Refuses unless `condition` holds. Every rule of the page is one call, so that a test can count them."""
    if not condition:
        raise Refused(code, rule, message)


def sha256(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def hmac_sha256(key, *parts):
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        mac.update(part)
    return mac.digest()


def hkdf_extract(salt, ikm):
    """RFC 5869, 2.2. An empty salt stands for 32 zeros, which HMAC makes of it by itself."""
    return hmac_sha256(salt, ikm)


def hkdf_expand(prk, info, length):
    """RFC 5869, 2.3."""
    if length > 255 * 32:
        raise ValueError("HKDF gives at most 8160 bytes")
    output = block = b""
    counter = 0
    while len(output) < length:
        counter += 1
        block = hmac_sha256(prk, block, info, bytes([counter]))
        output += block
    return output[:length]


def kdfa(key, label, context_u, context_v, bits):
    """TPM 2.0 Part 1, "KDFa": SP 800-108 in counter mode with HMAC-SHA256; the label's NUL is the separator."""
    output = b""
    counter = 0
    while len(output) * 8 < bits:
        counter += 1
        output += hmac_sha256(
            key,
            counter.to_bytes(4, "big"),
            label.encode("ascii") + b"\0",
            context_u,
            context_v,
            bits.to_bytes(4, "big"),
        )
    return output[: bits // 8]


def kdfe(z, label, party_u, party_v, bits):
    """TPM 2.0 Part 1, "KDFe for ECDH": the one-step KDF of SP 800-56A with SHA-256."""
    output = b""
    counter = 0
    while len(output) * 8 < bits:
        counter += 1
        output += sha256(counter.to_bytes(4, "big"), z, label.encode("ascii") + b"\0", party_u, party_v)
    return output[: bits // 8]


def aes128_cfb_decrypt(key, data):
    """AES-128 in CFB with 128 bits of feedback and a zero IV, written over the block cipher alone."""
    block_cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    previous = bytes(16)
    plain = b""
    for start in range(0, len(data), 16):
        piece = data[start : start + 16]
        stream = block_cipher.update(previous)
        plain += bytes(a ^ b for a, b in zip(piece, stream))
        previous = piece
    return plain


def aead_open(suite, key, nonce, ciphertext, tag, associated=b""):
    """The plaintext, or None when the tag is wrong. Suites 1 and 3 are AES-256-GCM, 2 and 4 ChaCha20-Poly1305."""
    aead = AESGCM(key) if suite in (1, 3) else ChaCha20Poly1305(key)
    try:
        return aead.decrypt(nonce, ciphertext + tag, associated)
    except InvalidTag:
        return None


def argon2id(passphrase, salt, passes, memory_kib, lanes):
    return low_level.hash_secret_raw(
        secret=passphrase,
        salt=salt,
        time_cost=passes,
        memory_cost=memory_kib,
        parallelism=lanes,
        hash_len=32,
        type=low_level.Type.ID,
        version=0x13,
    )


def p256_public(x, y):
    """The public key with these 32-byte coordinates, or None when the point is not on the curve."""
    try:
        numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1())
        return numbers.public_key()
    except ValueError:
        return None


def p256_point(key):
    """The 32-byte coordinates of a public key."""
    numbers = key.public_numbers()
    return numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")


def ecdsa_verify(public_key, digest, signature):
    """True when the 64 bytes r || s sign the 32-byte `digest` itself: it is not hashed a second time."""
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    if not (0 < r < P256_ORDER and 0 < s < P256_ORDER):
        return False
    try:
        encoded = utils.encode_dss_signature(r, s)
        public_key.verify(encoded, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    except InvalidSignature:
        return False
    return True


def ecdh(scalar, public_key):
    """The x coordinate of the shared point, 32 bytes."""
    return ec.derive_private_key(scalar, ec.SECP256R1()).exchange(ec.ECDH(), public_key)

# SPDX-License-Identifier: Apache-2.0
"""The few tools that every other module needs: how to refuse, how to take bytes apart, and the cryptography.

Nothing here knows the format. It exists so that the modules that do read like docs/format.md, and so that there is
one way to refuse and one place where lengths are bounded.
"""

import hashlib
import hmac
import struct

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

ZERO32 = bytes(32)
ZERO_NONCE = bytes(12)
PAGE = 4096


class Refused(Exception):
    """The file, or a slot of it, is refused: by which rule, with which exit code, and why."""

    def __init__(self, code, rule, message):
        super().__init__(message)
        self.code = code
        self.rule = rule
        self.message = message


def require(condition, rule, message, code=5):
    """Refuses unless the condition holds. `rule` is a heading of docs/format.md."""
    if not condition:
        raise Refused(code, rule, message)


class Cursor:
    """Takes bytes from the front of a string, never more than there are."""

    def __init__(self, data, rule):
        self.data = data
        self.rule = rule
        self.at = 0

    def take(self, size):
        require(size <= len(self.data) - self.at, self.rule, f"it ends too early: {size} more bytes should be there")
        self.at += size
        return self.data[self.at - size:self.at]

    def unpack(self, layout):
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return int.from_bytes(self.take(2), "big")

    def u32(self):
        return int.from_bytes(self.take(4), "big")

    def u64(self):
        return int.from_bytes(self.take(8), "big")

    def rest(self):
        return self.take(len(self.data) - self.at)

    def end(self):
        require(self.at == len(self.data), self.rule, f"{len(self.data) - self.at} bytes too many stand at the end")


def round_up(size, unit=PAGE):
    return -(-size // unit) * unit


def is_zero(data):
    return not any(data)


def sha256(*parts):
    state = hashlib.sha256()
    for part in parts:
        state.update(part)
    return state.digest()


def hmac_sha256(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def same(one, other):
    """Compares in constant time."""
    return hmac.compare_digest(one, other)


def hkdf_extract(salt, secret):
    return hmac_sha256(salt, secret)


def hkdf_expand(key, *info):
    """HKDF-Expand of 32 bytes, the only length that the format uses: one block."""
    return hmac_sha256(key, *info, b"\x01")


def aes_gcm_open(key, nonce, ciphertext, tag, associated=b""):
    """The plaintext, or None when the tag is wrong."""
    return _open(AESGCM, key, nonce, ciphertext, tag, associated)


def chacha20_poly1305_open(key, nonce, ciphertext, tag, associated=b""):
    """The plaintext, or None when the tag is wrong."""
    return _open(ChaCha20Poly1305, key, nonce, ciphertext, tag, associated)


def _open(cipher, key, nonce, ciphertext, tag, associated):
    try:
        return cipher(key).decrypt(nonce, ciphertext + tag, associated)
    except InvalidTag:
        return None


def p256_point(x, y):
    """The public key with these coordinates, or None when they are no point of the curve."""
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + x + y)
    except ValueError:
        return None


def ecdsa_holds(point, digest, signature):
    """Whether r || s is a signature by this P-256 key. The digest is not hashed again."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
        point.verify(utils.encode_dss_signature(r, s), digest, algorithm)
        return True
    except (InvalidSignature, ValueError):
        return False


def gf256_multiply(a, b):
    """In GF(2^8) of x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 0x100:
            a ^= 0x11D
        b >>= 1
    return product


def gf256_divide(a, b):
    inverse = 1
    for _ in range(254):  # b^254 = 1 / b
        inverse = gf256_multiply(inverse, b)
    return gf256_multiply(a, inverse)


def interpolate_at_zero(values):
    """f(0) for each byte, from {i: f(i)}, by Lagrange."""
    secret = bytearray(len(next(iter(values.values()))))
    for i, value in values.items():
        weight = 1
        for j in values:
            if j != i:
                weight = gf256_multiply(weight, gf256_divide(j, j ^ i))
        for at, byte in enumerate(value):
            secret[at] ^= gf256_multiply(weight, byte)
    return bytes(secret)

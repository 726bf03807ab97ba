# SPDX-License-Identifier: Apache-2.0
"""What the writer of the vectors needs from cryptography. It shares nothing with the reader in tests/reader on purpose:
where that one writes a KDF out, this one takes it from python3-cryptography, so that the two check each other.
Everything is deterministic, signatures too (RFC 6979), so that a second run writes the same files."""

import functools
import hashlib
import hmac

from argon2 import low_level
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def u16(number):
    return number.to_bytes(2, "big")


def u32(number):
    return number.to_bytes(4, "big")


def u64(number):
    return number.to_bytes(8, "big")


def sha256(data):
    return hashlib.sha256(data).digest()


def hmac_sha256(key, data):
    return hmac.digest(key, data, "sha256")


def stream(seed, size):
    """`size` bytes that look random: SHA-256 of the seed and a counter."""
    output = bytearray()
    counter = 0
    while len(output) < size:
        output += sha256(seed.encode("ascii") + u64(counter))
        counter += 1
    return bytes(output[:size])


def expand(prk, info):
    return HKDFExpand(algorithm=hashes.SHA256(), length=32, info=info).derive(prk)


def extract(salt, ikm):
    return hmac_sha256(salt, ikm)


def aead(suite, key):
    return AESGCM(key) if suite in (1, 3) else ChaCha20Poly1305(key)


def seal(suite, key, nonce, plain, associated=b""):
    """Ciphertext and tag. A suite that does not exist seals like suite 1."""
    sealed = (ChaCha20Poly1305 if suite in (2, 4) else AESGCM)(key).encrypt(nonce, plain, associated)
    return sealed[:-16], sealed[-16:]


def argon2id(passphrase, salt, passes, memory, lanes):
    return low_level.hash_secret_raw(passphrase, salt, passes, memory, lanes, 32, low_level.Type.ID)


def kdfa(key, label, context, bits):
    fixed = label + b"\0" + context + u32(bits)
    kdf = KBKDFHMAC(
        algorithm=hashes.SHA256(),
        mode=Mode.CounterMode,
        length=bits // 8,
        rlen=4,
        llen=None,
        location=CounterLocation.BeforeFixed,
        label=None,
        context=None,
        fixed=fixed,
    )
    return kdf.derive(key)


def kdfe(z, label, u, v):
    return ConcatKDFHash(algorithm=hashes.SHA256(), length=32, otherinfo=label + b"\0" + u + v).derive(z)


def cfb_encrypt(key, plain):
    encryptor = Cipher(algorithms.AES(key), modes.CFB(bytes(16))).encryptor()
    return encryptor.update(plain) + encryptor.finalize()


def add_points(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


@functools.cache
def multiply(scalar, point=G):
    """The library does it with G alone, and fast; here it is done with any point, on the curve or not."""
    if point is G:
        numbers = ec.derive_private_key(scalar, ec.SECP256R1()).public_key().public_numbers()
        return numbers.x, numbers.y
    result = None
    while scalar:
        if scalar & 1:
            result = add_points(result, point)
        point = add_points(point, point)
        scalar >>= 1
    return result


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def mgf1(seed, size, digest):
    output = bytearray()
    while len(output) < size:
        output += hashlib.new(digest, seed + u32(len(output) // hashlib.new(digest).digest_size)).digest()
    return bytes(output[:size])


def oaep(public, message, seed="oaep", digest="sha256", mask_digest="sha256", label=b""):
    """RSAES-OAEP (RFC 8017, 7.1.1) for `public`, RSAPublicNumbers. `seed` is stretched to as many bytes as it takes:
    python3-cryptography draws another one each time."""
    size = (public.n.bit_length() + 7) // 8
    label_digest = hashlib.new(digest, label).digest()
    block = label_digest + bytes(size - len(message) - 2 * len(label_digest) - 2) + b"\1" + message
    seed = stream("ckpt-seal vectors " + seed, len(label_digest))
    masked = xor(block, mgf1(seed, len(block), mask_digest))
    encoded = xor(seed, mgf1(masked, len(seed), mask_digest)) + masked
    return pow(int.from_bytes(encoded, "big"), public.e, public.n).to_bytes(size, "big")


def coordinates(point):
    return point[0].to_bytes(32, "big"), point[1].to_bytes(32, "big")


def scalar_from(seed):
    return int.from_bytes(stream(seed, 40), "big") % (N - 1) + 1


def rfc6979_nonce(scalar, digest):
    """RFC 6979, 3.2, for P-256 and SHA-256."""
    secret = scalar.to_bytes(32, "big") + (int.from_bytes(digest, "big") % N).to_bytes(32, "big")
    k, v = bytes(32), b"\1" * 32
    for separator in (b"\0", b"\1"):
        k = hmac_sha256(k, v + separator + secret)
        v = hmac_sha256(k, v)
    while True:
        v = hmac_sha256(k, v)
        candidate = int.from_bytes(v, "big")
        if 0 < candidate < N:
            return candidate
        k = hmac_sha256(k, v + b"\0")
        v = hmac_sha256(k, v)


@functools.cache
def ecdsa_sign(scalar, digest):
    """r || s over the digest itself."""
    nonce = rfc6979_nonce(scalar, digest)
    r = multiply(nonce)[0] % N
    s = pow(nonce, -1, N) * (int.from_bytes(digest, "big") + r * scalar) % N
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def gcm_multiply(x, y):
    """The product in the field of GHASH (NIST SP 800-38D, 6.3), of blocks as numbers."""
    product = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            product ^= y
        y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
    return product


def gcm_forge(key, cipher, at, difference):
    """Another ciphertext with the same GCM tag: needs the key, as every recipient has it. Changes the 16-byte blocks
    `at` and `at` + 1: GHASH is linear, so the second change takes back what the first one did."""
    h = int.from_bytes(Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(bytes(16)), "big")
    forged = bytearray(cipher)
    undo = gcm_multiply(int.from_bytes(difference, "big"), h).to_bytes(16, "big")
    for position, change in ((at, difference), (at + 1, undo)):
        for i in range(16):
            forged[16 * position + i] ^= change[i]
    return bytes(forged)

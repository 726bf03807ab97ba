# SPDX-License-Identifier: Apache-2.0
"""Unwraps what public keys, recovery keys and thresholds hold (docs/format.md, "Slots")."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

import cks_primitives as crypto
from cks_header import Cursor
from cks_primitives import Refused, require, sha256

KIND_PUBLIC_KEY = 3
KIND_RECOVERY = 4
KIND_THRESHOLD = 5
POINT_SIZES = {1: 65, 2: 97, 3: 32}


def algorithm_of(key):
    if isinstance(key, rsa.RSAPrivateKey):
        return 4
    if isinstance(key, x25519.X25519PrivateKey):
        return 3
    return 1 if isinstance(key.curve, ec.SECP256R1) else 2


def unwrap_public_key(raw, immutable, pkcs8):
    """The data key, or None when the slot is for another key."""
    rule = "Public key slot (kind 3)"
    key = load_der_private_key(pkcs8, None)
    own_id = sha256(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    cursor = Cursor(raw, rule, "a public key slot")
    algorithm, source, key_id = cursor.number(1), cursor.number(1), cursor.take(32)
    if key_id != own_id:
        return None
    require(algorithm == algorithm_of(key), rule, "the algorithm of a public key slot is not that of its key")
    require(1 <= source <= 3, rule, "the source of a public key slot is unknown")
    certificate = cursor.take(32)
    require(source == 1 or certificate == bytes(32), rule, "a public key slot without a certificate has one's digest")
    label = cursor.take(cursor.number(1))
    require(all(0x20 <= byte <= 0x7E for byte in label), rule, "the label of a public key slot is not printable")
    if algorithm == 4:
        return decrypt(key, cursor)
    size = cursor.number(2)
    require(size == POINT_SIZES[algorithm], rule, "the point of a public key slot has a wrong length")
    ephemeral = cursor.take(size)
    front = raw[: len(raw) - cursor.left()]
    wrapped, tag = cursor.take(32), cursor.take(16)
    require(cursor.left() == 0, rule, "something follows the tag of a public key slot")
    z = agree(key, ephemeral)
    info = b"ckpt-seal/v1/public-key" + bytes([algorithm]) + key_id + ephemeral
    wrapping = crypto.hkdf_expand(crypto.hkdf_extract(immutable.checkpoint_id, z), info, 32)
    associated = b"ckpt-seal/v1/public-key" + immutable.checkpoint_id + front
    data_key = crypto.aead_open(1, wrapping, bytes(12), wrapped, tag, associated)
    require(data_key is not None, rule, "a public key slot does not decrypt")
    return data_key


def decrypt(key, cursor):
    rule = "Public key slot (kind 3)"
    ciphertext = cursor.take(cursor.number(2))
    require(cursor.left() == 0, rule, "something follows the ciphertext of a public key slot")
    require(len(ciphertext) == (key.key_size + 7) // 8, rule, "the ciphertext of a public key slot is not as long as the modulus")
    data_key = None
    try:
        data_key = key.decrypt(ciphertext, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    except ValueError:
        pass
    require(data_key is not None, rule, "the ciphertext of a public key slot does not decrypt")
    require(len(data_key) == 32, rule, "the ciphertext of a public key slot holds not just a data key")
    return data_key


def agree(key, ephemeral):
    rule = "Public key slot (kind 3)"
    z = None
    try:
        if isinstance(key, x25519.X25519PrivateKey):
            z = key.exchange(x25519.X25519PublicKey.from_public_bytes(ephemeral))
        else:
            z = key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(key.curve, ephemeral))
    except ValueError:
        pass
    require(z is not None and any(z), rule, "the point of a public key slot is not on its curve, or gives no secret")
    return z


def unwrap_recovery(raw, immutable, recovery_key):
    """The data key, or None when it is another key's."""
    rule = "Recovery key slot (kind 4)"
    cursor = Cursor(raw, rule, "a recovery key slot")
    recovery_id, salt, wrapped, tag = (cursor.take(size) for size in (8, 16, 32, 16))
    require(cursor.left() == 0, rule, "something follows the tag of a recovery key slot")
    info = b"ckpt-seal/v1/recovery" + immutable.checkpoint_id
    wrapping = crypto.hkdf_expand(crypto.hkdf_extract(salt, recovery_key), info, 32)
    return crypto.aead_open(1, wrapping, bytes(12), wrapped, tag, info + recovery_id)


def parse_threshold(raw):
    """How many are needed, and (kind, body) of every share."""
    rule = "Threshold slot (kind 5)"
    cursor = Cursor(raw, rule, "a threshold slot")
    needed, count = cursor.number(1), cursor.number(1)
    require(2 <= count <= 16, rule, "a threshold slot has not 2 to 16 shares")
    require(2 <= needed <= count, rule, "a threshold slot needs one share, or more than there are")
    shares = []
    for _ in range(count):
        kind, length = cursor.number(2), cursor.number(4)
        require(1 <= kind <= 4, rule, "a share is of a kind that shares cannot be of")
        require(1 <= length <= 16384, rule, "the length of a share is not 1 to 16384")
        shares.append((kind, cursor.take(length)))
    require(cursor.left() == 0, rule, "something follows the last share of a threshold slot")
    return needed, shares


def unwrap_threshold(raw, open_share):
    """The data key. `open_share` gives the value of a share, or None."""
    rule = "Threshold slot (kind 5)"
    needed, shares = parse_threshold(raw)
    values = {}
    for number, (kind, body) in enumerate(shares, 1):
        value = open_share(kind, body)
        if value is not None:
            values[number] = value
    if len(values) < needed:
        raise Refused(9, rule, f"the file needs {needed} of {len(shares)} shares and {len(values)} opened")
    return interpolate(dict(list(values.items())[:needed]))


def tables():
    """Exponents and logarithms of the generator 2 in GF(2^8) of x^8 + x^4 + x^3 + x^2 + 1."""
    exponents, value = [], 1
    for _ in range(255):
        exponents.append(value)
        value = value * 2 ^ (0x11D if value >= 128 else 0)
    return exponents, {value: exponent for exponent, value in enumerate(exponents)}


def interpolate(values):
    """f(0) of the polynomial through these points, byte by byte."""
    exponents, logarithms = tables()
    secret = bytearray(32)
    for number, value in values.items():
        weight = 0  # the logarithm of the product of x / (x - number) over the others
        for other in values:
            if other != number:
                weight += logarithms[other] - logarithms[other ^ number]
        for at, byte in enumerate(value):
            if byte:
                secret[at] ^= exponents[(logarithms[byte] + weight) % 255]
    return bytes(secret)

# SPDX-License-Identifier: Apache-2.0
"""Bodies of slots for public keys, recovery keys and thresholds (docs/format.md), with fixed keys."""

import primitives as crypto
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from primitives import sha256, u16, u32

RECOVERY_KEY = bytes(range(16))
OTHER_RECOVERY_KEY = bytes(range(16, 32))


def p256(label):
    return ec.derive_private_key(crypto.scalar_from("ckpt-seal vectors key " + label), ec.SECP256R1())


def curve25519(label):
    return x25519.X25519PrivateKey.from_private_bytes(crypto.stream("ckpt-seal vectors key " + label, 32))


def pkcs8(key):
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()).hex()


def is_p256(key):
    return isinstance(key, ec.EllipticCurvePrivateKey)


def spki(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def point(key):
    if is_p256(key):
        return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def public_key_body(writer, key, **changes):
    """`changes` replaces fields after all was computed from the right ones, but for `data_key`, which is used."""
    data_key = changes.pop("data_key", writer.data_key)
    tail = changes.pop("tail", b"")
    ephemeral = p256("ephemeral") if is_p256(key) else curve25519("ephemeral")
    z = ephemeral.exchange(ec.ECDH(), key.public_key()) if is_p256(key) else ephemeral.exchange(key.public_key())
    fields = {
        "algorithm": 1 if is_p256(key) else 3,
        "source": 3,
        "key_id": sha256(spki(key)),
        "certificate": bytes(32),
        "label": b"backup",
        "ephemeral": point(ephemeral),
    }

    def head():
        front = bytes([fields["algorithm"], fields["source"]]) + fields["key_id"] + fields["certificate"]
        return front + bytes([len(fields["label"])]) + fields["label"] + u16(len(fields["ephemeral"])) + fields["ephemeral"]

    info = b"ckpt-seal/v1/public-key" + bytes([fields["algorithm"]]) + fields["key_id"] + fields["ephemeral"]
    wrapping = crypto.expand(crypto.extract(writer.checkpoint_id, z), info)
    associated = b"ckpt-seal/v1/public-key" + writer.checkpoint_id + head()
    fields["wrapped"], fields["tag"] = crypto.seal(1, wrapping, bytes(12), data_key, associated)
    fields.update(changes)
    return head() + fields["wrapped"] + fields["tag"] + tail


def recovery_body(writer, key=RECOVERY_KEY, data_key=None, tail=b""):
    recovery_id, salt = writer.random("recovery id " + key.hex(), 8), writer.random("recovery salt " + key.hex(), 16)
    wrapping = crypto.expand(crypto.extract(salt, key), b"ckpt-seal/v1/recovery" + writer.checkpoint_id)
    associated = b"ckpt-seal/v1/recovery" + writer.checkpoint_id + recovery_id
    wrapped, tag = crypto.seal(1, wrapping, bytes(12), data_key or writer.data_key, associated)
    return recovery_id + salt + wrapped + tag + tail


def times(a, b):
    """In GF(2^8) of x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = (a << 1) ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product


def share(writer, number, needed):
    value = bytearray()
    for at, secret in enumerate(writer.data_key):
        coefficients = [secret, *writer.random(f"coefficients {at}", needed - 1)]
        result = 0
        for coefficient in reversed(coefficients):
            result = times(result, number) ^ coefficient
        value.append(result)
    return bytes(value)


def threshold_body(writer, key, needed=2, **changes):
    """A recovery key, a public key and a recovery key that nobody has."""
    shares = [
        (4, recovery_body(writer, data_key=share(writer, 1, 2))),
        (3, public_key_body(writer, key, data_key=share(writer, 2, 2))),
        (4, recovery_body(writer, OTHER_RECOVERY_KEY, share(writer, 3, 2))),
    ]
    shares = changes.get("shares", lambda right: right)(shares)
    body = bytes([needed, changes.get("count", len(shares))])
    return body + b"".join(u16(kind) + u32(len(share)) + share for kind, share in shares) + changes.get("tail", b"")

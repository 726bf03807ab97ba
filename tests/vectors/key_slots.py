# SPDX-License-Identifier: Apache-2.0
"""Bodies of slots for public keys, recovery keys and thresholds (docs/format.md), with fixed keys."""

import primitives as crypto
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from primitives import sha256, u16, u32

RECOVERY_KEY = bytes(range(16))
OTHER_RECOVERY_KEY = bytes(range(16, 32))


def p256(label):
    return ec.derive_private_key(crypto.scalar_from("ckpt-seal vectors key " + label), ec.SECP256R1())


def p384(label):
    return ec.derive_private_key(int.from_bytes(crypto.stream("ckpt-seal vectors key " + label, 48), "big"), ec.SECP384R1())


def curve25519(label):
    return x25519.X25519PrivateKey.from_private_bytes(crypto.stream("ckpt-seal vectors key " + label, 32))


def rsa3072(label, p_at, q_at):
    """The primes stand `p_at` and `q_at` behind numbers that look random: to find them takes longer than all the rest."""

    def behind(name, at):
        number = int.from_bytes(crypto.stream(f"ckpt-seal vectors key {label} {name}", 192), "big")
        return (number | 3 << 1534) + at

    e, p, q = 65537, behind("p", p_at), behind("q", q_at)
    d = pow(e, -1, (p - 1) * (q - 1))
    crt = (rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q))
    return rsa.RSAPrivateNumbers(p, q, d, *crt, rsa.RSAPublicNumbers(e, p * q)).private_key()


def pkcs8(key):
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()).hex()


def algorithm_of(key):
    if isinstance(key, rsa.RSAPrivateKey):
        return 4
    if isinstance(key, x25519.X25519PrivateKey):
        return 3
    return 1 if isinstance(key.curve, ec.SECP256R1) else 2


def spki(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def point(key):
    if algorithm_of(key) == 3:
        return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def exchange(key, other):
    public = other.public_key()
    return key.exchange(public) if algorithm_of(key) == 3 else key.exchange(ec.ECDH(), public)


def sized(data):
    return u16(len(data)) + data


def recipient_fields(key):
    return {
        "algorithm": algorithm_of(key),
        "source": 3,
        "key_id": sha256(spki(key)),
        "certificate": bytes(32),
        "label": b"backup",
    }


def recipient(fields):
    front = bytes([fields["algorithm"], fields["source"]]) + fields["key_id"] + fields["certificate"]
    return front + bytes([len(fields["label"])]) + fields["label"]


def public_key_body(writer, key, **changes):
    """`changes` replaces fields after all was computed from the right ones, but for `data_key`, the label `with_ephemeral`
    and the settings `oaep`, which are used. `alter` makes another ciphertext of that of RSA."""
    data_key = changes.pop("data_key", writer.data_key)
    tail = changes.pop("tail", b"")
    if algorithm_of(key) == 4:
        return rsa_body(key, data_key, changes) + tail
    return agreement_body(writer, key, data_key, changes) + tail


def rsa_body(key, data_key, changes):
    fields = recipient_fields(key)
    ciphertext = crypto.oaep(key.public_key().public_numbers(), data_key, **changes.pop("oaep", {}))
    fields["ciphertext"] = changes.pop("alter", lambda right: right)(ciphertext)
    fields.update(changes)
    return recipient(fields) + sized(fields["ciphertext"])


def agreement_body(writer, key, data_key, changes):
    fields = recipient_fields(key)
    make = {1: p256, 2: p384, 3: curve25519}[fields["algorithm"]]
    ephemeral = make(changes.pop("with_ephemeral", "ephemeral"))
    z = exchange(ephemeral, key)
    fields["ephemeral"] = point(ephemeral)

    def head():
        return recipient(fields) + sized(fields["ephemeral"])

    info = b"ckpt-seal/v1/public-key" + bytes([fields["algorithm"]]) + fields["key_id"] + fields["ephemeral"]
    wrapping = crypto.expand(crypto.extract(writer.checkpoint_id, z), info)
    associated = b"ckpt-seal/v1/public-key" + writer.checkpoint_id + head()
    fields["wrapped"], fields["tag"] = crypto.seal(1, wrapping, bytes(12), data_key, associated)
    fields.update(changes)
    return head() + fields["wrapped"] + fields["tag"]


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

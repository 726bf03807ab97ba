# SPDX-License-Identifier: Apache-2.0
"""Bodies of slots for public keys (docs/format.md), with fixed keys."""

import primitives as crypto
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pieces import Slot, sized
from primitives import sha256
from slots import PUBLIC_KEY


def p256(label):
    return ec.derive_private_key(crypto.scalar_from("ckpt-seal vectors key " + label), ec.SECP256R1())


def p384(label):
    number = int.from_bytes(crypto.stream("ckpt-seal vectors key " + label, 48), "big")
    return ec.derive_private_key(number, ec.SECP384R1())


def curve25519(label):
    return x25519.X25519PrivateKey.from_private_bytes(crypto.stream("ckpt-seal vectors key " + label, 32))


MAKE = {1: p256, 2: p384, 3: curve25519}


def rsa3072(label, p_at, q_at):
    """The primes stand `p_at` and `q_at` behind numbers that look random: to find them takes longer than the rest."""

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
    """`changes` replaces fields after all was computed from the right ones, `used` before. Used are also `data_key`,
    the label `with_ephemeral`, `checkpoint_id` and the settings `oaep`. `alter` makes another ciphertext of that of
    RSA, `alter_key` another data key."""
    data_key = changes.pop("alter_key", lambda right: right)(changes.pop("data_key", None) or writer.data_key)
    tail = changes.pop("tail", b"")
    fields = recipient_fields(key)
    if algorithm_of(key) == 4:
        return rsa_body(key, fields, data_key, changes) + tail
    return agreement_body(writer, key, fields, data_key, changes) + tail


def rsa_body(key, fields, data_key, changes):
    fields.update(changes.pop("used", {}))
    ciphertext = crypto.oaep(key.public_key().public_numbers(), data_key, **changes.pop("oaep", {}))
    fields["ciphertext"] = changes.pop("alter", lambda right: right)(ciphertext)
    fields.update(changes)
    return recipient(fields) + sized(fields["ciphertext"])


def agreement_body(writer, key, fields, data_key, changes):
    checkpoint_id = changes.pop("checkpoint_id", writer.checkpoint_id)
    ephemeral = MAKE[fields["algorithm"]](changes.pop("with_ephemeral", "ephemeral"))
    fields.update({"ephemeral": point(ephemeral), "z": exchange(ephemeral, key)} | changes.pop("used", {}))

    def head():
        return recipient(fields) + sized(fields["ephemeral"])

    info = b"ckpt-seal/v1/public-key" + bytes([fields["algorithm"]]) + fields["key_id"] + fields["ephemeral"]
    wrapping = crypto.expand(crypto.extract(checkpoint_id, fields["z"]), info)
    associated = b"ckpt-seal/v1/public-key" + checkpoint_id + head()
    fields["wrapped"], fields["tag"] = crypto.seal(1, wrapping, bytes(12), data_key, associated)
    fields.update(changes)
    return head() + fields["wrapped"] + fields["tag"]


def public_key_slot(writer, key, **changes):
    return Slot(PUBLIC_KEY, public_key_body(writer, key, **changes))

# SPDX-License-Identifier: Apache-2.0
"""Bodies of slots for hybrid public keys (docs/format.md): X25519 and ML-KEM-768."""

import mlkem
import primitives as crypto
from key_slots import curve25519, exchange, point
from pieces import Slot
from primitives import sha256
from slots import HYBRID


class HybridKey:
    """A recipient whose private key is known."""

    def __init__(self, name):
        label = "ckpt-seal vectors hybrid key of " + name
        self.x25519 = curve25519("hybrid " + name)
        self.scalar = crypto.stream("ckpt-seal vectors key hybrid " + name, 32)
        self.seed = crypto.stream(label, 64)

    @property
    def encapsulation_key(self):
        return mlkem.encapsulation_key(self.seed[:32])

    def key_id(self):
        return sha256(b"ckpt-seal/v1/hybrid-key" + point(self.x25519) + self.encapsulation_key)

    def private(self):
        return (self.scalar + self.seed).hex()


HYBRID_KEY = HybridKey("recipient")
OTHER_HYBRID_KEY = HybridKey("other recipient")
FIELDS = ("key_id", "label_length", "label", "ephemeral", "ciphertext")


def hybrid_body(writer, key=HYBRID_KEY, data_key=None, tail=b"", used=(), **changes):
    """`changes` replaces fields after all was computed from the right ones, `used` before. Used are also
    `checkpoint_id`, and `join`, which makes one secret of K and Z."""
    ephemeral = curve25519("hybrid ephemeral")
    checkpoint_id = changes.pop("checkpoint_id", writer.checkpoint_id)
    k, ciphertext = mlkem.encapsulate(key.encapsulation_key, writer.random("hybrid message", 32))
    fields = {
        "key_id": key.key_id(),
        "label": b"backup",
        "ephemeral": point(ephemeral),
        "ciphertext": ciphertext,
        "z": exchange(ephemeral, key.x25519),
    } | dict(used)
    fields["label_length"] = bytes([len(fields["label"])])
    info = b"ckpt-seal/v1/hybrid" + fields["key_id"] + fields["ephemeral"] + fields["ciphertext"]
    secret = changes.pop("join", lambda k, z: k + z)(k, fields["z"])
    wrapping = crypto.expand(crypto.extract(checkpoint_id, secret), info)
    associated = b"ckpt-seal/v1/hybrid" + checkpoint_id + b"".join(fields[name] for name in FIELDS)
    fields["wrapped"], fields["tag"] = crypto.seal(1, wrapping, bytes(12), data_key or writer.data_key, associated)
    fields.update(changes)
    return b"".join(fields[name] for name in (*FIELDS, "wrapped", "tag")) + tail


def hybrid_slot(writer, **changes):
    return Slot(HYBRID, hybrid_body(writer, **changes))

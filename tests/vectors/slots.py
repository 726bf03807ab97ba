# SPDX-License-Identifier: Apache-2.0
"""Slots that are opened by what people know or have on paper, and slots that somebody added later (docs/format.md).
`changes` of a body replaces fields after all was computed from the right ones, but for what is said to be used."""

import functools

import primitives as crypto
from pieces import CHANGED, Slot
from primitives import sha256, u32, u64

TPM, PASSPHRASE_KIND, PUBLIC_KEY, RECOVERY, THRESHOLD, HYBRID = 1, 2, 3, 4, 5, 6
PASSPHRASE = b"correct horse battery staple"
OTHER_PASSPHRASE = b"another passphrase"
RECOVERY_KEY = bytes(range(16))
OTHER_RECOVERY_KEY = bytes(range(16, 32))

argon2id = functools.cache(crypto.argon2id)


def passphrase_body(writer, passphrase=PASSPHRASE, cost=(64, 1, 1), tail=b"", **changes):
    """`cost` is memory in KiB, passes and lanes; it is used as well as written, and so are `data_key` and
    `checkpoint_id`."""
    data_key = changes.pop("data_key", None) or writer.data_key
    associated = b"ckpt-seal/v1/passphrase" + changes.pop("checkpoint_id", writer.checkpoint_id)
    fields = {"kdf": 1, "salt": writer.random("salt " + passphrase.decode("ascii"), 16)}
    fields["memory"], fields["passes"], fields["lanes"] = memory, passes, lanes = cost
    key = argon2id(passphrase, fields["salt"], passes, memory, lanes)
    fields["wrapped"], fields["tag"] = crypto.seal(1, key, bytes(12), data_key, associated)
    fields.update(changes)
    numbers = u32(fields["memory"]) + u32(fields["passes"]) + u32(fields["lanes"])
    return bytes([fields["kdf"]]) + fields["salt"] + numbers + fields["wrapped"] + fields["tag"] + tail


def passphrase_slot(writer, **changes):
    return Slot(PASSPHRASE_KIND, passphrase_body(writer, **changes))


def recovery_body(writer, key=RECOVERY_KEY, data_key=None, tail=b"", **changes):
    fields = {
        "recovery_id": writer.random("recovery id " + key.hex(), 8),
        "salt": writer.random("recovery salt " + key.hex(), 16),
    }
    checkpoint_id = changes.pop("checkpoint_id", writer.checkpoint_id)
    wrapping = crypto.expand(crypto.extract(fields["salt"], key), b"ckpt-seal/v1/recovery" + checkpoint_id)
    associated = b"ckpt-seal/v1/recovery" + checkpoint_id + fields["recovery_id"]
    fields["wrapped"], fields["tag"] = crypto.seal(1, wrapping, bytes(12), data_key or writer.data_key, associated)
    fields.update(changes)
    return b"".join(fields[name] for name in ("recovery_id", "salt", "wrapped", "tag")) + tail


def recovery_slot(writer, **changes):
    return Slot(RECOVERY, recovery_body(writer, **changes))


def added(writer, slot, adder, generation=2, time=CHANGED, signature=None, signer=None, signed=()):
    """The slot as somebody adds it later and signs it. `signed` replaces what is signed: immutable, adder, generation,
    time, digest; `signer` is who signs in the adder's name."""
    parts = {
        "immutable": writer.immutable,
        "adder": adder.identity,
        "generation": generation,
        "time": time,
        "digest": slot.digest(),
    } | dict(signed)
    digest = sha256(
        b"ckpt-seal/v1/slot"
        + sha256(parts["immutable"])
        + parts["adder"]
        + u64(parts["generation"])
        + u64(parts["time"])
        + parts["digest"]
    )
    signature = signature or (signer or adder).sign(digest)
    return Slot(slot.kind, slot.body, 1, adder.identity + u64(generation) + u64(time) + signature.encode())

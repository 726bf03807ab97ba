# SPDX-License-Identifier: Apache-2.0
"""Changes of the slots of a sealed file that a host signs, by other means than ours: for tests that get one thing wrong."""

import json
import pathlib
import sys

from sealed_layout import Layout, with_headers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reader"))
from cks_primitives import hkdf_expand, hkdf_extract, hmac_sha256, sha256  # noqa: E402


def u16(value):
    return value.to_bytes(2, "big")


def u32(value):
    return value.to_bytes(4, "big")


def u64(value):
    return value.to_bytes(8, "big")


class Changer:
    """A host that signs what it adds and changes by other means than ours. docs/format.md, "Header copies", "Slots"."""

    def __init__(self, host):
        self.host = host
        self.identity = bytes.fromhex(json.loads(host.run("--json", "host", "show").stdout)["record"]["identity"])

    def signature(self, *parts):
        return u16(1) + u16(64) + self.host.sign(sha256(b"".join(parts)))

    def added(self, content, generation, kind, body):
        immutable = immutable_of(content)
        signed = sha256(immutable) + self.identity + u64(generation) + u64(0) + sha256(u16(kind) + body)
        frame = u16(kind) + u16(1) + u32(len(body)) + body
        return frame + self.identity + u64(generation) + u64(0) + self.signature(b"ckpt-seal/v1/slot", signed)

    def changed(self, immutable, generation, slots):
        signed = sha256(immutable) + self.identity + u64(generation) + u64(0) + sha256(slots)
        return self.identity + u64(0) + self.signature(b"ckpt-seal/v1/slots", signed)


def immutable_of(content):
    layout = Layout(content)
    return content[layout.immutable:layout.list]


def with_slots(content, data_key, change, changer, generation=2):
    """Both header copies with the slots that `change` makes of theirs, and all else as it has to be."""
    layout = Layout(content)
    immutable, listed = content[layout.immutable:layout.list], content[layout.list:layout.slots]
    slots = change(content[layout.slots:layout.behind_slots])
    key = hkdf_expand(hkdf_extract(sha256(immutable), data_key), b"ckpt-seal/v1/header")
    block = content[4096:4096 + 8] + u64(generation) + content[4096 + 16:4096 + 24] + u32(len(slots)) + immutable + listed + slots
    block += changer.changed(immutable, generation, slots)
    block += hmac_sha256(key, block)
    block += bytes(layout.header - 32 - len(block))
    block += sha256(block)
    return with_headers(content, block, block)

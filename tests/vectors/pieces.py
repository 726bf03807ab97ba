# SPDX-License-Identifier: Apache-2.0
"""The structures of a sealed checkpoint that stand in lists, as bytes (docs/format.md). None of them looks at what it
is given: a scenario puts wrong values in as easily as right ones."""

from dataclasses import dataclass

import primitives as crypto
from primitives import sha256, u16, u32, u64

BLOCK = 4096
PAGE = 4096
LEAF = 16384
CHUNKS, IMAGES, RECORDS, END = 1, 2, 3, 4
LEFT_OUT = 1  # The offset of a chunk of zeros that is not stored.
PARENT_RECORD = 0x8001
NO_DIGEST = bytes(32)
CREATED = 1767225600
CHANGED = CREATED + 3600


def padded(data):
    return data + bytes(-len(data) % BLOCK)


def sized(data):
    return u16(len(data)) + data


def chunk_digest(cipher):
    return sha256(b"".join(sha256(cipher[at : at + LEAF]) for at in range(0, len(cipher), LEAF)))


@dataclass
class Signature:
    algorithm: int
    value: bytes
    length: int | None = None

    def encode(self):
        return u16(self.algorithm) + u16(len(self.value) if self.length is None else self.length) + self.value


NO_SIGNATURE = Signature(0, b"")


class Host:
    """A host that signs. What its identity is the digest of, and its record, are not the subject here. `key` gives it
    another signing key than the one that its name has."""

    def __init__(self, name, key=None):
        self.scalar = crypto.scalar_from("ckpt-seal vectors signing key of " + (key or name))
        self.identity = sha256(b"ckpt-seal vectors host " + name.encode("ascii"))
        self.point = crypto.coordinates(crypto.multiply(self.scalar))

    def sign(self, digest):
        return Signature(1, crypto.ecdsa_sign(self.scalar, digest))

    def public(self, expires=0):
        x, y = (coordinate.hex() for coordinate in self.point)
        return {"identity": self.identity.hex(), "x": x, "y": y, "expires": expires}


class Nobody:
    """Who stands where a file is not signed."""

    identity = bytes(32)

    def sign(self, _digest):
        return NO_SIGNATURE


NOBODY = Nobody()


@dataclass
class Slot:
    kind: int
    body: bytes
    adder: int = 0
    tail: bytes = b""
    length: int | None = None

    def digest(self):
        return sha256(u16(self.kind) + self.body)

    def encode(self):
        length = len(self.body) if self.length is None else self.length
        return u16(self.kind) + u16(self.adder) + u32(length) + self.body + self.tail


def encode_slots(slots):
    return u16(len(slots)) + b"".join(slot.encode() for slot in slots)


@dataclass
class Header:
    """What a header copy says of the slots as they are. From generation 2 on the changer signs; `signed` replaces parts
    of what is signed, or is a function of the writer that gives such parts; `signer` is who signs in his name, and
    `signature` replaces the signature itself."""

    generation: int
    slots: list
    changer: object = NOBODY
    time: int = CHANGED
    signed: object = None
    signer: object = None
    signature: Signature | None = None


@dataclass
class Entry:
    offset: int
    tag: bytes
    digest: bytes
    stored: int = 0

    def encode(self, exclusive, encoding):
        stored = u32(self.stored) if encoding else b""
        return u64(self.offset) + stored + self.tag + (b"" if exclusive else self.digest)


@dataclass
class ImageRecord:
    number: int
    name: bytes
    length: int
    entries: bytes
    encoding: int = 0

    def encode(self):
        head = u32(self.number) + bytes([self.encoding, len(self.name)]) + self.name
        return head + u64(self.length) + self.entries


@dataclass
class Record:
    """Of a record page; `type` has the bit that says critical."""

    type: int
    body: bytes
    length: int | None = None

    def encode(self):
        return u16(self.type) + u16(len(self.body) if self.length is None else self.length) + self.body


@dataclass
class Page:
    kind: int
    count: int
    owner: int
    first: int
    body: bytes
    encoding: int = 0

    def encode(self):
        head = bytes([self.kind, self.encoding]) + u16(self.count) + u32(self.owner) + u64(self.first)
        return (head + self.body).ljust(PAGE - 16, b"\0")


def filled(kind, encoded):
    """Pages of this kind that hold these byte strings, as many in each as fit."""
    pages = []
    for piece in encoded:
        if not pages or len(pages[-1].body) + len(piece) > PAGE - 32:
            pages.append(Page(kind, 0, 0, 0, b""))
        pages[-1].count += 1
        pages[-1].body += piece
    return pages


def annex(*entries, size=BLOCK):
    """Entries are pairs of type and body."""
    body = b"".join(u16(kind) + u32(len(data)) + data for kind, data in entries)
    block = (b"CKSANNEX" + u32(len(body)) + body).ljust(size - 32, b"\0")
    return block + sha256(block)

# SPDX-License-Identifier: Apache-2.0
"""What a reader learns before it has a key: preamble, trailer, header copies, immutable part and the frame of the
slots (docs/format.md, the sections of these names). The bodies of slots are the subject of cks_slots.py."""

from dataclasses import dataclass

from cks_primitives import Refused, require, sha256

PAGE = 16384
ALIGN = 4096
TRAILER = 4096
IMMUTABLE_SIZE = 130
CONTENTS = {1: "criu", 2: "stream", 3: "tree"}
MAX_PAGES = 1 << 20


class Cursor:
    """Takes fields from the front of a byte string and refuses to run over its end."""

    def __init__(self, data, rule, what):
        self.data = data
        self.at = 0
        self.rule = rule
        self.what = what

    def take(self, size):
        if size > len(self.data) - self.at:
            raise Refused(5, self.rule, f"{self.what} ends inside a field")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def left(self):
        return len(self.data) - self.at


@dataclass
class Immutable:
    raw: bytes
    suite: int
    content: str
    chunk_size: int
    checkpoint_id: bytes
    commitment: bytes
    origin: bytes
    parent: bytes
    created: int
    not_after: int
    restores: int

    @property
    def digest(self):
        return sha256(self.raw)

    @property
    def exclusive(self):
        return self.suite in (3, 4)

    @property
    def signed(self):
        return self.origin != bytes(32)


@dataclass
class Slot:
    index: int
    kind: int
    adder: int
    body: bytes
    adder_host: bytes = b""
    generation: int = 0
    signature: bytes = b""

    @property
    def digest(self):
        return sha256(self.kind.to_bytes(2, "big"), self.body)


@dataclass
class HeaderCopy:
    generation: int
    immutable: Immutable
    slots: list
    maced: bytes
    mac: bytes
    raw: bytes


@dataclass
class Trailer:
    manifest_at: int
    pages: int
    algorithm: int
    signature: bytes


def parse_preamble(block):
    """The base-2 logarithm of H."""
    rule = "Preamble"
    require(block[:8] == b"CKPTSEAL", rule, "this is no sealed checkpoint: the magic is missing")
    require(block[8:10] == b"\0\1", rule, "the format version is not 1")
    require(16 <= block[10] <= 22, rule, "the size of a header copy is not allowed")
    require(not any(block[11:]), rule, "the preamble's padding is not zero")
    return block[10]


def parse_trailer(block, data_at, file_size):
    rule = "Trailer"
    require(block[:8] == b"CKSTRAIL", rule, "the trailer's magic is missing: the file is cut or something follows it")
    require(sha256(block[:4064]) == block[4064:], rule, "the trailer's checksum is wrong")
    require(not any(block[90:4064]), rule, "the trailer's padding is not zero")
    trailer = Trailer(
        manifest_at=int.from_bytes(block[8:16], "big"),
        pages=int.from_bytes(block[16:24], "big"),
        algorithm=int.from_bytes(block[24:26], "big"),
        signature=block[26:90],
    )
    require(trailer.manifest_at % ALIGN == 0, rule, "the manifest's offset is not a multiple of 4096")
    require(trailer.manifest_at >= data_at, rule, "the manifest begins inside the header")
    end = trailer.manifest_at + PAGE * trailer.pages + TRAILER
    require(end == file_size, rule, "offset and pages of the manifest do not give the size of the file")
    require(1 <= trailer.pages <= MAX_PAGES, "Manifest", "the manifest has no page or more than 2^20")
    return trailer


def check_signature_algorithm(trailer, immutable):
    rule = "Trailer"
    if immutable.signed:
        require(trailer.algorithm == 1, rule, "a file with an origin is signed with algorithm 1")
        return
    require(trailer.algorithm == 0, rule, "a file without an origin has signature algorithm 0")
    require(trailer.signature == bytes(64), rule, "an unsigned file has zeros for a signature")


def parse_immutable(raw, log_h):
    rule = "Immutable part"
    require(len(raw) >= IMMUTABLE_SIZE, rule, "the immutable part is shorter than 130 bytes")
    require(raw[:2] == b"\0\1", rule, "the immutable part's format version is not the preamble's")
    require(raw[2] in (1, 2, 3, 4), "Suites", "the suite is unknown")
    require(raw[3] in CONTENTS, rule, "the content is unknown")
    require(raw[4] == log_h, rule, "the immutable part and the preamble differ on the size of a header copy")
    require(16 <= raw[5] <= 22, rule, "the size of a chunk is not allowed")
    require(raw[6:8] == b"\0\0", rule, "reserved bytes of the immutable part are not zero")
    created = int.from_bytes(raw[120:128], "big")
    not_after, restores = parse_conditions(raw[128:], created)
    return Immutable(
        raw=raw,
        suite=raw[2],
        content=CONTENTS[raw[3]],
        chunk_size=1 << raw[5],
        checkpoint_id=raw[8:24],
        commitment=raw[24:56],
        origin=raw[56:88],
        parent=raw[88:120],
        created=created,
        not_after=not_after,
        restores=restores,
    )


def parse_conditions(raw, created):
    """The time after which the file is refused and how often it may be given out; 0 for no such limit."""
    rule = "Immutable part"
    cursor = Cursor(raw, rule, "the list of conditions")
    limits = {1: 0, 2: 0}
    last = 0
    for _ in range(cursor.number(2)):
        kind = cursor.number(1)
        require(kind in limits, rule, f"a condition is of kind {kind}, which is unknown")
        require(kind > last, rule, "the conditions are out of order, or one stands there twice")
        last = kind
        limits[kind] = cursor.number(8 if kind == 1 else 4)
        require(limits[kind] > (created if kind == 1 else 0), rule, "a condition allows nothing at all")
    require(cursor.left() == 0, rule, "something follows the last condition")
    return limits[1], limits[2]


def parse_slots(raw, exclusive):
    rule = "Slots"
    cursor = Cursor(raw, rule, "the list of slots")
    count = cursor.number(2)
    require(count >= 1, rule, "the file has no slot")
    slots = []
    for index in range(count):
        kind, adder, length = cursor.number(2), cursor.number(2), cursor.number(4)
        require(adder in (0, 1), rule, "a slot has an unknown adder")
        require(1 <= length <= 65536, rule, "the length of a slot's body is not allowed")
        slot = Slot(index, kind, adder, cursor.take(length))
        if adder == 1:
            slot.adder_host, slot.generation, slot.signature = cursor.take(32), cursor.number(8), cursor.take(64)
        slots.append(slot)
    require(cursor.left() == 0, rule, "something follows the last slot")
    if exclusive:
        require(count == 1, rule, "an exclusive file has more than one slot")
        require(slots[0].adder == 0, rule, "the slot of an exclusive file was added later")
    return slots


def parse_copy(block, log_h):
    """A sound copy; refuses one that is not."""
    rule = "Header copies"
    size = 1 << log_h
    require(block[:8] == b"CKSHEADR", rule, "the header copy's magic is missing")
    require(sha256(block[:-32]) == block[-32:], rule, "the header copy's checksum is wrong")
    generation = int.from_bytes(block[8:16], "big")
    require(generation >= 1, rule, "the header copy's generation is 0")
    immutable_size = int.from_bytes(block[16:20], "big")
    slots_size = int.from_bytes(block[20:24], "big")
    mac_at = 24 + immutable_size + slots_size
    require(mac_at + 64 <= size, rule, "the header copy's lengths are more than the copy holds")
    require(not any(block[mac_at + 32 : -32]), rule, "the header copy's padding is not zero")
    immutable = parse_immutable(block[24 : 24 + immutable_size], log_h)
    slots = parse_slots(block[24 + immutable_size : mac_at], immutable.exclusive)
    return HeaderCopy(generation, immutable, slots, block[:mac_at], block[mac_at : mac_at + 32], block)


def choose_copy(blocks, log_h, warn):
    """"Choosing a copy". Returns the copy and whether the other one is damaged."""
    copies = []
    reasons = []
    for number, block in enumerate(blocks):
        try:
            copies.append(parse_copy(block, log_h))
        except Refused as refusal:
            reasons.append((number, refusal))
    if not copies:
        refusal = reasons[0][1]
        raise Refused(5, refusal.rule, f"neither header copy is sound: {refusal.message}")
    if reasons:
        number, refusal = reasons[0]
        warn(f"header copy {number} is damaged ({refusal.message}); the other one is used")
        return copies[0], True
    if copies[0].raw != copies[1].raw:
        warn("the header copies differ: a change of the slots was not finished, or one copy was exchanged")
    return (copies[1] if copies[1].generation > copies[0].generation else copies[0]), False

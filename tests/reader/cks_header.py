# SPDX-License-Identifier: Apache-2.0
"""What can be read of a file without a key: docs/format.md, "Preamble", "Header copies", "Immutable part", "Slots",
"Signatures" and "Trailer".

It exists to take these structures apart and to check every rule of them that needs neither a key nor trust.
"""

import functools
import struct
from dataclasses import dataclass

from cks_primitives import PAGE, ZERO32, Cursor, ecdsa_holds, is_zero, p256_point, require, round_up, sha256

PREAMBLE, COPIES, IMMUTABLE, SLOTS = "Preamble", "Header copies", "Immutable part", "Slots"
SUITES, SIGNATURES, TRAILER, OVERVIEW = "Suites", "Signatures", "Trailer", "Overview"
CONTENTS = {1: "criu", 2: "stream", 3: "tree"}
EXCLUSIVE = (3, 4)
KINDS_OF_EXCLUSIVE = (1, 3, 6)
CHECKSUM = MAC = 32


@dataclass(frozen=True)
class Signature:
    algorithm: int
    value: bytes

    def holds(self, keys, digest):
        """Whether it is that of one of these keys, each (x, y). What has another algorithm does not hold."""
        if self.algorithm != 1:
            return False
        points = (p256_point(x, y) for x, y in keys)
        return any(point and ecdsa_holds(point, digest, self.value) for point in points)


def take_signature(cursor, signer):
    """"Signatures". Its algorithm is 0 exactly if the signer is all zero."""
    algorithm, length = cursor.unpack(">HH")
    allowed = {0: length == 0, 1: length == 64}.get(algorithm, 1 <= length <= 16384)
    require(allowed, SIGNATURES, f"a signature of algorithm {algorithm} has {length} bytes")
    require((algorithm == 0) == (signer == ZERO32), cursor.rule, "a signature is there, or not, against its signer")
    return Signature(algorithm, cursor.take(length))


def parse_preamble(block):
    """"Preamble": the base-2 logarithm of H."""
    require(len(block) == PAGE, OVERVIEW, "the file is too short for a preamble")
    cursor = Cursor(block, PREAMBLE)
    require(cursor.take(8) == b"CKPTSEAL", PREAMBLE, "this is no sealed checkpoint")
    version, log_h = cursor.unpack(">HB")
    require(version == 1, PREAMBLE, f"format version {version} is not known")
    require(12 <= log_h <= 22, PREAMBLE, f"a header copy of 2^{log_h} bytes is not allowed")
    require(is_zero(cursor.rest()), PREAMBLE, "the preamble does not end with zeros")
    return log_h


@dataclass
class Immutable:
    """"Immutable part"."""
    digest: bytes
    suite: int
    content: int
    chunk_size: int
    depth: int
    checkpoint_id: bytes
    commitment: bytes
    origin: bytes
    parent: bytes
    list_digest: bytes
    created: int
    restores: int = 0
    not_after: int = 0

    @property
    def signed(self):
        return self.origin != ZERO32

    @property
    def exclusive(self):
        return self.suite in EXCLUSIVE

    @property
    def has_parent(self):
        return self.parent != ZERO32


def parse_immutable(data, log_h):
    cursor = Cursor(data, IMMUTABLE)
    version, suite, content, its_log_h, log_c, depth, zero = cursor.unpack(">HBBBBBB")
    require(version == 1, IMMUTABLE, f"its format version is {version}, not that of the preamble")
    require(1 <= suite <= 4, SUITES, f"suite {suite} is not known")
    require(content in CONTENTS, IMMUTABLE, f"content {content} is not known")
    require(its_log_h == log_h, IMMUTABLE, "its size of a header copy is not that of the preamble")
    require(16 <= log_c <= 22, IMMUTABLE, f"a chunk of 2^{log_c} bytes is not allowed")
    require(zero == 0, IMMUTABLE, "byte 7 is not zero")
    fields = cursor.unpack(">16s32s32s32s32sQ")
    part = Immutable(sha256(data), suite, content, 1 << log_c, depth, *fields)
    _check_chain(part)
    _take_conditions(cursor, part)
    return part


def _check_chain(part):
    require(part.depth <= 63, IMMUTABLE, f"a depth of {part.depth} is not allowed")
    require((part.depth > 0) == part.has_parent, IMMUTABLE, "there is a depth without a parent, or a parent without")
    if part.has_parent:
        require(part.signed, IMMUTABLE, "an unsigned file has a parent")
        require(CONTENTS[part.content] == "criu", IMMUTABLE, "a file with a parent is not of content criu")
        require(not part.exclusive, IMMUTABLE, "a file with a parent is exclusive")


def _take_conditions(cursor, part):
    count, last = cursor.u16(), 0
    require(count <= 2, IMMUTABLE, f"there are {count} conditions")
    for _ in range(count):
        kind = cursor.u8()
        require(kind in (1, 2), IMMUTABLE, f"a condition of kind {kind} is not known")
        require(kind > last, IMMUTABLE, "the conditions are not in ascending order")
        last = kind
        if kind == 1:
            part.not_after = cursor.u64()
            require(part.not_after > part.created, IMMUTABLE, "its limit of time is not behind its creation")
        else:
            part.restores = cursor.u32()
            require(part.restores, IMMUTABLE, "it may be given out 0 times")
    cursor.end()


@dataclass
class Slot:
    """"Slots". The body is read only when the slot is used."""
    index: int
    kind: int
    adder_kind: int
    body: bytes
    adder: bytes = ZERO32
    generation: int = 1
    time: int = 0
    signature: Signature = None

    @property
    def digest(self):
        return sha256(self.kind.to_bytes(2, "big"), self.body)

    def to_sign(self, immutable_digest):
        when = struct.pack(">QQ", self.generation, self.time)
        return sha256(b"ckpt-seal/v1/slot", immutable_digest, self.adder, when, self.digest)


def parse_slots(data, generation):
    cursor = Cursor(data, SLOTS)
    count = cursor.u16()
    require(count, SLOTS, "there is no slot")
    slots = [_take_slot(cursor, index, generation) for index in range(count)]
    cursor.end()
    return slots


def _take_slot(cursor, index, generation):
    kind, adder_kind, size = cursor.unpack(">HHI")
    require(adder_kind <= 1, SLOTS, f"adder {adder_kind} of slot {index} is not known")
    require(1 <= size <= 65536, SLOTS, f"slot {index} has {size} bytes")
    slot = Slot(index, kind, adder_kind, cursor.take(size))
    if adder_kind:
        slot.adder, slot.generation, slot.time = cursor.unpack(">32sQQ")
        require(2 <= slot.generation <= generation, SLOTS, f"slot {index} is of generation {slot.generation}")
        slot.signature = take_signature(cursor, slot.adder)
    return slot


@dataclass
class Header:
    """A sound copy: "Header copies"."""
    block: bytes
    generation: int
    immutable: Immutable
    slot_list: list
    slots: list
    slots_digest: bytes
    changer: bytes
    changed: int  # when
    change: Signature  # None at generation 1
    maced: bytes
    mac: bytes

    @functools.cached_property
    def listed(self):
        return frozenset(self.slot_list)

    @property
    def change_to_sign(self):
        when = struct.pack(">QQ", self.generation, self.changed)
        return sha256(b"ckpt-seal/v1/slots", self.immutable.digest, self.changer, when, self.slots_digest)


def parse_copy(block, log_h):
    """A copy, if it is sound."""
    require(block[:8] == b"CKSHEADR", COPIES, "its magic is wrong")
    require(sha256(block[:-CHECKSUM]) == block[-CHECKSUM:], COPIES, "its checksum is wrong")
    cursor = Cursor(block[:-CHECKSUM - MAC], COPIES)
    cursor.take(8)
    generation, i, count, s = cursor.unpack(">QIII")
    require(1 <= generation < 1 << 63, COPIES, f"generation {generation} is not allowed")
    require(1 <= count <= 65535, COPIES, f"it has {count} slots at sealing")
    immutable = parse_immutable(cursor.take(i), log_h)
    slot_list, slots = cursor.take(32 * count), cursor.take(s)
    changer, changed, change = _take_change(cursor, generation)
    mac_at = cursor.at
    require(is_zero(block[mac_at + MAC:-CHECKSUM]), COPIES, "it does not end with zeros")
    require(sha256(slot_list) == immutable.list_digest, COPIES, "its slot list is not that of the immutable part")
    header = Header(block, generation, immutable, [slot_list[at:at + 32] for at in range(0, 32 * count, 32)],
                    parse_slots(slots, generation), sha256(slots), changer, changed, change,
                    block[:mac_at], block[mac_at:mac_at + MAC])
    _check_slots(header)
    return header


def _take_change(cursor, generation):
    if generation == 1:
        return ZERO32, 0, None
    changer, changed = cursor.unpack(">32sQ")
    return changer, changed, take_signature(cursor, changer)


def _check_slots(header):
    if header.generation == 1:
        require(not any(slot.adder_kind for slot in header.slots), COPIES, "a slot of generation 1 was added")
        digests = [slot.digest for slot in header.slots]
        require(digests == header.slot_list, COPIES, "the slots of generation 1 are not those of the slot list")
    if header.immutable.exclusive:
        require(header.generation == 1, SLOTS, "an exclusive file was changed")
        require(len(header.slots) == 1, SLOTS, "an exclusive file has more than one slot")
        require(header.slots[0].kind in KINDS_OF_EXCLUSIVE, SLOTS, "an exclusive file has a slot for several holders")


@dataclass
class Trailer:
    """"Trailer"."""
    manifest: int
    pages: int
    annex: int
    size: int
    evidence: bytes
    signature: Signature


def trailer_size(last36, file_size, data_start):
    """T, from the last 36 bytes of the file."""
    size = int.from_bytes(last36[:4], "big")
    allowed = PAGE <= size <= 65536 and size % PAGE == 0 and size <= file_size - data_start - PAGE
    require(allowed, TRAILER, f"a trailer of {size} bytes is not allowed")
    return size


def parse_trailer(block, file_size, data_start, origin):
    require(sha256(block[:-CHECKSUM]) == block[-CHECKSUM:], TRAILER, "its checksum is wrong")
    cursor = Cursor(block[:-36], TRAILER)
    require(cursor.take(8) == b"CKSTRAIL", TRAILER, "its magic is wrong")
    manifest, pages, annex, evidence_size = cursor.unpack(">QQII")
    require(annex <= 1 << 20 and annex % PAGE == 0, "Annex", f"an annex of {annex} bytes is not allowed")
    require(evidence_size <= 32768, TRAILER, f"evidence of {evidence_size} bytes is not allowed")
    require(evidence_size == 0 or origin != ZERO32, TRAILER, "an unsigned file has evidence")
    require(1 <= pages <= 1 << 20, "Manifest", f"a manifest of {pages} pages is not allowed")
    require(manifest % PAGE == 0 and manifest >= data_start, TRAILER, f"a manifest at {manifest} is not allowed")
    whole = manifest + PAGE * pages + annex + len(block)
    require(whole == file_size, TRAILER, f"the file has {file_size} bytes, not {whole} as it says")
    evidence = cursor.take(evidence_size)
    signature = take_signature(cursor, origin)
    require(round_up(cursor.at + 36) == len(block), TRAILER, "it is not of the smallest size")
    require(is_zero(cursor.rest()), TRAILER, "it does not end with zeros")
    return Trailer(manifest, pages, annex, len(block), evidence, signature)

# SPDX-License-Identifier: Apache-2.0
"""A header copy in its parts, as whoever stores the file takes it apart and puts it together: docs/format.md, "Header copies".

Lengths and checksums are made right, for that needs no key. The MAC stays what it was, unless another one is given."""

import hashlib
from dataclasses import dataclass, replace

from cks_header import CHECKSUM, MAC

BLOCK = 4096
IMMUTABLE_AT = 28
COUNT, SLOT_HEAD, ADDED_HEAD = 2, 8, 48  # of an added slot: adder, generation, time; then a signature
LATER = 2


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def u16(number):
    return number.to_bytes(2, "big")


def u32(number):
    return number.to_bytes(4, "big")


def u64(number):
    return number.to_bytes(8, "big")


def number_at(data, at, size):
    return int.from_bytes(data[at:at + size], "big")


def put(data, at, piece):
    """`data` with `piece` in the place of what stood at this offset."""
    return data[:at] + piece + data[at + len(piece):]


def flipped(data, at):
    return put(data, at, bytes([data[at] ^ 1]))


def signature_end(data, at):
    return at + 4 + number_at(data, at + 2, 2)


def split(slots):
    """The encoded slots one by one."""
    out, at = [], COUNT
    for _ in range(number_at(slots, 0, COUNT)):
        end = at + SLOT_HEAD + number_at(slots, at + 4, 4)
        if number_at(slots, at + 2, 2):
            end = signature_end(slots, end + ADDED_HEAD)
        out.append(slots[at:end])
        at = end
    return out


def joined(slots):
    return u16(len(slots)) + b"".join(slots)


def slot(kind, body):
    """As the origin has it at sealing."""
    return u16(kind) + u16(0) + u32(len(body)) + body


def body_of(encoded):
    return encoded[SLOT_HEAD:SLOT_HEAD + number_at(encoded, 4, 4)]


def digest_of(encoded):
    return sha256(encoded[:2], body_of(encoded))


def unsigned_change(time=0):
    return bytes(32) + u64(time) + u16(0) + u16(0)


@dataclass(frozen=True)
class Parts:
    generation: int
    immutable: bytes
    listed: bytes  # the slot list
    slots: bytes
    change: bytes  # empty at generation 1
    mac: bytes

    @classmethod
    def of_block(cls, block):
        generation = number_at(block, 8, 8)
        at, pieces = IMMUTABLE_AT, []
        for size in (number_at(block, 16, 4), 32 * number_at(block, 20, 4), number_at(block, 24, 4)):
            pieces.append(block[at:at + size])
            at += size
        end = signature_end(block, at + 40) if generation >= LATER else at
        return cls(generation, *pieces, block[at:end], block[end:end + MAC])

    @classmethod
    def of(cls, content, copy=0):
        return cls.of_block(block_of(content, copy))

    def front(self):
        """What the MAC is made of."""
        lengths = u32(len(self.immutable)) + u32(len(self.listed) // 32) + u32(len(self.slots))
        return b"CKSHEADR" + u64(self.generation) + lengths + self.immutable + self.listed + self.slots + self.change

    def block(self, size):
        """H is signed, so nobody has more room than there is."""
        front = self.front() + self.mac
        if len(front) > size - CHECKSUM:
            raise ValueError("it does not fit into the header")
        return checked(front.ljust(size - CHECKSUM, b"\0"))

    def room(self, size):
        return size - CHECKSUM - len(self.front() + self.mac)

    def with_list(self, slots):
        """These slots, and the list of them, as if they had been there at sealing. The digest of the list stays."""
        return replace(self, slots=joined(slots), listed=b"".join(map(digest_of, slots)))

    def later(self, slots, change=unsigned_change(), generation=None):
        """These slots at a later generation."""
        return replace(self, slots=joined(slots), change=change, generation=generation or max(LATER, self.generation))


def copy_size(content):
    return 1 << content[10]


def block_of(content, copy=0):
    size = copy_size(content)
    return content[BLOCK + copy * size:BLOCK + (copy + 1) * size]


def checked(block):
    """With its checksum."""
    return block + sha256(block)


def with_copies(content, *blocks):
    """One block for both copies, or one for each."""
    first, second = blocks if len(blocks) == 2 else blocks * 2
    return content[:BLOCK] + first + second + content[BLOCK + 2 * copy_size(content):]


def with_parts(content, parts):
    return with_copies(content, parts.block(copy_size(content)))

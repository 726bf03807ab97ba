# SPDX-License-Identifier: Apache-2.0
"""Where the parts of a sealed file are, by docs/format.md: for tests that change one of them."""

import hashlib

BLOCK = PAGE = 4096
IMMUTABLE = 28  # in a header copy
CREATED, CONDITIONS = 152, 160  # in the immutable part


def number(content, at, size):
    return int.from_bytes(content[at:at + size], "big")


class Layout:
    """Offsets in a file; those in the header are of copy 0, the other one lies `header` bytes behind."""

    def __init__(self, content):
        self.header = 1 << content[10]
        self.copies = (BLOCK, BLOCK + self.header)
        self.data = BLOCK + 2 * self.header
        sizes = [number(content, BLOCK + at, 4) for at in (16, 20, 24)]
        self.immutable = BLOCK + IMMUTABLE
        self.list = self.immutable + sizes[0]
        self.slots = self.list + 32 * sizes[1]  # their number, two bytes, then the first of them
        self.behind_slots = self.slots + sizes[2]
        self.trailer = len(content) - number(content, len(content) - 36, 4)
        self.manifest = number(content, self.trailer + 8, 8)
        self.pages = number(content, self.trailer + 16, 8)
        self.signature = self.trailer + 32 + number(content, self.trailer + 28, 4) + 4


def with_headers(content, first, second):
    layout = Layout(content)
    return content[:BLOCK] + first + second + content[layout.data:]


def altered(content, at, mask=1):
    """A byte of both header copies changed, and their checksums, which need no key."""
    layout = Layout(content)
    copy = bytearray(content[BLOCK:layout.copies[1]])
    copy[at - BLOCK] ^= mask
    copy[-32:] = hashlib.sha256(copy[:-32]).digest()
    return with_headers(content, bytes(copy), bytes(copy))

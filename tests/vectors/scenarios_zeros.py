# SPDX-License-Identifier: Apache-2.0
"""Chunks of zeros that are left out ("Chunks"), and faults of their entries, which are signed."""

from people import BY_KEY, exclusive
from pieces import BLOCK, LEFT_OUT, chunk_digest
from scenario import CHUNK, NINE_CHUNKS, TWO, bad, good
from scenarios_chunks import entry

EMPTY = {"images": [("stream", TWO[:CHUNK])]}
FULL = {"images": [("stream", bytes(CHUNK) + TWO[:100])]}
PARTIAL = {"images": [("stream", bytes(100))]}
BIT = bytes(15) + b"\1"


def of(*where):
    """The options that leave out these chunks of image 0."""
    return {"left_out": lambda _number, index: index in where}


def opens(name, what, images, options, **rest):
    return good("good_zeros_" + name, "Chunks", what, images=images, options=options, **rest)


def zeros(name, what, inject, options=None, **rest):
    return bad("zeros_" + name, "Chunks", what, inject, options=of(0) if options is None else options, **rest)


def stored_tag(writer, entries):
    """The tag and digest that the chunk would have if it were stored."""
    cipher, tag = writer.seal_chunk(0, 0)
    return entry((0, 0), tag=tag, digest=chunk_digest(cipher))["entries"](writer, entries)


def room(size):
    return {"data": lambda w, data: bytes(data) + bytes(size)}


ZERO_ENTRY = {"offset": LEFT_OUT, "tag": bytes(16), "digest": bytes(32)}

GOOD = [
    opens("full", "The first chunk is zeros, and left out.", **FULL, options=of(0)),
    opens("partial", "The last chunk is 100 zeros, and left out: the data area is empty.", **PARTIAL, options=of(0)),
    opens("all", "Both chunks are zeros, and left out.", [("stream", bytes(CHUNK + 100))], of(0, 1)),
    opens("then_empty", "A chunk of zeros is left out, and the last one is empty.", [("stream", bytes(CHUNK))], of(0)),
    opens("last", "The second chunk is zeros, and left out.", [("stream", TWO[:CHUNK] + bytes(100))], of(1)),
    opens("one", "The only byte is zero, and left out.", [("stream", b"\0")], of(0)),
    opens("stored", "All chunks are zeros, and stored.", [("stream", bytes(CHUNK + 100))], {}),
    opens(
        "exclusive",
        "A chunk of an exclusive file is left out.",
        **FULL,
        options=exclusive(**of(0)),
        settings=BY_KEY,
    ),
    opens("chacha", "A chunk of a file of suite 2 is left out.", **FULL, options=of(0) | {"suite": 2}),
    opens(
        "images",
        "Of two images each has a chunk that is left out and one that is not.",
        [("a", bytes(CHUNK) + b"a"), ("b", TWO[:CHUNK] + bytes(7))],
        {"content": 1, "left_out": lambda number, index: index == number},
    ),
]

FAULTS = [
    zeros("tag", "The tag of a chunk that is left out is not zero.", entry((0, 0), tag=BIT), **FULL),
    zeros("tag_first", "The same in the first bit.", entry((0, 0), tag=b"\x80" + bytes(15)), **FULL),
    zeros(
        "digest",
        "The digest of a chunk that is left out is not zero.",
        entry((0, 0), digest=bytes(16) + BIT),
        **FULL,
    ),
    zeros("digest_empty", "The digest is that of nothing.", entry((0, 0), digest=chunk_digest(b"")), **FULL),
    zeros("digest_first", "It is not zero in the first bit.", entry((0, 0), digest=b"\x80" + bytes(31)), **FULL),
    zeros("stored_tag", "Tag and digest are those of the chunk if it were stored.", {"entries": stored_tag}, **FULL),
    zeros("tag_of_partial", "The tag of 100 zeros that are left out is not zero.", entry((0, 0), tag=BIT), **PARTIAL),
    zeros(
        "tag_exclusive",
        "The tag of a chunk of an exclusive file that is left out is not zero.",
        entry((0, 0), tag=BIT),
        exclusive(**of(0)),
        settings=BY_KEY,
        **FULL,
    ),
    zeros(
        "tag_in_page",
        "The tag of a chunk in a chunk page that is left out is not zero.",
        entry((0, 7), tag=BIT),
        of(*range(8)),
        images=NINE_CHUNKS,
    ),
    zeros("empty", "An empty chunk is left out.", entry((0, 1), **ZERO_ENTRY), {}, **EMPTY),
    zeros(
        "empty_offset",
        "An empty chunk has the offset 1, and its right tag.",
        entry((0, 1), offset=LEFT_OUT),
        {},
        **EMPTY,
    ),
    zeros(
        "empty_zero_tag",
        "An empty chunk has the offset 0, and its tag is zero.",
        entry((0, 1), tag=bytes(16)),
        {},
        **EMPTY,
    ),
    zeros("offset_2", "The offset of a chunk of zeros is 2.", entry((0, 0), offset=2), **FULL),
    zeros("offset_0", "The offset of a chunk of zeros is 0.", entry((0, 0), offset=0), **FULL),
    zeros("offset_0_stored", "The offset of a chunk that is not empty is 0.", entry((0, 0), offset=0), {}, **PARTIAL),
    zeros("room", "The data area has room for a chunk that is left out.", room(CHUNK), **FULL),
    zeros("room_of_partial", "The data area has room for 100 zeros that are left out.", room(BLOCK), **PARTIAL),
]

SCENARIOS = GOOD + FAULTS

# SPDX-License-Identifier: Apache-2.0
"""Image records and encodings of "Manifest": what is allowed, and faults."""

from dataclasses import replace

import primitives as crypto
from pieces import IMAGES, PAGE, Page
from primitives import u64
from scenario import CHUNK, EIGHT_ZEROS, NINE_CHUNKS, bad, change, content, good, only, put
from scenarios_chunk_pages import CRIU, NINE, pages, without_chunk_pages

TWO = [("one", content("one", 100)), ("two", content("two", 100))]
ALLOWED = "".join(chr(byte) for byte in range(0x21, 0x7F) if chr(byte) != "/")


def records(name, what, fault, **rest):
    return bad(name, "Manifest", what, {"image_records": fault}, **rest)


def named(name, what, new, **rest):
    return records("image_name_" + name, what, change(0, name=new), options=CRIU, **rest)


def split_records(_writer, values):
    """An image page for each of the two records."""
    first = Page(IMAGES, 1, 0, 0, values[0].body[: len(values[0].body) // 2])
    second = Page(IMAGES, 1, 0, 0, values[0].body[len(values[0].body) // 2 :])
    return [first, second] + values[1:]


def reverse(_writer, values):
    return values[::-1]


def inline_nine(writer, values):
    return [replace(values[0], entries=writer.encode_entries(0, 0, 9))]


def crossing(_writer, values):
    """The records of all image pages as one string, cut where a page is full."""
    body = b"".join(page.body for page in values if page.kind == IMAGES)
    room = PAGE - 32
    size = len(body) // 60
    former = Page(IMAGES, room // size + 1, 0, 0, body[:room])
    latter = Page(IMAGES, 60 - former.count, 0, 0, body[room:])
    return [former, latter] + [page for page in values if page.kind != IMAGES]


def length_one_more(_writer, values):
    return [replace(values[0], length=values[0].length + 1)]


def end_one_more(_writer, page, _number):
    return put(24, u64(101))(None, page)


def sealed_as_image_2(writer, _sealed, number, _index):
    return crypto.seal(1, writer.image_key(2), bytes(11) + b"\1", writer.images[number][1])


NAMES = [
    named("slash", "The name of an image has a slash.", b"a/b"),
    named("space", "The name of an image has a space.", b"a b"),
    named("control", "The name of an image has a NUL.", b"a\0b"),
    named("delete", "The name of an image has the byte 0x7f.", b"a\x7f"),
    named("not_ascii", "The name of an image is UTF-8.", "\u00e4".encode()),
    named("dot", "An image is named with a dot.", b"."),
    named("dot_dot", "An image is named with two dots.", b".."),
    named("empty", "The name of an image is empty.", b""),
    named("twice", "Two images have the same name.", b"two", images=TWO),
    good(
        "good_image_names",
        "Manifest",
        "Images are named with three dots, a backslash and all else that is allowed.",
        images=[("...", b"1"), ("..a", b"2"), (ALLOWED, b"3")],
        options=CRIU,
    ),
]

RECORDS = [
    records("image_number_twice", "Two images have number 0.", change(1, number=0), images=TWO, options=CRIU),
    bad(
        "image_number_gap",
        "Manifest",
        "The images have numbers 0 and 2.",
        {"image_records": change(1, number=2), "sealed_chunk": only((1, 0), sealed_as_image_2)},
        images=TWO,
        options=CRIU,
    ),
    records("image_number_absurd", "The only image has number 2^32 - 1.", change(0, number=2**32 - 1)),
    bad(
        "image_length_wrong",
        "Chunks",
        "The length of an image is one more, in the end page too.",
        {"image_records": length_one_more, "page_plain": only((1,), end_one_more)},
    ),
    records("image_length_absurd", "The length of an image is 2^62.", change(0, length=1 << 62)),
    records("image_length_huge", "The length of an image is 2^62 - 1.", change(0, length=(1 << 62) - 1)),
    records("image_length_2_64", "The length of an image is 2^64 - 1.", change(0, length=(1 << 64) - 1)),
    records(
        "image_length_other_count",
        "The length of an image is that of two chunks, and it has the entry of one.",
        change(0, length=CHUNK + 100),
    ),
    bad(
        "image_record_crosses_pages",
        "Manifest",
        "A record begins on one page and ends on the next.",
        {"pages": crossing},
        images=[(f"i{n:03}", b"") for n in range(60)],
        options=CRIU,
    ),
    pages("image_count_too_high", "An image page has a record less than it says.", change(0, count=2), options=CRIU),
    pages(
        "image_count_too_low",
        "An image page has a record more than it says.",
        change(0, count=1),
        images=TWO,
        options=CRIU,
    ),
    good(
        "good_image_numbers",
        "Manifest",
        "The image records stand in another order than their numbers, in a page each.",
        images=TWO,
        options=CRIU | {"inject": {"image_records": reverse, "pages": split_records}},
    ),
    bad(
        "image_inline_nine_chunks",
        "Manifest",
        "Nine entries stand in the image record, and there is no chunk page.",
        {"image_records": inline_nine, "pages": without_chunk_pages},
        **NINE,
    ),
]

PLAIN_1 = {"encoding": 1}
ENCODINGS = [
    bad("encoding_1", "Manifest", "An image has encoding 1, with its stored length.", {}, options=PLAIN_1),
    bad(
        "encoding_1_pages",
        "Manifest",
        "The same with a chunk page.",
        {},
        images=NINE_CHUNKS,
        options=EIGHT_ZEROS | PLAIN_1,
    ),
    records("encoding_1_as_plain", "An image has encoding 1, and its entry none.", change(0, encoding=1)),
    records("encoding_255", "An image has encoding 255.", change(0, encoding=255)),
    pages("encoding_1_of_page", "A chunk page has encoding 1, and its image none.", change(0, encoding=1), **NINE),
    records("encoding_1_of_record", "An image has encoding 1, and its chunk page none.", change(0, encoding=1), **NINE),
]

SCENARIOS = NAMES + RECORDS + ENCODINGS

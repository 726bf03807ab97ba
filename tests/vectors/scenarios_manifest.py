# SPDX-License-Identifier: Apache-2.0
"""Faults of "Manifest" and "Contents". Pages are encrypted and signed with their faults in them, unless the scenario says
otherwise. In the usual file page 0 is of images, page 1 of slots, page 2 the end."""

from dataclasses import replace

import primitives as crypto
from primitives import u64
from scenario import CHUNK, NINE_CHUNKS, SMALL, bad, change, content, flip, only, put, rearrange
from scenarios_good import OTHER_PASSPHRASE, many_slots
from writer import CHUNKS, END, IMAGES, PAGE, SLOTS, Page, passphrase_slot

TWO = [("one", content("one", 100)), ("two", content("two", 100))]
CRIU = {"content": 1}
TWO_SLOTS = {"slots": lambda w: [passphrase_slot(w), passphrase_slot(w, passphrase=OTHER_PASSPHRASE)]}


def pages(name, what, fault, **rest):
    return bad(name, "Manifest", what, {"pages": fault}, **rest)


def records(name, what, fault, **rest):
    return bad(name, rest.pop("rule", "Manifest"), what, {"records": fault}, **rest)


def named(name, what, new, **rest):
    return records("image_name_" + name, what, change(0, name=new), options=CRIU, **rest)


def end(name, what, at, new):
    """Replaces a field of the end page; `new` is a function of the right number."""

    def fault(_writer, page, _number):
        number = int.from_bytes(page[at : at + 8], "big")
        return put(at, u64(new(number)))(None, page)

    return bad("manifest_end_" + name, "Manifest", what, {"page_plain": only((2,), fault)})


def sealed(name, what, fault):
    return bad(name, "Manifest", what, {"sealed_pages": rearrange(fault)})


def split(index, first):
    """One page becomes two, of which the former has `first` entries."""

    def arrangement(values):
        page = values[index]
        size = len(page.body) // page.count
        former = replace(page, count=first, body=page.body[: first * size])
        latter = replace(page, count=page.count - first, first=page.first + first, body=page.body[first * size :])
        return values[:index] + [former, latter] + values[index + 1 :]

    return rearrange(arrangement)


def chunk_page_too(_writer, values):
    """The entry of the image record stands in a chunk page as well."""
    entry = values[0].body[-56:]
    return [Page(CHUNKS, 1, 0, 0, entry)] + values


def page_of_unknown_image(_writer, values):
    return [Page(CHUNKS, 1, 7, 0, values[0].body[-56:])] + values


def inline_nine(writer, values):
    return [replace(values[0], entries=writer.encode_entries(0, 0, 9))]


def inline_pages(_writer, values):
    return [page for page in values if page.kind != CHUNKS]


def crossing(_writer, values):
    """The records of all image pages as one string, cut where a page is full."""
    body = b"".join(page.body for page in values if page.kind == IMAGES)
    room = PAGE - 32
    size = len(body) // 300
    former = Page(IMAGES, room // size + 1, 0, 0, body[:room])
    latter = Page(IMAGES, 300 - former.count, 0, 0, body[room:])
    return [former, latter] + [page for page in values if page.kind != IMAGES]


def length_one_more(_writer, values):
    return [replace(values[0], length=values[0].length + 1)]


def end_one_more(_writer, page, _number):
    return put(24, u64(101))(None, page)


def sealed_as_image_2(writer, _sealed, number, _index):
    return crypto.seal(1, writer.image_key(2), bytes(11) + b"\1", writer.images[number][1])


PAGES = [
    pages("manifest_page_kind_unknown", "A page of kind 5.", rearrange(lambda p: [Page(5, 1, 0, 0, bytes(32))] + p)),
    pages("manifest_page_kind_zero", "A page of kind 0.", rearrange(lambda p: [Page(0, 1, 0, 0, bytes(32))] + p)),
    pages("manifest_page_reserved", "Byte 1 of a page is not zero.", change(0, reserved=1)),
    pages("manifest_image_page_owner", "An image page has an image number.", change(0, owner=1)),
    pages("manifest_image_page_first", "An image page has a first index.", change(0, first=1)),
    pages("manifest_slot_page_owner", "A slot page has an image number.", change(1, owner=1)),
    pages("manifest_slot_page_first", "The first slot page begins with slot 1.", change(1, first=1)),
    pages("manifest_end_first", "The end page has a first index.", change(2, first=1)),
    pages("manifest_end_entries", "The end page has an entry.", change(2, count=1)),
    pages("manifest_page_empty", "An image page without entries.", rearrange(lambda p: [Page(IMAGES, 0, 0, 0, b"")] + p)),
    pages(
        "manifest_slot_page_empty",
        "A full slot page, and behind it one without entries.",
        rearrange(lambda p: p[:2] + [Page(SLOTS, 0, 0, 511, b"")] + p[2:]),
        options={"slots": lambda w: many_slots(w)[1:]},
    ),
    pages("manifest_slots_before_images", "The slot page comes first.", rearrange(lambda p: [p[1], p[0], p[2]])),
    pages("manifest_slot_page_short", "Two slot pages with one digest each.", split(1, 1), options=TWO_SLOTS),
    pages("manifest_slot_page_count_absurd", "A slot page with 512 entries.", change(1, count=512)),
    bad(
        "manifest_slot_page_missing",
        "Slots",
        "There is no slot page, so the slot is not listed.",
        {"pages": rearrange(lambda p: [p[0], p[2]])},
    ),
    pages("manifest_no_end_page", "The last page is one of slots.", rearrange(lambda p: p[:2])),
    pages("manifest_end_page_twice", "There are two end pages.", rearrange(lambda p: p + [p[2]])),
    pages("manifest_end_not_last", "The end page comes before that of slots.", rearrange(lambda p: [p[0], p[2], p[1]])),
    end("chunks", "The number of chunks is one more.", 16, lambda n: n + 1),
    end("length", "The sum of lengths is one less.", 24, lambda n: n - 1),
    end("offset", "M is another one than in the trailer.", 32, lambda n: n + 4096),
    pages("manifest_end_images", "The number of images is one more.", change(2, owner=2)),
    bad(
        "manifest_end_tail",
        "Manifest",
        "The last byte of the end page is not zero.",
        {"page_plain": only((2,), put(-1, b"\1"))},
    ),
    bad(
        "manifest_nonzero_tail",
        "Manifest",
        "A byte behind the last record of an image page is not zero.",
        {"page_plain": only((0,), put(-1, b"\1"))},
    ),
    bad(
        "manifest_slot_page_tail",
        "Manifest",
        "A byte behind the last digest of a slot page is not zero.",
        {"page_plain": only((1,), put(16 + 32, b"\1"))},
    ),
]

SEALED = [
    sealed("manifest_page_swapped", "Two encrypted pages change places, and that is signed.", lambda p: [p[1], p[0], p[2]]),
    sealed("manifest_page_repeated", "An encrypted page stands twice, and that is signed.", lambda p: [p[0], p[0], p[1], p[2]]),
    sealed("manifest_page_missing", "The last encrypted page is missing, and that is signed.", lambda p: p[:2]),
    sealed(
        "manifest_page_flipped_resigned",
        "A bit of an encrypted page is flipped, and that is signed.",
        lambda p: [flip(100)(None, p[0])] + p[1:],
    ),
    bad(
        "manifest_page_flipped",
        "Trailer",
        "A bit of an encrypted page is flipped: the signature does not hold.",
        {"file": lambda w, f: flip(w.manifest_at + 100)(w, f)},
        also=[{"what": "The same without a key.", "passphrase": None}],
    ),
    bad(
        "manifest_page_flipped_unsigned",
        "Manifest",
        "A bit of an encrypted page of an unsigned file is flipped.",
        {"file": lambda w, f: flip(w.manifest_at + 100)(w, f)},
        options={"origin": None},
        settings={"allow_unsigned": True, "trusted_origins": []},
    ),
    bad(
        "manifest_last_flag",
        "Manifest",
        "The last page is encrypted as one that is not.",
        {"page_nonce": only((2,), put(-1, b"\0"))},
    ),
    bad(
        "manifest_last_flag_early",
        "Manifest",
        "The first page is encrypted as the last one.",
        {"page_nonce": only((0,), put(-1, b"\1"))},
    ),
]

CHUNK_PAGES = [
    pages("chunk_missing", "A chunk page lacks the last entry.", change(0, count=8), images=NINE_CHUNKS),
    pages(
        "chunk_entry_missing",
        "A chunk page has 8 entries of 9, and nothing of the last.",
        lambda w, p: [replace(p[0], count=8, body=p[0].body[: 8 * 56])] + p[1:],
        images=NINE_CHUNKS,
    ),
    pages(
        "chunk_entry_too_many",
        "A chunk page has an entry more than the image has chunks.",
        lambda w, p: [replace(p[0], count=10, body=p[0].body + p[0].body[-56:])] + p[1:],
        images=NINE_CHUNKS,
    ),
    pages("chunk_page_missing", "An image of nine chunks has no chunk page.", inline_pages, images=NINE_CHUNKS),
    pages("chunk_page_short", "Two chunk pages of 5 and 4 entries.", split(0, 5), images=NINE_CHUNKS),
    pages("chunk_page_first_index", "The first chunk page begins with chunk 1.", change(0, first=1), images=NINE_CHUNKS),
    pages("chunk_page_count_absurd", "A chunk page with 293 entries.", change(0, count=293), images=NINE_CHUNKS),
    pages("chunk_page_of_unknown_image", "A chunk page of an image that does not exist.", page_of_unknown_image),
    pages("image_inline_and_page", "The entry of a chunk stands in the record and in a chunk page.", chunk_page_too),
    bad(
        "image_inline_nine_chunks",
        "Manifest",
        "Nine entries stand in the image record, and there is no chunk page.",
        {"records": inline_nine, "pages": inline_pages},
        images=NINE_CHUNKS,
    ),
]

RECORDS = [
    named("slash", "The name of an image has a slash.", b"a/b"),
    named("space", "The name of an image has a space.", b"a b"),
    named("control", "The name of an image has a NUL.", b"a\0b"),
    named("delete", "The name of an image has the byte 0x7f.", b"a\x7f"),
    named("not_ascii", "The name of an image is UTF-8.", "\u00e4".encode()),
    named("dot", "An image is named with a dot.", b"."),
    named("dot_dot", "An image is named with two dots.", b".."),
    named("empty", "The name of an image is empty.", b""),
    named("twice", "Two images have the same name.", b"two", images=TWO),
    records("image_number_twice", "Two images have number 0.", change(1, number=0), images=TWO, options=CRIU),
    bad(
        "image_number_gap",
        "Manifest",
        "The images have numbers 0 and 2.",
        {"records": change(1, number=2), "sealed_chunk": only((1, 0), sealed_as_image_2)},
        images=TWO,
        options=CRIU,
    ),
    records("image_number_absurd", "The only image has number 131072.", change(0, number=131072)),
    records("image_reserved", "Byte 4 of an image record is not zero.", change(0, reserved=1)),
    bad(
        "image_length_wrong",
        "Chunks",
        "The length of an image is one more, in the end page too.",
        {"records": length_one_more, "page_plain": only((2,), end_one_more)},
    ),
    records("image_length_absurd", "The length of an image is 2^62.", change(0, length=1 << 62)),
    records("image_length_huge", "The length of an image is 2^62 - 1.", change(0, length=(1 << 62) - 1)),
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
        images=[(f"i{n:03}", b"") for n in range(300)],
        options=CRIU,
    ),
    pages("image_count_too_high", "An image page has a record less than it says.", change(0, count=2)),
    pages("image_count_too_low", "An image page has a record more than it says.", change(0, count=1), images=TWO, options=CRIU),
]

CONTENTS = [
    bad("content_stream_two_images", "Contents", "Content stream with two images.", {}, images=[*SMALL, ("two", b"2")]),
    bad("content_stream_name", "Contents", "The image of content stream has another name.", {}, images=[("x", b"1")]),
    bad("content_tree_name", "Contents", "The image of content tree is called stream.", {}, options={"content": 3}),
    bad(
        "content_stream_no_image",
        "Contents",
        "Content stream without an image.",
        {"pages": rearrange(lambda p: [page for page in p if page.kind in (SLOTS, END)])},
        images=[],
    ),
]

SCENARIOS = PAGES + SEALED + CHUNK_PAGES + RECORDS + CONTENTS

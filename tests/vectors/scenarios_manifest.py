# SPDX-License-Identifier: Apache-2.0
"""Faults of the pages of "Manifest", and of "Contents". Pages are encrypted and signed with their faults in them,
unless the scenario says otherwise. In the usual file page 0 is of images and page 1 the end."""

import primitives as crypto
from pieces import END, IMAGES, RECORDS, Page
from primitives import u64
from scenario import (
    SMALL,
    UNSIGNED,
    bad,
    change,
    content,
    flip,
    good,
    only,
    put,
    rearrange,
    without_key,
)

TWO = [("one", content("one", 100)), ("two", content("two", 100))]
TWO_PAGES = {"images": [(f"i{n:03}", b"") for n in range(60)], "options": {"content": 1}}
FIRST, LAST = (0,), (1,)


def pages(name, what, fault, **rest):
    return bad("manifest_" + name, "Manifest", what, {"pages": fault}, **rest)


def plain(name, what, where, fault, **rest):
    return bad("manifest_" + name, "Manifest", what, {"page_plain": only(where, fault)}, **rest)


def nonce(name, what, where, fault):
    return bad("manifest_" + name, "Manifest", what, {"page_nonce": only(where, fault)})


def end(name, what, at, new):
    """Replaces a field of the end page; `new` is a function of the right number."""

    def fault(_writer, page, _number):
        number = int.from_bytes(page[at : at + 8], "big")
        return put(at, u64(new(number)))(None, page)

    return plain("end_" + name, what, LAST, fault)


def sealed(name, what, fault, **rest):
    return bad("manifest_" + name, "Manifest", what, {"sealed_pages": rearrange(fault)}, **rest)


def flipped(name, what, rule, **rest):
    """A bit of the first encrypted page."""
    return bad("manifest_" + name, rule, what, {"file": lambda w, f: flip(w.manifest_at + 100)(w, f)}, **rest)


def contents(name, what, images, **rest):
    return bad("content_" + name, "Contents", what, rest.pop("inject", {}), images=images, **rest)


def other_key(writer):
    page = Page(END, 0, 1, 0, u64(1) + u64(100) + u64(writer.manifest_at)).encode()
    return b"".join(crypto.seal(1, writer.random("other manifest key", 32), bytes(10) + b"\1\1", page))


EMPTY_PAGE = Page(IMAGES, 0, 0, 0, b"")

PAGES = [
    pages("page_kind_5", "A page of kind 5.", rearrange(lambda p: [Page(5, 1, 0, 0, bytes(32))] + p)),
    pages("page_kind_0", "A page of kind 0.", rearrange(lambda p: [Page(0, 1, 0, 0, bytes(32))] + p)),
    pages("image_page_encoding", "Byte 1 of an image page is not zero.", change(0, encoding=1)),
    pages("image_page_owner", "An image page has an image number.", change(0, owner=1)),
    pages("image_page_first", "An image page has a first index.", change(0, first=1)),
    pages("page_empty", "An image page without entries.", rearrange(lambda p: [EMPTY_PAGE] + p)),
    pages("end_encoding", "Byte 1 of the end page is not zero.", change(1, encoding=1)),
    pages("end_first", "The end page has a first index.", change(1, first=1)),
    pages("end_entries", "The end page has an entry.", change(1, count=1)),
    pages("end_images", "The number of images is one more.", change(1, owner=2)),
    pages("end_kind", "The last page has all of an end page but its kind.", change(1, kind=RECORDS)),
    pages("no_end_page", "The last page is one of images.", rearrange(lambda p: p[:1])),
    pages("end_page_twice", "There are two end pages.", rearrange(lambda p: p + [p[1]])),
    pages("end_not_last", "The end page comes first.", rearrange(lambda p: [p[1], p[0]])),
    end("chunks", "The number of chunks is one more.", 16, lambda n: n + 1),
    end("length", "The sum of lengths is one less.", 24, lambda n: n - 1),
    end("offset", "M is another one than in the trailer.", 32, lambda n: n + 4096),
    plain("end_tail", "The last byte of the end page is not zero.", LAST, put(-1, b"\1")),
    plain("end_tail_first", "The first byte behind the numbers of the end page is not zero.", LAST, put(40, b"\1")),
    plain("tail", "The last byte of an image page is not zero.", FIRST, put(-1, b"\1")),
    plain("tail_first", "The first byte behind the record is not zero.", FIRST, put(16 + 4 + 2 + 6 + 8 + 56, b"\1")),
]

SEALED = [
    sealed("page_swapped", "Two encrypted pages change places.", lambda p: [p[1], p[0], p[2]], **TWO_PAGES),
    sealed(
        "page_repeated",
        "An encrypted page stands in the place of another.",
        lambda p: [p[0], p[0], p[2]],
        **TWO_PAGES,
    ),
    sealed("page_missing", "The last encrypted page is missing.", lambda p: p[:1]),
    sealed(
        "page_flipped_resigned",
        "A bit of a page is flipped, and that is signed.",
        lambda p: [flip(100)(None, p[0]), p[1]],
    ),
    sealed(
        "page_tag_resigned",
        "A bit of a tag is flipped, and that is signed.",
        lambda p: [p[0], flip(-1)(None, p[1])],
    ),
    flipped(
        "page_flipped",
        "A bit of an encrypted page is flipped: the signature does not hold.",
        "Trailer",
        also=[without_key()],
    ),
    flipped(
        "page_flipped_unsigned",
        "A bit of an encrypted page of an unsigned file is flipped.",
        "Manifest",
        options={"origin": None},
        settings=UNSIGNED,
        also=[without_key("The same without a key: it cannot be told.", exit=0)],
    ),
    nonce("last_flag_missing", "The last page is encrypted as one that is not.", LAST, put(-1, b"\0")),
    nonce("last_flag_early", "The first page is encrypted as the last one.", FIRST, put(-1, b"\1")),
    nonce("page_number", "The first page is encrypted as page 2.", FIRST, put(-2, b"\2")),
    bad(
        "manifest_key_of_other_file",
        "Manifest",
        "A page is encrypted with another key.",
        {"sealed_pages": lambda w, p: [p[0], other_key(w)]},
    ),
]

CONTENTS = [
    contents("stream_two_images", "Content stream with two images.", [*SMALL, ("two", b"2")]),
    contents("stream_name", "The image of content stream has another name.", [("tree.tar", b"1")]),
    contents("tree_name", "The image of content tree is called stream.", SMALL, options={"content": 3}),
    contents(
        "tree_two_images",
        "Content tree with two images.",
        [("tree.tar", b"1"), ("two", b"2")],
        options={"content": 3},
    ),
    contents("stream_no_image", "Content stream without an image.", []),
    contents("tree_no_image", "Content tree without an image.", [], options={"content": 3}),
    good(
        "good_criu_any_names",
        "Contents",
        "Images of content criu are named stream and tree.tar.",
        images=[("stream", b"1"), ("tree.tar", b"2")],
        options={"content": 1},
    ),
]

SCENARIOS = PAGES + SEALED + CONTENTS

# SPDX-License-Identifier: Apache-2.0
"""Chunk pages of "Manifest": what is allowed, and faults. Most chunks are zeros and left out."""

from dataclasses import replace

from people import BY_KEY, exclusive
from pieces import CHUNKS, Page
from scenario import CHUNK, EIGHT_ZEROS, NINE_CHUNKS, TWO, bad, change, good, rearrange

CRIU = {"content": 1}
NINE = {"images": NINE_CHUNKS, "options": EIGHT_ZEROS}


def zeros(count):
    """A stream of so many full chunks of zeros that are left out, and 100 bytes."""
    return {
        "images": [("stream", bytes(count * CHUNK) + TWO[:100])],
        "options": {"left_out": lambda _number, index: index < count},
    }


PAGES_2 = zeros(72)


def pages(name, what, fault, **rest):
    return bad(name, "Manifest", what, {"pages": fault}, **rest)


def split(index, first):
    """One page becomes two, of which the former has `first` entries."""

    def arrangement(values):
        page = values[index]
        size = len(page.body) // page.count
        former = replace(page, count=first, body=page.body[: first * size])
        latter = replace(page, count=page.count - first, first=page.first + first, body=page.body[first * size :])
        return values[:index] + [former, latter] + values[index + 1 :]

    return rearrange(arrangement)


def entries(count):
    """The first page has so many, the last one repeated."""

    def arrangement(values):
        page = values[0]
        body = page.body + page.body[-56:]
        return [replace(page, count=count, body=body[: count * 56])] + values[1:]

    return rearrange(arrangement)


def unknown_image(page):
    return Page(CHUNKS, 1, 7, 0, page.body[-56:])


def in_front(make):
    """One page more, made of the first one."""
    return lambda _w, values: [make(values[0])] + values


def without_chunk_pages(_writer, values):
    return [page for page in values if page.kind != CHUNKS]


def one_chunk(page):
    return Page(CHUNKS, 1, 0, 0, page.body[-56:])


GOOD = [
    good("good_many_chunks", "Manifest", "Nine chunks: their entries stand in a chunk page.", **NINE),
    good("good_eight_chunks", "Manifest", "Eight chunks, the most that stand in the image record.", **zeros(7)),
    good("good_chunk_pages", "Manifest", "73 chunks in two pages.", **PAGES_2),
    good(
        "good_chunk_page_full",
        "Manifest",
        "72 chunks, the last one empty: one full page.",
        images=[("stream", bytes(71 * CHUNK))],
        options={"left_out": lambda _number, index: index < 71},
    ),
    good(
        "good_chunk_pages_exclusive",
        "Manifest",
        "170 chunks of an exclusive file in two pages.",
        images=[("stream", bytes(169 * CHUNK) + TWO[:100])],
        options=exclusive(left_out=lambda _number, index: index < 169),
        settings=BY_KEY,
    ),
    good(
        "good_chunk_pages_mixed",
        "Manifest",
        "The chunk pages of two images take turns, and stand around the image page.",
        images=[("a", bytes(72 * CHUNK) + b"a"), ("b", bytes(73 * CHUNK) + b"b")],
        options={
            "content": 1,
            "left_out": lambda number, index: index < 72 + number,
            "inject": {"pages": rearrange(lambda p: [p[2], p[0], p[4], p[1], p[3], p[5]])},
        },
    ),
]

CHUNK_PAGES = [
    pages("chunk_missing", "A chunk page lacks the last entry.", change(0, count=8), **NINE),
    pages("chunk_entry_missing", "A chunk page has 8 entries of 9, and nothing of the last.", entries(8), **NINE),
    pages("chunk_entry_too_many", "A chunk page has an entry more than the image has chunks.", entries(10), **NINE),
    pages("chunk_page_missing", "An image of nine chunks has no chunk page.", without_chunk_pages, **NINE),
    pages("chunk_page_short", "Two chunk pages of 5 and 4 entries.", split(0, 5), **NINE),
    pages("chunk_page_first_index", "The first chunk page begins with chunk 1.", change(0, first=1), **NINE),
    pages("chunk_page_count_73", "A chunk page with 73 entries.", change(0, count=73), **NINE),
    pages("chunk_page_count_65535", "A chunk page with 65535 entries.", change(0, count=65535), **NINE),
    pages(
        "chunk_page_empty",
        "The first chunk page has no entry.",
        in_front(lambda p: replace(p, count=0, body=b"")),
        **NINE,
    ),
    pages("chunk_page_owner", "The chunk page is of image 1, which does not exist.", change(0, owner=1), **NINE),
    pages("chunk_page_twice", "The chunk page stands twice.", in_front(lambda p: p), **NINE),
    pages(
        "chunk_page_of_unknown_image",
        "A chunk page of an image that does not exist.",
        in_front(unknown_image),
        options=CRIU,
    ),
    pages(
        "chunk_page_of_inline_image",
        "The entry of a chunk stands in the record and in a chunk page.",
        in_front(one_chunk),
    ),
    pages(
        "chunk_page_second_missing",
        "The second chunk page is missing.",
        rearrange(lambda p: p[:1] + p[2:]),
        **PAGES_2,
    ),
    pages(
        "chunk_pages_swapped",
        "The second chunk page comes first.",
        rearrange(lambda p: [p[1], p[0]] + p[2:]),
        **PAGES_2,
    ),
    pages("chunk_page_second_index", "The second chunk page begins with chunk 73.", change(1, first=73), **PAGES_2),
    pages("chunk_page_not_full", "The first of three chunk pages has 71 entries.", split(0, 71), **PAGES_2),
    pages(
        "chunk_page_index_absurd",
        "The second chunk page begins with chunk 2^64 - 1.",
        change(1, first=2**64 - 1),
        **PAGES_2,
    ),
]

SCENARIOS = GOOD + CHUNK_PAGES

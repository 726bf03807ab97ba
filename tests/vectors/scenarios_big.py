# SPDX-License-Identifier: Apache-2.0
"""What is too large to keep: chunk pages whose chunks are stored, and the most images and slots of a file."""

from people import BY_KEY, exclusive
from scenario import CHUNK, ORIGIN, Scenario, bad, content, flip, generation_2, good
from slots import added, passphrase_slot

LONG = content("long", 73 * CHUNK + 100)
STREAM = [("stream", LONG)]
TWO_IMAGES = [("a.img", LONG[: 72 * CHUNK + 7]), ("b.img", LONG[: 73 * CHUNK + 7])]
TURNS = [(n % 2, n // 2) for n in range(2 * 73)] + [(1, 73)]
MOST = 131072
RULE = "Manifest"


def images(count):
    """Of one byte, which is zero and left out, so that it takes no cryptography."""
    return [(f"i{n}", b"\0") for n in range(count)]


def listing(count):
    """All slots at sealing were removed, so nobody looks at their digests, and one was added."""
    headers = generation_2(lambda w: [added(w, passphrase_slot(w), ORIGIN)])
    return {"log_h": 22, "headers": headers, "inject": {"slot_list": lambda *_: bytes(32 * count)}}


ALL_LEFT_OUT = {"content": 1, "left_out": lambda _number, _index: True}

SCENARIOS = [
    good("big_chunk_pages", RULE, "74 chunks in two pages.", images=STREAM),
    good(
        "big_two_images",
        RULE,
        "Chunks of two images take turns.",
        images=TWO_IMAGES,
        options={"content": 1, "order": TURNS},
    ),
    good(
        "big_exclusive",
        RULE,
        "170 chunks of an exclusive file in two pages.",
        images=[("stream", bytes(169 * CHUNK + 100))],
        options=exclusive(),
        settings=BY_KEY,
    ),
    bad(
        "big_chunk_flipped",
        "Chunks",
        "A bit of the last chunk of two pages is flipped.",
        {"file": lambda w, file: flip(w.data_at + 73 * CHUNK)(w, file)},
        images=STREAM,
    ),
    good("big_images", RULE, "131072 images, the most.", images=images(MOST), options=ALL_LEFT_OUT),
    bad("big_images_more", RULE, "131073 images.", {}, images=images(MOST + 1), options=ALL_LEFT_OUT),
    good("big_slot_list", "Header copies", "The slot list has 65535 slots, the most.", options=listing(65535)),
    Scenario("big_slot_list_more", "Header copies", "The slot list has 65536 slots.", options=listing(65536)),
]

# SPDX-License-Identifier: Apache-2.0
"""Files that a reader must accept, one for each thing that the page allows, where no fault of the same subject has a
module of its own."""

from hybrid_slot import hybrid_slot
from people import BY_HYBRID, BY_KEY, BY_OTHER_PASSPHRASE, BY_TPM, OTHER_PARENT, PARENT, exclusive
from pieces import CREATED, Slot
from policy import approvals, epoch, policy
from primitives import scalar_from, u32, u64
from scenario import (
    CHUNK,
    EXTRACT,
    SMALL,
    THREE_CHUNKS,
    TWO,
    TWO_CHUNKS,
    UNSIGNED,
    content,
    good,
    without_key,
)
from slots import OTHER_PASSPHRASE, passphrase_slot
from tpm_slot import tpm_slot

TWO_IMAGES = [("core-1.img", content("core", CHUNK + 500)), ("pages-1.img", TWO)]
NOT_AFTER_TIME = 16725225600  # in the year 2500
NOT_AFTER = b"\1" + u64(NOT_AFTER_TIME)
RESTORES = b"\2" + u32(2)
WRONG = {"what": "The same with a wrong passphrase.", "passphrase": "wrong", "exit": 3}


def two_passphrases(writer):
    return [passphrase_slot(writer, passphrase=OTHER_PASSPHRASE), passphrase_slot(writer)]


def many_slots(writer):
    """100, in a header of 16 KiB; the one that opens is the last."""
    return [Slot(0x7E57, bytes([n])) for n in range(99)] + [passphrase_slot(writer)]


FILES = [
    good(
        "good_stream",
        "Reading",
        "A stream of 100 bytes, signed, with one passphrase slot.",
        also=[
            without_key("The same without a key: the signature is good, the chunks are unchecked."),
            {"what": "The same, extracted.", **EXTRACT},
            WRONG,
            {"what": "The same, extracted without a key.", **without_key(), **EXTRACT, "exit": 9},
        ],
    ),
    good("good_tree", "Contents", "Content tree.", images=[("tree.tar", bytes(10240))], options={"content": 3}),
    good("good_criu_no_images", "Manifest", "Content criu has no image.", images=[], options={"content": 1}),
    good(
        "good_small_images",
        "Manifest",
        "Two images of content criu, one of them empty.",
        images=[("inventory.img", SMALL[0][1]), ("empty.img", b"")],
        options={"content": 1},
    ),
    good(
        "good_many_images",
        "Manifest",
        "70 images of few bytes take two image pages; names of 1 and of 255 bytes among them.",
        images=[(f"i{n}", b"") for n in range(68)] + [("~", b"1"), ("n" * 255, b"255")],
        options={"content": 1},
    ),
    good(
        "unsigned",
        "Reading",
        "No origin, and the caller allows that.",
        options={"origin": None},
        settings=UNSIGNED,
        also=[
            {"what": "The same, and the caller does not allow it.", "allow_unsigned": False, "exit": 4},
            without_key("The same without a key."),
            without_key("The same without a key, and the caller does not allow it.", allow_unsigned=False, exit=4),
        ],
    ),
]

SIZES = [
    good("good_empty_stream", "Chunks", "A stream of no bytes has one empty chunk.", images=[("stream", b"")]),
    good(
        "good_exact_chunk",
        "Chunks",
        "A stream of one chunk has an empty second one.",
        images=[("stream", TWO[:CHUNK])],
    ),
    good("good_two_chunks", "Chunks", "A stream of a full chunk and a short one.", images=TWO_CHUNKS),
    good("good_exclusive", "Suites", "Suite 3: no digests.", images=TWO_CHUNKS, options=exclusive(), settings=BY_KEY),
    good("good_chacha", "Suites", "Suite 2: ChaCha20-Poly1305.", images=TWO_CHUNKS, options={"suite": 2}),
    good("good_chacha_exclusive", "Suites", "Suite 4.", options=exclusive(4), settings=BY_KEY),
    good(
        "good_exclusive_tpm",
        "Suites",
        "The slot of an exclusive file is for a TPM.",
        options=exclusive(slots=lambda w: [tpm_slot(w, PARENT)]),
        settings=BY_TPM,
    ),
    good(
        "good_exclusive_tpm_approvals",
        "Suites",
        "The slot of an exclusive file is for a TPM, with approvals to restore.",
        options=exclusive(slots=lambda w: [tpm_slot(w, PARENT, any_policy=policy(approvals(), epoch()))]),
        settings=BY_TPM,
    ),
    good(
        "good_exclusive_hybrid",
        "Suites",
        "The slot of an exclusive file is for a hybrid key.",
        options=exclusive(slots=lambda w: [hybrid_slot(w)]),
        settings=BY_HYBRID,
    ),
    good(
        "good_two_images_interleaved",
        "Chunks",
        "Content criu: the chunks of two images stand mixed and out of order.",
        images=TWO_IMAGES,
        options={"content": 1, "order": [(1, 1), (0, 1), (1, 0), (1, 2), (0, 0)]},
    ),
    good(
        "good_chunks_backward",
        "Chunks",
        "The chunks of a stream stand in the data area from the last to the first.",
        images=THREE_CHUNKS,
        options={"order": [(0, 2), (0, 1), (0, 0)]},
    ),
    good(
        "good_chunk_size",
        "Immutable part",
        "Chunks of 128 KiB: the stream is one.",
        images=TWO_CHUNKS,
        options={"log_c": 17},
    ),
    good(
        "good_chunk_size_4_mib",
        "Immutable part",
        "Chunks of 4 MiB, the largest; the first one is zeros and left out.",
        images=[("stream", bytes(1 << 22) + TWO[:100])],
        options={"log_c": 22, "left_out": lambda _number, index: index == 0},
    ),
    good("good_header_size", "Preamble", "Header copies of 8 KiB.", options={"log_h": 13}),
    good("good_header_size_4_mib", "Preamble", "Header copies of 4 MiB, the largest.", options={"log_h": 22}),
]

LIMITS = [
    good(
        "good_limits",
        "Immutable part",
        "The content may be given out twice, and not after a time that is far off.",
        options={"conditions": [NOT_AFTER, RESTORES]},
        also=[
            without_key(),
            {"what": "The same, and a reader that counts no uses is asked for its content.", "exit": 2, **EXTRACT},
            WRONG | EXTRACT,
        ],
    ),
    good(
        "good_restores",
        "Immutable part",
        "The content may be given out 4294967295 times.",
        options={"conditions": [b"\2" + u32(2**32 - 1)]},
    ),
    good(
        "good_not_after",
        "Immutable part",
        "The file ends at a time that is far off.",
        options={"conditions": [NOT_AFTER]},
        also=[
            {"what": "The same, extracted.", **EXTRACT},
            {"what": "The same, a second before.", "now": NOT_AFTER_TIME - 1},
            {"what": "The same at that second.", "now": NOT_AFTER_TIME, "exit": 6},
            {"what": "The same at that second, extracted.", "now": NOT_AFTER_TIME, **EXTRACT, "exit": 6},
            {"what": "The same long after, with a wrong passphrase.", "now": 1 << 40, "passphrase": "wrong", "exit": 6},
            without_key("The same long after without a key: that needs none.", now=1 << 40),
            {"what": "The same long after, and the origin is not trusted.", "now": 1 << 40, "trusted": [], "exit": 4},
        ],
    ),
    good(
        "good_not_after_next_second",
        "Immutable part",
        "The file ends a second after it was made.",
        options={"conditions": [b"\1" + u64(CREATED + 1)]},
        settings={"now": CREATED},
        also=[{"what": "The same a second later.", "now": CREATED + 1, "exit": 6}],
    ),
]

SLOTS = [
    good("good_many_slots", "Slots", "100 slots.", options={"slots": many_slots}, settings={"slot": 99}),
    good(
        "good_second_passphrase",
        "Slots",
        "Two passphrase slots: the second one opens.",
        options={"slots": two_passphrases},
        settings={"slot": 1},
        also=[
            {"what": "The same with the first passphrase.", "slot": 0, **BY_OTHER_PASSPHRASE},
            WRONG,
        ],
    ),
    good(
        "good_unknown_slot_body_65536",
        "Slots",
        "The body of a slot of an unknown kind has 65536 bytes.",
        options={"slots": lambda w: [Slot(0x7E57, bytes(65536)), passphrase_slot(w)]},
        settings={"slot": 1},
    ),
    good(
        "good_tpm_and_passphrase",
        "Slots",
        "A TPM slot of another host and a passphrase slot.",
        options={"slots": lambda w: [tpm_slot(w, OTHER_PARENT), passphrase_slot(w)]},
        settings={"slot": 1},
        also=[
            {
                "what": "The same with the storage parent of a host that has no slot.",
                "passphrase": None,
                "parent_scalar": f"{scalar_from('nobody'):064x}",
                "exit": 9,
            }
        ],
    ),
]

SCENARIOS = FILES + SIZES + LIMITS + SLOTS

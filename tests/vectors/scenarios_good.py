# SPDX-License-Identifier: Apache-2.0
"""Files that a reader must accept, one for each thing that the page allows."""

from primitives import scalar_from, u16
from scenario import ADDER, CHUNK, NINE_CHUNKS, SMALL, STRANGER, TWO_CHUNKS, content, flip, good, only
from scenarios_header import NOT_AFTER, RESTORES, with_conditions
from tpm_slot import StorageParent, search_ephemeral, tpm_body
from writer import added_slot, frame, passphrase_body, passphrase_slot

PARENT = StorageParent("recipient")
OTHER_PARENT = StorageParent("other recipient")
OTHER_PASSPHRASE = b"another passphrase"
TWO_IMAGES = [("core-1.img", content("core", CHUNK + 500)), ("pages-1.img", content("pages", 2 * CHUNK))]


def tpm_only(**changes):
    return lambda writer: [frame(1, tpm_body(writer, PARENT, **changes))]


def tpm(name, what, **changes):
    return good(
        name,
        "TPM slot (kind 1)",
        what,
        options={"slots": tpm_only(**changes)},
        settings={"passphrase": None, "parent_scalar": f"{PARENT.scalar:064x}"},
    )


def added(writer):
    """A slot of the origin for another passphrase and one that a host added in generation 2."""
    mine = added_slot(writer, 2, passphrase_body(writer), ADDER, 2)
    return [passphrase_slot(writer, passphrase=OTHER_PASSPHRASE), mine]


def first_slot_alone(writer, _value, _copy):
    return u16(1) + writer.slots[0]


def unknown_first(writer):
    return [frame(0x7E57, writer.random("unknown body", 40)), passphrase_slot(writer)]


def many_slots(writer):
    """512, so that their digests take two pages; the one that opens is the last."""
    return [frame(0x7E57, bytes([n % 256, n // 256])) for n in range(511)] + [passphrase_slot(writer)]


def without_key(what):
    return {"what": what, "passphrase": None, "images": {}}


DAMAGED = {"warning": True, "wanted_operation": "extract"}
VERIFY_DAMAGED = {
    "what": "The same: verify reports the damage of the spare copy as one of the file.",
    "wanted_operation": "verify",
    "exit": 5,
}

SCENARIOS = [
    good(
        "good_stream",
        "Reading",
        "A stream of 100 bytes, signed, with one passphrase slot.",
        also=[
            without_key("The same without a key: the signature is good, the chunks are unchecked."),
            {"what": "The same, extracted.", "wanted_operation": "extract"},
            {"what": "The same with a wrong passphrase.", "passphrase": "wrong", "exit": 3},
            {"what": "The same, extracted without a key.", "passphrase": None, "wanted_operation": "extract", "exit": 9},
        ],
    ),
    good("good_empty_stream", "Chunks", "A stream of no bytes has one empty chunk.", images=[("stream", b"")]),
    good(
        "good_exact_chunk",
        "Chunks",
        "A stream of exactly one chunk has an empty second one.",
        images=[("stream", content("exact", CHUNK))],
    ),
    good("good_two_chunks", "Chunks", "A stream of a full chunk and a short one.", images=TWO_CHUNKS),
    good("good_exclusive", "Suites", "Suite 3: no digests, one slot.", images=TWO_CHUNKS, options={"suite": 3}),
    good("good_chacha", "Suites", "Suite 2: ChaCha20-Poly1305.", images=TWO_CHUNKS, options={"suite": 2}),
    good("good_chacha_exclusive", "Suites", "Suite 4.", images=TWO_CHUNKS, options={"suite": 4}),
    good("good_tree", "Contents", "Content tree.", images=[("tree.tar", bytes(10240))], options={"content": 3}),
    good(
        "good_two_images_interleaved",
        "Chunks",
        "Content criu: the chunks of two images stand mixed and out of order.",
        images=TWO_IMAGES,
        options={"content": 1, "order": [(1, 1), (0, 1), (1, 0), (1, 2), (0, 0)]},
    ),
    good("good_many_chunks", "Manifest", "Nine chunks: their entries stand in a chunk page.", images=NINE_CHUNKS),
    good(
        "good_eight_chunks",
        "Manifest",
        "Eight chunks, the most whose entries stand in the image record.",
        images=[("stream", content("eight", 7 * CHUNK + 1))],
    ),
    good(
        "good_many_images",
        "Manifest",
        "300 images of few bytes take two image pages; names of 1 and of 255 bytes among them.",
        images=[(f"i{n}", b"") for n in range(298)] + [("~", b"1"), ("n" * 255, b"255")],
        options={"content": 1},
    ),
    good("good_many_slots", "Slots", "512 slots: their digests take two pages.", options={"slots": many_slots}),
    good("good_chunk_size", "Immutable part", "Chunks of 128 KiB.", images=TWO_CHUNKS, options={"log_c": 17}),
    good("good_header_size", "Preamble", "Header copies of 128 KiB.", options={"log_h": 17}),
    good(
        "good_limits",
        "Immutable part",
        "The content may be given out twice, and not after a time that is far off.",
        options={"inject": {"immutable": with_conditions(u16(2), NOT_AFTER, RESTORES)}},
        also=[without_key("The same without a key.")],
    ),
    good(
        "good_not_after",
        "Immutable part",
        "The file ends at a time that is far off.",
        options={"inject": {"immutable": with_conditions(u16(1), NOT_AFTER)}},
        also=[{"what": "The same, extracted.", "wanted_operation": "extract"}],
    ),
    good("good_parent", "Immutable part", "The file has a parent.", options={"parent": b"\x5a" * 32}),
    good("good_unknown_slot_kind_skipped", "Slots", "A slot of an unknown kind comes first.", options={"slots": unknown_first}),
    good(
        "good_second_passphrase",
        "Slots",
        "Two passphrase slots: the second one opens.",
        options={"slots": lambda w: [passphrase_slot(w, passphrase=OTHER_PASSPHRASE), passphrase_slot(w)]},
    ),
    good(
        "good_slot_added",
        "Slots",
        "A slot that a trusted host added and signed, in both header copies.",
        options={"slots": added, "generations": (2, 2)},
        settings={"trusted_adders": [ADDER.public()]},
        also=[
            {"what": "The same, but the adder is not trusted.", "trusted_adders": [], "exit": 4},
            {"what": "The same, but another adder is trusted.", "trusted_adders": [STRANGER.public()], "exit": 4},
            {
                "what": "The same, opened by the slot that was there at sealing: then the adder does not matter.",
                "passphrase": OTHER_PASSPHRASE.decode("ascii"),
                "trusted_adders": [],
            },
        ],
    ),
    good(
        "good_header_newer_generation",
        "Header copies",
        "Copy 1 has generation 2 and the slot that opens: it is used, with a warning.",
        options={"slots": added, "generations": (1, 2), "inject": {"slots_part": only((0,), first_slot_alone)}},
        settings={"trusted_adders": [ADDER.public()], "warning": True},
    ),
    good(
        "good_header_copies_differ",
        "Header copies",
        "Both copies have generation 1 and differ: copy 0 is used, with a warning.",
        options={
            "inject": {
                "slots_part": only((1,), lambda w, _v, _n: u16(1) + passphrase_slot(w, passphrase=OTHER_PASSPHRASE))
            }
        },
        settings={"warning": True},
    ),
    good(
        "good_header_copy_0_damaged",
        "Header copies",
        "A byte of copy 0 is flipped: copy 1 is used, with a warning.",
        options={"inject": {"header_copy": only((0,), flip(200))}},
        settings=DAMAGED,
        also=[VERIFY_DAMAGED],
    ),
    good(
        "good_header_copy_1_damaged",
        "Header copies",
        "A byte of the padding of copy 1 is flipped: copy 0 is used, with a warning.",
        options={"inject": {"header_copy": only((1,), flip(60000))}},
        settings=DAMAGED,
        also=[VERIFY_DAMAGED],
    ),
    good(
        "good_header_copy_newer_not_sound",
        "Header copies",
        "Copy 0 has generation 2 and a right checksum, but no slots: it is not sound, and copy 1 is used.",
        options={"generations": (2, 1), "inject": {"slots_part": only((0,), lambda *_: u16(0))}},
        settings=DAMAGED,
        also=[VERIFY_DAMAGED],
    ),
    tpm("good_tpm", "A TPM slot, opened in software with the private scalar of the storage parent."),
    tpm("good_tpm_all_pcrs", "A TPM slot with all PCRs that are allowed.", pcr_numbers=[n for n in range(24) if n != 10]),
    tpm(
        "good_tpm_leading_zero_point",
        "The x coordinate of the ephemeral point begins with a zero, and is padded.",
        ephemeral=search_ephemeral(51),
    ),
    tpm(
        "good_tpm_leading_zero_shared",
        "The x coordinate of the shared point begins with a zero, and is padded.",
        ephemeral=search_ephemeral(205),
    ),
    good(
        "good_tpm_and_passphrase",
        "Slots",
        "A TPM slot of another host and a passphrase slot.",
        options={"slots": lambda w: [frame(1, tpm_body(w, OTHER_PARENT)), passphrase_slot(w)]},
        also=[
            {
                "what": "The same with the storage parent of a host that has no slot.",
                "passphrase": None,
                "parent_scalar": f"{scalar_from('nobody'):064x}",
                "exit": 9,
            }
        ],
    ),
    good(
        "unsigned",
        "Reading",
        "No origin, and the caller allows that.",
        options={"origin": None},
        settings={"allow_unsigned": True, "trusted_origins": []},
        also=[{"what": "The same, and the caller does not allow it.", "allow_unsigned": False, "exit": 4}],
    ),
    good(
        "good_small_images",
        "Manifest",
        "Two images of content criu, one of them empty.",
        images=[("inventory.img", SMALL[0][1]), ("empty.img", b"")],
        options={"content": 1},
    ),
]

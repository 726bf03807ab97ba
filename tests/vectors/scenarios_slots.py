# SPDX-License-Identifier: Apache-2.0
"""Faults of the frame of "Slots" at generation 1, and of "Passphrase slot". The header's MAC and checksum hold, and the
slot list has the faulty slot: whoever sealed did it wrong, or did it on purpose."""

from pieces import Slot
from primitives import u16
from scenario import Scenario, bad, flip, put, without_key
from slot_files import changed, slot_file
from slots import PASSPHRASE_KIND, passphrase_body, passphrase_slot

RULE = "Passphrase slot (kind 2)"
WARNED = {"warning": True}
LESS = {"what": "The same, and a KiB less is allowed.", "exit": 1, "warning": True}


def slots(name, what, make, rule="Slots", **rest):
    options = {"slots": make} | rest.pop("options", {})
    return Scenario(name, rule, what, options=options, **rest)


def part(name, what, fault):
    """Of both copies; the list is that of the right slots."""
    return bad("slot_" + name, "Slots", what, {"slots_part": fault}, also=[without_key()])


def passphrase(name, what, exit=5, **changes):
    """Without a warning where the passphrase was tried."""
    settings = {"warning": exit != 3}
    return slot_file("passphrase_" + name, RULE, what, exit, lambda w: passphrase_slot(w, **changes), settings)


def body(name, what, fault, exit=5):
    """A passphrase slot whose encoded body is changed."""
    make = changed(PASSPHRASE_KIND, passphrase_body, fault)
    return slot_file("passphrase_" + name, RULE, what, exit, make, {"warning": exit != 3})


def costs(name, what, *cost):
    """The memory that the reader allows is just what it takes."""
    settings = {"max_memory_kib": cost[0]}
    also = [LESS | {"max_memory_kib": cost[0] - 1}]
    return slot_file("good_passphrase_" + name, RULE, what, 0, lambda w: passphrase_slot(w, cost=cost), settings, also)


def flipped_at(at):
    return lambda right: flip(at)(None, right)


FRAME = [
    part("truncated", "The last slot lacks its last byte.", lambda w, s, _n: s[:-1]),
    part("appended", "A byte follows the last slot.", lambda w, s, _n: s + b"\0"),
    part("count_too_high", "The number of slots is one more.", put(0, u16(2))),
    part("count_too_low", "The number of slots is 0, and there is one.", put(0, u16(0))),
    part("part_empty", "S is 0.", lambda *_: b""),
    part("part_one_byte", "S is 1.", lambda *_: b"\0"),
    part("head_cut", "There are 7 bytes of a slot.", lambda w, s, _n: s[:9]),
    slots(
        "slot_length_absurd",
        "A body has 2^32 - 1 bytes.",
        lambda w: [passphrase_slot(w), Slot(7, b"x", length=2**32 - 1)],
    ),
    slots(
        "slot_length_zero",
        "The body of a slot of an unknown kind is empty.",
        lambda w: [Slot(7, b""), passphrase_slot(w)],
    ),
    slots(
        "slot_length_65537",
        "The body of a slot of an unknown kind has 65537 bytes.",
        lambda w: [Slot(7, bytes(65537)), passphrase_slot(w)],
    ),
    slots("slot_kind_0_alone", "The only slot is of kind 0.", lambda w: [Slot(0, b"body")], exit=9),
    slots(
        "slot_kind_7_alone",
        "The only slot is of kind 7.",
        lambda w: [Slot(7, b"body")],
        exit=9,
        also=[without_key(exit=0)],
    ),
    slots("slot_kind_65535_alone", "The only slot is of kind 65535.", lambda w: [Slot(65535, b"body")], exit=9),
    slots(
        "slot_other_data_key",
        "The slot gives another key than the one that the file is committed to.",
        lambda w: [passphrase_slot(w, data_key=w.random("other data key", 32))],
        "Keys",
        settings=WARNED,
    ),
]

COSTS = [
    costs("least", "8 KiB, one pass and one lane, the least.", 8, 1, 1),
    costs("lanes", "128 KiB, one pass and 16 lanes, the most.", 128, 1, 16),
    costs("passes", "64 KiB and 16 passes, the most; a reader that allows 64 KiB does this work.", 64, 16, 1),
]

PASSPHRASE = [
    passphrase("kdf_0", "The KDF is 0.", 9, kdf=0),
    passphrase("kdf_2", "The KDF is 2.", 9, kdf=2),
    body("kdf_2_one_byte", "The KDF is 2, and nothing follows.", lambda b: b"\2", 9),
    passphrase("memory_absurd", "The memory is 2^32 - 1 KiB.", memory=2**32 - 1),
    passphrase("memory_above_limit", "The memory is 4194305 KiB.", memory=4194305),
    passphrase("memory_more_than_allowed", "The memory is 4194304 KiB.", 1, memory=4194304),
    passphrase("memory_small", "The memory is less than 8 times the lanes.", memory=127, lanes=16),
    passphrase("memory_zero", "The memory is 0.", memory=0),
    passphrase("passes_zero", "The passes are 0.", passes=0),
    passphrase("passes_17", "The passes are 17.", passes=17),
    passphrase("passes_absurd", "The passes are 2^32 - 1.", passes=2**32 - 1),
    passphrase("lanes_zero", "The lanes are 0.", lanes=0),
    passphrase("lanes_17", "The lanes are 17.", lanes=17, memory=136),
    passphrase("passes_changed", "The passes are 2, and were 1 at sealing: another key.", 3, passes=2),
    passphrase("memory_changed", "The memory is 72 KiB, and was 64 at sealing.", 3, memory=72),
    passphrase("lanes_changed", "The lanes are 2, and were 1 at sealing.", 3, lanes=2),
    passphrase("salt_changed", "A bit of the salt is flipped.", 3, salt=bytes(16)),
    passphrase("appended", "A byte follows the tag.", tail=b"\0"),
    body("truncated", "The tag lacks its last byte.", lambda b: b[:-1]),
    body("one_byte", "The body has one byte.", lambda b: b[:1]),
    body("wrapped_flipped", "A bit of the wrapped data key is flipped: as with a wrong passphrase.", flipped_at(29), 3),
    body("tag_flipped", "A bit of the tag is flipped: as with a wrong passphrase.", flipped_at(-1), 3),
    passphrase(
        "of_other_file",
        "The slot is that of another checkpoint, with this data key.",
        3,
        checkpoint_id=bytes(16),
    ),
]

SCENARIOS = FRAME + COSTS + PASSPHRASE

# SPDX-License-Identifier: Apache-2.0
"""Faults of "Preamble" and of "Header copies" at generation 1: both copies have them unless the scenario says
otherwise. What a fault would have broken behind it is right, so that the rule in question is alone."""

from pieces import NOBODY, Header, Signature, Slot
from primitives import u16, u32
from scenario import (
    CHANGER,
    EXTRACT,
    ORIGIN,
    TRUST_CHANGER,
    Scenario,
    bad,
    flip,
    generation_2,
    good,
    only,
    put,
    without_key,
)
from slots import added, passphrase_slot

I, S = 162, 87  # lengths of the usual immutable part and slots
SLOTS_AT = 28 + I + 32
FRONT = SLOTS_AT + S  # the MAC begins there
LAST = 2**63 - 1


def preamble(name, what, fault):
    return bad("preamble_" + name, "Preamble", what, {"preamble": fault})


def header(name, what, inject, **rest):
    return bad("header_" + name, "Header copies", what, inject, **rest)


def lengths(immutable=I, listed=1, slots=S):
    return put(16, u32(immutable) + u32(listed) + u32(slots))


def damaged(name, what, inject, **rest):
    """One copy is not sound, and the other one opens."""
    look = {"what": "The same: a check reports the spare copy's damage as one of the file.", "exit": 5}
    return good(
        "good_header_" + name,
        "Header copies",
        what,
        options=rest.pop("options", {}) | {"inject": inject},
        settings={"warning": True} | EXTRACT | rest.pop("settings", {}),
        also=[look | {"wanted_operation": "verify"}, *rest.pop("also", [])],
    )


def filling(left):
    """Slots that leave so many bytes before the checksum: one of an unknown kind and the usual one."""
    size = 4096 - 32 - left - 28 - I - 2 * 32 - S - 8
    return lambda writer: [Slot(0x7E57, bytes(size)), passphrase_slot(writer)]


def cut_at_checksum(_writer, block, _copy):
    return block[: 4096 - 32]


def foreign_immutable(writer, front, _copy):
    """The header of another file of the same origin, as far as anyone can tell without its key."""
    return put(28 + 24, bytes(32))(writer, front)


PREAMBLE = [
    preamble("magic", "The magic of the preamble is wrong.", flip(0)),
    preamble("version", "The format version of the preamble is 2.", put(8, u16(2))),
    preamble("padding", "The last byte of the preamble is not zero.", put(-1, b"\1")),
    preamble("padding_first", "The first padding byte of the preamble is not zero.", put(11, b"\1")),
    bad(
        "header_size_absurd",
        "Preamble",
        "The base-2 logarithm of H is 255, in the preamble and in the immutable part.",
        {"preamble": put(10, b"\xff"), "immutable": put(4, b"\xff")},
    ),
    bad("header_size_small", "Preamble", "H is 2 KiB everywhere.", {}, options={"log_h": 11}),
    bad("header_size_large", "Preamble", "H is 8 MiB everywhere.", {}, options={"log_h": 23}),
    bad(
        "header_size_too_large_for_file",
        "Trailer",
        "H is 4 MiB by the preamble, in a file that is smaller.",
        {"preamble": put(10, b"\x16"), "immutable": put(4, b"\x16")},
    ),
]

HEADER = [
    header(
        "both_damaged",
        "A byte of each header copy is flipped.",
        {"header_copy": flip(200)},
        also=[without_key()],
    ),
    header("checksum", "The checksum of both header copies is wrong, and nothing else.", {"header_copy": flip(-1)}),
    header("magic", "The magic of both header copies is wrong.", {"header_front": flip(0)}),
    header(
        "generation_zero",
        "The generation of both header copies is 0.",
        {"header_front": put(8, bytes(8))},
    ),
    header(
        "generation_zero_changed",
        "The generation of both header copies is 0, and the origin has changed them.",
        {},
        options={"headers": lambda w: [Header(0, w.slots, ORIGIN)] * 2},
    ),
    header(
        "mac",
        "The MAC of both header copies is wrong.",
        {"header_mac": flip(0)},
        also=[without_key("The same without a key: it cannot be checked.", exit=0)],
    ),
    header(
        "mac_of_generation_2",
        "The MAC of both header copies is wrong at generation 2.",
        {"header_mac": flip(-1)},
        options={"headers": generation_2(lambda w: w.slots)},
    ),
    header(
        "mac_no_second_try",
        "The MAC of the copy with the higher generation is wrong; the other copy is good, but not to be tried.",
        {"header_mac": only((1,), flip(0))},
        options={"headers": lambda w: [Header(1, w.slots), Header(2, w.slots, ORIGIN)]},
        settings={"warning": True},
    ),
    header("padding", "The last padding byte of both header copies is not zero.", {"header_block": put(-1, b"\1")}),
    header(
        "padding_first",
        "The first byte behind the MAC of both header copies is not zero.",
        {"header_block": put(FRONT + 32, b"\1")},
    ),
    header("lengths_absurd", "I, L and S are 2^32 - 1.", {"header_front": lengths(2**32 - 1, 2**32 - 1, 2**32 - 1)}),
    header("length_overflows", "I + S is right modulo 2^32.", {"header_front": lengths(2**32 - 16, slots=S + I + 16)}),
    header("list_overflows", "32 L is right modulo 2^32.", {"header_front": lengths(listed=2**27 + 1)}),
    header(
        "slots_too_long",
        "The slots end 31 bytes before the checksum: there is no room for the MAC.",
        {"header_block": cut_at_checksum},
        options={"log_h": 12, "slots": filling(31)},
        also=[without_key()],
    ),
    header(
        "no_room_for_change",
        "The slots of generation 2 end 67 bytes before the checksum: there is no room for change and MAC.",
        {"header_block": cut_at_checksum},
        options={"log_h": 12, "slots": filling(67), "headers": generation_2(lambda w: w.slots)},
        also=[without_key()],
    ),
    header(
        "of_other_file",
        "Copy 1 has a higher generation and the commitment of another file; its checksum is right.",
        {"header_front": only((1,), foreign_immutable)},
        options={"headers": lambda w: [Header(1, w.slots), Header(2, w.slots, ORIGIN)]},
        settings={"warning": True, "rule": "Trailer"},
        also=[{"what": "The same without a key.", **without_key(), "warning": True}],
    ),
]

DAMAGED = [
    damaged("copy_0_damaged", "A byte of copy 0 is flipped: copy 1 is used.", {"header_copy": only((0,), flip(200))}),
    damaged(
        "copy_1_damaged",
        "A byte of the padding of copy 1 is flipped: copy 0 is used.",
        {"header_copy": only((1,), flip(3000))},
    ),
    damaged(
        "copy_newer_not_sound",
        "Copy 0 has generation 2 and a right checksum, but no slots: it is not sound, and copy 1 is used.",
        {"slots_part": only((0,), lambda *_: u16(0))},
        options={"headers": lambda w: [Header(2, w.slots, ORIGIN), Header(1, w.slots)]},
    ),
    damaged(
        "copy_immutable_not_allowed",
        "Copy 0 has a right checksum and suite 5: it is not sound, and copy 1 is used.",
        {"header_front": only((0,), put(28 + 2, b"\5"))},
    ),
    damaged(
        "copy_of_other_file",
        "Copy 1 has the commitment of another file and a right checksum: copy 0 is used.",
        {"header_front": only((1,), foreign_immutable)},
    ),
    damaged(
        "copy_generation_above",
        "Copy 0 has generation 2^63: it is not sound, and copy 1 is used.",
        {},
        options={"headers": lambda w: [Header(2**63, w.slots, ORIGIN), Header(1, w.slots)]},
    ),
]

GENERATIONS = [
    good(
        "good_header_last_generation",
        "Header copies",
        "Both copies have generation 2^63 - 1, and the origin has changed them.",
        options={"headers": lambda w: [Header(LAST, w.slots, ORIGIN)] * 2},
    ),
    Scenario(
        "header_generation_above",
        "Header copies",
        "Both copies have generation 2^63.",
        options={"headers": lambda w: [Header(LAST + 1, w.slots, ORIGIN)] * 2},
    ),
    bad(
        "header_change_at_generation_1",
        "Header copies",
        "There is a change at generation 1.",
        {"change": lambda *_: ORIGIN.identity + Signature(1, bytes(64)).encode()},
    ),
    bad(
        "header_change_of_nobody_at_generation_1",
        "Header copies",
        "There is a change at generation 1, by nobody.",
        {"change": lambda *_: NOBODY.identity + NOBODY.sign(b"").encode()},
    ),
    Scenario(
        "header_slot_added_at_generation_1",
        "Slots",
        "The slot has adder 1 and generation 2, in a header of generation 1.",
        options={"headers": lambda w: [Header(1, [added(w, w.slots[0], CHANGER)])] * 2},
        settings=TRUST_CHANGER,
    ),
]

SCENARIOS = PREAMBLE + HEADER + DAMAGED + GENERATIONS

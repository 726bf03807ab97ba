# SPDX-License-Identifier: Apache-2.0
"""The slot list of "Header copies", and slots that are not those of the list."""

from primitives import sha256, u16
from scenario import ORIGIN, bad, flip, generation_2, put, without_key
from scenarios_good import two_passphrases
from slots import added, passphrase_slot

I = 162  # length of the usual immutable part


def slot_list(name, what, inject, **rest):
    return bad("slot_list_" + name, "Header copies", what, inject, **rest)


SCENARIOS = [
    slot_list("digest", "The digest of the slot list is wrong.", {"list_digest": flip(0)}),
    slot_list("other_slot", "The list has another slot than the header; its digest is right.", {"slot_list": flip(0)}),
    slot_list("longer", "The list has a slot that is not there.", {"slot_list": lambda w, part: part + bytes(32)}),
    slot_list(
        "shorter",
        "The list has the first of two slots.",
        {"slot_list": lambda w, part: part[:32]},
        options={"slots": two_passphrases},
    ),
    slot_list(
        "order",
        "The list has the slots in another order.",
        {"slot_list": lambda w, part: part[32:] + part[:32]},
        options={"slots": two_passphrases},
    ),
    slot_list(
        "empty",
        "The list has no slot, at generation 2.",
        {"slot_list": lambda *_: b""},
        options={"headers": generation_2(lambda w: [added(w, passphrase_slot(w), ORIGIN)])},
    ),
    slot_list(
        "of_copy",
        "The list of both header copies is another than the immutable part says; the slots fit to the list.",
        {"header_front": put(28 + I, sha256(u16(7) + b"x")), "slots_part": lambda *_: u16(1) + b"\0\7\0\0\0\0\0\1x"},
    ),
    bad(
        "slots_reordered",
        "Header copies",
        "Somebody changed the order of the slots.",
        {"slots_part": lambda w, part, _copy: part[:2] + part[2 + 85 :] + part[2 : 2 + 85]},
        options={"slots": two_passphrases},
    ),
    bad(
        "slot_repeated",
        "Header copies",
        "Somebody put a slot there twice.",
        {"slots_part": lambda w, part, _copy: u16(2) + part[2:] + part[2:]},
    ),
    bad(
        "slot_removed",
        "Header copies",
        "Somebody removed the second of two slots at generation 1.",
        {"slots_part": lambda w, part, _copy: u16(1) + part[2 : 2 + 85]},
        options={"slots": two_passphrases},
        settings={"passphrase": "another passphrase"},
    ),
    bad(
        "slot_put_in_front",
        "Header copies",
        "Somebody without a key put a slot in front of that of the origin, and calls it one of the origin.",
        {"slots_part": lambda w, part, _copy: u16(2) + b"\0\2\0\0\0\0\0\4body" + part[2:]},
    ),
    bad(
        "slot_put_behind",
        "Header copies",
        "The same behind it.",
        {"slots_part": lambda w, part, _copy: u16(2) + part[2:] + b"\0\2\0\0\0\0\0\4body"},
        also=[without_key()],
    ),
]

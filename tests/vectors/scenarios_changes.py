# SPDX-License-Identifier: Apache-2.0
"""Slots that changed after sealing: who changed them, who added which, and who vouches for that ("Header copies",
"Slots"). The sealed slot is for the usual passphrase, what is added for another one or for a recovery key."""

from dataclasses import replace

from people import BY_OTHER_PASSPHRASE
from pieces import CHANGED, NO_SIGNATURE, NOBODY, Header, Host, Signature, Slot, encode_slots
from scenario import (
    CHANGER,
    EXTRACT,
    ORIGIN,
    STRANGER,
    TRUST_CHANGER,
    UNSIGNED,
    Scenario,
    before_and_after,
    generation_2,
    good,
    without_key,
)
from slots import OTHER_PASSPHRASE, PASSPHRASE, added, passphrase_slot, recovery_slot

ONE, ZERO = Signature(0, b"\1"), Signature(1, bytes(64))
OTHER_KEY = Host("changer", "changer, another")
ALLOW = {"allow_unsigned": True}
NOT_ALLOWED = {"what": "The same, and unsigned is not allowed.", "allow_unsigned": False, "exit": 4}
SEALED_FOR = {"passphrase": PASSPHRASE.decode("ascii")}


def trust(what, *hosts, **rest):
    return {"what": f"The same, {what}.", "trusted": list(hosts)} | rest


def other(writer):
    return passphrase_slot(writer, passphrase=OTHER_PASSPHRASE)


def with_added(adder, generation=2, **changes):
    """The slot at sealing, and behind it one for another passphrase."""
    return lambda w: [*w.slots, added(w, other(w), adder, generation, **changes)]


def with_adder_2(writer):
    return [replace(slot, adder=2 * slot.adder) for slot in with_added(ORIGIN)(writer)]


def without_sealed(writer):
    return {"slots": encode_slots(with_added(ORIGIN)(writer)[1:])}


def with_one_more(writer):
    return {"slots": encode_slots([*with_added(ORIGIN)(writer), added(writer, recovery_slot(writer), ORIGIN)])}


def backward(writer):
    return {"slots": encode_slots(with_added(ORIGIN)(writer)[::-1])}


def good_change(name, what, slots, changer, **rest):
    options = {"headers": generation_2(slots, changer)} | rest.pop("options", {})
    return good("good_changed_" + name, "Header copies", what, options=options, **rest)


def change(name, what, **signing):
    """A change that does not hold, in copy 0; copy 1 has the slots from before and is not to be tried."""
    options = {"headers": before_and_after(with_added(ORIGIN), CHANGER, **signing)}
    settings = {"trusted": [ORIGIN.public(), CHANGER.public(), STRANGER.public()], "warning": True}
    also = [
        {"what": "The same without a key.", **without_key(), "warning": True},
        {"what": "The same, extracted: copy 1 is not tried.", **EXTRACT},
    ]
    return Scenario("change_" + name, "Header copies", what, options=options, settings=settings, also=also)


def malformed(name, what, rule, inject=None, slots=with_added(ORIGIN), changer=ORIGIN, log_h=None, **rest):
    """What makes copy 0 not sound; copy 1 has the slots from before and opens."""
    options = {"headers": before_and_after(slots, changer, **rest), "inject": inject or {}, "log_h": log_h}
    settings = TRUST_CHANGER | EXTRACT | {"warning": True}
    checked = {"wanted_operation": "verify", "exit": 5, "what": "The same: a check fails.", "rule": "Header copies"}
    return good("good_not_sound_" + name, rule, what, options=options, settings=settings, also=[checked])


def framing(name, what, signature, changer=ORIGIN, **rest):
    return malformed(name, what, "Signatures", changer=changer, signature=signature, **rest)


def adder_framing(name, what, signature, adder=CHANGER, **rest):
    slots = with_added(adder, signature=signature)
    return malformed(name, what, "Signatures", slots=slots, **rest)


GOOD = [
    good_change(
        "by_origin",
        "The origin added a slot, in both header copies.",
        with_added(ORIGIN),
        ORIGIN,
        settings=BY_OTHER_PASSPHRASE | {"slot": 1},
        also=[
            without_key(),
            trust("and the origin's record ended when it was changed", ORIGIN.public(CHANGED), exit=4),
            trust("and the origin's record ended a second later", ORIGIN.public(CHANGED + 1)),
        ],
    ),
    good_change(
        "by_changer",
        "Another host added a slot that opens, and is trusted.",
        with_added(CHANGER),
        CHANGER,
        settings=TRUST_CHANGER | BY_OTHER_PASSPHRASE | {"slot": 1},
        also=[
            trust("but the changer is not trusted", ORIGIN.public(), exit=4),
            trust("but another host is trusted", ORIGIN.public(), STRANGER.public(), exit=4),
            trust(
                "and the changer's record ended when it changed it",
                ORIGIN.public(),
                CHANGER.public(CHANGED),
                exit=4,
            ),
            trust("and the changer's record ended a second later", ORIGIN.public(), CHANGER.public(CHANGED + 1)),
            trust("and the changer's second key has signed", ORIGIN.public(), OTHER_KEY.public(), CHANGER.public()),
            trust("and the changer is trusted, but not the origin", CHANGER.public(), exit=4),
            {"what": "The same with the passphrase of the slot at sealing.", "slot": 0, **SEALED_FOR},
            without_key(),
            without_key("The same without a key and trust.", trusted=[ORIGIN.public()], exit=4),
        ],
    ),
    good_change(
        "by_nobody",
        "Nobody signed a change that left one of two slots, and the caller allows that.",
        lambda w: w.slots[1:],
        NOBODY,
        options={"slots": lambda w: [other(w), passphrase_slot(w)]},
        settings=ALLOW,
        also=[
            NOT_ALLOWED,
            without_key(),
            without_key("The same without a key, and it is not allowed.", allow_unsigned=False, exit=4),
            {"what": "The same with the passphrase of the removed slot.", "exit": 3, **BY_OTHER_PASSPHRASE},
        ],
    ),
    good_change(
        "by_nobody_added",
        "Nobody signed a change and a slot, and the caller allows that.",
        with_added(NOBODY),
        NOBODY,
        settings=ALLOW | BY_OTHER_PASSPHRASE | {"slot": 1},
        also=[NOT_ALLOWED],
    ),
    good_change(
        "unsigned",
        "An unsigned file, changed by nobody.",
        with_added(NOBODY),
        NOBODY,
        options={"origin": None},
        settings=UNSIGNED | BY_OTHER_PASSPHRASE | {"slot": 1},
        also=[NOT_ALLOWED],
    ),
    good_change(
        "unsigned_by_changer",
        "An unsigned file, changed by a trusted host.",
        with_added(CHANGER),
        CHANGER,
        options={"origin": None},
        settings=UNSIGNED | BY_OTHER_PASSPHRASE | {"slot": 1, "trusted": [CHANGER.public()]},
        also=[trust("but the changer is not trusted", exit=4)],
    ),
    good_change(
        "again",
        "In generation 2 a host added a slot, in generation 3 the origin removed the one that was there at sealing.",
        lambda w: w.slots,
        ORIGIN,
        options={"headers": lambda w: [Header(3, with_added(CHANGER)(w)[1:], ORIGIN)] * 2},
        settings=TRUST_CHANGER | BY_OTHER_PASSPHRASE,
        also=[{"what": "The same with the passphrase of the removed slot.", "exit": 3, **SEALED_FOR}],
    ),
    good_change(
        "interrupted",
        "A change was interrupted: copy 1 has generation 2 and the slot that opens. It is used, with a warning.",
        None,
        None,
        options={"headers": lambda w: [Header(1, w.slots), Header(2, with_added(ORIGIN)(w), ORIGIN)]},
        settings=BY_OTHER_PASSPHRASE | {"slot": 1, "warning": True},
        also=[{"what": "The same without a key.", **without_key(), "warning": True}],
    ),
    good_change(
        "copies_differ",
        "Both copies have generation 2 and differ: copy 0 is used, with a warning.",
        None,
        None,
        options={"headers": lambda w: [Header(2, s, ORIGIN) for s in (w.slots, with_added(ORIGIN)(w)[1:])]},
        settings={"warning": True},
        also=[{"what": "The same with the passphrase of the slot in copy 1.", "exit": 3, **BY_OTHER_PASSPHRASE}],
    ),
]

CHANGES = [
    change("of_other_host", "Another host has signed in the name of the changer.", signer=STRANGER),
    change("as_other_host", "The changer has signed as another host.", signed={"changer": STRANGER.identity}),
    change("other_generation", "The changer has signed for another generation.", signed={"generation": 3}),
    change("other_time", "The changer has signed for another time.", signed={"time": CHANGED - 1}),
    change("other_file", "The changer has signed for another file.", signed={"immutable": b"of another file"}),
    change("slot_put_back", "Somebody put a slot back that the changer had removed.", signed=without_sealed),
    change("slot_removed", "Somebody removed a slot that the changer had kept.", signed=with_one_more),
    change("slots_reordered", "Somebody changed the order of the slots.", signed=backward),
    change("signature_zero", "The signature of the changer is zero.", signature=Signature(1, bytes(64))),
    change("algorithm_unknown", "The changer has signed with algorithm 2.", signature=Signature(2, bytes(64))),
    change("algorithm_unknown_short", "A signature with algorithm 2 has a byte.", signature=Signature(2, b"1")),
]

FRAMING = [
    malformed("change_missing", "Generation 2 has no change.", "Header copies", {"change": lambda *_: b""}),
    framing("change_signed_by_nobody", "There is no changer, and a signature.", ZERO, NOBODY),
    framing("change_not_signed", "There is a changer, and no signature.", NO_SIGNATURE),
    framing("change_length_63", "Algorithm 1 has 63 bytes.", Signature(1, bytes(63))),
    framing("change_length_65", "Algorithm 1 has 65 bytes.", Signature(1, bytes(65))),
    framing("change_length_1", "There is no changer, and algorithm 0 has a byte.", ONE, NOBODY),
    framing("change_unknown_0", "Algorithm 2 has no byte.", Signature(2, b"")),
    framing("change_unknown_16385", "Algorithm 2 has 16385 bytes.", Signature(2, bytes(16385)), log_h=15),
    framing("change_beyond", "A signature is longer than the header.", Signature(2, b"1", 16384)),
    adder_framing("adder_signed_by_nobody", "There is no adder, and a signature.", ZERO, NOBODY),
    adder_framing("adder_not_signed", "There is an adder, and no signature.", NO_SIGNATURE),
    adder_framing("adder_length_63", "An adder's algorithm 1 has 63 bytes.", Signature(1, bytes(63))),
    adder_framing("adder_length_65", "An adder's algorithm 1 has 65 bytes.", Signature(1, bytes(65))),
    adder_framing("adder_length_1", "There is no adder, and algorithm 0 has a byte.", ONE, NOBODY),
    adder_framing("adder_unknown_0", "An adder's algorithm 2 has no byte.", Signature(2, b"")),
    adder_framing("adder_16385", "An adder's algorithm 2 has 16385 bytes.", Signature(2, bytes(16385)), log_h=15),
    malformed("slot_of_generation_1", "A slot was added in generation 1.", "Slots", slots=with_added(ORIGIN, 1)),
    malformed("slot_of_generation_3", "A slot was added in generation 3.", "Slots", slots=with_added(ORIGIN, 3)),
    malformed("slot_adder_2", "The adder of a slot is 2.", "Slots", slots=lambda w: [*w.slots, Slot(7, b"body", 2)]),
    malformed("slot_adder_2_signed", "The same, and it is signed as one of adder 1.", "Slots", slots=with_adder_2),
    malformed("slots_none", "There is no slot.", "Slots", slots=lambda w: []),
]

SCENARIOS = GOOD + CHANGES + FRAMING

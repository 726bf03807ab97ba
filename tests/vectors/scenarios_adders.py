# SPDX-License-Identifier: Apache-2.0
"""A slot that nobody vouches for, in front of one that opens: it is skipped, and a check of the file fails."""

from people import BY_PAPER
from pieces import CHANGED, NOBODY, Host, Signature
from primitives import sha256
from scenario import (
    CHANGER,
    EXTRACT,
    ORIGIN,
    STRANGER,
    TRUST_CHANGER,
    Scenario,
    generation_2,
    good,
    without_key,
)
from scenarios_changes import ZERO, other, trust
from slots import RECOVERY_KEY, added, passphrase_slot, recovery_slot

CHECKED = {"wanted_operation": "verify", "exit": 5, "warning": False}


def in_front(adder, generation=2, **changes):
    """What nobody vouches for stands in front of a slot that the origin added; that at sealing was removed."""
    return before_ours(lambda w: added(w, recovery_slot(w), adder, generation, **changes))


def before_ours(first):
    return lambda w: [first(w), added(w, passphrase_slot(w), ORIGIN)]


def unvouched(name, what, slots, exit=5, vouched=None, log_h=None, sealed=other):
    """The first slot is not used, whose key the reader has; the second one opens."""
    recovery = {"recovery_key": RECOVERY_KEY.hex()}
    looks = [
        {"what": "The same, and only the first slot is ours.", "exit": exit, **BY_PAPER},
        {"what": "The same, and neither slot is ours.", "exit": exit, **without_key(), **EXTRACT, "warning": True},
        {"what": "The same: a check fails before a slot is tried.", **CHECKED},
        without_key("The same: a check fails without a key, too.", **CHECKED),
    ]
    if vouched:
        looks.append({"slot": 0, "warning": False, "wanted_operation": "verify"} | vouched)
    return good(
        "good_slot_" + name,
        "Slots",
        what,
        options={"slots": lambda w: [sealed(w)], "headers": generation_2(slots), "log_h": log_h},
        settings=recovery | TRUST_CHANGER | EXTRACT | {"warning": True, "slot": 1},
        also=looks,
    )


SCENARIOS = [
    unvouched("not_listed", "The first slot has adder 0 and is not listed.", before_ours(recovery_slot)),
    unvouched(
        "not_listed_before_listed",
        "The first slot has adder 0 and is not listed; the second one is.",
        lambda w: [recovery_slot(w), *w.slots],
        sealed=passphrase_slot,
    ),
    unvouched("adder_signature_zero", "The adder's signature is zero.", in_front(CHANGER, signature=ZERO)),
    unvouched(
        "adder_algorithm_unknown",
        "The adder has signed with algorithm 2.",
        in_front(CHANGER, signature=Signature(2, bytes(16384))),
        log_h=15,
    ),
    unvouched("adder_of_other_host", "Another host has signed in the adder's name.", in_front(CHANGER, signer=ORIGIN)),
    unvouched(
        "adder_as_other_host",
        "The adder has signed as another host.",
        in_front(CHANGER, signed={"adder": ORIGIN.identity}),
    ),
    unvouched(
        "adder_other_generation",
        "The adder has signed for another generation.",
        in_front(CHANGER, signed={"generation": 3}),
    ),
    unvouched(
        "adder_other_time",
        "The adder has signed for another time.",
        in_front(CHANGER, signed={"time": CHANGED + 1}),
    ),
    unvouched(
        "adder_other_file",
        "The adder has signed for another file.",
        in_front(CHANGER, signed={"immutable": b"of another file"}),
    ),
    unvouched(
        "adder_other_slot",
        "The adder has signed another slot.",
        in_front(CHANGER, signed={"digest": sha256(b"another slot")}),
    ),
    unvouched(
        "adder_not_trusted",
        "The adder is not trusted.",
        in_front(STRANGER),
        4,
        trust("but it is", ORIGIN.public(), STRANGER.public()),
    ),
    unvouched(
        "adder_nobody",
        "Nobody signed for the first slot, and that is not allowed.",
        in_front(NOBODY),
        4,
        {"what": "The same, but that is allowed.", "allow_unsigned": True},
    ),
    Scenario(
        "slot_adder_ended",
        "Slots",
        "The adder's record ended when it added the slot.",
        4,
        options={"slots": lambda w: [other(w)], "headers": generation_2(in_front(STRANGER))},
        settings=BY_PAPER | EXTRACT | {"warning": True, "trusted": [ORIGIN.public(), STRANGER.public(CHANGED)]},
        also=[
            trust("and it ended a second later", ORIGIN.public(), STRANGER.public(CHANGED + 1), exit=0, warning=False),
            trust(
                "and it has another key, too, that has not",
                ORIGIN.public(),
                STRANGER.public(CHANGED),
                Host("stranger", "stranger, another").public(),
                exit=5,
            ),
        ],
    ),
]

# SPDX-License-Identifier: Apache-2.0
"""Whom the reader trusts, until when, and which of several faults says the exit code ("Trailer", "Reading")."""

from pieces import CREATED, Header, Host, Signature
from scenario import (
    CHANGER,
    EXTRACT,
    ORIGIN,
    STRANGER,
    UNSIGNED,
    Scenario,
    bad,
    flip,
    generation_2,
    good,
    only,
    put,
    without_key,
)
from scenarios_good import NOT_AFTER, NOT_AFTER_TIME
from slots import PASSPHRASE, passphrase_slot, recovery_slot

SECOND_KEY = Host("origin", "origin, another")
SAME_KEY = Host("stranger", "origin")
LATE = {"now": NOT_AFTER_TIME}
WRONG = {"passphrase": "wrong"}
RIGHT = {"passphrase": PASSPHRASE.decode("ascii")}


def trust(what, *hosts, **rest):
    return {"what": f"The same, {what}.", "trusted": list(hosts)} | rest


def order(name, what, exit, inject, **rest):
    """Two faults: that of the earlier step says the code."""
    return bad("order_" + name, rest.pop("rule", "Exit codes"), what, inject, exit=exit, **rest)


def with_unlisted(writer):
    """Behind the right slot."""
    return [*writer.slots, recovery_slot(writer)]


TRUST = [
    good(
        "good_trust",
        "Trailer",
        "The origin is trusted, and so is another host.",
        settings={"trusted": [CHANGER.public(), ORIGIN.public()]},
        also=[
            trust("by the second of two keys", SECOND_KEY.public(), ORIGIN.public()),
            trust("by the first of two keys", ORIGIN.public(), SECOND_KEY.public()),
            trust("and its record ended a second after the file was made", ORIGIN.public(CREATED + 1)),
            trust("and it has ended long ago", ORIGIN.public(CREATED + 1), now=1 << 40),
            trust("and another record of it had ended", ORIGIN.public(CREATED), ORIGIN.public()),
            trust("and nobody is trusted", exit=4),
            trust("and another host is trusted", STRANGER.public(), exit=4),
            trust("and another host is trusted that has this key", SAME_KEY.public(), exit=4),
            trust("and of the origin another key is trusted", SECOND_KEY.public(), exit=5),
            trust("and its record ended when the file was made", ORIGIN.public(CREATED), exit=4),
            trust("and its record ended before", ORIGIN.public(CREATED - 1), exit=4),
            trust("that is checked without a key, too", ORIGIN.public(CREATED), exit=4, passphrase=None),
            trust("and unsigned files are allowed, but nobody is trusted", exit=4, allow_unsigned=True),
        ],
    ),
    Scenario(
        "good_made_later_than_now",
        "Trailer",
        "The file was made after what the clock says.",
        exit=0,
        options={"created": CREATED + (1 << 32)},
    ),
]

ORDER = [
    order(
        "rule_before_trust",
        "The padding of the trailer is not zero, and the origin is not trusted.",
        5,
        {"trailer": put(-5, b"\1")},
        rule="Trailer",
        settings={"trusted": []},
    ),
    order(
        "trust_before_signature",
        "The origin is not trusted, and its signature is wrong.",
        4,
        {"signature": lambda *_: Signature(1, bytes(64))},
        settings={"trusted": []},
    ),
    order(
        "trust_before_change",
        "The origin is not trusted, and the change does not hold.",
        4,
        {},
        options={"headers": generation_2(lambda w: w.slots, signature=Signature(1, bytes(64)))},
        settings={"trusted": []},
    ),
    order(
        "signature_before_changer",
        "The signature is wrong, and the changer is not trusted.",
        5,
        {"signature": lambda *_: Signature(1, bytes(64))},
        rule="Trailer",
        options={"headers": generation_2(lambda w: w.slots, STRANGER)},
    ),
    order(
        "signature_before_time",
        "The signature is wrong, and the time of the file is over.",
        5,
        {"signature": lambda *_: Signature(1, bytes(64))},
        rule="Trailer",
        options={"conditions": [NOT_AFTER]},
        settings=LATE,
    ),
    order(
        "changer_before_time",
        "The changer is not trusted, and the time of the file is over.",
        4,
        {},
        options={"conditions": [NOT_AFTER], "headers": generation_2(lambda w: w.slots, STRANGER)},
        settings=LATE,
    ),
    order(
        "time_before_slot",
        "The time of the file is over, and its slot asks for what nobody allows.",
        6,
        {},
        options={
            "conditions": [NOT_AFTER],
            "slots": lambda w: [passphrase_slot(w, memory=4194304)],
        },
        settings=LATE,
    ),
    order(
        "slot_before_mac",
        "The passphrase is wrong, and so is the header's MAC.",
        3,
        {"header_mac": flip(0)},
        settings=WRONG,
    ),
    order(
        "slot_before_manifest",
        "The passphrase is wrong, and so is a page.",
        3,
        {"page_plain": only((0,), put(-1, b"\1"))},
        settings=WRONG,
    ),
    order(
        "trust_before_damage",
        "The origin is not trusted, and a header copy is not sound.",
        4,
        {"header_copy": only((1,), flip(200))},
        settings={"trusted": [], "warning": True},
    ),
    order(
        "changer_before_unvouched",
        "The changer is not trusted, and a slot is not listed.",
        4,
        {},
        options={"headers": generation_2(with_unlisted, STRANGER)},
    ),
    order(
        "unvouched_before_time",
        "A slot is not listed, and the time of the file is over.",
        5,
        {},
        rule="Slots",
        options={"conditions": [NOT_AFTER], "headers": generation_2(with_unlisted)},
        settings=LATE,
        also=[{"what": "The same, extracted.", "exit": 6, **EXTRACT}],
    ),
    order(
        "unvouched_before_slot",
        "A slot is not listed, and the passphrase is wrong.",
        5,
        {},
        rule="Slots",
        options={"headers": generation_2(with_unlisted)},
        settings=WRONG,
        also=[
            {"what": "The same, extracted: of the two, the passphrase says it.", "exit": 3, "warning": True, **EXTRACT},
            {"what": "The same with the passphrase.", **RIGHT},
            {"what": "The same with it, extracted: the slot in front opens.", "exit": 0, **RIGHT, **EXTRACT},
        ],
    ),
    order(
        "unsigned_before_slot",
        "Nobody signed, that is not allowed, and the passphrase is wrong.",
        4,
        {},
        options={"origin": None},
        settings=UNSIGNED | WRONG | {"allow_unsigned": False},
        also=[{"what": "The same, and it is allowed.", "allow_unsigned": True, "exit": 3}],
    ),
]

REPLAYED = [
    Scenario(
        "change_generation_raised",
        "Header copies",
        "Somebody with the data key made a change of generation 2 one of generation 3: its signature does not hold.",
        options={"headers": lambda w: [Header(3, w.slots, ORIGIN, signed={"generation": 2})] * 2},
        also=[without_key()],
    ),
]

SCENARIOS = TRUST + ORDER + REPLAYED

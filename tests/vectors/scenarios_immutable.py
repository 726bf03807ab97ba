# SPDX-License-Identifier: Apache-2.0
"""Faults of "Immutable part", "Suites", "Keys" and "Chains". Every key and signature is that of the faulty bytes."""

from key_slots import public_key_slot
from people import BY_KEY, BY_OTHER_PASSPHRASE, BY_PAPER, BY_TPM, LARGER, OURS, PARENT, exclusive
from pieces import CREATED, Slot
from policy import any_of, approvals, epoch, pcrs, policy
from primitives import u16, u32, u64
from scenario import EXTRACT, ORIGIN, UNSIGNED, Scenario, bad, flip, generation_2, good, put, without_key
from scenarios_good import NOT_AFTER, RESTORES
from slots import added, passphrase_slot, recovery_slot
from threshold_slot import threshold_slot
from tpm_slot import tpm_slot

CRIU = [("inventory.img", b"inventory")]
PARENT_DIGEST = b"\x5a" * 32
CHILD = {"content": 1, "parent": PARENT_DIGEST, "depth": 1}
COUNT_AT, CONDITIONS_AT = 160, 162


def immutable(name, what, fault, rule="Immutable part", **rest):
    return bad("immutable_" + name, rule, what, {"immutable": fault}, **rest)


def conditions(name, what, *parts, count=None):
    fault = {} if count is None else {"immutable": put(COUNT_AT, u16(count))}
    return bad("conditions_" + name, "Immutable part", what, fault, options={"conditions": list(parts)})


def child(name, what, images=CRIU, settings=None, **options):
    options = CHILD | options
    return Scenario("parent_" + name, "Immutable part", what, images=images, options=options, settings=settings or {})


def one_holder(name, what, slots, settings, **rest):
    """What an exclusive file must not have."""
    options = exclusive(**({"slots": slots} if slots else {}), **rest.pop("options", {}))
    return bad("exclusive_" + name, rest.pop("rule", "Slots"), what, {}, options=options, settings=settings, **rest)


def migrating(name, what, asked):
    settings = BY_TPM | {"warning": True}
    return one_holder(name, what, lambda w: [tpm_slot(w, PARENT, any_policy=asked)], settings, rule="TPM slot (kind 1)")


def key_share(writer, value):
    slot = public_key_slot(writer, OURS, data_key=value)
    return slot.kind, slot.body


def paper_share(writer, value):
    slot = recovery_slot(writer, data_key=value)
    return slot.kind, slot.body


FIELDS = [
    immutable("version", "The format version of the immutable part is 2.", put(0, u16(2))),
    immutable("suite_unknown", "Suite 5.", put(2, b"\5"), "Suites"),
    immutable("suite_zero", "Suite 0.", put(2, b"\0"), "Suites"),
    immutable("content_unknown", "Content 4.", put(3, b"\4")),
    immutable("content_zero", "Content 0.", put(3, b"\0")),
    immutable("header_size_differs", "H is another one than in the preamble.", put(4, b"\x0d")),
    bad("immutable_chunk_size_small", "Immutable part", "C is 32 KiB.", {}, options={"log_c": 15}),
    bad("immutable_chunk_size_large", "Immutable part", "C is 8 MiB.", {}, options={"log_c": 23}),
    immutable("chunk_size_absurd", "The base-2 logarithm of C is 255.", put(5, b"\xff")),
    immutable("reserved", "A byte that is zero in this version is not.", put(7, b"\1")),
    immutable("too_long", "A byte follows the conditions.", lambda w, value: value + b"\0"),
    immutable("too_short", "The number of conditions lacks a byte.", lambda w, value: value[:161]),
    bad(
        "commitment_wrong",
        "Keys",
        "The key commitment is wrong, and signed.",
        {"commitment": flip(0)},
        settings={"warning": True},
        also=[without_key(exit=0)],
    ),
    bad(
        "immutable_flipped",
        "Trailer",
        "A bit of the time of creation is flipped in both copies, checksums repaired: the signature does not hold.",
        {"header_block": flip(28 + 159)},
        also=[without_key()],
    ),
]

CONDITIONS = [
    conditions("missing", "The number of conditions is 1, and there is none.", count=1),
    conditions("uncounted", "There is one condition more than their number says.", NOT_AFTER, RESTORES, count=1),
    conditions("not_counted", "The number of conditions is 0, and there is one.", RESTORES, count=0),
    conditions("of_unknown_kind", "A condition is of kind 3.", b"\3" + u32(2)),
    conditions("of_kind_zero", "A condition is of kind 0.", b"\0" + u32(2)),
    conditions("twice", "A condition stands there twice.", RESTORES, RESTORES),
    conditions("not_after_twice", "Two times are not after.", NOT_AFTER, NOT_AFTER),
    conditions("in_disorder", "The condition of kind 2 stands before that of kind 1.", RESTORES, NOT_AFTER),
    conditions("three", "There are three conditions.", NOT_AFTER, RESTORES, RESTORES),
    conditions("cut", "The last condition is a byte short.", NOT_AFTER, RESTORES[:-1]),
    conditions("no_restores", "The content may be given out 0 times.", b"\2" + bytes(4)),
    conditions("end_as_they_begin", "Not after the time of creation.", b"\1" + u64(CREATED)),
]

SUITES = [
    one_holder(
        "two_slots",
        "An exclusive file has two slots.",
        lambda w: [public_key_slot(w, OURS), public_key_slot(w, LARGER)],
        BY_KEY,
    ),
    one_holder("two_slots_of_one_key", "The same, for one key.", lambda w: [public_key_slot(w, OURS)] * 2, BY_KEY),
    one_holder("passphrase", "The slot of an exclusive file is for a passphrase.", lambda w: [passphrase_slot(w)], {}),
    one_holder("recovery", "The slot is for a recovery key.", lambda w: [recovery_slot(w)], BY_PAPER),
    one_holder(
        "threshold",
        "The slot is a threshold.",
        lambda w: [threshold_slot(w, key_share, paper_share)],
        BY_KEY | BY_PAPER,
    ),
    one_holder("unknown", "The slot is of kind 7.", lambda w: [Slot(7, b"body")], BY_KEY),
    one_holder(
        "generation_2",
        "An exclusive file has generation 2, and nothing else has changed.",
        None,
        BY_KEY,
        options={"headers": generation_2(lambda w: w.slots)},
    ),
    one_holder(
        "slot_added",
        "The only slot of an exclusive file was added by its origin.",
        None,
        BY_KEY,
        options={"headers": generation_2(lambda w: [added(w, w.slots[0], ORIGIN)])},
    ),
    migrating("migrate", "The slot can be moved to another TPM.", policy(approvals(purpose=2), epoch())),
    migrating(
        "migrate_branch",
        "A branch in a branch lets the slot be moved to another TPM.",
        policy(any_of(any_of(pcrs(7), approvals(purpose=2)), pcrs(4)), epoch()),
    ),
]


CONTENT_ASKED = {"what": "The same, and its content is asked for, which is in its parent.", "exit": 1, **EXTRACT}
CHAINS = [
    good(
        "good_parent",
        "Chains",
        "The file has a parent: it can be verified.",
        images=CRIU,
        options=CHILD,
        also=[
            CONTENT_ASKED,
            without_key(),
            {"what": "The same with a wrong passphrase.", "exit": 3, **BY_OTHER_PASSPHRASE},
            {"what": "The same with it, and content is asked for.", "exit": 3, **BY_OTHER_PASSPHRASE, **EXTRACT},
        ],
    ),
    good("good_depth_63", "Chains", "63 checkpoints are below it.", images=CRIU, options=CHILD | {"depth": 63}),
    child("depth_64", "64 checkpoints are below it.", depth=64),
    child("depth_0", "The depth is 0, and there is a parent.", depth=0),
    bad(
        "immutable_depth_without_parent",
        "Immutable part",
        "The depth is 1, and there is no parent.",
        {},
        images=CRIU,
        options={"content": 1, "depth": 1},
    ),
    child("of_unsigned", "The file has a parent, and is unsigned.", origin=None, settings=UNSIGNED),
    child("of_stream", "The content of a file with a parent is a stream.", content=2, images=[("stream", b"stream")]),
    child("of_exclusive", "A file with a parent is exclusive.", settings=BY_KEY, **exclusive()),
]

SCENARIOS = FIELDS + CONDITIONS + SUITES + CHAINS

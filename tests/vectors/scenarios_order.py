# SPDX-License-Identifier: Apache-2.0
"""Two faults in one file, or a fault behind a refusal: which of them is the answer ("Which slot opens", "Chunks",
"Reading"). Random files found two readers to differ here."""

from dataclasses import replace

from people import BY_PAPER, BY_TPM, PARENT
from policy import approvals, epoch, pin, policy
from scenario import EXTRACT, SMALL, Scenario, flip
from scenarios_good import RESTORES
from scenarios_policies import seal
from slots import Slot, recovery_slot
from tpm_slot import tpm_body, tpm_slot

LIMITED = {"conditions": [RESTORES]}
CHILD = {"content": 1, "parent": b"\1" * 32, "depth": 1}


def moved(_writer, entries):
    """Each chunk that is stored stands a byte further."""
    return {place: replace(e, offset=e.offset + 1) if e.stored else e for place, e in entries.items()}


def empty_at_data(writer, entries):
    return {place: replace(e, offset=writer.data_at) if not e.stored else e for place, e in entries.items()}


def out_of_place(name, what, exit, fault, options, images=SMALL):
    options = options | {"inject": {"entries": fault}}
    return Scenario("order_" + name, "Reading", what, exit=exit, images=images, options=options, settings=EXTRACT)


def wrong_pin_and_malformed(writer):
    malformed = Slot(1, tpm_body(writer, PARENT, any_policy=policy(pin(), epoch())) + b"\0")
    return [tpm_slot(writer, PARENT, any_policy=policy(pin())), malformed, recovery_slot(writer)]


SCENARIOS = [
    seal(
        "order_migrate_before_damage",
        "The policy is for migration alone, and the object does not import.",
        3,
        policy(approvals(purpose=2)),
        inject={"tpm_integrity": flip(0)},
    ),
    out_of_place("limit_before_place", "Uses are limited, and a chunk is out of place.", 2, moved, LIMITED),
    out_of_place(
        "limit_before_empty_place",
        "Uses are limited, and an empty chunk has an offset.",
        2,
        empty_at_data,
        LIMITED,
        images=[("stream", b"")],
    ),
    out_of_place(
        "parent_before_place",
        "There is a parent, and a chunk is out of place.",
        1,
        moved,
        CHILD,
        images=[("a", SMALL[0][1])],
    ),
    Scenario(
        "order_form_before_wrong_pin",
        "Which slot opens",
        "A wrong PIN, and behind it a slot with a PIN that is not as it has to be: it is skipped with a warning.",
        exit=0,
        images=[],
        options={"slots": wrong_pin_and_malformed, "content": 1},
        settings=BY_TPM | BY_PAPER | {"pin": "8642", "slot": 2, "warning": True, "passphrase": None}
        | {"parent_scalar": BY_TPM["parent_scalar"]},
    ),
]

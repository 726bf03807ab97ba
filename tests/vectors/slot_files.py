# SPDX-License-Identifier: Apache-2.0
"""Files that are there for one slot. A reader gives out nothing of most, so they are as small as can be: no image, and
so a manifest of one page. That page is the same in most of them, too: where the slot has a fault it was added by the
origin to a file that is always the same one. What opens is a slot of a file of its own."""

from pieces import Slot
from scenario import NOTHING, ORIGIN, Scenario, generation_2
from slots import added, recovery_slot

NOBODYS = bytes(range(32, 48))


def alone(make):
    """Options of a file sealed for this slot; `make` is a function of the writer."""
    return {"slots": lambda w: [make(w)], "content": NOTHING["content"]}


def with_fault(make, log_h=None):
    """Options of the file that is always the same one, with this slot in the place of the one at sealing."""
    return {
        "slots": lambda w: [recovery_slot(w, key=NOBODYS)],
        "headers": generation_2(lambda w: [added(w, make(w), ORIGIN)]),
        "content": NOTHING["content"],
        "log_h": log_h,
    }


def slot_file(name, rule, what, exit, make, settings, also=(), log_h=None, **options):
    """One or the other, as the exit code says."""
    chosen = alone(make) if exit == 0 else with_fault(make, log_h)
    return Scenario(
        name,
        rule,
        what,
        exit,
        images=NOTHING["images"],
        options=chosen | options,
        settings=settings,
        also=list(also),
    )


def changed(kind, make_body, change):
    """A slot whose encoded body is changed."""
    return lambda w: Slot(kind, change(make_body(w)))

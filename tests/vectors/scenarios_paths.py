# SPDX-License-Identifier: Apache-2.0
"""TPM slots of form 2 whose policies are encoded well: faults of their paths (docs/policies.md, "Encoding"), and of the
object that is sealed under them."""

from people import OTHER_PARENT
from policy import any_of, approvals, epoch, online, pcrs, pin, policy, unknown
from primitives import u16, u32
from scenario import flip, put
from scenarios_policies import IN_LIMITS, LIMITS, OTHER_AUTHORITY, bad, state, states


def epoch_changed(writer, fields):
    return fields | {"policy": flip(-1)(writer, fields["policy"])}


def attributes(value):
    return {"tpm_public": put(4, u32(value))}


def auth(value):
    return {"tpm_auth": lambda *_: value}


def appended(_writer, value):
    return value + b"\0"


def seed_moved(_writer, value):
    """The same bytes, but the last one of the seed value is the first one of the data key."""
    return value[:6] + u16(31) + value[8:39] + u16(33) + value[39:40] + value[42:]


PATHS = [
    bad("approvals_second", "Approvals stand behind an epoch.", epoch(), approvals()),
    bad("approvals_last", "Approvals stand behind PCRs and PIN.", pcrs(7), pin(), approvals()),
    bad("approvals_twice", "Approvals stand first, and second again.", approvals(), approvals("other")),
    bad("approvals_behind_choice", "Approvals stand behind a choice.", any_of(*states(2)), approvals()),
    bad(
        "approvals_in_later_choice",
        "Approvals stand first in a branch that is not.",
        epoch(),
        any_of(approvals(), state(1)),
    ),
    bad(
        "approvals_in_both_choices",
        "Approvals stand first in a branch of each of two choices.",
        any_of(approvals(), state(1)),
        any_of(approvals("other"), state(2)),
    ),
    bad("approvals_second_in_branch", "Approvals stand second in a branch.", any_of(state(1), [state(2), approvals()])),
    bad(
        "approvals_in_nested",
        "Approvals stand first in a choice that stands second in its branch.",
        any_of(state(1), [state(2), any_of(approvals(), state(3))]),
    ),
    bad("epoch_twice", "An epoch stands twice.", epoch(), pcrs(0), epoch(4)),
    bad(
        "epoch_twice_on_one_path",
        "An epoch stands in one branch and behind the choice.",
        any_of(state(1), epoch(2)),
        epoch(),
    ),
    bad(
        "epoch_twice_in_nested",
        "An epoch stands in a branch and in the choice in it.",
        any_of(state(1), [epoch(), any_of(state(2), epoch(4, 0x01000000))]),
    ),
    bad("pin_twice", "A PIN stands twice.", pin(), pin()),
    bad(
        "pin_twice_on_one_path",
        "A PIN stands before the choice and in one branch.",
        pin(),
        any_of(state(1), [state(2), pin()]),
    ),
    bad("online_twice", "Two online approvals, by two keys.", online(), online(OTHER_AUTHORITY)),
    bad(
        "online_twice_on_one_path",
        "An online approval stands in one branch and behind the choice.",
        any_of(state(1), [state(2), online()]),
        online(OTHER_AUTHORITY),
    ),
    bad("branches_equal_online", "Two branches are equal online approvals.", any_of(online(), online()), epoch()),
    bad("branches_equal", "Two branches of three are equal.", any_of(state(1), state(2), state(1)), epoch()),
    bad(
        "branches_equal_in_nested",
        "Two branches of a choice in a branch are equal.",
        any_of(state(1), [epoch(), any_of(pin(), pin())]),
    ),
    bad("branches_equal_approvals", "Two branches are equal approvals.", any_of(approvals(), approvals()), epoch()),
]

OBJECT = [
    bad(
        "any_digest_mismatch",
        "The authPolicy is not that of the policy.",
        pcrs(0),
        epoch(),
        inject={"tpm_public": flip(20)},
    ),
    bad(
        "epoch_changed",
        "The epoch is not the one of the authPolicy.",
        pcrs(0),
        epoch(),
        inject={"tpm_fields": epoch_changed},
    ),
    bad(
        "digest_of_branch",
        "The authPolicy is that of one branch.",
        any_of([state(1), epoch()], [state(2), epoch()]),
        inject={"tpm_public": put(10, policy(state(1), epoch()).step(bytes(32)))},
    ),
    bad("online_of_other_checkpoint", "The authPolicy is of another checkpoint.", online(checkpoint_id=bytes(16))),
    bad("online_of_other_origin", "The authPolicy is of that checkpoint of another origin.", online(origin=bytes(32))),
    bad(
        "online_without_limits",
        "The authPolicy is of a file without limits, and this one has them.",
        online(),
        limits=LIMITS,
    ),
    bad("online_with_limits", "The authPolicy is of a file with limits, and this one has none.", online(**IN_LIMITS)),
    bad(
        "online_more_restores",
        "The authPolicy allows one more.",
        online(**IN_LIMITS | {"restores": 3}),
        limits=LIMITS,
    ),
    bad(
        "online_later",
        "The authPolicy allows a second more.",
        online(**IN_LIMITS | {"not_after": 16725225601}),
        limits=LIMITS,
    ),
    bad("pin_no_da", "There is a PIN, and noDA is set.", pin(), inject=attributes(0x480)),
    bad(
        "pin_no_da_one_path",
        "There is a PIN on one path, and noDA is set.",
        any_of(state(1), pin()),
        inject=attributes(0x480),
    ),
    bad("pin_user_with_auth", "There is a PIN, and userWithAuth is set.", pin(), inject=attributes(0xC0)),
    bad("no_da_clear", "There is no PIN, and noDA is clear.", pcrs(0), epoch(), inject=attributes(0x80)),
    bad("pin_auth_empty", "There is a PIN, and the private area has 108 bytes.", pin(), inject=auth(b"")),
    bad("pin_auth_short", "There is a PIN, and the private area has 139 bytes.", pin(), inject=auth(bytes(range(31)))),
    bad(
        "pin_private_appended",
        "A byte follows the sealed object of a PIN.",
        pin(),
        inject={"tpm_sensitive": appended},
    ),
    bad(
        "auth_without_pin",
        "There is no PIN, and the private area has 140 bytes.",
        epoch(),
        inject=auth(bytes(range(32))),
    ),
    bad("private_appended", "A byte follows the sealed object.", epoch(), inject={"tpm_sensitive": appended}),
    bad(
        "seed_moved",
        "The private area has 108 bytes, and the TPM releases 33.",
        epoch(),
        inject={"tpm_sensitive": seed_moved},
    ),
    bad(
        "other_host",
        "The policy of another host's slot has an unknown term, and there is no other slot.",
        pcrs(0),
        unknown(7),
        parent=OTHER_PARENT,
        settings={"warning": False},
        exit=9,
    ),
]

SCENARIOS = PATHS + OBJECT

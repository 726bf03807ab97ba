# SPDX-License-Identifier: Apache-2.0
"""TPM slots of form 2: policies of every shape, and a fault for each rule of docs/policies.md, "Encoding". The authPolicy
is that of the faulty bytes wherever they have one, so that nothing but the rule refuses."""

from policy import any_of, approvals, epoch, online, pcrs, pin, policy, unknown
from primitives import multiply, scalar_from, u16, u32
from scenario import Scenario, flip, put
from scenarios_good import OTHER_PARENT, PARENT
from scenarios_header import NOT_AFTER, RESTORES, with_conditions
from scenarios_slots import OUR_TPM
from tpm_slot import PIN, tpm_body
from writer import frame

RULE = "TPM slot (kind 1)"
# With the checkpoint id of the vectors the last byte of what HKDF makes of it is 0.
PIN_WITH_ZERO = "26"
LIMITS = {"immutable": with_conditions(u16(2), NOT_AFTER, RESTORES)}
IN_LIMITS = {"restores": 2, "not_after": 16725225600}
OTHER_AUTHORITY = multiply(scalar_from("ckpt-seal vectors other authority"))
LONGEST_NAME = "a" * 31 + ".-" + "9" * 30


def state(number):
    """One PCR; another state for each number."""
    return pcrs(7, salt=bytes([number]))


def states(count, first=0):
    return [state(first + number) for number in range(count)]


def seal(name, what, asked, inject=None, pin_text=PIN, parent=PARENT, **rest):
    inject = rest.pop("limits", {}) | (inject or {})
    options = {"slots": lambda w: [frame(1, tpm_body(w, parent, any_policy=asked, pin=pin_text))], "inject": inject}
    settings = OUR_TPM | rest.pop("settings", {})
    return Scenario(name, RULE, what, options=options, settings=settings, **rest)


def good(name, what, *terms, **rest):
    return seal("good_tpm_" + name, what, policy(*terms), exit=0, **rest)


def bad(name, what, *terms, inject=None, count=None, tail=b"", **rest):
    return seal("tpm_policy_" + name, what, policy(*terms, count=count, tail=tail), inject, **rest)


def cut(_writer, fields):
    return fields | {"policy": fields["policy"][:-1]}


def stated(change):
    """Another length of the policy in front of it."""
    return {"tpm_fields": lambda w, fields: fields | {"policy_length": len(fields["policy"]) + change}}


def epoch_changed(writer, fields):
    return fields | {"policy": flip(-1)(writer, fields["policy"])}


def attributes(value):
    return {"tpm_public": put(4, u32(value))}


def auth(value):
    return {"tpm_auth": lambda *_: value}


def appended(_writer, value):
    return value + b"\0"


def branch_length(change):
    """Another length of the first branch of a policy that is one choice."""

    def fault(_writer, fields):
        encoded = fields["policy"]
        length = int.from_bytes(encoded[3:5], "big") + change
        return fields | {"policy": encoded[:3] + u16(length) + encoded[5:]}

    return {"tpm_fields": fault}


def seed_moved(_writer, value):
    """The same bytes, but the last one of the seed value is the first one of the data key."""
    return value[:6] + u16(31) + value[8:39] + u16(33) + value[39:40] + value[42:]


# 8192 bytes in 16 terms: 1 + 80 + 13 + 1 + 13 * 5 + 251 * 32
LARGEST = [
    approvals("twelve-chars"),
    epoch(),
    pin(),
    *(pcrs(*range(10), *range(11, 20), salt=bytes([n])) for n in range(9)),
    *(pcrs(*range(10), *range(11, 21), salt=bytes([n])) for n in range(4)),
]
TOO_LARGE = [pcrs(*range(10), *range(11, 24), salt=bytes([n])) for n in range(16)]

GOOD = [
    good("pcrs_epoch", "PCRs and epoch; the lowest NV index and value.", pcrs(0, 7, 23), epoch(0, 0x01000000)),
    good(
        "approvals_epoch",
        "Approvals and epoch; a domain of 63 characters, the highest NV index and value.",
        approvals(LONGEST_NAME),
        epoch(2**64 - 1, 0x01FFFFFF),
    ),
    good(
        "restore_or_migrate",
        "Approvals to restore or to migrate, and epoch, as fleets have it; a domain of one character.",
        any_of(approvals("f"), approvals("f", purpose=2)),
        epoch(),
    ),
    good(
        "pin",
        "A PIN alone: who has the parent's private key does not need it.",
        pin(),
        also=[
            {"what": "The same with the PIN.", "pin": PIN},
            {"what": "The same with a wrong PIN.", "pin": "8642", "exit": 3},
        ],
    ),
    good(
        "pin_last_byte_zero",
        "The last byte of what HKDF makes of the PIN is 0.",
        pcrs(4),
        pin(),
        pin_text=PIN_WITH_ZERO,
        settings={"pin": PIN_WITH_ZERO},
    ),
    good("pin_on_one_path", "There is a PIN in one branch of two.", epoch(), any_of(state(1), [state(2), pin()])),
    good(
        "nested",
        "A choice in a branch of a choice, behind other terms; epoch and PIN once on each path, but often in all.",
        pcrs(0),
        any_of([state(1), any_of(epoch(), [pin(), epoch(4)]), pcrs(4)], [epoch(5), pin()]),
        pcrs(2),
    ),
    good(
        "approvals_nested",
        "Approvals come first on some paths through a choice in a choice.",
        any_of([any_of(approvals(), state(1)), epoch()], state(2), approvals("other", purpose=2)),
        pin(),
    ),
    good("online", "An online approval alone, of a file without limits.", online()),
    good("online_limits", "PCRs and an online approval, of a file with both limits.", pcrs(0), online(**IN_LIMITS), limits=LIMITS),
    good(
        "online_in_branches",
        "Online approvals by two keys, once on each path, and approvals by one of them.",
        approvals(),
        any_of([state(1), online()], [pin(), online(OTHER_AUTHORITY)], epoch()),
    ),
    good("two_choices", "The same choice twice, one behind the other.", any_of(*states(2)), any_of(*states(2))),
    good("pcrs_twice", "Two terms of PCRs.", pcrs(7), pcrs(0, 2)),
    good("pcrs_in_branches", "A choice of PCRs is no PCRs term alone.", any_of(*states(8))),
    good("policy_empty", "A policy without terms."),
    good("policy_64_paths", "64 paths.", any_of(*([state(n), any_of(*states(8))] for n in range(8)))),
    good("policy_largest", "16 terms in 8192 bytes.", *LARGEST),
]

ENCODING = [
    bad("pcrs_alone", "One PCRs term alone in form 2.", pcrs(0, 2, 4, 7)),
    bad("length_zero", "The policy has no bytes.", inject={"tpm_fields": lambda w, fields: fields | {"policy": b""}}),
    bad("length_8193", "The policy has 8193 bytes.", approvals("thirteen-char"), *LARGEST[1:]),
    bad("length_absurd", "The policy has 16 terms of 741 bytes.", *TOO_LARGE),
    bad("cut", "The policy lacks its last byte.", pcrs(0), epoch(), inject={"tpm_fields": cut}),
    bad("length_longer", "The length of the policy is one more.", pcrs(0), epoch(), inject=stated(1)),
    bad("length_shorter", "The length of the policy is one less.", pcrs(0), epoch(), inject=stated(-1)),
    bad("appended", "A byte follows the last term.", pcrs(0), epoch(), tail=b"\0"),
    bad("empty_appended", "A byte follows the empty policy.", tail=b"\0"),
    bad("count_absurd", "The number of terms is 255.", pcrs(0), epoch(), count=255),
    bad("count_too_high", "The number of terms is one more.", pcrs(0), epoch(), count=3),
    bad("count_too_low", "The number of terms is one less.", pcrs(0), epoch(), count=1),
    bad("terms_17", "There are 17 terms.", *states(17)),
    bad("kind_0", "The kind of a term is 0.", pcrs(0), unknown(0)),
    bad("kind_7", "The kind of a term is 7.", pcrs(0), unknown(7)),
    bad("kind_7_in_branch", "The kind of a term in a branch is 7.", any_of(state(1), [state(2), unknown(7)])),
    bad("online_without_key", "An online approval has no key.", pcrs(0), unknown(6)),
    bad("online_cut", "The key of an online approval lacks its last byte.", pcrs(0), online(), inject={"tpm_fields": cut}),
    bad("online_key_compressed", "The key of an online approval begins with 03.", pcrs(0), online(first=3)),
    bad("pcr_mask_zero", "A PCRs term names no PCR.", pcrs(), epoch()),
    bad("pcr_10", "A PCRs term names PCR 10.", pcrs(0, 10), epoch()),
    bad("pcr_24", "A PCRs term names PCR 24.", pcrs(0, 24), epoch()),
    bad("purpose_0", "The purpose of approvals is 0.", approvals(purpose=0), epoch()),
    bad("purpose_3", "The purpose of approvals is 3.", approvals(purpose=3), epoch()),
    bad("key_compressed", "The authority's key begins with 03.", approvals(first=3), epoch()),
    bad("domain_empty", "The domain has no characters.", approvals(""), epoch()),
    bad("domain_64", "The domain has 64 characters.", approvals("a" * 64), epoch()),
    bad("domain_upper_case", "The domain has an upper-case letter.", approvals("Fleet"), epoch()),
    bad("domain_slash", "The domain has a slash.", approvals("fleet/a"), epoch()),
    bad("domain_dash_first", "The domain begins with a dash.", approvals("-fleet"), epoch()),
    bad("domain_dot_last", "The domain ends with a dot.", approvals("fleet."), epoch()),
    bad("domain_newline", "The domain ends with a line feed.", approvals("fleet\n"), epoch()),
    bad("epoch_index_low", "The NV index of an epoch is 0x00ffffff.", pcrs(0), epoch(index=0x00FFFFFF)),
    bad("epoch_index_high", "The NV index of an epoch is 0x02000000.", pcrs(0), epoch(index=0x02000000)),
    bad("branches_0", "A choice has no branch.", any_of(), epoch()),
    bad("branches_1", "A choice has one branch.", any_of(state(1)), epoch()),
    bad("branches_9", "A choice has nine branches.", any_of(*states(9)), epoch()),
    bad("branch_empty", "A branch has no term.", any_of(state(1), []), epoch()),
    bad("branch_length_zero", "A branch has no bytes.", any_of(state(1), policy()._replace(encoded=b""))),
    bad("branch_appended", "A byte follows the last term of a branch.", any_of(state(1), policy(state(2), tail=b"\0"))),
    bad("branch_length_longer", "The length of a branch is one more.", any_of(*states(2)), inject=branch_length(1)),
    bad("branch_length_absurd", "A branch is longer than the policy.", any_of(*states(2)), inject=branch_length(999)),
    bad("nested_three_deep", "Choices are nested three deep.", any_of(state(1), any_of(state(2), any_of(*states(2, 3))))),
    bad(
        "paths_65",
        "There are 65 paths: 13 through a choice, and 5 through the next.",
        any_of(any_of(*states(8)), *states(5, 8)),
        any_of(*states(5)),
    ),
    bad("paths_absurd", "There are 43046721 paths, through 16 choices of three branches.", *16 * [any_of(*states(3))]),
]

PATHS = [
    bad("approvals_second", "Approvals stand behind an epoch.", epoch(), approvals()),
    bad("approvals_last", "Approvals stand behind PCRs and PIN.", pcrs(7), pin(), approvals()),
    bad("approvals_twice", "Approvals stand first, and second again.", approvals(), approvals("other")),
    bad("approvals_behind_choice", "Approvals stand behind a choice.", any_of(*states(2)), approvals()),
    bad("approvals_in_later_choice", "Approvals stand first in a branch that is not.", epoch(), any_of(approvals(), state(1))),
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
    bad("epoch_twice_on_one_path", "An epoch stands in one branch and behind the choice.", any_of(state(1), epoch(2)), epoch()),
    bad(
        "epoch_twice_in_nested",
        "An epoch stands in a branch and in the choice in it.",
        any_of(state(1), [epoch(), any_of(state(2), epoch(4, 0x01000000))]),
    ),
    bad("pin_twice", "A PIN stands twice.", pin(), pin()),
    bad("pin_twice_on_one_path", "A PIN stands before the choice and in one branch.", pin(), any_of(state(1), [state(2), pin()])),
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
    bad("any_digest_mismatch", "The authPolicy is not that of the policy.", pcrs(0), epoch(), inject={"tpm_public": flip(20)}),
    bad("epoch_changed", "The epoch is not the one of the authPolicy.", pcrs(0), epoch(), inject={"tpm_fields": epoch_changed}),
    bad(
        "digest_of_branch",
        "The authPolicy is that of one branch.",
        any_of([state(1), epoch()], [state(2), epoch()]),
        inject={"tpm_public": put(10, policy(state(1), epoch()).step(bytes(32)))},
    ),
    bad("online_of_other_checkpoint", "The authPolicy is of another checkpoint.", online(checkpoint_id=bytes(16))),
    bad("online_without_limits", "The authPolicy is of a file without limits, and this one has them.", online(), limits=LIMITS),
    bad("online_with_limits", "The authPolicy is of a file with limits, and this one has none.", online(**IN_LIMITS)),
    bad("online_more_restores", "The authPolicy allows one more.", online(**IN_LIMITS | {"restores": 3}), limits=LIMITS),
    bad("online_later", "The authPolicy allows a second more.", online(**IN_LIMITS | {"not_after": 16725225601}), limits=LIMITS),
    bad("pin_no_da", "There is a PIN, and noDA is set.", pin(), inject=attributes(0x480)),
    bad("pin_no_da_one_path", "There is a PIN on one path, and noDA is set.", any_of(state(1), pin()), inject=attributes(0x480)),
    bad("pin_user_with_auth", "There is a PIN, and userWithAuth is set.", pin(), inject=attributes(0xC0)),
    bad("no_da_clear", "There is no PIN, and noDA is clear.", pcrs(0), epoch(), inject=attributes(0x80)),
    bad("pin_auth_empty", "There is a PIN, and the private area has 108 bytes.", pin(), inject=auth(b"")),
    bad("pin_auth_short", "There is a PIN, and the private area has 139 bytes.", pin(), inject=auth(bytes(range(31)))),
    bad("pin_private_appended", "A byte follows the sealed object of a PIN.", pin(), inject={"tpm_sensitive": appended}),
    bad("auth_without_pin", "There is no PIN, and the private area has 140 bytes.", epoch(), inject=auth(bytes(range(32)))),
    bad("private_appended", "A byte follows the sealed object.", epoch(), inject={"tpm_sensitive": appended}),
    bad("seed_moved", "The private area has 108 bytes, and the TPM releases 33.", epoch(), inject={"tpm_sensitive": seed_moved}),
    bad(
        "other_host",
        "The policy of another host's slot has an unknown term, and there is no other slot.",
        pcrs(0),
        unknown(7),
        parent=OTHER_PARENT,
        exit=9,
    ),
]

SCENARIOS = GOOD + ENCODING + PATHS + OBJECT

# SPDX-License-Identifier: Apache-2.0
"""TPM slots of form 2: policies of every shape, and a fault for each rule of docs/policies.md, "Encoding". The
authPolicy is that of the faulty bytes wherever they have one, so that nothing but the rule refuses."""

from people import BY_TPM, PARENT
from policy import any_of, approvals, epoch, online, pcrs, pin, policy, unknown
from primitives import multiply, scalar_from, u16
from scenarios_good import NOT_AFTER, NOT_AFTER_TIME, RESTORES
from slot_files import slot_file
from tpm_slot import PIN, tpm_slot

RULE = "TPM slot (kind 1)"
# With the checkpoint id of the vectors the last byte of what HKDF makes of it is 0.
PIN_WITH_ZERO = "26"
LIMITS = {"conditions": [NOT_AFTER, RESTORES]}
IN_LIMITS = {"restores": 2, "not_after": NOT_AFTER_TIME}
OTHER_AUTHORITY = multiply(scalar_from("ckpt-seal vectors other authority"))
LONGEST_NAME = "a" * 31 + ".-" + "9" * 30


def state(number):
    """One PCR; another state for each number."""
    return pcrs(7, salt=bytes([number]))


def states(count, first=0):
    return [state(first + number) for number in range(count)]


def seal(name, what, exit, asked, inject=None, pin_text=PIN, parent=PARENT, limits=None, **rest):
    """An empty file with one slot for a TPM."""
    settings = BY_TPM | rest.pop("settings", {})
    options = {"inject": inject or {}} | (limits or {}) | rest
    return slot_file(
        name, RULE, what, exit, lambda w: tpm_slot(w, parent, any_policy=asked, pin=pin_text), settings, **options
    )


def good(name, what, *terms, **rest):
    return seal("good_tpm_" + name, what, 0, policy(*terms), **rest)


def bad(name, what, *terms, exit=5, inject=None, count=None, tail=b"", **rest):
    """The slot is skipped with a warning, and there is no other."""
    settings = {"warning": True} | rest.pop("settings", {})
    asked = policy(*terms, count=count, tail=tail)
    return seal("tpm_policy_" + name, what, exit, asked, inject, settings=settings, **rest)


def cut(_writer, fields):
    return fields | {"policy": fields["policy"][:-1]}


def stated(change):
    """Another length of the policy in front of it."""
    return {"tpm_fields": lambda w, fields: fields | {"policy_length": len(fields["policy"]) + change}}


def branch_length(change):
    """Another length of the first branch of a policy that is one choice."""

    def fault(_writer, fields):
        encoded = fields["policy"]
        length = int.from_bytes(encoded[3:5], "big") + change
        return fields | {"policy": encoded[:3] + u16(length) + encoded[5:]}

    return {"tpm_fields": fault}


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
    good(
        "online_limits",
        "PCRs and an online approval, of a file with both limits.",
        pcrs(0),
        online(**IN_LIMITS),
        limits=LIMITS,
    ),
    good(
        "online_in_branches",
        "Online approvals by two keys, once on each path, and approvals by one of them.",
        approvals(),
        any_of([state(1), online()], [pin(), online(OTHER_AUTHORITY)], epoch()),
    ),
    good("two_choices", "The same choice twice, one behind the other.", any_of(*states(2)), any_of(*states(2))),
    good("domain_self", "A domain that is no name of a host.", approvals("self")),
    good("domain_record", "A domain that ends as no name of a host does.", approvals("fleet.record")),
    good("pcrs_twice", "Two terms of PCRs.", pcrs(7), pcrs(0, 2)),
    good("pcrs_in_branches", "A choice of PCRs is no PCRs term alone.", any_of(*states(8))),
    good("policy_empty", "A policy without terms."),
    good("policy_64_paths", "64 paths.", any_of(*([state(n), any_of(*states(8))] for n in range(8)))),
    good("policy_largest", "16 terms in 8192 bytes.", *LARGEST),
]

ENCODING = [
    bad("pcrs_alone", "One PCRs term alone in form 2.", pcrs(0, 2, 4, 7)),
    bad("length_zero", "The policy has no bytes.", inject={"tpm_fields": lambda w, fields: fields | {"policy": b""}}),
    bad("length_8193", "The policy has 8193 bytes.", approvals("thirteen-char"), *LARGEST[1:], log_h=14),
    bad("length_absurd", "The policy has 16 terms of 741 bytes.", *TOO_LARGE, log_h=14),
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
    bad(
        "online_cut",
        "The key of an online approval lacks its last byte.",
        pcrs(0),
        online(),
        inject={"tpm_fields": cut},
    ),
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
    bad(
        "nested_three_deep",
        "Choices are nested three deep.",
        any_of(state(1), any_of(state(2), any_of(*states(2, 3)))),
    ),
    bad(
        "paths_65",
        "There are 65 paths: 13 through a choice, and 5 through the next.",
        any_of(any_of(*states(8)), *states(5, 8)),
        any_of(*states(5)),
    ),
    bad("paths_absurd", "There are 43046721 paths, through 16 choices of three branches.", *16 * [any_of(*states(3))]),
]

MIGRATION = [
    seal(
        "tpm_migrate_only",
        "There is no way through the policy but to migrate: it is not met.",
        3,
        policy(approvals(purpose=2), epoch()),
    ),
]

SCENARIOS = GOOD + ENCODING + MIGRATION

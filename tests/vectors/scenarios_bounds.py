# SPDX-License-Identifier: Apache-2.0
"""What a reader does at most in a run, and what is said of a threshold with too few values ("Which slot opens")."""

from people import BY_KEY, BY_TPM, OTHER_PARENT, PARENT
from policy import any_of, online, pcrs, pin, policy
from scenarios_opening import (
    BIG,
    BY_RECOVERY,
    BY_WORD,
    SECTIONS,
    altered,
    file,
    last_flipped,
    ours_of_tpm,
    shorter,
    with_pin,
)
from scenarios_threshold import KDF_2, KEY, OF_OTHER_TPM, OF_TPM, OTHER_WORDS, PAPER, cut, share
from slots import OTHER_PASSPHRASE, PASSPHRASE, passphrase_body, passphrase_slot
from threshold_slot import threshold_slot
from tpm_slot import tpm_body, tpm_slot


def with_cost(memory, passes, passphrase=PASSPHRASE, lanes=1):
    return lambda w: passphrase_slot(w, passphrase=passphrase, cost=(memory, passes, lanes))


def word_share(passes):
    return share(2, passphrase_body, cost=(64, passes, 1))


LITTLE = BY_WORD | {"max_memory_kib": 64}
MORE = {"what": "The same, and 128 KiB are allowed.", "max_memory_kib": 128, "warning": False, "exit": 0}
OTHERS_15 = with_cost(64, 15, OTHER_PASSPHRASE)

WORK = [
    file(
        "work",
        "64 KiB are allowed: with the second slot 1088 KiB of passes are tried, and 1024 are allowed.",
        [OTHERS_15, with_cost(64, 2)],
        3,
        LITTLE | {"warning": True},
        [MORE | {"slot": 1}],
    ),
    file(
        "work_third",
        "The same, and the third slot is within what is allowed.",
        [OTHERS_15, with_cost(64, 2), with_cost(64, 1)],
        0,
        LITTLE | {"warning": True, "slot": 2},
        [MORE | {"slot": 1}],
    ),
    file(
        "work_exact",
        "With the second slot it is what is allowed.",
        [OTHERS_15, with_cost(64, 1)],
        0,
        LITTLE | {"slot": 1},
    ),
    file(
        "work_of_lanes",
        "Each lane is 64 KiB of work: four lanes over 32 KiB in four passes are all that is allowed, and more in five.",
        [with_cost(32, 5, lanes=4), with_cost(32, 4, lanes=4)],
        0,
        LITTLE | {"slot": 1, "warning": True},
        [MORE | {"slot": 0}],
    ),
    file(
        "work_of_lane",
        "A lane over 8 KiB is 64 KiB of work, too.",
        [with_cost(64, 15, OTHER_PASSPHRASE), with_cost(8, 2)],
        3,
        LITTLE | {"warning": True},
        [MORE | {"slot": 1}],
    ),
    file(
        "work_of_share",
        "A share wants too much work, and the others are enough.",
        [OTHERS_15, lambda w: threshold_slot(w, word_share(2), PAPER, KEY)],
        0,
        LITTLE | BY_KEY | BY_RECOVERY | LITTLE | {"slot": 1, "warning": True},
        [
            MORE | {"slot": 1},
            {"what": "The same without the private key.", "private_key": None, "exit": 3},
        ],
    ),
    file(
        "work_memory_first",
        "A slot that wants too much memory is no work.",
        [with_cost(128, 8), with_cost(64, 16)],
        0,
        LITTLE | {"slot": 1, "warning": True},
    ),
]

PIN = [
    file(
        "pin_once",
        "Two slots of our TPM want two PINs: a wrong PIN is tried once.",
        [with_pin("2468"), with_pin("1357")],
        0,
        BY_TPM | {"pin": "2468"},
        [{"what": "The same with the second PIN.", "pin": "1357", "exit": 3}],
    ),
    file(
        "pin_then_none",
        "The same, and a third one wants none.",
        [with_pin("2468"), with_pin("1357"), ours_of_tpm],
        0,
        BY_TPM | {"pin": "1357", "slot": 2},
    ),
]


def shares(name, what, *makers, exit, keys, **rest):
    settings = {"passphrase": None, "warning": True} | keys | rest
    return file("share_" + name, what, [lambda w: threshold_slot(w, *makers)], exit, settings)


SHARES = [
    shares(
        "memory",
        "A share wants too much memory.",
        share(2, passphrase_body, memory=BIG),
        PAPER,
        exit=1,
        keys=BY_WORD | BY_RECOVERY,
    ),
    shares("kdf", "The KDF of a share is unknown.", KDF_2, PAPER, exit=9, keys=BY_WORD | BY_RECOVERY),
    shares(
        "malformed",
        "A share lacks a byte.",
        cut(OF_TPM),
        PAPER,
        exit=5,
        keys=BY_TPM | BY_RECOVERY,
        rule=SECTIONS["parent_scalar"],
    ),
    shares("word", "The passphrase of a share is wrong.", OTHER_WORDS, PAPER, exit=3, keys=BY_WORD | BY_RECOVERY),
    shares("others", "A share is for another TPM.", OF_OTHER_TPM, PAPER, exit=9, keys=BY_TPM | BY_RECOVERY),
    shares(
        "codes",
        "Of what two shares meet, the wrong passphrase comes first.",
        cut(OF_TPM),
        OTHER_WORDS,
        PAPER,
        exit=3,
        keys=BY_TPM | BY_WORD | BY_RECOVERY,
    ),
]

def by_pin_or(*others):
    """A slot of our TPM that opens with its PIN, or in another way."""
    return lambda w: tpm_slot(w, PARENT, any_policy=policy(any_of([pin()], *others)), pin="2468")


WAYS = [
    file(
        "way_without_pin",
        "Of a policy of a PIN or PCRs the PCRs are taken, and its PIN is not tried.",
        [by_pin_or([pcrs(1)]), with_pin("1357")],
        0,
        BY_TPM | {"pin": "1357", "slot": 0},
    ),
    file(
        "way_behind_a_wrong_pin",
        "A wrong PIN was tried, and behind it a slot wants it or PCRs.",
        [with_pin("2468"), by_pin_or([pcrs(1)])],
        0,
        BY_TPM | {"pin": "1357", "slot": 1},
    ),
    file(
        "way_of_approval",
        "Of a policy of a PIN or an online approval the PIN is tried first; it is wrong, and the approval is asked for.",
        [by_pin_or([online()])],
        0,
        BY_TPM | {"pin": "1357", "slot": 0},
    ),
    file(
        "way_of_both",
        "Every way wants a PIN, one an online approval too: a wrong PIN ends both.",
        [by_pin_or([pin(), online()])],
        3,
        BY_TPM | {"pin": "1357"},
        [{"what": "The same with the PIN.", "pin": "2468", "exit": 0, "slot": 0}],
    ),
]


def not_imported(count):
    return [altered(ours_of_tpm, last_flipped)] * count


TRIED = [
    file(
        "tried_64",
        "Of 64 slots for our TPM the last one is right.",
        [*not_imported(63), ours_of_tpm],
        0,
        BY_TPM | {"slot": 63, "warning": True},
        log_h=16,
    ),
    file(
        "tried_65",
        "Of 65 slots for our TPM the last one is right, and is too much work.",
        [*not_imported(64), ours_of_tpm],
        1,
        BY_TPM | {"warning": True},
        log_h=16,
    ),
    file(
        "tried_others",
        "Slots of another TPM, and those of ours that lack a byte, are not tried.",
        [*not_imported(62), lambda w: tpm_slot(w, OTHER_PARENT), shorter(ours_of_tpm), with_pin("1357"), ours_of_tpm],
        0,
        BY_TPM | {"pin": "2468", "slot": 65, "warning": True},
        log_h=16,
    ),
]

SHARES += [
    shares(
        "pin",
        "Both shares are our TPM's: the first opens, and the PIN of the second is wrong.",
        OF_TPM,
        share(1, tpm_body, PARENT, any_policy=policy(pin()), pin="2468"),
        exit=3,
        keys=BY_TPM | {"pin": "1357"},
    ),
]

SCENARIOS = WORK + PIN + WAYS + TRIED + SHARES

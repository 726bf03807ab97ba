# SPDX-License-Identifier: Apache-2.0
"""Each row of the table in "Which slot opens" that a file alone can bring about: a slot that does not open in front of
one that does, and behind it. A look without the key of the other one is the slot alone, for that is then for somebody
else."""

from hybrid_slot import OTHER_HYBRID_KEY, hybrid_slot
from key_slots import public_key_slot
from people import BY_HYBRID, BY_KEY, BY_TPM, OTHER_PARENT, OTHERS, OURS, PARENT
from pieces import Slot
from policy import pin, policy
from scenario import EXTRACT, NOTHING, ORIGIN, STRANGER, Scenario, flip, generation_2, without_key
from scenarios_threshold import KEY, LOST
from slots import (
    OTHER_PASSPHRASE,
    OTHER_RECOVERY_KEY,
    PASSPHRASE,
    RECOVERY_KEY,
    added,
    passphrase_slot,
    recovery_slot,
)
from threshold_slot import threshold_slot
from tpm_slot import tpm_slot

RULE = "Which slot opens"
OF_THRESHOLD = "Threshold slot (kind 5)"
BY_WORD = {"passphrase": PASSPHRASE.decode("ascii")}
BY_RECOVERY = {"recovery_key": RECOVERY_KEY.hex()}
WORD_SLOT = (passphrase_slot, BY_WORD)
BIG = 4194304
SECTIONS = {
    "parent_scalar": "TPM slot (kind 1)",
    "private_key": "Public key slot (kind 3)",
    "hybrid_key": "Hybrid public key slot (kind 6)",
    "passphrase": "Passphrase slot (kind 2)",
    "recovery_key": "Recovery key slot (kind 4)",
}


def file(name, what, slots, exit, settings, also=(), **options):
    """An empty file with these slots, functions of the writer."""
    options = {"slots": lambda w: [slot(w) for slot in slots], "content": NOTHING["content"]} | options
    return Scenario(
        "opening_" + name, RULE, what, exit, images=[], options=options, settings=settings, also=list(also)
    )


def broken(keys):
    """The section of the page that says how a slot for these keys has to be."""
    return next(section for key, section in SECTIONS.items() if keys.get(key) is not None)


def pair(name, what, slot, exit, keys, warned=True, other=(recovery_slot, BY_RECOVERY), rule=None):
    """`slot` is skipped or tried, with that exit code; `other` opens."""
    opener, opens = other
    keys = {"passphrase": None} | keys
    both = keys | opens
    without = dict.fromkeys(opens)
    alone = {"what": "The same without the key of the other one.", "exit": exit, "warning": warned} | without
    if exit == 5:
        alone["rule"] = rule or broken(keys)
    return [
        file(
            name + "_in_front",
            f"The first slot {what}; the second one opens.",
            [slot, opener],
            0,
            both | {"slot": 1, "warning": warned},
            [alone],
        ),
        file(name + "_behind", f"The first slot opens; the second one {what}.", [opener, slot], 0, both, [alone]),
    ]


def altered(slot, change):
    return lambda w: Slot(slot(w).kind, change(slot(w).body))


def shorter(slot):
    return altered(slot, lambda body: body[:-1])


def wrong_tag(slot):
    return altered(slot, lambda body: body[:-16] + bytes(16))


def ours_of_tpm(w):
    return tpm_slot(w, PARENT)


def ours_of_key(w):
    return public_key_slot(w, OURS)


def with_pin(text):
    return lambda w: tpm_slot(w, PARENT, any_policy=policy(pin()), pin=text)


def unmet(w):
    return threshold_slot(w, KEY, LOST)


def other_hybrid(w):
    return hybrid_slot(w, key=OTHER_HYBRID_KEY)


def other_passphrase(w):
    return passphrase_slot(w, passphrase=OTHER_PASSPHRASE)


def other_recovery(w):
    return recovery_slot(w, key=OTHER_RECOVERY_KEY)


def wrapping_another(w):
    return passphrase_slot(w, data_key=bytes(32))


def last_flipped(body):
    """Of the encrypted part: in front of the 70 bytes of the secret."""
    return flip(-71)(None, body)


def backward(w):
    """Who added which slot."""
    hosts = [STRANGER, ORIGIN, ORIGIN, ORIGIN, ORIGIN]
    return zip([Slot(7, b"added"), *reversed(w.slots)], hosts, strict=True)


PAIRS = [
    pair("unknown_kind", "is of an unknown kind", lambda w: Slot(7, b"body"), 9, BY_WORD, False),
    pair("other_tpm", "is for the TPM of another host", lambda w: tpm_slot(w, OTHER_PARENT), 9, BY_TPM, False),
    pair("other_key", "is for another public key", lambda w: public_key_slot(w, OTHERS), 9, BY_KEY, False),
    pair("other_hybrid", "is for another hybrid key", other_hybrid, 9, BY_HYBRID, False),
    pair("key_id_cut", "is too short for a key id", altered(ours_of_key, lambda b: b[:33]), 9, BY_KEY, False),
    pair("form_unknown", "has a policy of form 3", altered(ours_of_tpm, lambda b: b[:66] + b"\3"), 9, BY_TPM),
    pair("algorithm_unknown", "has algorithm 5", altered(ours_of_key, lambda b: b"\5" + b[1:]), 9, BY_KEY),
    pair("kdf_unknown", "has KDF 2", lambda w: passphrase_slot(w, kdf=2), 9, BY_WORD),
    pair("tpm_malformed", "lacks a byte, and is for our TPM", shorter(ours_of_tpm), 5, BY_TPM),
    pair("name_cut", "is too short for a Name", altered(ours_of_tpm, lambda b: b[:65]), 5, BY_TPM),
    pair("key_malformed", "lacks a byte, and is for our key", shorter(ours_of_key), 5, BY_KEY),
    pair("hybrid_malformed", "lacks a byte, and is for our hybrid key", shorter(hybrid_slot), 5, BY_HYBRID),
    pair("passphrase_malformed", "lacks a byte, and is for a passphrase", shorter(passphrase_slot), 5, BY_WORD),
    pair(
        "recovery_malformed",
        "lacks a byte, and is for a recovery key",
        shorter(recovery_slot),
        5,
        BY_RECOVERY,
        other=WORD_SLOT,
    ),
    pair("threshold_malformed", "is a threshold that lacks a byte", shorter(unmet), 5, BY_KEY, rule=OF_THRESHOLD),
    pair("not_imported", "is for our TPM, which does not import it", altered(ours_of_tpm, last_flipped), 5, BY_TPM),
    pair("key_not_decrypted", "is for our key, and does not decrypt", wrong_tag(ours_of_key), 5, BY_KEY),
    pair("hybrid_not_decrypted", "is for our hybrid key, and does not decrypt", wrong_tag(hybrid_slot), 5, BY_HYBRID),
    pair("other_data_key", "gives another data key", wrapping_another, 5, BY_WORD, rule="Keys"),
    pair("memory", "wants too much memory", lambda w: passphrase_slot(w, memory=BIG), 1, BY_WORD),
    pair("wrong_passphrase", "is for another passphrase", other_passphrase, 3, BY_WORD, False),
    pair("wrong_recovery_key", "is for another recovery key", other_recovery, 3, BY_RECOVERY, False, WORD_SLOT),
    pair("wrong_pin", "wants another PIN", with_pin("1357"), 3, BY_TPM | {"pin": "2468"}, False),
    pair("threshold_unmet", "is a threshold with too few values", unmet, 9, BY_KEY),
]

# A recovery key, a passphrase, a TPM; what nobody reads; what nobody vouches for. Added slots stand behind.
SEALED = (other_recovery, lambda w: passphrase_slot(w, memory=BIG), shorter(ours_of_tpm), lambda w: Slot(7, b"body"))
ALL = {"passphrase": PASSPHRASE.decode("ascii"), **BY_RECOVERY, "parent_scalar": BY_TPM["parent_scalar"]}


def met(exit, *keys, what="extracted", **rest):
    given = {key: ALL[key] for key in keys}
    return without_key(f"The same, {what}.") | given | {"exit": exit, "warning": True} | EXTRACT | rest


LOOKS = [
    met(3, "recovery_key", "passphrase", what="with a wrong recovery key and a passphrase"),
    met(3, "recovery_key", "parent_scalar", what="with a wrong recovery key and a TPM"),
    met(1, "passphrase", "parent_scalar", what="with a passphrase and a TPM"),
    met(1, "passphrase", what="with a passphrase"),
    met(5, "parent_scalar", what="with a TPM", rule=SECTIONS["parent_scalar"]),
    met(4, what="with nothing"),
    met(9, what="with nothing, and the adder is trusted", trusted=[ORIGIN.public(), STRANGER.public()], warning=False),
]


def precedence(name, what, headers):
    options = {"slots": lambda w: [slot(w) for slot in SEALED], "headers": headers}
    settings = ALL | EXTRACT | {"warning": True}
    return Scenario("opening_" + name, RULE, what, 3, options=options, settings=settings, also=LOOKS)


PRECEDENCE = [
    precedence(
        "codes",
        "No slot opens, each for another reason: 3, 1, 5, 9 and 4.",
        generation_2(lambda w: [*w.slots, added(w, Slot(7, b"added"), STRANGER)]),
    ),
    precedence(
        "codes_backward",
        "The same reasons in the order 4, 9, 5, 1 and 3.",
        generation_2(lambda w: [added(w, slot, by) for slot, by in backward(w)]),
    ),
]


SCENARIOS = [scenario for two in PAIRS for scenario in two] + PRECEDENCE

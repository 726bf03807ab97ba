# SPDX-License-Identifier: Apache-2.0
"""Slots for recovery keys and thresholds: what opens, and their faults ("Recovery key slot", "Threshold slot"). The
usual threshold needs two of three: a recovery key, a public key, and a recovery key that the reader does not have."""

from hybrid_slot import hybrid_body
from key_slots import pkcs8, public_key_body
from people import BY_HYBRID, BY_KEY, BY_OTHER_PAPER, BY_PAPER, BY_TPM, OTHER_PARENT, OURS, PARENT, RSA
from scenario import NO_KEY
from slot_files import slot_file
from slots import (
    OTHER_PASSPHRASE,
    OTHER_RECOVERY_KEY,
    PASSPHRASE,
    RECOVERY_KEY,
    passphrase_body,
    recovery_body,
    recovery_slot,
)
from threshold_slot import threshold_slot
from tpm_slot import tpm_body

RECOVERY_RULE = "Recovery key slot (kind 4)"
RULE = "Threshold slot (kind 5)"
BY_BOTH = BY_KEY | BY_PAPER
WORD = {"passphrase": PASSPHRASE.decode("ascii")}


def recovery(name, what, exit=5, also=(), rule=RECOVERY_RULE, **changes):
    settings = BY_PAPER | {"warning": exit == 5}
    return slot_file(name, rule, what, exit, lambda w: recovery_slot(w, **changes), settings, also)


def share(kind, body, *arguments, **changes):
    return lambda w, value: (kind, body(w, *arguments, data_key=value, **changes))


PAPER, LOST = share(4, recovery_body), share(4, recovery_body, OTHER_RECOVERY_KEY)
KEY, OF_RSA = share(3, public_key_body, OURS), share(3, public_key_body, RSA)
WORDS, OTHER_WORDS = share(2, passphrase_body), share(2, passphrase_body, OTHER_PASSPHRASE)
OF_TPM, OF_OTHER_TPM = share(1, tpm_body, PARENT), share(1, tpm_body, OTHER_PARENT)
OF_HYBRID = share(6, hybrid_body)
USUAL = (PAPER, KEY, LOST)


def threshold(name, what, *shares, exit=5, keys=BY_BOTH, also=(), warning=True, log_h=None, rule=RULE, **changes):
    settings = keys | {"warning": warning}

    def make(w):
        return threshold_slot(w, *(shares or USUAL), **changes)

    return slot_file(name, rule, what, exit, make, settings, also, log_h)


def opens(name, what, *shares, warning=False, **rest):
    return threshold("good_threshold" + name, what, *shares, exit=0, warning=warning, **rest)


def look(what, exit, warning=True, **keys):
    return NO_KEY | {"what": f"The same, {what}.", "exit": exit, "warning": warning} | keys


def share_of(kind, size):
    """Of a kind that does not know its body."""
    return lambda _w, _value: (kind, bytes(size))


def lost(number):
    return share(4, recovery_body, bytes([number]) * 16)


def cut(right):
    """A share whose body lacks its last byte."""
    return lambda w, value: (right(w, value)[0], right(w, value)[1][:-1])


def foreign(right):
    """A share that gives the value of another file."""
    return lambda w, value: right(w, w.random("value of another file", 32))


SHORT = share(3, public_key_body, RSA, alter_key=lambda value: value[:31])
KDF_2 = share(2, passphrase_body, kdf=2)
TAGGED = share(3, public_key_body, OURS, tag=bytes(16))
BY_RSA = BY_PAPER | WORD | {"private_key": pkcs8(RSA)}

NO_RECOVERY_KEY = bytes(16).hex()
OTHER_PAPER_TOO = BY_KEY | {"recovery_key": OTHER_RECOVERY_KEY.hex()}
WRONG_PAPER_TOO = BY_KEY | {"recovery_key": NO_RECOVERY_KEY}
ALONE = [
    look("with the recovery key alone", 9, recovery_key=RECOVERY_KEY.hex()),
    look("with the private key alone", 9, private_key=BY_KEY["private_key"]),
    look("with a wrong recovery key alone", 3, recovery_key=NO_RECOVERY_KEY),
    look("with a wrong recovery key and the private key", 3, **WRONG_PAPER_TOO),
    look("with a passphrase, that no share is for", 9, False, **WORD),
    look("with the other recovery key and the private key", 0, False, **OTHER_PAPER_TOO),
]

RECOVERY = [
    recovery(
        "good_recovery",
        "A slot for a recovery key.",
        0,
        [{"what": "The same with another recovery key.", "exit": 3, **BY_OTHER_PAPER}],
    ),
    recovery("recovery_of_other", "The slot is for another recovery key.", 3, key=OTHER_RECOVERY_KEY),
    recovery("recovery_id_changed", "The recovery id is another: as with a wrong key.", 3, recovery_id=bytes(8)),
    recovery("recovery_salt_changed", "The salt is another.", 3, salt=bytes(16)),
    recovery("recovery_tag", "The tag is zero.", 3, tag=bytes(16)),
    recovery("recovery_of_other_file", "The slot is that of another checkpoint.", 3, checkpoint_id=bytes(16)),
    recovery("recovery_other_data_key", "The data key is one of another file.", rule="Keys", data_key=bytes(32)),
    recovery("recovery_tail", "A byte follows the tag.", tail=b"\0"),
    recovery("recovery_truncated", "The tag lacks its last byte.", tag=bytes(15)),
]

GOOD = [
    opens("", "Two of three are needed, a recovery key and a private key are there.", also=ALONE),
    opens("_last", "The first and the last share open.", PAPER, LOST, KEY),
    opens("_of_all", "All three of three are needed.", PAPER, KEY, WORDS, needed=3, keys=BY_BOTH | WORD),
    opens(
        "_of_all_kinds",
        "Shares of every kind; all five are needed.",
        OF_TPM,
        WORDS,
        KEY,
        PAPER,
        OF_HYBRID,
        needed=5,
        keys=BY_TPM | BY_BOTH | BY_HYBRID | WORD,
    ),
    opens("_of_sixteen", "Two of 16 are needed: the first and the last.", PAPER, *map(lost, range(14)), KEY),
    opens("_share_of_unknown_kind", "The first share is of kind 7.", share_of(7, 40), PAPER, KEY),
    opens(
        "_share_of_others",
        "The first share is for the TPM of another host.",
        OF_OTHER_TPM,
        PAPER,
        KEY,
        keys=BY_BOTH | BY_TPM,
    ),
    opens(
        "_share_wrong_passphrase",
        "The passphrase of the first share is wrong.",
        OTHER_WORDS,
        PAPER,
        KEY,
        keys=BY_BOTH | WORD,
    ),
    opens(
        "_share_malformed_first",
        "The first share is malformed.",
        cut(OF_TPM),
        PAPER,
        KEY,
        keys=BY_BOTH | BY_TPM,
        warning=True,
    ),
    opens(
        "_share_malformed_second",
        "The second share is malformed.",
        PAPER,
        cut(WORDS),
        KEY,
        keys=BY_BOTH | WORD,
        warning=True,
    ),
    opens(
        "_share_malformed_behind",
        "The third share is malformed, and not read.",
        PAPER,
        KEY,
        cut(WORDS),
        keys=BY_BOTH | WORD,
    ),
    opens(
        "_share_wrong_behind",
        "The third share is of another file, and not read.",
        PAPER,
        KEY,
        foreign(WORDS),
        keys=BY_BOTH | WORD,
    ),
    opens(
        "_share_kdf_unknown",
        "The KDF of the first share is unknown.",
        KDF_2,
        PAPER,
        KEY,
        keys=BY_BOTH | WORD,
        warning=True,
    ),
    opens("_share_not_32_bytes", "The first share gives 31 bytes.", SHORT, PAPER, WORDS, keys=BY_RSA, warning=True),
    opens("_share_one_byte", "The first of three shares has one byte.", share_of(7, 1), PAPER, KEY),
    opens("_share_longest", "The second of three shares has 16384 bytes.", PAPER, share_of(7, 16384), KEY),
    opens("_coefficients_zero", "All coefficients are zero: each value is the data key.", degree=1),
]

OF_STRANGER = [
    look("with a passphrase: what is malformed is every reader's", 5, **WORD),
    look("without a key, extracted", 5, wanted_operation="extract"),
]
FRAME = [
    threshold("threshold_of_one", "One share is enough.", needed=1),
    threshold("threshold_of_none", "No share is needed.", stated_needed=0),
    threshold("threshold_of_four", "Four of three shares are needed.", needed=4, degree=2),
    threshold("threshold_one_share", "There is one share, and two are needed.", PAPER),
    threshold("threshold_of_one_of_one", "There is one share, and one is needed.", PAPER, needed=1),
    threshold("threshold_17", "There are 17 shares.", PAPER, KEY, *map(lost, range(15))),
    threshold("threshold_count_higher", "There is a share less than it says.", count=4),
    threshold("threshold_count_lower", "There is a share more than it says.", count=2),
    threshold("threshold_nested", "The first share is a threshold.", share_of(5, 40), PAPER, KEY),
    threshold("threshold_empty_share", "The first share is empty.", share_of(4, 0), PAPER, KEY),
    threshold("threshold_share_16385", "The first share has 16385 bytes.", share_of(7, 16385), PAPER, KEY, log_h=15),
    threshold("threshold_share_absurd", "The last share has 2^32 - 1 bytes, it says.", lengths={2: 2**32 - 1}),
    threshold("threshold_share_cut", "The last share lacks its last byte.", lengths={2: 73}),
    threshold("threshold_tail", "A byte follows the last share.", tail=b"\0", also=OF_STRANGER),
    threshold("threshold_two_bytes", "There are numbers, and no share.", only_front=b"\2\2"),
    threshold("threshold_one_byte", "The body has one byte.", only_front=b"\2"),
]

OF_KEY = "Public key slot (kind 3)"
NOT_OPENED = [
    threshold(
        "threshold_word_and_malformed",
        "The passphrase gives the first share, and the second is malformed: that counts.",
        WORDS,
        cut(OTHER_WORDS),
        LOST,
        keys=NO_KEY | WORD,
        rule="Passphrase slot (kind 2)",
    ),
    threshold(
        "threshold_word_of_one_share",
        "The passphrase gives the first share, and is that of no other.",
        WORDS,
        OTHER_WORDS,
        LOST,
        exit=9,
        keys=NO_KEY | WORD,
        also=[look("with a passphrase of none", 3, passphrase="wrong")],
    ),
    threshold(
        "threshold_share_flipped",
        "The tag of a share is zero, and there is no other.",
        TAGGED,
        PAPER,
        rule=OF_KEY,
    ),
    threshold(
        "threshold_shares_disordered",
        "The shares stand in another order than their values.",
        order=(1, 0, 2),
        rule="Keys",
    ),
    threshold(
        "threshold_share_of_other_file",
        "The first share is of another file: no third one is tried.",
        foreign(WORDS),
        *USUAL,
        keys=BY_BOTH | WORD,
        rule="Keys",
    ),
    threshold("threshold_degree", "The polynomial has a degree more than two shares tell.", degree=3, rule="Keys"),
    threshold(
        "threshold_of_others",
        "No share is ours.",
        OF_OTHER_TPM,
        LOST,
        exit=9,
        keys=BY_KEY | BY_TPM,
        warning=False,
    ),
    threshold("threshold_kinds_7", "The shares are of kind 7.", share_of(7, 9), share_of(7, 8), exit=9, warning=False),
    threshold(
        "threshold_wrong_word_and_values",
        "The passphrase of a share is wrong, and what two others give is not the data key: that counts alone.",
        OTHER_WORDS,
        foreign(PAPER),
        KEY,
        keys=BY_BOTH | WORD,
        rule="Keys",
    ),
]

SCENARIOS = RECOVERY + GOOD + FRAME + NOT_OPENED

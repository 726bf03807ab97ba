# SPDX-License-Identifier: Apache-2.0
"""Who the slots of the scenarios are for, and what a reader that opens them is given."""

from hybrid_slot import HYBRID_KEY
from key_slots import curve25519, p256, p384, pkcs8, public_key_slot, rsa3072
from slots import OTHER_PASSPHRASE, OTHER_RECOVERY_KEY, RECOVERY_KEY
from tpm_slot import StorageParent

PARENT = StorageParent("recipient")
OTHER_PARENT = StorageParent("other recipient")
OURS, LARGER, MONTGOMERY = p256("recipient"), p384("recipient"), curve25519("recipient")
OTHERS = p256("other")
RSA = rsa3072("recipient", 1818, 577)

BY_OTHER_PASSPHRASE = {"passphrase": OTHER_PASSPHRASE.decode("ascii")}
BY_TPM = {"passphrase": None, "parent_scalar": f"{PARENT.scalar:064x}"}
BY_KEY = {"passphrase": None, "private_key": pkcs8(OURS)}
BY_PAPER = {"passphrase": None, "recovery_key": RECOVERY_KEY.hex()}
BY_OTHER_PAPER = {"passphrase": None, "recovery_key": OTHER_RECOVERY_KEY.hex()}
BY_HYBRID = {"passphrase": None, "hybrid_key": HYBRID_KEY.private()}


def exclusive(suite=3, **rest):
    """Options of an exclusive file: its slot is for a public key."""
    return {"suite": suite, "slots": lambda writer: [public_key_slot(writer, OURS)]} | rest

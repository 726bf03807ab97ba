# SPDX-License-Identifier: Apache-2.0
"""Slots for hybrid public keys: one that opens, and their faults ("Hybrid public key slot")."""

from hybrid_slot import HYBRID_KEY, OTHER_HYBRID_KEY, hybrid_body, hybrid_slot
from key_slots import point
from people import BY_HYBRID
from scenario import flip
from scenarios_keys import ORDER_8
from slot_files import changed, slot_file
from slots import HYBRID

RULE = "Hybrid public key slot (kind 6)"


def hybrid(name, what, exit=5, also=(), rule=RULE, warning=True, **changes):
    """The slot is skipped with a warning, and there is no other; or it opens."""
    settings = BY_HYBRID | {"warning": warning and exit != 0}
    return slot_file(name, rule, what, exit, lambda w: hybrid_slot(w, **changes), settings, also)


def body(name, what, fault, exit=5, warning=True):
    """A slot whose encoded body is changed."""
    settings = BY_HYBRID | {"warning": warning}
    return slot_file("hybrid_" + name, RULE, what, exit, changed(HYBRID, hybrid_body, fault), settings)


class Mixed:
    """The key id is ours, one of the two keys another's."""

    def __init__(self, x25519, encapsulation_key):
        self.x25519, self.encapsulation_key = x25519, encapsulation_key

    def key_id(self):
        return HYBRID_KEY.key_id()


ours, others = HYBRID_KEY, OTHER_HYBRID_KEY
NOT_OURS = {"what": "The same with the key of another.", "hybrid_key": OTHER_HYBRID_KEY.private(), "exit": 9}
SWAPPED_SEED = (HYBRID_KEY.scalar + OTHER_HYBRID_KEY.seed).hex()

SCENARIOS = [
    hybrid(
        "good_hybrid",
        "A slot for a hybrid key.",
        0,
        [
            NOT_OURS,
            {"what": "The same with the scalar and another's seed.", "hybrid_key": SWAPPED_SEED, "exit": 9},
        ],
    ),
    hybrid("good_hybrid_label_empty", "The label is empty.", 0, used={"label": b""}),
    hybrid("good_hybrid_label_longest", "The label has 255 bytes.", 0, used={"label": b" ~" * 127 + b"~"}),
    hybrid("hybrid_of_other", "The slot is for another key.", 9, key=OTHER_HYBRID_KEY, warning=False),
    hybrid("hybrid_label_control", "The label holds a line feed.", used={"label": b"back\nup"}),
    hybrid("hybrid_label_7f", "The label holds the byte 7f.", used={"label": b"back\x7fup"}),
    hybrid("hybrid_label_changed", "The label is another than the one that was sealed.", label=b"backuq"),
    hybrid("hybrid_label_longer", "The length of the label is one more.", label_length=b"\7"),
    hybrid("hybrid_x25519_zero", "The shared secret of X25519 is zero.", used={"ephemeral": bytes(32), "z": bytes(32)}),
    hybrid(
        "hybrid_x25519_order_8",
        "The shared secret of X25519 is zero: the point has order 8.",
        used={"ephemeral": bytes.fromhex(ORDER_8), "z": bytes(32)},
    ),
    hybrid("hybrid_x25519_of_other", "X25519 is with another key.", key=Mixed(others.x25519, ours.encapsulation_key)),
    hybrid("hybrid_mlkem_of_other", "ML-KEM is with another key.", key=Mixed(ours.x25519, others.encapsulation_key)),
    hybrid("hybrid_secrets_swapped", "The key is made of Z || K.", join=lambda k, z: z + k),
    hybrid("hybrid_ephemeral_changed", "The ephemeral key is another's.", ephemeral=point(others.x25519)),
    hybrid("hybrid_k_alone", "The key is made of K alone.", join=lambda k, z: k),
    body("ciphertext_flipped", "A bit of the ciphertext is flipped.", lambda b: flip(200)(None, b)),
    hybrid("hybrid_wrapped", "The encrypted data key is zero.", wrapped=bytes(32)),
    hybrid("hybrid_tag", "The tag is zero.", tag=bytes(16)),
    hybrid("hybrid_of_other_file", "The slot is that of another checkpoint.", checkpoint_id=bytes(16)),
    hybrid("hybrid_other_data_key", "The data key is one of another file.", rule="Keys", data_key=bytes(32)),
    hybrid("hybrid_appended", "A byte follows the tag.", tail=b"\0"),
    body("truncated", "The tag lacks its last byte.", lambda b: b[:-1]),
    body("cut_behind_key_id", "Nothing follows the key id.", lambda b: b[:32]),
    body("cut_in_ciphertext", "The body ends in the ciphertext.", lambda b: b[:600]),
    body("without_key_id", "The body ends in the key id: it is for somebody else.", lambda b: b[:31], 9, False),
]

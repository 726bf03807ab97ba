# SPDX-License-Identifier: Apache-2.0
"""Slots for public keys, recovery keys and thresholds: one of each kind that opens, and their faults."""

from key_slots import OTHER_RECOVERY_KEY, RECOVERY_KEY, curve25519, p256, pkcs8, public_key_body, recovery_body, threshold_body
from scenario import Scenario
from writer import frame

PUBLIC_KEY = "Public key slot (kind 3)"
RECOVERY = "Recovery key slot (kind 4)"
THRESHOLD = "Threshold slot (kind 5)"
OURS, MONTGOMERY = p256("recipient"), curve25519("recipient")
BY_KEY = {"passphrase": None, "private_key": pkcs8(OURS)}
BY_X25519 = {"passphrase": None, "private_key": pkcs8(MONTGOMERY)}
BY_PAPER = {"passphrase": None, "recovery_key": RECOVERY_KEY.hex()}
BY_BOTH = BY_KEY | BY_PAPER


def one(name, rule, what, kind, make, settings, exit=5, also=()):
    options = {"slots": lambda writer: [frame(kind, make(writer))]}
    return Scenario(name, rule, what, exit=exit, options=options, settings=settings, also=list(also))


def public_key(name, what, key=OURS, exit=5, also=(), **changes):
    settings = BY_KEY if key is OURS else BY_X25519
    return one(name, PUBLIC_KEY, what, 3, lambda w: public_key_body(w, key, **changes), settings, exit, also)


def threshold(name, what, exit=5, also=(), **changes):
    return one(name, THRESHOLD, what, 5, lambda w: threshold_body(w, OURS, **changes), BY_BOTH, exit, also)


OFF_CURVE = b"\4" + bytes(31) + b"\1" + bytes(31) + b"\1"

SCENARIOS = [
    public_key(
        "good_public_key_p256",
        "A slot for a public key on P-256.",
        exit=0,
        also=[{"what": "The same with the key of another.", "private_key": pkcs8(p256("other")), "exit": 9}],
    ),
    public_key("good_public_key_x25519", "A slot for a public key of X25519.", MONTGOMERY, exit=0),
    public_key("public_key_algorithm", "The algorithm is unknown.", algorithm=5),
    public_key("public_key_source", "The recipient was named in an unknown way.", source=4),
    public_key("public_key_certificate", "The digest of a certificate, and the source is none.", certificate=bytes(31) + b"\1"),
    public_key("public_key_label", "The label holds a control byte.", label=b"back\nup"),
    public_key("public_key_point_short", "The point is compressed.", ephemeral=b"\2" + bytes(32)),
    public_key("public_key_point_off_curve", "The point is not on the curve.", ephemeral=OFF_CURVE),
    public_key("public_key_x25519_zero", "The shared secret is zero.", MONTGOMERY, ephemeral=bytes(32)),
    public_key("public_key_tag", "The tag is wrong.", tag=bytes(16)),
    public_key("public_key_label_changed", "The label is another than the one that was sealed.", label=b"backuq"),
    public_key("public_key_tail", "A byte follows the tag.", tail=b"\0"),
    one(
        "good_recovery",
        RECOVERY,
        "A slot for a recovery key.",
        4,
        recovery_body,
        BY_PAPER,
        exit=0,
        also=[{"what": "The same with another recovery key.", "recovery_key": OTHER_RECOVERY_KEY.hex(), "exit": 3}],
    ),
    one("recovery_tail", RECOVERY, "A byte follows the tag.", 4, lambda w: recovery_body(w, tail=b"\0"), BY_PAPER),
    threshold(
        "good_threshold",
        "Two of three are needed, a recovery key and a private key are there.",
        exit=0,
        also=[{"what": "The same with the recovery key alone.", "private_key": None, "exit": 9}],
    ),
    threshold("threshold_of_one", "One share is enough.", needed=1),
    threshold("threshold_of_four", "Four of three shares are needed.", needed=4),
    threshold("threshold_many", "There are 17 shares.", shares=lambda right: (right * 6)[:17]),
    threshold("threshold_nested", "A share is a threshold.", shares=lambda right: [(5, right[0][1]), *right[1:]]),
    threshold("threshold_empty_share", "A share is empty.", shares=lambda right: [(4, b""), *right[1:]]),
    threshold("threshold_tail", "A byte follows the last share.", tail=b"\0"),
]

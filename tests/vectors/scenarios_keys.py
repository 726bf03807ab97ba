# SPDX-License-Identifier: Apache-2.0
"""Slots for public keys, recovery keys and thresholds: one of each kind that opens, and their faults."""

from key_slots import (
    OTHER_RECOVERY_KEY,
    RECOVERY_KEY,
    curve25519,
    p256,
    p384,
    pkcs8,
    point,
    public_key_body,
    recovery_body,
    rsa3072,
    threshold_body,
)
from scenario import Scenario
from writer import frame

PUBLIC_KEY = "Public key slot (kind 3)"
RECOVERY = "Recovery key slot (kind 4)"
THRESHOLD = "Threshold slot (kind 5)"
OURS, LARGER, MONTGOMERY = p256("recipient"), p384("recipient"), curve25519("recipient")
RSA = rsa3072("recipient", 1818, 577)
BY_KEY = {"passphrase": None, "private_key": pkcs8(OURS)}
BY_PAPER = {"passphrase": None, "recovery_key": RECOVERY_KEY.hex()}
BY_BOTH = BY_KEY | BY_PAPER


def one(name, rule, what, kind, make, settings, exit=5, also=()):
    options = {"slots": lambda writer: [frame(kind, make(writer))]}
    return Scenario(name, rule, what, exit=exit, options=options, settings=settings, also=list(also))


def public_key(name, what, key=OURS, exit=5, also=(), **changes):
    settings = {"passphrase": None, "private_key": pkcs8(key)}
    rule = changes.pop("rule", PUBLIC_KEY)
    return one(name, rule, what, 3, lambda w: public_key_body(w, key, **changes), settings, exit, also)


def threshold(name, what, exit=5, also=(), **changes):
    return one(name, THRESHOLD, what, 5, lambda w: threshold_body(w, OURS, **changes), BY_BOTH, exit, also)


def off_curve(size):
    one_and_one = bytes(size - 1) + b"\1"
    return b"\4" + one_and_one * 2


def plus_modulus(ciphertext):
    """Those who reduce it first see the same number."""
    number = int.from_bytes(ciphertext, "big") + RSA.public_key().public_numbers().n
    return number.to_bytes(len(ciphertext), "big")


LEADING_ZERO = {"seed": "oaep 101"}  # Makes a ciphertext that begins with a zero byte.

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
    public_key("public_key_point_off_curve", "The point is not on the curve.", ephemeral=off_curve(32)),
    public_key("public_key_x25519_zero", "The shared secret is zero.", MONTGOMERY, ephemeral=bytes(32)),
    public_key("public_key_tag", "The tag is wrong.", tag=bytes(16)),
    public_key("public_key_label_changed", "The label is another than the one that was sealed.", label=b"backuq"),
    public_key("public_key_tail", "A byte follows the tag.", tail=b"\0"),
    public_key(
        "good_public_key_p384",
        "A slot for a public key on P-384.",
        LARGER,
        exit=0,
        also=[{"what": "The same with the key of another.", "private_key": pkcs8(p384("other")), "exit": 9}],
    ),
    public_key(
        "good_public_key_p384_leading_zero_shared",
        "The x coordinate of the shared point begins with a zero, and is padded.",
        LARGER,
        exit=0,
        with_ephemeral="ephemeral 86",
    ),
    public_key("public_key_p384_point_off_curve", "The point is not on P-384.", LARGER, ephemeral=off_curve(48)),
    public_key("public_key_p384_point_short", "The point is one of P-256.", LARGER, ephemeral=point(p256("ephemeral"))),
    public_key("public_key_p384_tag", "The tag is wrong.", LARGER, tag=bytes(16)),
    public_key(
        "public_key_p384_as_p256",
        "The key is on P-384, and all else is of P-256.",
        LARGER,
        algorithm=1,
        ephemeral=point(p256("ephemeral")),
    ),
    public_key(
        "public_key_p256_as_rsa",
        "The key is on P-256, and all else is of RSA.",
        algorithm=4,
        ephemeral=bytes(256),
        wrapped=b"",
        tag=b"",
    ),
    public_key(
        "good_public_key_rsa",
        "A slot for a public key of RSA, 3072 bits.",
        RSA,
        exit=0,
        also=[{"what": "The same with the key of another.", "private_key": pkcs8(OURS), "exit": 9}],
    ),
    public_key(
        "good_public_key_rsa_leading_zero",
        "The ciphertext begins with a zero, and is padded.",
        RSA,
        exit=0,
        oaep=LEADING_ZERO,
    ),
    public_key("public_key_rsa_altered", "A bit of the ciphertext is another.", RSA, alter=lambda c: c[:-1] + bytes([c[-1] ^ 1])),
    public_key("public_key_rsa_short", "The ciphertext lacks its leading zero.", RSA, oaep=LEADING_ZERO, alter=lambda c: c[1:]),
    public_key("public_key_rsa_long", "A zero stands in front of the ciphertext.", RSA, alter=lambda c: b"\0" + c),
    public_key("public_key_rsa_above_modulus", "The modulus was added.", RSA, oaep=LEADING_ZERO, alter=plus_modulus),
    public_key("public_key_rsa_tail", "A byte follows the ciphertext.", RSA, tail=b"\0"),
    public_key("public_key_rsa_sha1", "OAEP is that with SHA-1.", RSA, oaep={"digest": "sha1", "mask_digest": "sha1"}),
    public_key("public_key_rsa_mgf1_sha1", "MGF1 is that with SHA-1.", RSA, oaep={"mask_digest": "sha1"}),
    public_key("public_key_rsa_oaep_label", "OAEP has a label.", RSA, oaep={"label": b"ckpt-seal"}),
    public_key("public_key_rsa_data_key_long", "A byte follows the data key.", RSA, data_key=bytes(33)),
    public_key(
        "public_key_rsa_other_data_key",
        "The ciphertext is one of another file.",
        RSA,
        rule="Keys",
        data_key=bytes(32),
    ),
    public_key(
        "public_key_rsa_as_p256",
        "The key is of RSA, and all else is of P-256.",
        RSA,
        algorithm=1,
        ciphertext=point(p256("ephemeral")),
        tail=bytes(48),
    ),
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

# SPDX-License-Identifier: Apache-2.0
"""Slots for public keys: one of each kind that opens, and their faults ("Public key slot")."""

from key_slots import MAKE, algorithm_of, p256, p384, pkcs8, point, public_key_body, public_key_slot
from people import BY_KEY, LARGER, MONTGOMERY, OURS, RSA
from primitives import coordinates, multiply, sha256
from slot_files import changed, slot_file
from slots import PUBLIC_KEY

RULE = "Public key slot (kind 3)"
LEADING_ZERO = {"seed": "oaep 101"}  # Makes a ciphertext that begins with a zero byte.
P256_POINT = point(p256("ephemeral"))
NO_SECRET = {"ephemeral": bytes(32), "z": bytes(32)}
ORDER_8 = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"


def public_key(name, what, key=OURS, exit=5, also=(), rule=RULE, **changes):
    """The slot is skipped with a warning, and there is no other; or it opens."""
    settings = {"passphrase": None, "private_key": pkcs8(key), "warning": exit != 0}
    return slot_file(name, rule, what, exit, lambda w: public_key_slot(w, key, **changes), settings, also)


def body(name, what, fault, exit=5, warning=True):
    """A slot for the key on P-256 whose encoded body is changed."""
    settings = BY_KEY | {"warning": warning}
    make = changed(PUBLIC_KEY, lambda w: public_key_body(w, OURS), fault)
    return slot_file("public_key_" + name, RULE, what, exit, make, settings)


def lengths(name, what, key):
    """The ephemeral public key a byte too short, and a byte too long; all behind it fits."""
    right = point(MAKE[algorithm_of(key)]("ephemeral"))
    small = what[0].lower() + what[1:]
    return [
        public_key(f"public_key_{name}_short", f"{what} lacks its last byte.", key, used={"ephemeral": right[:-1]}),
        public_key(f"public_key_{name}_long", f"A zero follows {small}.", key, used={"ephemeral": right + b"\0"}),
        public_key(f"public_key_{name}_empty", f"{what} has no bytes.", key, used={"ephemeral": b""}),
    ]


def off_curve():
    """The point (1, 1), on another curve, with what a reader that does not look makes of it."""
    scalar = OURS.private_numbers().private_value
    return {"ephemeral": b"\4" + (bytes(31) + b"\1") * 2, "z": coordinates(multiply(scalar, (1, 1)))[0]}


def of_form(first):
    """The point of P-256 in another form of X9.62: compressed, or hybrid."""
    right = point(p256("ephemeral"))
    odd = right[-1] & 1
    return {"ephemeral": bytes([first + odd]) + (right[1:33] if first == 2 else right[1:])}


def plus_modulus(ciphertext):
    """Those who reduce it first see the same number."""
    number = int.from_bytes(ciphertext, "big") + RSA.public_key().public_numbers().n
    return number.to_bytes(len(ciphertext), "big")


def of_other(key):
    return [{"what": "The same with the key of another.", "private_key": pkcs8(key), "exit": 9}]


def named(name, what, exit=0, **fields):
    """How the recipient was named: the slot is bound to it."""
    return public_key(name, what, exit=exit, used=fields)


CERTIFICATE = sha256(b"certificate")
GOOD = [
    public_key("good_public_key_p256", "A slot for a public key on P-256.", exit=0, also=of_other(p256("other"))),
    public_key("good_public_key_p384", "A slot for a public key on P-384.", LARGER, 0, of_other(p384("other"))),
    public_key("good_public_key_x25519", "A slot for a public key of X25519.", MONTGOMERY, 0, of_other(OURS)),
    public_key("good_public_key_rsa", "A slot for a public key of RSA, 3072 bits.", RSA, 0, of_other(OURS)),
    public_key(
        "good_public_key_p384_leading_zero_shared",
        "The x coordinate of the shared point begins with a zero, and is padded.",
        LARGER,
        0,
        with_ephemeral="ephemeral 86",
    ),
    public_key(
        "good_public_key_rsa_leading_zero",
        "The ciphertext begins with a zero, and is padded.",
        RSA,
        0,
        oaep=LEADING_ZERO,
    ),
    named(
        "good_public_key_certificate",
        "The recipient was named by a certificate.",
        source=1,
        certificate=CERTIFICATE,
    ),
    named("good_public_key_token", "The recipient was named by a key in a token.", source=2),
    named("good_public_key_label_empty", "The label is empty.", label=b""),
    named(
        "good_public_key_label_longest",
        "The label has 255 bytes, from 20 to 7e.",
        label=bytes(range(32, 127)) * 2 + bytes([126]) * 65,
    ),
    named("good_public_key_certificate_zero", "The source is a certificate, and its digest is zero.", source=1),
]

FIELDS = [
    named("public_key_source_0", "The recipient was named in an unknown way, 0.", 5, source=0),
    named("public_key_source_4", "The recipient was named in an unknown way, 4.", 5, source=4),
    named("public_key_certificate", "The digest of a certificate, and the source is none.", 5, certificate=CERTIFICATE),
    named(
        "public_key_certificate_of_token",
        "The same, and the source is a token.",
        5,
        source=2,
        certificate=CERTIFICATE,
    ),
    named("public_key_label_control", "The label holds a line feed.", 5, label=b"back\nup"),
    named("public_key_label_1f", "The label holds the byte 1f.", 5, label=b"back\x1fup"),
    named("public_key_label_7f", "The label holds the byte 7f.", 5, label=b"back\x7fup"),
    named("public_key_label_80", "The label holds the byte 80.", 5, label=b"back\x80up"),
    public_key("public_key_algorithm_0", "The algorithm is 0.", exit=9, algorithm=0),
    public_key("public_key_algorithm_5", "The algorithm is 5.", exit=9, algorithm=5),
    body("algorithm_5_cut", "The algorithm is 5, and nothing follows the key id.", lambda b: b"\5" + b[1:34], 9),
    body("cut_behind_key_id", "Nothing follows the key id.", lambda b: b[:34]),
    body("without_key_id", "The body ends in the key id: it is for somebody else.", lambda b: b[:33], 9, False),
    body("one_byte", "The body has one byte: it is for somebody else.", lambda b: b[:1], 9, False),
    body("cut_in_label", "The body ends in the label.", lambda b: b[:70]),
    body("truncated", "The tag lacks its last byte.", lambda b: b[:-1]),
    public_key("public_key_tail", "A byte follows the tag.", tail=b"\0"),
    public_key("public_key_tag", "The tag is wrong.", tag=bytes(16)),
    public_key("public_key_wrapped", "The encrypted data key is zero.", wrapped=bytes(32)),
    public_key("public_key_label_changed", "The label is another than the one that was sealed.", label=b"backuq"),
    public_key("public_key_source_changed", "The source is another than the one that was sealed.", source=2),
    public_key("public_key_of_other_file", "The slot is that of another checkpoint.", checkpoint_id=bytes(16)),
    public_key("public_key_other_data_key", "The data key is one of another file.", rule="Keys", data_key=bytes(32)),
]

POINTS = [
    *lengths("point", "The point on P-256", OURS),
    *lengths("p384_point", "The point on P-384", LARGER),
    *lengths("x25519", "The public key of X25519", MONTGOMERY),
    public_key("public_key_point_compressed", "The point is compressed.", used=of_form(2)),
    public_key("public_key_point_hybrid", "The point begins with 06 or 07.", used=of_form(6)),
    public_key("public_key_point_off_curve", "The point is not on the curve.", used=off_curve()),
    public_key(
        "public_key_p384_point_off_curve",
        "The point is not on P-384.",
        LARGER,
        ephemeral=b"\4" + bytes(95) + b"\1",
    ),
    public_key("public_key_p384_point_p256", "The point is one of P-256.", LARGER, used={"ephemeral": P256_POINT}),
    public_key("public_key_p384_tag", "The tag is wrong.", LARGER, tag=bytes(16)),
    public_key("public_key_x25519_zero", "The shared secret is zero.", MONTGOMERY, used=NO_SECRET),
    public_key(
        "public_key_x25519_order_8",
        "The shared secret is zero: the point has order 8.",
        MONTGOMERY,
        used=NO_SECRET | {"ephemeral": bytes.fromhex(ORDER_8)},
    ),
    public_key("public_key_x25519_tag", "The tag is wrong.", MONTGOMERY, tag=bytes(16)),
]

OTHER_ALGORITHM = [
    public_key("public_key_p256_as_p384", "Only the algorithm is that of P-384.", used={"algorithm": 2}),
    public_key("public_key_p384_as_p256", "Only the algorithm is that of P-256.", LARGER, used={"algorithm": 1}),
    public_key("public_key_x25519_as_p256", "Only the algorithm is that of P-256.", MONTGOMERY, used={"algorithm": 1}),
    public_key("public_key_p256_as_x25519", "Only the algorithm is that of X25519.", used={"algorithm": 3}),
    public_key(
        "public_key_p384_all_as_p256",
        "The key is on P-384, and all else is of P-256.",
        LARGER,
        used={"algorithm": 1, "ephemeral": P256_POINT},
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
        "public_key_rsa_as_p256",
        "The key is of RSA, and all else is of P-256.",
        RSA,
        algorithm=1,
        ciphertext=P256_POINT,
        tail=bytes(48),
    ),
    public_key("public_key_rsa_as_p384", "Only the algorithm is that of P-384.", RSA, algorithm=2),
]

OF_RSA = [
    public_key(
        "public_key_rsa_altered",
        "A bit of the ciphertext is another.",
        RSA,
        alter=lambda c: c[:-1] + bytes([c[-1] ^ 1]),
    ),
    public_key(
        "public_key_rsa_short",
        "The ciphertext lacks its leading zero.",
        RSA,
        oaep=LEADING_ZERO,
        alter=lambda c: c[1:],
    ),
    public_key("public_key_rsa_long", "A zero stands in front of the ciphertext.", RSA, alter=lambda c: b"\0" + c),
    public_key("public_key_rsa_empty", "The ciphertext has no bytes.", RSA, alter=lambda c: b""),
    public_key("public_key_rsa_above_modulus", "The modulus was added.", RSA, oaep=LEADING_ZERO, alter=plus_modulus),
    public_key("public_key_rsa_tail", "A byte follows the ciphertext.", RSA, tail=b"\0"),
    public_key("public_key_rsa_sha1", "OAEP is that with SHA-1.", RSA, oaep={"digest": "sha1", "mask_digest": "sha1"}),
    public_key("public_key_rsa_mgf1_sha1", "MGF1 is that with SHA-1.", RSA, oaep={"mask_digest": "sha1"}),
    public_key("public_key_rsa_oaep_label", "OAEP has a label.", RSA, oaep={"label": b"ckpt-seal"}),
    public_key("public_key_rsa_data_key_short", "The data key has 31 bytes.", RSA, data_key=bytes(31)),
    public_key("public_key_rsa_data_key_long", "The data key has 33 bytes.", RSA, data_key=bytes(33)),
    public_key(
        "public_key_rsa_data_key_appended",
        "The first 32 of 33 bytes are the data key.",
        RSA,
        alter_key=lambda key: key + b"\0",
    ),
    public_key(
        "public_key_rsa_other_data_key",
        "The ciphertext is one of another file.",
        RSA,
        rule="Keys",
        data_key=bytes(32),
    ),
]

SCENARIOS = GOOD + FIELDS + POINTS + OTHER_ALGORITHM + OF_RSA

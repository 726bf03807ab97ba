# SPDX-License-Identifier: Apache-2.0
"""Faults of "Slots", "TPM slot" and "Passphrase slot". The header's MAC and checksum hold, and the digest that the
manifest lists is that of the faulty slot: whoever sealed did it wrong, or did it on purpose."""

from primitives import sha256, u16, u32, u64
from scenario import ADDER, CHUNK, STRANGER, Scenario, bad, flip, put
from scenarios_good import OTHER_PARENT, OTHER_PASSPHRASE, PARENT
from tpm_slot import tpm_body
from writer import added_slot, frame, passphrase_body, passphrase_slot

PASSPHRASE_RULE = "Passphrase slot (kind 2)"
TPM_RULE = "TPM slot (kind 1)"
OUR_TPM = {"passphrase": None, "parent_scalar": f"{PARENT.scalar:064x}"}


def slots(name, what, make, rule="Slots", **rest):
    options = dict(rest.pop("options", {}), slots=make)
    return Scenario(name, rule, what, options=options, **rest)


def passphrase(name, what, exit=5, **changes):
    return slots("passphrase_" + name, what, lambda w: [passphrase_slot(w, **changes)], PASSPHRASE_RULE, exit=exit)


def body(name, what, change):
    """A passphrase slot whose encoded body is changed."""
    return slots("passphrase_" + name, what, lambda w: [frame(2, change(passphrase_body(w)))], PASSPHRASE_RULE)


def tpm(name, what, inject, **rest):
    options = {"slots": lambda w: [frame(1, tpm_body(w, PARENT))]} | rest.pop("options", {})
    settings = rest.pop("settings", OUR_TPM)
    return bad("tpm_" + name, TPM_RULE, what, inject, options=options, settings=settings, **rest)


def field(**changes):
    return {"tpm_fields": lambda w, fields: fields | changes}


def value_changed(_writer, fields):
    return fields | {"values": flip(31)(None, fields["values"])}


def mask_changed(_writer, fields):
    return fields | {"mask": 0b100101001, "values": fields["values"]}


def added(**changes):
    return lambda w: [
        passphrase_slot(w, passphrase=OTHER_PASSPHRASE),
        added_slot(w, 2, passphrase_body(w), ADDER, 2, **changes),
    ]


def signed_by_stranger(writer):
    digest = sha256(u16(2) + passphrase_body(writer))
    return STRANGER.sign(sha256(b"ckpt-seal/v1/slot" + writer.checkpoint_id + u64(2) + digest))


def resized(index, size):
    """Gives one of the three areas of a TPM body another length field, and cuts or fills it to that."""

    def fault(_writer, value):
        at = 32 + 34 + 1 + 4 + 4 * 32
        areas = []
        while at < len(value):
            length = int.from_bytes(value[at : at + 2], "big")
            areas.append(value[at + 2 : at + 2 + length])
            at += 2 + length
        areas[index] = areas[index][:size].ljust(size, b"\0")
        return value[: 32 + 34 + 1 + 4 + 4 * 32] + b"".join(u16(len(area)) + area for area in areas)

    return {"tpm_body": fault}


TRUST_ADDER = {"trusted_adders": [ADDER.public()]}
GENERATION_2 = {"generations": (2, 2)}


def unlisted(_writer, pages):
    """The slot page lists another slot than the file has."""
    pages[-2].body = flip(0)(None, pages[-2].body)
    return pages


FRAME = [
    bad("slot_count_zero", "Slots", "The number of slots is 0.", {"slots_part": lambda *_: u16(0)}),
    bad("slot_part_empty", "Slots", "S is 0.", {"slots_part": lambda *_: b""}),
    bad("slot_truncated", "Slots", "The last slot lacks its last byte.", {"slots_part": lambda w, s, _n: s[:-1]}),
    bad("slot_appended", "Slots", "A byte follows the last slot.", {"slots_part": lambda w, s, _n: s + b"\0"}),
    bad("slot_count_too_high", "Slots", "The number of slots is one more.", {"slots_part": put(0, u16(2))}),
    slots("slot_length_absurd", "The length of a body is 2^32 - 1.", lambda w: [frame(2, passphrase_body(w), length=2**32 - 1)]),
    slots("slot_length_zero", "A slot of an unknown kind has an empty body.", lambda w: [frame(0x7E57, b""), passphrase_slot(w)]),
    slots(
        "slot_length_65537",
        "The body of a slot of an unknown kind has 65537 bytes.",
        lambda w: [frame(0x7E57, bytes(CHUNK + 1)), passphrase_slot(w)],
        options={"log_h": 18},
    ),
    slots("slot_adder_unknown", "The adder of a slot is 2.", lambda w: [frame(2, passphrase_body(w), adder=2)]),
    slots(
        "slot_adder_unknown_kind_unknown",
        "The adder of a slot of an unknown kind is 2.",
        lambda w: [frame(0x7E57, b"body", adder=2), passphrase_slot(w)],
    ),
    slots(
        "slot_unknown_only",
        "The only slot is of an unknown kind.",
        lambda w: [frame(0x7E57, b"body")],
        exit=9,
    ),
    bad("slot_not_listed", "Slots", "A slot of the origin is not among those that the manifest lists.", {"pages": unlisted}),
    bad(
        "slot_other_added_as_origin",
        "Slots",
        "Somebody with the key adds a slot for a new passphrase and calls it one of the origin.",
        {"slots_part": lambda w, s, _n: u16(2) + s[2:] + passphrase_slot(w, passphrase=OTHER_PASSPHRASE)},
        settings={"passphrase": OTHER_PASSPHRASE.decode("ascii")},
    ),
    slots(
        "slot_added_signature_flipped",
        "The signature of a trusted adder is zero.",
        added(signature=bytes(64)),
        options=GENERATION_2,
        settings=TRUST_ADDER,
    ),
    slots(
        "slot_added_signature_of_other_host",
        "Another host has signed in the name of the adder.",
        lambda w: added(signature=signed_by_stranger(w))(w),
        options=GENERATION_2,
        settings={"trusted_adders": [ADDER.public(), STRANGER.public()]},
    ),
    slots(
        "slot_added_generation_wrong",
        "The adder has signed for another generation than the slot says.",
        added(signed_generation=3),
        options=GENERATION_2,
        settings=TRUST_ADDER,
    ),
    slots(
        "slot_added_for_other_checkpoint",
        "The adder has signed for another checkpoint.",
        added(signed_id=bytes(16)),
        options=GENERATION_2,
        settings=TRUST_ADDER,
    ),
    bad(
        "exclusive_two_slots",
        "Slots",
        "An exclusive file has two slots.",
        {},
        options={"suite": 3, "slots": lambda w: [passphrase_slot(w), passphrase_slot(w, passphrase=OTHER_PASSPHRASE)]},
    ),
    bad(
        "exclusive_slot_added",
        "Slots",
        "The only slot of an exclusive file was added later, by a trusted host.",
        {},
        options={
            "suite": 4,
            "generations": (2, 2),
            "slots": lambda w: [added_slot(w, 2, passphrase_body(w), ADDER, 2)],
        },
        settings=TRUST_ADDER,
    ),
    slots(
        "slot_other_data_key",
        "The slot gives another key than the one that the file is committed to.",
        lambda w: [passphrase_slot(w, data_key=w.random("other data key", 32))],
        "Keys",
    ),
]

PASSPHRASE = [
    passphrase("kdf_unknown", "The KDF is 2.", kdf=2),
    passphrase("memory_absurd", "The memory is 2^32 - 1 KiB.", memory=2**32 - 1),
    passphrase("memory_above_limit", "The memory is 4194305 KiB.", memory=4194305),
    passphrase("memory_small", "The memory is less than 8 times the lanes.", memory=127, lanes=16),
    passphrase("passes_zero", "The passes are 0.", passes=0),
    passphrase("passes_absurd", "The passes are 65.", passes=65),
    passphrase("lanes_zero", "The lanes are 0.", lanes=0),
    passphrase("lanes_absurd", "The lanes are 17.", lanes=17, memory=136),
    passphrase("passes_changed", "The passes are 2, and were 1 at sealing: another key.", exit=3, passes=2),
    body("appended", "A byte follows the tag.", lambda b: b + b"\0"),
    body("truncated", "The tag lacks its last byte.", lambda b: b[:-1]),
    slots(
        "passphrase_wrapped_flipped",
        "A bit of the wrapped data key is flipped: this cannot be told from a wrong passphrase.",
        lambda w: [frame(2, flip(29)(w, passphrase_body(w)))],
        PASSPHRASE_RULE,
        exit=3,
    ),
    slots(
        "passphrase_tag_flipped",
        "A bit of the tag is flipped: this cannot be told from a wrong passphrase.",
        lambda w: [frame(2, flip(-1)(w, passphrase_body(w)))],
        PASSPHRASE_RULE,
        exit=3,
    ),
]

TPM = [
    tpm(
        "other_host",
        "The slot is for another storage parent, and there is no other slot.",
        {},
        options={"slots": lambda w: [frame(1, tpm_body(w, OTHER_PARENT))]},
        exit=9,
    ),
    tpm("policy_unknown", "The form of the policy of our slot is 3.", field(form=3)),
    tpm(
        "policy_unknown_other_host",
        "The form of the policy of another host's slot is 3, and there is no other slot.",
        field(form=3),
        options={"slots": lambda w: [frame(1, tpm_body(w, OTHER_PARENT))]},
        exit=9,
    ),
    tpm("pcr_mask_zero", "No PCR is named.", {}, options={"slots": lambda w: [frame(1, tpm_body(w, PARENT, pcr_numbers=()))]}),
    tpm("pcr_10", "PCR 10 is named.", {}, options={"slots": lambda w: [frame(1, tpm_body(w, PARENT, pcr_numbers=(0, 10)))]}),
    tpm("pcr_24", "PCR 24 is named.", field(mask=1 << 24 | 0b10010101)),
    tpm("policy_digest_mismatch", "The authPolicy is not that of the PCRs.", {"tpm_public": flip(20)}),
    tpm("policy_value_changed", "A PCR value is not the one of the authPolicy.", {"tpm_fields": value_changed}),
    tpm("policy_mask_changed", "The mask is not the one of the authPolicy.", {"tpm_fields": mask_changed}),
    tpm("public_type", "The object is SYMCIPHER.", {"tpm_public": put(0, u16(0x25))}),
    tpm("public_name_algorithm", "The name algorithm is SHA-384.", {"tpm_public": put(2, u16(0x0C))}),
    tpm("public_user_with_auth", "The attribute userWithAuth is set.", {"tpm_public": put(4, u32(0x4C0))}),
    tpm("public_no_admin_with_policy", "The attribute adminWithPolicy is clear.", {"tpm_public": put(4, u32(0x400))}),
    tpm("public_scheme", "The scheme is HMAC with SHA-256.", {"tpm_public": lambda w, p: p[:42] + u16(5) + u16(11) + p[44:]}),
    tpm("public_appended", "A byte follows the public area.", {"tpm_public": lambda w, p: p + b"\0"}),
    tpm("public_length_zero", "The public area has no bytes.", resized(0, 0)),
    tpm("public_length_absurd", "The public area has 513 bytes.", resized(0, 513)),
    tpm("private_length_zero", "The private area has no bytes.", resized(1, 0)),
    tpm("private_length_absurd", "The private area has 1025 bytes.", resized(1, 1025)),
    tpm("secret_length_zero", "The secret has no bytes.", resized(2, 0)),
    tpm("secret_length_absurd", "The secret has 513 bytes.", resized(2, 513)),
    tpm("length_beyond_body", "The length of the secret is more than the body has.", {"tpm_body": put(-70, u16(69))}),
    tpm("appended", "A byte follows the secret.", {"tpm_body": lambda w, b: b + b"\0"}),
    tpm("truncated", "The body ends in the PCR values.", {"tpm_body": lambda w, b: b[:100]}),
    tpm("integrity_flipped", "The integrity value is wrong: the object does not import.", {"tpm_integrity": flip(0)}),
    tpm("integrity_short", "The integrity value has 31 bytes.", {"tpm_integrity": lambda w, i: i[:31]}),
    tpm("encrypted_flipped", "A bit of the encrypted part is flipped.", {"tpm_private": flip(-1)}),
    tpm("point_off_curve", "The ephemeral point is not on the curve.", {"tpm_point": flip(-1)}),
    tpm("point_short", "The x coordinate has 31 bytes.", {"tpm_point": lambda w, p: u16(31) + p[3:]}),
    tpm("point_y_short", "The y coordinate has 31 bytes.", {"tpm_point": lambda w, p: p[:34] + u16(31) + p[37:]}),
    tpm("point_appended", "A byte follows the point.", {"tpm_point": lambda w, p: p + b"\0"}),
    tpm("data_key_short", "The TPM releases 31 bytes.", {"tpm_data_key": lambda w, k: k[:31]}),
    tpm("data_key_long", "The TPM releases 33 bytes.", {"tpm_data_key": lambda w, k: k + b"\0"}),
    tpm("sensitive_type", "The sensitive area is that of a SYMCIPHER.", {"tpm_sensitive": put(2, u16(0x25))}),
    tpm("sensitive_size", "The size of the sensitive area is wrong.", {"tpm_sensitive": put(0, u16(71))}),
    tpm("unique_wrong", "The unique field does not belong to the sealed data: TPM2_Load refuses.", {"tpm_public": flip(-1)}),
]

SCENARIOS = FRAME + PASSPHRASE + TPM

# SPDX-License-Identifier: Apache-2.0
"""Slots for TPMs, opened in software with the private scalar of the storage parent, and the faults of "TPM slot" but
those of policies. The header's MAC and checksum hold, and the slot list has the faulty slot: whoever sealed did it
wrong, or did it on purpose."""

from people import BY_TPM, OTHER_PARENT, PARENT
from primitives import u16, u32
from scenario import flip, good, put
from slot_files import slot_file
from tpm_slot import search_ephemeral, tpm_slot

RULE = "TPM slot (kind 1)"


def opens(name, what, inject=None, **changes):
    options = {"slots": lambda w: [tpm_slot(w, PARENT, **changes)], "inject": inject or {}}
    return good("good_tpm" + name, RULE, what, options=options, settings=BY_TPM)


def tpm(name, what, inject, exit=5, parent=PARENT, warning=True, **changes):
    """The slot is skipped with a warning, and there is no other."""
    settings = BY_TPM | {"warning": warning}
    return slot_file(
        "tpm_" + name, RULE, what, exit, lambda w: tpm_slot(w, parent, **changes), settings, inject=inject
    )


def field(**changes):
    return {"tpm_fields": lambda w, fields: fields | changes}


def pcr_numbers(name, what, *numbers):
    return tpm(name, what, {}, pcr_numbers=numbers)


def form_4(_writer, body):
    return body[:66] + b"\4"


def value_changed(_writer, fields):
    return fields | {"values": flip(31)(None, fields["values"])}


def mask_changed(_writer, fields):
    return fields | {"mask": 0b100101001, "values": fields["values"]}


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


GOOD = [
    opens("", "A TPM slot, opened in software with the private scalar of the storage parent."),
    opens("_all_pcrs", "A TPM slot with all PCRs that are allowed.", pcr_numbers=[n for n in range(24) if n != 10]),
    opens(
        "_leading_zero_point",
        "The x coordinate of the ephemeral point begins with a zero, and is padded.",
        ephemeral=search_ephemeral(51),
    ),
    opens(
        "_leading_zero_shared",
        "The x coordinate of the shared point begins with a zero, and is padded.",
        ephemeral=search_ephemeral(205),
    ),
    opens("_other_identity", "The recipient is another host; the Name says whose it is.", field(recipient=bytes(32))),
]

NOT_OURS = {"parent": OTHER_PARENT, "warning": False, "exit": 9}

FORM = [
    tpm("other_host", "The slot is for another storage parent, and there is no other slot.", {}, **NOT_OURS),
    tpm("other_host_form_3", "The same, and the form of its policy is 3.", field(form=3), **NOT_OURS),
    tpm("other_host_cut", "The same, and nothing follows the Name.", {"tpm_body": lambda w, b: b[:66]}, **NOT_OURS),
    tpm("form_3", "The form of the policy of our slot is 3.", field(form=3), exit=9),
    tpm("form_4", "The form of the policy of our slot is 4, and nothing follows.", {"tpm_body": form_4}, exit=9),
    tpm("form_0", "The form of the policy of our slot is 0.", field(form=0), exit=9),
    tpm("without_form", "The body of our slot ends behind the Name.", {"tpm_body": lambda w, b: b[:66]}),
    tpm("without_name", "The body lacks the last byte of the Name.", {"tpm_body": lambda w, b: b[:65]}),
    tpm("one_byte", "The body has one byte.", {"tpm_body": lambda w, b: b[:1]}),
    pcr_numbers("pcr_mask_zero", "No PCR is named."),
    pcr_numbers("pcr_10", "PCR 10 is named.", 0, 10),
    pcr_numbers("pcr_24", "PCR 24 is named.", 0, 24),
    pcr_numbers("pcr_31", "PCR 31 is named.", 0, 31),
]

OBJECT = [
    tpm("policy_digest_mismatch", "The authPolicy is not that of the PCRs.", {"tpm_public": flip(20)}),
    tpm("policy_value_changed", "A PCR value is not the one of the authPolicy.", {"tpm_fields": value_changed}),
    tpm("policy_mask_changed", "The mask is not the one of the authPolicy.", {"tpm_fields": mask_changed}),
    tpm("public_type", "The object is SYMCIPHER.", {"tpm_public": put(0, u16(0x25))}),
    tpm("public_name_algorithm", "The name algorithm is SHA-384.", {"tpm_public": put(2, u16(0x0C))}),
    tpm("public_user_with_auth", "The attribute userWithAuth is set.", {"tpm_public": put(4, u32(0x4C0))}),
    tpm("public_no_admin_with_policy", "The attribute adminWithPolicy is clear.", {"tpm_public": put(4, u32(0x400))}),
    tpm(
        "public_scheme",
        "The scheme is HMAC with SHA-256.",
        {"tpm_public": lambda w, p: p[:42] + u16(5) + u16(11) + p[44:]},
    ),
    tpm("public_scheme_value", "The scheme is another, in the same size.", {"tpm_public": put(42, u16(5))}),
    tpm("public_appended", "A byte follows the public area.", {"tpm_public": lambda w, p: p + b"\0"}),
    tpm("public_policy_size", "The size of the authPolicy is 31.", {"tpm_public": put(8, u16(31))}),
    tpm("public_unique_size", "The size of the unique field is 31.", {"tpm_public": put(44, u16(31))}),
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
    tpm("integrity_size", "The size of the integrity value is 31.", {"tpm_private": put(0, u16(31))}),
    tpm("integrity_short", "The integrity value has 31 bytes.", {"tpm_integrity": lambda w, i: i[:31]}),
    tpm("encrypted_flipped", "A bit of the encrypted part is flipped.", {"tpm_private": flip(-1)}),
    tpm("point_off_curve", "The ephemeral point is not on the curve.", {"tpm_point": flip(-1)}),
    tpm("point_x_size", "The size of x is 31.", {"tpm_point": put(0, u16(31))}),
    tpm("point_y_size", "The size of y is 31.", {"tpm_point": put(34, u16(31))}),
    tpm("point_short", "The x coordinate has 31 bytes.", {"tpm_point": lambda w, p: u16(31) + p[3:]}),
    tpm("point_y_short", "The y coordinate has 31 bytes.", {"tpm_point": lambda w, p: p[:34] + u16(31) + p[37:]}),
    tpm("point_appended", "A byte follows the point.", {"tpm_point": lambda w, p: p + b"\0"}),
    tpm("data_key_short", "The TPM releases 31 bytes.", {"tpm_data_key": lambda w, k: k[:31]}),
    tpm("data_key_long", "The TPM releases 33 bytes.", {"tpm_data_key": lambda w, k: k + b"\0"}),
    tpm("sensitive_type", "The sensitive area is that of a SYMCIPHER.", {"tpm_sensitive": put(2, u16(0x25))}),
    tpm("sensitive_size", "The size of the sensitive area is wrong.", {"tpm_sensitive": put(0, u16(71))}),
    tpm("sensitive_auth_size", "The size of the auth is 1.", {"tpm_sensitive": put(4, u16(1))}),
    tpm("sensitive_data_size", "The size of the data key is 31.", {"tpm_sensitive": put(40, u16(31))}),
    tpm("unique_wrong", "The unique field is not of the sealed data: TPM2_Load refuses.", {"tpm_public": flip(-1)}),
]

SCENARIOS = GOOD + FORM + OBJECT

# SPDX-License-Identifier: Apache-2.0
"""Seals a data key for a TPM in software (docs/format.md, "TPM slot"), with a place for a fault at every step, named as
in writer.py: tpm_data_key, tpm_public, tpm_auth, tpm_sensitive, tpm_integrity, tpm_private, tpm_point, tpm_fields,
tpm_body."""

import primitives as crypto
from pieces import Slot, sized
from policy import auth_of, pcrs, policy, values_of
from primitives import sha256, u16, u32
from slots import TPM

DEFAULT_PCRS = (0, 2, 4, 7)
PIN = "2468"


class StorageParent:
    """A storage parent whose private half is known, as no TPM would tell it."""

    def __init__(self, name):
        self.scalar = crypto.scalar_from("ckpt-seal vectors storage parent of " + name)
        self.host = sha256(b"ckpt-seal vectors host " + name.encode("ascii"))
        self.point = crypto.multiply(self.scalar)

    def public(self):
        """TPMT_PUBLIC of the usual ECC storage parent: P-256, AES-128-CFB."""
        x, y = crypto.coordinates(self.point)
        head = bytes.fromhex("0023000b00030472" "0000" "000600800043" "0010" "0003" "0010")
        return head + u16(32) + x + u16(32) + y

    def name(self):
        return b"\x00\x0b" + sha256(self.public())


def search_ephemeral(number):
    """One of the keys among which rare ones were searched: coordinates with leading zeros are rare but legal."""
    return crypto.scalar_from(f"ckpt-seal vectors search {number}")


def form_of_pcrs(numbers):
    """The fields of form 1 and their policy, for a machine whose PCRs have made-up values."""
    return {"form": 1, "mask": sum(1 << n for n in numbers), "values": values_of(numbers)}, policy(pcrs(*numbers))


def form_of_any(any_policy):
    return {"form": 2, "policy": any_policy.encoded}, any_policy


def tpm_body(writer, parent, pcr_numbers=DEFAULT_PCRS, any_policy=None, pin=PIN, ephemeral=None, data_key=None):
    """The body of a TPM slot, of form 2 with `any_policy` and else of form 1."""
    head, asked = form_of_any(any_policy) if any_policy else form_of_pcrs(pcr_numbers)
    seed_value = writer.random("seed value", 32)
    data_key = writer.step("tpm_data_key", data_key or writer.data_key)
    unique = sha256(seed_value + data_key)
    attributes = 0x80 if asked.pin else 0x480
    public = u16(8) + u16(11) + u32(attributes) + u16(32) + asked.step(bytes(32)) + u16(0x10) + u16(32) + unique
    public = writer.step("tpm_public", public)
    name = b"\x00\x0b" + sha256(public)

    ephemeral = ephemeral or crypto.scalar_from("ckpt-seal vectors ephemeral key")
    x, y = crypto.coordinates(crypto.multiply(ephemeral))
    z = crypto.coordinates(crypto.multiply(ephemeral, parent.point))[0]
    seed = crypto.kdfe(z, b"DUPLICATE", x, crypto.coordinates(parent.point)[0])

    auth = writer.step("tpm_auth", auth_of(pin.encode("ascii"), writer.checkpoint_id) if asked.pin else b"")
    sensitive = u16(8) + u16(len(auth)) + auth + u16(32) + seed_value + u16(len(data_key)) + data_key
    sensitive = writer.step("tpm_sensitive", u16(len(sensitive)) + sensitive)
    encrypted = crypto.cfb_encrypt(crypto.kdfa(seed, b"STORAGE", name, 128), sensitive)
    integrity = crypto.hmac_sha256(crypto.kdfa(seed, b"INTEGRITY", b"", 256), encrypted + name)
    integrity = writer.step("tpm_integrity", integrity)
    private = writer.step("tpm_private", u16(len(integrity)) + integrity + encrypted)
    secret = writer.step("tpm_point", u16(32) + x + u16(32) + y)

    head = writer.step("tpm_fields", head | {"recipient": parent.host, "parent": parent.name()})
    fixed = head["recipient"] + head["parent"] + bytes([head["form"]])
    if "policy" in head:
        fixed += u16(head.get("policy_length", len(head["policy"]))) + head["policy"]
    else:
        fixed += u32(head["mask"]) + head["values"]
    areas = b"".join(sized(area) for area in (public, private, secret))
    return writer.step("tpm_body", fixed + areas)


def tpm_slot(writer, parent, **changes):
    return Slot(TPM, tpm_body(writer, parent, **changes))

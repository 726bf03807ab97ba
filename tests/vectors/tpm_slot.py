# SPDX-License-Identifier: Apache-2.0
"""Seals a data key for a TPM in software (docs/format.md, "TPM slot"), with a place for a fault at every step, named as
in writer.py: tpm_data_key, tpm_public, tpm_sensitive, tpm_integrity, tpm_private, tpm_point, tpm_fields, tpm_body."""

import primitives as crypto
from primitives import sha256, u16, u32

DEFAULT_PCRS = (0, 2, 4, 7)


class StorageParent:
    """A storage parent whose private half is known, as no TPM would tell it."""

    def __init__(self, name):
        self.scalar = crypto.scalar_from("ckpt-seal vectors storage parent of " + name)
        self.host = sha256(b"ckpt-seal vectors host record of " + name.encode("ascii"))
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


def policy_digest(mask, values):
    bitmap = bytes(sum(1 << n % 8 for n in range(24) if mask >> n & 1 and n // 8 == byte) for byte in range(3))
    selection = bytes.fromhex("00000001000b03") + bitmap
    return sha256(bytes(32) + bytes.fromhex("0000017f") + selection + sha256(values))


def tpm_body(writer, parent, pcrs=DEFAULT_PCRS, parent_name=None, values=None, ephemeral=None):
    """The body of a TPM slot for a machine whose PCRs have made-up values, unless `values` (32 bytes each) is given."""
    mask = sum(1 << n for n in pcrs)
    if values is None:
        values = b"".join(sha256(b"PCR" + bytes([n])) for n in pcrs)
    seed_value = writer.random("seed value", 32)
    data_key = writer.step("tpm_data_key", writer.data_key)
    unique = sha256(seed_value + data_key)
    public = bytes.fromhex("0008000b00000480") + u16(32) + policy_digest(mask, values) + u16(0x10) + u16(32) + unique
    public = writer.step("tpm_public", public)
    name = b"\x00\x0b" + sha256(public)

    ephemeral = ephemeral or crypto.scalar_from("ckpt-seal vectors ephemeral key")
    x, y = crypto.coordinates(crypto.multiply(ephemeral))
    z = crypto.coordinates(crypto.multiply(ephemeral, parent.point))[0]
    seed = crypto.kdfe(z, b"DUPLICATE", x, crypto.coordinates(parent.point)[0])

    sensitive = u16(8) + u16(0) + u16(32) + seed_value + u16(len(data_key)) + data_key
    sensitive = writer.step("tpm_sensitive", u16(len(sensitive)) + sensitive)
    encrypted = crypto.cfb_encrypt(crypto.kdfa(seed, b"STORAGE", name, 128), sensitive)
    integrity = crypto.hmac_sha256(crypto.kdfa(seed, b"INTEGRITY", b"", 256), encrypted + name)
    integrity = writer.step("tpm_integrity", integrity)
    private = writer.step("tpm_private", u16(len(integrity)) + integrity + encrypted)
    secret = writer.step("tpm_point", u16(32) + x + u16(32) + y)

    head = {"recipient": parent.host, "parent": parent_name or parent.name(), "policy": 1, "mask": mask, "values": values}
    head = writer.step("tpm_fields", head)
    fixed = head["recipient"] + head["parent"] + bytes([head["policy"]]) + u32(head["mask"]) + head["values"]
    areas = b"".join(u16(len(area)) + area for area in (public, private, secret))
    return writer.step("tpm_body", fixed + areas)

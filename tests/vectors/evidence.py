# SPDX-License-Identifier: Apache-2.0
"""Evidence of kind 1 (docs/format.md, "Trailer"): a quote as a TPM makes it, over a file digest."""

from pieces import Host, sized
from policy import values_of
from primitives import sha256, u16, u32, u64

ATTESTATION = Host("attestation key of the origin")
NUMBERS = (0, 7)
MASK = 0x81


def tpm_quote(file_digest):
    """TPMS_ATTEST of TPM2_Quote, TPMT_SIGNATURE, mask and values."""
    signer = b"\x00\x0b" + sha256(b"ckpt-seal vectors qualified name of the attestation key")
    clock = u64(1000) + u32(1) + u32(0) + b"\1"
    selection = u32(1) + u16(0x0B) + b"\x03" + bytes([MASK, 0, 0])
    values = values_of(NUMBERS)
    quoted = selection + sized(sha256(values))
    attest = b"\xffTCG" + u16(0x8018) + sized(signer) + sized(file_digest) + clock + u64(1) + quoted
    r_and_s = ATTESTATION.sign(sha256(attest)).value
    signature = u16(0x18) + u16(0x0B) + sized(r_and_s[:32]) + sized(r_and_s[32:])
    return b"\1" + sized(attest) + sized(signature) + u32(MASK) + values

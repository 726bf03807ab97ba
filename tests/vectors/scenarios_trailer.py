# SPDX-License-Identifier: Apache-2.0
"""Faults of "Overview", "Trailer", "Annex" and of the signature of the origin: checksums are right for the faulty
bytes."""

import primitives as crypto
from evidence import tpm_quote
from pieces import BLOCK, NO_SIGNATURE, PAGE, Signature, annex
from primitives import u32
from scenario import (
    STRANGER,
    TWO_CHUNKS,
    UNSIGNED,
    always,
    bad,
    content,
    flip,
    good,
    put,
    without_key,
)

LARGE = [("stream", content("large", 5000))]
HOST_RECORD = (1, b"-----BEGIN CKPT-SEAL HOST RECORD-----\n")
RECEIPT = (2, b"receipt")
ANNEX = annex(HOST_RECORD, RECEIPT)
RECORD_END = 6 + len(HOST_RECORD[1])
BEHIND_SIGNATURE = 32 + 4 + 64


def trailer(name, what, inject, **rest):
    return bad("trailer_" + name, rest.pop("rule", "Trailer"), what, inject, **rest)


def fields(name, what, change, **rest):
    """`change` gives new fields from the right ones."""
    return trailer(name, what, {"trailer_fields": lambda w, right: right | change(right)}, **rest)


def unsigned(name, what, inject, rule="Trailer", **options):
    """Step 1 refuses, whether unsigned files are allowed or not."""
    also = [{"what": "The same, and unsigned is not allowed.", "allow_unsigned": False}]
    return bad(name, rule, what, inject, options={"origin": None} | options, settings=UNSIGNED, also=also)


def cut(name, what, fault, rule="Trailer", **rest):
    return bad("file_" + name, rule, what, {"file": fault}, **rest)


def other_s(_writer, signature):
    s = crypto.N - int.from_bytes(signature.value[32:], "big")
    return Signature(1, signature.value[:32] + s.to_bytes(32, "big"))


def signed_by_stranger(writer, _signature):
    return STRANGER.sign(writer.origin_digest(b""))


def proven(name, what, evidence, **rest):
    return good("good_evidence_" + name, "Trailer", what, options={"evidence": evidence}, **rest)


def annexed(name, what, data):
    return good("good_annex_" + name, "Annex", what, options={"annex": data}, also=[without_key()])


def retagged(data):
    return data[:-32] + crypto.sha256(data[:-32])


def signature(name, what, fault, rule="Trailer"):
    return bad("signature_" + name, rule, what, {"signature": fault}, also=[without_key()])


SIGNATURE = [
    good(
        "good_signature_other_s",
        "Signatures",
        "The s of the signature is n less that of RFC 6979: of the two, one is above n / 2.",
        options={"inject": {"signature": other_s}},
    ),
    bad("signature_flipped", "Trailer", "A bit of it is flipped.", {"trailer": flip(60)}, also=[without_key()]),
    signature("zero", "r and s of the signature are zero.", always(Signature(1, bytes(64)))),
    signature("missing", "Algorithm 0 in a file with an origin.", always(NO_SIGNATURE)),
    signature("algorithm_unknown", "Algorithm 2.", lambda w, s: Signature(2, s.value)),
    signature("length_63", "Algorithm 1 has 63 bytes.", lambda w, s: Signature(1, s.value[:63]), "Signatures"),
    signature("length_65", "A zero follows the signature.", lambda w, s: Signature(1, s.value + b"\0"), "Signatures"),
    bad(
        "signature_of_other_host",
        "Trailer",
        "Another host has signed in the name of the origin.",
        {"signature": signed_by_stranger},
    ),
    bad(
        "signature_of_file_digest",
        "Trailer",
        "The origin has signed the file digest.",
        {"signed": lambda w, _: w.file_digest()},
    ),
    unsigned("signature_on_unsigned", "No origin, and a signature.", {"signature": signed_by_stranger}),
    unsigned("signature_unknown_on_unsigned", "No origin, and algorithm 2.", {"signature": always(Signature(2, b"1"))}),
    unsigned(
        "signature_byte_on_unsigned",
        "Algorithm 0 has a byte.",
        {"signature": always(Signature(0, b"\0"))},
        "Signatures",
    ),
]

EVIDENCE = [
    proven("quote", "There is a quote of a TPM over the file digest.", tpm_quote, also=[without_key()]),
    proven("unknown", "The evidence is of kind 77, and no reader looks into it.", b"\x4d" + bytes(7)),
    proven("fills", "The evidence is as long as a trailer of 4096 bytes takes.", bytes(3960)),
    proven("beyond", "The evidence is a byte longer: the trailer has 8192 bytes.", bytes(3961)),
    proven("longest", "The evidence has 32768 bytes.", bytes(32768)),
    trailer(
        "evidence_too_long",
        "The evidence has 32769 bytes.",
        {"evidence": always(bytes(32769))},
        also=[without_key()],
    ),
    trailer(
        "evidence_flipped",
        "A bit of the evidence is flipped: the signature does not hold.",
        {"trailer": flip(40)},
        options={"evidence": tpm_quote},
        also=[without_key()],
    ),
    trailer(
        "evidence_taken_away",
        "The evidence was taken away: the signature does not hold.",
        {"signed": lambda w, _: w.origin_digest(tpm_quote(w.file_digest()))},
    ),
    trailer(
        "evidence_added",
        "Evidence was added: the signature does not hold.",
        {"signed": lambda w, _: w.origin_digest(b"")},
        options={"evidence": tpm_quote},
    ),
    fields("evidence_absurd", "The length of the evidence is 2^32 - 1.", lambda f: {"evidence": 2**32 - 1}),
    fields("evidence_beyond", "The evidence ends 4095 bytes further.", lambda f: {"evidence": 4095}),
    unsigned("evidence_of_unsigned", "There is evidence in an unsigned file.", {}, evidence=tpm_quote),
]

TRAILER = [
    trailer("magic", "The magic of the trailer is wrong.", {"trailer": flip(0)}),
    trailer("padding", "The last padding byte of the trailer is not zero.", {"trailer": put(-5, b"\1")}),
    trailer("padding_first", "The first padding byte is not zero.", {"trailer": put(BEHIND_SIGNATURE, b"\1")}),
    trailer("checksum", "A byte of the trailer's checksum is flipped.", {"trailer_block": flip(-1)}),
    fields("offset_absurd", "M is 2^64 - 4096.", lambda f: {"manifest_at": 2**64 - BLOCK}),
    fields(
        "offset_overflows",
        "M + 4096 P + T is the size of the file, but modulo 2^64.",
        lambda f: {"manifest_at": 2**64 + f["manifest_at"] + PAGE * (f["pages"] - 2**20), "pages": 2**20},
    ),
    fields("pages_2_20", "P is 2^20 + 1.", lambda f: {"pages": 2**20 + 1}, rule="Manifest"),
    trailer(
        "offset_unaligned",
        "M is no multiple of 4096, because 16 zeros follow the data.",
        {"data": lambda w, data: bytes(data) + bytes(16)},
    ),
    trailer(
        "offset_in_header",
        "M lies in header copy 1, as many pages more, and they are signed.",
        {
            "trailer_fields": lambda w, f: f | {"manifest_at": f["manifest_at"] - 2 * PAGE, "pages": f["pages"] + 2},
            "signed": lambda w, _: w.origin_digest(b"", w.before_manifest[-2 * PAGE :] + w.manifest),
        },
        also=[without_key()],
    ),
    trailer(
        "pages_zero",
        "The manifest has no page.",
        {"sealed_pages": always([])},
        images=LARGE,
        rule="Manifest",
        also=[without_key()],
    ),
    fields("pages_one_less", "P is one less.", lambda f: {"pages": f["pages"] - 1}),
    fields(
        "offset_other",
        "M lies a page further, and P is one less.",
        lambda f: {"manifest_at": f["manifest_at"] + PAGE, "pages": f["pages"] - 1},
    ),
    fields(
        "annex_not_there",
        "A is 4096, and there is no annex: the last page would be it.",
        lambda f: {"annex": 4096, "pages": f["pages"] - 1},
    ),
    fields("annex_not_counted", "A is 0, and there is an annex.", lambda f: {"annex": 0}, options={"annex": ANNEX}),
    fields(
        "annex_as_page",
        "A is 0, and the annex is counted as a page.",
        lambda f: {"annex": 0, "pages": f["pages"] + 1},
        options={"annex": ANNEX},
    ),
    fields("size_zero", "T is 0.", lambda f: {"size": 0, "filled": f["size"]}),
    fields("size_small", "T is 32.", lambda f: {"size": 32, "filled": f["size"]}),
    fields("size_absurd", "T is 2^32 - 4096.", lambda f: {"size": 2**32 - BLOCK, "filled": f["size"]}),
    fields("size_of_file", "T is the size of the file.", lambda f: {"size": 28672, "filled": f["size"]}),
    fields("size_with_page", "T is 8192: the last page would belong to it.", lambda f: {"size": 8192, "filled": 4096}),
    fields("size_not_smallest", "T is 8192, where 4096 hold it.", lambda f: {"size": 8192}),
    fields("size_unaligned", "T is 4352, and the file as much longer.", lambda f: {"size": 4352}),
]

ANNEXES = [
    annexed("entries", "The annex has a host record and a receipt.", ANNEX),
    annexed("empty", "The annex has no entry.", annex()),
    annexed("unknown", "An entry of the annex has the type 99.", annex((99, b"unknown"), RECEIPT)),
    annexed("largest", "The annex has 1048576 bytes.", annex(size=1 << 20)),
    annexed("zeros", "The annex is zeros: it counts as empty.", bytes(BLOCK)),
    annexed("magic", "The magic of the annex is wrong.", retagged(flip(0)(None, ANNEX))),
    annexed("checksum", "The checksum of the annex is wrong.", flip(-1)(None, ANNEX)),
    annexed("length", "The entries of the annex are longer than it.", retagged(put(8, u32(BLOCK))(None, ANNEX))),
    annexed("entry_cut", "The last entry of the annex is cut.", retagged(put(8, u32(RECORD_END + 9))(None, ANNEX))),
    annexed("padding", "A byte behind the entries is not zero.", retagged(put(-33, b"\1")(None, ANNEX))),
    trailer("annex_unaligned", "A is 2048.", {}, rule="Annex", options={"annex": annex(size=2048)}),
    trailer("annex_too_large", "A is 1052672.", {}, rule="Annex", options={"annex": annex(size=(1 << 20) + BLOCK)}),
]

FILE = [
    cut("empty", "The file has no bytes.", always(b""), "Overview"),
    cut("cut_in_preamble", "The file ends in the preamble.", lambda w, f: f[:100], "Overview"),
    cut("cut_behind_preamble", "The file ends behind the preamble.", lambda w, f: f[:4096]),
    cut("cut_behind_header_copy", "The file ends behind header copy 0.", lambda w, f: f[:8192]),
    cut("cut_behind_headers", "The file ends behind header copy 1.", lambda w, f: f[:12288]),
    cut("cut_at_data", "The file ends in its first chunk.", lambda w, f: f[: w.data_at + 4096], images=TWO_CHUNKS),
    cut("cut_at_trailer", "The file ends at the trailer.", lambda w, f: f[:-4096]),
    cut("cut_one_byte", "The last byte of the file is missing.", lambda w, f: f[:-1]),
    cut("appended", "A byte follows the trailer.", lambda w, f: f + b"\0"),
    cut("trailer_twice", "The trailer stands twice.", lambda w, f: f + f[-4096:]),
    cut("appended_block", "Zeros as long as a trailer follow it.", lambda w, f: f + bytes(4096)),
    cut("block_missing", "A block of the data area is missing.", lambda w, f: f[: w.data_at] + f[w.data_at + 4096 :]),
    cut(
        "no_manifest",
        "The trailer follows the header, and the file is shorter than one can be.",
        lambda w, f: f[: w.data_at] + f[-4096:],
    ),
]

SCENARIOS = SIGNATURE + EVIDENCE + TRAILER + ANNEXES + FILE

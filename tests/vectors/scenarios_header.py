# SPDX-License-Identifier: Apache-2.0
"""Faults in front of the data and in the trailer: "Preamble", "Header copies", "Immutable part", "Suites", "Keys",
"Trailer", "Reading". What a fault would have broken behind it is right, so that the rule in question is alone."""

from primitives import u16, u32, u64
from scenario import CHUNK, STRANGER, TWO_CHUNKS, Scenario, always, bad, content, flip, only, put
from writer import ALIGN, PAGE

LARGE = [("stream", content("large", 20000))]
CREATED = 1767225600
NOT_AFTER = b"\1" + u64(16725225600)  # in the year 2500
RESTORES = b"\2" + u32(2)
UNSIGNED = {"allow_unsigned": True, "trusted_origins": []}


def preamble(name, what, fault):
    return bad("preamble_" + name, "Preamble", what, {"preamble": fault})


def header(name, what, inject, **rest):
    return bad("header_" + name, "Header copies", what, inject, **rest)


def immutable(name, what, fault, rule="Immutable part"):
    return bad("immutable_" + name, rule, what, {"immutable": fault})


def with_conditions(*parts):
    """In place of none, which is what a file has otherwise."""
    return lambda w, value, *where: value[:128] + b"".join(parts)


def conditions(name, what, *parts):
    return immutable("conditions_" + name, what, with_conditions(*parts))


def trailer(name, what, inject, **rest):
    return bad("trailer_" + name, rest.pop("rule", "Trailer"), what, inject, **rest)


def lengths(immutable_size, slots_size):
    return put(16, u32(immutable_size) + u32(slots_size))


def cut(what, name, fault, rule="Trailer", **rest):
    return bad("file_" + name, rule, what, {"file": fault}, **rest)




PREAMBLE = [
    preamble("magic", "The magic of the preamble is wrong.", flip(0)),
    preamble("version", "The format version of the preamble is 2.", put(8, u16(2))),
    preamble("padding", "The last byte of the preamble is not zero.", put(-1, b"\1")),
    preamble("padding_first", "The first padding byte of the preamble is not zero.", put(11, b"\1")),
    bad(
        "header_size_absurd",
        "Preamble",
        "The base-2 logarithm of H is 255, in the preamble and in the immutable part.",
        {"preamble": put(10, b"\xff"), "immutable": put(4, b"\xff")},
    ),
    bad(
        "header_size_small",
        "Preamble",
        "H is 32 KiB everywhere.",
        {},
        options={"log_h": 15},
    ),
    bad(
        "header_size_too_large_for_file",
        "Overview",
        "H is 4 MiB by the preamble, in a file that is smaller.",
        {"preamble": put(10, b"\x16"), "immutable": put(4, b"\x16")},
    ),
]

HEADER = [
    header("both_damaged", "A byte of each header copy is flipped.", {"header_copy": flip(200)}),
    header("magic", "The magic of both header copies is wrong.", {"header_front": flip(0)}),
    header("generation_zero", "The generation of both header copies is 0.", {}, options={"generations": (0, 0)}),
    header("mac", "The MAC of both header copies is wrong.", {"header_mac": flip(0)}),
    header(
        "mac_no_second_try",
        "The MAC of the copy with the higher generation is wrong; the other copy is good, but not to be tried.",
        {"header_mac": only((1,), flip(0))},
        options={"generations": (1, 2)},
        settings={"warning": True},
    ),
    header("padding", "The last padding byte of both header copies is not zero.", {"header_block": put(-1, b"\1")}),
    header("lengths_absurd", "I and S are 2^32 - 1 in both header copies.", {"header_front": lengths(2**32 - 1, 2**32 - 1)}),
    header(
        "length_overflows",
        "The sum of I and S is right modulo 2^32, but each is absurd.",
        {"header_front": lengths(2**32 - 16, 2 + 85 + 146)},
    ),
    header(
        "slots_too_long",
        "The slots end 31 bytes before the checksum: there is no room for the MAC.",
        {"header_front": lengths(130, CHUNK - 24 - 130 - 63)},
    ),
]

IMMUTABLE = [
    immutable("version", "The format version of the immutable part is 2.", put(0, u16(2))),
    immutable("suite_unknown", "Suite 5.", put(2, b"\5"), "Suites"),
    immutable("suite_zero", "Suite 0.", put(2, b"\0"), "Suites"),
    immutable("content_unknown", "Content 4.", put(3, b"\4")),
    immutable("content_zero", "Content 0.", put(3, b"\0")),
    immutable("header_size_differs", "H is another one than in the preamble.", put(4, b"\x11")),
    bad("immutable_chunk_size_small", "Immutable part", "C is 32 KiB.", {}, options={"log_c": 15}),
    bad("immutable_chunk_size_large", "Immutable part", "C is 8 MiB.", {}, options={"log_c": 23}),
    immutable("chunk_size_absurd", "The base-2 logarithm of C is 255.", put(5, b"\xff")),
    immutable("reserved", "A byte that is zero in this version is not.", put(7, b"\1")),
    immutable("conditions_present", "The number of conditions is 1, and there is none.", put(128, u16(1))),
    conditions("of_unknown_kind", "A condition is of kind 3.", u16(1), b"\3" + u32(2)),
    conditions("of_kind_zero", "A condition is of kind 0.", u16(1), b"\0" + u32(2)),
    conditions("twice", "A condition stands there twice.", u16(2), RESTORES, RESTORES),
    conditions("in_disorder", "The condition of kind 2 stands before that of kind 1.", u16(2), RESTORES, NOT_AFTER),
    conditions("uncounted", "There is one condition more than their number says.", u16(1), NOT_AFTER, RESTORES),
    conditions("cut", "The last condition is a byte short.", u16(2), NOT_AFTER, RESTORES[:-1]),
    conditions("no_restores", "The content may be given out 0 times.", u16(1), b"\2" + u32(0)),
    conditions("ends_as_it_begins", "Not after the time of creation.", u16(1), b"\1" + u64(CREATED)),
    immutable("too_long", "The immutable part has 131 bytes.", lambda w, value: value + b"\0"),
    immutable("too_short", "The immutable part has 129 bytes.", lambda w, value: value[:129]),
]

KEYS = [
    bad("commitment_wrong", "Keys", "The key commitment is wrong, and signed.", {"commitment": flip(0)}),
    bad(
        "immutable_flipped",
        "Trailer",
        "A bit of the time of creation is flipped in both copies, checksums repaired: the signature does not hold.",
        {"header_block": flip(24 + 127)},
    ),
]

READING = [
    Scenario(
        "origin_untrusted",
        "Reading",
        "Another origin is trusted than that of the file.",
        exit=4,
        settings={"trusted_origins": [STRANGER.public()]},
        also=[{"what": "The same when nobody is trusted.", "trusted_origins": []}],
    ),
    Scenario(
        "origin_untrusted_unsigned_allowed",
        "Reading",
        "Unsigned files are allowed, which does not make a signed one of an unknown origin good.",
        exit=4,
        settings={"trusted_origins": [], "allow_unsigned": True},
    ),
]

SIGNATURE = [
    bad(
        "signature_flipped",
        "Trailer",
        "A bit of the signature is flipped, the trailer's checksum repaired.",
        {"trailer": flip(60)},
        also=[{"what": "The same without a key.", "passphrase": None}],
    ),
    bad("signature_zero", "Trailer", "The signature is zero, with algorithm 1.", {"signature": always((1, bytes(64)))}),
    bad("signature_missing", "Trailer", "Algorithm 0 in a file with an origin.", {"signature": always((0, bytes(64)))}),
    bad(
        "signature_algorithm_unknown",
        "Trailer",
        "Algorithm 2.",
        {"signature": lambda w, signed: (2, signed[1])},
    ),
    bad(
        "signature_of_other_host",
        "Trailer",
        "Another host has signed in the name of the origin.",
        {"signature": lambda w, signed: (1, STRANGER.sign(w.file_digest()))},
    ),
    bad(
        "signature_on_unsigned",
        "Trailer",
        "No origin, and a signature nevertheless.",
        {"signature": lambda w, signed: (1, STRANGER.sign(w.file_digest()))},
        options={"origin": None},
        settings=UNSIGNED,
    ),
    bad(
        "signature_not_zero_on_unsigned",
        "Trailer",
        "No origin, algorithm 0, and a byte in the place of the signature.",
        {"signature": always((0, bytes(63) + b"\1"))},
        options={"origin": None},
        settings=UNSIGNED,
    ),
]

TRAILER = [
    trailer("magic", "The magic of the trailer is wrong.", {"trailer": flip(0)}),
    trailer("padding", "The last padding byte of the trailer is not zero.", {"trailer": put(-1, b"\1")}),
    trailer("padding_first", "The first padding byte of the trailer is not zero.", {"trailer": put(90, b"\1")}),
    trailer("checksum", "A byte of the trailer's checksum is flipped.", {"trailer_block": flip(-1)}),
    trailer("offset_absurd", "M is 2^64 - 4096.", {"trailer_fields": lambda w, f: (2**64 - ALIGN, f[1])}),
    trailer(
        "offset_overflows",
        "M + 16384 * pages + 4096 is the size of the file, but modulo 2^64.",
        {"trailer_fields": lambda w, f: (f[0] - PAGE, 2**50 + f[1] + 1)},
    ),
    trailer(
        "offset_unaligned",
        "M is no multiple of 4096, because 16 zeros follow the data.",
        {"data": lambda w, data: bytes(data) + bytes(16)},
    ),
    trailer(
        "offset_in_header",
        "M lies in header copy 1, as many pages more.",
        {"trailer_fields": lambda w, f: (f[0] - 2 * PAGE, f[1] + 2)},
    ),
    trailer(
        "pages_zero",
        "The manifest has no page.",
        {"sealed_pages": always([])},
        images=LARGE,
        rule="Manifest",
    ),
    trailer("pages_one_less", "The number of pages is one less.", {"trailer_fields": lambda w, f: (f[0], f[1] - 1)}),
    trailer(
        "offset_other",
        "M lies a page further, and the number of pages is one less.",
        {"trailer_fields": lambda w, f: (f[0] + PAGE, f[1] - 1)},
    ),
]

FILE = [
    cut("The file has no bytes.", "empty", always(b""), "Preamble"),
    cut("The file ends in the preamble.", "cut_in_preamble", lambda w, f: f[:100], "Preamble"),
    cut("The file ends behind the preamble.", "cut_behind_preamble", lambda w, f: f[:4096], "Overview"),
    cut("The file ends behind header copy 0.", "cut_behind_header_copy", lambda w, f: f[: 4096 + CHUNK], "Overview"),
    cut(
        "The file ends behind its first chunk.",
        "cut_at_chunk_boundary",
        lambda w, f: f[: w.data_at + CHUNK],
        images=TWO_CHUNKS,
    ),
    cut("The file ends at the trailer.", "cut_at_trailer", lambda w, f: f[:-4096]),
    cut("The last byte of the file is missing.", "cut_one_byte", lambda w, f: f[:-1]),
    cut("A byte follows the trailer.", "appended", lambda w, f: f + b"\0"),
    cut("The trailer stands twice.", "trailer_twice", lambda w, f: f + f[-4096:]),
    cut("Zeros as long as a trailer follow it.", "appended_block", lambda w, f: f + bytes(4096)),
    cut("A page of the data area is missing.", "block_missing", lambda w, f: f[: w.data_at] + f[w.data_at + 4096 :]),
]

SCENARIOS = PREAMBLE + HEADER + IMMUTABLE + KEYS + READING + SIGNATURE + TRAILER + FILE

# SPDX-License-Identifier: Apache-2.0
"""Faults of "Chunks": some of somebody who has only the file, some of a recipient who has the data key, and some that
the origin itself has signed."""

import primitives as crypto
from people import BY_KEY, exclusive
from pieces import BLOCK, Signature, chunk_digest
from primitives import u64
from scenario import CHUNK, EIGHT_ZEROS, NINE_CHUNKS, THREE_CHUNKS, TWO, TWO_CHUNKS, bad, content, flip, only
from slots import passphrase_slot

TWO_SHORT = [("a", content("a", 100)), ("b", content("b", 100))]


def chunks(name, what, inject, **rest):
    return bad(name, rest.pop("rule", "Chunks"), what, inject, **rest)


def entry(where, **fields):
    """Replaces fields of one entry of the manifest; what was there is passed to a function."""

    def fault(_writer, entries):
        for name, new in fields.items():
            setattr(entries[where], name, new(getattr(entries[where], name)) if callable(new) else new)
        return entries

    return {"entries": fault}


def exchange(first, second):
    def fault(_writer, entries):
        entries[first], entries[second] = entries[second], entries[first]
        return entries

    return {"entries": fault}


def flip_tag(tag):
    return flip(0)(None, tag)


def swapped_data(writer, file):
    """Two full chunks change places in the file, and nothing else."""
    at = writer.data_at
    return file[:at] + file[at + CHUNK : at + 2 * CHUNK] + file[at : at + CHUNK] + file[at + 2 * CHUNK :]


def copied_data(writer, file):
    at = writer.data_at
    return file[: at + CHUNK] + file[at : at + CHUNK] + file[at + 2 * CHUNK :]


def in_data(at, change):
    """A change of the finished file at an offset within the data area."""
    return {"file": lambda w, file: change(at + w.data_at)(w, file)}


def exchanged_in_manifest(writer, sealed):
    """A recipient seals another chunk 0 and repairs tag and digest in the manifest, but cannot sign it."""
    plain = bytes(len(writer.images[0][1]))
    cipher, tag = crypto.seal(writer.suite, writer.image_key(0), bytes(11) + b"\1", plain)
    writer.exchanged = cipher
    writer.entries[0, 0].tag = tag
    writer.entries[0, 0].digest = chunk_digest(cipher)
    pages = writer.make_pages()
    page = b"".join(crypto.seal(writer.suite, writer.manifest_key, bytes(12), pages[0].encode()))
    return [page] + sealed[1:]


def signed_before_exchange(writer, signed):
    """The signature is that of the manifest with the right chunk."""
    honest = type(writer)(writer.images, lambda w: [passphrase_slot(w)]).build()
    return Signature(1, honest[-4096 + 36 : -4096 + 100])


def exchanged_data(writer, file):
    return file[: writer.data_at] + writer.exchanged + file[writer.data_at + len(writer.exchanged) :]


def forged_data(writer, file):
    """A recipient changes two blocks of chunk 0 so that even its tag stays right."""
    at = writer.data_at
    forged = crypto.gcm_forge(writer.image_key(0), file[at : at + CHUNK], 5, b"\xff" * 16)
    return file[:at] + forged + file[at + CHUNK :]


def last_flag(_writer, nonce, *_where):
    return nonce[:-1] + bytes([nonce[-1] ^ 1])


def other_image_key(writer, _sealed, number, _index):
    nonce = bytes(11) + b"\1"
    return crypto.seal(1, writer.image_key(number + 1), nonce, writer.images[number][1])


def other_checkpoint(writer, _sealed, number, _index):
    nonce = bytes(11) + b"\1"
    return crypto.seal(1, writer.random("key of another checkpoint", 32), nonce, writer.images[number][1])


def moved_by_16(_writer, data):
    """What stands in the first block."""
    return bytes(16) + bytes(data[: BLOCK - 16]) + bytes(data[BLOCK:])


def zeros_of(writer, sealed, number, index, size):
    """Another plaintext, of which the ciphertext begins with so many zeros."""
    plain = writer.chunk(number, index)
    plain = crypto.xor(plain[:size], sealed[0][:size]) + plain[size:]
    nonce = bytes(3) + u64(index) + b"\1"
    return crypto.seal(writer.suite, writer.image_key(number), nonce, plain)


def beginning_with_zeros(writer, sealed, *where):
    return zeros_of(writer, sealed, *where, 16)


def as_zeros(writer, sealed, *where):
    return zeros_of(writer, sealed, *where, len(sealed[0]))


def remembered(writer, sealed, *_where):
    writer.remembered = crypto.sha256(sealed[0])
    return sealed


def plus(number):
    return lambda value: value + number


EMPTY = [("stream", TWO[:CHUNK])]
EXCLUSIVE = {"options": exclusive(), "settings": BY_KEY}

SCENARIOS = [
    chunks("chunk_flipped", "A bit of a chunk is flipped.", in_data(50, flip)),
    chunks("chunk_flipped_exclusive", "The same in an exclusive file.", in_data(50, flip), **EXCLUSIVE),
    chunks("chunk_flipped_chacha", "The same with ChaCha20-Poly1305.", in_data(50, flip), options={"suite": 2}),
    chunks(
        "chunk_flipped_last_page",
        "A bit is flipped in the last leaf of a full chunk.",
        in_data(CHUNK - 1, flip),
        images=TWO_CHUNKS,
    ),
    chunks("chunk_tag_flipped_resigned", "The tag in the manifest is wrong, and signed.", entry((0, 0), tag=flip_tag)),
    chunks(
        "chunk_tag_flipped_exclusive",
        "The same in an exclusive file.",
        entry((0, 0), tag=flip_tag),
        **EXCLUSIVE,
    ),
    chunks(
        "chunk_digest_wrong_resigned",
        "The digest in the manifest is wrong, and signed.",
        entry((0, 0), digest=bytes(32)),
    ),
    chunks(
        "chunk_digest_without_leaves",
        "The digest is the SHA-256 of the chunk and not that of its leaves.",
        {"sealed_chunk": remembered, "entries": lambda w, e: entry((0, 0), digest=w.remembered)["entries"](w, e)},
    ),
    chunks(
        "chunk_empty_digest_wrong",
        "The digest of an empty chunk is that of one empty leaf.",
        entry((0, 1), digest=crypto.sha256(crypto.sha256(b""))),
        images=EMPTY,
    ),
    chunks("chunk_empty_tag_flipped", "The tag of an empty chunk is wrong.", entry((0, 1), tag=flip_tag), images=EMPTY),
    chunks(
        "chunk_exchanged_by_recipient",
        "A recipient exchanged a chunk and repaired tag and digest in the manifest: the signature does not hold.",
        {"sealed_pages": exchanged_in_manifest, "signature": signed_before_exchange, "file": exchanged_data},
        rule="Trailer",
    ),
    chunks(
        "chunk_exchanged_tag_valid",
        "A recipient changed a chunk so that its GCM tag stays right: only the digest tells.",
        {"file": forged_data},
        images=TWO_CHUNKS,
    ),
    chunks("chunk_swapped", "Two chunks change places in the file.", {"file": swapped_data}, images=THREE_CHUNKS),
    chunks(
        "chunk_swapped_exclusive",
        "The same in an exclusive file.",
        {"file": swapped_data},
        images=THREE_CHUNKS,
        **EXCLUSIVE,
    ),
    chunks(
        "chunk_swapped_in_manifest",
        "Two entries of an image change places, and that is signed.",
        exchange((0, 0), (0, 1)),
        images=THREE_CHUNKS,
    ),
    chunks("chunk_repeated", "Chunk 0 stands in the place of chunk 1.", {"file": copied_data}, images=THREE_CHUNKS),
    chunks(
        "chunk_repeated_in_manifest",
        "The entry of chunk 1 is that of chunk 0, and that is signed.",
        {"entries": lambda w, e: e | {(0, 1): e[0, 0]}},
        images=THREE_CHUNKS,
    ),
    chunks(
        "chunk_of_other_image",
        "The entries of two images of the same length change places, and that is signed.",
        exchange((0, 0), (1, 0)),
        images=TWO_SHORT,
        options={"content": 1},
    ),
    chunks(
        "chunk_key_of_other_image",
        "A chunk is sealed with the key of another image.",
        {"sealed_chunk": other_image_key},
    ),
    chunks("chunk_of_other_checkpoint", "A chunk is sealed with another data key.", {"sealed_chunk": other_checkpoint}),
    chunks("chunk_last_flag_missing", "The last chunk is sealed as one that is not.", {"chunk_nonce": last_flag}),
    chunks(
        "chunk_last_flag_early",
        "The first of two chunks is sealed as the last one.",
        {"chunk_nonce": only((0, 0), last_flag)},
        images=TWO_CHUNKS,
    ),
    chunks(
        "chunk_index_wrong",
        "Chunk 1 is sealed with index 2.",
        {"chunk_nonce": only((0, 1), lambda *_: bytes(3) + u64(2) + b"\1")},
        images=TWO_CHUNKS,
    ),
    chunks(
        "chunk_padding_nonzero",
        "A byte behind a chunk is not zero.",
        in_data(100, flip),
        also=[{"what": "The same without a key: chunks are unchecked.", "passphrase": None, "exit": 0, "images": {}}],
    ),
    chunks(
        "chunk_padding_nonzero_last",
        "The last byte before the next multiple of 4096 is not zero.",
        in_data(4095, flip),
    ),
    chunks(
        "chunk_padding_nonzero_exclusive",
        "A byte behind a chunk of an exclusive file is not zero.",
        in_data(100, flip),
        **EXCLUSIVE,
    ),
    chunks(
        "chunk_empty_last_offset_nonzero",
        "An empty chunk has an offset.",
        {"entries": lambda w, e: entry((0, 1), offset=w.data_at)["entries"](w, e)},
        images=EMPTY,
    ),
    chunks(
        "chunk_unaligned",
        "A chunk stands 16 bytes behind a multiple of 4096, and what follows its padding are zeros.",
        entry((0, 0), offset=plus(16)) | {"data": moved_by_16, "sealed_chunk": only((1, 0), beginning_with_zeros)},
        images=TWO_SHORT,
        options={"content": 1},
    ),
    chunks(
        "chunk_in_header",
        "The ciphertext of a chunk is zeros, and those of the header's padding.",
        entry((0, 0), offset=2 * BLOCK) | {"sealed_chunk": as_zeros},
        options={"log_h": 14},
    ),
    chunks(
        "chunk_in_annex",
        "The ciphertext of a chunk is zeros, and those of an annex.",
        entry((0, 0), offset=plus(3 * BLOCK)) | {"sealed_chunk": as_zeros},
        options={"annex": bytes(BLOCK)},
    ),
    chunks("chunk_offset_in_preamble", "A chunk begins in the preamble.", entry((0, 0), offset=plus(-3 * BLOCK))),
    chunks("chunk_offset_in_manifest", "A chunk begins in the manifest.", entry((0, 0), offset=plus(BLOCK))),
    chunks("chunk_offset_absurd", "The offset of a chunk is 2^64 - 4096.", entry((0, 0), offset=2**64 - BLOCK)),
    chunks(
        "data_gap",
        "A block of the data area belongs to no chunk.",
        {"data": lambda w, data: bytes(data) + bytes(BLOCK)},
    ),
    chunks(
        "data_gap_in_front",
        "The first block of the data area belongs to no chunk.",
        entry((0, 0), offset=plus(BLOCK)) | {"data": lambda w, data: bytes(BLOCK) + bytes(data)},
    ),
    chunks(
        "chunk_flipped_many",
        "A bit of chunk 8 of 9 is flipped.",
        in_data(0, flip),
        images=NINE_CHUNKS,
        options=EIGHT_ZEROS,
    ),
]

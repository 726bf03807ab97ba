# SPDX-License-Identifier: Apache-2.0
"""A sealed checkpoint as its attackers see it: the bytes with the places of all parts, and a workshop of a recipient.

It stands on the independent reader (tests/reader) and the independent writer (tests/vectors), so that an attack repairs
what it breaks by the specification, and not by the code that it attacks."""

import base64
import functools
import os
import pathlib
import sys
from dataclasses import replace
from types import SimpleNamespace
from unittest import mock

TESTS = pathlib.Path(__file__).resolve().parents[1]
for folder in ("cli", "reader", "vectors"):
    sys.path.insert(0, str(TESTS / folder))

import cks
import cks_header
import cks_keys
import cks_manifest
import cks_primitives
import header_parts
import pieces
import writer
from cks_primitives import PAGE, Refused
from cks_slots import Keys, find_data_key
from header_parts import BLOCK, Parts, checked, put, sha256, u32, u64

# The same slot is opened again and again, and Argon2id is slow on purpose.
cks_keys.hash_secret_raw = functools.lru_cache(cks_keys.hash_secret_raw)

# In the immutable part.
SUITE_AT, CONTENT_AT, ORIGIN_AT, LIST_AT, CREATED_AT, CONDITIONS_AT = 2, 3, 56, 120, 152, 160


class Victim:
    """One sealed file. `data_key` is what a recipient has unwrapped; its places need it, for the manifest is encrypted."""

    def __init__(self, path, data_key, trust):
        self.data = path.read_bytes()
        self.data_key = data_key
        self.parts = Parts.of(self.data)
        self.copy_size = header_parts.copy_size(self.data)
        self.data_at = BLOCK + 2 * self.copy_size
        with open(path, "rb") as file:
            checkpoint = cks.Checkpoint(file)
            checkpoint.read_frame()
            checkpoint.check_origin(trust)
            self.header, self.trailer = checkpoint.header, checkpoint.trailer
            self.immutable = self.header.immutable
            self.signature = pieces.Signature(self.trailer.signature.algorithm, self.trailer.signature.value)
            self.manifest_at = self.trailer.manifest
            self.manifest_end = self.manifest_at + PAGE * self.trailer.pages
            self.trailer_at = len(self.data) - self.trailer.size
            self.manifest = cks_manifest.Manifest(checkpoint.read, self.header, self.trailer, checkpoint.page_digests, data_key)
            self.manifest.check()
            self.records = {image.name: image for image in self.manifest.images}
            self.images = {name: self.read_image(record) for name, record in self.records.items()}
            self.find_chunks()

    def read_image(self, record):
        return b"".join(self.manifest.read_chunk(record, index) for index in range(record.chunks))

    def find_chunks(self):
        """Where each stands. An empty one is nowhere, and so is one of zeros that was left out."""
        self.chunk_places, self.left_out = {}, []
        for name, record in self.records.items():
            for index in range(record.chunks):
                if self.manifest.is_hole(record, index):
                    self.left_out.append((name, index))
                elif record.size(index):
                    self.chunk_places[name, index] = (self.manifest.entry(record, index).offset, record.size(index))

    def named(self, *beginnings):
        """Names of images that begin so."""
        return sorted(name for name in self.images if name.startswith(beginnings))

    def key(self, *info):
        return cks_primitives.hkdf_expand(self.manifest.prk, *info)

    def image_key(self, name):
        return self.key(b"ckpt-seal/v1/image", u32(self.records[name].number))

    def places(self, *names):
        """(offset, length) of the chunks of these images, of all without a name, in the order of the file."""
        return sorted(self.chunk_places[name, index] for name, index in self.chunk_places
                      if not names or name in names)

    # What anybody can repair: checksums need no key.

    def with_headers(self, change):
        """Both header copies changed alike, and their checksums repaired. `change` gets and gives a block without checksum."""
        return header_parts.with_copies(self.data, checked(change(header_parts.block_of(self.data)[:-32])))

    def with_parts(self, **changes):
        return header_parts.with_parts(self.data, replace(self.parts, **changes))

    def with_immutable(self, at, piece):
        return self.with_parts(immutable=put(self.parts.immutable, at, piece))

    def with_slots(self, change):
        """Other slots than the list says: `change` gets and gives all their bytes."""
        return self.with_parts(slots=change(self.parts.slots))

    def with_change(self, at, piece):
        """Of a file whose slots were changed."""
        return self.with_parts(change=put(self.parts.change, at, piece))

    @property
    def slots(self):
        return header_parts.split(self.parts.slots)

    def framed(self, data_area=None, manifest=None, annex=None, evidence=None, signature=None, **said):
        """Other parts behind the same header, with a trailer that fits them; `said` is what it says all the same: manifest_at,
        pages, annex_size, evidence_size, size, and what is `added` to what it holds, `filled` its true size."""
        data_area = self.data_area if data_area is None else data_area
        manifest = self.manifest_bytes if manifest is None else manifest
        annex = self.annex if annex is None else annex
        evidence = self.trailer.evidence if evidence is None else evidence
        held = evidence + (signature or self.signature).encode() + said.pop("added", b"")
        right = {"manifest_at": self.data_at + len(data_area), "pages": len(manifest) // PAGE, "annex_size": len(annex),
                 "evidence_size": len(evidence), "size": len(pieces.padded(bytes(32 + 36) + held))}
        fields = SimpleNamespace(**{"filled": right["size"], **right, **said})
        front = b"CKSTRAIL" + u64(fields.manifest_at) + u64(fields.pages) + u32(fields.annex_size) + u32(fields.evidence_size)
        block = (front + held).ljust(fields.filled - 36, b"\0") + u32(fields.size)
        return self.data[:self.data_at] + data_area + manifest + annex + checked(block)

    @property
    def data_area(self):
        return self.data[self.data_at:self.manifest_at]

    @property
    def manifest_bytes(self):
        return self.data[self.manifest_at:self.manifest_end]

    @property
    def annex(self):
        return self.data[self.manifest_end:self.trailer_at]

    # What a recipient can repair besides: tags, digests, manifest and MAC, but not the signature.

    def resealed(self, images, sign=None, immutable=None, inject=None, **options):
        """The whole file anew around these images. `sign` gives the signature of a digest; without it the old one stays."""
        return Resealed(self, images, sign or self.old_signature, immutable, inject or {}, **options).build()

    def old_signature(self, _digest):
        return self.signature.value

    def changed(self, slots, changer, generation=2, **rest):
        """The slots changed by a recipient: `slots` is a function of the writer. `rest` is that of pieces.Header."""
        workshop = Resealed(self, self.images, self.old_signature, None, {})
        return workshop.with_slots(self.data, slots, changer, generation, **rest)


class Signer:
    """What writer.Writer takes for a host: `sign` gives the bytes of a signature."""

    def __init__(self, identity, sign):
        self.identity = identity
        self.signature = sign

    def sign(self, digest):
        return pieces.Signature(1, self.signature(digest))


class Resealed(writer.Writer):
    """The writer of the vectors with the key, the slots and the immutable part of a victim."""

    def __init__(self, victim, images, sign, immutable, inject, **options):
        self.victim = victim
        self.raw = raw = immutable or victim.parts.immutable
        kept = {"evidence": victim.trailer.evidence, "annex": victim.annex, "left_out": self.is_zeros}
        super().__init__(list(images.items()), slots=lambda _writer: victim_slots(victim), suite=raw[SUITE_AT],
                         content=raw[CONTENT_AT], log_h=raw[4], log_c=raw[5], origin=Signer(raw[ORIGIN_AT:ORIGIN_AT + 32], sign),
                         inject={"immutable": lambda _writer, _value: raw, **inject}, **{**kept, **options})

    def random(self, label, size):
        return {"data key": self.victim.data_key,
                "checkpoint id": self.victim.immutable.checkpoint_id}.get(label) or os.urandom(size)

    def is_zeros(self, number, index):
        chunk = self.chunk(number, index)
        return bool(chunk) and not any(chunk)

    def with_slots(self, content, slots, changer, generation, **rest):
        """`content` with these slots in both header copies."""
        self.immutable, self.slot_list, self.slots = self.raw, self.victim.parts.listed, victim_slots(self.victim)
        self.derive_keys()
        header = pieces.Header(generation, slots(self), changer, **rest)
        return header_parts.with_copies(content, self.header_copy(0, header))


def victim_slots(victim):
    """Its slots as the writer takes them."""
    return [pieces.Slot(slot.kind, slot.body, slot.adder_kind, raw[header_parts.SLOT_HEAD + len(slot.body):])
            for slot, raw in zip(victim.header.slots, victim.slots, strict=True)]


def read_with(path, keys, trust, verb="verify"):
    """Exit code and sentence of the independent reader."""
    options = SimpleNamespace(verb=verb, keys=keys.identities, max_memory_kib=keys.max_memory_kib, origin=trust.hosts,
                              allow_unsigned=trust.allow_unsigned, now=trust.now)
    report = {}
    try:
        with open(path, "rb") as file:
            cks.run(options, report, cks.Checkpoint(file))
    except Refused as refusal:
        return refusal.code, refusal.message
    return 0, None


def read_without_signature(path, keys, trust):
    """The same by a reader that takes every signature for good: what is wrong besides."""
    with mock.patch.object(cks_header, "ecdsa_holds", lambda *_: True):
        return read_with(path, keys, trust)


def without_digests():
    """Within it the independent reader looks at tags alone."""
    return mock.patch.object(cks_manifest, "chunk_digest", lambda _cipher: AnyDigest())


class AnyDigest(bytes):
    def __eq__(self, _other):
        return True

    def __hash__(self):
        return 0


def passphrase_keys(passphrase):
    return Keys([cks_keys.Passphrase(passphrase)])


def data_key_of(path, keys, trust):
    """As a recipient whose slot these keys open."""
    with open(path, "rb") as file:
        checkpoint = cks.Checkpoint(file)
        checkpoint.read_frame()
        checkpoint.check_origin(trust)
        return find_data_key(checkpoint.header, keys, trust, checkpoint.warn)[1]


def fields_of(message):
    """The fields of an encoded protocol buffer: numbers and bytes, in their order."""
    at, found = 0, []
    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
    while at < len(message):
        key = varint()
        if key & 7 == 0:
            found.append((key >> 3, varint()))
        elif key & 7 == 2:
            size = varint()
            found.append((key >> 3, message[at:at + size]))
            at += size
        else:
            raise ValueError("a wire type that no host record has")
    return found


def encoded(fields):
    """The protocol buffer of these fields."""
    def varint(value):
        out = bytearray()
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        return bytes([*out, value])
    return b"".join(varint(number << 3) + varint(value) if isinstance(value, int)
                    else varint(number << 3 | 2) + varint(len(value)) + value for number, value in fields)


def body_of(record_path):
    """The fields of a host record (docs/host-record.md, "The body")."""
    lines = record_path.read_text().splitlines()
    return fields_of(dict(fields_of(base64.b64decode("".join(lines[1:-1]))))[1])


def record_of(body, sign):
    """A record with these fields, signed: the file."""
    body = encoded(body)
    signed = encoded([(1, body), (2, sign(sha256(b"ckpt-seal/v1/host-record", body)))])
    text = base64.b64encode(signed).decode()
    lines = [text[at:at + 64] for at in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN CKPT-SEAL HOST RECORD-----", *lines, "-----END CKPT-SEAL HOST RECORD-----", ""]).encode()


def public_point(record_path, field):
    """x and y of the first key in this field: 8 the storage parent, 9 signing keys."""
    area = dict(fields_of(dict(body_of(record_path)[::-1])[field]))[1]
    return area[-66:-34], area[-32:]


def origin_of(record_path):
    """The host that this record is of, as the independent reader trusts it: identity, x, y, and when that ends."""
    body = dict(body_of(record_path))
    return sha256(b"ckpt-seal/v1/host", body[7]), *public_point(record_path, 9), body.get(4, 0)

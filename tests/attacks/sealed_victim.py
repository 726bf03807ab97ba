# SPDX-License-Identifier: Apache-2.0
"""A sealed checkpoint as its attackers see it: the bytes with the places of all parts, and a workshop of a recipient.

It stands on the independent reader (tests/reader) and the independent writer (tests/vectors), so that an attack repairs
what it breaks by the specification, and not by the code that it attacks."""

import base64
import functools
import pathlib
import sys
from unittest import mock

TESTS = pathlib.Path(__file__).resolve().parents[1]
for folder in ("cli", "reader", "vectors"):
    sys.path.insert(0, str(TESTS / folder))

import cks
import cks_manifest
import cks_primitives
import cks_slots
import writer
from cks_header import PAGE
from cks_manifest import Manifest
from cks_primitives import sha256

# The same slot is opened again and again, and Argon2id is slow on purpose.
cks_primitives.argon2id = functools.lru_cache(cks_primitives.argon2id)

BLOCK = 4096
TRAILER = 4096
IMMUTABLE_AT = 24  # in a header copy
CONTENT_AT = 3  # in the immutable part
ORIGIN_AT = 56


def put(data, at, piece):
    """`data` with `piece` in the place of what stood at this offset."""
    return data[:at] + piece + data[at + len(piece):]


def flipped(data, at):
    return put(data, at, bytes([data[at] ^ 1]))


class Victim:
    """One sealed file. `data_key` is what a recipient has unwrapped; its places need it, for the manifest is encrypted."""

    def __init__(self, path, data_key, trust):
        self.data = path.read_bytes()
        self.data_key = data_key
        checkpoint = cks.Checkpoint(path)
        checkpoint.read_frame()
        checkpoint.check_origin(trust)
        self.header, self.immutable, self.trailer = checkpoint.header, checkpoint.immutable, checkpoint.trailer
        self.data_at, self.manifest_at = checkpoint.data_at, checkpoint.trailer.manifest_at
        self.copy_size = (self.data_at - BLOCK) // 2
        self.manifest = Manifest(checkpoint.source, self.immutable, self.trailer, self.data_at, data_key,
                                 checkpoint.page_digests)
        self.manifest.check()
        self.records = {image.name: image for image in self.manifest.images.values()}
        self.images = {name: b"".join(self.manifest.read_image(record)) for name, record in self.records.items()}
        self.chunk_places = {}
        for name, record in self.records.items():
            for index in range(self.manifest.chunk_count(record)):
                at, size = self.manifest.entry(record, index).offset, self.manifest.chunk_size(record, index)
                if size:
                    self.chunk_places[name, index] = (at, size)
        checkpoint.close()

    def named(self, *beginnings):
        """Names of images that begin so."""
        return sorted(name for name in self.images if name.startswith(beginnings))

    def image_key(self, name):
        info = b"ckpt-seal/v1/image" + self.records[name].number.to_bytes(4, "big")
        return cks_primitives.hkdf_expand(self.manifest.prk, info, 32)

    def places(self, *names):
        """(offset, length) of the chunks of these images, of all without a name, in the order of the file. An empty chunk is
        nowhere."""
        return sorted(self.chunk_places[name, index] for name, index in self.chunk_places
                      if not names or name in names)

    # What anybody can repair: checksums need no key.

    def with_headers(self, change):
        """Both header copies changed alike, and their checksums repaired. `change` gets and gives a block without checksum."""
        data = self.data
        for number in (0, 1):
            at = BLOCK + number * self.copy_size
            block = change(data[at:at + self.copy_size - 32])
            data = put(data, at, block + sha256(block))
        return data

    def with_immutable(self, at, piece):
        return self.with_headers(lambda block: put(block, IMMUTABLE_AT + at, piece))

    def with_slots(self, change):
        """Another list of slots: lengths and checksums are repaired, the MAC stays."""
        def changed(block):
            old = int.from_bytes(block[20:24], "big")
            slots_at = IMMUTABLE_AT + len(self.immutable.raw)
            slots, mac = block[slots_at:slots_at + old], block[slots_at + old:slots_at + old + 32]
            new = change(slots)
            front = block[:20] + len(new).to_bytes(4, "big") + block[24:slots_at]
            return (front + new + mac).ljust(self.copy_size - 32, b"\0")[:self.copy_size - 32]
        return self.with_headers(changed)

    def framed(self, data_area, manifest=None, **trailer):
        """Other chunks or pages behind the same header, with a trailer that fits them."""
        manifest = self.data[self.manifest_at:-TRAILER] if manifest is None else manifest
        fields = {"manifest_at": self.data_at + len(data_area), "pages": len(manifest) // PAGE,
                  "algorithm": self.trailer.algorithm, "signature": self.trailer.signature, **trailer}
        block = (b"CKSTRAIL" + fields["manifest_at"].to_bytes(8, "big") + fields["pages"].to_bytes(8, "big")
                 + fields["algorithm"].to_bytes(2, "big") + fields["signature"]).ljust(4064, b"\0")
        return self.data[:self.data_at] + data_area + manifest + block + sha256(block)

    @property
    def data_area(self):
        return self.data[self.data_at:self.manifest_at]

    @property
    def manifest_bytes(self):
        return self.data[self.manifest_at:-TRAILER]

    # What a recipient can repair besides: tags, digests, manifest and MAC, but not the signature.

    def resealed(self, images, sign=None, immutable=None, inject=None):
        """The whole file anew around these images. `sign` gives the signature of a digest; without it the old one stays."""
        return Resealed(self, images, sign or (lambda _digest: self.trailer.signature), immutable, inject or {}).build()


class Signer:
    """What writer.Writer takes for a host."""

    def __init__(self, fingerprint, sign):
        self.fingerprint = fingerprint
        self.sign = sign


class Resealed(writer.Writer):
    """The writer of the vectors with the key, the slots and the immutable part of a victim."""

    def __init__(self, victim, images, sign, immutable, inject):
        self.victim = victim
        was = victim.immutable.raw
        raw = immutable or was
        block = victim.header.raw
        slots_at = IMMUTABLE_AT + len(was)
        self.raw_slots = block[slots_at:slots_at + int.from_bytes(block[20:24], "big")]
        super().__init__(list(images.items()), suite=raw[2], content=raw[3], log_h=raw[4], log_c=raw[5],
                         origin=Signer(raw[ORIGIN_AT:ORIGIN_AT + 32], sign), slots=lambda _writer: self.split_slots(),
                         inject={"immutable": lambda _writer, _value: raw, **inject})

    def random(self, label, size):
        return {"data key": self.victim.data_key, "checkpoint id": self.victim.immutable.checkpoint_id}[label]

    def split_slots(self):
        """The encoded slots one by one; all of them were there at sealing."""
        slots, at = [], 2
        for slot in self.victim.header.slots:
            size = 8 + len(slot.body)
            slots.append(self.raw_slots[at:at + size])
            at += size
        return slots


def read_with(path, keys, trust):
    """Exit code and sentence of the independent reader."""
    report = cks.run("verify", str(path), keys, trust)
    return report["exit"], report["message"]


def read_without_signature(path, keys, trust):
    """The same by a reader that takes every signature for good: what is wrong besides."""
    with mock.patch.object(cks_primitives, "ecdsa_verify", lambda *_: True):
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
    return cks_slots.Keys(passphrase=passphrase)


def data_key_of(path, keys, trust):
    """As a recipient whose slot these keys open."""
    checkpoint = cks.Checkpoint(path)
    try:
        checkpoint.read_frame()
        checkpoint.check_origin(trust)
        return cks_slots.unwrap(checkpoint.header.slots, checkpoint.immutable, keys)[1]
    finally:
        checkpoint.close()


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


def origin_of(record_path):
    """Identity and public key of the host that this record is of (docs/host-record.md)."""
    lines = record_path.read_text().splitlines()
    body = dict(fields_of(base64.b64decode("".join(lines[1:-1]))))[1]
    fields = fields_of(body)
    signing_key = dict(fields_of(next(value for number, value in fields if number == 9)))[1]
    x, y = signing_key[-66:-34], signing_key[-32:]
    return sha256(b"ckpt-seal/v1/host" + dict(fields)[7]), cks_primitives.p256_public(x, y)

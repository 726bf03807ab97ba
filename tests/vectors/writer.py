# SPDX-License-Identifier: Apache-2.0
"""Writes sealed checkpoints from docs/format.md, and can get any one step wrong.

Each result on the way to a file passes through `step` with a name; a scenario may replace it there. What is computed
later (checksums, MACs, tags, signatures) is then right for the wrong value, so that the fault stands alone. The steps,
in order: commitment, immutable, slots, slots_part, header_front, header_mac, header_block, header_copy, chunk_nonce, sealed_chunk,
entries, data, records, pages, page_plain, page_nonce, sealed_pages, signature, trailer_fields, trailer, trailer_block,
preamble, file."""

from dataclasses import dataclass, replace

import primitives as crypto
from primitives import sha256, u16, u32, u64

PAGE = 16384
ALIGN = 4096
CHUNKS, IMAGES, SLOTS, END = 1, 2, 3, 4
PASSPHRASE = b"correct horse battery staple"


class Host:
    """A host that signs. The fingerprint stands for that of its record, which is not the subject here."""

    def __init__(self, name):
        self.scalar = crypto.scalar_from("ckpt-seal vectors signing key of " + name)
        self.fingerprint = sha256(b"ckpt-seal vectors host record of " + name.encode("ascii"))
        self.point = crypto.coordinates(crypto.multiply(self.scalar))

    def sign(self, digest):
        return crypto.ecdsa_sign(self.scalar, digest)

    def public(self):
        return {"fingerprint": self.fingerprint.hex(), "x": self.point[0].hex(), "y": self.point[1].hex()}


@dataclass
class Entry:
    offset: int
    tag: bytes
    digest: bytes


@dataclass
class Record:
    number: int
    name: bytes
    length: int
    entries: bytes
    reserved: int = 0

    def encode(self):
        head = u32(self.number) + bytes([self.reserved, len(self.name)]) + self.name
        return head + u64(self.length) + self.entries


@dataclass
class Page:
    kind: int
    count: int
    owner: int
    first: int
    body: bytes
    reserved: int = 0

    def encode(self):
        head = bytes([self.kind, self.reserved]) + u16(self.count) + u32(self.owner) + u64(self.first)
        return (head + self.body).ljust(PAGE - 16, b"\0")


def padded(data):
    return data + bytes(-len(data) % ALIGN)


def chunk_digest(cipher):
    return sha256(b"".join(sha256(cipher[at : at + 16384]) for at in range(0, len(cipher), 16384)))


def frame(kind, body, adder=0, tail=b"", length=None):
    return u16(kind) + u16(adder) + u32(len(body) if length is None else length) + body + tail


class Writer:
    """One file. `images` is a list of (name, bytes); `slots` a function of the writer that gives encoded slots; `order`
    a list of (image, chunk) when chunks are not to stand one image after the other; `inject` maps steps to functions
    (writer, value, *where) that give the value to go on with."""

    def __init__(self, images, **options):
        self.images = images
        self.suite = options.pop("suite", 1)
        self.content = options.pop("content", 2)
        self.log_h = options.pop("log_h", 16)
        self.log_c = options.pop("log_c", 16)
        self.origin = options.pop("origin", Host("origin"))
        self.parent = options.pop("parent", bytes(32))
        self.make_slots = options.pop("slots", lambda writer: [passphrase_slot(writer)])
        self.order = options.pop("order", None)
        self.generations = options.pop("generations", (1, 1))
        self.inject = options.pop("inject", {})
        if options:
            raise TypeError(f"unknown options: {sorted(options)}")
        self.data_key = self.random("data key", 32)
        self.checkpoint_id = self.random("checkpoint id", 16)
        self.data_at = ALIGN + 2 * (1 << self.log_h)

    def random(self, label, size):
        """The same in every file: the vectors then differ in little but their faults, and git stores little more."""
        return crypto.stream(f"ckpt-seal vectors {label}", size)

    def step(self, name, value, *where):
        fault = self.inject.get(name)
        return value if fault is None else fault(self, value, *where)

    def build(self):
        self.make_immutable()
        self.derive_keys()
        self.slots = self.step("slots", self.make_slots(self))
        headers = b"".join(self.header_copy(number) for number in (0, 1))
        data = self.seal_chunks()
        self.manifest_at = self.data_at + len(data)
        self.manifest = self.seal_pages()
        trailer = self.make_trailer()
        preamble = self.step("preamble", (b"CKPTSEAL" + u16(1) + bytes([self.log_h])).ljust(4096, b"\0"))
        return self.step("file", preamble + headers + data + self.manifest + trailer)

    # docs/format.md, "Immutable part" and "Keys"

    def make_immutable(self):
        prk = crypto.extract(self.checkpoint_id, self.data_key)
        commitment = self.step("commitment", crypto.expand(prk, b"ckpt-seal/v1/commitment"))
        origin = self.origin.fingerprint if self.origin else bytes(32)
        head = u16(1) + bytes([self.suite, self.content, self.log_h, self.log_c, 0, 0])
        body = self.checkpoint_id + commitment + origin + self.parent + u64(1767225600) + u16(0)
        self.immutable = self.step("immutable", head + body)

    def derive_keys(self):
        self.prk = crypto.extract(sha256(self.immutable), self.data_key)
        self.header_key = crypto.expand(self.prk, b"ckpt-seal/v1/header")
        self.manifest_key = crypto.expand(self.prk, b"ckpt-seal/v1/manifest")

    def image_key(self, number):
        return crypto.expand(self.prk, b"ckpt-seal/v1/image" + u32(number))

    # docs/format.md, "Header copies"

    def header_copy(self, number):
        slots = self.step("slots_part", u16(len(self.slots)) + b"".join(self.slots), number)
        lengths = u32(len(self.immutable)) + u32(len(slots))
        front = b"CKSHEADR" + u64(self.generations[number]) + lengths + self.immutable + slots
        front = self.step("header_front", front, number)
        mac = self.step("header_mac", crypto.hmac_sha256(self.header_key, front), number)
        block = (front + mac).ljust((1 << self.log_h) - 32, b"\0")
        block = self.step("header_block", block, number)
        return self.step("header_copy", block + sha256(block), number)

    # docs/format.md, "Chunks"

    @property
    def exclusive(self):
        return self.suite in (3, 4)

    def chunk_count(self, number):
        return len(self.images[number][1]) // (1 << self.log_c) + 1

    def seal_chunks(self):
        order = self.order or [(n, i) for n in range(len(self.images)) for i in range(self.chunk_count(n))]
        data = bytearray()
        entries = {}
        for number, index in order:
            last = index == self.chunk_count(number) - 1
            plain = self.images[number][1][index << self.log_c : (index + 1) << self.log_c]
            nonce = self.step("chunk_nonce", bytes(3) + u64(index) + bytes([last]), number, index)
            sealed = crypto.seal(self.suite, self.image_key(number), nonce, plain)
            cipher, tag = self.step("sealed_chunk", sealed, number, index)
            entries[number, index] = Entry(self.data_at + len(data) if cipher else 0, tag, chunk_digest(cipher))
            data += padded(cipher)
        self.entries = self.step("entries", entries)
        return bytes(self.step("data", data))

    # docs/format.md, "Manifest"

    def encode_entries(self, number, first, after):
        chosen = [self.entries[number, index] for index in range(first, after) if (number, index) in self.entries]
        return b"".join(u64(e.offset) + e.tag + (b"" if self.exclusive else e.digest) for e in chosen)

    @property
    def entries_a_page(self):
        return 681 if self.exclusive else 292

    def chunk_pages(self, number):
        step = self.entries_a_page
        for first in range(0, self.chunk_count(number), step):
            after = min(first + step, self.chunk_count(number))
            yield Page(CHUNKS, after - first, number, first, self.encode_entries(number, first, after))

    def image_pages(self, records):
        page = Page(IMAGES, 0, 0, 0, b"")
        for record in records:
            encoded = record.encode()
            if len(page.body) + len(encoded) > PAGE - 32:
                yield page
                page = Page(IMAGES, 0, 0, 0, b"")
            page = replace(page, count=page.count + 1, body=page.body + encoded)
        yield page

    def slot_digests(self):
        """Of the slots that were there at sealing, in their order."""
        return [sha256(s[:2] + s[8:]) for s in self.slots if s[2:4] == u16(0)]

    def make_pages(self):
        pages, records = [], []
        for number, (name, content) in enumerate(self.images):
            count = self.chunk_count(number)
            if count > 8:
                pages += self.chunk_pages(number)
            entries = self.encode_entries(number, 0, count) if count <= 8 else b""
            records.append(Record(number, name.encode("ascii"), len(content), entries))
        pages += self.image_pages(self.step("records", records))
        digests = self.slot_digests()
        for first in range(0, len(digests), 511):
            some = digests[first : first + 511]
            pages.append(Page(SLOTS, len(some), 0, first, b"".join(some)))
        chunks = sum(self.chunk_count(n) for n in range(len(self.images)))
        total = sum(len(content) for _, content in self.images)
        pages.append(Page(END, 0, len(self.images), 0, u64(chunks) + u64(total) + u64(self.manifest_at)))
        return self.step("pages", pages)

    def seal_pages(self):
        pages = self.make_pages()
        sealed = []
        for number, page in enumerate(pages):
            plain = self.step("page_plain", page.encode(), number)
            last = number == len(pages) - 1
            nonce = self.step("page_nonce", bytes(3) + u64(number) + bytes([last]), number)
            sealed.append(b"".join(crypto.seal(self.suite, self.manifest_key, nonce, plain)))
        return b"".join(self.step("sealed_pages", sealed))

    # docs/format.md, "Trailer"

    def file_digest(self):
        return sha256(b"ckpt-seal/v1/file" + sha256(self.immutable) + sha256(self.manifest))

    def make_trailer(self):
        signed = (1, self.origin.sign(self.file_digest())) if self.origin else (0, bytes(64))
        algorithm, signature = self.step("signature", signed)
        fields = (self.manifest_at, len(self.manifest) // PAGE)
        manifest_at, pages = self.step("trailer_fields", fields)
        block = b"CKSTRAIL" + u64(manifest_at) + u64(pages) + u16(algorithm) + signature
        block = self.step("trailer", block.ljust(4064, b"\0"))
        return self.step("trailer_block", block + sha256(block))


def passphrase_body(writer, **changes):
    """The body of a passphrase slot. `changes` replaces fields after all was computed from the right ones, but for
    `passphrase` and `data_key`, which are used."""
    passphrase = changes.pop("passphrase", PASSPHRASE)
    data_key = changes.pop("data_key", writer.data_key)
    associated = b"ckpt-seal/v1/passphrase" + writer.checkpoint_id
    fields = {
        "kdf": 1,
        "salt": writer.random("salt " + passphrase.decode("ascii"), 16),
        "memory": 64,
        "passes": 1,
        "lanes": 1,
    }
    key = crypto.argon2id(passphrase, fields["salt"], 1, 64, 1)
    fields["wrapped"], fields["tag"] = crypto.seal(1, key, bytes(12), data_key, associated)
    fields.update(changes)
    numbers = u32(fields["memory"]) + u32(fields["passes"]) + u32(fields["lanes"])
    return bytes([fields["kdf"]]) + fields["salt"] + numbers + fields["wrapped"] + fields["tag"]


def passphrase_slot(writer, **changes):
    return frame(2, passphrase_body(writer, **changes))


def added_slot(writer, kind, body, adder, generation, **changes):
    """A slot that a host added later, signed by it. `changes` replaces what is signed: `signed_generation`, `signed_id`."""
    digest = sha256(u16(kind) + body)
    signed_id = changes.get("signed_id", writer.checkpoint_id)
    signed_generation = changes.get("signed_generation", generation)
    signature = adder.sign(sha256(b"ckpt-seal/v1/slot" + signed_id + u64(signed_generation) + digest))
    signature = changes.get("signature", signature)
    return frame(kind, body, 1, adder.fingerprint + u64(generation) + signature)

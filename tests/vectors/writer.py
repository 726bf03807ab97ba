# SPDX-License-Identifier: Apache-2.0
"""Writes sealed checkpoints from docs/format.md, and can get any one step wrong.

Each result on the way to a file passes through `step` with a name; a scenario may replace it there. What is computed
later (checksums, MACs, tags, signatures) is then right for the wrong value, so that the fault stands alone. The steps,
in order: slots, slot_list, list_digest, commitment, immutable, slots_part, change, header_front, header_mac,
header_block, header_copy, chunk_nonce, sealed_chunk, entries, data, image_records, records, pages, page_plain,
page_nonce, sealed_pages, evidence, signed, signature, trailer_fields, trailer, trailer_block, preamble, file. The
bodies of slots for a TPM have steps of their own: tpm_slot.py."""

import primitives as crypto
from pieces import (
    BLOCK,
    CHUNKS,
    CREATED,
    END,
    IMAGES,
    LEFT_OUT,
    NO_DIGEST,
    NOBODY,
    PAGE,
    PARENT_RECORD,
    RECORDS,
    Entry,
    Header,
    Host,
    ImageRecord,
    Page,
    Record,
    chunk_digest,
    encode_slots,
    filled,
    padded,
)
from primitives import sha256, u16, u32, u64

DEFAULTS = {
    "suite": 1,
    "content": 2,
    "log_h": None,  # None: the smallest that holds the slots at sealing
    "log_c": 16,
    "parent": bytes(32),
    "depth": 0,
    "created": CREATED,
    "conditions": [],  # encoded ones
    "encoding": 0,
    "evidence": b"",
    "annex": b"",
    "order": None,  # a list of (image, chunk) when chunks are not to stand one image after the other
    "left_out": lambda number, index: False,  # which chunks of zeros are not stored
}


class Writer:
    """One file. `images` is a list of (name, bytes). `slots` is a function of the writer that gives the slots at
    sealing, `headers` one that gives the two header copies; without it both are of generation 1. `inject` maps steps
    to functions (writer, value, *where) that give the value to go on with; other options are those of DEFAULTS."""

    def __init__(self, images, slots, **options):
        self.images = images
        self.make_slots = slots
        self.make_headers = options.pop("headers", lambda writer: [Header(1, writer.slots)] * 2)
        self.inject = options.pop("inject", {})
        self.origin = options.pop("origin", Host("origin")) or NOBODY
        unknown = options.keys() - DEFAULTS.keys()
        if unknown:
            raise TypeError(f"unknown options: {sorted(unknown)}")
        for name, value in (DEFAULTS | options).items():
            setattr(self, name, value)
        self.data_key = self.random("data key", 32)
        self.checkpoint_id = self.random("checkpoint id", 16)

    def random(self, label, size):
        """The same in every file: the vectors then differ in little but their faults, and pack well."""
        return crypto.stream(f"ckpt-seal vectors {label}", size)

    def step(self, name, value, *where):
        fault = self.inject.get(name)
        return value if fault is None else fault(self, value, *where)

    def build(self):
        self.slots = self.step("slots", self.make_slots(self))
        self.slot_list = self.step("slot_list", b"".join(slot.digest() for slot in self.slots))
        self.make_immutable()
        self.derive_keys()
        headers = b"".join(self.header_copy(n, header) for n, header in enumerate(self.make_headers(self)))
        self.before_manifest = headers + self.seal_chunks()
        self.manifest_at = BLOCK + len(self.before_manifest)
        self.manifest = self.seal_pages()
        trailer = self.make_trailer()
        preamble = self.step("preamble", (b"CKPTSEAL" + u16(1) + bytes([self.log_h])).ljust(BLOCK, b"\0"))
        return self.step("file", preamble + self.before_manifest + self.manifest + self.annex + trailer)

    # docs/format.md, "Immutable part" and "Keys"

    def smallest_header(self):
        conditions = sum(len(condition) for condition in self.conditions)
        size = 28 + 162 + conditions + len(self.slot_list) + len(encode_slots(self.slots)) + 64
        return max(12, (size - 1).bit_length())

    def make_immutable(self):
        self.log_h = self.log_h or self.smallest_header()
        self.data_at = BLOCK + 2 * (1 << self.log_h)
        prk = crypto.extract(self.checkpoint_id, self.data_key)
        commitment = self.step("commitment", crypto.expand(prk, b"ckpt-seal/v1/commitment"))
        head = u16(1) + bytes([self.suite, self.content, self.log_h, self.log_c, self.depth, 0])
        digest = self.step("list_digest", sha256(self.slot_list))
        body = self.checkpoint_id + commitment + self.origin.identity + self.parent + digest + u64(self.created)
        conditions = u16(len(self.conditions)) + b"".join(self.conditions)
        self.immutable = self.step("immutable", head + body + conditions)

    def derive_keys(self):
        self.prk = crypto.extract(sha256(self.immutable), self.data_key)
        self.header_key = crypto.expand(self.prk, b"ckpt-seal/v1/header")
        self.manifest_key = crypto.expand(self.prk, b"ckpt-seal/v1/manifest")
        self.parent_key = crypto.expand(self.prk, b"ckpt-seal/v1/parent")

    def image_key(self, number):
        return crypto.expand(self.prk, b"ckpt-seal/v1/image" + u32(number))

    # docs/format.md, "Header copies"

    def header_copy(self, number, header):
        slots = self.step("slots_part", encode_slots(header.slots), number)
        change = self.step("change", self.make_change(header, slots), number)
        lengths = u32(len(self.immutable)) + u32(len(self.slot_list) // 32) + u32(len(slots))
        front = b"CKSHEADR" + u64(header.generation) + lengths + self.immutable + self.slot_list + slots + change
        front = self.step("header_front", front, number)
        mac = self.step("header_mac", crypto.hmac_sha256(self.header_key, front), number)
        size = 1 << self.log_h
        block = self.step("header_block", (front + mac).ljust(size - 32, b"\0"), number)
        if len(block) != size - 32:
            raise ValueError("the header does not fit")
        return self.step("header_copy", block + sha256(block), number)

    def make_change(self, header, slots):
        if header.generation == 1:
            return b""
        right = {
            "immutable": self.immutable,
            "changer": header.changer.identity,
            "generation": header.generation,
            "time": header.time,
            "slots": slots,
        }
        signed = right | (header.signed(self) if callable(header.signed) else header.signed or {})
        digest = sha256(
            b"ckpt-seal/v1/slots"
            + sha256(signed["immutable"])
            + signed["changer"]
            + u64(signed["generation"])
            + u64(signed["time"])
            + sha256(signed["slots"])
        )
        signature = header.signature or (header.signer or header.changer).sign(digest)
        return header.changer.identity + u64(header.time) + signature.encode()

    # docs/format.md, "Chunks"

    @property
    def exclusive(self):
        return self.suite in (3, 4)

    def chunk_count(self, number):
        return len(self.images[number][1]) // (1 << self.log_c) + 1

    def chunk(self, number, index):
        return self.images[number][1][index << self.log_c : (index + 1) << self.log_c]

    def seal_chunk(self, number, index):
        last = index == self.chunk_count(number) - 1
        nonce = self.step("chunk_nonce", bytes(3) + u64(index) + bytes([last]), number, index)
        sealed = crypto.seal(self.suite, self.image_key(number), nonce, self.chunk(number, index))
        return self.step("sealed_chunk", sealed, number, index)

    def seal_chunks(self):
        order = self.order or [(n, i) for n in range(len(self.images)) for i in range(self.chunk_count(n))]
        data = bytearray()
        entries = {}
        for number, index in order:
            if self.left_out(number, index):
                entries[number, index] = Entry(LEFT_OUT, bytes(16), NO_DIGEST, len(self.chunk(number, index)))
                continue
            cipher, tag = self.seal_chunk(number, index)
            offset = self.data_at + len(data) if cipher else 0
            entries[number, index] = Entry(offset, tag, chunk_digest(cipher), len(cipher))
            data += padded(cipher)
        self.entries = self.step("entries", entries)
        return bytes(self.step("data", data))

    # docs/format.md, "Manifest"

    def encode_entries(self, number, first, after):
        chosen = [self.entries[number, index] for index in range(first, after) if (number, index) in self.entries]
        return b"".join(entry.encode(self.exclusive, self.encoding) for entry in chosen)

    def chunk_pages(self, number):
        step = (PAGE - 32) // len(self.entries[number, 0].encode(self.exclusive, self.encoding))
        for first in range(0, self.chunk_count(number), step):
            after = min(first + step, self.chunk_count(number))
            yield Page(
                CHUNKS, after - first, number, first, self.encode_entries(number, first, after), self.encoding
            )

    def parent_records(self):
        """The key of the parent is made up: its commitment is that of nothing here."""
        if self.parent == bytes(32):
            return []
        sealed = b"".join(crypto.seal(1, self.parent_key, bytes(12), self.random("key of the parent", 32)))
        return [Record(PARENT_RECORD, self.random("id of the parent", 16) + sealed)]

    def make_pages(self):
        pages, image_records = [], []
        for number, (name, content) in enumerate(self.images):
            count = self.chunk_count(number)
            if count > 8:
                pages += self.chunk_pages(number)
            entries = self.encode_entries(number, 0, count) if count <= 8 else b""
            image_records.append(ImageRecord(number, name.encode("ascii"), len(content), entries, self.encoding))
        pages += filled(IMAGES, [record.encode() for record in self.step("image_records", image_records)])
        pages += filled(RECORDS, [record.encode() for record in self.step("records", self.parent_records())])
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

    def file_digest(self, manifest=None):
        return sha256(b"ckpt-seal/v1/file" + sha256(self.immutable) + sha256(manifest or self.manifest))

    def origin_digest(self, evidence, manifest=None):
        return sha256(b"ckpt-seal/v1/origin" + self.file_digest(manifest) + sha256(evidence))

    def make_trailer(self):
        evidence = self.evidence(self.file_digest()) if callable(self.evidence) else self.evidence
        evidence = self.step("evidence", evidence)
        digest = self.step("signed", self.origin_digest(evidence))
        signature = self.step("signature", self.origin.sign(digest)).encode()
        right = {
            "manifest_at": self.manifest_at,
            "pages": len(self.manifest) // PAGE,
            "annex": len(self.annex),
            "evidence": len(evidence),
            "size": len(padded(bytes(32 + 36) + evidence + signature)),
        }
        fields = self.step("trailer_fields", right)
        front = b"CKSTRAIL" + u64(fields["manifest_at"]) + u64(fields["pages"])
        front += u32(fields["annex"]) + u32(fields["evidence"]) + evidence + signature
        size = fields.get("filled", fields["size"])
        block = self.step("trailer", front.ljust(size - 36, b"\0") + u32(fields["size"]))
        return self.step("trailer_block", block + sha256(block))

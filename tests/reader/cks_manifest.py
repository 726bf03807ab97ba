# SPDX-License-Identifier: Apache-2.0
"""Decrypts the manifest page by page, checks every rule of it, and verifies chunks (docs/format.md, "Manifest",
"Chunks", "Contents"). Keeps 32 bytes a page and one record an image; entries of chunks are read again when needed."""

from dataclasses import dataclass, field

import cks_primitives as crypto
from cks_header import ALIGN, PAGE, Cursor
from cks_primitives import require, sha256

CHUNKS, IMAGES, SLOTS, END = 1, 2, 3, 4
PLAIN = PAGE - 16
SLOTS_A_PAGE = 511
INLINE_CHUNKS = 8
MAX_IMAGES = 131072
LEAF = 16384
RULE = "Manifest"


@dataclass
class Entry:
    offset: int
    tag: bytes
    digest: bytes


@dataclass
class Image:
    number: int
    name: str
    length: int
    inline: list = field(default_factory=list)


@dataclass
class ChunkPages:
    """The chunk pages of one image, in their order."""

    pages: list = field(default_factory=list)
    entries: int = 0


def nonce(index, last):
    return bytes(3) + index.to_bytes(8, "big") + bytes([last])


def aligned(size):
    return -(-size // ALIGN) * ALIGN


class Manifest:
    """`source` gives `read_at(offset, size)`; `page_digests` are those under the signature."""

    def __init__(self, source, immutable, trailer, data_at, data_key, page_digests):
        self.source = source
        self.immutable = immutable
        self.trailer = trailer
        self.data_at = data_at
        self.page_digests = page_digests
        self.prk = crypto.hkdf_extract(immutable.digest, data_key)
        self.key = crypto.hkdf_expand(self.prk, b"ckpt-seal/v1/manifest", 32)
        self.images = {}
        self.slot_digests = []
        self.chunk_pages = {}
        self.kept_page = (None, b"")

    @property
    def entry_size(self):
        return 24 if self.immutable.exclusive else 56

    @property
    def entries_a_page(self):
        return (PLAIN - 16) // self.entry_size

    def header_key(self):
        return crypto.hkdf_expand(self.prk, b"ckpt-seal/v1/header", 32)

    def page(self, number):
        """The plaintext of a page, which MUST still be the one that was signed."""
        if self.kept_page[0] == number:
            return self.kept_page[1]
        sealed = self.source.read_at(self.trailer.manifest_at + PAGE * number, PAGE)
        same = sha256(sealed) == self.page_digests[number]
        require(same, "Reading", "a page of the manifest changed while the file was read")
        last = number == self.trailer.pages - 1
        plain = crypto.aead_open(self.immutable.suite, self.key, nonce(number, last), sealed[:-16], sealed[-16:])
        require(plain is not None, RULE, f"page {number} of the manifest does not decrypt")
        self.kept_page = (number, plain)
        return plain

    def check(self):
        """Step 5 of "Reading"."""
        names = set()
        slot_page_count = SLOTS_A_PAGE
        for number in range(self.trailer.pages):
            cursor = Cursor(self.page(number), RULE, f"page {number} of the manifest")
            kind, reserved, count = cursor.number(1), cursor.number(1), cursor.number(2)
            owner, first = cursor.number(4), cursor.number(8)
            require(kind in (CHUNKS, IMAGES, SLOTS, END), RULE, "a page of the manifest has an unknown kind")
            require(reserved == 0, RULE, "a reserved byte in the header of a page is not zero")
            is_last = number == self.trailer.pages - 1
            require((kind == END) == is_last, RULE, "the end page is not the last page of the manifest, or not alone")
            require((count == 0) == (kind == END), RULE, "the number of entries does not suit the kind of page")
            require(owner == 0 or kind in (CHUNKS, END), RULE, "a page has an image number that should be zero")
            require(first == 0 or kind in (CHUNKS, SLOTS), RULE, "a page has a first index that should be zero")
            late = kind in (CHUNKS, IMAGES) and self.slot_digests
            require(not late, RULE, "a page of chunks or images follows a page of slots")
            if kind == CHUNKS:
                self.take_chunk_page(cursor, number, count, owner, first)
            elif kind == IMAGES:
                self.take_image_page(cursor, count, names)
            elif kind == SLOTS:
                require(slot_page_count == SLOTS_A_PAGE, RULE, "a page of slots before the last one is not full")
                require(first == len(self.slot_digests), RULE, "the pages of slots are not in order")
                require(count <= SLOTS_A_PAGE, RULE, "a page of slots has more entries than it holds")
                self.slot_digests += [cursor.take(32) for _ in range(count)]
                slot_page_count = count
            else:
                self.check_end(cursor, owner)
            require(not any(cursor.take(cursor.left())), RULE, "bytes behind the last entry of a page are not zero")
        self.check_contents()
        self.check_chunks()

    def take_chunk_page(self, cursor, number, count, owner, first):
        require(count <= self.entries_a_page, RULE, "a page of chunks has more entries than it holds")
        state = self.chunk_pages.setdefault(owner, ChunkPages())
        require(first == state.entries, RULE, "the chunk pages of an image are not in order")
        full = state.entries == len(state.pages) * self.entries_a_page
        require(full, RULE, "a chunk page is not full although more of its image follow")
        state.pages.append(number)
        state.entries += count
        cursor.take(count * self.entry_size)

    def take_image_page(self, cursor, count, names):
        for _ in range(count):
            number, reserved, size = cursor.number(4), cursor.number(1), cursor.number(1)
            require(number not in self.images, RULE, "an image number stands twice")
            require(number < MAX_IMAGES, RULE, "an image number is more than the page allows")
            require(reserved == 0, RULE, "a reserved byte of an image record is not zero")
            name = cursor.take(size)
            check_name(name)
            require(name not in names, RULE, "an image name stands twice")
            names.add(name)
            length = cursor.number(8)
            require(length < 1 << 62, RULE, "the length of an image is 2^62 or more")
            image = Image(number, name.decode("ascii"), length)
            if self.chunk_count(image) <= INLINE_CHUNKS:
                image.inline = [self.take_entry(cursor) for _ in range(self.chunk_count(image))]
            self.images[number] = image

    def take_entry(self, cursor):
        digest_size = 0 if self.immutable.exclusive else 32
        return Entry(cursor.number(8), cursor.take(16), cursor.take(digest_size))

    def check_end(self, cursor, image_count):
        require(image_count == len(self.images), RULE, "the end page's number of images is wrong")
        numbers = all(n in self.images for n in range(image_count))
        require(numbers, RULE, "the image numbers are not 0 to the number of images - 1")
        chunks = sum(self.chunk_count(image) for image in self.images.values())
        require(cursor.number(8) == chunks, RULE, "the end page's number of chunks is wrong")
        total = sum(image.length for image in self.images.values())
        require(cursor.number(8) == total, RULE, "the end page's sum of lengths is wrong")
        require(cursor.number(8) == self.trailer.manifest_at, RULE, "the end page's offset of the manifest is wrong")

    def check_contents(self):
        only = {"stream": "stream", "tree": "tree.tar"}.get(self.immutable.content)
        names = [image.name for image in self.images.values()]
        require(only is None or names == [only], "Contents", "the images are not those of this content")

    def check_chunks(self):
        """The rules on chunks that need no key but the manifest's."""
        for number, state in self.chunk_pages.items():
            require(number in self.images, RULE, "a chunk page belongs to no image")
            inline = bool(self.images[number].inline)
            require(not inline, RULE, "an image has a chunk page and its entries in the image record")
        filled = 0
        for image in self.images.values():
            if not image.inline:
                state = self.chunk_pages.get(image.number, ChunkPages())
                whole = state.entries == self.chunk_count(image)
                require(whole, RULE, "the chunk pages of an image do not hold as many chunks as its length says")
            for index in range(self.chunk_count(image)):
                filled += self.check_place(self.entry(image, index), self.chunk_size(image, index))
        room = self.trailer.manifest_at - self.data_at
        require(filled == room, "Chunks", "the chunks do not fill the data area")

    def check_place(self, entry, size):
        rule = "Chunks"
        if size == 0:
            require(entry.offset == 0, rule, "an empty chunk has an offset")
            return 0
        require(entry.offset % ALIGN == 0, rule, "the offset of a chunk is not a multiple of 4096")
        end = entry.offset + aligned(size)
        inside = entry.offset >= self.data_at and end <= self.trailer.manifest_at
        require(inside, rule, "a chunk does not lie in the data area")
        return aligned(size)

    def chunk_count(self, image):
        return image.length // self.immutable.chunk_size + 1

    def chunk_size(self, image, index):
        last = index == self.chunk_count(image) - 1
        return image.length % self.immutable.chunk_size if last else self.immutable.chunk_size

    def entry(self, image, index):
        if image.inline:
            return image.inline[index]
        page, place = divmod(index, self.entries_a_page)
        cursor = Cursor(self.page(self.chunk_pages[image.number].pages[page]), RULE, "a chunk page")
        cursor.take(16 + place * self.entry_size)
        return self.take_entry(cursor)

    def read_chunk(self, image, index):
        """The plaintext of one chunk, verified."""
        rule = "Chunks"
        entry = self.entry(image, index)
        size = self.chunk_size(image, index)
        block = self.source.read_at(entry.offset, aligned(size)) if size else b""
        cipher = block[:size]
        require(not any(block[size:]), rule, f"the padding behind chunk {index} of {image.name} is not zero")
        if not self.immutable.exclusive:
            good = chunk_digest(cipher) == entry.digest
            require(good, rule, f"chunk {index} of {image.name} has another digest than the signed one")
        key = crypto.hkdf_expand(self.prk, b"ckpt-seal/v1/image" + image.number.to_bytes(4, "big"), 32)
        last = index == self.chunk_count(image) - 1
        plain = crypto.aead_open(self.immutable.suite, key, nonce(index, last), cipher, entry.tag)
        require(plain is not None, rule, f"chunk {index} of {image.name} does not decrypt")
        return plain

    def read_image(self, image):
        for index in range(self.chunk_count(image)):
            yield self.read_chunk(image, index)


def chunk_digest(cipher):
    leaves = [sha256(cipher[start : start + LEAF]) for start in range(0, len(cipher), LEAF)]
    return sha256(*leaves)


def check_name(name):
    require(name != b"", RULE, "an image has no name")
    require(all(0x21 <= byte <= 0x7E for byte in name), RULE, "an image name has a byte that is not allowed")
    require(b"/" not in name, RULE, "an image name has a slash")
    require(name not in (b".", b".."), RULE, "an image is named . or ..")



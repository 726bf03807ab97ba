# SPDX-License-Identifier: Apache-2.0
"""Images, their chunks, and the encrypted pages that say where they stand: docs/format.md, "Manifest", "Chunks",
"Contents".

It exists to check every rule of the manifest before a chunk is read, and to verify each chunk before it is given out.
"""

from dataclasses import dataclass

from cks_header import CONTENTS
from cks_primitives import (PAGE, ZERO_NONCE, Cursor, aes_gcm_open, chacha20_poly1305_open, hkdf_expand,
                            hkdf_extract, is_zero, require, round_up, sha256)

MANIFEST, CHUNKS, READING, CONTENTS_RULE = "Manifest", "Chunks", "Reading", "Contents"
TAG, HEADER, LEAF = 16, 16, 16384
CHUNK_PAGE, IMAGE_PAGE, RECORD_PAGE, END_PAGE = 1, 2, 3, 4
INLINE_CHUNKS, MAX_IMAGES, PARENT_RECORD, CRITICAL = 8, 131072, 1, 0x8000
HOLE = 1  # the offset of a chunk of zeros that is left out
ONLY_IMAGE = {"stream": "stream", "tree": "tree.tar"}


@dataclass(frozen=True)
class Entry:
    """A chunk entry."""
    offset: int
    tag: bytes
    digest: bytes  # empty in an exclusive file


@dataclass
class Image:
    number: int
    name: str
    length: int
    chunk_size: int
    inline: bytes = b""  # its chunk entries, if they stand in the record

    @property
    def chunks(self):
        return self.length // self.chunk_size + 1

    def size(self, index):
        """The size of a chunk."""
        return self.chunk_size if index < self.chunks - 1 else self.length % self.chunk_size


class ChunkPages:
    """The chunk pages of one image, in their order."""

    def __init__(self):
        self.pages = []
        self.entries = 0


class Manifest:
    """The images of a file whose data key is known. `check` comes first; it fills `images`."""

    def __init__(self, read, header, trailer, page_digests, data_key):
        self.read = read  # of (offset, size): exactly so many bytes
        self.immutable = header.immutable
        self.trailer = trailer
        self.page_digests = page_digests
        self.data_start = PAGE + 2 * len(header.block)
        self.prk = hkdf_extract(self.immutable.digest, data_key)
        self.open = aes_gcm_open if self.immutable.suite in (1, 3) else chacha20_poly1305_open
        self.entry_size = 24 if self.immutable.exclusive else 56
        self.entries_per_page = (PAGE - TAG - HEADER) // self.entry_size
        self.checked = False
        self.images = []
        self.chunk_pages = {}
        self.last_record = 0
        self.parent_records = 0
        self.cached = None

    def page(self, number):
        """The plaintext of a page, which is the one that was read before the signature was verified."""
        if self.cached and self.cached[0] == number:
            return self.cached[1]
        stored = self.read(self.trailer.manifest + PAGE * number, PAGE)
        kept = self.page_digests[32 * number:32 * number + 32]
        require(sha256(stored) == kept, READING, f"page {number} of the manifest has changed while it was read")
        nonce = bytes(3) + number.to_bytes(8, "big") + bytes([number == self.trailer.pages - 1])
        key = hkdf_expand(self.prk, b"ckpt-seal/v1/manifest")
        plain = self.open(key, nonce, stored[:-TAG], stored[-TAG:])
        require(plain is not None, MANIFEST, f"page {number} does not decrypt")
        self.cached = number, plain
        return plain

    def check(self):
        """Every rule of "Manifest"."""
        takers = {CHUNK_PAGE: self._take_chunks, IMAGE_PAGE: self._take_images, RECORD_PAGE: self._take_records}
        for number in range(self.trailer.pages - 1):
            cursor = Cursor(self.page(number), MANIFEST)
            kind, encoding, count, image, first = cursor.unpack(">BBHIQ")
            require(kind in takers, MANIFEST, f"page {number} is of kind {kind}")
            require(encoding == 0, MANIFEST, f"encoding {encoding} of page {number} is not known")
            require(count, MANIFEST, f"page {number} has no entry")
            require(kind == CHUNK_PAGE or image == first == 0, MANIFEST, f"the header of page {number} is not zero")
            require(kind == RECORD_PAGE or not self.last_record, MANIFEST, f"page {number} stands behind records")
            takers[kind](cursor, number, count, image, first)
            require(is_zero(cursor.rest()), MANIFEST, f"page {number} does not end with zeros")
        self._check_end()
        self.checked = True

    def _take_chunks(self, cursor, page, count, image, first):
        require(image < self._most_images(), MANIFEST, f"page {page} is of image {image}")
        chunks = self.chunk_pages.setdefault(image, ChunkPages())
        require(first == chunks.entries, MANIFEST, f"page {page} begins with chunk {first}")
        full = chunks.entries == len(chunks.pages) * self.entries_per_page
        require(full, MANIFEST, f"page {page} stands behind a page that is not full")
        require(count <= self.entries_per_page, MANIFEST, f"page {page} has {count} entries")
        cursor.take(count * self.entry_size)
        chunks.pages.append(page)
        chunks.entries += count

    def _most_images(self):
        return MAX_IMAGES if CONTENTS[self.immutable.content] == "criu" else 1

    def _take_images(self, cursor, page, count, *_):
        for _ in range(count):
            rule = CONTENTS_RULE if self._most_images() == 1 else MANIFEST
            require(len(self.images) < self._most_images(), rule, "there are too many images")
            number, encoding = cursor.unpack(">IB")
            require(encoding == 0, MANIFEST, f"encoding {encoding} of image {number} is not known")
            name = cursor.take(cursor.u8())
            allowed = name and all(0x21 <= byte <= 0x7E for byte in name) and name not in (b".", b"..")
            require(allowed and b"/" not in name, MANIFEST, f"the name of image {number} is not allowed")
            image = Image(number, name.decode("ascii"), cursor.u64(), self.immutable.chunk_size)
            require(image.length < 1 << 62, MANIFEST, f"image {number} is too long")
            if image.chunks <= INLINE_CHUNKS:
                image.inline = cursor.take(image.chunks * self.entry_size)
            self.images.append(image)

    def _take_records(self, cursor, page, count, *_):
        for _ in range(count):
            kind, size = cursor.unpack(">HH")
            critical, kind = kind & CRITICAL, kind & ~CRITICAL
            body = cursor.take(size)
            require(kind, MANIFEST, "a record has the type 0")
            require(kind >= self.last_record, MANIFEST, "the records are not in ascending order")
            require(not critical or kind == PARENT_RECORD, MANIFEST, f"a critical record has the type {kind}")
            self.last_record = kind
            if kind == PARENT_RECORD:
                require(critical, MANIFEST, "the record of the parent is not critical")
                require(len(body) == 64, MANIFEST, f"the record of the parent has {len(body)} bytes")
                self.parent_records += 1

    def _check_end(self):
        cursor = Cursor(self.page(self.trailer.pages - 1), MANIFEST)
        kind, zero, count, images, first, chunks, length, manifest = cursor.unpack(">BBHIQQQQ")
        require(kind == END_PAGE, MANIFEST, "the last page is no end page")
        require(zero == count == first == 0 and is_zero(cursor.rest()), MANIFEST, "the end page is not zero elsewhere")
        require(images == len(self.images), MANIFEST, f"there are {len(self.images)} images, not {images}")
        self._check_images()
        require(chunks == sum(image.chunks for image in self.images), MANIFEST, "the number of all chunks is wrong")
        require(length == sum(image.length for image in self.images), MANIFEST, "the length of all images is wrong")
        require(manifest == self.trailer.manifest, MANIFEST, "the manifest is not where its end page says")
        require(self.parent_records == self.immutable.has_parent, MANIFEST, "there is not one record for each parent")
        self._check_data_area()

    def _check_images(self):
        numbers = {image.number for image in self.images}
        require(numbers == set(range(len(self.images))), MANIFEST, "the images are not numbered from 0, each once")
        names = [image.name for image in self.images]
        require(len(set(names)) == len(names), MANIFEST, "two images have one name")
        only = ONLY_IMAGE.get(CONTENTS[self.immutable.content])
        require(only is None or names == [only], CONTENTS_RULE, f"the one image is not {only}")
        require(self.chunk_pages.keys() <= numbers, MANIFEST, "there are chunks of no image")
        for image in self.images:
            pages = self.chunk_pages.get(image.number, ChunkPages())
            expected = image.chunks if image.chunks > INLINE_CHUNKS else 0
            require(pages.entries == expected, MANIFEST, f"the chunk pages of image {image.number} have another number")

    def _check_data_area(self):
        stored = sum(self._check_entry(image, index) for image in self.images for index in range(image.chunks))
        require(stored == self.trailer.manifest - self.data_start, CHUNKS, "the chunks do not fill the data area")

    def _check_entry(self, image, index):
        """What a chunk occupies."""
        entry, size = self.entry(image, index), image.size(index)
        if entry.offset == HOLE:
            zero = is_zero(entry.tag + entry.digest)
            require(zero, CHUNKS, f"the chunk of zeros {index} of image {image.number} has a tag or digest")
            require(size, CHUNKS, f"the empty chunk {index} of image {image.number} is called one of zeros")
            return 0
        return round_up(size)

    def _check_place(self, image, index):
        """When the chunk is read."""
        entry, size = self.entry(image, index), image.size(index)
        if size == 0:
            require(entry.offset == 0, CHUNKS, f"the empty chunk {index} of image {image.number} has an offset")
            return
        if entry.offset == HOLE:
            return
        inside = self.data_start <= entry.offset and entry.offset + round_up(size) <= self.trailer.manifest
        require(entry.offset % PAGE == 0, CHUNKS, f"chunk {index} of image {image.number} is not aligned")
        require(inside, CHUNKS, f"chunk {index} of image {image.number} is outside of the data area")

    def entry(self, image, index):
        if image.inline:
            block, at = image.inline, index * self.entry_size
        else:
            page, row = divmod(index, self.entries_per_page)
            block = self.page(self.chunk_pages[image.number].pages[page])
            at = HEADER + row * self.entry_size
        row = block[at:at + self.entry_size]
        return Entry(int.from_bytes(row[:8], "big"), row[8:24], row[24:])

    def is_hole(self, image, index):
        return self.entry(image, index).offset == HOLE

    def read_chunk(self, image, index):
        """The plaintext of a chunk, verified."""
        self._check_place(image, index)
        entry, size = self.entry(image, index), image.size(index)
        if entry.offset == HOLE:
            return bytes(size)
        stored = self.read(entry.offset, round_up(size)) if size else b""
        what = f"chunk {index} of image {image.number}"
        require(is_zero(stored[size:]), CHUNKS, f"{what} is not followed by zeros")
        ciphertext = stored[:size]
        if not self.immutable.exclusive:
            require(chunk_digest(ciphertext) == entry.digest, CHUNKS, f"the digest of {what} is wrong")
        key = hkdf_expand(self.prk, b"ckpt-seal/v1/image", image.number.to_bytes(4, "big"))
        nonce = bytes(3) + index.to_bytes(8, "big") + bytes([index == image.chunks - 1])
        plain = self.open(key, nonce, ciphertext, entry.tag)
        require(plain is not None, CHUNKS, f"{what} does not decrypt")
        return plain


def chunk_digest(ciphertext):
    return sha256(*(sha256(ciphertext[at:at + LEAF]) for at in range(0, len(ciphertext), LEAF)))

# SPDX-License-Identifier: Apache-2.0
"""Whoever stores the file reads it, and changes chunks, pages and its length. They have no key, but repair what needs none:
checksums, and the trailer's account of the file. Only their aim is helped: which chunk belongs to which image is encrypted."""

import attack_case
import pieces
import sealed_victim
import support
from attack_case import EQUAL_PAGES, GHOST_MARKER
from process_case import MARKER
from evidence import tpm_quote
from header_parts import BLOCK, flipped, put
from pieces import Signature
from sealed_victim import PAGE

ZEROS = bytes(16)


def blocks_of(data):
    """All aligned 16 bytes of it, the block of AES, but for padding."""
    return [block for at in range(0, len(data), 16) if (block := data[at:at + 16]) != ZEROS]


class ReadTheFile(attack_case.AttackCase):
    def test_equal_pages_give_no_equal_blocks(self):
        page = MARKER.ljust(64, b".") * 64
        pages = b"".join(self.victim.images[name] for name in self.victim.named("pages-"))
        self.assertGreaterEqual(pages.count(page), EQUAL_PAGES, "there is nothing to hide")
        # Nor do two dumps of the one process share a block.
        blocks = [block for dump in (self.victim, self.earlier) for block in blocks_of(dump.data[dump.data_at:dump.manifest_end])]
        self.assertGreater(len(blocks), 100_000)
        self.assertEqual(len(set(blocks)), len(blocks))

    def test_a_sparse_file_without_a_name_is_not_in_clear(self):
        ghosts = [self.victim.images[name] for name in self.victim.named("ghost-file-")]
        self.assertTrue(any(GHOST_MARKER in ghost for ghost in ghosts), "there is nothing to hide")
        self.assertNotIn(GHOST_MARKER, self.victim.data)

    def test_pages_of_zeros_are_left_out_and_nothing_says_which(self):
        pages, = self.victim.named("pages-")
        self.assertIn((pages, self.victim.left_out[0][1]), self.victim.left_out)
        stored = sum(-(-size // BLOCK) * BLOCK for _, size in self.victim.places())
        self.assertEqual(len(self.victim.data_area), stored)
        self.assertNotIn(ZEROS * 256, self.victim.data_area + self.victim.manifest_bytes)

    def test_names_magics_paths_and_the_marker_are_not_in_clear(self):
        plain = b"".join(self.victim.images.values())
        for text in (MARKER, b"python3", bytes(str(self.out), "ascii")):
            self.assertIn(text, plain, "there is nothing to hide")
            self.assertNotIn(text, self.victim.data)
        for name, content in self.victim.images.items():
            self.assertNotIn(name.encode(), self.victim.data)
            # The magics of an image in front of each chunk, or anywhere in the manifest, which is short.
            if len(content) >= 8:
                self.assertNotIn(content[:8], self.victim.data)
        done = self.succeeds(self.a.run("inspect", self.base / "victim.cks"))
        for name in self.victim.images:
            self.assertNotIn(name.encode(), done.stdout + done.stderr)


class ChangeTheFile(attack_case.AttackCase):
    def test_the_twin_that_nobody_attacked_goes_on(self):
        self.goes_on_from_where_it_stopped(self.victim.data)

    def test_a_bit_flipped_in_an_image(self):
        # Those that CRIU reads first, last, in pieces, and one that it never asks for again after the start.
        names = self.victim.named("inventory", "pstree", "core-", "mm-", "pagemap-", "pages-", "seccomp", "ghost-file-")
        self.assertGreaterEqual(len(names), 8)
        for name in names:
            with self.subTest(name):
                at, size = self.victim.places(name)[-1]
                self.all_refuse(flipped(self.victim.data, at + size // 2))

    def test_a_bit_flipped_anywhere_else(self):
        victim = self.victim
        at, size = next((at, size) for at, size in victim.places() if size % BLOCK)
        places = {"padding of a chunk": at + size, "first page": victim.manifest_at + 7, "last page": victim.manifest_end - 20,
                  "signature": victim.trailer_at + 32 + 4 + 7, "trailer's padding": len(victim.data) - 100,
                  "trailer's size": len(victim.data) - 34, "preamble's padding": 2000}
        for name, at in places.items():
            with self.subTest(name):
                self.all_refuse(flipped(victim.data, at))

    def test_every_chunk_flipped_before_one_reader(self):
        # The other tests ask both readers; this one has no room for a restore of each.
        for at, size in self.victim.places():
            self.reader_refuses(self.write("attacked.cks", flipped(self.victim.data, at + size - 1)))
            self.refused(self.b.run("verify", self.folder / "attacked.cks"), 5)

    def test_blocks_spliced(self):
        victim = self.victim
        at, size = max(victim.places(), key=lambda place: place[1])
        first, second = victim.data[at:at + 16], victim.data[at + 16:at + 32]
        self.all_refuse(put(victim.data, at, second + first))
        # Of the same place of the same image, from an earlier dump.
        other, _ = max(self.earlier.places(), key=lambda place: place[1])
        self.all_refuse(put(victim.data, at + 64, self.earlier.data[other + 64:other + 80]))

    def test_pages_of_the_same_address_from_another_dump(self):
        name, = self.victim.named("pages-")
        pairs = [(at, self.earlier.data[other:other + size]) for (at, size), (other, other_size)
                 in zip(self.victim.places(name), self.earlier.places(name)) if size == other_size]
        self.assertGreater(len(pairs), 1, "the two dumps have no chunks of one size")
        at, chunk = pairs[0]
        page = put(self.victim.data, at + BLOCK, chunk[BLOCK:2 * BLOCK])
        whole = self.victim.data
        for at, chunk in pairs:
            whole = put(whole, at, chunk)
        for what, content in (("one page", page), ("a chunk", put(self.victim.data, *pairs[0])), ("all", whole)):
            with self.subTest(what):
                self.all_refuse(content)

    def test_chunks_swapped_and_repeated(self):
        full = [place for place in self.victim.places() if place[1] == self.victim.immutable.chunk_size][:2]
        self.assertEqual(len(full), 2)
        (one, size), (two, _) = full
        first, second = self.victim.data[one:one + size], self.victim.data[two:two + size]
        self.all_refuse(put(put(self.victim.data, one, second), two, first))
        self.all_refuse(put(self.victim.data, two, first))

    def test_a_chunk_three_times(self):
        # Digests are hashes of hashes, and nothing adds up to nothing: the nearest to cancelling a sum of MACs by repeating
        # an entry is to repeat its chunk. insider_test.py repeats the entry itself.
        at, size = self.victim.places(*self.victim.named("pagemap-"))[0]
        chunk = self.victim.data[at:at + BLOCK * -(-size // BLOCK)]
        area = self.victim.data_area
        self.all_refuse(self.victim.framed(area + chunk + chunk))
        end = at - self.victim.data_at + len(chunk)
        self.all_refuse(self.victim.framed(area[:end] + chunk + chunk + area[end:]))

    def test_an_image_taken_out(self):
        # No name and no place of an image can be seen, so an image is its chunk: cut out, and filled with zeros.
        at, size = self.victim.places(*self.victim.named("seccomp"))[0]
        at -= self.victim.data_at
        after = at + BLOCK * -(-size // BLOCK)
        area = self.victim.data_area
        self.all_refuse(self.victim.framed(area[:at] + area[after:]))
        self.all_refuse(self.victim.framed(area[:at] + bytes(after - at) + area[after:]))

    def test_pages_of_the_manifest_taken_out_swapped_and_repeated(self):
        area = self.victim.data_area
        pages = [self.victim.manifest_bytes[at:at + PAGE] for at in range(0, len(self.victim.manifest_bytes), PAGE)]
        self.assertGreaterEqual(len(pages), 3)
        for what, changed in (("first", pages[1:]), ("last", pages[:-1]), ("middle", pages[:1] + pages[2:]),
                              ("swapped", [pages[1], pages[0], *pages[2:]]), ("repeated", [pages[0], *pages])):
            with self.subTest(what):
                self.all_refuse(self.victim.framed(area, b"".join(changed)))

    def test_two_dumps_mixed(self):
        victim, earlier = self.victim, self.earlier
        self.all_refuse(victim.data[:victim.data_at] + earlier.data[earlier.data_at:])
        self.all_refuse(victim.framed(manifest=earlier.manifest_bytes, signature=earlier.signature))
        self.all_refuse(victim.framed(earlier.data_area))


class CutTheFile(attack_case.AttackCase):
    def test_the_twin_that_nobody_cut_goes_on(self):
        self.goes_on_from_where_it_stopped(self.victim.framed(self.victim.data_area))

    def test_cut_at_every_boundary(self):
        victim = self.victim
        ends = [0, 1, BLOCK, BLOCK + victim.copy_size, victim.data_at, *(at for at, _ in victim.places()[1:]),
                *range(victim.manifest_at, victim.trailer_at + 1, PAGE), len(victim.data) - 36, len(victim.data) - 1]
        for end in ends:
            with self.subTest(end):
                self.all_refuse(victim.data[:end])

    def test_cut_at_every_chunk_behind_a_trailer_that_fits(self):
        victim = self.victim
        for at, _ in victim.places():
            path = self.write("attacked.cks", victim.framed(victim.data[victim.data_at:at]))
            self.reader_refuses(path)
            self.refused(self.b.run("verify", path), 5)
        self.all_refuse(victim.framed(b""))
        self.all_refuse(victim.framed(victim.data[victim.data_at:victim.places()[-1][0]]))

    def test_appended(self):
        victim = self.victim
        for what, content in (("a byte", victim.data + b"\0"), ("a block", victim.data + bytes(BLOCK)),
                              ("a trailer", victim.data + victim.data[victim.trailer_at:]), ("itself", victim.data + victim.data),
                              ("to the data", victim.framed(victim.data_area + bytes(BLOCK))),
                              ("in front", victim.framed(bytes(BLOCK) + victim.data_area))):
            with self.subTest(what):
                self.all_refuse(content)


class EditTheTrailer(attack_case.AttackCase):
    """Its size, the framing of the signature, evidence and annex, under a right checksum."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.with_evidence = None

    def evident(self):
        """The victim as its origin would have sealed it with evidence and an annex."""
        if self.with_evidence is None:
            content = self.victim.resealed(self.victim.images, self.a.sign, evidence=tpm_quote,
                                           annex=pieces.annex((2, b"a receipt")))
            path = self.base / "evidence.cks"
            path.write_bytes(content)
            type(self).with_evidence = sealed_victim.Victim(path, self.victim.data_key, self.trust)
        return self.with_evidence

    def test_the_twins_with_and_without_evidence_go_on(self):
        self.goes_on_from_where_it_stopped(self.victim.framed())
        evident = self.evident()
        self.assertEqual(evident.framed(), evident.data)
        self.assertGreater(len(evident.trailer.evidence), 0)
        self.goes_on_from_where_it_stopped(evident.data)

    def test_another_size(self):
        for size in (0, 36, 4095, 8192, 65536, 69632, 1 << 31, (1 << 32) - 4096):
            with self.subTest(size):
                self.all_refuse(self.victim.framed(size=size))
        # More zeros than it needs, and all that there may be.
        for size in (8192, 65536):
            with self.subTest(filled=size):
                self.all_refuse(self.victim.framed(filled=size, size=size))

    def test_the_framing_of_the_signature(self):
        value = self.victim.signature.value
        for what, signature in {"taken away": pieces.NO_SIGNATURE, "none of 64 bytes": Signature(0, value),
                                "63 bytes": Signature(1, value[:-1]),
                                "65 bytes": Signature(1, value + b"\0"), "no bytes": Signature(1, b""),
                                "unknown": Signature(2, value),
                                "unknown of no bytes": Signature(2, b""), "unknown of many": Signature(0xFFFF, bytes(16384)),
                                "too many": Signature(2, bytes(16385)), "says 16384": Signature(2, value, 16384),
                                "says 65535": Signature(1, value, 65535), "zeros": Signature(1, bytes(64)),
                                "of another dump": self.earlier.signature, "of none": Signature(1, b"\xff" * 64)}.items():
            with self.subTest(what):
                self.all_refuse(self.victim.framed(signature=signature))
        self.all_refuse(self.victim.framed(added=b"\1"))

    def test_evidence_added_taken_away_changed_and_of_another_file(self):
        evident = self.evident()
        quote = evident.trailer.evidence
        for added in (b"\1", quote):
            self.only_the_signature_refuses(self.victim.framed(evidence=added))
        for what, other in (("taken away", b""), ("changed", flipped(quote, len(quote) // 2)), ("cut", quote[:-1]),
                            ("more", quote + b"\0"),
                            ("of another file", tpm_quote(bytes(32)))):
            with self.subTest(what):
                self.only_the_signature_refuses(evident.framed(evidence=other))
        for size in (len(quote) - 1, len(quote) + 1, 32769, (1 << 32) - 1):
            with self.subTest(size):
                self.all_refuse(evident.framed(evidence_size=size))
        self.all_refuse(evident.framed(evidence=bytes(32769)))

    def test_an_annex_changes_nothing_and_is_believed_for_nothing(self):
        # Nobody signs it, so whoever stores the file may add, change and take it away.
        evident = self.evident()
        for what, annex in (("taken away", b""), ("another", pieces.annex((1, b"no record"))),
                            ("damaged", flipped(evident.annex, 20)),
                            ("random", bytes(range(256)) * 16), ("large", bytes(1 << 20))):
            with self.subTest(what):
                self.goes_on_from_where_it_stopped(evident.framed(annex=annex))
        self.goes_on_from_where_it_stopped(self.victim.framed(annex=evident.annex))

    def test_an_annex_in_the_place_of_something_else(self):
        victim = self.victim
        pages = victim.manifest_bytes
        for what, content in (("a page", victim.framed(manifest=pages[:-PAGE], annex=pages[-PAGE:])),
                              ("said", victim.framed(annex_size=BLOCK)),
                              ("not a block", victim.framed(annex=bytes(100))),
                              ("too large", victim.framed(annex=bytes((1 << 20) + BLOCK))),
                              ("overflow", victim.framed(annex_size=(1 << 32) - BLOCK))):
            with self.subTest(what):
                self.all_refuse(content)


if __name__ == "__main__":
    support.main()

# SPDX-License-Identifier: Apache-2.0
"""Another recipient of the same file: it has the data key, and so every tag, digest, page and MAC can be made right. What stays
is the signature of the origin. To show that an attack fails by that alone, the same bytes go to a reader that believes every
signature, and then, signed by the origin's own TPM, through `restore` itself."""

import os
import struct

import attack_case
import primitives
import support
from process_case import MARKER
from sealed_victim import Victim, flipped, origin_of, put, read_with, without_digests

COMMON_HEAD = 8  # most images begin with two magics
INVENTORY_HEAD = 4


def entries_of(image, head=COMMON_HEAD):
    """The records of an image of CRIU: each a length and a protocol buffer."""
    at, found = head, []
    while at < len(image):
        size, = struct.unpack_from("<I", image, at)
        found.append(image[at:at + 4 + size])
        at += 4 + size
    return found


def with_entries(image, entries, head=COMMON_HEAD):
    return image[:head] + b"".join(entries)


class InsiderCase(attack_case.AttackCase):
    """The insider is host-c: the victim is dumped for host-b and for it."""

    HOSTS = ("host-a", "host-b", "host-c")

    def dump_for_two(self, child, path, *more):
        return super().dump_for_two(child, path, "--to", self.hosts["host-c"].record(), *more)

    def take_apart(self, path):
        # Its own TPM unseals its own slot, as it is meant to.
        return Victim(path, self.hosts["host-c"].unseal_by_other_means(path, slot=self.slot_of_c(path)), self.trust)

    def slot_of_c(self, path):
        slots = self.json(self.succeeds(self.a.run("--json", "inspect", path)))["slots"]
        wanted = origin_of(self.hosts["host-c"].record())[0].hex()
        return next(number for number, slot in enumerate(slots) if wanted in str(slot))

    def changed(self, name, change):
        """All images, this one changed."""
        content = self.victim.images[name]
        other = change(content)
        self.assertNotEqual(other, content, "nothing was changed")
        return {**self.victim.images, name: other}


class Insider(InsiderCase):
    def test_the_twin_resealed_and_signed_by_the_origin_goes_on(self):
        # Only its own TPM can: so what the insider makes is right in everything else.
        self.goes_on_from_where_it_stopped(self.victim.resealed(self.victim.images, self.a.sign))

    def test_what_is_changed_runs_if_the_origin_signs_it(self):
        # The other twin: the marker is another one, and nobody but the origin could do that.
        name, = self.victim.named("pages-")
        images = self.changed(name, lambda pages: pages.replace(MARKER, MARKER[::-1]))
        self.only_the_signature_refuses(self.victim.resealed(images))
        self.goes_on_from_where_it_stopped(self.victim.resealed(images, self.a.sign))

    def test_a_chunk_exchanged_and_its_tag_repaired(self):
        name, = self.victim.named("pages-")
        images = self.changed(name, lambda pages: pages.replace(MARKER, bytes(len(MARKER))))
        self.only_the_signature_refuses(self.victim.resealed(images))
        # Signed by the insider itself, and by nobody.
        self.all_refuse(self.victim.resealed(images, self.hosts["host-c"].sign), 5, "ignature")
        self.all_refuse(self.victim.resealed(images, lambda _digest: bytes(64)), 5)

    def test_a_chunk_exchanged_under_its_old_tag_and_signature(self):
        # Who has the key of AES-GCM can make another ciphertext for the same tag. Then page, tag and signature are those of the
        # origin, and the digest alone is not.
        name = self.victim.named("core-")[0]
        at, size = self.victim.places(name)[0]
        forged = primitives.gcm_forge(self.victim.image_key(name), self.victim.data[at:at + size], 5, b"\xff" * 16)
        self.assertNotEqual(forged, self.victim.data[at:at + size])
        content = put(self.victim.data, at, forged)
        self.all_refuse(content)
        with without_digests():
            self.assertEqual(read_with(self.folder / "attacked.cks", self.keys, self.trust)[0], 0, "the tag does not fit")

    def test_an_image_deleted(self):
        for name in (*self.victim.named("seccomp"), *self.victim.named("fs-"), "inventory.img"):
            with self.subTest(name):
                images = {other: content for other, content in self.victim.images.items() if other != name}
                self.only_the_signature_refuses(self.victim.resealed(images))

    def test_an_image_added_renamed_and_emptied(self):
        images = self.victim.images
        seccomp, = self.victim.named("seccomp")
        for what, other in (("added", {**images, "timens-0.img": b"\x19\x43\x56\x54" * 2}),
                            ("renamed", {("x.img" if name == seccomp else name): content for name, content in images.items()}),
                            ("emptied", {**images, seccomp: b""})):
            with self.subTest(what):
                self.only_the_signature_refuses(self.victim.resealed(other))

    def test_entries_dropped_repeated_reordered_and_emptied(self):
        pagemap, = self.victim.named("pagemap-")
        entries = entries_of(self.victim.images[pagemap])
        self.assertGreater(len(entries), 3)
        last = entries[-1]
        for what, other in (("dropped", entries[:-1]), ("three times", [*entries, last, last]), ("first twice", [*entries[:2], *entries[1:]]),
                            ("reordered", [*entries[:-2], last, entries[-2]]), ("empty", [*entries, bytes(4)]), ("none", [])):
            with self.subTest(what):
                images = self.changed(pagemap, lambda image, other=other: with_entries(image, other))
                self.only_the_signature_refuses(self.victim.resealed(images))
        for name in self.victim.named("files", "mm-", "core-"):
            with self.subTest(name):
                images = self.changed(name, lambda image: with_entries(image, entries_of(image)[:-1]))
                self.only_the_signature_refuses(self.victim.resealed(images))

    def test_two_images_of_the_process_exchanged_for_those_of_its_earlier_dump(self):
        pages, = self.victim.named("pages-")
        pagemap, = self.victim.named("pagemap-")
        images = {**self.victim.images, pages: self.earlier.images[pages], pagemap: self.earlier.images[pagemap]}
        self.assertNotEqual(images, self.victim.images)
        self.only_the_signature_refuses(self.victim.resealed(images))

    def exchanging(self, content):
        """A CRIU that, when it is started, puts this into the sealed file: the signature was good by then."""
        other = self.base / "other.cks"
        other.write_bytes(content)
        criu = self.base / "criu"
        criu.write_text(f'#!/bin/sh\ncat {other} >{self.folder}/attacked.cks\nexec {os.environ["CRIU"]} "$@"\n')
        criu.chmod(0o755)
        return ("--criu", criu)

    def test_exchanged_after_the_signature_was_verified(self):
        name, = self.victim.named("pages-")
        images = self.changed(name, lambda pages: pages.replace(MARKER, MARKER[::-1]))
        for what, other in (("resealed", self.victim.resealed(images)), ("an earlier dump", self.earlier.data),
                            ("nothing", b""), ("a chunk", flipped(self.victim.data, self.victim.places(name)[0][0]))):
            with self.subTest(what):
                self.restore_refuses(self.victim.data, 5, more=self.exchanging(other))
        # Its twin: the same bytes again.
        self.goes_on_from_where_it_stopped(self.victim.data, more=self.exchanging(self.victim.data))

    def test_absurd_lengths_inside_an_image(self):
        # Of CRIU's own parsers, which see nothing before the signature is good.
        name, = self.victim.named("pstree")
        for size in (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f"):
            images = self.changed(name, lambda image, size=size: put(image, COMMON_HEAD, size))
            self.only_the_signature_refuses(self.victim.resealed(images))


if __name__ == "__main__":
    support.main()

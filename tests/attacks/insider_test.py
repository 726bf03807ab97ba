# SPDX-License-Identifier: Apache-2.0
"""Another recipient of the same file: it has the data key, and so every tag, digest, page and MAC can be made right. What stays
is the signature of the origin. To show that an attack fails by that alone, the same bytes go to a reader that believes every
signature, and then, signed by the origin's own TPM, through `restore` itself."""

import os
import struct
import tempfile
from dataclasses import replace

import attack_case
import cks
import primitives
import support
from evidence import tpm_quote
from header_parts import flipped, put
from process_case import MARKER
from pieces import NO_DIGEST, NO_SIGNATURE, NOBODY, Record, Signature
from sealed_victim import Signer, Victim, origin_of, read_with, without_digests
from slots import added, passphrase_slot

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
        for what, other in (("dropped", entries[:-1]), ("three times", [*entries, last, last]),
                            ("first twice", [*entries[:2], *entries[1:]]),
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

    def test_chunks_of_zeros(self):
        pages, = self.victim.named("pages-")
        number = list(self.victim.images).index(pages)
        (index, _), *_ = ((index, place) for (name, index), place in self.victim.chunk_places.items() if name == pages)
        holes = [where for where in self.victim.left_out if where[0] == pages]
        self.assertTrue(holes)
        # One that is none, left out; and all of them stored.
        without = self.victim.resealed(self.victim.images, left_out=lambda n, i: (n, i) == (number, index))
        self.only_the_signature_refuses(without)
        self.only_the_signature_refuses(self.victim.resealed(self.victim.images, left_out=lambda *_: False))
        # The twin: whether a chunk of zeros is stored is free, if the origin signs it.
        self.goes_on_from_where_it_stopped(self.victim.resealed(self.victim.images, self.a.sign, left_out=lambda *_: False))

    def test_chunks_of_zeros_that_the_origin_itself_makes_wrong(self):
        (name, index), *_ = self.victim.left_out
        where = list(self.victim.images).index(name), index
        for what, fields in (("a tag", {"tag": b"\1" * 16}), ("a digest", {"digest": b"\1" * 32}),
                             ("an offset of 2", {"offset": 2}),
                             ("an offset of 0", {"offset": 0}), ("no zeros", {"digest": NO_DIGEST[::-1], "offset": 4096})):
            with self.subTest(what):
                def changed(_writer, entries, fields=fields):
                    return {**entries, where: replace(entries[where], **fields)}
                self.all_refuse(self.victim.resealed(self.victim.images, self.a.sign, inject={"entries": changed}), 5)

    def with_records(self, *records, sign=None):
        return self.victim.resealed(self.victim.images, sign, inject={"records": lambda *_: list(records)})

    def test_record_pages(self):
        kept, unknown = Record(2, b"--shell-job"), Record(0x7FFF, bytes(4060))
        for records in ([kept], [kept, kept, unknown]):
            self.only_the_signature_refuses(self.with_records(*records))
            # The twin: what is not critical is skipped.
            self.goes_on_from_where_it_stopped(self.with_records(*records, sign=self.a.sign))

    def test_record_pages_that_the_origin_itself_makes_wrong(self):
        for what, records in {"critical": [Record(0x8002, b"1")], "critical, of no kind known": [Record(0xFFFF, b"")],
                              "of no type": [Record(0, b"1")],
                              "a parent": [Record(0x8001, bytes(64))], "a parent that is not critical": [Record(1, bytes(64))],
                              "descending": [Record(3, b"1"), Record(2, b"1")], "beyond the page": [Record(2, b"1", 4061)],
                              "far beyond": [Record(2, b"1", 65535)]}.items():
            with self.subTest(what):
                self.all_refuse(self.with_records(*records, sign=self.a.sign), 5)

    def test_evidence_that_the_insider_makes(self):
        content = self.victim.resealed(self.victim.images, evidence=tpm_quote)
        self.only_the_signature_refuses(content)
        self.goes_on_from_where_it_stopped(self.victim.resealed(self.victim.images, self.a.sign, evidence=tpm_quote))

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


class InsiderSlots(InsiderCase):
    """It changes the slots: with the data key it makes the MAC right, so that nothing but the signature of a changer whom the
    reader trusts stands between. host-c signs by its own TPM."""

    @property
    def insider(self):
        return self.signer("host-c")

    def signer(self, name, sign=None):
        host = self.hosts[name]
        return Signer(origin_of(host.record())[0], sign or host.sign)

    def with_own(self, adder=None, **how):
        """The slots as they are, and behind them one of its own."""
        def slots(workshop):
            return [*workshop.slots,
                    added(workshop, passphrase_slot(workshop, passphrase=b"of mine"), adder or self.insider, **how)]
        return slots

    def trusting(self, *names):
        return [word for name in names for word in ("--trust", self.hosts[name].record())]

    def both_trust(self, content, *names):
        """Who trusts the hosts that changed it goes on from there; and the independent reader."""
        self.goes_on_from_where_it_stopped(content, more=self.trusting(*names))
        trust = cks.Trust([*self.trust.hosts, *(origin_of(self.hosts[name].record()) for name in names)])
        self.assertEqual(read_with(self.folder / "attacked.cks", self.keys, trust), (0, None))

    def test_a_change_that_nobody_signed(self):
        for slots in (self.with_own(), self.with_own(NOBODY), lambda workshop: workshop.slots,
                      lambda workshop: workshop.slots[::-1]):
            self.all_refuse(self.victim.changed(slots, NOBODY), 4, "not signed")

    def test_a_change_that_it_signed_itself(self):
        content = self.victim.changed(self.with_own(), self.insider)
        self.all_refuse(content, 4, "not trusted")
        self.both_trust(content, "host-c")

    def test_a_change_in_the_name_of_the_origin(self):
        origin = self.signer("host-a")
        for what, how in {"signed by itself": {"signer": self.insider},
                          "the signature of the file": {"signature": self.victim.signature},
                          "zeros": {"signature": Signature(1, bytes(64))},
                          "unknown": {"signature": Signature(2, bytes(64))}}.items():
            with self.subTest(what):
                self.all_refuse(self.victim.changed(self.with_own(), origin, **how), 5, "ignature")
        self.all_refuse(self.victim.changed(self.with_own(), origin, signature=NO_SIGNATURE), 5)
        # The twin: the origin's own TPM.
        self.both_trust(self.victim.changed(lambda workshop: workshop.slots, origin), "host-a")

    def test_a_signature_of_the_origin_for_another_change(self):
        origin = self.signer("host-a")
        for what, signed in {"another generation": {"generation": 3}, "another time": {"time": 1},
                             "another changer": {"changer": bytes(32)},
                             "other slots": {"slots": b"other"},
                             "another file": {"immutable": self.earlier.parts.immutable}}.items():
            with self.subTest(what):
                self.all_refuse(self.victim.changed(lambda workshop: workshop.slots, origin, signed=signed), 5, "ignature")

    def test_a_slot_that_nobody_vouches_for_under_a_change_that_somebody_does(self):
        # The changer is trusted; the slot that it lets in is not for that.
        forged = {"in the name of the origin": self.with_own(self.signer("host-a"), signer=self.insider),
                  "by nobody": self.with_own(NOBODY),
                  "for another file": self.with_own(self.signer("host-a"), signed={"immutable": self.earlier.parts.immutable}),
                  "at another time": self.with_own(self.signer("host-a"), signed={"time": 1}),
                  "not in the list": lambda workshop: [*workshop.slots, passphrase_slot(workshop, passphrase=b"of mine")]}
        for what, slots in forged.items():
            with self.subTest(what):
                # Alone it opens nothing, though the passphrase is right; in front of the others it is passed over.
                done = self.with_its_passphrase(slots)
                self.refused(done, 4 if what == "by nobody" else 5, "nothing is tried with it")
                content = self.victim.changed(lambda workshop, slots=slots: slots(workshop)[::-1], self.insider)
                self.goes_on_from_where_it_stopped(content, more=self.trusting("host-c"))
        # The twin: by a host that is trusted.
        self.succeeds(self.with_its_passphrase(self.with_own()))

    def with_its_passphrase(self, slots):
        """A restore of the file with the last of these slots alone."""
        path = self.write("attacked.cks", self.victim.changed(lambda workshop: slots(workshop)[-1:], self.insider))
        with tempfile.TemporaryFile() as file:
            file.write(b"of mine")
            file.seek(0)
            how = ("--identity", "passphrase", "--passphrase-fd", file.fileno(), *self.trusting("host-c"))
            done, pid, left = self.restore_alone(path, more=how, pass_fds=[file.fileno()])
        if done.returncode == 0:
            self.end(pid)
        else:
            self.nothing_happened(pid, left)
        return done

    def test_the_time_of_a_change_after_the_changers_record_has_ended(self):
        # Whoever signs says the time; a host whose record has ended can say no later one.
        self.succeeds(self.hosts["host-c"].run("provision", "--expires", "1"))
        self.addCleanup(self.hosts["host-c"].run, "provision")
        record = self.folder.parent / "ends.record"
        self.succeeds(self.hosts["host-c"].run("host", "export", "-o", record))
        host = origin_of(record)
        trust = cks.Trust([*self.trust.hosts, host])
        for time, code in ((host[3] - 1, 0), (host[3], 4), (2**64 - 1, 4)):
            with self.subTest(time - host[3]):
                content = self.victim.changed(lambda workshop: workshop.slots, self.insider, time=time)
                if code:
                    self.restore_refuses(content, code, "expired", more=("--trust", record))
                else:
                    self.goes_on_from_where_it_stopped(content, more=("--trust", record))
                self.assertEqual(read_with(self.folder / "attacked.cks", self.keys, trust)[0], code)


if __name__ == "__main__":
    support.main()

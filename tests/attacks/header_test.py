# SPDX-License-Identifier: Apache-2.0
"""Whoever stores the file edits its header: version, suite, content, origin, slots and their list, policies, lengths. Both copies
are changed alike and their checksums repaired, for a checksum needs no key. What was done to slots is done in three ways: as it
is, with a list and its digest that fit, and as a later change that nobody has signed."""

from dataclasses import replace

import attack_case
import support
from header_parts import (SLOT_HEAD, block_of, body_of, flipped, joined, put, sha256, slot, split, u32, u64, with_copies,
                          with_parts)
from pieces import NO_SIGNATURE, Signature
from sealed_victim import CONDITIONS_AT, CONTENT_AT, CREATED_AT, LIST_AT, ORIGIN_AT, origin_of

# docs/format.md, "TPM slot": offsets in its body.
PARENT_NAME, POLICY, MASK, VALUES = 32, 66, 67, 71


class EditTheHeader(attack_case.AttackCase):
    def test_the_twin_with_its_checksums_made_anew_goes_on(self):
        self.goes_on_from_where_it_stopped(self.victim.with_slots(lambda slots: joined(split(slots))))

    def test_each_field_of_the_immutable_part(self):
        raw = self.victim.parts.immutable
        values = {"version": (0, (b"\0\0", b"\0\2")), "suite": (2, (b"\0", b"\2", b"\3", b"\4", b"\5", b"\xff")),
                  "content": (3, (b"\0", b"\2", b"\3", b"\4")), "size of a header": (4, (bytes([raw[4] + 1]),)),
                  "size of a chunk": (5, (b"\x10", b"\x16", b"\xff")), "depth": (6, (b"\1", b"\x40")), "zero": (7, (b"\1",)),
                  "id": (8, (bytes(16),)), "commitment": (24, (bytes(32),)), "parent": (88, (b"\1" * 32,)),
                  "digest of the list": (LIST_AT, (bytes(32),)), "time": (CREATED_AT, (u64(0), u64(2**63))),
                  "conditions": (CONDITIONS_AT, (b"\0\1", b"\xff\xff"))}
        for name, (at, pieces) in values.items():
            for piece in pieces:
                with self.subTest(name, to=piece.hex()):
                    self.assertNotEqual(raw[at:at + len(piece)], piece)
                    self.all_refuse(self.victim.with_immutable(at, piece))
        # A parent and its depth, so that each allows the other.
        self.all_refuse(self.victim.with_parts(immutable=put(put(raw, 6, b"\1"), 88, b"\1" * 32)))
        # Conditions, well formed.
        for condition in (b"\0\1\1" + u64(2**63), b"\0\1\2" + u32(1)):
            self.all_refuse(self.victim.with_parts(immutable=raw[:CONDITIONS_AT] + condition))

    def test_a_dump_called_a_stream_is_damage_and_no_wrong_use(self):
        # restore said "it holds stream" of a byte that nobody had vouched for, with the exit code of a user's mistake.
        for content in (b"\2", b"\3"):
            self.restore_refuses(self.victim.with_immutable(CONTENT_AT, content), 5, "ignature")

    def test_another_origin(self):
        unknown, unsigned = b"\7" * 32, bytes(32)
        own = origin_of(self.b.record())[0]
        self.all_refuse(self.victim.with_immutable(ORIGIN_AT, unknown), 4)
        # Its reader trusts itself, and so does not stumble over the name.
        path = self.restore_refuses(self.victim.with_immutable(ORIGIN_AT, own), 5, "ignature")
        self.reader_refuses(path, 4)
        content = self.victim.with_immutable(ORIGIN_AT, unsigned)
        self.all_refuse(content, 5)  # a file without an origin has no signature either
        unsigned_end = self.victim.framed(signature=NO_SIGNATURE)[self.victim.trailer_at:]
        self.all_refuse(content[:self.victim.trailer_at] + unsigned_end, 4)

    def test_the_slot_list(self):
        parts = self.victim.parts
        listed, other = parts.listed, self.earlier.parts.listed
        self.assertEqual(len(listed), 64)
        for what, changed in {"a bit": flipped(listed, 40), "another order": listed[32:] + listed[:32], "one less": listed[:32],
                              "one more": listed + bytes(32), "twice": listed + listed[:32], "none": b"",
                              "of another dump": other}.items():
            with self.subTest(what):
                self.all_refuse(self.victim.with_parts(listed=changed))
                fitting = put(parts.immutable, LIST_AT, sha256(changed))
                self.all_refuse(self.victim.with_parts(listed=changed, immutable=fitting))

    def everyone_refuses_slots(self, slots):
        """In each of the three ways: not those of the list; not what the origin signed; not signed."""
        parts = self.victim.parts
        self.all_refuse(self.victim.with_parts(slots=joined(slots)), 5)
        listed = parts.with_list(slots)
        fitting = replace(listed, immutable=put(parts.immutable, LIST_AT, sha256(listed.listed)))
        self.all_refuse(with_parts(self.victim.data, fitting), 5, "ignature")
        self.all_refuse(with_parts(self.victim.data, parts.later(slots)), 4)

    def test_each_field_of_the_slot(self):
        own, others = self.victim.slots
        self.assertEqual(own[:2], b"\0\1")
        raw = body_of(own)
        pcrs = bin(int.from_bytes(raw[MASK:MASK + 4], "big")).count("1")
        public = VALUES + 32 * pcrs
        private = public + 2 + int.from_bytes(raw[public:public + 2], "big")
        secret = private + 2 + int.from_bytes(raw[private:private + 2], "big")
        places = {"recipient": (0, b"\1\2\3"), "policy": (POLICY, b"\2"), "no policy": (POLICY, b"\0"),
                  "unknown policy": (POLICY, b"\3"),
                  "no PCR": (MASK, bytes(4)), "other PCRs": (MASK, u32(1 << 16)), "their values": (VALUES, b"\1" * 32),
                  "attributes": (public + 2 + 4, u32(0x40)), "private area": (private + 40, b"\1\2\3"),
                  "its integrity": (private + 6, b"\1\2\3"),
                  "secret": (secret + 6, b"\1\2\3"), "length of the public area": (public, b"\xff\xff"),
                  "length of the secret": (secret, b"\0\0")}
        for name, (at, piece) in places.items():
            with self.subTest(name):
                self.assertNotEqual(raw[at:at + len(piece)], piece)
                self.everyone_refuses_slots([put(own, SLOT_HEAD + at, piece), others])

    def test_a_policy_without_pcrs_over_all_its_parts(self):
        # The slot says no PCR, and its public area has the digest of that: what a TPM would have to accept is another object,
        # and the private area is bound to the old one.
        own, others = self.victim.slots
        raw = body_of(own)
        pcrs = bin(int.from_bytes(raw[MASK:MASK + 4], "big")).count("1")
        public = VALUES + 32 * pcrs
        mask, value = 1 << 23, bytes(32)
        digest = sha256(bytes(32), b"\0\0\1\x7f", b"\0\0\0\1\0\x0b\3" + mask.to_bytes(3, "little"), sha256(value))
        new = raw[:MASK] + u32(mask) + value + put(raw[public:], 2 + 2 + 2 + 4 + 2, digest)
        self.everyone_refuses_slots([slot(1, new), others])

    def test_slots_of_others_taken_out_and_added(self):
        own, others = self.victim.slots
        kept_for_others = put(own, SLOT_HEAD + PARENT_NAME, b"\0\x0b" + bytes(32))
        # The last one is of another dump, whose key this one is not.
        for what, slots in {"for another TPM": [kept_for_others, others], "of another kind": [put(own, 0, b"\0\x63"), others],
                            "taken out": [others], "the other taken out": [own], "twice": [own, others, own],
                            "other order": [others, own],
                            "of another dump": [self.earlier.slots[0], others],
                            "of another dump, too": [*self.earlier.slots, own, others]}.items():
            with self.subTest(what):
                self.everyone_refuses_slots(slots)

    def test_a_slot_as_if_somebody_had_added_it(self):
        own, others = self.victim.slots
        unsigned = put(own, 2, b"\0\1") + bytes(32) + u64(2) + u64(0) + bytes(4)
        named = put(own, 2, b"\0\1") + self.victim.immutable.origin + u64(2) + u64(0) + b"\0\1\0\x40" + bytes(64)
        for added in (unsigned, named):
            self.all_refuse(with_parts(self.victim.data, self.victim.parts.later([added, others])), 4)
            self.all_refuse(self.victim.with_parts(slots=joined([added, others])), 5)  # at generation 1 nobody has added any

    def test_generation_and_mac(self):
        for generation in (0, 2, 7, 2**63 - 1, 2**63, 2**64 - 1):
            with self.subTest(generation):
                self.all_refuse(self.victim.with_parts(generation=generation))
        for generation in (2, 2**63 - 1):
            self.all_refuse(with_parts(self.victim.data, self.victim.parts.later(self.victim.slots, generation=generation)), 4)
        for mac in (bytes(32), flipped(self.victim.parts.mac, 31), self.earlier.parts.mac):
            self.all_refuse(self.victim.with_parts(mac=mac))

    def test_the_header_of_another_dump(self):
        victim, earlier = self.victim, self.earlier
        blocks = [block_of(dump.data) for dump in (victim, earlier)]
        self.all_refuse(with_copies(victim.data, blocks[1]))
        # One copy of each, the other's newer: the newer one counts, and there is no second try.
        newer = earlier.parts.later(earlier.slots).block(earlier.copy_size)
        self.all_refuse(with_copies(victim.data, newer, blocks[0]), 5, "ignature")
        self.all_refuse(with_copies(victim.data, blocks[0], newer), 5, "ignature")
        # With equal generations copy 0 counts; the other is not sound, which a check of the file does not pass over.
        self.all_refuse(with_copies(victim.data, *blocks[::-1]))
        self.goes_on_from_where_it_stopped(with_copies(victim.data, *blocks))
        self.reader_refuses(self.folder / "attacked.cks")
        self.refused(self.b.run("verify", self.folder / "attacked.cks"), 5, "copies")


class EditTheChange(attack_case.AttackCase):
    """The origin has changed the slots of the dump twice: it added one of its own, and removed it."""

    def setUp(self):
        super().setUp()
        if not hasattr(type(self), "added"):
            type(self).added, type(self).removed = self.changed("--add", "self"), self.changed("--remove", "self")

    def changed(self, *how, path="victim.cks"):
        self.succeeds(self.a.run("rewrap", self.base / path, *how, "--identity", "passphrase", "--passphrase-fd", 0,
                                 input=attack_case.PASSPHRASE))
        return self.take_apart(self.base / path)

    def test_the_twins_and_each_earlier_header_as_a_whole_go_on(self):
        self.assertEqual([dump.parts.generation for dump in (self.victim, self.added, self.removed)], [1, 2, 3])
        for dump in (self.added, self.removed):
            self.goes_on_from_where_it_stopped(dump.data)
            self.goes_on_from_where_it_stopped(with_parts(dump.data, dump.parts))
        # docs/threat-model.md: an earlier header is still accepted.
        for earlier in (self.victim, self.added):
            self.goes_on_from_where_it_stopped(with_copies(self.removed.data, block_of(earlier.data)))
        # And what an interrupted change leaves; the newer copy is used.
        self.goes_on_from_where_it_stopped(with_copies(self.removed.data, block_of(self.added.data), block_of(self.removed.data)))

    def test_its_time_and_generation(self):
        right = int.from_bytes(self.added.parts.change[32:40], "big")
        for time in (0, right - 1, right + 1, 2**64 - 1):
            with self.subTest(time=time):
                self.all_refuse(self.added.with_change(32, u64(time)), 5, "ignature")
        for generation in (3, 4, 2**63 - 1):
            with self.subTest(generation):
                self.all_refuse(self.added.with_parts(generation=generation), 5, "ignature")
        for generation in (0, 1, 2**63, 2**64 - 1):
            with self.subTest(generation):
                self.all_refuse(self.added.with_parts(generation=generation), 5)
        self.all_refuse(self.added.with_parts(generation=1, change=b""), 5)  # slots that were not there then

    def test_the_changer(self):
        unknown, own = b"\7" * 32, origin_of(self.b.record())[0]
        self.all_refuse(self.added.with_change(0, unknown), 4)
        path = self.restore_refuses(self.added.with_change(0, own), 5, "ignature")
        self.reader_refuses(path, 4)
        self.all_refuse(self.added.with_change(0, bytes(32)), 5)  # nobody, and a signature
        self.all_refuse(self.added.with_parts(change=bytes(32) + self.added.parts.change[32:40] + bytes(4)), 4)

    def test_the_framing_of_its_signature(self):
        who = self.added.parts.change[:40]
        value, room = self.added.parts.change[44:], self.added.parts.room(self.added.copy_size)
        for what, signature in {"taken away": NO_SIGNATURE, "none of 64 bytes": Signature(0, value),
                                "63 bytes": Signature(1, value[:-1]),
                                "65 bytes": Signature(1, value + b"\0"), "no bytes": Signature(1, b""),
                                "unknown": Signature(2, value),
                                "unknown of no bytes": Signature(2, b""), "unknown of many": Signature(0xFFFF, bytes(64 + room)),
                                "beyond": Signature(2, value, 16384),
                                "far beyond": Signature(2, value, 65535), "zeros": Signature(1, bytes(64)),
                                "of the file": self.victim.signature}.items():
            with self.subTest(what):
                self.all_refuse(self.added.with_parts(change=who + signature.encode()))
        # And those of an added slot, which is below the other one.
        own = self.added.slots[2]
        for what, other in {"time": flipped(own, len(own) - 64 - 4 - 1), "generation": flipped(own, len(own) - 64 - 4 - 9),
                            "signature": flipped(own, len(own) - 1), "adder": flipped(own, len(own) - 64 - 4 - 16 - 32),
                            "algorithm": put(own, len(own) - 68, b"\0\2"), "length": put(own, len(own) - 66, b"\0\x3f")}.items():
            with self.subTest("of a slot", what=what):
                self.all_refuse(self.added.with_parts(slots=self.added.parts.slots.replace(own, other)))

    def test_slots_under_the_signature_of_another_change(self):
        victim, added, removed = self.victim.slots, self.added.slots, self.removed.slots
        self.assertEqual((added[:2], removed), (victim, victim))
        for what, content in {"put back": self.removed.with_parts(slots=joined(added)),
                              "taken out": self.added.with_parts(slots=joined(victim)),
                              "other order": self.added.with_parts(slots=joined(added[::-1])),
                              "twice": self.added.with_parts(slots=joined([*added, added[2]])),
                              "the change of before": self.removed.with_parts(change=self.added.parts.change,
                                                                              slots=self.added.parts.slots),
                              "the change of after": self.added.with_parts(change=self.removed.parts.change)}.items():
            with self.subTest(what):
                self.all_refuse(content, 5, "ignature")
        self.all_refuse(with_parts(self.removed.data, self.removed.parts.later(added)), 4)

    def test_the_change_of_another_dump(self):
        other = self.changed("--add", "self", path="earlier.cks")
        self.all_refuse(self.added.with_parts(change=other.parts.change), 5, "ignature")
        self.all_refuse(with_copies(self.added.data, block_of(other.data)), 5, "ignature")

    def test_a_newer_copy_that_does_not_hold_is_the_one_that_counts(self):
        unsigned = self.added.parts.later(self.added.slots, generation=3).block(self.added.copy_size)
        forged = replace(self.added.parts, generation=3).block(self.added.copy_size)
        sound = block_of(self.added.data)
        for content in (with_copies(self.added.data, unsigned, sound), with_copies(self.added.data, sound, unsigned)):
            self.all_refuse(content, 4)
        for content in (with_copies(self.added.data, forged, sound), with_copies(self.added.data, sound, forged)):
            self.all_refuse(content, 5, "ignature")
        # One that is not sound does not.
        self.goes_on_from_where_it_stopped(with_copies(self.added.data, flipped(forged, 9), sound))


class AbsurdLengths(attack_case.AttackCase):
    """Lengths that a careless reader believes before it has verified anything. They end with a sentence, not with a crash."""

    def test_the_twin_with_the_right_ones_goes_on(self):
        self.goes_on_from_where_it_stopped(self.victim.data)

    def test_in_the_header(self):
        parts = self.victim.parts
        changes = {"immutable part": (16, u32(0xFFFFFFFF)), "immutable part, a little": (16, u32(len(parts.immutable) + 1)),
                   "none": (16, u32(0)),
                   "slot list": (20, u32(0xFFFFFFFF)), "slot list, whose size overflows": (20, u32(1 << 27)),
                   "slot list, more than slots": (20, u32(65536)), "no slot list": (20, u32(0)),
                   "slots": (24, u32(0xFFFFFFFF)),
                   "slots, all there is": (24, u32(len(parts.slots) + parts.room(self.victim.copy_size))),
                   "all overflow": (16, u32(0x80000000) * 3), "two overflow": (20, u32(0x80000000) * 2)}
        for name, (at, piece) in changes.items():
            with self.subTest(name):
                self.all_refuse(self.victim.with_headers(lambda block: put(block, at, piece)))

    def test_in_the_slots(self):
        later = self.victim.parts.later(self.victim.slots)
        for name, at, piece in (("count", 0, b"\xff\xff"), ("none", 0, b"\0\0"), ("body", 6, u32(0xFFFFFFFF)),
                                ("body, a little", 6, u32(65537)), ("empty body", 6, u32(0)), ("adder", 4, b"\0\2")):
            with self.subTest(name):
                self.all_refuse(self.victim.with_slots(lambda slots: put(slots, at, piece)))
                # As a change of nobody's it is refused for that, if it is sound.
                self.all_refuse(with_parts(self.victim.data, replace(later, slots=put(later.slots, at, piece))))

    def test_in_preamble_and_trailer(self):
        for size in (0, 15, 23, 63, 255):
            with self.subTest(size):
                self.all_refuse(put(self.victim.data, 10, bytes([size])))
        size = len(self.victim.data)
        for name, fields in {"pages": {"pages": 1 << 20}, "many pages": {"pages": 1 << 60}, "none": {"pages": 0},
                             "overflow": {"pages": (1 << 64) - 1}, "offset": {"manifest_at": (1 << 64) - 4096},
                             "in the header": {"manifest_at": 0}, "annex": {"annex_size": 1 << 31},
                             "evidence": {"evidence_size": (1 << 32) - 1},
                             "trailer": {"size": 1 << 31}, "offset and pages": {
                                 "manifest_at": (1 << 64) - (1 << 14) + self.victim.trailer_at & (1 << 64) - 4096, "pages": 1},
                             "pages and annex": {"pages": (1 << 52) - 1, "annex_size": 4096 * (1 + self.victim.trailer.pages)},
                             "file": {"manifest_at": size, "pages": 1}}.items():
            with self.subTest(name):
                self.all_refuse(self.victim.framed(**fields))


if __name__ == "__main__":
    support.main()

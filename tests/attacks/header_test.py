# SPDX-License-Identifier: Apache-2.0
"""Whoever stores the file edits its header: version, suite, content, origin, slots, policies, lengths. Both copies are changed
alike and their checksums repaired, for a checksum needs no key."""

import attack_case
import support
from sealed_victim import BLOCK, CONTENT_AT, IMMUTABLE_AT, ORIGIN_AT, TRAILER, origin_of, put, sha256

# docs/format.md, "TPM slot": offsets in its body.
RECIPIENT, PARENT_NAME, POLICY, MASK, VALUES = 0, 32, 66, 67, 71
SLOT_HEAD = 8


def u32(number):
    return number.to_bytes(4, "big")


def u64(number):
    return number.to_bytes(8, "big")


class EditTheHeader(attack_case.AttackCase):
    def test_the_twin_with_its_checksums_made_anew_goes_on(self):
        self.goes_on_from_where_it_stopped(self.victim.with_slots(lambda slots: slots))

    def test_each_field_of_the_immutable_part(self):
        raw = self.victim.immutable.raw
        values = {"version": (0, (b"\0\0", b"\0\2")), "suite": (2, (b"\0", b"\2", b"\3", b"\4", b"\5", b"\xff")),
                  "content": (3, (b"\0", b"\2", b"\3", b"\4")), "size of a header": (4, (bytes([raw[4] + 1]),)),
                  "size of a chunk": (5, (b"\x10", b"\x16", b"\xff")), "zero": (6, (b"\0\1",)), "id": (8, (bytes(16),)),
                  "commitment": (24, (bytes(32),)), "parent": (88, (b"\1" * 32,)), "time": (120, (u64(2**63),)),
                  "conditions": (128, (b"\0\1", b"\xff\xff"))}
        for name, (at, pieces) in values.items():
            for piece in pieces:
                with self.subTest(name, to=piece.hex()):
                    self.assertNotEqual(raw[at:at + len(piece)], piece)
                    self.all_refuse(self.victim.with_immutable(at, piece))

    def test_a_dump_called_a_stream_is_damage_and_no_wrong_use(self):
        # restore said "it holds stream" of a byte that nobody had vouched for, with the exit code of a user's mistake.
        for content in (b"\2", b"\3"):
            self.restore_refuses(self.victim.with_immutable(CONTENT_AT, content), 5, "ignature")

    def test_another_origin(self):
        unknown, unsigned = b"\7" * 32, bytes(32)
        own, _ = origin_of(self.b.record())
        self.all_refuse(self.victim.with_immutable(ORIGIN_AT, unknown), 4)
        # Its reader trusts itself, and so does not stumble over the name.
        path = self.restore_refuses(self.victim.with_immutable(ORIGIN_AT, own), 5, "ignature")
        self.reader_refuses(path, 4)
        content = self.victim.with_immutable(ORIGIN_AT, unsigned)
        self.all_refuse(content, 5)  # a file without an origin has no signature either
        block = put(content[-TRAILER:-32], 24, bytes(66))
        self.all_refuse(content[:-TRAILER] + block + sha256(block), 4)

    def test_the_signature_taken_away_or_of_another_file(self):
        area, pages = self.victim.data_area, self.victim.manifest_bytes
        self.all_refuse(self.victim.framed(area, pages, algorithm=0, signature=bytes(64)))
        self.all_refuse(self.victim.framed(area, pages, algorithm=2))
        self.all_refuse(self.victim.framed(area, pages, signature=bytes(64)))
        self.all_refuse(self.victim.framed(area, pages, signature=self.earlier.trailer.signature))
        self.all_refuse(self.victim.framed(area, pages, signature=b"\xff" * 64))

    def tpm_slot(self):
        """Where its body begins in the list of slots."""
        self.assertEqual(self.victim.header.slots[0].kind, 1)
        return 2 + SLOT_HEAD

    def test_each_field_of_the_slot(self):
        body = self.tpm_slot()
        raw = self.victim.header.slots[0].body
        pcrs = bin(int.from_bytes(raw[MASK:MASK + 4], "big")).count("1")
        public = VALUES + 32 * pcrs
        private = public + 2 + int.from_bytes(raw[public:public + 2], "big")
        secret = private + 2 + int.from_bytes(raw[private:private + 2], "big")
        places = {"policy": (POLICY, b"\2"), "no policy": (POLICY, b"\0"), "no PCR": (MASK, bytes(4)), "other PCRs": (MASK, u32(1 << 16)),
                  "their values": (VALUES, b"\1" * 32), "attributes": (public + 2 + 4, u32(0x40)), "private area": (private + 40, b"\1\2\3"),
                  "its integrity": (private + 6, b"\1\2\3"), "secret": (secret + 6, b"\1\2\3"),
                  "length of the public area": (public, b"\xff\xff"), "length of the secret": (secret, b"\0\0")}
        for name, (at, piece) in places.items():
            with self.subTest(name):
                self.assertNotEqual(raw[at:at + len(piece)], piece)
                path = self.restore_refuses(self.victim.with_slots(lambda slots: put(slots, body + at, piece)), 5)
                # The passphrase opens its own slot first, and then it is the MAC that tells.
                self.reader_refuses(path, 5)

    def test_a_policy_without_pcrs_over_all_its_parts(self):
        # The slot says no PCR, and its public area has the digest of that: what a TPM would have to accept is another object,
        # and the private area is bound to the old one.
        body = self.tpm_slot()
        raw = self.victim.header.slots[0].body
        pcrs = bin(int.from_bytes(raw[MASK:MASK + 4], "big")).count("1")
        public = VALUES + 32 * pcrs
        mask, value = 1 << 23, bytes(32)
        digest = sha256(bytes(32), b"\0\0\1\x7f", b"\0\0\0\1\0\x0b\3" + mask.to_bytes(3, "little"), sha256(value))
        new = raw[:MASK] + u32(mask) + value + put(raw[public:], 2 + 2 + 2 + 4 + 2, digest)
        framed = b"\0\1\0\0" + u32(len(new)) + new
        self.restore_refuses(self.victim.with_slots(lambda slots: slots[:2] + framed + slots[body + len(raw):]), 5)
        self.reader_refuses(self.folder / "attacked.cks")

    def test_slots_of_others_taken_out_and_added(self):
        body = self.tpm_slot()
        own = SLOT_HEAD + len(self.victim.header.slots[0].body)
        self.restore_refuses(self.victim.with_slots(lambda slots: put(slots, body + PARENT_NAME, b"\0\x0b" + bytes(32))), 9)
        self.restore_refuses(self.victim.with_slots(lambda slots: put(slots, 2, b"\0\x63")), 9)
        self.restore_refuses(self.victim.with_slots(lambda slots: b"\0\1" + slots[2 + own:]), 9)
        # What is left opens, but the MAC says that something is missing, too much or in another order.
        self.restore_refuses(self.victim.with_slots(lambda slots: b"\0\1" + slots[2:2 + own]), 5)
        self.restore_refuses(self.victim.with_slots(lambda slots: b"\0\3" + slots[2:] + slots[2:2 + own]), 5)
        self.all_refuse(self.victim.with_slots(lambda slots: slots[:2] + slots[2 + own:] + slots[2:2 + own]), 5)
        # The slot of another dump, whose key this one is not.
        other = self.earlier.header.slots[0]
        framed = b"\0\1\0\0" + u32(len(other.body)) + other.body
        self.restore_refuses(self.victim.with_slots(lambda slots: slots[:2] + framed + slots[2 + own:]), 5)
        self.restore_refuses(self.victim.with_slots(lambda slots: put(slots, 4, b"\0\1")), 5)  # as if added later

    def test_generation_and_mac(self):
        self.all_refuse(self.victim.with_headers(lambda block: put(block, 8, u64(0))))
        self.all_refuse(self.victim.with_headers(lambda block: put(block, 8, u64(7))))
        slots = int.from_bytes(self.victim.header.raw[20:24], "big")
        mac = IMMUTABLE_AT + len(self.victim.immutable.raw) + slots
        self.all_refuse(self.victim.with_headers(lambda block: put(block, mac, bytes(32))))

    def test_the_header_of_another_dump(self):
        victim, earlier = self.victim, self.earlier
        self.all_refuse(put(victim.data, BLOCK, earlier.data[BLOCK:earlier.data_at]))
        # One copy of each, the other's newer: the newer one counts, and there is no second try.
        newer = put(earlier.data[BLOCK:BLOCK + earlier.copy_size - 32], 8, u64(2))
        self.all_refuse(put(victim.data, BLOCK, newer + sha256(newer)))


class AbsurdLengths(attack_case.AttackCase):
    """Lengths that a careless reader believes before it has verified anything. They end with a sentence, not with a crash."""

    def test_the_twin_with_the_right_ones_goes_on(self):
        self.goes_on_from_where_it_stopped(self.victim.data)

    def test_in_the_header(self):
        changes = {"immutable part": (16, u32(0xFFFFFFFF)), "immutable part, a little": (16, u32(131)), "none": (16, u32(0)),
                   "slots": (20, u32(0xFFFFFFFF)), "slots, all there is": (20, u32(self.victim.copy_size - 24 - 130 - 64)),
                   "both overflow": (16, u32(0x80000000) + u32(0x80000000))}
        for name, (at, piece) in changes.items():
            with self.subTest(name):
                self.all_refuse(self.victim.with_headers(lambda block: put(block, at, piece)))

    def test_in_the_slots(self):
        for name, at, piece in (("count", 0, b"\xff\xff"), ("none", 0, b"\0\0"), ("body", 6, u32(0xFFFFFFFF)),
                                ("body, a little", 6, u32(65537)), ("empty body", 6, u32(0))):
            with self.subTest(name):
                self.all_refuse(self.victim.with_slots(lambda slots: put(slots, at, piece)))

    def test_in_preamble_and_trailer(self):
        for size in (0, 15, 23, 63, 255):
            with self.subTest(size):
                self.all_refuse(put(self.victim.data, 10, bytes([size])))
        area, pages = self.victim.data_area, self.victim.manifest_bytes
        for name, fields in {"pages": {"pages": 1 << 20}, "many pages": {"pages": 1 << 60}, "none": {"pages": 0},
                             "overflow": {"pages": (1 << 64) - 1}, "offset": {"manifest_at": (1 << 64) - 4096},
                             "in the header": {"manifest_at": 0}, "offset and pages": {
                                 "manifest_at": (1 << 64) - (1 << 14) + len(self.victim.data) - TRAILER & (1 << 64) - 4096,
                                 "pages": 1}}.items():
            with self.subTest(name):
                self.all_refuse(self.victim.framed(area, pages, **fields))


if __name__ == "__main__":
    support.main()

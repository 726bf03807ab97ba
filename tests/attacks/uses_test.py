# SPDX-License-Identifier: Apache-2.0
"""Whoever stores a limited checkpoint, or is another origin, and wants it to be used up: a file of his own has its id."""

import time

import sealed_victim  # first: it knows where the others are
import support
from header_parts import Parts
from limit_case import CONTENT, LimitCase
from primitives import u32
from slots import PASSPHRASE, passphrase_slot
from writer import Writer

RESTORES = b"\x02" + u32(1)


class UsesOfAnother(LimitCase):
    def test_an_unsigned_file_with_the_same_id(self):
        self.seal("--to", "self", "--restores", "1")
        writer = Writer([("stream", b"of mine")], lambda w: [passphrase_slot(w)], origin=None, conditions=[RESTORES],
                        created=int(time.time()))
        writer.checkpoint_id = Parts.of(self.path.read_bytes()).immutable[8:24]
        other = self.write("other.cks", writer.build())
        self.assertEqual(Parts.of(other.read_bytes()).immutable[8:24], writer.checkpoint_id)
        by_word = ("--allow-unsigned", "--identity", "passphrase", "--passphrase-fd", "0")
        done = self.succeeds(self.open(*by_word, path=other, input=PASSPHRASE + b"\n"))
        self.assertEqual(done.stdout, b"of mine")
        self.refused(self.open(*by_word, path=other, input=PASSPHRASE + b"\n"), 6, "used up")
        # The twin: what it was to use up is there still, and once.
        self.opens("-o", "-")
        self.stays_shut(6, "used up")
        self.assertEqual(sorted(self.record.uses.values()), [1, 1])


if __name__ == "__main__":
    support.main()

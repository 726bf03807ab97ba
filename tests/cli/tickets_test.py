#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many tickets, and many who write them. docs/state.md, "tpm/tickets"."""

import subprocess

import support
from policy_case import CONTENT, WithAuthority, sha256


class Tickets(WithAuthority):
    def setUp(self):
        super().setUp()
        self.sealed("--policy", self.fleet)
        self.now = self.pcrs()

    def approve(self, number):
        """Of a state whose approval is another one for each number, for its epoch is."""
        index, at_most = self.epoch_now
        return self.approved(self.authority.approve(self.now, epoch=(index, at_most + number)), name=f"{number:02}")

    def count(self):
        content = self.tickets.read_bytes()
        self.assertEqual((content[:8], content[-32:]), (b"CKSTICK1", sha256(content[:-32])))
        return content[8]

    def test_the_seventeenth(self):
        self.epoch_now = self.epoch()
        paths = []
        for number in range(17):
            for path in paths[-1:]:
                path.rename(path.with_suffix(".kept"))
            paths.append(self.approve(number))
            self.assertEqual(self.commands(), 11)
            self.assertEqual(self.count(), min(number + 1, 16))
        verified = 8
        for number, wanted in ((16, verified), (1, verified), (15, verified), (0, verified + 3), (2, verified + 3)):
            for path in paths:
                if path.exists():
                    path.rename(path.with_suffix(".kept"))
            paths[number].with_suffix(".kept").rename(paths[number])
            with self.subTest(number=number):
                self.assertEqual(self.commands(), wanted)
                self.assertEqual(self.commands(), verified)
                self.assertEqual(self.count(), 16)

    def test_openings_at_once(self):
        """They write over each other: what is left is of use or not, and is never in the way."""
        self.approved(self.authority.approve(self.now))
        for _ in range(5):
            self.tickets.unlink(missing_ok=True)
            running = [subprocess.Popen([support.program(), "--state", self.a.state, "open", "-o", "-", self.folder / "x.cks"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=support.ENVIRONMENT)
                       for _ in range(4)]
            for child in running:
                out, err = child.communicate(timeout=240)
                self.assertEqual((child.returncode, out), (0, CONTENT), err.decode())
            self.assertIn(self.commands(), (7, 10))
            self.assertEqual(self.commands(), 7)
            self.assertEqual(self.count(), 1)


if __name__ == "__main__":
    support.main()

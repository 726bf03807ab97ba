#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Limits as they are asked for at sealing. docs/policies.md, "Limits"; docs/format.md, "Immutable part"."""

import datetime
import hashlib
import json
import time

import support
from sealed_layout import CONDITIONS, CREATED, Layout, number, with_headers
from policy_case import PolicyCase


def seconds(text):
    form = "%Y-%m-%dT%H:%M:%SZ"
    return int(datetime.datetime.strptime(text, form).replace(tzinfo=datetime.timezone.utc).timestamp())


class LimitsAtSealing(PolicyCase):
    FAR = "2500-01-31T12:34:56Z"

    def limits_of(self, path):
        """By kind, from both header copies."""
        raw = path.read_bytes()
        layout = Layout(raw)
        immutable, = {raw[at + layout.immutable - 4096:at + layout.list - 4096] for at in layout.copies}
        count, rest, limits = number(immutable, CONDITIONS, 2), immutable[CONDITIONS + 2:], {}
        for _ in range(count):
            size = {1: 8, 2: 4}[rest[0]]
            limits[rest[0]], rest = int.from_bytes(rest[1:1 + size], "big"), rest[1 + size:]
        self.assertEqual(rest, b"")
        return limits

    def document(self, *terms):
        return self.write("own.json", json.dumps({"schema_version": 1, "all_of": terms}).encode())

    def test_none(self):
        self.assertEqual(self.limits_of(self.sealed()), {})

    def test_by_options(self):
        self.assertEqual(self.limits_of(self.sealed("--restores", "3")), {2: 3})
        self.assertEqual(self.limits_of(self.sealed("--restores", "4294967295")), {2: 4294967295})
        limits = self.limits_of(self.sealed("--not-after", self.FAR, "--restores", "1"))
        self.assertEqual(limits, {1: seconds(self.FAR), 2: 1})

    def test_spans_count_from_now(self):
        for text, span in (("1m", 60), ("12h", 43200), ("90d", 7776000)):
            before = int(time.time())
            end = self.limits_of(self.sealed("--not-after", text))[1]
            self.assertTrue(before + span <= end <= time.time() + span, text)

    def test_by_a_policy(self):
        path = self.policy("--tpm2-pcrs", "sha256:7", "--restores", "2", "--not-after", self.FAR)
        self.assertEqual(self.limits_of(self.sealed("--policy", path)), {1: seconds(self.FAR), 2: 2})
        done = self.json(self.succeeds(self.a.run("--json", "policy", "show", path)))
        self.assertEqual(done["policy"][1:], [{"restores": 2}, {"not_after": self.FAR}])
        self.assertEqual(done["words"], f"sha256:7, at most 2 restores, not after {self.FAR}")
        text = self.succeeds(self.a.run("policy", "show", path)).stdout.decode()
        self.assertIn(f"The checkpoint is limited:\n- at most 2 restores\n- not after {self.FAR}\n", text)

    def test_times_behind_the_year_9999(self):
        """A time of 2^63 s or more was shown as one before 1970, and one from the year 10000 on in no form of RFC 3339."""
        path = self.sealed("--not-after", self.FAR)
        raw = path.read_bytes()
        layout = Layout(raw)
        for created in (253402300800, 1 << 63, (1 << 64) - 2):
            copy = bytearray(raw[layout.copies[0]:layout.copies[1]])
            at = layout.immutable - layout.copies[0] + CREATED
            copy[at:at + 8] = created.to_bytes(8, "big")
            at += CONDITIONS + 3 - CREATED  # behind the number of conditions, and the kind of this one
            copy[at:at + 8] = (created + 1).to_bytes(8, "big")
            copy[-32:] = hashlib.sha256(copy[:-32]).digest()
            path.write_bytes(with_headers(raw, bytes(copy), bytes(copy)))
            # Of one who does not trust the origin, and so does not find out that nobody has signed that.
            inspect = ("--state", self.folder / "nobody", "inspect", path)
            shown = self.json(self.succeeds(support.run("--json", *inspect)))
            later = "the year 10000 or later ({} s after 1970)"
            self.assertEqual((shown["created"], shown["limits"]["not_after"]), (later.format(created), later.format(created + 1)))
            text = self.succeeds(support.run(*inspect)).stdout.decode()
            self.assertIn(f"Created:     {later.format(created)}\n", text)
            self.assertIn(f"not after {later.format(created + 1)}; ", text)

    def test_an_option_beside_a_policy(self):
        path = self.document({"pcrs": "sha256:7"}, {"restores": 2})
        limits = self.limits_of(self.sealed("--policy", path, "--not-after", self.FAR))
        self.assertEqual(limits, {1: seconds(self.FAR), 2: 2})
        self.refused(self.seal("--policy", path, "--restores", "2", name="y.cks"), 2, "has that limit already")
        self.assertFalse((self.folder / "y.cks").exists())

    def test_what_is_no_limit(self):
        for value in ("0", "-1", "4294967296", "many", "1.5", ""):
            self.refused(self.seal("--restores", value, name="y.cks"), 2)
        for value in ("2027-01-31", "0d", "d", "12", "12y", "12 h", "-1d", "+1d", "1000001d", "1h30m",
                      "2027-02-30T00:00:00Z"):
            self.refused(self.seal("--not-after", value, name="y.cks"), 2, "no time")
        self.refused(self.seal("--not-after", "2020-01-01T00:00:00Z", name="y.cks"), 2, "over already")
        ended = self.document({"pcrs": "sha256:7"}, {"not_after": "2020-01-01T00:00:00Z"})
        self.refused(self.seal("--policy", ended, name="y.cks"), 2, "ended at 2020-01-01T00:00:00Z")
        self.assertFalse((self.folder / "y.cks").exists())

    def test_where_a_limit_has_no_place(self):
        path = self.document({"pcrs": "sha256:7"}, {"restores": 2})
        self.refused(self.a.run("provision", "--tpm", "soft", "--policy", path), 2, "when a checkpoint is sealed")
        self.refused(self.a.run("policy", "create", "--any-of", path, "--any-of", path), 2, "when a checkpoint is sealed")
        sealed = self.sealed()
        before = sealed.read_bytes()
        done = self.a.run("rewrap", sealed, "--add", "self", "--policy", path)
        self.refused(done, 2, "never change")
        self.assertEqual(sealed.read_bytes(), before)


if __name__ == "__main__":
    support.main()

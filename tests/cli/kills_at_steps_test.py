#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The steps of dump and restore, at which tests can stop: they are those of docs/criu.md, "Steps", and in no build for users."""

import os
import pathlib
import re
import unittest

import support

VARIABLE = "CKPT_SEAL_STOP_AT"


def build_has_steps():
    return os.environ["CKPTSEAL_STEPS"] == "1"


def table():
    """(step, who stops, who is there, what is left) of every row."""
    text = (support.TOP / "docs" / "criu.md").read_text()
    rows = re.findall(r"^\| `([^`]+: [^`]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    return [(step, stops, there.split(", "), left) for step, stops, there, left in rows]


class Steps(unittest.TestCase):
    def test_the_table_has_those_of_the_code(self):
        named = []
        for path in support.TOP.glob("[a-z]*/**/*.cc"):
            if path.relative_to(support.TOP).parts[0] not in ("build", "tests"):
                named += re.findall(r'"((?:dump|restore): [^"]+)"', path.read_text())
        self.assertEqual(sorted(named), sorted(step for step, *_ in table()))

    def test_what_is_installed_has_none(self):
        content = pathlib.Path(support.program()).read_bytes()
        self.assertEqual(VARIABLE.encode() in content, build_has_steps())


if __name__ == "__main__":
    support.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every claim of docs/threat-model.md has a line in docs/security-tests.md, and every test that a line names is there."""

import fnmatch
import json
import re
import subprocess
import sys
import unittest


def claims_of(threat_model):
    return re.findall(r"^\| (C\d+) \|", threat_model, re.MULTILINE)


def lines_of(security_tests):
    """(claim, patterns of tests) for each line."""
    rows = re.findall(r"^\| (C\d+) \|[^|]*\|([^|]*)\|$", security_tests, re.MULTILINE)
    return [(claim, re.findall(r"`([^`]+)`", tests)) for claim, tests in rows]


def faults(threat_model, security_tests, tests):
    """One sentence for each fault."""
    claims, lines = claims_of(threat_model), lines_of(security_tests)
    if not claims:
        yield "docs/threat-model.md has no claims"
    named = [claim for claim, _ in lines]
    for claim in claims:
        if named.count(claim) != 1:
            yield f"{claim} has {named.count(claim)} lines in docs/security-tests.md"
    for claim, patterns in lines:
        if claim not in claims:
            yield f"{claim} is no claim of docs/threat-model.md"
        if not patterns:
            yield f"the line of {claim} names no test"
        for pattern in patterns:
            if not fnmatch.filter(tests, pattern):
                yield f"the line of {claim} names {pattern}, and there is no such test"


def tests_of(ctest, folder):
    shown = subprocess.run([ctest, "--show-only=json-v1"], cwd=folder, check=True, capture_output=True).stdout
    # A test with a parameter has that behind its name.
    return [test["name"].split("  #")[0] for test in json.loads(shown)["tests"]]


class FaultsTest(unittest.TestCase):
    MODEL = "| C1 | a claim | ground |\n| C2 | another | ground |\n"
    LINES = "| C1 | an attack | `A.B` |\n| C2 | an attack | `A.C*` |\n"

    def count(self, model=MODEL, lines=LINES, tests=("A.B", "A.Cd")):
        return len(list(faults(model, lines, tests)))

    def test_faults_are_found(self):
        self.assertEqual(self.count(), 0)
        self.assertEqual(self.count(tests=("A.B",)), 1)
        self.assertEqual(self.count(lines=self.LINES[: self.LINES.index("| C2")]), 1)
        self.assertEqual(self.count(lines=self.LINES + "| C1 | again | `A.B` |\n"), 1)
        self.assertEqual(self.count(lines=self.LINES + "| C3 | none | `A.B` |\n"), 1)
        self.assertEqual(self.count(lines=self.LINES.replace("`A.B`", "")), 1)
        self.assertEqual(self.count(model="", lines=""), 1)


def main():
    if sys.argv[1:] == ["selftest"]:
        unittest.main(argv=sys.argv[:1])
    ctest, folder, top = sys.argv[1:]
    with open(f"{top}/docs/threat-model.md") as model, open(f"{top}/docs/security-tests.md") as lines:
        found = list(faults(model.read(), lines.read(), tests_of(ctest, folder)))
    for fault in found:
        print(fault)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()

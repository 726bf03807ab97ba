#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every claim of docs/threat-model.md has a line in docs/security-tests.md, and every test that a line names is there.

claims.py CTEST FOLDER TOP            says what is missing
claims.py outcome TOP RESULTS.xml...  prints docs/security-tests.md with what came of the tests, by ctest's JUnit files
"""

import fnmatch
import json
import re
import subprocess
import sys
import unittest
import xml.etree.ElementTree as ElementTree


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
    return [name_of(test["name"]) for test in json.loads(shown)["tests"]]


def name_of(test):
    """A test with a parameter has that behind its name."""
    return test.split("  #")[0]


def outcome(patterns, results):
    """In words, from (name, status) of each test that ran or was to run."""
    found = {(name, status) for pattern in patterns for name, status in results if fnmatch.fnmatchcase(name_of(name), pattern)}
    statuses = [status for _, status in found]
    passed, skipped = statuses.count("run"), statuses.count("notrun")
    words = [f"{passed} passed"] if passed else []
    words += [f"{skipped} skipped"] if skipped else []
    words += [f"{name_of(name)} FAILED" for name, status in sorted(found) if status == "fail"]
    return ", ".join(words) or "not run"


def with_outcomes(security_tests, results):
    """The same text; each table that ends with a column of tests has one more."""
    in_table = False
    for line in security_tests.splitlines():
        if line.endswith("| Tests |"):
            in_table = True
            line += " Outcome |"
        elif in_table and line.startswith("|---"):
            line += "---|"
        elif in_table and line.startswith("|"):
            line += f" {outcome(re.findall('`([^`]+)`', line.rsplit('|', 2)[1]), results)} |"
        else:
            in_table = False
        yield line


def results_of(path):
    return [(case.get("name"), case.get("status")) for case in ElementTree.parse(path).getroot().iter("testcase")]


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


class OutcomeTest(unittest.TestCase):
    def test_each_line_gets_one(self):
        text = "words\n| Claim | Tests |\n|---|---|\n| C1 | `A.*` `B` |\n| C2 | `C` |\n| C3 | `D` |\n\n| Other | Table |\n"
        results = [("A.x  # 1", "run"), ("A.y", "fail"), ("B", "notrun"), ("C", "run"), ("C", "fail")]
        self.assertEqual(list(with_outcomes(text, results)), [
            "words", "| Claim | Tests | Outcome |", "|---|---|---|", "| C1 | `A.*` `B` | 1 passed, 1 skipped, A.y FAILED |",
            "| C2 | `C` | 1 passed, C FAILED |", "| C3 | `D` | not run |", "", "| Other | Table |"])


def main():
    if sys.argv[1:] == ["selftest"]:
        unittest.main(argv=sys.argv[:1])
    if sys.argv[1:2] == ["outcome"]:
        with open(f"{sys.argv[2]}/docs/security-tests.md") as lines:
            print("\n".join(with_outcomes(lines.read(), [result for path in sys.argv[3:] for result in results_of(path)])))
        return
    ctest, folder, top = sys.argv[1:]
    with open(f"{top}/docs/threat-model.md") as model, open(f"{top}/docs/security-tests.md") as lines:
        found = list(faults(model.read(), lines.read(), tests_of(ctest, folder)))
    for fault in found:
        print(fault)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up the JUnit files of ctest for scripts/test.sh: names what failed and what was skipped and why, and counts.

It exists because ctest calls a run with skipped tests a success: a skip that nobody expected must fail it.
"""

import fnmatch
import os
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

# What ctest writes as the reason when the test skipped itself. Any other (no program, a failed fixture) is a failure.
OWN_SKIP = ("SKIP_RETURN_CODE", "SKIP_REGULAR_EXPRESSION")
GTEST_SKIP = re.compile(r": Skipped\n(.+)")


def read_expected(path):
    """The patterns of the lines "PATTERN CONDITION REASON" whose condition holds here."""
    holds = {"user": os.geteuid() != 0, "machine": True}
    expected = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split(maxsplit=2)
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 3 or words[1] not in holds:
            raise SystemExit(f"{path}:{number}: a pattern, 'user' or 'machine', and the reason are expected.")
        if holds[words[1]]:
            expected.append(words[0])
    return expected


def skip_reason(output):
    """The words of GTEST_SKIP(), else the last line that a script wrote."""
    match = GTEST_SKIP.search(output)
    if match:
        return match.group(1).strip()
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "it did not say why"


def main():
    folder, expected = pathlib.Path(sys.argv[1]), read_expected(pathlib.Path(sys.argv[2]))
    passed, failed, skipped = 0, [], []
    for status_file in sorted(folder.glob("*.status")):
        preset = status_file.stem
        failed_before = len(failed)
        report = folder / f"{preset}.xml"
        cases = ElementTree.parse(report).getroot().iter("testcase") if report.exists() else []
        for case in cases:
            name, status = case.get("name"), case.get("status")
            skip = case.find("skipped")
            if status == "run":
                passed += 1
            elif skip is not None and skip.get("message", "").startswith(OWN_SKIP):
                skipped.append((preset, name, skip_reason(case.findtext("system-out") or "")))
            else:
                failed.append(f"{preset}: {name} ({'failed' if status == 'fail' else 'did not run: ' + status})")
        if status_file.read_text().strip() != "0" and len(failed) == failed_before:
            failed.append(f"{preset}: ctest itself; its lines above say why")
    for preset, name, reason in skipped:
        print(f"skipped: {preset}: {name}: {reason}")
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in expected):
            failed.append(f"{preset}: {name} (skipped, and not in tests/expected-skips.txt)")
    for line in failed:
        print(f"FAILED: {line}")
    unexpected = sum(line.endswith("expected-skips.txt)") for line in failed)
    print(f"{passed} passed, {len(failed)} failed, {len(skipped) - unexpected} skipped")
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())

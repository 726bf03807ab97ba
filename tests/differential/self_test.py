#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whether the differential test would find anything: readers that skip one rule each must disagree with ours within so
many cases, and so must one that crashes."""

import pathlib
import sys
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "vectors"), str(HERE.parent / "reader")]

import cks  # noqa: E402
import cks_header  # noqa: E402
import cks_manifest  # noqa: E402
import cks_policy  # noqa: E402
import cks_slots  # noqa: E402
from cases import Case, NotWritten  # noqa: E402
from readers import OurReader, Question, disagreement, their_verdict  # noqa: E402

MOST_CASES = 1500
CRASHES = ["/bin/sh", "-c", """echo '{"hybrid": false}'; read -r line; exit 3"""]


def nothing(*_):
    """What a skipped check says."""


# What is skipped, and where the check is.
BROKEN = {
    "the header MAC": (cks, "same", lambda *_: True),
    "the signature of the changer": (cks.Checkpoint, "_check_change", nothing),
    "zeros at the end": (cks_header, "is_zero", lambda _: True),
    "who vouches for a slot": (cks_slots, "vouch", nothing),
    "the work of passphrases": (cks_slots.Run, "spend", nothing),
    "the paths of a policy": (cks_policy, "_check_path", nothing),
    "that chunks fill the data area": (cks_manifest.Manifest, "_check_data_area", nothing),
}


def verdict_of(broken, look):
    with mock.patch.object(*BROKEN[broken]):
        return their_verdict(look)


def find(reader, left):
    """Takes out of `left` which of the broken readers were found."""
    for number in range(MOST_CASES):
        try:
            case = Case(f"self-test {number}", reader.can["hybrid"])
            question = Question(reader, case, *case.build(case.faults))
        except NotWritten:
            continue
        theirs = {broken: verdict_of(broken, question.look) for broken in left}
        _, ours, _, unbroken = question.answer()
        for broken, verdict in theirs.items():
            if not unbroken and disagreement(ours, verdict):
                print(f"{number + 1} cases find a reader that skips {broken}.")
                left.remove(broken)
        if not left:
            return


def finds_crashes():
    reader = OurReader(CRASHES)
    case = Case("self-test", False)
    whats = [Question(reader, case, *case.build(())).answer()[3] for _ in range(2)]
    reader.close()
    return whats == ["crash", "crash"]


def main(program):
    left = list(BROKEN)
    reader = OurReader([program])
    find(reader, left)
    reader.close()
    for broken in left:
        print(f"self_test.py: {MOST_CASES} cases do not find a reader that skips {broken}.", file=sys.stderr)
    if not finds_crashes():
        print("self_test.py: a crash is not found.", file=sys.stderr)
        return 1
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Random sealed files, right and wrong ones, before our reader and the independent one of tests/reader/. Whatever they
do not say alike is a bug in one of them, or a sentence of docs/format.md that can be read in two ways. Each such case
is written into a folder, with as few of its faults as show it."""

import argparse
import json
import pathlib
import random
import sys
import time
from collections import Counter

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "vectors"), str(HERE.parent / "reader")]

import primitives as crypto  # noqa: E402
from cases import Case, NotWritten  # noqa: E402
from readers import OurReader, Question  # noqa: E402

ALL_CODES = (0, 1, 2, 3, 4, 5, 6, 9)  # 7 and 8 want a TPM or token
LEAST_OPENED = 0.2
MOST_NOT_WRITTEN = 0.05
FEW = 200  # cases, of which nothing can be said


def forget():
    """What the writer keeps of signatures would fill the memory of a long run."""
    crypto.ecdsa_sign.cache_clear()
    crypto.multiply.cache_clear()


class Session:
    """Judges cases, and counts."""

    def __init__(self, command, folder):
        self.ours = OurReader(command)
        self.folder = folder
        self.codes, self.rules = Counter(), Counter()
        self.cases = self.not_written = 0
        self.found = []
        self.waiting = None

    def look_at(self, case, faults):
        """The file and both verdicts, and what they disagree in."""
        return Question(self.ours, case, *case.build(faults)).answer()

    def run(self, seed):
        """The case of this seed. It is judged while the next one is made, or by finish()."""
        try:
            case = Case(seed, self.ours.can["hybrid"])
            built = case.build(case.faults)
        except NotWritten:
            self.not_written += 1
            return
        self.finish()
        if self.cases % 1000 == 0:
            forget()
        self.waiting = Question(self.ours, case, *built)

    def finish(self):
        if self.waiting is None:
            return
        case = self.waiting.case
        _, _, theirs, what = self.waiting.answer()
        self.waiting = None
        self.cases += 1
        self.codes[theirs["exit"]] += 1
        if theirs["exit"] == 5:
            self.rules[theirs["rule"]] += 1
        if what:
            self.keep(case, what)

    def keep(self, case, what):
        """Writes down a disagreement, without the faults that it does not need."""
        faults = case.faults
        for fault in case.faults:
            fewer = tuple(other for other in faults if other is not fault)
            try:
                if self.look_at(case, fewer)[3] == what:
                    faults = fewer
            except NotWritten:
                pass
        data, ours, theirs, _ = self.look_at(case, faults)
        self.found.append((case.seed, what, faults))
        where = self.folder / str(case.seed).replace(" ", "-")
        where.mkdir(parents=True, exist_ok=True)
        (where / "file.cks").write_bytes(data)
        said = {"seed": case.seed, "differs": what, "faults": [vars(fault) for fault in faults], "ours": ours}
        said |= {"theirs": theirs, "look": dict(case.look, file="file.cks")}
        (where / "case.json").write_text(json.dumps(said, indent=1) + "\n", encoding="ascii")
        answers = [f"{said[who]['exit']} ({said[who]['message']})" for who in ("ours", "theirs")]
        print(f"{where}: {what}: ours {answers[0]}, theirs {answers[1]}", flush=True)

    def summary(self, seconds):
        speed = self.cases / max(seconds, 0.001)
        print(f"{self.cases} cases, {speed:.0f} a second, and {self.not_written} that the writer cannot write.")
        for code, count in sorted(self.codes.items(), key=str):
            print(f"  exit {code}: {count}")
        print("  exit 5 by " + ", ".join(f"{rule}: {count}" for rule, count in self.rules.most_common()))
        print(f"{len(self.found)} disagreements.")

    def shallow(self):
        """Why the cases are not worth much, or None."""
        if self.cases < FEW:
            return None
        missing = [code for code in ALL_CODES if not self.codes[code]]
        if missing:
            return f"no case ended with exit {', '.join(map(str, missing))}"
        if self.codes[0] < LEAST_OPENED * self.cases:
            return "too few cases opened"
        if self.not_written > MOST_NOT_WRITTEN * self.cases:
            return "too many cases could not be written"
        return None


def seeds_of(options):
    """Fixed ones, or new ones until the time is over."""
    if options.cases:
        yield from (f"{options.seed} {number}" for number in range(options.cases))
        return
    start, number = options.seed or f"{random.SystemRandom().getrandbits(48):x}", 0
    print(f"The first seed is '{start} 0'.", flush=True)
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        yield f"{start} {number}"
        number += 1


def compare(options):
    session = Session([options.program], options.output)
    began = time.monotonic()
    for seed in [options.only] if options.only else seeds_of(options):
        session.run(seed)
    session.finish()
    session.summary(time.monotonic() - began)
    session.ours.close()
    shallow = session.shallow()
    if shallow:
        print(f"differential.py: {shallow}.", file=sys.stderr)
    return 1 if session.found or shallow else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="sealed_verdicts")
    parser.add_argument("--output", metavar="DIR", type=pathlib.Path, required=True, help="for disagreements")
    parser.add_argument("--seed", help="what the seeds of the cases begin with")
    parser.add_argument("--only", metavar="SEED", help="the one case of this seed")
    parser.add_argument("--cases", metavar="N", type=int, help="so many")
    parser.add_argument("--seconds", metavar="N", type=int, default=60, help="so long (default: 60)")
    return compare(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())

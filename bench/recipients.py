#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seals 1 KiB for one and for many public keys, opens each file with the key of the last slot, and says what the many cost.

Both take turns, each round begins with the other, and the first round is not counted: only what is measured side by side
can be compared. The exit code is 1 when a command fails or gives out something else; it says nothing about speed. Needs
neither root nor CRIU. docs/performance.md has the figures.
"""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import measure
import methods
import report

HEADING = ["Recipients", "Seal, ms", "processor, ms", "Open, ms", "processor, ms", "more than with one, ms", "File, KiB"]


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("--count", type=int, default=1000, metavar="N", help="how many are many (default: 1000)")
    parser.add_argument("--runs", type=int, default=9, metavar="N", help="rounds (default: 9)")
    parser.add_argument("--folder", type=pathlib.Path, metavar="DIR",
                        help="work below this folder (default: that for temporary files)")
    parser.add_argument("--ckpt-seal", type=pathlib.Path, required=True, metavar="PATH", help="the program")
    options = parser.parse_args(arguments)
    if options.count < 2 or options.runs < 1:
        parser.error("--count takes a number from 2 on, --runs one from 1 on")
    return options


class Files:
    """A host that seals, and public keys; the last of them has its private key in a file."""

    def __init__(self, folder, ckpt_seal, count):
        self.tools = methods.Tools(folder, ckpt_seal, criu="")
        self.plain, self.key, self.out = folder / "plain", folder / "last.key", folder / "out"
        self.plain.write_bytes(bytes(1024))
        self.recipients = [folder / f"{number}.pem" for number in range(count)]
        for path in self.recipients:
            key = ec.generate_private_key(ec.SECP256R1())
            path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        self.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.tools.run(*self.ckpt_seal("--tpm", "soft", "provision", "--name", "host-a"))

    def ckpt_seal(self, *arguments):
        return [self.tools.ckpt_seal, "--state", str(self.tools.folder / "state"), *map(str, arguments)]

    def sealed(self, count):
        return self.tools.folder / f"for-{count}.cks"

    def measured(self, *arguments):
        return measure.Measured(self.ckpt_seal(*arguments), self.tools.environment, self.tools.folder / "command.log")

    def seal(self, count):
        to = [word for path in self.recipients[-count:] for word in ("--to", path)]
        return self.measured("seal", "--force", "-o", self.sealed(count), *to, self.plain)

    def open(self, count):
        measured = self.measured("open", "--force", "-o", self.out, "--identity", self.key, self.sealed(count))
        if self.out.read_bytes() != self.plain.read_bytes():
            raise measure.BenchError("What was opened is not what was sealed.")
        return measured


def rounds(files, counts, runs):
    """By count, what was measured of sealing and of opening in each round."""
    seal, open_ = ({count: [] for count in counts} for _ in range(2))
    for number in range(runs + 1):
        for count in counts if number % 2 else reversed(counts):
            sealed, opened = files.seal(count), files.open(count)
            if number > 0:
                seal[count].append(sealed)
                open_[count].append(opened)
        print(f"round {number} of {runs}", file=sys.stderr, flush=True)
    return seal, open_


def in_milliseconds(seconds):
    return report.median_and_spread([1e3 * value for value in seconds], "{:.0f}")


def table(files, seal, open_):
    rows = [HEADING, ["-" * len(cell) for cell in HEADING]]
    for count in seal:
        cells = [str(count)]
        for measured in (seal[count], open_[count]):
            cells += [in_milliseconds(one.seconds for one in measured), in_milliseconds(one.cpu for one in measured)]
        cells.append(in_milliseconds(many.seconds - one.seconds for many, one in zip(open_[count], open_[1])))
        rows.append([*cells, str(files.sealed(count).stat().st_size // 1024)])
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def main(arguments=None):
    options = parse(arguments)
    folder = None
    try:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="r-", dir=options.folder)).resolve()
        files = Files(folder, options.ckpt_seal.resolve(), options.count)
        print(table(files, *rounds(files, (1, options.count), options.runs)), end="")
        load = f"load {os.getloadavg()[0]:.2f}"
        print(report.of_cpuinfo()[0], load, report.file_system(str(folder)), report.commit(), sep="; ", file=sys.stderr)
    except (measure.BenchError, OSError) as error:
        print(f"recipients.py: {error}", file=sys.stderr)
        return 1
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

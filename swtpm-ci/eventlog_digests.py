#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a TCG event log strictly and prints one line "PCR:sha256=HEX" for each extend, in order.

It exists because a replay must be all or nothing: the whole log is checked before anything is printed.
Format: TCG PC Client Platform Firmware Profile 1.05, section 10 "Event Logging". All integers are little-endian.
"""

import sys

MAX_LOG_BYTES = 16 << 20
EV_NO_ACTION = 0x3
SHA1_BYTES = 20
SHA256 = 0x000B
# TCG Algorithm Registry: digest sizes in bytes.
DIGEST_BYTES = {0x0004: 20, 0x000B: 32, 0x000C: 48, 0x000D: 64, 0x0012: 32, 0x0027: 32, 0x0028: 48, 0x0029: 64}
SPEC_ID = b"Spec ID Event03\0"
STARTUP_LOCALITY = b"StartupLocality\0"
EXTENDABLE_PCRS = frozenset(range(17)) | {23}  # by locality 0


class LogError(Exception):
    pass


class Reader:
    def __init__(self, data, what):
        self.data = data
        self.what = what
        self.at = 0

    def take(self, count):
        if count > len(self.data) - self.at:
            raise LogError(f"{self.what} is cut short at byte {self.at}")
        piece = self.data[self.at:self.at + count]
        self.at += count
        return piece

    def number(self, size):
        return int.from_bytes(self.take(size), "little")

    def done(self):
        return self.at == len(self.data)


def read_header(log):
    """TCG_PCR_EVENT with a TCG_EfiSpecIDEvent: returns the log's algorithms, {id: digest bytes}."""
    pcr, event_type = log.number(4), log.number(4)
    digest = log.take(SHA1_BYTES)
    event = Reader(log.take(log.number(4)), "the log's header")
    if (pcr, event_type) != (0, EV_NO_ACTION) or any(digest) or not event.data.startswith(SPEC_ID):
        raise LogError("this is not a crypto-agile event log, for it does not begin with a Spec ID Event03")
    event.take(len(SPEC_ID) + 4 + 4)  # platformClass; version, errata, uintnSize
    count = event.number(4)
    algorithms = {}
    for _ in range(count):
        algorithm, size = event.number(2), event.number(2)
        if DIGEST_BYTES.get(algorithm) != size:
            raise LogError(f"the log's header names the unknown digest algorithm 0x{algorithm:04x} of {size} bytes")
        if algorithm in algorithms:
            raise LogError(f"the log's header names the digest algorithm 0x{algorithm:04x} twice")
        algorithms[algorithm] = size
    event.take(event.number(1))  # vendorInfo
    if not event.done():
        raise LogError("the log's header has bytes after its end")
    if SHA256 not in algorithms:
        raise LogError("the log has no sha256 digests")
    return algorithms


def read_digests(log, algorithms, where):
    digests = {}
    for _ in range(log.number(4)):
        algorithm = log.number(2)
        if algorithm not in algorithms:
            raise LogError(f"{where} has the digest algorithm 0x{algorithm:04x}, which the log's header does not name")
        if algorithm in digests:
            raise LogError(f"{where} has two digests of the algorithm 0x{algorithm:04x}")
        digests[algorithm] = log.take(algorithms[algorithm])
    if len(digests) != len(algorithms):
        raise LogError(f"{where} has {len(digests)} digests and the log's header names {len(algorithms)} algorithms")
    return digests


def check_no_action(event, where):
    """The StartupLocality event says what PCR 0 begins with; only 0, all zeros, can be had from swtpm here."""
    if not event.startswith(STARTUP_LOCALITY):
        return
    if len(event) != len(STARTUP_LOCALITY) + 1:
        raise LogError(f"{where} is a malformed StartupLocality")
    if event[-1] != 0:
        raise LogError(f"{where} says that TPM2_Startup came from locality {event[-1]}, which is not supported, only locality 0 is")


def read_log(data):
    log = Reader(data, "the log")
    algorithms = read_header(log)
    extends = []
    number = 0
    while not log.done():
        number += 1
        where = f"event {number}"
        pcr, event_type = log.number(4), log.number(4)
        digests = read_digests(log, algorithms, where)
        event = log.take(log.number(4))
        if event_type == EV_NO_ACTION:
            check_no_action(event, where)
            continue
        if pcr not in EXTENDABLE_PCRS:
            raise LogError(f"{where} extends PCR {pcr}, which locality 0 cannot")
        extends.append((pcr, digests[SHA256]))
    return extends


def main():
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        print("Usage: eventlog_digests.py EVENTLOG\nPrints PCR:sha256=HEX for each extend of a TCG crypto-agile event log.")
        return 0 if sys.argv[1:] and sys.argv[1] in ("-h", "--help") else 2
    path = sys.argv[1]
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_LOG_BYTES + 1)
        if len(data) > MAX_LOG_BYTES:
            raise LogError(f"the log is larger than {MAX_LOG_BYTES} bytes")
        extends = read_log(data)
    except OSError as error:
        print(f"replay: {path} cannot be read: {error.strerror}.", file=sys.stderr)
        return 1
    except LogError as error:
        print(f"replay: {path} is refused and no PCR was changed: {error}.", file=sys.stderr)
        return 1
    sys.stdout.writelines(f"{pcr}:sha256={digest.hex()}\n" for pcr, digest in extends)
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the event log that the replay is tested with, and damaged twins of it.

  make-event-log.py FOLDER             writes boot.eventlog and boot.pcrs into FOLDER
  make-event-log.py --faults FOLDER    writes for every fault of FAULTS below a log that has it, named after it

The log is synthetic: a short measured boot with sha1 and sha256 digests, every digest being the hash of the event's own data. Its
bytes never change, so the copies in this folder can be compared with a fresh run. boot.pcrs holds, a line each, "PCR HEX" for every
sha256 PCR that the boot extends. It is computed here from the list of events, not by parsing the log, so that it is independent of
the parser under test.
Format: TCG PC Client Platform Firmware Profile 1.05, section 10 "Event Logging".
"""

import hashlib
import struct
import sys
from pathlib import Path

SHA1, SHA256 = 0x0004, 0x000B
EV_NO_ACTION, EV_SEPARATOR, EV_EVENT_TAG, EV_S_CRTM_VERSION, EV_IPL = 0x3, 0x4, 0x6, 0x8, 0xD
EV_EFI_VARIABLE_DRIVER_CONFIG, EV_EFI_BOOT_SERVICES_APPLICATION = 0x80000001, 0x80000003
GLOBAL_VARIABLE = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")  # EFI_GLOBAL_VARIABLE as stored


def utf16(text):
    return text.encode("utf-16-le")


def variable(name, value):
    """UEFI_VARIABLE_DATA"""
    return GLOBAL_VARIABLE + struct.pack("<QQ", len(name), len(value)) + utf16(name) + value


def image(address, length):
    """UEFI_IMAGE_LOAD_EVENT with an empty device path"""
    path = bytes.fromhex("7fff0400")
    return struct.pack("<QQQQ", address, length, 0, len(path)) + path


# PCR, type, event data
BOOT = [
    (0, EV_NO_ACTION, b"StartupLocality\0\0"),
    (0, EV_S_CRTM_VERSION, utf16("1.0\0")),
    (7, EV_EFI_VARIABLE_DRIVER_CONFIG, variable("SecureBoot", b"\1")),
    (7, EV_EFI_VARIABLE_DRIVER_CONFIG, variable("PK", b"platform key")),
] + [(pcr, EV_SEPARATOR, b"\0\0\0\0") for pcr in range(8)] + [
    (4, EV_EFI_BOOT_SERVICES_APPLICATION, image(0x1000, 0x20000)),
    (4, EV_EFI_BOOT_SERVICES_APPLICATION, image(0x40000, 0x90000)),
    (8, EV_EVENT_TAG, struct.pack("<II", 0x1235, 4) + b"line"),
    (9, EV_IPL, b"/vmlinuz\0"),
    (9, EV_IPL, b"/initrd.img\0"),
    (12, EV_IPL, utf16("quiet\0")),
    (11, EV_EVENT_TAG, struct.pack("<II", 0x1234, 4) + b"data"),
    (14, EV_IPL, b"MokList\0"),
]


def header(algorithms=((SHA1, 20), (SHA256, 32)), signature=b"Spec ID Event03\0"):
    event = signature + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, len(algorithms))
    event += b"".join(struct.pack("<HH", *algorithm) for algorithm in algorithms) + b"\0"
    return struct.pack("<II20sI", 0, EV_NO_ACTION, bytes(20), len(event)) + event


def digest(algorithm, event_type, data):
    new = hashlib.sha1 if algorithm == SHA1 else hashlib.sha256
    return bytes(new().digest_size) if event_type == EV_NO_ACTION else new(data).digest()


def record(pcr, event_type, data, algorithms=(SHA1, SHA256)):
    """TCG_PCR_EVENT2"""
    digests = b"".join(
        struct.pack("<H", algorithm) + digest(SHA1 if algorithm == SHA1 else SHA256, event_type, data) for algorithm in algorithms)
    return struct.pack("<III", pcr, event_type, len(algorithms)) + digests + struct.pack("<I", len(data)) + data


def boot_log():
    return header() + b"".join(record(*event) for event in BOOT)


def boot_pcrs():
    pcrs = {}
    for pcr, event_type, data in BOOT:
        if event_type != EV_NO_ACTION:
            pcrs[pcr] = hashlib.sha256(pcrs.get(pcr, bytes(32)) + hashlib.sha256(data).digest()).digest()
    return "".join(f"{pcr} {pcrs[pcr].hex()}\n" for pcr in sorted(pcrs))


LAST = (14, EV_IPL, b"one more\0")
FAULTS = {
    "empty": lambda: b"",
    "cut_in_last_event": lambda: boot_log()[:-1],
    "cut_in_header": lambda: boot_log()[:40],
    "one_byte_too_many": lambda: boot_log() + b"\0",
    "event_size_absurd": lambda: boot_log() + record(*LAST)[:-13] + b"\xff\xff\xff\xff" + LAST[2],
    "digest_count_absurd": lambda: boot_log() + struct.pack("<III", 14, EV_IPL, 0xFFFFFFFF) + record(*LAST)[12:],
    "algorithm_not_in_header": lambda: boot_log() + record(*LAST, algorithms=(SHA1, 0x000C)),
    "algorithm_twice": lambda: boot_log() + record(*LAST, algorithms=(SHA256, SHA256)),
    "digest_missing": lambda: boot_log() + record(*LAST, algorithms=(SHA256,)),
    "unknown_algorithm_in_header": lambda: header(((SHA1, 20), (0x7777, 32))) + b"".join(record(*event) for event in BOOT),
    "wrong_digest_size_in_header": lambda: header(((SHA1, 20), (SHA256, 20))),
    "no_sha256": lambda: header(((SHA1, 20),)) + record(*LAST, algorithms=(SHA1,)),
    "not_crypto_agile": lambda: header(signature=b"Spec ID Event02\0") + record(*LAST),
    "startup_locality_3": lambda: header() + record(0, EV_NO_ACTION, b"StartupLocality\0\3") + record(*LAST),
    "pcr_17": lambda: boot_log() + record(17, EV_IPL, b"needs locality 4\0"),
    "pcr_24": lambda: boot_log() + record(24, EV_IPL, b"no such PCR\0"),
}


def main():
    arguments = sys.argv[1:]
    if arguments in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if len(arguments) == 1 and not arguments[0].startswith("-"):
        (Path(arguments[0]) / "boot.eventlog").write_bytes(boot_log())
        (Path(arguments[0]) / "boot.pcrs").write_text(boot_pcrs(), encoding="ascii")
        return 0
    if len(arguments) == 2 and arguments[0] == "--faults":
        for name, make in FAULTS.items():
            (Path(arguments[1]) / name).write_bytes(make())
        return 0
    print("make-event-log.py: a folder, or --faults and a folder, is expected; see --help.", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())

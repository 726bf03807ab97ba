#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints what firmware and systemd-stub measure of a unified kernel image: "WHAT HEX" a line.

It shares no code with policies/, so that the tests hold one against the other. Microsoft, "Windows Authenticode Portable
Executable Signature Format"; sections by the name alone, whichever a stub measures.
"""
import hashlib
import struct
import sys


def headers(image):
    """Offsets of the checksum and of the certificate table's entry, size of all headers, and the sections."""
    pe = struct.unpack_from("<I", image, 0x3C)[0]
    assert image[:2] == b"MZ" and image[pe:pe + 4] == b"PE\0\0"
    count, optional_size = struct.unpack_from("<H12xH", image, pe + 6)
    optional = pe + 24
    directories = optional + {0x10B: 96, 0x20B: 112}[struct.unpack_from("<H", image, optional)[0]]
    sections = []
    for at in range(optional + optional_size, optional + optional_size + 40 * count, 40):
        name, virtual_size, _, raw_size, raw_at = struct.unpack_from("<8sIIII", image, at)
        sections.append((name.rstrip(b"\0").decode(), virtual_size, raw_at, raw_size))
    return optional + 64, directories + 4 * 8, struct.unpack_from("<I", image, optional + 60)[0], sections


def authenticode(image):
    checksum, entry, header_size, sections = headers(image)
    certificates = struct.unpack_from("<I", image, entry + 4)[0]
    measured = image[:checksum] + image[checksum + 4:entry] + image[entry + 8:header_size]
    done = header_size
    for _, _, at, size in sorted(sections, key=lambda section: section[2]):
        if size:
            measured += image[at:at + size]
            done += size
    measured += image[done:len(image) - certificates]
    # Signing tools fill the last 8 bytes up with zeros before they hash; OVMF takes the file as it is.
    return hashlib.sha256(measured).hexdigest()


def section(image, name):
    for found, virtual_size, at, size in headers(image)[3]:
        if found == name:
            assert virtual_size <= size
            return image[at:at + virtual_size]
    return None


def main():
    with open(sys.argv[1], "rb") as file:
        image = file.read()
    print("image", authenticode(image))
    print("kernel", authenticode(section(image, ".linux")))
    for name in (".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey"):
        content = section(image, name)
        if content is not None:
            print(name, hashlib.sha256(content).hexdigest())
    print("options", hashlib.sha256(section(image, ".cmdline").rstrip(b"\0").decode().encode("utf-16-le") + b"\0\0").hexdigest())


if __name__ == "__main__":
    main()

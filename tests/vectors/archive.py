# SPDX-License-Identifier: Apache-2.0
"""All vectors in one file. They are much the same, and each is for the most part what no compressor makes smaller: only
together are they small enough to keep. The same members make the same bytes."""

import io
import lzma
import pathlib
import tarfile

# Whoever unpacks takes as much memory, so it is the next power of two above the size of all members.
SMALLEST_DICTIONARY = 1 << 20


def tar(members):
    """`members` maps names to bytes."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(members):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(members[name]), 0o644
            archive.addfile(info, io.BytesIO(members[name]))
    return output.getvalue()


def packed(members):
    data = tar(members)
    size = max(SMALLEST_DICTIONARY, 1 << (len(data) - 1).bit_length())
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": size}]
    return lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_SHA256, filters=filters)


def unpacked(path):
    with tarfile.open(path, mode="r:xz") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.isreg()}


def unpack(path, folder):
    """Each into a file of this folder, which is there."""
    for name, data in unpacked(path).items():
        if name != pathlib.PurePath(name).name or name.startswith("."):
            raise ValueError(f"{name!r} is no name of a vector")
        (pathlib.Path(folder) / name).write_bytes(data)

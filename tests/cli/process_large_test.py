#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Processes with much memory, and with memory in many pieces: all of it is back, and ckpt-seal itself stays small."""

import os
import pathlib
import subprocess
import threading

import support
from process_case import TellingCase

MIB = 1 << 20
PEAK_LIMIT = 64 * MIB
MEMORY_NEEDED = 6 << 30

RANDOM_GIBIBYTE = """
import mmap
memory = mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
view, done = memoryview(memory), 0
with open("/dev/urandom", "rb", buffering=0) as source:
    while done < len(view):
        done += source.readinto(view[done:done + (16 << 20)])
def content():
    tell(bytes=len(view), content=digest(view))
content()
asked()
content()
stay()
"""
# Every second page holds its number, so that each is an entry of its own in CRIU's pagemap.
EVERY_SECOND_PAGE = """
import mmap
count, page = 200000, 4096
memory = mmap.mmap(-1, 2 * count * page, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
for number in range(count):
    at = 2 * number * page
    memory[at:at + 8] = number.to_bytes(8, "big")
def entries():
    # Bit 63 of a page's eight bytes: it is there.
    with open("/proc/self/maps") as maps, open("/proc/self/pagemap", "rb") as pagemap:
        for line in maps:
            first, last = (int(word, 16) // page for word in line.split()[0].split("-"))
            if last - first >= 2 * count:
                break
        pagemap.seek(first * 8)
        there = pagemap.read((last - first) * 8)[7::8]
    return sum(byte >> 7 for byte in there), sum(b >> 7 and not a >> 7 for a, b in zip(there, there[1:]))
def content():
    there = entries()
    right = all(memory[2 * number * page:2 * number * page + 8] == number.to_bytes(8, "big") for number in range(count))
    tell(right=right, there=there)
content()
asked()
content()
stay()
"""


class Watch:
    """Looks at all processes of the program under test that a command makes, while it runs; the kernel keeps their peaks."""

    def __init__(self, folder):
        self.folder = os.fsencode(folder)
        self.program = os.path.realpath(support.program())
        self.peaks = {}
        self.over = threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def look(self):
        while not self.over.wait(0.005):
            for process in pathlib.Path("/proc").glob("[0-9]*"):
                try:
                    if os.readlink(process / "exe") != self.program or self.folder not in (process / "cmdline").read_bytes():
                        continue
                    words = (process / "status").read_text().split()
                    self.peaks[process.name] = int(words[words.index("VmHWM:") + 1]) * 1024
                except (OSError, ValueError):
                    continue  # it ended meanwhile


class LargeCase(TellingCase):
    def setUp(self):
        super().setUp()
        memory = pathlib.Path("/proc/meminfo").read_text().split()
        if int(memory[memory.index("MemAvailable:") + 1]) * 1024 < MEMORY_NEEDED:
            self.skipTest(f"it takes {MEMORY_NEEDED >> 30} GiB of memory")
        place = self.folder / "memory"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200m", "tmpfs", place], check=True)
        self.addCleanup(subprocess.run, ["umount", place], check=True)
        self.sealed_file = place / "x.cks"

    def watched(self, verb, *arguments, **options):
        with Watch(self.sealed_file) as watch:
            done = verb(*arguments, **options)
        self.assertGreaterEqual(len(watch.peaks), 2, "the helper was not seen")
        print(f"peaks of {verb.__name__}, MiB: {[round(peak / MIB, 1) for peak in watch.peaks.values()]}")
        self.assertLess(max(watch.peaks.values()), PEAK_LIMIT)
        return done

    def dump(self, *arguments, **options):
        return self.watched(super().dump, *arguments, **options)

    def restore(self, *arguments, **options):
        return self.watched(super().restore, *arguments, **options)


class Gibibyte(LargeCase):
    def test_all_of_it_is_back(self):
        child, before = self.start_teller(RANDOM_GIBIBYTE)
        self.there_and_back(child)
        self.assertGreater(self.sealed_file.stat().st_size, 1 << 30)
        self.assertEqual(self.ask(), before)


class ManyPieces(LargeCase):
    def test_two_hundred_thousand_entries(self):
        child, before = self.start_teller(EVERY_SECOND_PAGE)
        self.assertEqual(before, {"right": True, "there": [200000, 199999]})
        self.there_and_back(child)
        self.assertEqual(self.ask(), before)


if __name__ == "__main__":
    support.main()

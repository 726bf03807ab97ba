#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The process that the benchmark dumps and restores: random memory that nothing compresses, held still.

    victim.py MIB FIFO BENCH-PID

It writes the SHA-256 of its memory as a line into FIFO once it is ready, and again at each SIGUSR1: whoever restored it thus
sees whether the memory is as it was. It ends by itself when the benchmark is gone, so that nothing is left of one that was
killed.
"""

import hashlib
import mmap
import os
import signal
import sys

MIB = 1 << 20
LOOK_AFTER_SECONDS = 5


def filled(mebibytes):
    """Private memory: what Python's mmap makes by itself is shared, and CRIU dumps that in another way."""
    memory = mmap.mmap(-1, mebibytes * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for _ in range(mebibytes):
        memory.write(os.urandom(MIB))
    return memory


def tell(fifo, memory):
    with open(fifo, "w", encoding="ascii") as out, memoryview(memory) as view:
        out.write(hashlib.sha256(view).hexdigest() + "\n")


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def main():
    mebibytes, fifo, bench = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    memory = filled(mebibytes)
    tell(fifo, memory)
    while exists(bench):
        if signal.sigtimedwait({signal.SIGUSR1}, LOOK_AFTER_SECONDS) is not None:
            tell(fifo, memory)


if __name__ == "__main__":
    main()

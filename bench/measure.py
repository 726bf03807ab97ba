# SPDX-License-Identifier: Apache-2.0
"""What is measured, and how: the time and memory of a command, CRIU's own statistics, and the process that is dumped."""

import ctypes
import mmap
import os
import pathlib
import resource
import select
import signal
import struct
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
SAMPLE_SECONDS = 0.02
PR_SET_CHILD_SUBREAPER = 36
STATS_MAGIC = (0x55105940, 0x57093306)


class BenchError(Exception):
    """A method failed, or what it restored is not what was dumped."""


def adopt_orphans():
    """What CRIU restores and leaves becomes a child of this process, which can reap it then."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def read_if_there(path):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children_of(pid):
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for task in tasks for child in read_if_there(f"/proc/{pid}/task/{task}/children").split()]


def make_free_memory_present(mebibytes):
    """A virtual machine gives the memory that it does not use back to its host, and to get it again costs several times what
    it takes to write it: whichever method came upon such pages would be slow. So some are taken, and freed, before."""
    mmap.mmap(-1, mebibytes << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


def end_children():
    """Kills and reaps what is left below this process."""
    for _ in range(1000):
        children = children_of(os.getpid())
        if not children:
            return
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                pass  # reaped by whoever started it


class PeakMemory(threading.Thread):
    """The largest sum of the maximum resident sets (VmHWM) of the processes below `root` with one of `names`.

    VmHWM never falls, so that a process is measured as long as it is seen once near its end. Pages that two processes share
    count twice: the figure is an upper bound. To look takes a tenth of a core, so nothing is timed meanwhile.
    """

    def __init__(self, root, names):
        super().__init__(daemon=True)
        self.root, self.names = root, names
        self.peak = 0
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, self.sample())

    def sample(self):
        total, left = 0, [self.root]
        while left:
            pid = left.pop()
            left += children_of(pid)
            fields = dict(line.split(":", 1) for line in read_if_there(f"/proc/{pid}/status").splitlines())
            if fields.get("Name", "").strip() in self.names and "VmHWM" in fields:
                total += int(fields["VmHWM"].split()[0]) * 1024
        return total


def cpu_seconds():
    """Of all children that were waited for, and theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def stop(process):
    """Ends a command that leads a session: asked first, so that it can clean up."""
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # nothing of it is left


class Measured:
    """Wall and processor time in seconds of a command that succeeded, and, if processes are named, their peak memory in bytes.

    Processor time is that of the command and what it waited for, CRIU included; of a restore that is not all, for much of it
    is spent by the restored process. It depends less than wall time on what else the machine does.
    """

    def __init__(self, command, environment, log, names=frozenset(), afterwards=lambda: None):
        """`afterwards` is part of the time."""
        with open(log, "wb") as out:
            before, start = cpu_seconds(), time.monotonic()
            with subprocess.Popen(command, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                  start_new_session=True) as process:
                memory = PeakMemory(process.pid, names)
                if names:
                    memory.start()
                try:
                    status = process.wait()
                except BaseException:
                    stop(process)
                    raise
                finally:
                    memory.ended.set()
                self.cpu = cpu_seconds() - before
                afterwards()
            self.seconds = time.monotonic() - start
        if names:
            memory.join()
        self.peak = memory.peak
        if status != 0:
            lines = read_if_there(log).splitlines()[-5:]
            raise BenchError(f"{command[0]} ended with {status}: {' / '.join(lines) or 'it did not say why'}.")


def sync_files(folder):
    """To disk, as ckpt-seal does it: a dump that the next power failure takes is none. On a tmpfs it is nothing."""
    for path in pathlib.Path(folder).rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


def bytes_in(folder):
    return sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file())


def fields_of(message):
    """Numbers and byte strings of a protobuf message, by field number: all that CRIU's statistics are made of."""
    out, at = {}, 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            if at >= len(message) or shift > 63:
                raise BenchError("CRIU's stats-dump is damaged.")
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            out[key >> 3] = varint()
        elif key & 7 == 2:
            length = varint()
            if length > len(message) - at:
                raise BenchError("CRIU's stats-dump is damaged.")
            out[key >> 3] = message[at : at + length]
            at += length
        else:
            raise BenchError("CRIU's stats-dump has a field that is not known here.")
    return out


def frozen_seconds(stats):
    """frozen_time of a stats-dump: two magic numbers, a length, then stats_entry of CRIU's stats.proto."""
    if len(stats) < 12 or struct.unpack("<II", stats[:8]) != STATS_MAGIC:
        raise BenchError("CRIU's stats-dump does not begin as one.")
    (length,) = struct.unpack("<I", stats[8:12])
    if length != len(stats) - 12:
        raise BenchError("CRIU's stats-dump has not the length that it says.")
    try:
        return fields_of(fields_of(stats[12:])[1])[2] / 1e6
    except KeyError:
        raise BenchError("CRIU's stats-dump has no frozen_time.") from None


class Victim:
    """A process with `mebibytes` of random memory. After a restore it is a child of this process again, with the same pid."""

    SECONDS = 600  # for an answer, on a machine however slow

    def __init__(self, mebibytes, folder):
        fifo = pathlib.Path(folder) / "victim"
        if not fifo.exists():
            os.mkfifo(fifo, 0o600)
        # Held open for writing too: the end of one answer is no end of the pipe.
        self.answers = os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.process = subprocess.Popen(
            [sys.executable, "-SEs", HERE / "victim.py", str(mebibytes), fifo, str(os.getpid())],
            cwd="/", env={}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        self.pid = self.process.pid
        self.expected = self.answer()

    def answer(self):
        text, end = b"", time.monotonic() + self.SECONDS
        while not text.endswith(b"\n"):
            if not select.select([self.answers], [], [], 1)[0]:
                if time.monotonic() > end or not self.runs():
                    raise BenchError("The process that is dumped and restored does not answer.")
                continue
            text += os.read(self.answers, 4096)
        return text.decode().strip()

    def runs(self):
        status = read_if_there(f"/proc/{self.pid}/stat")
        return bool(status) and status.rsplit(")", 1)[1].split()[0] not in "ZX"

    def dumped(self):
        """CRIU has killed it; its number has to be free for the restore."""
        try:
            ended = self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            raise BenchError("The process still runs after its dump.") from None
        if ended != -signal.SIGKILL:
            raise BenchError("The process that was dumped ended in another way.")

    def check_restored(self):
        os.kill(self.pid, signal.SIGUSR1)
        if self.answer() != self.expected:
            raise BenchError("The restored memory is not what was dumped.")

    def end(self):
        os.close(self.answers)
        self.process.poll()
        if self.pid in children_of(os.getpid()):
            os.kill(self.pid, signal.SIGKILL)
            try:
                os.waitpid(self.pid, 0)
            except ChildProcessError:
                pass

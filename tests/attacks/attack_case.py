# SPDX-License-Identifier: Apache-2.0
"""What the attacks share: a process that was dumped once for all attacks of a class, and what refusing means.

Each attack makes a copy of the sealed file, changes it, and has `ckpt-seal restore` and the independent reader look at it.
Refused means: the exit code of docs/architecture.md, one sentence, no task of the program, no file, no mount. Each class has
a twin: the copy that nobody attacked goes the same way, and the process goes on from where it stopped."""

import os
import pathlib
import signal
import subprocess
import tempfile

import sealed_victim  # first: it knows where the others are
import cks
import process_case
import support
from process_case import MARKER, alive, wait_until
from sealed_victim import Victim

PASSPHRASE = b"of another recipient"
GHOST_MARKER = b"a marker in a file without a name, behind a hole"
EQUAL_PAGES = 256
ZEROS = 2 << 20  # bytes

# Beside a marker it has what the attacks aim at: equal pages, pages of zeros, a sparse file without a name, a filter of system
# calls.
PROGRAM = f"""
import ctypes, mmap, os, struct, sys
folder = os.path.dirname(sys.argv[1])
pages = mmap.mmap(-1, {EQUAL_PAGES} * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
pages.write(({MARKER[::-1]!r}[::-1].ljust(64, b".") * 64) * {EQUAL_PAGES})
zeros = mmap.mmap(-1, {ZEROS}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
zeros.write(bytes({ZEROS}))
ghost = os.open(folder + "/ghost", os.O_RDWR | os.O_CREAT)
os.unlink(folder + "/ghost")
os.ftruncate(ghost, 8 << 20)
os.pwrite(ghost, {GHOST_MARKER[::-1]!r}[::-1], 4 << 20)
libc = ctypes.CDLL(None, use_errno=True)
allow = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000), 8)  # BPF_RET, SECCOMP_RET_ALLOW
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, struct.pack("=HxxxxxxQ", 1, ctypes.addressof(allow))) == 0
""" + process_case.COUNTER

# In a mount namespace of its own, so that what is left there is of this run and no other test's.
ALONE = """
mount -t tmpfs none /run || exit 99
cut -d' ' -f3- /proc/self/mountinfo >"$0.before"
"$@"
code=$?
{ ls -A /run | grep -vx criu.kdat; cut -d' ' -f3- /proc/self/mountinfo | diff "$0.before" - | grep '^>'; } >"$0.left"
exit $code
"""


class AttackCase(process_case.ProcessCase):
    victim = None  # the last dump of the process; dumped in the first test that needs it
    earlier = None  # the one before it, of the same process at the same addresses

    def setUp(self):
        super().setUp()
        cls = type(self)
        if cls.victim is None:
            cls.home = pathlib.Path(tempfile.mkdtemp(prefix="victim-", dir=self.base))
        self.folder, self.out = cls.home, cls.home / "out"
        if cls.victim is None:
            self.dump_twice()
        self.out.write_bytes(cls.out_at_dump)

    def tasks(self):
        """Those of every program of the class, and commands of ours that have not ended."""
        return process_case.tasks_below(self.base)

    def dump_twice(self):
        cls = type(self)
        child = self.start(PROGRAM)
        cls.trust = cks.Trust([sealed_victim.origin_of(self.a.record())])
        cls.keys = sealed_victim.passphrase_keys(PASSPHRASE)
        cls.pid = child.pid
        self.succeeds(self.dump_for_two(child, self.base / "earlier.cks", "--leave-running"))
        self.goes_on()
        self.succeeds(self.dump_for_two(child, self.base / "victim.cks"))
        child.wait(timeout=60)
        wait_until(lambda: not os.path.exists(f"/proc/{cls.pid}"), "the dumped task is gone")
        cls.out_at_dump = self.out.read_bytes()
        cls.earlier = self.take_apart(self.base / "earlier.cks")
        cls.victim = self.take_apart(self.base / "victim.cks")

    def dump_for_two(self, child, path, *more):
        """For host-b and for whoever has the passphrase."""
        with tempfile.TemporaryFile() as file:
            file.write(PASSPHRASE)
            file.seek(0)
            return self.a.run("dump", "-t", child.pid, "-o", path, "--to", self.b.record(), "--to", "passphrase",
                              "--passphrase-fd", file.fileno(), *more, pass_fds=[file.fileno()])

    def take_apart(self, path):
        return Victim(path, sealed_victim.data_key_of(path, self.keys, self.trust), self.trust)

    def restore_alone(self, path, more=(), tpm=(), **options):
        """What the restore said, the number of the first task if there is one, and what it left in /run and mounted."""
        notes, pidfile = self.base / "alone", self.base / "pid"
        pidfile.unlink(missing_ok=True)
        done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", ALONE, notes, support.program(),
                               "--state", self.b.state, *tpm, "restore", "--detach", "--pidfile", pidfile, *map(str, more), path],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=240, env=support.ENVIRONMENT, **options)
        pid = int(pidfile.read_text()) if pidfile.exists() else None
        return done, pid, pathlib.Path(f"{notes}.left").read_text()

    def nothing_happened(self, pid, left):
        self.assertIsNone(pid)
        self.assertEqual(left, "")
        self.assertEqual(self.tasks(), [])
        self.assertFalse(alive(self.pid))
        self.assertEqual(self.out.read_bytes(), self.out_at_dump)
        self.assertLessEqual({path.name for path in self.folder.iterdir()}, {"out", "attacked.cks"})

    def restore_refuses(self, content, code=5, *words, **how):
        """Bytes, or the path of a file that is there already."""
        path = self.write("attacked.cks", content) if isinstance(content, bytes) else content
        done, pid, left = self.restore_alone(path, **how)
        self.refused(done, code, *words)
        self.nothing_happened(pid, left)
        return path

    def all_refuse(self, content, code=5, *words):
        path = self.restore_refuses(content, code, *words)
        self.reader_refuses(path, code)

    def reader_refuses(self, path, code=5):
        found, message = sealed_victim.read_with(path, self.keys, self.trust)
        self.assertEqual(found, code, message)

    def only_the_signature_refuses(self, content):
        """All else is repaired: a reader that believes every signature takes it."""
        self.all_refuse(content, 5, "ignature")
        found, message = sealed_victim.read_without_signature(self.folder / "attacked.cks", self.keys, self.trust)
        self.assertEqual(found, 0, message)

    def goes_on_from_where_it_stopped(self, content, **how):
        done, pid, left = self.restore_alone(self.write("attacked.cks", content), **how)
        self.succeeds(done)
        self.assertEqual(pid, self.pid)
        self.assertEqual(left, "")
        before = self.out_at_dump.count(b"\n")
        wait_until(lambda: len(self.numbers()) > before, "the process goes on")
        numbers = self.numbers()
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        self.assertIn("Seccomp:\t2", status)
        self.end(pid)

    def end(self, pid):
        """And its number is free again."""
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the restored task is gone")
        self.out.write_bytes(self.out_at_dump)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dump and restore of real processes through a real CRIU, which CRIU in the environment names."""

import os
import pathlib
import signal
import subprocess

import support
from process_case import COUNTER, MARKER, ProcessCase, alive, children_of, wait_until

# A parent, a child that talks to it through a pipe, and threads; the parent writes what it hears.
FAMILY = """
import os, sys, threading, time
read, write = os.pipe()
if os.fork() == 0:
    number = 0
    while True:
        number += 1
        os.write(write, b"%d\\n" % number)
        time.sleep(0.01)
for _ in range(7):
    threading.Thread(target=lambda: [time.sleep(0.01) for _ in iter(int, 1)], daemon=True).start()
with os.fdopen(read) as heard:
    for line in heard:
        with open(sys.argv[1], "a") as out:
            out.write(f"{line.strip()} {threading.active_count()}\\n")
"""
ENDS_WITH_7 = """
import signal, sys
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(7))
open(sys.argv[1], "a").write("1 ready\\n")
while True:
    signal.pause()
"""
# Of the process that it is told.
TRACER = """
import ctypes, sys, time
assert ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), None, None) == 0  # PTRACE_SEIZE
time.sleep(600)
"""
LOCKER = "import fcntl, sys\nlock = open(sys.argv[1] + '.lock', 'w')\nfcntl.flock(lock, fcntl.LOCK_EX)\n"


class Restores(ProcessCase):
    def test_a_process_goes_on_where_it_stopped(self):
        pid = self.dumped()
        last = self.numbers()[-1]
        self.succeeds(self.restore())
        self.assertEqual(self.restored, [pid])
        wait_until(lambda: self.numbers()[-1] > last, "the process goes on")
        numbers = self.numbers()
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))

    def test_parent_child_threads_and_a_pipe(self):
        pid = self.dumped(FAMILY)
        self.succeeds(self.restore())
        self.goes_on()
        numbers = self.numbers()
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        self.assertEqual(self.out.read_text().splitlines()[-1].split()[1], "8")
        self.assertEqual(len(children_of(pid)), 1)

    def test_left_running_and_sealed_all_the_same(self):
        child = self.start(COUNTER)
        self.succeeds(self.dump(child, "--leave-running"))
        self.goes_on()
        child.kill()
        child.wait()
        self.out.write_text("")
        self.b.run("host", "trust", self.a.record(), "--as", "origin")
        self.succeeds(self.restore())
        self.goes_on()

    def test_while_the_process_still_runs(self):
        child = self.start(COUNTER)
        self.succeeds(self.dump(child, "-R"))
        self.b.run("host", "trust", self.a.record(), "--as", "origin")
        self.refused(self.restore(), 1, f" {child.pid}:", "end the process that has this number")
        self.goes_on()

    def test_in_the_foreground_signals_and_the_end_are_passed_on(self):
        self.dumped(ENDS_WITH_7)
        pidfile = self.folder / "pid"
        command = [support.program(), "--state", self.b.state, "restore", "--pidfile", pidfile, self.sealed_file]
        with subprocess.Popen(command, env=support.ENVIRONMENT, stderr=subprocess.DEVNULL) as foreground:
            self.addCleanup(foreground.kill)
            # It is there once signals are passed on.
            wait_until(lambda: pidfile.exists() and pidfile.read_text(), "the process is restored")
            foreground.send_signal(signal.SIGUSR1)
            self.assertEqual(foreground.wait(timeout=20), 7)


class RefusedRestores(ProcessCase):
    def test_the_marker_is_not_in_the_file(self):
        self.dumped()
        content = self.sealed_file.read_bytes()
        for text in (MARKER, b"pages-1.img", b"inventory"):
            self.assertNotIn(text, content)

    def test_another_host_a_flipped_byte_a_stranger_and_a_changed_pcr(self):
        pid = self.dumped()
        self.refused_restore(pid, 9, host=self.a)
        damaged = self.folder / "damaged.cks"
        content = bytearray(self.sealed_file.read_bytes())
        content[len(content) // 2] ^= 1
        damaged.write_bytes(content)
        self.refused_restore(pid, 5, file=damaged)
        self.succeeds(self.b.run("host", "trust", "--remove", "host-a", "--as", "origin"))
        self.refused_restore(pid, 4)
        self.succeeds(self.b.run("host", "trust", self.a.record(), "--as", "origin"))
        self.b.extend(7, "another state")
        self.refused_restore(pid, 3)

    def test_a_stalled_run_and_a_pidfile_that_cannot_be(self):
        pid = self.dumped()
        stalled = self.write("stalled", b"#!/bin/sh\nexec sleep 600\n")
        stalled.chmod(0o755)
        self.refused(self.restore("--criu", stalled, "--stall", "1"), 1, "Nothing moved")
        self.refused(self.b.run("restore", "-d", "--pidfile", self.folder / "none" / "pid", self.sealed_file), 1)
        self.assertFalse(alive(pid))

    def test_a_pidfile_that_is_the_checkpoint(self):
        self.dump(self.start(COUNTER))
        sealed = self.sealed_file.read_bytes()
        link = self.folder / "link"
        link.symlink_to(self.sealed_file)
        for pidfile in (self.sealed_file, link):
            self.refused(self.b.run("restore", "--pidfile", pidfile, self.sealed_file), 2, "is the checkpoint", "name another")
        self.assertEqual(self.sealed_file.read_bytes(), sealed)
        self.assertTrue(link.is_symlink())

    def test_what_was_not_dumped(self):
        sealed = self.sealed(b"some content")
        self.refused(self.b.run("restore", sealed), 2, "dump")


class RefusedDumps(ProcessCase):
    def lives(self, child, done, code, *words):
        self.refused(done, code, *words)
        self.assertFalse(self.sealed_file.exists())
        self.assertIsNone(child.poll())
        self.goes_on()

    def test_options_that_go_round_the_sealing(self):
        child = self.start(COUNTER)
        for option in ("--page-server", "--page-s", "--lazy-pages", "-D/tmp", "-jD/tmp", "--stream", "--config=/x",
                       "--external=--config=/x", "--prev-images-dir=..", "--action-script=/bin/true", "word"):
            self.lives(child, self.dump(child, "--", option), 2)

    def test_processes_that_cannot_be(self):
        child = self.start(COUNTER)
        self.refused(self.a.run("dump", "-t", 4194304, "-o", self.sealed_file, "--to", self.b.record()), 2)
        self.lives(child, self.a.run("dump", "-t", child.pid, "-o", "-", "--to", self.b.record()), 2)

    def test_an_option_that_criu_wants_is_named_with_its_place(self):
        child = self.start(LOCKER + COUNTER)
        self.lives(child, self.dump(child), 1, "--file-locks", "behind --,")
        self.succeeds(self.dump(child, "-R", "--", "--file-locks"))

    def test_a_process_that_ends_meanwhile_is_no_lack_of_the_kernel(self):
        child = self.start(COUNTER)
        says = self.write("says", b"""#!/bin/sh
while [ "$1" != --work-dir ]; do shift; done
echo '(00.000100) Error (compel/src/lib/infect.c:1): Unable to detach from 7: No such process' > "$2/criu.log"
exit 1
""")
        says.chmod(0o755)
        self.lives(child, self.dump(child, "--criu", says), 1, "Unable to detach from 7", "has ended")

    def refused_dump_of(self, pid, *words):
        self.refused(self.a.run("dump", "-t", pid, "-o", self.sealed_file, "--to", self.b.record()), 2, *words)

    def test_what_is_no_process(self):
        """CRIU said 'BUG at', or 'Unable to detach from'."""
        child = self.start("import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\n" + COUNTER)
        (thread,) = set(os.listdir(f"/proc/{child.pid}/task")) - {str(child.pid)}
        self.refused_dump_of(thread, "thread", f"process {child.pid};")
        zombie = self.launch("/bin/true")
        wait_until(lambda: not alive(zombie.pid), "it ends")
        self.refused_dump_of(zombie.pid, "has ended")
        if pathlib.Path("/proc/2/comm").exists() and pathlib.Path("/proc/2/comm").read_text() == "kthreadd\n":
            self.refused_dump_of(2, "kernel")
        self.goes_on()

    def test_one_that_is_traced(self):
        child = self.start(COUNTER)
        tracer = self.launch("/usr/bin/python3", "-c", TRACER, str(child.pid))
        wait_until(lambda: f"TracerPid:\t{tracer.pid}\n" in pathlib.Path(f"/proc/{child.pid}/status").read_text(), "it is traced")
        self.lives(child, self.dump(child), 2, f"traced by process {tracer.pid},")
        tracer.kill()
        tracer.wait()
        self.dump_away(child)

    def test_one_that_started_it(self):
        command = [support.program(), "--state", self.a.state, "dump", "-o", self.sealed_file, "--to", self.b.record(), "-t"]
        script = '"$@" $PPID; exit $?'
        outer = ["sh", "-c", 'sh -c "$0" sh "$@"; exit $?', script, *map(str, command)]
        self.refused(subprocess.run(outer, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, env=support.ENVIRONMENT,
                                    start_new_session=True), 2, "what it was started by")

    def test_a_criu_that_is_not_there_or_fails(self):
        child = self.start(COUNTER)
        self.lives(child, self.dump(child, "--criu", self.folder / "none"), 8, "CRIU")
        self.lives(child, self.dump(child, "--criu", "/bin/false"), 1, "CRIU")
        killed = self.write("killed", b"#!/bin/sh\nkill -TERM $$\n")
        killed.chmod(0o755)
        self.lives(child, self.dump(child, "--criu", killed), 1, "signal 15")

    def test_a_full_disk(self):
        child = self.start(COUNTER)
        disk = self.folder / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        self.lives(child, self.dump(child, file=disk / "x.cks"), 1, "space")
        self.assertEqual(list(disk.iterdir()), [])

    def test_a_stalled_run_is_given_up(self):
        child = self.start(COUNTER)
        stalled = self.write("stalled", b"#!/bin/sh\nexec sleep 600\n")
        stalled.chmod(0o755)
        self.lives(child, self.dump(child, "--criu", stalled, "--stall", "1"), 1, "Nothing moved")

    def test_killed_in_the_middle(self):
        child = self.start(COUNTER)
        stopped = self.write("criu", b"#!/bin/sh\nkill -STOP $PPID\nexec " + os.environ["CRIU"].encode() + b' "$@"\n')
        stopped.chmod(0o755)
        command = [support.program(), "--state", self.a.state, "dump", "-t", str(child.pid), "-o", self.sealed_file,
                   "--to", self.b.record(), "--criu", stopped]
        with subprocess.Popen(command, env=support.ENVIRONMENT, stderr=subprocess.DEVNULL) as dump:
            wait_until(lambda: "T (stopped)" in pathlib.Path(f"/proc/{dump.pid}/status").read_text(), "it stops")
            dump.kill()
        self.assertFalse(self.sealed_file.exists())
        self.assertIsNone(child.poll())
        self.goes_on()


if __name__ == "__main__":
    support.main()

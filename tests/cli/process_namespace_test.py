#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Processes in namespaces of their own, and one at a terminal: dumped, restored elsewhere, and looked at from inside."""

import fcntl
import os
import pathlib
import pty
import shlex
import signal
import subprocess
import tempfile
import termios

import support
from process_case import TELLER, TellingCase, children_of, wait_until

# Makes five namespaces with a root of its own, in which /usr and the test's folder are those outside, and runs a program as its init.
# It ends as the init does, so that who waits for it sees that.
ENTER = """
import ctypes, os, signal, sys
root, folder, program = sys.argv[2:5]
libc = ctypes.CDLL(None, use_errno=True)
def must(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "no namespaces")
def mount(source, target, kind, flags):
    must(libc.mount(source.encode(), target.encode(), kind, flags, None))
NEWNS, NEWUTS, NEWIPC, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
REC, PRIVATE, BIND, DETACH, SYS_PIVOT_ROOT = 0x4000, 0x40000, 0x1000, 2, PIVOT
must(libc.unshare(NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET))
init = os.fork()
if init:
    status = os.waitpid(init, 0)[1]
    os.kill(os.getpid(), os.WTERMSIG(status) if os.WIFSIGNALED(status) else signal.SIGTERM)
os.setsid()
mount("none", "/", None, REC | PRIVATE)
mount(root, root, None, BIND)
for path in ("usr", "proc", "dev", "mem", "old", folder[1:]):
    os.makedirs(f"{root}/{path}", exist_ok=True)
for path in ("lib", "lib64", "bin"):
    os.symlink("usr/" + path, f"{root}/{path}")
open(root + "/dev/null", "x").close()
mount("/usr", root + "/usr", None, BIND)
mount("/dev/null", root + "/dev/null", None, BIND)
mount(folder, root + folder, None, BIND)
mount("tmpfs", root + "/mem", b"tmpfs", 0)
mount("proc", root + "/proc", b"proc", 0)
os.chdir(root)
must(libc.syscall(SYS_PIVOT_ROOT, b".", b"old"))
os.chdir("/")
must(libc.umount2(b"/old", DETACH))
os.rmdir("/old")
null = os.open("/dev/null", os.O_RDWR)
for descriptor in range(3):
    os.dup2(null, descriptor)
os.closerange(3, 1024)
os.execv("/usr/bin/python3", ["python3", "-c", program, sys.argv[1]])
"""
INSIDE = """
import ctypes, socket, struct, fcntl
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
socket.sethostname("inside")
os.makedirs("/mem/folder")
content = os.urandom(300000)
with open("/mem/folder/file", "wb") as out:
    out.write(content)
os.symlink("folder/file", "/mem/link")
held = open("/mem/link", "rb")
held.seek(1000)
segment = libc.shmget(4711, 1 << 16, 0o1600)
attached = libc.shmat(segment, None, 0)
ctypes.memmove(attached, os.urandom(1 << 16), 1 << 16)
semaphores = libc.semget(4712, 2, 0o1600)
libc.semctl(semaphores, 1, 16, 42)  # SETVAL
net = socket.socket()
fcntl.ioctl(net, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, up
listener = socket.create_server(("127.0.0.1", 80))
orphan = os.fork()
if orphan == 0:
    stay()
def what():
    with open("/mem/link", "rb") as file:
        read = digest(file.read())
    client = socket.create_connection(("127.0.0.1", 80))
    there, _ = listener.accept()
    there.close()
    client.close()
    mounts = sorted(line.split()[4] for line in open("/proc/self/mountinfo"))
    tell(pid=os.getpid(), child=orphan, pids=sorted(int(name) for name in os.listdir("/proc") if name.isdigit()), host=socket.gethostname(),
         file=read, rest=digest(held.read()), back=held.seek(1000), mounts=mounts, links=[name for _, name in socket.if_nameindex()],
         segment=libc.shmget(4711, 1 << 16, 0), shared=digest(ctypes.string_at(attached, 1 << 16)), by_key=digest(ctypes.string_at(
         libc.shmat(segment, None, 4096), 1 << 16)), semaphore=libc.semctl(semaphores, 1, 12))  # SHM_RDONLY, GETVAL
what()
asked()
what()
stay()
"""
AT_A_TERMINAL = """
import termios
print("begun", flush=True)
tell(terminal=os.isatty(0), group=os.tcgetpgrp(0) == os.getpgrp())
asked()
tell(terminal=os.isatty(0), group=os.tcgetpgrp(0) == os.getpgrp())
print("heard", input(), flush=True)
stay()
"""
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}


class Inside:
    """The init of the namespaces, for who wants to dump it and wait for its end."""

    def __init__(self, launcher):
        self.pid, = children_of(launcher.pid)
        self.wait = launcher.wait


class Namespaces(TellingCase):
    def setUp(self):
        super().setUp()
        self.number = PIVOT_ROOT.get(os.uname().machine)
        if self.number is None:
            self.skipTest("the number of pivot_root is not known here")
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="root-", dir=self.base))

    def test_five_namespaces_and_what_is_in_them(self):
        launcher = self.launch("/usr/bin/python3", "-c", ENTER.replace("PIVOT", str(self.number)), self.out, self.root, self.folder,
                               TELLER + INSIDE)
        before = self.hear(child=launcher)
        self.assertEqual((before["pid"], before["host"], before["semaphore"]), (1, "inside", 42))
        names = {"usr": "/usr", "null": "/dev/null", "folder": self.folder}
        self.dump_away(Inside(launcher), "--", "--network-lock", "skip",
                       *(f"--external=mnt[{path}]:{name}" for name, path in names.items()))
        # CRIU wants a mount for the new root.
        subprocess.run(["mount", "--bind", self.root, self.root], check=True)
        self.addCleanup(subprocess.run, ["umount", self.root], check=True)
        self.back("--", "--root", self.root, *(f"--external=mnt[{name}]:{path}" for name, path in names.items()))
        self.assertEqual(self.ask(), before)
        self.assertFalse((self.root / "mem" / "link").exists())


class ShellJob(TellingCase):
    def at_a_terminal(self, command):
        """The shell that leads a session at a new terminal and runs the command in it; and our end of the terminal."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        status = self.folder / "status"
        status.unlink(missing_ok=True)
        line = f"{shlex.join(map(str, command))}; echo $? > {status}; exec sleep 3600"
        shell = self.launch("/bin/sh", "-c", line, stdin=theirs, stdout=theirs, stderr=theirs, env=support.ENVIRONMENT,
                            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(theirs)
        return shell, ours, status

    def read_until(self, terminal, words):
        text = b""
        while words not in text:
            text += os.read(terminal, 4096)
        return text

    def restore_at_a_terminal(self):
        pidfile = self.folder / "pid"
        _, ours, status = self.at_a_terminal([support.program(), "--state", self.b.state, "restore", "--detach", "--pidfile", pidfile,
                                              self.sealed_file, "--", "--shell-job"])
        wait_until(lambda: status.exists() and status.read_text().endswith("\n"), "the restore ends", 240)
        return int(status.read_text()), pidfile, ours

    def test_a_job_goes_on_at_another_terminal(self):
        shell, terminal, status = self.at_a_terminal(["/usr/bin/python3", "-c", TELLER + AT_A_TERMINAL, self.out])
        self.read_until(terminal, b"begun")
        before = self.hear()
        job, = children_of(shell.pid)
        self.succeeds(self.a.run("dump", "-t", job, "-o", self.sealed_file, "--to", self.b.record(), "--", "--shell-job"))
        wait_until(status.exists, "the shell sees its job end")
        self.assertFalse(pathlib.Path(f"/proc/{job}").exists())
        self.flip_a_bit()
        self.assertEqual(self.restore_at_a_terminal()[0], 5)
        self.assertFalse(pathlib.Path(f"/proc/{job}").exists())
        self.flip_a_bit()
        code, pidfile, terminal = self.restore_at_a_terminal()
        self.assertEqual(code, 0)
        self.assertEqual(int(pidfile.read_text()), job)
        os.kill(job, signal.SIGUSR1)
        self.assertEqual(self.hear(), before)
        os.write(terminal, b"a line typed\n")
        self.read_until(terminal, b"heard a line typed")


if __name__ == "__main__":
    support.main()

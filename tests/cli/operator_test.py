#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an operator relies on around dump: what a stream cannot carry is refused, nothing of killed runs stays, and
only the CRIU that was meant is run. docs/criu.md."""

import os
import pathlib
import re
import signal
import subprocess

import support
from process_test import COUNTER, ProcessCase, children_of, wait_until

# Maps 2 MiB of the kind that MAP_ flags say; then counts like COUNTER.
HUGE_PAGES = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
memory = libc.mmap(None, ctypes.c_size_t(2 << 20), 3, %d, -1, ctypes.c_long(0))
assert memory != ctypes.c_void_p(-1).value
ctypes.memset(memory, 1, 2 << 20)
""" + COUNTER
PRIVATE_HUGE = 0x40000 | 0x20 | 0x02  # MAP_HUGETLB, MAP_ANONYMOUS, MAP_PRIVATE
PRIVATE_SMALL = 0x20 | 0x02
# In a child, so that the tree is looked at; the parent counts.
IN_A_CHILD = """
import ctypes, os, sys, time
ready, tell = os.pipe()
if os.fork() == 0:
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG: it goes with its parent
%s
    os.write(tell, b"x")
    while True:
        time.sleep(1000)
assert os.read(ready, 1) == b"x"
""" + COUNTER
SECRET_MEMORY = """
import ctypes, mmap, os, sys
secret = ctypes.CDLL(None).syscall(447, 0)
assert secret >= 0
os.ftruncate(secret, 4096)
"""


def indented(text):
    return "".join(f"    {line}\n" for line in text.splitlines())


class RefusedCase(ProcessCase):
    def refused_dump(self, child, *words):
        """As a wrong use, while the process goes on."""
        self.refused(self.dump(child), 2, *words)
        self.assertFalse(self.sealed_file.exists())
        self.assertIsNone(child.poll())
        self.goes_on()


class RefusedMemory(RefusedCase):
    HUGE = pathlib.Path("/proc/sys/vm/nr_hugepages")

    def reserve_huge_pages(self):
        before = self.HUGE.read_text()
        self.addCleanup(self.HUGE.write_text, before)
        # What is in use beyond the number counts first.
        self.HUGE.write_text(str(self.huge_pages("Total") + 2))
        if self.huge_pages("Free") - self.huge_pages("Rsvd") < 1:
            self.skipTest("the kernel gives no huge pages")

    def huge_pages(self, which):
        return int(re.search(rf"HugePages_{which}: +([0-9]+)", pathlib.Path("/proc/meminfo").read_text())[1])

    def need_secret_memory(self):
        if subprocess.run(["/usr/bin/python3", "-c", SECRET_MEMORY], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("the kernel has no memfd_secret")

    def test_private_huge_pages(self):
        self.reserve_huge_pages()
        child = self.start(HUGE_PAGES % PRIVATE_HUGE)
        self.refused_dump(child, f"Process {child.pid} ", "hugetlb")

    def test_private_huge_pages_of_a_child(self):
        self.reserve_huge_pages()
        child = self.start(IN_A_CHILD % indented(HUGE_PAGES.removesuffix(COUNTER) % PRIVATE_HUGE))
        self.refused_dump(child, f"Process {children_of(child.pid)[0]} ", "hugetlb")

    def test_its_twin_with_small_pages_is_dumped(self):
        child = self.start(HUGE_PAGES % PRIVATE_SMALL)
        self.succeeds(self.dump(child))

    def test_secret_memory(self):
        self.need_secret_memory()
        for more in ("", "held = mmap.mmap(secret, 4096)\nos.close(secret)\n"):
            with self.subTest(more):
                child = self.start(SECRET_MEMORY + more + COUNTER)
                self.refused_dump(child, f"Process {child.pid} ", "memfd_secret")
                child.kill()
                child.wait()
                self.out.unlink()

    def test_its_twin_that_let_go_of_it_is_dumped(self):
        self.need_secret_memory()
        child = self.start(SECRET_MEMORY + "os.close(secret)\n" + COUNTER)
        self.succeeds(self.dump(child))


class RefusedNetworks(RefusedCase):
    """Network namespaces with rules of nftables, which nft makes."""

    def start(self, program):
        return super().start("import ctypes; assert ctypes.CDLL(None).unshare(0x40000000) == 0\n" + program)

    def nft(self, child, *words):
        try:
            done = subprocess.run(["nsenter", "-t", str(child.pid), "-n", "nft", *words], capture_output=True)
        except FileNotFoundError:
            self.skipTest("there is no nsenter")
        if done.returncode != 0:
            self.skipTest(f"nft does not work here: {done.stderr.decode()}")

    def test_rules_are_refused_and_without_them_it_is_dumped(self):
        child = self.start(COUNTER)
        self.nft(child, "add table inet filter; add chain inet filter in { type filter hook input priority 0; }")
        self.refused_dump(child, f"Process {child.pid} ", "nftables", "table filter")
        self.nft(child, "flush ruleset")
        # What CRIU makes itself does not count.
        self.nft(child, "add table inet CRIU-4711")
        self.succeeds(self.dump(child, "--", "--network-lock", "skip"))

    def test_the_one_among_many_of_criu(self):
        child = self.start(COUNTER)
        self.nft(child, "; ".join(f"add table ip CRIU-{number}" for number in range(600)))
        self.nft(child, "add table bridge last")
        self.refused_dump(child, "table last")

    def test_rules_of_our_own_namespace_are_no_reason(self):
        child = ProcessCase.start(self, COUNTER)
        self.succeeds(self.dump(child))


class LeftFolders(ProcessCase):
    def test_the_folder_of_a_killed_run_goes_with_the_next(self):
        child = self.start(COUNTER)
        told = self.folder / "arguments"
        number = self.folder / "number"
        stalled = self.write("criu", f"#!/bin/sh\necho $$ >{number}\necho \"$@\" >{told}.new\nmv {told}.new {told}\nexec sleep 600\n".encode())
        stalled.chmod(0o755)
        command = [support.program(), "--state", self.a.state, "dump", "-t", str(child.pid), "-o", self.sealed_file,
                   "--to", self.b.record(), "--criu", stalled]
        with subprocess.Popen(command, env=support.ENVIRONMENT, stderr=subprocess.DEVNULL) as dump:
            wait_until(told.exists, "CRIU is started")
            words = told.read_text().split()
            left = pathlib.Path(words[words.index("--images-dir") + 1])
            self.assertTrue(left.is_dir())
            self.refused(self.dump(child, "--criu", "/bin/false"), 1)
            self.assertTrue(left.is_dir(), "its run was alive")
            dump.kill()
        # A real CRIU ends by itself then, for nobody reads its images.
        os.kill(int(number.read_text()), signal.SIGKILL)
        self.refused(self.dump(child, "--criu", "/bin/false"), 1)
        self.assertFalse(left.exists())


class CriuInPath(support.CliTest):
    HOSTS = ("host-b",)

    def setUp(self):
        super().setUp()
        self.marker = self.folder / "was-run"
        criu = self.write("criu", f"#!/bin/sh\n: >{self.marker}\nexit 1\n".encode())
        criu.chmod(0o755)
        environment = dict(support.ENVIRONMENT)
        environment.pop("CRIU", None)
        self.environment = environment
        self.child = subprocess.Popen(["/bin/sleep", "600"])
        self.addCleanup(self.child.wait)
        self.addCleanup(self.child.kill)

    def dump(self, path, *more):
        """In the folder where criu is."""
        command = [support.program(), "--state", str(self.b.state), "dump", "-t", str(self.child.pid), "-o",
                   str(self.folder / "x.cks"), *more]
        return subprocess.run(command, env=dict(self.environment, PATH=path), cwd=self.folder, capture_output=True,
                              timeout=240)

    def test_the_current_folder_is_passed_over(self):
        sub = self.folder / "bin"
        sub.mkdir()
        (sub / "criu").symlink_to(self.folder / "criu")
        for path in ("", ":", "/usr/none:", ".", ":/usr/none", "bin", "./bin:../" + self.folder.name):
            for more in ((), ("--criu", "criu")):
                with self.subTest((path, more)):
                    self.refused(self.dump(path, *more), 8, "no CRIU", "PATH")
                    self.assertFalse(self.marker.exists())

    def test_its_twin_an_absolute_element_is_searched(self):
        if os.geteuid() != 0:
            self.skipTest("only root can look at every process")
        for path, more in ((f":/usr/none:{self.folder}", ()), ("/usr/none", ("--criu", "./criu"))):
            with self.subTest(path):
                self.refused(self.dump(path, *more), 1, "CRIU")
                self.assertTrue(self.marker.exists())
                self.marker.unlink()


if __name__ == "__main__":
    support.main()

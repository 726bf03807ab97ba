# SPDX-License-Identifier: Apache-2.0
"""What ckpt-seal is started with: descriptors that are not open, a stdout that takes nothing, limits of its files."""
import os
import resource
import signal
import subprocess

import support
from process_case import COUNTER, ProcessCase


def closing(*descriptors):
    def close():
        for fd in descriptors:
            os.close(fd)
    return close


class Descriptors(support.CliTest):
    def test_one_that_nobody_opened_is_never_a_file_of_ours(self):
        """Numbers that the input, the lock of the TPM or the output get later: the first line of the input was the passphrase."""
        plain = self.write("plain", b"first line\nsecond line\n")
        path = self.folder / "x.cks"
        seal = ("seal", "-o", path, "--to", "self", "--to")
        for fd in (*range(3, 16), -1):
            with self.subTest(fd=fd):
                self.refused(self.a.run(*seal, "passphrase", "--passphrase-fd", fd, plain), 2, "--passphrase-fd", "not open")
                self.refused(self.a.run(*seal, "recovery", "--recovery-fd", fd, plain), 2, "--recovery-fd", "not open")
                self.assertFalse(path.exists())
        self.succeeds(self.a.run(*seal, "passphrase", "--passphrase-fd", "0", plain, input=b"a long one\n"))
        for fd in range(3, 16):
            with self.subTest(fd=fd):
                self.refused(self.a.run("rewrap", path, "--add", "passphrase", "--new-passphrase-fd", fd), 2, "not open")
                self.refused(self.a.run("open", "--identity", "passphrase", "--passphrase-fd", fd, path), 2, "not open")

    def test_messages_go_into_no_file(self):
        """The sealed file that was changed got the number of the closed stderr, and the warnings."""
        plain = self.write("plain", b"some content")
        for closed in ((2,), (1, 2), (0, 1, 2)):
            with self.subTest(closed=closed):
                path = self.sealed(b"some content", "host-a", "--force")
                before = path.read_bytes()
                self.a.run("rewrap", path, "--add", self.b.record(), preexec_fn=closing(*closed))
                self.assertFalse(path.read_bytes() == before, "it was not changed")
                self.assertFalse(b"ckpt-seal: " in path.read_bytes(), "a message is in it")
                self.assertEqual(self.succeeds(self.a.run("open", "-o", "-", path)).stdout, plain.read_bytes())

    def test_a_closed_stdout_takes_no_content(self):
        self.refused(self.b.run("open", "-o", "-", self.sealed(), preexec_fn=closing(1)), 1, "Cannot write")

    def test_a_report_that_cannot_be_written(self):
        path = self.sealed()
        for words in (("host", "export", "-o", "-"), ("inspect", path), ("--json", "inspect", path), ("--json", "host", "list")):
            with self.subTest(words=words), open("/dev/full", "wb") as full:
                done = subprocess.run([support.program(), "--state", self.b.state, *words], stdin=subprocess.DEVNULL, stdout=full,
                                      stderr=subprocess.PIPE, timeout=60, env=support.ENVIRONMENT)
                self.refused(done, 1, "stdout", "No space left")

    def test_a_reader_of_messages_that_is_gone_ends_nothing(self):
        path = self.folder / "x.cks"
        plain = self.write("plain", b"some content")
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([support.program(), "--state", self.a.state, "seal", "-o", path, "--to", self.b.record(), plain],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=write, timeout=60, env=support.ENVIRONMENT)
        os.close(write)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.succeeds(self.b.run("open", "-o", "-", path)).stdout, b"some content")


class DescriptorsOfProcesses(ProcessCase):
    def dump_after(self, child, prepare):
        return self.a.run("dump", "-t", child.pid, "-o", self.sealed_file, "--to", self.b.record(), preexec_fn=prepare)

    def test_without_stdin_stdout_and_stderr(self):
        child = self.start(COUNTER)
        done = self.dump_after(child, closing(0, 1, 2))
        self.assertEqual((done.returncode, child.wait(timeout=60)), (0, -signal.SIGKILL))
        self.b.run("host", "trust", self.a.record(), "--as", "origin")
        done = self.b.run("restore", "--detach", self.sealed_file, preexec_fn=closing(0, 1, 2))
        self.assertEqual(done.returncode, 0)
        self.goes_on()

    def test_files_that_may_not_grow(self):
        """A signal for that (SIGXFSZ) ended ckpt-seal without a word."""
        child = self.start(COUNTER)
        for most in (0, 512, 4096, 65536):
            with self.subTest(most=most):
                limit = (most, most)
                self.refused(self.dump_after(child, lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, limit)), 1)
                self.assertFalse(self.sealed_file.exists())
                self.goes_on()


if __name__ == "__main__":
    support.main()

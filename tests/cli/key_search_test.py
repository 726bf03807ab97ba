# SPDX-License-Identifier: Apache-2.0
"""The data key is in the helper alone: it is unsealed by other means, and looked for everywhere."""
import hashlib
import hmac
import os
import pathlib
import struct
import subprocess
import time
import unittest

import support
from sealed_layout import Layout

PAGE = 4096


def hkdf_extract(salt, key):
    return hmac.new(salt, key, hashlib.sha256).digest()


def resident_runs(pagemap, start, end):
    """Addresses of the pages of a mapping that are in memory or swap, as runs."""
    pagemap.seek(start // PAGE * 8)
    begin = None
    for number, (entry,) in enumerate(struct.iter_unpack("=Q", pagemap.read((end - start) // PAGE * 8))):
        if entry >> 62 and begin is None:
            begin = start + number * PAGE
        elif not entry >> 62 and begin is not None:
            yield begin, start + number * PAGE
            begin = None
    if begin is not None:
        yield begin, end


def memory_of(pid):
    """All memory of a process that root can read, a run of pages at a time."""
    proc = pathlib.Path(f"/proc/{pid}")
    with open(proc / "maps", encoding="ascii") as maps, open(proc / "mem", "rb", 0) as memory, \
            open(proc / "pagemap", "rb", 0) as pagemap:
        for line in maps:
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            if line.split()[1][0] != "r" or end - start > 1 << 34 or start >= 1 << 63:
                continue  # what sanitizers reserve for themselves, and the kernel's page
            for begin, end_of_run in resident_runs(pagemap, start, end):
                try:
                    memory.seek(begin)
                    yield memory.read(end_of_run - begin)
                except OSError:
                    continue  # not readable: device memory, memfd_secret


def holds(pid, needle):
    return any(needle in part for part in memory_of(pid))


@unittest.skipUnless(os.geteuid() == 0, "needs root to read the memory of other processes")
class KeySearch(support.CliTest):
    HOSTS = ("host-a",)

    def opening(self, path, *wrapper, state=None):
        """A command that opens `path` and has been stopped, by a full pipe, in the middle of it."""
        process = subprocess.Popen([*wrapper, support.program(), "--state", state or self.a.state, "open", path],
                                   stdout=subprocess.PIPE, env=support.ENVIRONMENT)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        process.stdout.read(1)
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
        for _ in range(2000):  # the TPM's process ends before the first byte comes, or soon after
            pids = [int(pid) for pid in children.read_text().split()]
            if len(pids) == 1:
                return process.pid, pids[0]
            time.sleep(0.005)
        raise AssertionError("there is not one helper")

    def setUp(self):
        super().setUp()
        plain = self.write("plain", os.urandom(3_000_000))
        self.path = self.folder / "x.cks"
        self.succeeds(self.a.run("seal", "-o", self.path, plain))
        self.key = self.a.unseal_by_other_means(self.path)
        self.prk = self.root_of_keys(self.path, self.key)

    def root_of_keys(self, path, key):
        """All keys of the file come from this one, so whoever has it needs no data key."""
        content = path.read_bytes()
        layout = Layout(content)
        immutable = content[layout.immutable:layout.list]
        prk = hkdf_extract(hashlib.sha256(immutable).digest(), key)
        header_key = hmac.new(prk, b"ckpt-seal/v1/header\x01", hashlib.sha256).digest()
        end = layout.behind_slots
        mac = hmac.new(header_key, content[layout.copies[0]:end], hashlib.sha256).digest()
        self.assertEqual(mac, content[end:end + 32], "this is not the file's data key")
        return prk

    def running_tpm(self):
        """The TCTI and the process of a software TPM that runs on after it was used, unlike that of --tpm soft."""
        tools = support.TOP / "swtpm-ci"
        folder = self.folder / "tpm"
        subprocess.run([tools / "manufacture", folder], check=True, stdout=subprocess.DEVNULL, timeout=120)
        started = subprocess.run([tools / "start", folder], check=True, capture_output=True, text=True, timeout=60)
        self.addCleanup(subprocess.run, [tools / "stop", folder], check=True, timeout=60)
        return started.stdout.strip(), int((folder / "pid").read_text())

    def test_a_software_tpm_has_what_it_released_and_no_key_of_the_file(self):
        tcti, tpm = self.running_tpm()
        host = support.Host(self.folder, "host-c", tcti)
        path = self.folder / "c.cks"
        self.succeeds(host.run("seal", "-o", path, self.folder / "plain"))
        sealed = list(memory_of(tpm))
        parent, helper = self.opening(path, state=host.state)
        opened = list(memory_of(tpm))
        key = host.unseal_by_other_means(path)
        prk = self.root_of_keys(path, key)
        self.assertFalse(any(secret in part for secret in (key, prk) for part in sealed), "sealing needs no TPM")
        # docs/threat-model.md, "What a software TPM does not give".
        self.assertTrue(any(key in part for part in opened), "it forgets what it released: the documents say otherwise")
        self.assertFalse(any(prk in part for part in opened))
        for pid in (parent, tpm):
            self.assertFalse(holds(pid, prk))
        self.assertFalse(holds(parent, key))
        with open(f"/proc/{helper}/maps", encoding="ascii") as maps:
            if "secretmem" in maps.read():
                self.assertFalse(holds(helper, key) or holds(helper, prk))

    def test_without_secret_memory_the_helper_alone_has_it(self):
        # Without memfd_secret root can look into the helper: so this shows that the search finds what is there.
        parent, helper = self.opening(self.path, support.program("without_memfd_secret"))
        self.assertTrue(holds(helper, self.prk), "the search finds nothing, not even where it has to be")
        self.assertFalse(holds(parent, self.prk))
        self.assertFalse(holds(parent, self.key))

    def test_with_secret_memory_not_even_root_finds_it(self):
        parent, helper = self.opening(self.path)
        with open(f"/proc/{helper}/maps", encoding="ascii") as maps:
            if "secretmem" not in maps.read():
                self.skipTest("this kernel has no memfd_secret")
        for pid in (parent, helper):
            self.assertFalse(holds(pid, self.prk))
            self.assertFalse(holds(pid, self.key))

    def test_no_file_holds_it(self):
        plain = self.folder / "plain"
        self.assertTrue(self.found_in_files(plain.read_bytes()[1000:1032]), "the search finds nothing")
        for secret in (self.key, self.prk):
            self.assertFalse(self.found_in_files(secret))
            self.assertFalse(self.found_in_files(secret.hex().encode()))

    def found_in_files(self, needle):
        return [path for path in self.base.rglob("*") if path.is_file() and needle in path.read_bytes()]

    def test_arguments_and_environment_hold_nothing(self):
        parent, helper = self.opening(self.path)
        for pid in (parent, helper):
            for name in ("cmdline", "environ"):
                content = pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
                self.assertNotIn(self.key, content)
                self.assertNotIn(self.key.hex().encode(), content)


if __name__ == "__main__":
    support.main()

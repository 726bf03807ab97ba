#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A thousand dumps and restores of one process, and twenty at once, all on one TPM: nothing of them stays."""

import concurrent.futures
import ctypes
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
import support
from process_case import COUNTER, MARKER, ProcessCase, alive, wait_until

ROUNDS = int(os.environ.get("CKPTSEAL_ROUNDS", "1000"))
WARM = max(1, ROUNDS // 20)  # after so many nothing may grow any more
AT_ONCE = 20
PR_SET_CHILD_SUBREAPER = 36


class LoadCase(ProcessCase):
    HOSTS = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Restored tasks become children of this process, which so can free their numbers at once.
        if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1) != 0:
            raise OSError("prctl")
        tools = support.TOP / "swtpm-ci"
        cls.tpm = pathlib.Path(tempfile.mkdtemp(prefix="cks-", dir="/tmp"))
        cls.addClassCleanup(shutil.rmtree, cls.tpm, True)
        subprocess.run([tools / "manufacture", cls.tpm], check=True, stdout=subprocess.DEVNULL, timeout=120)
        started = subprocess.run([tools / "start", cls.tpm], check=True, capture_output=True, text=True, timeout=60)
        cls.addClassCleanup(subprocess.run, [tools / "stop", cls.tpm], check=True, timeout=60)
        cls.host = support.Host(cls.base, "host", started.stdout.strip())

    def there(self, child, folder):
        self.succeeds(self.host.run("dump", "-t", child.pid, "-o", folder / "x.cks", "--to", "self"))
        os.waitpid(child.pid, 0)

    def back(self, child, folder):
        out = folder / "out"
        size = out.stat().st_size
        self.succeeds(self.host.run("restore", "--detach", folder / "x.cks"))
        (folder / "x.cks").unlink()
        wait_until(lambda: out.stat().st_size > size, "it goes on")
        self.assertTrue(alive(child.pid))

    def start_in(self, folder):
        folder.mkdir(exist_ok=True)
        out = folder / "out"
        child = self.launch("/usr/bin/python3", "-c", COUNTER, out, MARKER[::-1].decode())
        wait_until(lambda: out.exists() and out.stat().st_size, "the program starts")
        return child

    def went_on(self, folder):
        lines = [line for line in (folder / "out").read_text().splitlines() if " " in line]
        self.assertEqual([int(line.split()[0]) for line in lines], list(range(1, len(lines) + 1)))

    def what_is_there(self):
        """All that a dump or a restore could leave, by name and number."""
        tpm = pathlib.Path(f"/proc/{(self.tpm / 'pid').read_text().strip()}")
        of_tpm = {name: self.host.with_tools("tpm2_getcap", f"handles-{name}").decode()
                  for name in ("transient", "persistent", "loaded-session", "saved-session")}
        names = [path.read_bytes() for path in pathlib.Path("/proc").glob("[0-9]*/comm") if path.exists()]
        folders = (self.base, pathlib.Path("/run"), pathlib.Path("/dev/shm"))
        return {
            "handles": of_tpm,
            "descriptors of the TPM": len(list((tpm / "fd").iterdir())),
            "processes": sorted(name for name in names if b"ckpt-seal" in name or b"criu" in name),
            "files": sorted(str(path) for folder in folders for path in folder.glob("**/*" if folder == self.base else "*ckpt*")),
            "mounts": len(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()),
            "cgroups": sorted(map(str, pathlib.Path("/sys/fs/cgroup").glob("*crtools*"))),
        }

    def memory_of_the_tpm(self):
        pid = (self.tpm / "pid").read_text().strip()
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


class Rounds(LoadCase):
    def test_of_many_rounds_nothing_stays(self):
        child = self.start_in(self.folder)
        for number in range(ROUNDS):
            self.there(child, self.folder)
            self.back(child, self.folder)
            if number == WARM:
                before, memory = self.what_is_there(), self.memory_of_the_tpm()
            if number % 50 == 0:
                print(f"round {number}, {self.memory_of_the_tpm()} KiB in the TPM", flush=True)
        self.assertEqual(self.what_is_there(), before)
        self.assertLess(self.memory_of_the_tpm(), memory + 1024)
        self.went_on(self.folder)
        self.assertEqual(len((self.host.state / "journal").read_text().splitlines()), 2 * ROUNDS)


class AtOnce(LoadCase):
    def test_of_twenty_at_once_nothing_stays(self):
        folders = [self.folder / str(number) for number in range(AT_ONCE)]
        children = [self.start_in(folder) for folder in folders]
        before = self.what_is_there()
        before["files"] += [str(self.host.state / "journal")]
        before["files"].sort()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
            for _ in range(3):
                list(threads.map(self.there, children, folders))
                list(threads.map(self.back, children, folders))
        self.assertEqual(self.what_is_there(), before)
        for folder in folders:
            self.went_on(folder)


if __name__ == "__main__":
    support.main()

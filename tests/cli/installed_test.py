#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What 'cmake --install' puts in place finds its parts there, and says so when one is missing."""

import json
import os
import pathlib
import subprocess

import support
from process_case import COUNTER, ProcessCase, wait_until


class Installed(ProcessCase):
    def setUp(self):
        super().setUp()
        prefix = self.folder / "usr"
        build = pathlib.Path(support.PROGRAMS).parent
        subprocess.run(["cmake", "--install", build, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL, timeout=120)
        self.hook = prefix / "libexec" / "ckpt-seal" / "ckpt-seal-hook"
        # Two names of one folder: the program is found by its own place, not by how it was called.
        (self.folder / "link").symlink_to(prefix / "bin" / "ckpt-seal")

    def run_installed(self, host, *arguments):
        return subprocess.run([self.folder / "link", "--state", host.state, *map(str, arguments)], capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=240, env=support.ENVIRONMENT)

    def finding(self):
        done = self.run_installed(self.b, "--json", "doctor", "--criu", os.environ["CRIU"])
        return next(finding for finding in json.loads(done.stdout)["findings"] if finding["check"] == "hook")

    def dump(self, child, *more, **_):
        return self.run_installed(self.a, "dump", "-t", child.pid, "-o", self.sealed_file, "--to", self.b.record(), *more)

    def test_there_and_back(self):
        self.assertEqual(self.finding()["verdict"], "good")
        self.assertIn("libexec/ckpt-seal/ckpt-seal-hook", self.finding()["message"])
        child = self.start(COUNTER)
        self.dump_away(child)
        last = self.numbers()[-1]
        self.succeeds(self.run_installed(self.b, "restore", "--detach", self.sealed_file))
        wait_until(lambda: self.numbers()[-1] > last, "the process goes on")

    def test_without_the_hook(self):
        child = self.start(COUNTER)
        self.hook.unlink()
        self.refused(self.dump(child), 8, "ckpt-seal-hook", "install ckpt-seal again")
        self.goes_on()
        self.assertFalse(self.sealed_file.exists())
        self.assertEqual(self.finding()["verdict"], "problem")


if __name__ == "__main__":
    support.main()

# SPDX-License-Identifier: Apache-2.0
"""Runs the command that was built, each test on hosts and folders of its own, and cleans up by pid."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = None  # folder of ckpt-seal; set by main()
# Sanitizers need room and time; what they change is no business of these tests.
ENVIRONMENT = dict(os.environ, LC_ALL="C", ASAN_OPTIONS="detect_leaks=0")
for name in ("CKPT_SEAL_STATE", "CKPT_SEAL_TPM"):
    ENVIRONMENT.pop(name, None)


def program(name="ckpt-seal"):
    return str(pathlib.Path(PROGRAMS) / name)


def run(*arguments, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    if "input" in options:
        options.pop("stdin")
    return subprocess.run([program(), *map(str, arguments)], capture_output=True, timeout=240,
                          env=ENVIRONMENT, **options)


class Host:
    """A state folder with a software TPM."""

    def __init__(self, folder, name):
        self.name = name
        self.state = folder / name
        done = run("--state", self.state, "--tpm", "soft", "provision", "--name", name)
        assert done.returncode == 0, done.stderr.decode()

    def run(self, *arguments, **options):
        return run("--state", self.state, *arguments, **options)

    def record(self):
        path = self.state.parent / (self.name + ".record")
        if not path.exists():
            done = self.run("host", "export", "-o", path)
            assert done.returncode == 0, done.stderr.decode()
        return path

    def extend(self, pcr, text):
        subprocess.run([TOP / "swtpm-ci" / "extend-soft", self.state, str(pcr), text], check=True,
                       stdout=subprocess.DEVNULL, timeout=60)


class CliTest(unittest.TestCase):
    HOSTS = ("host-a", "host-b")

    @classmethod
    def setUpClass(cls):
        cls.base = pathlib.Path(tempfile.mkdtemp(prefix="cks-", dir="/tmp"))
        cls.addClassCleanup(shutil.rmtree, cls.base, True)
        cls.hosts = {name: Host(cls.base, name) for name in cls.HOSTS}
        if "host-a" in cls.hosts and "host-b" in cls.hosts:
            done = cls.hosts["host-b"].run("host", "trust", cls.hosts["host-a"].record(), "--as",
                                           "origin")
            assert done.returncode == 0, done.stderr.decode()

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="t-", dir=self.base))

    @property
    def a(self):
        return self.hosts["host-a"]

    @property
    def b(self):
        return self.hosts["host-b"]

    def succeeds(self, done):
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done

    def refused(self, done, code, *words):
        """One line that says why, this exit code."""
        text = done.stderr.decode()
        self.assertEqual(done.returncode, code, text)
        lines = [line for line in text.splitlines() if not line.startswith("ckpt-seal: warning:")]
        self.assertEqual(len(lines), 1, text)
        self.assertTrue(lines[0].startswith("ckpt-seal: "), text)
        for word in words:
            self.assertIn(word, lines[0])
        return done

    def write(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        return path

    def sealed(self, content=b"some content", to="host-b", *more):
        """A file that host-a sealed for `to`."""
        plain = self.write("plain", content)
        path = self.folder / "x.cks"
        self.succeeds(self.a.run("seal", "-o", path, "--to", self.hosts[to].record(), *more, plain))
        return path

    def json(self, done):
        return json.loads(done.stdout)


def main():
    global PROGRAMS
    PROGRAMS = sys.argv.pop(1)
    sys.modules["support"].PROGRAMS = PROGRAMS
    unittest.main(verbosity=2)

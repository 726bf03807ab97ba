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

import sealed_layout

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = None  # folder of ckpt-seal; set by main()
# Sanitizers need room and time; what they change is no business of these tests.
ENVIRONMENT = dict(os.environ, LC_ALL="C", ASAN_OPTIONS="detect_leaks=0")
for name in ("CKPT_SEAL_STATE", "CKPT_SEAL_TPM", "CKPT_SEAL_EVENT_LOG"):
    ENVIRONMENT.pop(name, None)


def program(name="ckpt-seal"):
    return str(pathlib.Path(PROGRAMS) / name)


def run(*arguments, more_environment=None, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    if "input" in options:
        options.pop("stdin")
    return subprocess.run([program(), *map(str, arguments)], capture_output=True, timeout=240,
                          env=dict(ENVIRONMENT, **(more_environment or {})), **options)


# The data key of an exported slot (its prefix is $1, its PCRs $2) under the storage parent, by other programs than ours.
UNSEAL = """
set -eu
tpm2_import -Q -C 0x81000001 -i "$1.dup" -s "$1.seed" -u "$1.pub" -r "$1.priv" -G keyedhash
tpm2_load -Q -C 0x81000001 -u "$1.pub" -r "$1.priv" -c "$1.ctx"
tpm2_flushcontext -t
tpm2_startauthsession -Q --policy-session -S "$1.session"
tpm2_policypcr -Q -S "$1.session" -l "$2"
tpm2_unseal -c "$1.ctx" -p "session:$1.session" -o "$1.key"
tpm2_flushcontext "$1.session"
"""


class Host:
    """A state folder with a TPM: a software TPM in that folder, or what `tpm` names."""

    def __init__(self, folder, name, tpm="soft"):
        self.name = name
        self.tpm = tpm
        self.state = folder / name
        done = run("--state", self.state, "--tpm", tpm, "provision", "--name", name)
        assert done.returncode == 0, done.stderr.decode()

    def run(self, *arguments, **options):
        return run("--state", self.state, *arguments, **options)

    def record(self):
        path = self.state.parent / (self.name + ".record")
        if not path.exists():
            done = self.run("host", "export", "-o", path)
            assert done.returncode == 0, done.stderr.decode()
        return path

    def with_tools(self, *command):
        """Runs tpm2-tools on this host's TPM."""
        if self.tpm == "soft":
            command = (TOP / "swtpm-ci" / "with-soft-tpm", self.state, *command)
        return subprocess.run(list(map(str, command)), check=True, timeout=120, stdout=subprocess.PIPE,
                              env=dict(ENVIRONMENT, TPM2TOOLS_TCTI=self.tpm)).stdout

    def unseal_by_other_means(self, path, slot=0):
        """The data key of a sealed file, from this host's slot, by tpm2-tools."""
        with tempfile.TemporaryDirectory(dir=self.state.parent) as folder:
            prefix = pathlib.Path(folder) / "slot"
            done = self.run("inspect", "--export-slot", slot, "-o", prefix, path)
            assert done.returncode == 0, done.stderr.decode()
            (term,) = json.loads(self.run("--json", "inspect", path).stdout)["slots"][slot]["policy"]
            pcrs = "sha256:" + ",".join(term["pcrs"])
            self.with_tools("sh", "-c", UNSEAL, "sh", prefix, pcrs)
            key = pathlib.Path(f"{prefix}.key").read_bytes()
        assert len(key) == 32
        return key

    def sign(self, digest):
        """The signature, r || s, of this digest by the host's own signing key. Any root process of the host could ask for it."""
        keys = (self.state / "tpm" / "keys").read_bytes()
        at = 8
        for _ in range(2):  # docs/state.md, "tpm/keys": storage parent and attestation key stand before it
            at += 6 + int.from_bytes(keys[at + 4:at + 6], "big")
        handle = "0x" + keys[at:at + 4].hex()
        with tempfile.TemporaryDirectory(dir=self.state.parent) as folder:
            (pathlib.Path(folder) / "digest").write_bytes(digest)
            self.with_tools("tpm2_sign", "-Q", "-c", handle, "-g", "sha256", "-s", "ecdsa", "-d", f"{folder}/digest", "-o",
                            f"{folder}/signature")
            raw = (pathlib.Path(folder) / "signature").read_bytes()
        # TPMT_SIGNATURE: scheme, hash, then r and s, each with its length before it.
        r_size = int.from_bytes(raw[4:6], "big")
        r, s = raw[6:6 + r_size], raw[8 + r_size:]
        return r.rjust(32, b"\0") + s.rjust(32, b"\0")

    def extend(self, pcr, text):
        subprocess.run([TOP / "swtpm-ci" / "extend-soft", self.state, str(pcr), text], check=True,
                       stdout=subprocess.DEVNULL, timeout=60)


def start_tpm(cls, name):
    """The socket of a new software TPM that runs as long as the tests of this class."""
    folder = cls.base / name
    tools = TOP / "swtpm-ci"
    for command in (["manufacture", "--ca", cls.base / "ca", folder], ["start", folder]):
        subprocess.run([tools / command[0], *command[1:]], check=True, timeout=120, stdout=subprocess.DEVNULL)
    cls.addClassCleanup(subprocess.run, [tools / "stop", folder], check=True, stdout=subprocess.DEVNULL)
    return folder / "sock"


class CliTest(unittest.TestCase):
    HOSTS = ("host-a", "host-b")

    @classmethod
    def setUpClass(cls):
        cls.base = pathlib.Path(tempfile.mkdtemp(prefix="cks-", dir="/tmp"))
        cls.addClassCleanup(shutil.rmtree, cls.base, True)
        cls.hosts = {name: cls.make_host(name) for name in cls.HOSTS}
        if "host-a" in cls.hosts and "host-b" in cls.hosts:
            done = cls.hosts["host-b"].run("host", "trust", cls.hosts["host-a"].record(), "--as",
                                           "origin")
            assert done.returncode == 0, done.stderr.decode()

    @classmethod
    def make_host(cls, name):
        return Host(cls.base, name)

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

    def alter(self, path, content, at):
        """Another file: a byte of both header copies is changed, and so is the checksum, which needs no key (docs/format.md)."""
        path.write_bytes(sealed_layout.altered(content, at))

    def json(self, done):
        return json.loads(done.stdout)


def main():
    global PROGRAMS
    PROGRAMS = sys.argv.pop(1)
    sys.modules["support"].PROGRAMS = PROGRAMS
    unittest.main(verbosity=2)

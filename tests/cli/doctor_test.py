#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""doctor: each check on a machine where it finds something, and its twin. docs/json.md."""

import json
import os
import shutil
import subprocess
import unittest

import support


class DoctorCase(support.CliTest):
    HOSTS = ("host-b",)

    def findings(self, *before, state=None, criu=None, environment=None):
        """By check. `before` runs the command: setpriv and the like."""
        command = [*before, support.program(), "--state", str(state or self.b.state), "--json", "doctor"]
        if criu:
            command += ["--criu", str(criu)]
        done = subprocess.run(command, env=environment or support.ENVIRONMENT, capture_output=True, timeout=240)
        report = json.loads(done.stdout)
        out = {finding["check"]: finding for finding in report["findings"]}
        self.assertEqual(len(out), len(report["findings"]))
        for finding in out.values():
            self.assertIn(finding["verdict"], ("good", "hint", "problem"))
            self.assertTrue(finding["message"].endswith("."), finding)
        problems = [finding for finding in out.values() if finding["verdict"] == "problem"]
        self.assertEqual(done.returncode, 1 if problems else 0)
        return out

    def criu(self, text):
        path = self.write("criu", f"#!/bin/sh\n{text}\n".encode())
        path.chmod(0o755)
        return path

    def is_found(self, finding, verdict, *words):
        self.assertEqual(finding["verdict"], verdict, finding)
        for word in words:
            self.assertIn(word, finding["message"])


class Doctor(DoctorCase):
    def test_without_criu(self):
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "swtpm").symlink_to(shutil.which("swtpm"))
        environment = dict(support.ENVIRONMENT, PATH=str(programs))
        environment.pop("CRIU", None)
        found = self.findings(environment=environment)
        self.is_found(found["criu"], "hint", "install the package criu")
        self.assertNotIn("run_folder", found)
        self.is_found(found["tpm"], "hint", "software")
        self.is_found(self.findings(criu="/none/criu")["criu"], "problem", "/none/criu")
        self.is_found(self.findings(environment=dict(environment, CRIU="/none/criu"))["criu"], "problem")

    def test_programs_that_criu_runs_for_a_network(self):
        criu = self.criu("true")
        programs = self.folder / "network"
        programs.mkdir()
        (programs / "swtpm").symlink_to(shutil.which("swtpm"))
        environment = dict(support.ENVIRONMENT, PATH=str(programs))
        for missing, package in (("ip", "iproute2"), ("iptables-restore", "iptables")):
            self.is_found(self.findings(criu=criu, environment=environment)["network"], "hint", package)
            (programs / missing).symlink_to("/bin/true")
        self.is_found(self.findings(criu=criu, environment=environment)["network"], "good")

    def test_a_journal_that_cannot_be_written(self):
        journal = self.b.state / "journal"
        self.is_found(self.findings()["journal"], "good")
        self.assertFalse(journal.exists(), "to look is not to change")
        journal.symlink_to("/dev/null")
        self.is_found(self.findings()["journal"], "problem", "symbolic link")
        journal.unlink()

    def test_a_state_folder_too_deep_for_sockets(self):
        deep = self.folder / ("d" * 90)
        shutil.copytree(self.b.state, deep, ignore=shutil.ignore_patterns("sock*"))
        deep.chmod(0o700)
        self.is_found(self.findings(state=deep)["tpm"], "problem", "too deep")

    def test_lines_are_for_people_too(self):
        text = self.b.run("doctor").stdout.decode()
        for line in text.splitlines():
            self.assertRegex(line, r"\A(good|hint|problem) +[^ ].*\.\Z")


class DoctorOfRoot(DoctorCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("only root can have CRIU checked and give capabilities up")
        super().setUpClass()

    def test_what_criu_says(self):
        self.is_found(self.findings(criu=self.criu("echo Version: 9.8.7; echo more"))["criu"], "good", "9.8.7")
        found = self.findings(criu=self.criu('[ "$1" = --version ] || { echo "Error: no luck" >&2; exit 1; }'))
        self.is_found(found["criu"], "problem", "no luck", "unknown version")
        self.is_found(found["run_folder"], "good", "in memory")
        self.is_found(found["hook"], "good", "ckpt-seal-hook")

    def test_capabilities_that_are_not_there(self):
        criu = self.criu("true")
        before = self.findings(criu=criu)["capabilities"]
        self.assertNotEqual(before["verdict"], "problem")
        for name, verdict in (("sys_admin", "problem"), ("sys_ptrace", "problem"), ("setpcap", "problem"),
                              ("net_admin", "hint"), ("checkpoint_restore", "hint")):
            with self.subTest(name):
                self.assertNotIn(f"CAP_{name.upper()}", before["message"])
                found = self.findings("setpriv", "--bounding-set", f"-{name}", criu=criu)
                self.is_found(found["capabilities"], verdict, f"CAP_{name.upper()}")

    def test_memory_that_is_not_locked(self):
        limit = ("prlimit", "--memlock=8388608:8388608")
        self.is_found(self.findings(*limit)["locked_memory"], "good")
        found = self.findings(*limit, "setpriv", "--bounding-set", "-ipc_lock,-sys_resource")
        self.is_found(found["locked_memory"], "hint", "CAP_IPC_LOCK")

    def test_plain_swap(self):
        swap = self.write("swap file", bytes(1 << 20))
        swap.chmod(0o600)
        subprocess.run(["mkswap", swap], check=True, capture_output=True)
        if subprocess.run(["swapon", swap], capture_output=True).returncode != 0:
            self.skipTest("no file here can be swap")
        self.addCleanup(subprocess.run, ["swapoff", swap], check=True)
        self.is_found(self.findings()["swap"], "hint", "swap\\040file", "swapoff")


if __name__ == "__main__":
    support.main()

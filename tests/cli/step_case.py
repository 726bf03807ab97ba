# SPDX-License-Identifier: Apache-2.0
"""A dump or restore that is stopped at one of the steps of docs/criu.md, "Steps", and its processes by their roles."""

import os
import pathlib
import re
import subprocess
import unittest

import support
from process_case import ProcessCase, alive, children_of, wait_until

VARIABLE = "CKPT_SEAL_STOP_AT"
MARK = "CKPT_SEAL_TEST_RUN"
RUN_FOLDER = re.compile("(/run|/dev/shm)/ckpt-seal-[A-Za-z0-9]{6}$")


def build_has_steps():
    return os.environ["CKPTSEAL_STEPS"] == "1"


def table():
    """(step, who stops, who is there, what is left) of every row."""
    text = (support.TOP / "docs" / "criu.md").read_text()
    rows = re.findall(r"^\| `([^`]+: [^`]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    return [(step, stops, there.split(", "), left) for step, stops, there, left in rows]


def status_of(pid):
    """Of /proc/PID/status, or nothing when there is none."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def words_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def is_frozen(pid):
    group = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()[-1].split(":", 2)[2]
    events = pathlib.Path("/sys/fs/cgroup" + group) / "cgroup.events"
    return events.exists() and "frozen 1" in events.read_text()


class StepCase(ProcessCase):
    @classmethod
    def setUpClass(cls):
        if not build_has_steps():
            raise unittest.SkipTest("this build has no steps")
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.runs = 0

    def stopped_at(self, step, stops, there, command):
        """The command, stopped at that step, and its processes by their role."""
        self.runs += 1
        self.mark = f"{MARK}={self.folder}/{self.runs}"
        environment = dict(support.ENVIRONMENT, **{VARIABLE: step, MARK: self.mark.split("=")[1]})
        running = subprocess.Popen([support.program(), *map(str, command)], env=environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
        self.addCleanup(running.stderr.close)
        self.addCleanup(running.wait)
        self.addCleanup(running.kill)
        found = {}

        def is_there():
            if running.poll() is not None:
                raise AssertionError(f"it ended before: {running.stderr.read().decode()}")
            found.clear()
            found.update(self.roles(running.pid))
            return set(there) <= found.keys() and status_of(found[stops]).get("State", "").startswith("T")
        wait_until(is_there, f"the step '{step}' is reached")
        return running, dict(found)

    @staticmethod
    def roles(pid):
        found = {"ckpt-seal": pid}
        for child in children_of(pid):
            words = words_of(child)
            if words == words_of(pid) != []:
                found["helper"] = child
            elif b"--images-dir" in words:
                found["CRIU"] = child
            elif not alive(child):  # ckpt-seal is stopped, or has not looked yet; or it is gone by now
                if status_of(child).get("Name", "swtpm") != "swtpm":
                    found.setdefault("CRIU", child)
            elif words and words[0].endswith(b"swtpm"):
                found["swtpm"] = child
        return found

    def processes_of_the_run(self):
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
            try:
                if self.mark.encode() in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
            except OSError:
                continue  # it ended meanwhile
        return [pid for pid in found if alive(pid)]

    @staticmethod
    def run_folder_of(pid):
        for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            try:
                name = os.readlink(path)
            except FileNotFoundError:
                continue  # closed meanwhile: only the process that waits at a step stands still
            if RUN_FOLDER.match(name):
                return pathlib.Path(name)
        return None

    def goes_on_undisturbed(self, *pids):
        self.goes_on()
        for pid in pids:
            status = status_of(pid)
            self.assertIn(status["State"][0], "RSD")
            self.assertEqual(status["TracerPid"], "0")
            self.assertFalse(is_frozen(pid))
        numbers = self.numbers()
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))

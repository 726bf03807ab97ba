#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counting uses while processes are killed at its steps, something stands before the TPM, or CRIU restores: no use is ever won."""

import json
import os
import signal
import subprocess
import sys
import time
import unittest

import support
from limit_case import CONTENT, LimitCase, UseRecord, wait_for
from process_case import COUNTER, ProcessCase, alive, children_of, wait_until
from step_case import VARIABLE, StepCase, build_has_steps, status_of, words_of

sys.path.insert(0, str(support.TOP / "tests" / "attacks"))
from tpm_in_the_middle import TpmInTheMiddle, code_of  # noqa: E402

# docs/state.md, "uses": the step, and whether the use is gone then.
STEPS = (("use: the TPM is locked", False), ("use: the record has no name", False), ("use: the record is written", True),
         ("use: it is counted", True))
NV_READ, NV_INCREMENT = 0x14E, 0x134


def stopped_at(test, step, command):
    """It, stopped there, with pipes for what it says."""
    running = subprocess.Popen([support.program(), *map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=dict(support.ENVIRONMENT, **{VARIABLE: step}))
    test.addCleanup(running.kill)

    def stopped():
        if running.poll() is not None:
            raise AssertionError(f"it ended before '{step}': {running.stderr.read().decode()}")
        return status_of(running.pid).get("State", "").startswith("T")
    wait_until(stopped, f"the step '{step}' is reached")
    return running


class UsesCutShort(LimitCase):
    @classmethod
    def setUpClass(cls):
        if not build_has_steps():
            raise unittest.SkipTest("this build has no steps")
        super().setUpClass()

    def killed_at(self, step, victim):
        """What an opening that ends there has given out."""
        running = stopped_at(self, step, ["--state", self.host.state, "open", self.path])
        helper, = (child for child in children_of(running.pid) if words_of(child) == words_of(running.pid))
        os.kill(helper if victim == "helper" else running.pid, signal.SIGKILL)
        wait_until(lambda: not alive(helper), "the helper ends")
        if victim == "helper":
            os.kill(running.pid, signal.SIGCONT)
        out, _ = running.communicate(timeout=120)
        self.assertNotEqual(running.returncode, 0)
        return out

    def open_until_refused(self):
        """How often it opened."""
        for count in range(10):
            done = self.open()
            if done.returncode != 0:
                self.refused(done, 6, "used up")
                self.assertEqual(done.stdout, b"")
                return count
            self.assertEqual(done.stdout, CONTENT)
        raise AssertionError("it opens as often as one likes")

    def test_killed_at_each_step(self):
        for victim in ("command", "helper"):
            for step, gone in STEPS:
                with self.subTest(step=step, victim=victim):
                    self.path = self.folder / f"{step[5:]}.{victim}.cks"
                    self.seal("--restores", 2)
                    self.assertEqual(self.killed_at(step, victim), b"")
                    # A parent whose helper is gone goes on counting.
                    self.assertEqual(self.open_until_refused(), 1 if gone or victim == "helper" else 2)
                    self.assertEqual(self.record.counter, self.counter())

    def test_killed_again_and_again(self):
        for step, gone in STEPS:
            with self.subTest(step=step):
                self.path = self.folder / f"{step[5:]}.cks"
                self.seal("--restores", 3)
                for _ in range(2):
                    self.assertEqual(self.killed_at(step, "command"), b"")
                self.assertEqual(self.open_until_refused(), 1 if gone else 3)
                self.assertEqual(self.record.counter, self.counter())

    def test_an_earlier_record_after_a_kill(self):
        """It agrees with a counter that has not followed, and then the use that was cut short gave nothing out; else it does not."""
        self.seal("--restores", 1)
        earlier = self.uses_path.read_bytes()
        self.assertEqual(self.killed_at("use: the record is written", "command"), b"")
        self.uses_path.write_bytes(earlier)
        self.opens()
        self.stays_shut(6, "used up")
        self.path = self.folder / "other.cks"
        self.seal("--restores", 1)
        earlier = self.uses_path.read_bytes()
        self.assertEqual(self.killed_at("use: it is counted", "command"), b"")
        self.uses_path.write_bytes(earlier)
        self.stays_shut(6, "is not the latest one")

    def test_provisioning_killed_while_it_writes_the_record(self):
        for step in ("use: the record has no name", "use: the record is written"):
            for first in (True, False):
                with self.subTest(step=step, first=first):
                    host = self.host = self.copy_of_host(f"h{step[-4:].strip()}{first}")
                    self.path = self.folder / f"{host.state.name}.cks"
                    self.seal("--restores", 1)
                    self.opens()
                    self.uses_path.unlink()
                    if first:
                        # Without record and counter what is younger than this second is new, and nobody knows better.
                        wait_for(int(time.time()))
                        host.with_tools("tpm2_nvundefine", "-Q", "-C", "o", "0x1800f10")
                    running = stopped_at(self, step, ["--state", host.state, "provision"])
                    running.kill()
                    running.communicate(timeout=120)
                    self.provision_anew()
                    self.stays_shut(6)
                    self.seal("--restores", 1, "--force")
                    self.opens()
                    self.stays_shut(6, "used up")


class UsesOnTheBus(LimitCase):
    """Its TPM outlives each command, and something can stand before it."""

    @classmethod
    def make_host(cls, name):
        cls.tpm = support.start_tpm(cls, "tpm-b")
        return support.Host(cls.base, name, f"swtpm:path={cls.tpm}")

    def copy_of_host(self, name="h"):
        return self.b

    def recorded(self, **options):
        with TpmInTheMiddle(self.base / "bus", self.tpm) as bus:
            self.opens(*options.get("options", ()), tpm=bus.options)
        return bus.exchanges

    def open(self, *options, path=None, host=None, tpm=(), **more):
        return self.b.run(*tpm, "open", *options, path or self.path, **more)

    def attacked(self, behavior):
        with TpmInTheMiddle(self.base / "bus", self.tpm, behavior) as bus:
            done = self.open(tpm=bus.options)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, b"")
        for what in ("-t", "-l", "-s"):
            self.b.with_tools("tpm2_flushcontext", what)

    def test_an_earlier_answer_brings_no_use_back(self):
        self.seal("--restores", 1)
        earlier = self.uses_path.read_bytes()
        answers = {code_of(command): answer for command, answer in self.recorded()}
        latest = self.uses_path.read_bytes()
        self.stays_shut(6, "used up")
        self.uses_path.write_bytes(earlier)
        self.attacked(lambda _at, command, ask: answers[NV_READ] if code_of(command) == NV_READ else ask())
        # The TPM's own answer, with the value that would fit.
        value = UseRecord(latest).counter

        def with_the_earlier_value(_at, command, ask):
            answer = ask()
            if code_of(command) != NV_READ:
                return answer
            self.assertNotIn(value.to_bytes(8, "big"), answer)  # it is encrypted
            return answer[:16] + bytes([answer[16] ^ 1]) + answer[17:]
        self.attacked(with_the_earlier_value)
        self.assertEqual(self.uses_path.read_bytes(), earlier)
        self.uses_path.write_bytes(latest)
        self.stays_shut(6, "used up")

    def test_a_count_that_is_swallowed_gives_nothing(self):
        self.seal("--restores", 3)
        answers = {code_of(command): answer for command, answer in self.recorded()}
        before = self.counter()
        self.attacked(lambda _at, command, ask: answers[NV_INCREMENT] if code_of(command) == NV_INCREMENT else ask())
        self.assertEqual(self.counter(), before)
        self.opens()
        self.stays_shut(6, "used up")


class UsesOfProcesses(ProcessCase):
    def dumped_with(self, *options):
        child = self.start(COUNTER)
        self.dump_away(child, *options)
        return child.pid

    def end_restored(self, pid):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the restored task is gone")

    def test_restored_so_often_and_no_more(self):
        pid = self.dumped_with("--restores", 2)
        for _ in range(2):
            self.succeeds(self.restore())
            self.goes_on()
            self.end_restored(pid)
        self.refused_restore(pid, 6)
        self.assertEqual(self.tasks(), [])
        lines = [json.loads(line) for line in (self.b.state / "journal").read_text().splitlines()]
        self.assertEqual([line["code"] for line in lines[-3:]], [0, 0, 6])
        self.assertEqual(lines[-1]["reason"], "revoked")
        self.assertIn("used up", lines[-1]["message"])

    def test_what_is_damaged_uses_what_was_written_down(self):
        pid = self.dumped_with("--restores", 2)
        before = (self.b.state / "uses").read_bytes()
        whole = self.sealed_file.read_bytes()
        self.sealed_file.write_bytes(whole[:-5000] + bytes([whole[-5000] ^ 1]) + whole[-4999:])  # the manifest
        self.refused_restore(pid, 5)
        self.assertEqual((self.b.state / "uses").read_bytes(), before)
        self.sealed_file.write_bytes(whole)
        self.flip_a_bit()  # a chunk, which is read when CRIU was given others
        self.refused_restore(pid, 5)
        self.flip_a_bit()
        self.succeeds(self.restore())
        self.end_restored(pid)
        self.refused_restore(pid, 6)


class UsesOfProcessesCutShort(StepCase):
    def test_killed_at_each_step_of_counting(self):
        child = self.start(COUNTER)
        self.dump_away(child, "--restores", 4)
        pid = child.pid
        for step, _ in STEPS:
            running, roles = self.stopped_at(step, "ckpt-seal", ["ckpt-seal", "helper"],
                                             ["--state", self.b.state, "restore", "--detach", self.sealed_file])
            os.kill(roles["ckpt-seal"], signal.SIGKILL)
            running.wait(timeout=120)
            wait_until(lambda: not any(alive(number) for number in roles.values()), "its helper and CRIU end")
            # A CRIU that ends while it tries out what the kernel can leaves a stopped child of its own behind.
            for left in self.processes_of_the_run():
                try:
                    os.kill(left, signal.SIGKILL)
                except ProcessLookupError:
                    pass  # it ended meanwhile
            self.assertFalse(alive(pid))
            self.assertEqual(self.tasks(), [])
        # Two of four were lost at the last two steps.
        for _ in range(2):
            self.succeeds(self.restore())
            self.goes_on()
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the restored task is gone")
        self.refused_restore(pid, 6)


if __name__ == "__main__":
    support.main()

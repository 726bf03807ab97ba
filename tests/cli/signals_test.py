#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A signal to dump or restore: what was begun is taken back, or what cannot be taken back is ended well. docs/criu.md,
"Signals".

CRIU is the real one with a second action script, which holds it at a step until the test lets it go on."""

import json
import os
import pathlib
import re
import shlex
import signal
import subprocess

import support
from process_case import COUNTER, ProcessCase, alive, wait_until

# Says that the step is reached, and stays there until somebody has written to the pipe. It has the pipe open before it says so:
# who writes to a pipe that nobody reads would let nobody go on.
HOLDER = """#!/bin/sh
[ "$CRTOOLS_SCRIPT_ACTION" = "$(cat {folder}/step)" ] || exit 0
exec 3<>{folder}/pipe
: >{folder}/reached
read -r word <&3
exit 0
"""
# The script that is named last runs first.
HELD_CRIU = """#!/bin/sh
echo "$@" >{folder}/arguments
verb=$1
shift
if [ -e {folder}/last ]; then
    exec {criu} "$verb" --action-script {folder}/holder "$@"
fi
exec {criu} "$verb" "$@" --action-script {folder}/holder
"""


class SignalCase(ProcessCase):
    def setUp(self):
        super().setUp()
        os.mkfifo(self.folder / "pipe")
        words = {"folder": shlex.quote(str(self.folder)), "criu": shlex.quote(os.environ["CRIU"])}
        for name, text in (("holder", HOLDER), ("criu", HELD_CRIU)):
            self.write(name, text.format(**words).encode()).chmod(0o755)
        self.addCleanup(self.let_go_on)

    def hold_at(self, step, last=False):
        """From the next run on: before ckpt-seal's own action script is asked at that step, or after."""
        self.write("step", step.encode())
        (self.folder / "reached").unlink(missing_ok=True)
        (self.folder / "last").unlink(missing_ok=True)
        if last:
            self.write("last", b"")

    def let_go_on(self):
        try:
            pipe = os.open(self.folder / "pipe", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return  # nobody waits
        try:
            os.write(pipe, b"on\n")
        except BrokenPipeError:
            pass
        os.close(pipe)

    def begin(self, state, *arguments, **options):
        """The command, with its CRIU at the step. It leads a group of processes, as a job of a terminal does."""
        command = [support.program(), "--state", state, *map(str, arguments), "--criu", str(self.folder / "criu")]
        options.setdefault("start_new_session", True)
        running = subprocess.Popen(command, env=support.ENVIRONMENT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, **options)
        self.addCleanup(running.stderr.close)
        self.addCleanup(running.wait)
        self.addCleanup(running.kill)
        wait_until(lambda: (self.folder / "reached").exists() or running.poll() is not None, "CRIU is at the step")
        self.assertTrue((self.folder / "reached").exists(), "it ended before")
        words = (self.folder / "arguments").read_text().split()
        self.run_folder = pathlib.Path(words[words.index("--images-dir") + 1])
        self.assertTrue(self.run_folder.is_dir())
        return running

    def begin_dump(self, child, **options):
        return self.begin(self.a.state, "dump", "-t", child.pid, "-o", self.sealed_file, "--to", self.b.record(),
                          **options)

    def begin_restore(self, *more, **options):
        return self.begin(self.b.state, "restore", *more, self.sealed_file, **options)

    def ends(self, running, code, *words):
        """With one sentence that has these words, or none, beside what CRIU says; and nothing of it stays."""
        text = running.stderr.read().decode()
        self.assertEqual(running.wait(timeout=120), code, text)
        lines = [line for line in text.splitlines() if re.match("ckpt-seal: (?!warning:)", line)]
        self.assertEqual(len(lines), 1 if words else 0, text)
        for word in words:
            self.assertIn(word, lines[0])
        self.assertFalse(self.run_folder.exists())

    def last_entry(self, host):
        return json.loads((host.state / "journal").read_text().splitlines()[-1])


class SignalsToDump(SignalCase):
    def given_up(self, child, running, number):
        self.ends(running, -number, number.name, "goes on")
        self.assertFalse(self.sealed_file.exists())
        self.assertIsNone(child.poll())
        self.goes_on()
        entry = self.last_entry(self.a)
        self.assertEqual((entry["verb"], entry["code"], entry["reason"]), ("dump", 128 + number, "failed"))

    def mappings(self, child):
        return [line.split()[:2] for line in pathlib.Path(f"/proc/{child.pid}/maps").read_text().splitlines()]

    def test_before_the_commit_it_is_given_up(self):
        child = self.start(COUNTER)
        before = self.mappings(child)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            for step in ("pre-stream", "post-dump"):
                with self.subTest(number=number, step=step):
                    self.hold_at(step)
                    running = self.begin_dump(child)
                    frozen = "tracing stop" in pathlib.Path(f"/proc/{child.pid}/status").read_text()
                    self.assertEqual(frozen, step == "post-dump")
                    running.send_signal(number)
                    self.let_go_on()
                    self.given_up(child, running, number)
        # CRIU was not killed, and so has tidied up.
        self.assertEqual(self.mappings(child), before)

    def test_its_twin_without_a_signal_is_done(self):
        child = self.start(COUNTER)
        self.hold_at("post-dump")
        running = self.begin_dump(child)
        self.let_go_on()
        self.ends(running, 0)
        self.assertEqual(child.wait(timeout=60), -signal.SIGKILL)
        self.assertTrue(self.sealed_file.exists())

    def test_one_that_a_terminal_sends_to_all(self):
        child = self.start(COUNTER)
        self.hold_at("post-dump")
        running = self.begin_dump(child)
        criu = self.criu_of()
        self.assertTrue(criu)
        # In a script it blocks all signals, so that this alone shows whether one reaches it.
        self.assertNotIn(running.pid, [os.getpgid(pid) for pid in criu])
        os.killpg(running.pid, signal.SIGINT)
        self.let_go_on()
        self.given_up(child, running, signal.SIGINT)

    def test_no_terminal_stops_it_while_the_tasks_are_frozen(self):
        # A group that is not orphaned: the kernel stops no other from a terminal.
        child = self.start(COUNTER)
        self.hold_at("post-dump")
        running = self.begin_dump(child, start_new_session=False, preexec_fn=os.setpgrp)
        for number in (signal.SIGTSTP, signal.SIGTTOU, signal.SIGTTIN):
            os.killpg(running.pid, number)
        self.let_go_on()
        running.wait(timeout=120)
        self.ends(running, 0)
        self.assertEqual(child.wait(timeout=60), -signal.SIGKILL)

    def test_one_that_criu_gets_as_well(self):
        # As from a service manager that ends all of a service.
        child = self.start(COUNTER)
        self.hold_at("post-dump")
        running = self.begin_dump(child)
        running.send_signal(signal.SIGTERM)
        for pid in self.criu_of():
            os.kill(pid, signal.SIGTERM)
        self.let_go_on()
        self.given_up(child, running, signal.SIGTERM)

    def criu_of(self):
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if os.fsencode(self.run_folder) in words:
                found.append(int(path.parent.name))
        return found

    def test_after_the_commit_it_is_done(self):
        child = self.start(COUNTER)
        self.hold_at("post-dump", last=True)
        running = self.begin_dump(child)
        self.assertTrue(self.sealed_file.exists())
        running.send_signal(signal.SIGTERM)
        self.let_go_on()
        self.ends(running, 0)
        self.assertEqual(child.wait(timeout=60), -signal.SIGKILL)
        self.assertEqual(self.last_entry(self.a)["code"], 0)

    def test_one_that_its_caller_ignores_stays_ignored(self):
        child = self.start(COUNTER)
        self.hold_at("post-dump")
        running = self.begin_dump(child, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        running.send_signal(signal.SIGHUP)
        self.let_go_on()
        self.ends(running, 0)
        self.assertEqual(child.wait(timeout=60), -signal.SIGKILL)


class SignalsToRestore(SignalCase):
    def test_before_the_tasks_run_nothing_is_restored(self):
        pid = self.dumped()
        count = len(self.numbers())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            for step in ("pre-stream", "post-restore"):
                for more in ((), ("--detach",)):
                    with self.subTest(number=number, step=step, more=more):
                        self.hold_at(step)
                        running = self.begin_restore(*more)
                        self.assertEqual(alive(pid), step == "post-restore")
                        os.killpg(running.pid, number)
                        self.ends(running, -number, number.name, "nothing")
                        self.assertFalse(alive(pid))
                        self.assertEqual(len(self.numbers()), count)
                        entry = self.last_entry(self.b)
                        self.assertEqual((entry["verb"], entry["code"], entry["pid"]), ("restore", 128 + number, None))
        # Its twin: without a signal it is restored.
        self.hold_at("post-restore")
        running = self.begin_restore("--detach")
        self.let_go_on()
        self.ends(running, 0)
        self.goes_on()

    def test_after_that_a_detached_one_is_done(self):
        pid = self.dumped()
        self.hold_at("pre-resume")
        running = self.begin_restore("--detach")
        os.killpg(running.pid, signal.SIGTERM)
        self.let_go_on()
        self.ends(running, 0)
        self.assertTrue(alive(pid))
        self.goes_on()

    def test_and_one_in_the_foreground_passes_it_on(self):
        pid = self.dumped()
        self.hold_at("pre-resume")
        running = self.begin_restore()
        running.send_signal(signal.SIGTERM)
        self.let_go_on()
        self.ends(running, 128 + signal.SIGTERM)
        self.assertFalse(alive(pid))

    def signals_of(self, pid):
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
        return [line for line in lines if line.startswith(("SigBlk", "SigIgn", "SigCgt"))]

    def test_a_restored_task_blocks_and_ignores_what_it_did(self):
        blocking = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})\n" + COUNTER
        for program in (COUNTER, blocking):
            child = self.start(program)
            before = self.signals_of(child.pid)
            self.dump_away(child)
            self.succeeds(self.restore())
            self.assertEqual(self.signals_of(child.pid), before)
            self.end_tasks()
            wait_until(lambda: not os.path.exists(f"/proc/{child.pid}"), "the restored task is gone")
            self.out.unlink()
            self.sealed_file.unlink()


if __name__ == "__main__":
    support.main()

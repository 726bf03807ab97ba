#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rewrap whose helper, or who itself, is killed while the helper waits: for what a user types, for the TPM, for a signature."""

import array
import fcntl
import os
import signal
import subprocess
import sys
import termios
import threading

import support
from process_case import alive, children_of, wait_until
from rewrap_test import RewrapCase

sys.path.insert(0, str(support.TOP / "tests" / "attacks"))
from tpm_in_the_middle import TpmInTheMiddle, code_of  # noqa: E402

SIGN = 0x15D  # TPM2_Sign: asked for by the command, while the helper waits for it
VICTIMS = ("helper", "command")


class RewrapKilled(RewrapCase):
    @classmethod
    def make_host(cls, name):
        # Its TPM outlives each command: so there is no other child than the helper, and something can stand before it.
        if name != "host-b":
            return super().make_host(name)
        cls.tpm = support.start_tpm(cls, "tpm-b")
        return support.Host(cls.base, name, f"swtpm:path={cls.tpm}")

    def setUp(self):
        super().setUp()
        self.path = self.sealed(b"some content", "host-b", "--to", "passphrase", "--passphrase-fd", "0", input=b"horse\n")
        self.content = self.path.read_bytes()

    def sealed(self, content, to, *more, **options):
        path = self.folder / "x.cks"
        self.succeeds(self.a.run("seal", "-o", path, "--to", self.hosts[to].record(), *more, self.write("plain", content), **options))
        return path

    def start(self, *arguments, **options):
        return subprocess.Popen([support.program(), "--state", self.b.state, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=support.ENVIRONMENT, **options)

    def kill(self, process, victim):
        """The helper ends in either case: it does not outlive whom it works for."""
        helper, = children_of(process.pid)
        os.kill(helper if victim == "helper" else process.pid, signal.SIGKILL)
        wait_until(lambda: not alive(helper), "the helper ends")

    def ended(self, process):
        _, errors = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, b"", errors)

    def nothing_was_changed(self, done, victim):
        # A TPM without a resource manager keeps what somebody loaded who did not live to flush it.
        for what in ("-t", "-l", "-s"):
            self.b.with_tools("tpm2_flushcontext", what)
        if victim == "helper":
            self.refused(done, 1, "The helper was ended by signal 9", "nothing was kept, try again")
        else:
            self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
        self.assertEqual(self.path.read_bytes(), self.content)
        self.opens(self.b, self.path)
        self.refused(self.c.run("open", "-o", "-", self.path), 9)

    def add_undisturbed(self):
        """What was asked for is done when it is asked for again."""
        self.succeeds(self.b.run("rewrap", self.path, "--add", self.c.record()))
        self.is_whole(self.path, self.b, self.c)

    def killed_at_answer(self, victim, number):
        """Before the TPM's answer of that number; what commands the TPM was asked."""
        started = threading.Event()
        process = None

        def behavior(at, _command, ask):
            if at == number:
                started.wait(60)
                self.kill(process, victim)
            return ask()

        with TpmInTheMiddle(self.folder / "bus", self.tpm, behavior) as bus:
            process = self.start(*bus.options, "rewrap", self.path, "--add", self.c.record())
            started.set()
            done = self.ended(process)
        return done, [code_of(command) for command, _ in bus.exchanges]

    def test_while_it_waits_for_each_answer_of_the_tpm(self):
        _, commands = self.killed_at_answer("nobody", -1)
        self.is_whole(self.path, self.b, self.c)
        self.assertIn(SIGN, commands)
        for victim in VICTIMS:
            for number in range(len(commands)):
                with self.subTest(victim=victim, command=hex(commands[number])):
                    self.path.write_bytes(self.content)
                    done, asked = self.killed_at_answer(victim, number)
                    self.nothing_was_changed(done, victim)
                    self.assertEqual(asked[:number], commands[:number])
        self.add_undisturbed()

    def waiting_for(self, option, *arguments):
        """A rewrap that has read half of what it reads from the descriptor of that option."""
        there, here = os.pipe()
        self.addCleanup(os.close, here)
        process = self.start("rewrap", self.path, *arguments, option, there, pass_fds=(there,))
        os.write(here, b"hor")
        unread = array.array("i", [1])

        def all_is_read():
            fcntl.ioctl(there, termios.FIONREAD, unread)
            return unread[0] == 0

        wait_until(all_is_read, "the helper reads")
        os.close(there)
        return process

    def test_while_it_waits_for_a_passphrase(self):
        for victim in VICTIMS:
            for option, *arguments in (
                    ("--passphrase-fd", "--identity", "passphrase", "--add", self.c.record()),
                    # Here it has the data key already.
                    ("--new-passphrase-fd", "--add", "passphrase", "--add", self.c.record(), "--remove", "passphrase")):
                with self.subTest(victim=victim, option=option):
                    process = self.waiting_for(option, *arguments)
                    self.kill(process, victim)
                    self.nothing_was_changed(self.ended(process), victim)
        self.add_undisturbed()


if __name__ == "__main__":
    support.main()

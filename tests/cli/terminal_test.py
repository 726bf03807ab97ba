#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PINs that people type on their terminal. docs/policies.md, "Terms"."""

import fcntl
import os
import pty
import select
import subprocess
import termios
import time

import support
from policy_case import CONTENT, PolicyCase

HOST_PIN = "Zq7-unlike-9182736455"


class Terminal:
    """A program of ours on a terminal of its own."""

    def __init__(self, *words):
        self.end, inner = pty.openpty()

        def take_terminal():
            os.setsid()
            fcntl.ioctl(inner, termios.TIOCSCTTY, 0)
        self.child = subprocess.Popen([support.program(), *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, env=support.ENVIRONMENT, preexec_fn=take_terminal, pass_fds=(inner,))
        os.close(inner)
        self.shown = b""

    def waits_for(self, prompt, until=60):
        limit = time.monotonic() + until
        while not self.shown.endswith(prompt):
            ready, _, _ = select.select([self.end], [], [], max(0, limit - time.monotonic()))
            if not ready:
                raise AssertionError(f"{prompt} was not asked for: {self.shown}")
            self.shown += os.read(self.end, 4096)

    def types(self, prompt, text):
        self.waits_for(prompt)
        self.shown = b""
        os.write(self.end, text)

    def ends(self):
        """As subprocess.run() has it, with all that the terminal showed."""
        out, err = self.child.communicate(timeout=120)
        while select.select([self.end], [], [], 0)[0]:
            try:
                self.shown += os.read(self.end, 4096)
            except OSError:  # nobody has the other end any more
                break
        os.close(self.end)
        return subprocess.CompletedProcess(self.child.args, self.child.returncode, out, err)


class TypedPins(PolicyCase):
    """A PIN that is typed."""

    def setUp(self):
        super().setUp()
        self.a.with_tools("tpm2_dictionarylockout", "-c")
        self.with_pin = self.policy("--tpm2-with-pin", "--tpm2-pcrs", "sha256:7")

    def on_terminal(self, *words):
        return Terminal("--state", self.a.state, *words)

    def sealing(self):
        return self.on_terminal("seal", "--force", "--policy", self.with_pin, "-o", self.folder / "x.cks", self.write("plain", CONTENT))

    def test_typed_twice_and_once(self):
        typing = self.sealing()
        typing.types(b"PIN: ", HOST_PIN.encode() + b"\r")
        typing.types(b"The same again: ", HOST_PIN.encode() + b"\n")
        self.succeeds(typing.ends())
        self.assertNotIn(b"9182", typing.shown)  # not echoed
        for typed in (HOST_PIN.encode() + b"\n", b"x\x7f" + HOST_PIN.encode() + b"yz\x08\x7f\r"):
            opening = self.on_terminal("open", "-o", "-", self.folder / "x.cks")
            opening.types(b"PIN: ", typed)
            self.assertEqual(self.succeeds(opening.ends()).stdout, CONTENT)
            self.assertNotIn(b"9182", opening.shown)

    def test_slips(self):
        typing = self.sealing()
        typing.types(b"PIN: ", b"1234\n")
        typing.types(b"The same again: ", b"1235\n")
        self.refused(typing.ends(), 2, "differ")
        self.assertFalse((self.folder / "x.cks").exists())
        self.succeeds(self.seal("--policy", self.with_pin, "--passphrase-fd", "0", input=f"{HOST_PIN}\n".encode()))
        for typed, code, words in ((b"1234\n", 3, "The PIN is wrong"), (b"\n", 2, "empty"), (b"12\x03", 1, "Interrupted")):
            opening = self.on_terminal("open", "-o", "-", self.folder / "x.cks")
            opening.types(b"PIN: ", typed)
            done = self.refused(opening.ends(), code, words)
            self.assertEqual(done.stdout, b"")

    def test_rewrap_adds_a_slot_with_a_pin(self):
        """One PIN opens the file, and another is that of the new slot."""
        self.succeeds(self.seal("--policy", self.with_pin, "--passphrase-fd", "0", input=f"{HOST_PIN}\n".encode()))
        other = self.policy("--tpm2-with-pin", "--tpm2-pcrs", "sha256:4", name="other")
        change = ("rewrap", self.folder / "x.cks", "--add", "self", "--remove", "0", "--policy", other)
        before = (self.folder / "x.cks").read_bytes()
        self.refused(self.rewrap(*change, old="1234", new="5678"), 3, "The PIN is wrong")
        self.refused(self.rewrap(*change, old=HOST_PIN, new=""), 2, "empty")
        self.assertEqual((self.folder / "x.cks").read_bytes(), before)
        self.succeeds(self.rewrap(*change, old=HOST_PIN, new="5678"))
        self.assertEqual(self.succeeds(self.open_with("5678")).stdout, CONTENT)
        self.refused(self.open_with(HOST_PIN), 3, "The PIN is wrong")
        (slot,) = self.json(self.a.run("--json", "inspect", self.folder / "x.cks"))["slots"]
        self.assertEqual([list(term) for term in slot["policy"]], [["pcrs"], ["pin"]])
        self.assertEqual(list(slot["policy"][0]["pcrs"]), ["4"])
        # Typed, the new one twice.
        self.succeeds(self.seal("--policy", self.with_pin, "--passphrase-fd", "0", input=f"{HOST_PIN}\n".encode()))
        typing = self.on_terminal(*change)
        typing.types(b"PIN: ", HOST_PIN.encode() + b"\n")
        typing.types(b"PIN: ", b"5678\n")
        typing.types(b"The same again: ", b"5678\n")
        self.succeeds(typing.ends())
        self.assertEqual(self.succeeds(self.open_with("5678")).stdout, CONTENT)

    def open_with(self, pin):
        return self.a.run("open", "-o", "-", "--passphrase-fd", "0", self.folder / "x.cks", input=f"{pin}\n".encode())

    def rewrap(self, *words, old, new):
        """Old and new PIN by two descriptors."""
        ends = []
        for text in (old, new):
            read_end, write_end = os.pipe()
            os.write(write_end, f"{text}\n".encode())
            os.close(write_end)
            ends.append(read_end)
        try:
            return self.a.run(*words, "--passphrase-fd", ends[0], "--new-passphrase-fd", ends[1], pass_fds=ends)
        finally:
            for end in ends:
                os.close(end)


if __name__ == "__main__":
    support.main()

# SPDX-License-Identifier: Apache-2.0
"""A device on the bus between host-b and its TPM, while host-b restores: it records, replays, changes answers, and puts another
TPM in the place of the pinned one. Its twin lets everything through, and the process goes on."""

import attack_case
import support
from attack_case import PASSPHRASE
from header_parts import flipped, put
from tpm_in_the_middle import HEADER, SILENCE, TpmInTheMiddle, code_of

IMPORT, LOAD, START_SESSION, POLICY_PCR, UNSEAL, FLUSH = 0x156, 0x157, 0x176, 0x17F, 0x15E, 0x165
NAMES = {IMPORT: "Import", LOAD: "Load", START_SESSION: "StartAuthSession", POLICY_PCR: "PolicyPCR", UNSEAL: "Unseal",
         FLUSH: "FlushContext"}
COMMANDS = list(NAMES.values())  # in the order of a restore
BEFORE_FLUSH = COMMANDS.index("FlushContext")
POLICY, INTEGRITY, BACKEND = 3, 5, 8
# An answer may be changed into another well-formed one, a refusal for instance, and is then reported as that.
BROKEN = (1, POLICY, INTEGRITY, BACKEND)
NO_KEY = 0x40000007  # TPM_RH_NULL: a session without salt
ENCRYPT = 0x40  # of a session: TPMA_SESSION


def attributes_at(command):
    """Of the session of a command with one handle: its handle, a nonce, then the attributes."""
    nonce_at = HEADER + 4 + 4 + 4
    return nonce_at + 2 + int.from_bytes(command[nonce_at:nonce_at + 2], "big")


def at_command(name, answer):
    """Undisturbed but for the command of that name. The ones behind it may be others, for what is begun is taken back."""
    return lambda number, _command, ask: answer(ask) if number == COMMANDS.index(name) else ask()


class OnTheBus(attack_case.AttackCase):
    @classmethod
    def make_host(cls, name):
        if name != "host-b":
            return super().make_host(name)
        cls.tpm = support.start_tpm(cls, "tpm-b")
        return support.Host(cls.base, name, f"swtpm:path={cls.tpm}")

    def between(self, behavior=lambda _number, _command, ask: ask()):
        return TpmInTheMiddle(self.base / "bus", self.tpm, behavior)

    def record(self):
        """What a restore that nobody disturbs says to the TPM and hears from it."""
        if not hasattr(type(self), "recorded"):
            with self.between() as bus:
                self.goes_on_from_where_it_stopped(self.victim.data, tpm=bus.options)
            type(self).recorded = bus.exchanges
        return self.recorded

    def refused_with(self, behavior, *codes):
        """With one of these codes, and nothing happened."""
        path = self.write("attacked.cks", self.victim.data)
        with self.between(behavior) as bus:
            done, pid, left = self.restore_alone(path, tpm=bus.options)
        self.assertIn(done.returncode, codes, done.stderr.decode())
        self.refused(done, done.returncode)
        self.nothing_happened(pid, left)
        self.let_go()

    def harmless(self, behavior):
        """What comes too late, or changes nothing: the process that was dumped goes on, and no other."""
        with self.between(behavior) as bus:
            self.goes_on_from_where_it_stopped(self.victim.data, tpm=bus.options)
        self.let_go()

    def let_go(self):
        """The TPM has room for three sessions and objects, and the device on the bus keeps it from letting go of them."""
        self.b.with_tools("sh", "-c", "tpm2_flushcontext -t && tpm2_flushcontext -l && tpm2_flushcontext -s")

    def test_the_twin_that_nobody_disturbs_goes_on(self):
        self.assertEqual([NAMES[code_of(command)] for command, _ in self.record()], COMMANDS)

    def test_the_record_holds_no_key(self):
        record = b"".join(command + answer for command, answer in self.record())
        self.assertGreater(len(record), 1000)
        key = self.b.unseal_by_other_means(self.base / "victim.cks")
        self.assertEqual(key, self.victim.data_key)
        others = [self.victim.key(b"ckpt-seal/v1/" + name) for name in (b"header", b"manifest", b"parent")]
        image_keys = [self.victim.image_key(name) for name in self.victim.images]
        for secret in (key, self.victim.manifest.prk, *others, *image_keys, PASSPHRASE):
            for part in (secret[:16], secret[16:]):
                self.assertNotIn(part, record)
        # What protects it: the answer of Unseal comes under a session that encrypts it and that is salted to the storage parent.
        start = next(command for command, _ in self.record() if code_of(command) == START_SESSION)
        self.assertNotEqual(int.from_bytes(start[HEADER:HEADER + 4], "big"), NO_KEY)
        unseal = next(command for command, _ in self.record() if code_of(command) == UNSEAL)
        self.assertTrue(unseal[attributes_at(unseal)] & ENCRYPT)

    def test_answers_of_an_earlier_session(self):
        earlier = [answer for _, answer in self.record()]
        self.refused_with(lambda number, _command, _ask: earlier[min(number, len(earlier) - 1)], INTEGRITY)
        # Each alone among fresh ones. That of PolicyPCR says nothing, but then the TPM has not heard of the PCRs.
        for name, *codes in (("Load", *BROKEN), ("StartAuthSession", *BROKEN), ("PolicyPCR", POLICY), ("Unseal", INTEGRITY)):
            with self.subTest(name):
                self.refused_with(at_command(name, lambda _ask, name=name: earlier[COMMANDS.index(name)]), *codes)
        # That of Import is the same object under the same parent, and Load sees to that.
        self.harmless(at_command("Import", lambda _ask: earlier[0]))

    def test_bits_flipped_in_answers(self):
        for at, (_, answer) in enumerate(self.record()[:BEFORE_FLUSH]):
            for place in sorted({0, 5, 9, *range(HEADER, len(answer), max(1, len(answer) // 6)), len(answer) - 1}):
                with self.subTest(COMMANDS[at], place=place):
                    self.refused_with(at_command(COMMANDS[at], lambda ask, place=place: flipped(ask(), place)), *BROKEN)

    def test_bits_flipped_in_commands(self):
        for at, (command, _) in enumerate(self.record()[:BEFORE_FLUSH]):
            # Import and Load are asked for without a session: what the TPM makes of them shows in what it can load.
            for place in sorted({5, 9, *range(HEADER, len(command), max(1, len(command) // 6)), len(command) - 1}):
                with self.subTest(COMMANDS[at], place=place):
                    self.refused_with(self.changed_command(at, lambda old, place=place: flipped(old, place)), *BROKEN)

    def test_encryption_and_salt_taken_away(self):
        def without_encryption(command):
            at = attributes_at(command)
            return put(command, at, bytes([command[at] & ~ENCRYPT]))
        self.refused_with(self.changed_command(COMMANDS.index("Unseal"), without_encryption), *BROKEN)
        def without_salt(command):
            size = int.from_bytes(command[HEADER + 8 + 2 + 32:HEADER + 8 + 2 + 34], "big")
            after = HEADER + 8 + 2 + 32 + 2 + size
            other = put(command[:HEADER + 8 + 2 + 32], HEADER, NO_KEY.to_bytes(4, "big")) + b"\0\0" + command[after:]
            return put(other, 2, len(other).to_bytes(4, "big"))
        self.refused_with(self.changed_command(COMMANDS.index("StartAuthSession"), without_salt), *BROKEN)

    def changed_command(self, at, change):
        """One command reaches the TPM as something else."""
        return lambda number, command, ask: TpmInTheMiddle("", self.tpm).ask(change(command)) if number == at else ask()

    def test_rubbish_silence_and_answers_cut_short(self):
        answers = {"rubbish": b"\xff" * HEADER, "another protocol": b"HTTP/1.1 400 ", "nothing": b"",
                   "half a header": b"\x80\x01\0",
                   "too long": b"\x80\x01\0\1\0\0" + bytes(70_000), "failure mode": b"\x80\x01\0\0\0\x0a\0\0\1\1",
                   "silence": SILENCE}
        for name in COMMANDS[:BEFORE_FLUSH]:
            for what, answer in answers.items():
                with self.subTest(name, what=what):
                    self.refused_with(at_command(name, lambda _ask, answer=answer: answer), BACKEND)
            with self.subTest(name, what="cut"):
                self.refused_with(at_command(name, lambda ask: ask()[:-1]), BACKEND)

    def test_what_comes_after_the_key(self):
        # The last command only lets go of the object.
        for answer in (b"\xff" * HEADER, SILENCE):
            self.harmless(at_command("FlushContext", lambda _ask, answer=answer: answer))

    def test_another_tpm_in_its_place(self):
        bare, other = support.start_tpm(type(self), "bare"), support.start_tpm(type(self), "other")
        support.Host(self.base, "host-o", f"swtpm:path={other}")  # the same handles, other keys: another storage parent
        for tpm, code in ((bare, BACKEND), (other, INTEGRITY)):
            there = TpmInTheMiddle("", tpm).ask
            self.refused_with(lambda _number, command, _ask, there=there: there(command), code)
            for at in range(1, BEFORE_FLUSH):
                with self.subTest(tpm, at=COMMANDS[at]):
                    # From then on, and for that command alone.
                    for is_there in (at.__le__, at.__eq__):
                        self.refused_with(self.exchanged(there, is_there), *BROKEN)

    @staticmethod
    def exchanged(there, is_there):
        """The commands with these numbers reach another TPM."""
        return lambda number, command, ask: there(command) if is_there(number) else ask()


if __name__ == "__main__":
    support.main()

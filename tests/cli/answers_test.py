#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`authority answer` by itself: requests of any kind, and what it counts. docs/policies.md, "Online approval"."""

import os
import struct
import subprocess
import threading
import time
import unittest

import support
from online_case import ID, ORIGIN, USE, OnlineCase, body_of, pem
from policy_case import sha256
from process_case import wait_until


class Answers(OnlineCase):
    def test_an_answer_is_as_specified(self):
        nonce, name = os.urandom(32), b"\0\x0b" + os.urandom(32)
        request = self.request(nonce=nonce, name=name, restores=2, not_after=4102444800)
        done = self.succeeds(self.answer(request, "--expires-in", 60))
        body = body_of(done.stdout)
        self.assertEqual(done.stdout, pem(b"CKPT-SEAL ANSWER", body))
        self.assertEqual(body[:44], b"CKSANSW1" + sha256(body_of(request)) + struct.pack(">I", 60))
        reference = sha256(b"ckpt-seal/v1/online", ORIGIN, ID, struct.pack(">IQ", 2, 4102444800))
        self.verify(body[44:], nonce + struct.pack(">I", 60) + sha256(bytes.fromhex("0000015e"), name) + reference)
        self.assertEqual(self.counted(), {USE: 1})

    def verify(self, signature, message):
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self.point)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))

    def test_limits(self):
        for use in (1, 2, 3):
            done = self.json(self.ckpt_seal("--json", "authority", "answer", "--key", self.key, "--uses", self.uses,
                                            input=self.request(restores=3)))
            self.assertEqual((done["use"], done["restores"]), (use, 3))
        self.refused(self.answer(self.request(restores=3)), 6, "used up")
        self.assertEqual(self.counted(), {USE: 3})
        # A limit that was lied about is another policy for the TPM, and is counted all the same.
        self.succeeds(self.answer(self.request(restores=4)))
        self.refused(self.answer(self.request(restores=4)), 6, "used up")
        now = int(time.time())
        self.succeeds(self.answer(self.request(not_after=now + 3600), uses=False))
        self.refused(self.answer(self.request(not_after=now), uses=False), 6, "before")
        self.refused(self.answer(self.request(not_after=1, restores=9)), 6, "before")
        self.succeeds(self.answer(self.request(), uses=False))
        self.assertEqual(self.counted(), {USE: 4})

    def test_a_dry_run_counts_nothing(self):
        done = self.succeeds(self.answer(self.request(restores=1), "--dry-run"))
        self.assertIn(b"Would answer \"host-a\"", done.stdout)
        self.assertNotIn(b"BEGIN", done.stdout)
        self.assertEqual(self.counted(), {})

    def test_the_record_must_be_there(self):
        self.refused(self.answer(self.request(restores=1), uses=False), 2, "--uses")
        good = self.uses.read_bytes()
        self.uses.unlink()
        self.refused(self.answer(self.request(restores=1)), 2, "authority init --uses")
        self.assertFalse(self.uses.exists())
        for bad in (b"", good[:-1], good + b"\0", bytes(64), good[:8] + b"\x01\x80\x0f\x10" + good[12:]):
            self.uses.write_bytes(bad)
            self.refused(self.answer(self.request(restores=1)), 5, "record of uses")
        host = good[:8] + b"\x01\x80\x0f\x10" + good[12:-32]
        self.uses.write_bytes(host + sha256(host))
        self.refused(self.answer(self.request(restores=1)), 2, "a host's own")
        self.uses.unlink()
        self.uses.mkdir()
        self.refused(self.answer(self.request(restores=1)), 5, "record of uses")
        self.uses.rmdir()
        self.uses.write_bytes(good)
        self.succeeds(self.answer(self.request(restores=1)))
        # Made once: what was counted stays.
        self.succeeds(self.ckpt_seal("authority", "init", "--key", self.key, "--uses", self.uses))
        self.assertEqual(self.counted(), {USE: 1})
        self.assertEqual(self.uses.stat().st_mode & 0o777, 0o600)

    def test_requests_that_are_refused(self):
        good = self.request()
        body = body_of(good)
        for what, request, code in (
                ("another's key", self.request(point=b"\x04" + bytes(64)), 4), ("empty", b"", 5), ("no PEM", body, 5),
                ("another magic", self.request(magic=b"CKSREQU2"), 5), ("cut", pem(b"CKPT-SEAL REQUEST", body[:-1]), 5),
                ("more", pem(b"CKPT-SEAL REQUEST", body + b"\0"), 5), ("an answer", pem(b"CKPT-SEAL ANSWER", body), 5),
                ("a control character", self.request(who=b"\x1b[2J"), 5), ("long", good + b"x" * 5000, 5),
                ("no Name by SHA-256", self.request(name=b"\0\x0c" + bytes(32)), 5)):
            with self.subTest(what):
                done = self.refused(self.answer(request), code)
                self.assertEqual(done.stdout, b"")
        self.refused(self.answer(good, "--expires-in", 0), 2)
        self.refused(self.answer(good, "--expires-in", 3601), 2)
        self.assertEqual(self.counted(), {})

    def test_files_and_a_pin_by_descriptor(self):
        path = self.write("request", self.request())
        output = self.folder / "answer"
        uri = self.uri("token=archive;object=authority")
        with open(self.pin, "rb") as pin:
            done = self.ckpt_seal("authority", "answer", "--key", uri, "--passphrase-fd", pin.fileno(), "-o", output, path,
                                  pass_fds=[pin.fileno()])
        self.assertIn(b"Answered \"host-a\"", self.succeeds(done).stdout)
        self.assertEqual(len(body_of(output.read_bytes())), 108)
        self.refused(self.ckpt_seal("authority", "answer", "--key", self.key, "-o", output, path), 1, "--force")

    def test_answers_at_once_all_count(self):
        """And none of them fails, though SoftHSM can be used by one process at a time alone."""
        answers = []
        request = self.request(restores=5)
        threads = [threading.Thread(target=lambda: answers.append(self.answer(request))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        answers.sort(key=lambda done: done.returncode)
        for done in answers[:5]:
            self.succeeds(done)
        for done in answers[5:]:
            self.refused(done, 6, "used up")
        self.assertEqual((len(answers), self.counted()), (8, {USE: 5}))


class AnswersKilled(OnlineCase):
    """Ended at each step: the use may be lost, and is never given twice."""

    STEPS = (("answer: the record is locked", 0), ("answer: the use is counted", 1), ("answer: the answer is signed", 1))

    @classmethod
    def setUpClass(cls):
        if os.environ.get("CKPTSEAL_STEPS") != "1":
            raise unittest.SkipTest("this build has no steps")
        super().setUpClass()

    def test_killed(self):
        lost = 0
        for step, costs in self.STEPS:
            with self.subTest(step):
                request = self.write("request", self.request(restores=10))
                running = subprocess.Popen(
                    [support.program(), "authority", "answer", "--key", self.key, "--uses", str(self.uses), str(request)],
                    env=dict(support.ENVIRONMENT, **self.environment, CKPT_SEAL_STOP_AT=step), stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                self.addCleanup(running.stdout.close)
                self.addCleanup(running.wait)
                self.addCleanup(running.kill)

                def stopped():
                    self.assertIsNone(running.poll())
                    with open(f"/proc/{running.pid}/stat", encoding="utf-8") as file:
                        return file.read().rsplit(")", 1)[1].split()[0] == "T"
                wait_until(stopped, step)
                running.kill()
                self.assertEqual(running.stdout.read(), b"")
                lost += costs
                self.assertEqual(self.counted().get(USE, 0), lost)
                # The lock goes with whoever had it.
                self.succeeds(self.answer(self.request(restores=10)))
                lost += 1
        self.assertEqual(self.counted(), {USE: 5})
        for _ in range(5):
            self.succeeds(self.answer(self.request(restores=10)))
        self.refused(self.answer(self.request(restores=10)), 6, "used up")


if __name__ == "__main__":
    support.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Online approval: each opening is answered for, and whoever answers counts. docs/policies.md, "Online approval"."""

import base64
import os
import shlex
import signal
import struct
import subprocess
import threading
import time
import unittest

import support
from policy_case import PolicyCase, sha256
from process_case import COUNTER, ProcessCase, alive, wait_until
from step_case import words_of
from token_case import PIN, WithTokens

ID = bytes(range(16))


def pem(label, body):
    text = base64.b64encode(body)
    lines = [text[at:at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([b"-----BEGIN " + label + b"-----", *lines, b"-----END " + label + b"-----", b""])


def body_of(text):
    return base64.b64decode(b"".join(text.splitlines()[1:-1]))


def marked(mark):
    """The processes that have it in their environment."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if mark.encode() in file.read().split(b"\0"):
                    found.append(int(pid))
        except OSError:
            pass
    return found


def asleep(mark):
    return any(words_of(pid)[0] == b"sleep" for pid in marked(mark))


class OnlineCase(WithTokens, PolicyCase):
    def setUp(self):
        super().setUp()
        self.pin = self.write("pin", PIN.encode())
        self.key = self.uri("token=archive;object=authority", more=f"&pin-source=file:{self.pin}")
        self.uses = self.folder / "uses"
        done = self.json(self.ckpt_seal("--json", "authority", "init", "--key", self.key, "--uses", self.uses, "-o",
                                        self.folder / "authority.pem"))
        self.point = bytes.fromhex(done["public_key"])
        self.online = self.policy("--online", self.folder / "authority.pem", name="online")
        self.approver = shlex.join([support.program(), "authority", "answer", "--key", self.key, "--uses", str(self.uses)])

    def open(self, *more, approver=None, verb="open", name="x.cks", **options):
        output = ["-o", "-"] if verb == "open" else []
        asked = ["--approver", approver] if approver else []
        return self.ckpt_seal(*more, verb, *output, *asked, self.folder / name, **options)

    def request(self, restores=0, not_after=0, point=None, who=b"host-a", nonce=None, magic=b"CKSREQU1", name=b"\0\x0b" + bytes(32)):
        return pem(b"CKPT-SEAL REQUEST", magic + (point or self.point) + ID + struct.pack(">IQ", restores, not_after) + name +
                   (nonce or os.urandom(32)) + bytes([len(who)]) + who)

    def answer(self, request, *more, uses=True, **options):
        record = ["--uses", self.uses] if uses else []
        return self.ckpt_seal("authority", "answer", "--key", self.key, *record, *more, input=request, **options)

    def counted(self):
        """How many uses the record has, by docs/state.md, "uses"."""
        content = self.uses.read_bytes()
        self.assertEqual((content[:8], content[8:28], content[-32:]), (b"CKSUSES1", bytes(20), sha256(content[:-32])))
        (entries,) = struct.unpack(">I", content[28:32])
        self.assertEqual(len(content), 32 + 20 * entries + 32)
        return {content[at:at + 16]: struct.unpack(">I", content[at + 16:at + 20])[0] for at in range(32, 32 + 20 * entries, 20)}


class OnlineApprovals(OnlineCase):
    def refused(self, done, code, *words):
        """In the last line; the approver says something before it."""
        text = done.stderr.decode()
        self.assertEqual(done.returncode, code, text)
        self.assertEqual(done.stdout, b"")
        line = text.splitlines()[-1]
        self.assertTrue(line.startswith("ckpt-seal: "), text)
        for word in words:
            self.assertIn(word, line)
        return done

    def test_each_opening_is_answered_for(self):
        self.sealed("--policy", self.online)
        log = self.folder / "log"
        approver = f"echo asked >> {log}; exec {self.approver}"
        self.opens(approver=approver)
        self.opens(approver=approver)
        for verb in ("verify", "rewrap"):
            self.succeeds(self.open(approver=approver, verb=verb))
        self.succeeds(self.ckpt_seal("inspect", "--identity", "self", "--approver", approver, self.folder / "x.cks"))
        self.assertEqual(log.read_text().split(), ["asked"] * 5)
        done = self.opens("--verbose", approver=approver)
        self.assertIn(b"8 TPM commands: ", done.stderr)
        # Without a key it is looked at by nobody's leave.
        self.succeeds(self.ckpt_seal("inspect", self.folder / "x.cks"))
        self.succeeds(self.ckpt_seal("verify", "--no-key", self.folder / "x.cks"))
        self.assertEqual(log.read_text().count("asked"), 6)

    def test_without_an_approver(self):
        self.sealed("--policy", self.online)
        self.refused(self.open(), 3, "online approval", "--approver")

    def test_it_is_said_in_words(self):
        self.sealed("--policy", self.online)
        self.assertIn(b"an online approval", self.succeeds(self.ckpt_seal("inspect", self.folder / "x.cks")).stdout)
        done = self.json(self.ckpt_seal("--json", "policy", "explain", self.folder / "x.cks"))
        self.assertEqual(done["slots"][0]["verdict"], "opens_with_answer")
        shown = self.json(self.ckpt_seal("--json", "policy", "show", self.online))
        self.assertEqual(shown["policy"], [{"online": {"public_key": self.point.hex()}}])
        self.assertIsNone(shown["digest"])

    def test_nobody_is_asked_in_vain(self):
        self.sealed("--policy", self.policy("--tpm2-pcrs", "sha256:7", "--online", self.folder / "authority.pem", name="both"))
        log = self.folder / "log"
        approver = f"echo asked >> {log}; exec {self.approver}"
        self.opens(approver=approver)
        self.a.extend(7, "Secure Boot off")
        self.refused(self.open(approver=approver), 3, "PCR 7")
        self.assertEqual(log.read_text(), "asked\n")

    def test_answers_that_do_not_serve(self):
        self.sealed("--policy", self.online)
        kept = self.folder / "kept"
        self.opens(approver=f"{self.approver} | tee {kept}")
        self.refused(self.open(approver=f"cat {kept}"), 6, "another request")
        other = self.uri("token=archive;object=other", more=f"&pin-source=file:{self.pin}")
        self.succeeds(self.ckpt_seal("authority", "init", "--key", other, "-o", self.folder / "other.pem"))
        self.refused(self.open(approver=self.approver.replace("object=authority", "object=other")), 8, "failed with 4")
        flip = "import base64, sys; lines = sys.stdin.read().splitlines(); body = bytearray(base64.b64decode(''.join(lines[1:-1])));" \
               "body[{}] ^= 1; text = base64.b64encode(body).decode(); print(lines[0]);" \
               "print('\\n'.join(text[at:at + 64] for at in range(0, len(text), 64))); print(lines[-1])"
        for at, code in ((0, 5), (8, 6), (43, 5), (44, 5), (107, 5)):
            with self.subTest(flipped=at):
                self.refused(self.open(approver=f"{self.approver} | python3 -c {shlex.quote(flip.format(at))}"), code, "answer of the")
        for what, approver in (("nothing", "true"), ("the request", "cat"), ("twice", f"cat {kept} {kept}"),
                               ("cut", f"head -c 90 {kept}"), ("more", f"cat {kept}; echo"), ("no PEM", "echo yes")):
            with self.subTest(what):
                self.refused(self.open(approver=approver), 5, "approver")
        self.opens(approver=self.approver)

    def test_approvers_that_fail(self):
        self.sealed("--policy", self.online)
        for approver, code, word in (
                ("exit 6", 6, "refused for good"), ("exit 1", 8, "failed with 1"), ("kill -9 $$", 8, "ended by signal 9"),
                ("/no/such/program", 8, "cannot be run"), ("head -c 1000000 /dev/zero", 8, "more than an answer"),
                ("yes", 8, "more than an answer"), ("exec >&-; exit 1", 8, "failed with 1")):
            with self.subTest(approver):
                self.refused(self.open(approver=approver), code, word)

    def test_an_approver_that_hangs_is_ended_with_all_it_started(self):
        self.sealed("--policy", self.online)
        mark = f"CKPT_TEST_MARK={self.folder}"
        began = time.monotonic()
        for approver, code, word in (("sleep 300 & sleep 300; true", 8, "--approver-timeout"), ("exec sleep 300", 8, "in 1 s"),
                                     ("exec 0<&- 1>&-; sleep 300", 8, "in 1 s"), ("sleep 300 & exit 6", 6, "refused")):
            with self.subTest(approver):
                done = self.ckpt_seal("open", "-o", "-", "--approver", approver, "--approver-timeout", "1", self.folder / "x.cks",
                                      more_environment=dict([mark.split("=", 1)]))
                self.refused(done, code, word)
                wait_until(lambda: not marked(mark), "nothing of the approver is left")
        self.assertLess(time.monotonic() - began, 100)
        # One that leaves something behind it has answered all the same.
        self.opens(approver=f"sleep 300 & exec {self.approver}")

    def test_what_an_approver_is_given(self):
        self.sealed("--policy", self.online)
        seen = self.folder / "seen"
        look = f"import os, sys; print(sorted(os.readlink('/proc/self/fd/' + n).split(':')[0] for n in os.listdir('/proc/self/fd') " \
               f"if os.path.exists('/proc/self/fd/' + n)), os.getsid(0) == os.getpgid(0) != os.getpgid({os.getpid()}), " \
               f"file=open('{seen}', 'w'))"
        self.opens(approver=f"python3 -c {shlex.quote(look)} && exec {self.approver}")
        fds, session = seen.read_text().rsplit(" ", 1)
        self.assertEqual(session.strip(), "True")
        self.assertEqual([fd for fd in eval(fds) if fd != str(seen)], ["pipe", "pipe", "pipe"])  # pylint: disable=eval-used
        # What it is asked, by docs/policies.md.
        request = self.folder / "request"
        self.opens(approver=f"tee {request} | {self.approver}")
        body = body_of(request.read_bytes())
        self.assertEqual(request.read_bytes(), pem(b"CKPT-SEAL REQUEST", body))
        report = self.json(self.ckpt_seal("--json", "inspect", self.folder / "x.cks"))
        self.assertEqual(body[:73], b"CKSREQU1" + self.point)
        self.assertEqual(body[73:101], bytes.fromhex(report["checkpoint_id"]) + bytes(12))
        self.assertEqual(body[101:103], b"\0\x0b")
        self.assertEqual(body[167:], b"\x06host-a")

    def test_ending_it_ends_the_approver(self):
        self.sealed("--policy", self.online)
        mark = {"CKPT_TEST_MARK": str(self.folder)}
        running = subprocess.Popen([support.program(), "--state", str(self.a.state), "open", "-o", "-", "--approver", "exec sleep 300",
                                    str(self.folder / "x.cks")], env=dict(support.ENVIRONMENT, **mark), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(running.wait)
        self.addCleanup(running.kill)
        text = f"CKPT_TEST_MARK={self.folder}"

        wait_until(lambda: asleep(text), "the approver runs")
        running.send_signal(signal.SIGINT)
        self.assertEqual(running.wait(30), -signal.SIGINT)
        wait_until(lambda: not marked(text), "all of it has ended")


class LimitedOnline(OnlineCase):
    """Each host counts for itself; whoever answers counts for all."""

    HOSTS = ("host-a", "host-b")

    def seal_for_both(self, *limits):
        self.sealed("--to", "self", "--to", self.b.record(), "--policy", self.online, *limits)
        report = self.json(self.ckpt_seal("--json", "inspect", self.folder / "x.cks"))
        return bytes.fromhex(report["checkpoint_id"]), report

    def refused_for_good(self, host, verb="open"):
        done = self.open(approver=self.approver, host=host, verb=verb)
        self.assertEqual((done.returncode, done.stdout), (6, b""), done.stderr)
        mine, theirs = done.stderr.decode().splitlines()[-1], done.stderr.decode().splitlines()[0]
        self.assertIn("refused for good", mine)
        self.assertIn("used up", theirs)

    def test_hosts_share_the_restores(self):
        checkpoint, report = self.seal_for_both("--restores", "3")
        self.assertEqual(report["limits"]["bind"], "online_approval")
        for use, host in enumerate((self.a, self.b, self.a), 1):
            self.opens(approver=self.approver, host=host)
            self.assertEqual(self.counted(), {checkpoint: use})
        for host in (self.b, self.a):
            self.refused_for_good(host)
        self.refused_for_good(self.b, "verify")
        self.assertEqual(self.counted(), {checkpoint: 3})
        # Another file has its own.
        other, _ = self.seal_for_both("--restores", "1", "--not-after", "90d")
        self.opens(approver=self.approver, host=self.b)
        self.refused_for_good(self.a)
        self.assertEqual(self.counted(), {checkpoint: 3, other: 1})

    def test_looking_counts_there_and_not_here(self):
        self.seal_for_both("--restores", "2")
        self.succeeds(self.open(approver=self.approver, verb="verify"))
        self.opens(approver=self.approver)
        self.refused_for_good(self.a)
        self.refused_for_good(self.b)

    def test_a_slot_that_is_added_has_the_limits_too(self):
        self.sealed("--policy", self.online, "--restores", "2")
        self.succeeds(self.ckpt_seal("rewrap", "--add", self.b.record(), "--policy", self.online, "--approver", self.approver,
                                     self.folder / "x.cks"))
        self.opens(approver=self.approver, host=self.b)
        self.refused_for_good(self.a)

    def test_after_its_time_nobody_is_asked(self):
        end = int(time.time()) + 4
        self.seal_for_both("--not-after", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end)))
        asked = self.folder / "asked"
        approver = f"touch {asked}; exec {self.approver}"
        self.opens(approver=approver)
        asked.unlink()
        wait_until(lambda: time.time() >= end, "its time has passed")
        for host in (self.a, self.b):
            self.refused(self.open(approver=approver, host=host), 6)
        self.assertFalse(asked.exists())
        # Where the host's clock is wrong, the one of who answers is asked.
        self.refused(self.answer(self.request(not_after=end), uses=False), 6)

    def test_one_path_without_it_makes_them_a_host_s_own(self):
        either = self.policy("--any-of", self.online, "--any-of", self.policy("--tpm2-pcrs", "7", name="seven"), name="either")
        self.sealed("--policy", either, "--restores", "1")
        report = self.json(self.ckpt_seal("--json", "inspect", self.folder / "x.cks"))
        self.assertEqual(report["limits"]["bind"], "honest_host")
        self.opens(approver="exit 6")
        self.refused(self.open(approver=self.approver), 6)
        self.assertEqual(self.counted(), {})


class OnlineRestores(OnlineCase, ProcessCase):
    HOSTS = ("host-a", "host-b")

    def dumped_online(self, *more):
        child = self.start(COUNTER)
        self.dump_away(child, "--policy", self.online, *more)
        return child.pid

    def restore_online(self, approver):
        return self.ckpt_seal("restore", "--detach", "--approver", approver, self.sealed_file, host=self.b)

    def test_as_often_as_it_is_answered(self):
        pid = self.dumped_online("--restores", "1")
        count = len(self.numbers())
        self.assertEqual(self.ckpt_seal("restore", "--detach", self.sealed_file, host=self.b).returncode, 3)
        self.assertEqual(self.restore_online("exit 1").returncode, 8)
        self.assertEqual((self.tasks(), len(self.numbers())), ([], count))
        self.succeeds(self.restore_online(self.approver))
        self.goes_on()
        self.assertTrue(alive(pid))
        self.end_tasks()
        self.assertEqual(self.restore_online(self.approver).returncode, 6)
        self.assertEqual(self.tasks(), [])

    def test_a_signal_ends_it_while_it_waits(self):
        self.dumped_online()
        for number in (signal.SIGTERM, signal.SIGINT):
            environment = dict(support.ENVIRONMENT, CKPT_TEST_MARK=str(self.folder))
            text = f"CKPT_TEST_MARK={self.folder}"
            running = subprocess.Popen([support.program(), "--state", str(self.b.state), "restore", "--approver", "exec sleep 300",
                                        str(self.sealed_file)], env=environment, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            self.addCleanup(running.stderr.close)
            self.addCleanup(running.wait)
            self.addCleanup(running.kill)
            wait_until(lambda: asleep(text), "the approver runs")
            running.send_signal(number)
            self.assertEqual(running.wait(30), -number, running.stderr.read())
            wait_until(lambda: not marked(text), "all of it has ended")
            self.assertEqual(self.tasks(), [])
        self.succeeds(self.restore_online(self.approver))
        self.goes_on()


class Answers(OnlineCase):
    """`authority answer` by itself."""

    def test_an_answer_is_as_specified(self):
        nonce, name = os.urandom(32), b"\0\x0b" + os.urandom(32)
        request = self.request(nonce=nonce, name=name, restores=2, not_after=4102444800)
        done = self.succeeds(self.answer(request, "--expires-in", 60))
        body = body_of(done.stdout)
        self.assertEqual(done.stdout, pem(b"CKPT-SEAL ANSWER", body))
        self.assertEqual(body[:44], b"CKSANSW1" + sha256(body_of(request)) + struct.pack(">I", 60))
        reference = sha256(b"ckpt-seal/v1/online", ID, struct.pack(">IQ", 2, 4102444800))
        self.verify(body[44:], nonce + struct.pack(">I", 60) + sha256(bytes.fromhex("0000015e"), name) + reference)
        self.assertEqual(self.counted(), {ID: 1})

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
        self.assertEqual(self.counted(), {ID: 3})
        # A limit that was lied about is another policy for the TPM, and is counted all the same.
        self.succeeds(self.answer(self.request(restores=4)))
        self.refused(self.answer(self.request(restores=4)), 6, "used up")
        now = int(time.time())
        self.succeeds(self.answer(self.request(not_after=now + 3600), uses=False))
        self.refused(self.answer(self.request(not_after=now), uses=False), 6, "before")
        self.refused(self.answer(self.request(not_after=1, restores=9)), 6, "before")
        self.succeeds(self.answer(self.request(), uses=False))
        self.assertEqual(self.counted(), {ID: 4})

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
        self.assertEqual(self.counted(), {ID: 1})
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
        given, refused = [], []
        request = self.request(restores=5)

        def ask():
            while True:
                done = self.answer(request)
                if done.returncode in (0, 6):
                    return (refused if done.returncode else given).append(done)
                # SoftHSM fails now and then while another process is in the same token.
                self.assertIn(b"softhsm", done.stderr)
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(given) + len(refused), 8)
        self.assertIn(len(given), (4, 5))  # it may fail to sign what was counted
        self.assertEqual(self.counted(), {ID: 5})


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
                self.assertEqual(self.counted().get(ID, 0), lost)
                # The lock goes with whoever had it.
                self.succeeds(self.answer(self.request(restores=10)))
                lost += 1
        self.assertEqual(self.counted(), {ID: 5})
        for _ in range(5):
            self.succeeds(self.answer(self.request(restores=10)))
        self.refused(self.answer(self.request(restores=10)), 6, "used up")


if __name__ == "__main__":
    support.main()

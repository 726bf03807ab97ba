#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Online approval: each opening is answered for, and whoever answers counts. docs/policies.md, "Online approval"."""

import base64
import os
import shlex
import signal
import subprocess
import time

import support
from online_case import OnlineCase, asleep, body_of, marked, pem, use_of
from policy_case import CONTENT, sha256
from process_case import COUNTER, ProcessCase, alive, wait_until


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

    def test_the_approver_uses_a_token_that_is_open(self):
        self.make_key()
        self.make_key("other", number="02")
        backup, other = (self.uri(f"token=archive;object={name}", more=f"&pin-source=file:{self.pin}") for name in ("backup", "other"))
        path = self.sealed("--to", other, more_environment=self.environment)
        self.succeeds(self.ckpt_seal("rewrap", "--identity", other, "--add", "self", "--policy", self.online, path))
        # The first slot is for another key of the token, which is open when the second wants an approval.
        done = self.ckpt_seal("open", "-o", "-", "--identity", backup, "--identity", "self", "--approver", self.approver, path)
        self.assertEqual(self.succeeds(done).stdout, CONTENT)

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
        self.assertEqual(body[73:133], bytes.fromhex(report["origin"] + report["checkpoint_id"]) + bytes(12))
        self.assertEqual(body[133:135], b"\0\x0b")
        self.assertEqual(body[199:], b"\x06host-a")

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
        return use_of(bytes.fromhex(report["origin"]), bytes.fromhex(report["checkpoint_id"])), report

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


if __name__ == "__main__":
    support.main()

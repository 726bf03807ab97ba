# SPDX-License-Identifier: Apache-2.0
"""The main job: sealed on one host for another, opened there and nowhere else, in that state alone."""
import os
import pty
import subprocess

import support
from sealed_layout import Layout


class MainJob(support.CliTest):
    def test_opens_on_its_host_and_is_refused_elsewhere(self):
        path = self.sealed(b"the secret is 4711\n" * 1000)
        self.assertNotIn(b"4711", path.read_bytes())
        out = self.folder / "out"
        self.succeeds(self.b.run("open", "-o", out, path))
        self.assertEqual(out.read_bytes(), (self.folder / "plain").read_bytes())
        self.assertEqual(out.stat().st_mode & 0o777, 0o600)
        wrong = self.folder / "wrong"
        self.refused(self.a.run("open", "-o", wrong, path), 9, "no slot")
        self.assertFalse(wrong.exists())

    def test_a_tampered_copy_is_refused(self):
        path = self.sealed(b"x" * 100_000)
        content = bytearray(path.read_bytes())
        content[Layout(content).data + 100] ^= 1
        path.write_bytes(content)
        out = self.folder / "out"
        self.refused(self.b.run("open", "-o", out, path), 5, "damaged or altered")
        self.refused(self.b.run("verify", path), 5)
        self.assertFalse(out.exists())

    def test_an_origin_that_is_not_trusted_is_refused(self):
        plain = self.write("plain", b"from b")
        path = self.folder / "x.cks"
        self.succeeds(self.b.run("seal", "-o", path, "--to", self.a.record(), plain))
        self.refused(self.a.run("open", "-o", "-", path), 4, "not trusted")
        named = self.a.run("open", "-o", "-", "--trust", self.b.record(), path)
        self.assertEqual(self.succeeds(named).stdout, b"from b")
        pinned = self.a.run("open", "--trust", self.b.record(), "--fingerprint", "00" * 32, path)
        self.refused(pinned, 4, "fingerprint")

    def test_trust_can_be_taken_back(self):
        path = self.sealed(b"trusted today")
        other = support.Host(self.folder, "host-c")
        self.succeeds(other.run("host", "trust", self.a.record(), "--as", "origin", "--as", "recipient"))
        self.succeeds(other.run("verify", path))
        self.succeeds(other.run("host", "trust", "--remove", "host-a", "--as", "origin"))
        self.refused(other.run("verify", path), 4, "not trusted")
        self.succeeds(other.run("seal", "-o", self.folder / "y.cks", "--to", "host-a", self.folder / "plain"))
        self.refused(other.run("host", "trust", "--remove", "host-a", "--as", "origin"), 1, "host-a")

    def test_unsigned_only_when_allowed(self):
        path = self.sealed(b"nobody vouches", "host-b", "--unsigned")
        self.refused(self.b.run("open", "-o", "-", path), 4, "unsigned")
        done = self.b.run("open", "-o", "-", "--allow-unsigned", path)
        self.assertEqual(self.succeeds(done).stdout, b"nobody vouches")

    def test_pipes(self):
        sealed = self.succeeds(self.a.run("seal", "--to", self.b.record(), input=b"piped" * 300_000))
        done = self.b.run("open", "-", input=sealed.stdout)
        self.assertEqual(self.succeeds(done).stdout, b"piped" * 300_000)
        cut = self.b.run("open", "-", input=sealed.stdout[:-1])
        self.refused(cut, 5)
        self.assertEqual(cut.stdout, b"")

    def test_exclusive_and_the_other_cipher(self):
        for options in (["--exclusive"], ["--cipher", "chacha20-poly1305"],
                        ["--exclusive", "--cipher", "chacha20-poly1305"]):
            with self.subTest(options):
                plain = self.write("plain", b"y" * 600_000)
                path = self.folder / ("-".join(options).replace("--", "") + ".cks")
                self.succeeds(self.a.run("seal", "-o", path, "--to", self.b.record(), *options, plain))
                with path.open("rb") as sealed:
                    done = self.b.run("open", "-", stdin=sealed)
                self.assertEqual(self.succeeds(done).stdout, b"y" * 600_000)
                shown = self.json(self.b.run("--json", "inspect", path))
                self.assertEqual(shown["exclusive"], "--exclusive" in options)
        refused = self.a.run("seal", "-o", self.folder / "two.cks", "--exclusive", "--to",
                             self.b.record(), "--to", "self", self.folder / "plain")
        self.refused(refused, 2, "exactly one recipient")
        self.assertFalse((self.folder / "two.cks").exists())

    def test_a_folder(self):
        tree = self.folder / "tree"
        (tree / "deep" / "er").mkdir(parents=True)
        (tree / "deep" / "file").write_bytes(b"content")
        (tree / "link").symlink_to("deep/file")
        (tree / "deep" / "file").chmod(0o640)
        path = self.folder / "x.cks"
        self.succeeds(self.a.run("seal", "-o", path, "--to", self.b.record(), tree))
        out = self.folder / "out"
        self.succeeds(self.b.run("open", "-o", out, path))
        self.assertEqual((out / "deep" / "file").read_bytes(), b"content")
        self.assertEqual((out / "deep" / "file").stat().st_mode & 0o777, 0o640)
        self.assertEqual(os.readlink(out / "link"), "deep/file")
        self.refused(self.b.run("open", "-o", out, path), 1, "exist")
        content = bytearray(path.read_bytes())
        content[Layout(content).data + 100] ^= 1
        path.write_bytes(content)
        self.refused(self.b.run("open", "-o", self.folder / "no", path), 5)
        self.assertFalse((self.folder / "no").exists())
        self.assertEqual([p.name for p in self.folder.iterdir() if p.name.startswith(".")], [])

    def test_side_by_side_on_one_tpm(self):
        path = self.sealed(b"many")
        running = [subprocess.Popen([support.program(), "--state", self.b.state, "open", "-o", "-", path],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    env=support.ENVIRONMENT) for _ in range(8)]
        for one in running:
            out, errors = one.communicate(timeout=240)
            self.assertEqual((one.returncode, out), (0, b"many"), errors)


class ChangedState(support.CliTest):
    def test_a_changed_pcr_is_named_and_the_passphrase_recovers(self):
        path = self.folder / "x.cks"
        plain = self.write("plain", b"recover me")
        read_end, write_end = os.pipe()
        os.write(write_end, b"correct horse\n")
        os.close(write_end)
        self.succeeds(self.a.run("seal", "-o", path, "--to", self.b.record(), "--to", "passphrase",
                                 "--passphrase-fd", read_end, plain, pass_fds=[read_end]))
        self.succeeds(self.b.run("open", "-o", self.folder / "before", path))
        self.b.extend(4, "another boot loader")
        out = self.folder / "out"
        self.refused(self.b.run("open", "-o", out, path), 3, "PCR 4")
        self.assertFalse(out.exists())
        self.assertEqual(self.b.run("doctor").returncode, 1)
        for passphrase, code in ((b"wrong horse", 3), (b"correct horse", 0)):
            read_end, write_end = os.pipe()
            os.write(write_end, passphrase)
            os.close(write_end)
            done = self.b.run("open", "-o", "-", "--identity", "passphrase", "--passphrase-fd", read_end,
                              path, pass_fds=[read_end])
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertEqual(done.stdout, b"recover me" if code == 0 else b"")


class Passphrase(support.CliTest):
    HOSTS = ("host-a",)

    def on_terminal(self, answers, *arguments):
        """Runs with a terminal of its own; the exit code and what was shown."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(support.program(), [support.program(), *map(str, arguments)], support.ENVIRONMENT)
        shown = b""
        for prompt, answer in answers:
            while prompt not in shown[-200:]:
                shown += os.read(terminal, 1000)
            os.write(terminal, answer)
            shown += b"|"
        try:
            while part := os.read(terminal, 1000):
                shown += part
        except OSError:
            pass
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown

    def test_asked_for_on_the_terminal_without_echo(self):
        path = self.folder / "x.cks"
        plain = self.write("plain", b"content")
        code, shown = self.on_terminal([(b"Passphrase: ", b"hush\n"), (b"again: ", b"hush\n")],
                                       "--state", self.a.state, "seal", "-o", path, "--to", "passphrase",
                                       "--only-passphrase", plain)
        self.assertEqual(code, 0, shown)
        self.assertNotIn(b"hush", shown)
        out = self.folder / "out"
        code, shown = self.on_terminal([(b"Passphrase: ", b"husx\x7fh\n")], "--state", self.a.state,
                                       "open", "--identity", "passphrase", "-o", out, path)
        self.assertEqual((code, out.read_bytes()), (0, b"content"), shown)
        code, shown = self.on_terminal([(b"Passphrase: ", b"hush\n"), (b"again: ", b"rush\n")],
                                       "--state", self.a.state, "seal", "-o", self.folder / "y.cks",
                                       "--to", "passphrase", "--only-passphrase", plain)
        self.assertEqual(code, 2, shown)
        self.assertIn(b"differ", shown)
        self.assertFalse((self.folder / "y.cks").exists())

    def test_a_passphrase_alone_needs_a_flag(self):
        plain = self.write("plain", b"content")
        self.refused(self.a.run("seal", "-o", self.folder / "x.cks", "--to", "passphrase", plain), 2,
                     "--only-passphrase")

    def test_memory_is_bounded_before_it_is_used(self):
        plain = self.write("plain", b"content")
        path = self.folder / "x.cks"
        with (self.folder / "p").open("wb+") as file:
            file.write(b"hush\n")
            file.seek(0)
            self.succeeds(self.a.run("seal", "-o", path, "--to", "passphrase", "--only-passphrase",
                                     "--passphrase-fd", file.fileno(), plain, pass_fds=[file.fileno()]))
            file.seek(0)
            done = self.a.run("open", "--identity", "passphrase", "--passphrase-fd", file.fileno(),
                              "--max-memory", "1", path, pass_fds=[file.fileno()])
        self.refused(done, 1, "--max-memory")


class Reports(support.CliTest):
    def test_json_of_every_verb_and_exit_codes_as_words(self):
        path = self.sealed()
        for arguments, keys in (
                (["inspect", path], ["checkpoint_id", "slots", "generation"]),
                (["verify", path], ["chunks_verified", "signature_verified"]),
                (["open", "-o", self.folder / "out", path], ["content_bytes", "output"]),
                (["host", "show"], ["record"]),
                (["host", "list"], ["hosts"]),
                (["provision", "--dry-run"], ["tpm", "dry_run"])):
            with self.subTest(arguments):
                done = self.succeeds(self.b.run("--json", *arguments))
                report = self.json(done)
                self.assertEqual((report["schema_version"], report["ok"]), (1, True))
                for key in keys:
                    self.assertIn(key, report)
        refused = self.a.run("--json", "open", "-o", self.folder / "no", path)
        self.assertEqual(refused.returncode, 9)
        self.assertEqual(self.json(refused)["reason"], "no_slot")

    def test_doctor_finds_nothing_but_a_state_folder_in_memory(self):
        """Debian 13 has /tmp in memory, and doctor is right to complain of a state folder there."""
        done = self.b.run("--json", "doctor")
        report = self.json(done)
        problems = {finding["check"] for finding in report["findings"] if finding["verdict"] == "problem"}
        self.assertLessEqual(problems, {"state_folder"})
        self.assertEqual(done.returncode, 1 if problems else 0)

    def test_verify_without_a_key_says_so(self):
        path = self.sealed()
        done = self.succeeds(self.b.run("verify", "--no-key", path))
        self.assertIn(b"chunks unchecked", done.stdout)
        done = self.succeeds(self.b.run("verify", "--slot", "0", path))
        self.assertIn(b"every chunk good", done.stdout)
        self.refused(self.b.run("verify", "--slot", "7", path), 9)

    def test_help_has_an_example_for_every_verb(self):
        for verb in (["provision"], ["seal"], ["open"], ["inspect"], ["verify"], ["doctor"],
                     ["host", "show"], ["host", "export"], ["host", "trust"], ["host", "list"]):
            with self.subTest(verb):
                done = self.succeeds(support.run(*verb, "--help"))
                self.assertIn(b"Example:\n  ckpt-seal " + " ".join(verb).encode(), done.stdout)

    def test_wrong_usage(self):
        self.refused(support.run("seal", "--nonsense"), 2)
        self.refused(support.run(), 2)
        self.refused(self.a.run("--json", "seal", input=b"x"), 2, "-o")

    def test_a_message_is_one_line_whatever_a_file_is_called(self):
        for name in ("a\nb", "red \x1b[31m", "bell \x07", "csi \u009b31m", "del \x7f"):
            with self.subTest(name=name):
                path = self.folder / name
                done = self.refused(self.a.run("open", "-o", "-", path), 1, "No such file")
                self.assertEqual([c for c in done.stderr.decode()[:-1] if c < " " or "\x7f" <= c <= "\x9f"], [])
        self.refused(self.a.run("open", "-o", "-", self.folder / "käse"), 1, "käse")

    def test_the_help_that_is_pointed_to_is_that_of_the_verb(self):
        for words, verb in (((), ""), (("seal", "--nonsense"), "seal "), (("host", "trust"), "host trust "), (("host",), "host "),
                            (("dump", "-t", "x", "-o", "y"), "dump ")):
            with self.subTest(words=words):
                self.refused(self.a.run(*words), 2, f"; see 'ckpt-seal {verb}--help'.")

    def test_an_empty_value_is_not_an_option_that_was_left_out(self):
        """As "$UNSET" is: the record was trusted whatever its fingerprint, the file sealed without a limit."""
        record = self.b.record()
        for words in (("host", "trust", record, "--as", "recipient", "--fingerprint", ""),
                      ("seal", "--not-after", "", "-o", "-", "/dev/null"), ("seal", "--to", "self", "--policy", "", "-o", "-", "/dev/null"),
                      ("open", "--identity", "", "/dev/null"), ("open", "--trust", record, "--fingerprint", "", "/dev/null"),
                      ("restore", "--pidfile", "", "/dev/null"), ("--state", "", "host", "show")):
            with self.subTest(words=words):
                self.refused(self.a.run(*words), 2, "empty")
        self.assertEqual(self.json(self.a.run("--json", "host", "list"))["hosts"][1:], [])


if __name__ == "__main__":
    support.main()

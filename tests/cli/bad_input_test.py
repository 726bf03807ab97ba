# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around the command: damaged files, missing rights, full disks, kills, dead TPMs."""
import os
import signal
import socket
import subprocess
import time
import unittest

import support
from sealed_layout import Layout, with_headers



class DamagedFiles(support.CliTest):
    def test_what_is_no_sealed_file(self):
        good = self.sealed(b"z" * 700_000).read_bytes()
        cases = {
            "empty": (b"", "empty"),
            "text": (b"hello, world\n" * 20_000, "not a sealed checkpoint"),
            "short-text": (b"hello, world\n", "not a sealed checkpoint"),
            "cut-in-preamble": (good[:4095], "cut short"),
            "version": (good[:8] + b"\x02\x01" + good[10:], "version"),
            "cut-in-header": (good[:5000], "cut short"),
            "cut-in-data": (good[:Layout(good).data + 100], "cut short"),
            "cut-one-byte": (good[:-1], "end is cut off"),
            "appended": (good + b"\0", "end is cut off"),
            "twice": (good + good, "contradicts"),
            "header-size": (good[:10] + b"\xff" + good[11:], "absurd"),
            "preamble-padding": (good[:100] + b"\x01" + good[101:], "padding"),
            "both-headers": (with_headers(good, bytes(Layout(good).header), bytes(Layout(good).header)), "header"),
        }
        for name, (content, word) in cases.items():
            with self.subTest(name):
                path = self.write(name, content)
                for verb in (["open", "-o", self.folder / "out"], ["verify"], ["inspect"]):
                    done = self.refused(self.b.run(*verb, path), 5, word)
                    self.assertEqual(done.stdout, b"")
                self.assertFalse((self.folder / "out").exists())

    def test_a_damaged_spare_header_opens_with_a_warning(self):
        good = self.sealed(b"spare").read_bytes()
        for offset in (at + 30 for at in Layout(good).copies):
            with self.subTest(offset):
                path = self.write("x.cks", good[:offset] + bytes([good[offset] ^ 1]) + good[offset + 1:])
                done = self.succeeds(self.b.run("open", "-o", "-", path))
                self.assertEqual(done.stdout, b"spare")
                self.assertIn(b"warning:", done.stderr)
                self.refused(self.b.run("verify", path), 5, "header copies")

    def test_pieces_swapped_and_repeated(self):
        good = self.sealed(b"".join(bytes([n]) * 524_288 for n in range(4))).read_bytes()
        chunk, D = 524_288, Layout(good).data
        first, second = good[D:D + chunk], good[D + chunk:D + 2 * chunk]
        for name, content in (("swapped", good[:D] + second + first + good[D + 2 * chunk:]),
                              ("repeated", good[:D] + first + first + good[D + 2 * chunk:]),
                              ("vanished", good[:D] + good[D + chunk:])):
            with self.subTest(name):
                path = self.write(name, content)
                self.refused(self.b.run("verify", path), 5)
                done = self.refused(self.b.run("open", "-o", self.folder / "out", path), 5)
                self.assertFalse((self.folder / "out").exists(), done)

    def test_mixed_with_another_file_of_the_same_hosts(self):
        one = self.sealed(b"one" * 1000).read_bytes()
        other = self.sealed_again(b"two" * 1000)
        at = Layout(one).data
        path = self.write("mixed", one[:at] + other[at:])
        self.refused(self.b.run("open", "-o", self.folder / "out", path), 5)

    def sealed_again(self, content):
        plain = self.write("plain2", content)
        path = self.folder / "y.cks"
        self.succeeds(self.a.run("seal", "-o", path, "--to", self.b.record(), plain))
        return path.read_bytes()

    def test_a_folder_where_a_file_should_be(self):
        self.refused(self.b.run("open", "-o", "-", self.folder), 2, "is a folder")
        self.refused(self.b.run("verify", self.folder), 2, "is a folder")
        path = self.sealed()
        self.refused(self.b.run("open", "-o", self.folder, path), 1, "is a folder")
        self.refused(self.a.run("seal", "-o", self.folder, self.folder / "plain"), 1, "is a folder")

    def test_nothing_is_overwritten_unasked(self):
        path = self.sealed()
        before = path.read_bytes()
        self.refused(self.a.run("seal", "-o", path, self.folder / "plain"), 1, "--force")
        self.assertEqual(path.read_bytes(), before)
        self.succeeds(self.a.run("seal", "-o", path, "--force", self.folder / "plain"))
        self.assertNotEqual(path.read_bytes(), before)

    def test_missing_things(self):
        self.refused(self.b.run("open", "-o", "-", self.folder / "none.cks"), 1, "No such file")
        self.refused(self.a.run("seal", "-o", self.folder / "x.cks", self.folder / "none"), 1, "No such")
        self.refused(self.a.run("seal", "-o", self.folder / "no" / "x.cks", "/dev/null"), 1, "No such")
        self.refused(self.a.run("seal", "--to", "nobody", input=b"x"), 4, "nobody")
        self.refused(support.run("--state", self.folder / "none", "seal", input=b"x"), 1, "provision")
        self.refused(support.run("--state", self.folder / "none", "open", "-o", "-", self.sealed()), 1,
                     "provision")

    def test_an_empty_input_is_refused_unless_meant(self):
        out = self.folder / "x.cks"
        self.refused(self.a.run("seal", "-o", out, input=b""), 1, "empty")
        self.assertFalse(out.exists())
        self.succeeds(self.a.run("seal", "-o", out, "--allow-empty", input=b""))
        self.assertEqual(self.succeeds(self.a.run("open", out)).stdout, b"")


class Rights(support.CliTest):
    HOSTS = ("host-a",)

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become somebody else")
    def test_no_permission(self):
        plain = self.write("plain", b"content")
        for folder in (self.base, self.folder):
            folder.chmod(0o755)
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                               support.program(), "--state", self.a.state, "seal", "-o",
                               self.folder / "x.cks", plain], capture_output=True, timeout=60,
                              env=support.ENVIRONMENT)
        self.refused(done, 1, "ermission")
        self.assertFalse((self.folder / "x.cks").exists())

    @unittest.skipUnless(os.geteuid() == 0, "needs root to mount a small file system")
    def test_a_full_disk(self):
        plain = self.write("plain", os.urandom(3_000_000))
        path = self.folder / "x.cks"
        self.succeeds(self.a.run("seal", "-o", path, plain))
        small = self.folder / "small"
        small.mkdir()
        for verb in (["seal", "-o", small / "out", plain], ["open", "-o", small / "out", path]):
            script = 'mount -t tmpfs -o size=1m none "$1" && shift && "$@"; s=$?; ls -A "$0"; exit $s'
            done = subprocess.run(["unshare", "--mount", "sh", "-c", script, small, small,
                                   support.program(), "--state", self.a.state, *verb],
                                  capture_output=True, timeout=120, env=support.ENVIRONMENT)
            self.refused(done, 1, "No space left", "free some space")
            self.assertEqual(done.stdout, b"", "something was left behind")


class Kills(support.CliTest):
    HOSTS = ("host-a",)

    def start(self, *arguments, **options):
        return subprocess.Popen([support.program(), "--state", self.a.state, *map(str, arguments)],
                                stderr=subprocess.DEVNULL, env=support.ENVIRONMENT, **options)

    @staticmethod
    def helper_of(process):
        """The child that works on the file, once there is one."""
        path = f"/proc/{process.pid}/task/{process.pid}/children"
        for _ in range(2000):
            with open(path, encoding="ascii") as file:
                for child in file.read().split():
                    with open(f"/proc/{child}/comm", encoding="ascii") as comm:
                        if comm.read().startswith("ckpt-seal"):
                            return int(child)
            time.sleep(0.005)
        raise AssertionError("there is no helper")

    def left_behind(self):
        return sorted(p.name for p in self.folder.iterdir())

    def test_sealing_killed_at_any_moment_leaves_no_file(self):
        for sent in (0, 1, 600_000, 5_000_000):
            for victim in ("command", "helper"):
                with self.subTest(sent=sent, victim=victim):
                    process = self.start("seal", "-o", self.folder / "x.cks", stdin=subprocess.PIPE)
                    helper = self.helper_of(process)
                    process.stdin.write(b"k" * sent)
                    process.stdin.flush()
                    os.kill(process.pid if victim == "command" else helper, signal.SIGKILL)
                    try:
                        process.stdin.close()
                    except BrokenPipeError:
                        pass
                    code = process.wait(timeout=60)
                    self.assertEqual(code, -signal.SIGKILL if victim == "command" else 1)
                    self.gone(helper)
                    self.assertEqual(self.left_behind(), [])

    def test_opening_killed_leaves_no_file(self):
        plain = self.write("plain", os.urandom(3_000_000))
        self.succeeds(self.a.run("seal", "-o", self.folder / "x.cks", plain))
        # The helper is stopped by a full pipe in the middle of the content.
        for victim in ("command", "helper"):
            with self.subTest(victim):
                process = self.start("open", "-o", "-", self.folder / "x.cks", stdout=subprocess.PIPE)
                process.stdout.read(1)
                helper = self.helper_of(process)
                os.kill(process.pid if victim == "command" else helper, signal.SIGKILL)
                got = process.stdout.read()
                self.assertLess(len(got), 3_000_000)
                code = process.wait(timeout=60)
                self.assertEqual(code, -signal.SIGKILL if victim == "command" else 1)
                process.stdout.close()
                self.gone(helper)
        self.assertEqual(self.left_behind(), ["plain", "x.cks"])

    def gone(self, pid):
        for _ in range(2000):
            try:
                with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                    if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                        return
            except (FileNotFoundError, ProcessLookupError):  # the latter between open and read
                return
            time.sleep(0.005)
        self.fail("the helper outlives the command")


class TpmTrouble(support.CliTest):
    HOSTS = ("host-a",)

    def open_with(self, tpm):
        plain = self.write("plain", b"content")
        path = self.folder / "x.cks"
        self.succeeds(self.a.run("seal", "-o", path, plain))
        return self.a.run("--tpm", tpm, "--tpm-timeout", "1", "open", "-o", self.folder / "out", path)

    def test_no_tpm(self):
        self.refused(self.open_with(f"swtpm:path={self.folder}/none"), 8)
        self.assertFalse((self.folder / "out").exists())

    def test_a_tpm_that_never_answers(self):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(self.folder / "s"))
            server.listen(8)
            self.refused(self.open_with(f"swtpm:path={self.folder}/s"), 8)

    def test_provisioning_with_a_tpm_that_never_answers(self):
        state = self.folder / "new"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(self.folder / "s"))
            server.listen(8)
            tpm = ("--tpm", f"swtpm:path={self.folder}/s", "--tpm-timeout", "1")
            self.refused(support.run("--state", state, *tpm, "provision", "--name", "x"), 8)

    def test_a_word_that_names_no_tpm(self):
        self.refused(self.open_with("nonsense:thing"), 2)


if __name__ == "__main__":
    support.main()

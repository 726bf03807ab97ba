#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that readme.py can fail, and that it reads a page as it says."""

import os
import tempfile
import unittest

import readme


def block(*lines):
    return "<!-- tour -->\n```console\n" + "".join(f"{line}\n" for line in lines) + "```\n"


class ReadmeTest(unittest.TestCase):
    def check(self, text, programs=()):
        with tempfile.NamedTemporaryFile("w", suffix=".md") as page:
            page.write(text)
            page.flush()
            return readme.check_page(page.name, list(programs))

    def expect_one(self, text, words):
        problems = self.check(text)
        self.assertEqual(len(problems), 1, problems)
        self.assertIn(words, problems[0])

    def test_right(self):
        self.assertEqual(self.check(block("$ echo one; echo two >&2", "one", "two", "$ true", "$ echo three", "three")), [])

    def test_wrong_output(self):
        self.expect_one(block("$ echo one", "two"), "should print\n    two\n  and prints\n    one\n")

    def test_output_that_is_not_shown(self):
        self.expect_one(block("$ echo one"), "(nothing)")

    def test_output_that_does_not_come(self):
        self.expect_one(block("$ true", "one"), "and prints\n    (nothing)")

    def test_line_number(self):
        self.expect_one("# Page\n\n" + block("$ true", "$ echo one"), "line 6: echo one")

    def test_wildcard_in_a_line(self):
        self.assertEqual(self.check(block("$ echo id 0123 end", "id ... end")), [])
        self.expect_one(block("$ echo id 0123", "id ... end"), "should print")

    def test_wildcard_for_lines(self):
        self.assertEqual(self.check(block("$ seq 5", "1", "...", "5")), [])
        self.assertEqual(self.check(block("$ seq 2", "1", "...", "2")), [])
        self.expect_one(block("$ seq 5", "1", "...", "4"), "should print")

    def test_status_of_the_command_before(self):
        self.assertEqual(self.check(block("$ (exit 9)", "$ echo $?", "9", "$ echo $?", "0")), [])

    def test_one_shell_for_all_blocks(self):
        self.assertEqual(self.check(block("$ a() { echo called; }; x=1") + "text\n" + block("$ a $x", "called")), [])

    def test_continuation(self):
        self.assertEqual(self.check(block("$ echo one \\", ">   two", "one two")), [])

    def test_shell_that_ends_early(self):
        self.expect_one(block("$ exit 3", "$ echo one", "one"), "was not reached")

    def test_nothing_marked(self):
        self.expect_one("```console\n$ false\n```\n", "0 lines are")

    def test_mark_without_block(self):
        self.expect_one(block("$ true") + "<!-- tour -->\ntext\n", "2 lines are")

    def test_block_that_is_not_marked_is_not_run(self):
        self.assertEqual(self.check("```console\n$ echo one\n```\n" + block("$ true")), [])

    def test_block_without_command(self):
        self.expect_one(block("one"), "a block begins with a command")

    def test_programs_come_first(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "ckpt-seal")
            with open(path, "w", encoding="ascii") as file:
                file.write("#!/bin/sh\necho ours\n")
            os.chmod(path, 0o755)
            self.assertEqual(self.check(block("$ ckpt-seal", "ours"), [folder]), [])

    def test_process_left_running(self):
        waiting = "sh -c 'echo up >\"$1\"; read x <\"$1\"' sh \"$PWD/pipe\" >/dev/null 2>&1 &"
        text = block("$ mkfifo pipe", f"$ setsid {waiting}", "$ read up <pipe; echo $up", "up")
        self.expect_one(text, "still runs")


if __name__ == "__main__":
    unittest.main()

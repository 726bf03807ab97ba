#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/ with a small process: the table has its rows, and a method that fails or restores something else fails the run."""

import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "bench"))

import bench  # noqa: E402
import measure  # noqa: E402
import methods  # noqa: E402
import report  # noqa: E402

PROGRAM = None  # ckpt-seal; set at the end
MIB = 1 << 20


def stats_dump(frozen, magic=measure.STATS_MAGIC):
    """A stats-dump with frozen_time below 2^14 microseconds."""
    dump = b"\x08\x05" + b"\x10" + bytes([frozen & 0x7F | 0x80, frozen >> 7]) + b"\x18\x07"
    entry = b"\x0a" + bytes([len(dump)]) + dump
    return struct.pack("<III", *magic, len(entry)) + entry


def result(number, method, seconds):
    return {
        "round": number, "method": method, "size_mib": 8, "bytes_left": 8 * MIB, "bytes_plaintext": 0,
        "dump": {"seconds": seconds, "frozen_seconds": seconds / 2, "peak_bytes": 3 * MIB},
        "restore": {"seconds": seconds, "peak_bytes": 4 * MIB},
    }


class Figures(unittest.TestCase):
    def test_frozen_time_is_read_from_criu_s_statistics(self):
        self.assertEqual(measure.frozen_seconds(stats_dump(1234)), 0.001234)

    def test_damaged_statistics_are_refused(self):
        whole = stats_dump(1234)
        for damaged in (b"", whole[:-1], whole + b"\0", stats_dump(1234, (1, 2)), whole[:13] + b"\x40" + whole[14:],
                        struct.pack("<IIII", *measure.STATS_MAGIC, 2, 0x000A)[:14]):
            with self.assertRaises(measure.BenchError, msg=damaged):
                measure.frozen_seconds(damaged)

    def test_ratios_are_those_of_the_same_round(self):
        # The machine gets ten times slower; ckpt-seal takes twice as long as plain CRIU all the time. Round 0 is not timed.
        results = [result(number, name, factor * pace) for number, pace in enumerate((50, 1, 10, 5))
                   for name, factor in (("plain", 1), ("ckpt-seal", 2))]
        text = report.table(results, [methods.Plain, methods.CkptSeal])
        heading, _, plain, ours = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
        self.assertEqual(heading, report.HEADING)
        self.assertEqual(plain[:3], ["plain", "1.00 (1.00-1.00)", "5.000"])
        self.assertEqual(ours[:9], ["ckpt-seal", "2.00 (2.00-2.00)", "10.000", "2.00 (2.00-2.00)", "5.000", "2.00 (2.00-2.00)",
                                    "10.000", "3", "4"])

    def test_usage(self):
        for arguments in (["--size", "0"], ["--runs", "0"], ["--only", "rot13"], ["--frobnicate"]):
            with mock.patch("sys.stderr"), self.assertRaises(SystemExit) as ended:
                bench.parse(["--folder", "/tmp", "--output", "x", "--criu", "criu", "--ckpt-seal", "x", *arguments])
            self.assertEqual(ended.exception.code, 2)


class Runs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("only root can dump and restore processes")
        if not os.environ.get("CRIU"):
            raise unittest.SkipTest("CRIU in the environment names no CRIU: swtpm-ci/get-criu finds one")

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.work = self.folder / "work"
        self.work.mkdir()
        self.table = self.folder / "out" / "table.md"

    def arguments(self, *more, program=None):
        return ["--size", "8", "--runs", "1", "--folder", str(self.work), "--output", str(self.table), "--ckpt-seal",
                str(program or PROGRAM), "--only", *more]

    def run_bench(self, *more, **options):
        # A process of its own: it ends and reaps all of its children.
        done = subprocess.run([sys.executable, "-B", TOP / "bench" / "bench.py", *self.arguments(*more, **options)], check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
        self.assertEqual(list(self.work.iterdir()), [], done.stderr)
        return done

    def wrapper(self, text):
        path = self.folder / "ckpt-seal"
        path.write_text(f"#!/bin/bash\n{text}\nexec {PROGRAM} \"$@\"\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    def test_the_table_has_its_rows(self):
        done = self.run_bench("ckpt-seal", "ckpt-seal-exclusive")
        self.assertEqual(done.returncode, 0, done.stderr)
        text = self.table.read_text(encoding="utf-8")
        self.assertTrue(text.startswith(done.stdout), done.stdout)
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()]
        self.assertEqual([row[0] for row in rows[2:]], ["plain", "ckpt-seal", "ckpt-seal-exclusive"])
        self.assertTrue(all(len(row) == len(report.HEADING) and all(row) for row in rows))
        for fact in ("Date", "Processor", "Kernel", "CRIU", "ckpt-seal"):
            self.assertIn(f"\n| {fact} | ", text)
        first, *raw = [json.loads(line) for line in pathlib.Path(f"{self.table}.jsonl").read_text(encoding="utf-8").splitlines()]
        self.assertIn("Kernel", first["facts"])
        self.assertEqual([record["method"] for record in raw], ["plain", "ckpt-seal", "ckpt-seal-exclusive"] + ["ckpt-seal", "ckpt-seal-exclusive", "plain"])
        self.assertEqual([record["round"] for record in raw], [0] * 3 + [1] * 3)
        for record in raw:
            self.assertGreaterEqual(record["bytes_left"], 8 * MIB)
            self.assertGreater(record["dump"]["frozen_seconds"], 0)
            self.assertLess(record["dump"]["frozen_seconds"], record["dump"]["seconds"])
            sealed = record["method"] != "plain"
            self.assertEqual(record["bytes_plaintext"] == 0, sealed)
            for part in ("dump", "restore"):
                self.assertEqual(record[part]["peak_bytes"] > MIB, sealed and record["round"] == 0)

    def test_a_tool_in_the_post_dump_script(self):
        if not shutil.which("openssl"):
            self.skipTest("openssl is not installed")
        done = self.run_bench("openssl")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = pathlib.Path(f"{self.table}.jsonl").read_text(encoding="utf-8").splitlines()
        records = [record for record in map(json.loads, lines[1:]) if record["method"] == "openssl"]
        self.assertEqual([record["round"] for record in records], [0, 1])
        for record in records:
            self.assertGreater(record["bytes_plaintext"], 8 * MIB)

    def test_a_method_that_fails_fails_the_run(self):
        self.table.parent.mkdir()
        self.table.write_text("of an earlier run\n", encoding="utf-8")
        for verb in ("dump", "restore"):
            done = self.run_bench("ckpt-seal", program=self.wrapper(f'[[ " $* " != *" {verb} "* ]] || exit 5'))
            self.assertEqual(done.returncode, 1)
            self.assertIn("ckpt-seal, round 0: ", done.stderr)
            self.assertIn("ended with 5", done.stderr)
            self.assertFalse(self.table.exists())

    def test_other_memory_fails_the_run(self):
        # As if the restored process had answered with another hash than before.
        program = self.folder / "other.py"
        program.write_text(
            "import sys\n"
            f"sys.path.insert(0, {str(TOP / 'bench')!r})\n"
            "import bench, measure\n"
            "check = measure.Victim.check_restored\n"
            "def other(self):\n"
            "    self.expected = 64 * '0'\n"
            "    check(self)\n"
            "measure.Victim.check_restored = other\n"
            "sys.exit(bench.main())\n", encoding="utf-8")
        done = subprocess.run([sys.executable, "-B", program, *self.arguments("plain")], check=False, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
        self.assertEqual(done.returncode, 1)
        self.assertIn("plain, round 0: The restored memory is not what was dumped.", done.stderr)
        self.assertEqual(list(self.work.iterdir()), [])

    def test_nothing_is_left_when_it_is_told_to_end(self):
        with subprocess.Popen([sys.executable, "-B", TOP / "bench" / "bench.py", *self.arguments("plain"), "--runs", "100000"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            while not process.stderr.readline().startswith("memory: "):
                self.assertIsNone(process.poll())
            below = measure.children_of(process.pid)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(timeout=600), 128 + signal.SIGTERM)
        self.assertEqual(list(self.work.iterdir()), [])
        self.assertEqual([pid for pid in below if os.path.exists(f"/proc/{pid}")], [])


class Recipients(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, self.folder)

    def run_bench(self, program):
        command = [sys.executable, "-B", TOP / "bench" / "recipients.py", "--count", "5", "--runs", "2", "--folder", self.folder]
        return subprocess.run([*command, "--ckpt-seal", program], check=False, stdin=subprocess.DEVNULL, text=True, timeout=600,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_the_table_has_its_rows(self):
        done = self.run_bench(PROGRAM)
        self.assertEqual(done.returncode, 0, done.stderr)
        heading, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()]
        self.assertEqual([row[0] for row in rows], ["1", "5"])
        for row in rows:
            self.assertEqual(len(row), len(heading))
            for cell in row[1:-1]:
                self.assertRegex(cell, r"^-?\d+ \(-?\d+--?\d+\)$")
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_another_content_fails_the_run(self):
        program = self.folder / "ckpt-seal"
        program.write_text(f"""#!/bin/bash
{PROGRAM} "$@" || exit
while (($#)); do
    case $1 in
        open) opened=yes ;;
        -o) out=$2 ;;
    esac
    shift
done
[[ -z ${{opened-}} ]] || echo more >>"$out"
""", encoding="utf-8")
        program.chmod(0o755)
        done = self.run_bench(program)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("recipients.py: What was opened is not what was sealed.", done.stderr)
        self.assertEqual(list(self.folder.iterdir()), [program])


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2)

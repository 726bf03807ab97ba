# SPDX-License-Identifier: Apache-2.0
"""The independent reader against every file of tests/vectors: exit code, warning, rule and images must be those that
vectors.json names. And the reverse: every heading of the page with a rule for readers has a vector, and so has every
refusal in the reader, so that no rule is there that nothing tries."""

import ast
import contextlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE.parent / "vectors"
SPECIFICATION = HERE.parents[1] / "docs" / "format.md"
sys.path.insert(0, str(HERE))

import cks  # noqa: E402
import cks_header  # noqa: E402
import cks_keys  # noqa: E402
import cks_manifest  # noqa: E402
import cks_policy  # noqa: E402
import cks_primitives  # noqa: E402
import cks_slots  # noqa: E402

MODULES = (cks, cks_header, cks_keys, cks_manifest, cks_policy, cks_slots)

# Headings of the page that hold no rule for a reader of the file, or one that cannot be shown by a file.
WITHOUT_READER_RULE = {"Writing", "Exit codes", "What is visible without a key"}


def entries():
    return json.loads((VECTORS / "vectors.json").read_text(encoding="ascii"))


def make(*arguments):
    command = [sys.executable, "-B", str(VECTORS / "make.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def host(public):
    return f"{public['identity']}:{public['x']}:{public['y']}:{public['expires']}"


def arguments(entry, folder, where):
    """The command line for an entry of vectors.json, as a user would write it."""
    result = [entry["wanted_operation"], str(where / entry["file"]), "--json", "-o", os.path.join(folder, "out")]
    result += ["--now", str(entry["now"]), "--max-memory-kib", str(entry["max_memory_kib"])]
    for key in ("parent_scalar", "pin", "private_key", "hybrid_key", "recovery_key"):
        if entry[key] is not None:
            result += ["--" + key.replace("_", "-"), entry[key]]
    if entry["passphrase"] is not None:
        passphrase_file = os.path.join(folder, "passphrase")
        pathlib.Path(passphrase_file).write_text(entry["passphrase"], encoding="ascii")
        result += ["--passphrase-file", passphrase_file]
    for public in entry["trusted"]:
        result += ["--origin", host(public)]
    return result + (["--allow-unsigned"] if entry["allow_unsigned"] else [])


def read(entry, where):
    """(exit code, report, stderr, extracted images) of the reader, run in this process."""
    output, errors = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = cks.main(arguments(entry, folder, where))
        out = pathlib.Path(folder) / "out"
        files = {path.name: cks_primitives.sha256(path.read_bytes()).hex() for path in out.glob("*")}
    return code, json.loads(output.getvalue()), errors.getvalue(), files


class Unpacked(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.where = pathlib.Path(folder.name)
        done = make("--unpack", folder.name)
        if done.returncode:
            raise RuntimeError(done.stderr)

    def entry(self, file):
        return next(entry for entry in entries() if entry["file"] == file)


class Vectors(Unpacked):
    def check(self, entry, where):
        code, report, errors, files = read(entry, where)
        self.assertEqual(code, entry["exit"], errors)
        self.assertEqual("warning" in errors, entry["warning"], errors)
        self.assertEqual(report["slot"], entry["slot"] if code == 0 else report["slot"], errors)
        if code == 0:
            images = {name: image["sha256"] for name, image in report["images"].items()}
            self.assertEqual(images, entry["images"])
            self.assertEqual(files, entry["images"] if entry["wanted_operation"] == "extract" else {})
        else:
            self.assertEqual(report["rule"], entry["rule"] if entry["exit"] == 5 else report["rule"], errors)
            self.assertEqual(files, {})
            self.assertEqual(errors.count("\n"), 1 + len(report["warnings"]), "one line says what is wrong")

    def test_every_vector(self):
        for entry in entries():
            with self.subTest(file=entry["file"], what=entry["what"]):
                self.check(entry, self.where)

    def test_as_a_program(self):
        entry = self.entry("good_stream.cks")
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-B", str(HERE / "cks.py"), *arguments(entry, folder, self.where)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        images = json.loads(done.stdout)["images"]
        self.assertEqual({name: image["sha256"] for name, image in images.items()}, entry["images"])

    def test_large_files(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(make("--big", folder).returncode, 0)
            where = pathlib.Path(folder)
            for entry in json.loads((where / "vectors.json").read_text(encoding="ascii")):
                with self.subTest(file=entry["file"]):
                    self.check(entry, where)

    def test_changed_while_it_is_read(self):
        """A page of the manifest that is read again MUST be the one that was signed."""
        entry = self.entry("good_many_chunks.cks")
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "copy.cks"
            copy.write_bytes((self.where / entry["file"]).read_bytes())
            options = cks.parse_arguments(arguments(entry, folder, self.where))
            trust = cks.Trust(options.origin)
            with open(copy, "r+b", buffering=0) as file:
                checkpoint = cks.Checkpoint(file)
                checkpoint.read_frame()
                checkpoint.check_origin(trust)
                checkpoint.unlock(cks_slots.Keys(options.keys), trust)
                (image,) = checkpoint.images()
                self.assertEqual(len(checkpoint.manifest.read_chunk(image, image.chunks - 1)), 100)
                file.seek(checkpoint.trailer.manifest)
                file.write(b"\0")
                checkpoint.manifest.page(1)
                with self.assertRaises(cks_primitives.Refused) as raised:
                    checkpoint.manifest.read_chunk(image, image.chunks - 1)
        self.assertEqual((raised.exception.code, raised.exception.rule), (5, "Reading"))

    def test_flipped_anywhere(self):
        """No bit of a file may be flipped unnoticed. Every 997th byte, and all of what is neither zero nor ciphertext."""
        entry = self.entry("good_two_chunks.cks")
        whole = (self.where / entry["file"]).read_bytes()
        header = range(4096, 4096 + 500, 3)
        places = {*range(0, len(whole), 997), *range(12), *header, *range(len(whole) - 4096, len(whole) - 3960, 3)}
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / entry["file"]
            for place in sorted(places):
                flipped = bytearray(whole)
                flipped[place] ^= 1 << place % 8
                copy.write_bytes(flipped)
                with self.subTest(place=place):
                    self.assertEqual(read(entry, pathlib.Path(folder))[0], 5)

    def test_holes(self):
        """A chunk of zeros that is not stored comes out as a hole."""
        entry = dict(self.entry("good_zeros_all.cks"), wanted_operation="extract")
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(cks.main(arguments(entry, folder, self.where)), 0)
            info = (pathlib.Path(folder) / "out" / "stream").stat()
        self.assertLess(512 * info.st_blocks, info.st_size)

    def test_no_file(self):
        with contextlib.redirect_stderr(io.StringIO()) as errors, contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(cks.main(["verify", str(HERE / "no such file")]), 1)
            self.assertEqual(cks.main(["verify", str(HERE)]), 1)
        self.assertEqual(errors.getvalue().count("\n"), 2)


# Refusals that no file of its own can show, with the reason.
WITHOUT_VECTOR = {
    "the file became shorter while it was read": "needs a file that changes",
    "page 0 of the manifest has changed while it was read": "needs a file that changes: tested above",
    "a slot of generation 1 was added": "a slot's own generation, which is at least 2, is found first",
    "its private area has an auth or seed of another size": "the lengths around it leave no other: a TPM's own check",
    "a wrong PIN was tried already": "says no more than the slot whose PIN was wrong, which comes first",
    "there are no 64 KiB of memory": "needs a machine without any",
}


def refusals():
    """Patterns of the messages of every refusal in the reader's source."""
    for module in MODULES:
        tree = ast.parse(pathlib.Path(module.__file__).read_text(encoding="utf-8"))
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call):
                continue
            message = call.args[2] if getattr(call.func, "id", "") in ("require", "Refused") else None
            if isinstance(message, ast.Constant):
                yield re.escape(message.value)
            elif isinstance(message, ast.JoinedStr):
                parts = message.values
                yield "".join(re.escape(part.value) if isinstance(part, ast.Constant) else ".*" for part in parts)


def messages(report):
    """Each thing that a run says, alone and without what stands in front."""
    for text in [report["message"] or "", *report["warnings"]]:
        while text:
            yield text
            text = text.partition(": ")[2]


class Completeness(Unpacked):
    def test_every_file_is_listed(self):
        listed = {entry["file"] for entry in entries()}
        self.assertEqual(listed, {path.name for path in self.where.glob("*.cks")})

    def test_every_heading_has_a_vector(self):
        headings = set(re.findall(r"^##+ (.*)$", SPECIFICATION.read_text(encoding="utf-8"), re.MULTILINE))
        rules = {entry["rule"] for entry in entries()}
        self.assertEqual(rules - headings, set(), "vectors.json names a heading that the page does not have")
        self.assertEqual(headings - rules - WITHOUT_READER_RULE, set())

    def test_files_are_what_the_writer_writes(self):
        done = make("--check")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_every_refusal_has_a_vector(self):
        shown = {text for entry in entries() for text in messages(read(entry, self.where)[1])} | set(WITHOUT_VECTOR)
        patterns = list(refusals())
        self.assertGreater(len(patterns), 100)
        untried = [pattern for pattern in patterns if not any(re.fullmatch(pattern, text) for text in shown)]
        self.assertEqual(untried, [])


if __name__ == "__main__":
    unittest.main()

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

# Headings of the page that hold no rule for a reader.
WITHOUT_READER_RULE = {"Writing"}


def entries():
    return json.loads((VECTORS / "vectors.json").read_text(encoding="ascii"))


def host(public):
    return f"{public['fingerprint']}:{public['x']}:{public['y']}"


def arguments(entry, folder, where=VECTORS):
    """The command line for an entry of vectors.json, as a user would write it."""
    result = [entry["wanted_operation"], str(where / entry["file"]), "--json", "-o", os.path.join(folder, "out")]
    if entry["passphrase"] is not None:
        passphrase_file = os.path.join(folder, "passphrase")
        pathlib.Path(passphrase_file).write_text(entry["passphrase"], encoding="ascii")
        result += ["--passphrase-file", passphrase_file]
    if entry["parent_scalar"] is not None:
        result += ["--parent-scalar", entry["parent_scalar"]]
    for key in ("pin", "private_key", "recovery_key"):
        if entry[key] is not None:
            result += ["--" + key.replace("_", "-"), entry[key]]
    for public in entry["trusted_origins"]:
        result += ["--origin", host(public)]
    for public in entry["trusted_adders"]:
        result += ["--adder", host(public)]
    return result + (["--allow-unsigned"] if entry["allow_unsigned"] else [])


def read(entry, where=VECTORS):
    """(exit code, report, stderr, extracted images) of the reader, run in this process."""
    output, errors = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = cks.main(arguments(entry, folder, where))
        out = pathlib.Path(folder) / "out"
        files = {path.name: cks_primitives.sha256(path.read_bytes()).hex() for path in out.glob("*")}
    return code, json.loads(output.getvalue()), errors.getvalue(), files


class Vectors(unittest.TestCase):
    def check(self, entry, where=VECTORS):
        code, report, errors, files = read(entry, where)
        self.assertEqual(code, entry["exit"], errors)
        self.assertEqual("warning" in errors, entry["warning"], errors)
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
                self.check(entry)

    def test_as_a_program(self):
        entry = next(entry for entry in entries() if entry["file"] == "good_stream.cks")
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, str(HERE / "cks.py"), *arguments(entry, folder)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        images = json.loads(done.stdout)["images"]
        self.assertEqual({name: image["sha256"] for name, image in images.items()}, entry["images"])

    def test_large_files(self):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, str(VECTORS / "make.py"), "--big", folder]
            subprocess.run(command, timeout=240, check=True)
            where = pathlib.Path(folder)
            for entry in json.loads((where / "vectors.json").read_text(encoding="ascii")):
                with self.subTest(file=entry["file"]):
                    self.check(entry, where)

    def test_changed_while_it_is_read(self):
        """A page of the manifest that is read again MUST be the one that was signed."""
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "copy.cks"
            copy.write_bytes((VECTORS / "good_many_chunks.cks").read_bytes())
            entry = next(entry for entry in entries() if entry["file"] == "good_many_chunks.cks")
            key = cks.parse_host(host(entry["trusted_origins"][0]))
            trust = cks.Trust(dict([key]))
            checkpoint = cks.Checkpoint(str(copy))
            self.addCleanup(checkpoint.close)
            checkpoint.read_frame()
            checkpoint.check_origin(trust)
            checkpoint.unlock(cks_slots.Keys(entry["passphrase"].encode()), trust)
            image = checkpoint.images()[0]
            self.assertEqual(len(checkpoint.manifest.read_chunk(image, 8)), 100)
            with open(copy, "r+b") as file:
                file.seek(checkpoint.trailer.manifest_at)
                file.write(b"\0")
            checkpoint.manifest.page(1)
            with self.assertRaises(cks_primitives.Refused) as raised:
                checkpoint.manifest.read_chunk(image, 8)
            self.assertEqual((raised.exception.code, raised.exception.rule), (5, "Reading"))

    def test_memory_beyond_the_limit_is_not_allocated(self):
        entry = next(entry for entry in entries() if entry["file"] == "good_stream.cks")
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()) as errors:
            with contextlib.redirect_stdout(io.StringIO()):
                code = cks.main([*arguments(entry, folder), "--max-memory-kib", "63"])
        self.assertEqual(code, 1, errors.getvalue())
        self.assertIn("--max-memory-kib", errors.getvalue())

    def test_flipped_anywhere(self):
        """No bit of a file may be flipped unnoticed. Every 997th byte, and all of what is neither zero nor ciphertext."""
        entry = next(entry for entry in entries() if entry["file"] == "good_two_chunks.cks")
        whole = (VECTORS / entry["file"]).read_bytes()
        header = range(4096, 4096 + 24 + 130 + 2 + 85 + 32, 3)
        places = {*range(0, len(whole), 997), *range(12), *header, *range(len(whole) - 4096, len(whole) - 4096 + 96, 3)}
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / entry["file"]
            for place in sorted(places):
                flipped = bytearray(whole)
                flipped[place] ^= 1 << place % 8
                copy.write_bytes(flipped)
                with self.subTest(place=place):
                    self.assertEqual(read(entry, pathlib.Path(folder))[0], 5)

    def test_no_file(self):
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            self.assertEqual(cks.main(["verify", str(HERE / "no such file")]), 1)
            self.assertEqual(cks.main(["verify", str(HERE)]), 1)
        self.assertEqual(errors.getvalue().count("\n"), 2)


# Refusals that no file of its own can show, with the reason.
WITHOUT_VECTOR = {
    "the file became shorter while it was read": "needs a file that changes",
    "a page of the manifest changed while the file was read": "needs a file that changes: tested above",
    "a passphrase slot wants 64 KiB: allow it with --max-memory-kib": "a limit of the caller: tested above",
    "a TPM slot is shorter than its fixed fields": "the page does not say whether to skip or to refuse it",
    "the unique field of the sealed object is not a SHA-256": "a TPM's own check",
    "something follows the sealed data": "a TPM's own check",
}


def refusals():
    """Patterns of the messages of every refusal in the reader's source."""
    for module in MODULES:
        tree = ast.parse(pathlib.Path(module.__file__).read_text(encoding="utf-8"))
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call):
                continue
            # sized() hands its message on to require().
            message = call.args[2] if getattr(call.func, "id", "") in ("require", "Refused", "sized") else None
            if isinstance(message, ast.Constant):
                yield re.escape(message.value)
            elif isinstance(message, ast.JoinedStr):
                parts = message.values
                yield "".join(re.escape(part.value) if isinstance(part, ast.Constant) else ".*" for part in parts)


class Completeness(unittest.TestCase):
    def test_every_file_is_listed(self):
        listed = {entry["file"] for entry in entries()}
        self.assertEqual(listed, {path.name for path in VECTORS.glob("*.cks")})

    def test_every_heading_has_a_vector(self):
        headings = set(re.findall(r"^##+ (.*)$", SPECIFICATION.read_text(encoding="utf-8"), re.MULTILINE))
        rules = {entry["rule"] for entry in entries()}
        self.assertEqual(rules - headings, set(), "vectors.json names a heading that the page does not have")
        self.assertEqual(headings - rules, WITHOUT_READER_RULE)

    def test_files_are_what_the_writer_writes(self):
        command = [sys.executable, str(VECTORS / "make.py"), "--check"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_every_refusal_has_a_vector(self):
        shown = [read(entry)[1]["message"] for entry in entries() if entry["exit"]]
        shown += [message.removeprefix("neither header copy is sound: ") for message in shown] + list(WITHOUT_VECTOR)
        patterns = list(refusals())
        self.assertGreater(len(patterns), 100)
        untried = [pattern for pattern in patterns if not any(re.fullmatch(pattern, text) for text in shown)]
        self.assertEqual(untried, [])


if __name__ == "__main__":
    unittest.main()

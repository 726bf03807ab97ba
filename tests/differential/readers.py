# SPDX-License-Identifier: Apache-2.0
"""Both readers, asked for their verdict on one look at a file: ours in a process of its own, which may crash, and the
independent one of tests/reader/ in this process. And what of two verdicts has to be the same."""

import argparse
import functools
import json
import os
import select
import subprocess
import tempfile
import traceback

import cks
from cks_keys import HybridKey, Passphrase, PrivateKey, RecoveryKey, StorageParent
from cks_options import trusted_host
from cks_primitives import Refused

LONGEST_LOOK = 60  # seconds: far more than any takes, also under sanitizers
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
NOTHING = {"exit": None, "slot": None, "images": {}, "warning": False, "warnings": [], "given_out": 0, "message": None}


class OurReader:
    """sealed_verdicts. What it does not answer is a verdict, too, and it is started again."""

    def __init__(self, command):
        self.command = command
        self.process = None
        self.errors = tempfile.TemporaryFile()
        self.can = self._start()

    def _start(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        return json.loads(self._line() or "null")

    def _line(self):
        ready, _, _ = select.select([self.process.stdout], [], [], LONGEST_LOOK)
        return self.process.stdout.readline() if ready else None

    def ask(self, look):
        try:
            self.process.stdin.write(json.dumps(look) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer says it

    def answer(self):
        line = self._line()
        if line:
            return json.loads(line)
        self.close()
        self.errors.seek(0)
        said = self.errors.read().decode("utf-8", "replace")[-4000:]
        how = "does not answer" if line is None else f"ended with {self.process.returncode}"
        self.errors.truncate(0)
        self._start()
        return NOTHING | {"message": f"crash: {how}: {said}"}

    def close(self):
        self.process.kill()
        self.process.communicate()


# Parsing a key takes longer than all else.
@functools.cache
def identity(name, text, pin=None):
    if name == "passphrase":
        return Passphrase(text.encode("ascii"))
    kinds = {"private_key": PrivateKey, "hybrid_key": HybridKey, "recovery_key": RecoveryKey}
    if name == "parent_scalar":
        return StorageParent(bytes.fromhex(text), pin=pin and pin.encode("ascii"))
    return kinds[name](bytes.fromhex(text))


def options_of(look, folder):
    """As cks.py makes them of its command line."""
    order = ("parent_scalar", "private_key", "hybrid_key", "recovery_key", "passphrase")
    given = [(name, look[name]) for name in order if look[name] is not None]
    keys = [identity(name, text, look["pin"] if name == "parent_scalar" else None) for name, text in given]
    hosts = [trusted_host("{identity}:{x}:{y}:{expires}".format(**host)) for host in look["trusted"]]
    return argparse.Namespace(
        verb=look["wanted_operation"],
        keys=keys,
        origin=hosts,
        allow_unsigned=look["allow_unsigned"],
        max_memory_kib=look["max_memory_kib"],
        now=look["now"],
        output=folder,
    )


def their_verdict(look):
    """The independent reader's; a bug in it is told as a crash."""
    report, warnings = {"images": {}, "slot": None}, []
    said = NOTHING | {"exit": 0, "rule": None}
    try:
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder, open(look["file"], "rb") as file:
            cks.run(options_of(look, folder), report, cks.Checkpoint(file, warnings.append))
        said["slot"] = report["slot"]
        said["images"] = {name: image["sha256"] for name, image in report["images"].items()}
    except Refused as refusal:
        said |= {"exit": refusal.code, "message": refusal.message, "rule": refusal.rule}
    except Exception:  # noqa: BLE001: whatever it is, it is found
        said |= {"exit": None, "message": "crash: " + traceback.format_exc()}
    return said | {"warning": bool(warnings), "warnings": warnings}


def disagreement(ours, theirs):
    """What they disagree in, or None. Of a failure ours warns of less: what is the answer is no warning, too."""
    for one in (ours, theirs):
        if one["exit"] is None:
            return "crash"
    if ours["exit"] != theirs["exit"]:
        return "exit"
    if ours["exit"] == 1 and ours["message"].startswith("The helper "):
        return "helper"
    if ours["given_out"] and ours["exit"] not in (0, 5):  # 5: of a chunk behind good ones
        return "content"
    if ours["exit"]:
        return "warning" if ours["warning"] and not theirs["warning"] else None
    if ours["message"]:
        return "content"
    return next((key for key in ("slot", "images", "warning") if ours[key] != theirs[key]), None)


class Question:
    """One file before both readers. Ours is asked at once, so that it reads while something else is done here."""

    def __init__(self, reader, case, data, faults):
        self.reader = reader
        self.case = case
        self.data = data
        self.faults = faults
        self.file = tempfile.NamedTemporaryFile(dir=MEMORY, suffix=".cks")
        self.file.write(data)
        self.file.flush()
        self.look = dict(case.look, file=self.file.name)
        reader.ask(self.look)

    def answer(self):
        """The file, both verdicts, and what they disagree in, or None."""
        theirs = their_verdict(self.look)
        ours = self.reader.answer()
        self.file.close()
        what = disagreement(ours, theirs)
        if what is None and not self.faults and ours["images"] not in ({}, self.case.images()):
            what = "what was written"
        return self.data, ours, theirs, what

# SPDX-License-Identifier: Apache-2.0
"""Hosts that seal for themselves what may be restored a limited number of times, and their records of uses."""

import copy
import hashlib
import shutil
import struct
import time

import support

CONTENT = b"content of a limited checkpoint"
COUNTER = "0x1800f10"  # docs/state.md, "Keys in the TPM"


class UseRecord:
    """docs/state.md, "uses"."""

    def __init__(self, content):
        magic, self.index, self.counter, self.since, count = struct.unpack_from(">8sIQQI", content)
        assert magic == b"CKSUSES1" and len(content) == 32 + 20 * count + 32, content
        assert hashlib.sha256(content[:-32]).digest() == content[-32:]
        self.uses = dict(struct.unpack_from(">16sI", content, 32 + 20 * i) for i in range(count))

    def bytes(self):
        out = struct.pack(">8sIQQI", b"CKSUSES1", self.index, self.counter, self.since, len(self.uses))
        out += b"".join(struct.pack(">16sI", *entry) for entry in sorted(self.uses.items()))
        return out + hashlib.sha256(out).digest()


def utc(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def wait_for(second):
    """Until the clock is past this second."""
    while time.time() < second + 1:
        time.sleep(0.05)


class LimitCase(support.CliTest):
    """Each test has a host of its own, a copy of one that was provisioned."""
    HOSTS = ("host-b",)

    def setUp(self):
        super().setUp()
        self.host = self.copy_of_host()
        self.path = self.folder / "x.cks"

    def copy_of_host(self, name="h"):
        out = copy.copy(self.b)
        out.state = self.folder / name
        shutil.copytree(self.b.state, out.state, ignore=shutil.ignore_patterns("sock*"))
        return out

    def seal(self, *options, path=None, **more):
        done = self.host.run("seal", "-o", path or self.path, *options, self.write("plain", CONTENT), **more)
        self.succeeds(done)

    def open(self, *options, path=None, host=None, **more):
        return (host or self.host).run("open", *options, path or self.path, **more)

    def opens(self, *options, **more):
        self.assertEqual(self.succeeds(self.open(*options, **more)).stdout, CONTENT)

    def stays_shut(self, code, *words, **more):
        done = self.refused(self.open(**more), code, *words)
        self.assertEqual(done.stdout, b"")

    @property
    def uses_path(self):
        return self.host.state / "uses"

    @property
    def record(self):
        return UseRecord(self.uses_path.read_bytes())

    def put(self, record):
        self.uses_path.write_bytes(record.bytes())

    def counter(self):
        return int.from_bytes(self.host.with_tools("tpm2_nvread", COUNTER), "big")

    def provision_anew(self):
        """What it says. What is sealed when this returns is younger than the new record."""
        done = self.succeeds(self.host.run("provision"))
        wait_for(self.record.since)
        return done.stderr.decode()

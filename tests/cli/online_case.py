# SPDX-License-Identifier: Apache-2.0
"""An authority that answers requests for online approval, its requests and answers by docs/policies.md, "Online approval"."""

import base64
import os
import shlex
import struct

import support
from policy_case import PolicyCase, sha256
from step_case import words_of
from token_case import PIN, WithTokens

ID = bytes(range(16))
ORIGIN = bytes(range(32, 64))


def use_of(origin, checkpoint_id):
    """By what a record of uses knows a checkpoint: docs/state.md, "uses"."""
    return sha256(b"ckpt-seal/v1/use", origin, checkpoint_id)[:16]


USE = use_of(ORIGIN, ID)


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
        return pem(b"CKPT-SEAL REQUEST", magic + (point or self.point) + ORIGIN + ID + struct.pack(">IQ", restores, not_after) + name +
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

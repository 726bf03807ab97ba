#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Verifies, extracts or inspects a sealed checkpoint. It goes through the steps of docs/format.md, "Reading".

It exists as the proof that docs/format.md is enough to write a reader. It is for tests: it takes keys from the command
line and does in software what a TPM would do.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import sys
import tempfile
import time

from cks_header import CONTENTS, TRAILER, parse_copy, parse_preamble, parse_trailer, trailer_size
from cks_manifest import Manifest
from cks_options import parse_arguments
from cks_primitives import PAGE, ZERO32, Refused, hkdf_expand, hkdf_extract, hmac_sha256, require, same, sha256
from cks_slots import Keys, find_data_key, vouch

COPIES, IMMUTABLE, SLOTS, READING = "Header copies", "Immutable part", "Slots", "Reading"
CHAINS, EXIT_CODES = "Chains", "Exit codes"
NOT_ITS_FAULT, NOT_COUNTED = 1, 2


class Trust:
    """The hosts that are trusted as origin, adder and changer: (identity, x, y, expires), with 0 for never."""

    def __init__(self, hosts=(), allow_unsigned=False, now=None):
        self.hosts = hosts
        self.allow_unsigned = allow_unsigned
        self.now = int(time.time()) if now is None else now

    def keys_at(self, identity, moment):
        """The keys of a host in records that had not expired at that moment."""
        return [(x, y) for host, x, y, expires in self.hosts
                if host == identity and (expires == 0 or moment < expires)]


class Checkpoint:
    """A file, read step by step: read_frame, check_origin, unlock, images, and then manifest.read_chunk."""

    def __init__(self, file, warn=lambda sentence: None):
        self.file = file
        self.warn = warn
        self.size = file.seek(0, os.SEEK_END)
        self.copies = []  # of each copy what it says, or why it is not sound
        self.header = self.trailer = self.manifest = self.slot = None
        self.page_digests = b""

    def read(self, offset, size):
        self.file.seek(offset)
        data = self.file.read(size)
        require(len(data) == size, READING, "the file became shorter while it was read", NOT_ITS_FAULT)
        return data

    def read_frame(self):
        """Step 1."""
        self.file.seek(0)
        log_h = parse_preamble(self.file.read(PAGE))
        data_start = PAGE + (2 << log_h)
        require(self.size >= data_start + 2 * PAGE, TRAILER, f"{self.size} bytes are too few for a file")
        blocks = [self.read(PAGE + (copy << log_h), 1 << log_h) for copy in (0, 1)]
        self._choose([_copy_or_refusal(block, log_h) for block in blocks])
        size = trailer_size(self.read(self.size - 36, 36), self.size, data_start)
        block = self.read(self.size - size, size)
        self.trailer = parse_trailer(block, self.size, data_start, self.header.immutable.origin)

    def _choose(self, copies):
        self.copies = copies
        sound = [copy for copy in copies if not isinstance(copy, Refused)]
        if not sound:
            rules = {copy.rule for copy in copies}
            rule = rules.pop() if len(rules) == 1 else COPIES
            raise Refused(5, rule, f"neither header copy is sound: {copies[0].message}")
        for number, copy in enumerate(copies):
            if isinstance(copy, Refused):
                self.warn(f"header copy {number} is not sound: {copy.message}")
        self.header = max(sound, key=lambda copy: copy.generation)  # the first of equal ones
        for number, copy in enumerate(copies):
            if copy in sound and copy.immutable.digest != self.header.immutable.digest:
                copies[number] = Refused(5, COPIES, "its immutable part is not that of the copy that is used")
                self.warn(f"header copy {number} is not sound: {copies[number].message}")
            elif copy in sound and copy.block != self.header.block:
                self.warn("the header copies differ: a change of the slots was interrupted")

    def require_sound_copies(self):
        """What a check of the file demands of both copies."""
        for number, copy in enumerate(self.copies):
            if isinstance(copy, Refused):
                raise Refused(5, COPIES, f"header copy {number} is not sound: {copy.message}")

    def check_origin(self, trust):
        """Steps 2 and 3."""
        part = self.header.immutable
        if part.signed:
            keys = trust.keys_at(part.origin, part.created)
            require(keys, TRAILER, f"the origin {part.origin.hex()} is not trusted", 4)
        else:
            require(trust.allow_unsigned, TRAILER, "the file is unsigned, and that is not allowed", 4)
        manifest_digest = self._digest_manifest()
        if part.signed:
            file_digest = sha256(b"ckpt-seal/v1/file", part.digest, manifest_digest)
            origin_digest = sha256(b"ckpt-seal/v1/origin", file_digest, sha256(self.trailer.evidence))
            holds = self.trailer.signature.holds(keys, origin_digest)
            require(holds, TRAILER, "the signature of the origin does not hold")
        self._check_change(trust)

    def _digest_manifest(self):
        """Of all pages; and it keeps that of each."""
        whole, digests = hashlib.sha256(), bytearray()
        for number in range(self.trailer.pages):
            page = self.read(self.trailer.manifest + PAGE * number, PAGE)
            whole.update(page)
            digests += sha256(page)
        self.page_digests = bytes(digests)
        return whole.digest()

    def _check_change(self, trust):
        header = self.header
        if header.generation == 1:
            return
        if header.changer == ZERO32:
            require(trust.allow_unsigned, COPIES, "the change of the slots is unsigned, and that is not allowed", 4)
            return
        keys = trust.keys_at(header.changer, header.changed)
        require(keys, COPIES, f"the changer {header.changer.hex()} is not trusted", 4)
        holds = header.change.holds(keys, header.change_to_sign)
        require(holds, COPIES, "the signature of the changer does not hold")

    def require_vouched(self, trust):
        """What a check of the file demands of all slots."""
        for slot in self.header.slots:
            try:
                vouch(slot, self.header, trust)
            except Refused as refusal:
                raise Refused(5, SLOTS, f"slot {slot.index} is not vouched for: {refusal.message}") from None

    def require_content(self):
        """The end of step 5: it follows no chains and counts no uses."""
        part = self.header.immutable
        require(not part.has_parent, CHAINS, "the file has a parent, and this reader follows no chains", NOT_ITS_FAULT)
        require(not part.restores, IMMUTABLE, "the file limits its uses, and this reader counts none", NOT_COUNTED)

    def unlock(self, keys, trust):
        """Step 4."""
        part = self.header.immutable
        in_time = part.not_after == 0 or trust.now < part.not_after
        require(in_time, IMMUTABLE, "its time is over", 6)
        self.slot, data_key = find_data_key(self.header, keys, trust, self.warn)
        header_key = hkdf_expand(hkdf_extract(part.digest, data_key), b"ckpt-seal/v1/header")
        mac = hmac_sha256(header_key, self.header.maced)
        require(same(mac, self.header.mac), COPIES, "the header MAC is wrong")
        self.manifest = Manifest(self.read, self.header, self.trailer, self.page_digests, data_key)

    def images(self):
        """Step 5."""
        if not self.manifest.checked:
            self.manifest.check()
        return self.manifest.images

    def describe(self):
        """What the file says, for people and tests."""
        part = self.header.immutable
        said = {name: value.hex() if isinstance(value, bytes) else value for name, value in vars(part).items()}
        said["content"] = CONTENTS[part.content]
        said |= {"header_size": len(self.header.block), "generation": self.header.generation}
        said |= {"changer": self.header.changer.hex(), "sound": [not isinstance(copy, Refused) for copy in self.copies]}
        said["slots"] = [{"index": slot.index, "kind": slot.kind, "adder": slot.adder_kind, "host": slot.adder.hex(),
                          "generation": slot.generation, "body_size": len(slot.body), "digest": slot.digest.hex()}
                         for slot in self.header.slots]
        said |= {f"trailer_{field.name}": getattr(self.trailer, field.name)
                 for field in dataclasses.fields(self.trailer)[:4]}
        return said | {"evidence_size": len(self.trailer.evidence), "signature": self.trailer.signature.algorithm}


def _copy_or_refusal(block, log_h):
    try:
        return parse_copy(block, log_h)
    except Refused as refusal:
        return refusal


def read_image(manifest, image, output=None):
    """Step 6: verifies all chunks of an image, and writes them when there is an output. Its SHA-256."""
    digest = hashlib.sha256()
    for index in range(image.chunks):
        chunk = manifest.read_chunk(image, index)
        digest.update(chunk)
        if output and manifest.is_hole(image, index):
            output.seek(len(chunk), os.SEEK_CUR)
        elif output:
            output.write(chunk)
    if output:
        output.truncate(image.length)
    return digest.hexdigest()


def extract(checkpoint, folder):
    """Gives the files their names when all of them were verified."""
    existed = os.path.isdir(folder)
    os.makedirs(folder, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".cks-", dir=folder) as work:
            read = {}
            for image in checkpoint.images():
                with open(os.path.join(work, image.name), "wb") as output:
                    read[image.name] = read_image(checkpoint.manifest, image, output)
            for name in read:
                os.replace(os.path.join(work, name), os.path.join(folder, name))
    finally:
        if not existed:
            with contextlib.suppress(OSError):
                os.rmdir(folder)  # nothing, once there is something in it
    return read


def run(options, report, checkpoint):
    """The steps, as far as the verb and the keys go."""
    keys = Keys(options.keys, options.max_memory_kib)
    trust = Trust(options.origin, options.allow_unsigned, options.now)
    checkpoint.read_frame()
    part = checkpoint.header.immutable
    report |= {"signed": part.signed, "content": CONTENTS[part.content]}
    if options.verb == "inspect":
        report["header"] = checkpoint.describe()
    try:
        checkpoint.check_origin(trust)
    except Refused as refusal:
        # Who only looks, and without a key, is told what others refuse.
        if options.verb == "inspect" and not keys.identities and refusal.code == 4:
            return
        raise
    if options.verb == "verify":
        checkpoint.require_sound_copies()
        checkpoint.require_vouched(trust)
    if options.verb == "extract" or keys.identities:
        read_content(options, report, checkpoint, keys, trust)


def read_content(options, report, checkpoint, keys, trust):
    checkpoint.unlock(keys, trust)
    report["slot"] = checkpoint.slot
    images = checkpoint.images()
    if options.verb == "extract":
        checkpoint.require_content()
    digests = {}
    if options.verb == "verify":
        digests = {image.name: read_image(checkpoint.manifest, image) for image in images}
    elif options.verb == "extract":
        digests = extract(checkpoint, options.output)
    report["images"] = {image.name: {"length": image.length, "sha256": digests.get(image.name)} for image in images}
    report["chunks_checked"] = options.verb != "inspect"


def show(report):
    """What there is to say without --json."""
    for name, value in (report["header"] or {}).items():
        print(f"{name}: {value}")
    for name, image in report["images"].items():
        print(f"{name}: {image['length']} bytes, SHA-256 {image['sha256']}")
    if report["exit"] == 0 and not report["chunks_checked"]:
        print("the chunks were not checked")


def main(arguments):
    try:
        options = parse_arguments(arguments)
    except SystemExit as end:
        return end.code
    report = dict(schema_version=1, exit=0, rule=None, message=None, warnings=[], images={}, chunks_checked=False,
                  signed=None, content=None, slot=None, header=None)
    try:
        with open(options.file, "rb") as file:
            run(options, report, Checkpoint(file, report["warnings"].append))
    except OSError as error:
        _refuse(report, Refused(NOT_ITS_FAULT, EXIT_CODES, f"{error.strerror or error}"))
    except Refused as refusal:
        _refuse(report, refusal)
    for sentence in report["warnings"]:
        print(f"cks.py: warning: {sentence}", file=sys.stderr)
    if report["exit"]:
        print(f"cks.py: {options.file}: {report['message']}", file=sys.stderr)
    print(json.dumps(report)) if options.json else show(report)
    return report["exit"]


def _refuse(report, refusal):
    report |= {"exit": refusal.code, "rule": refusal.rule, "message": refusal.message}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

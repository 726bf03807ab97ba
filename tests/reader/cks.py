#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reads sealed checkpoints, written from docs/format.md alone.

The page claims that somebody else can write a reader from it. This is that reader: it shares no code with ckpt-seal, and
both must agree on every file of tests/vectors. It is slow, keeps its keys in ordinary memory and is no tool for
anything but tests and rescue.

Exit codes: 0 done, 1 failed, 2 usage, 3 wrong passphrase, 4 origin or adder not trusted or unsigned, 5 integrity,
9 no slot for the given key. `verify` also exits 5 when a spare header copy is damaged; `extract` only warns.
"""

import argparse
import json
import os
import sys

import cks_primitives as crypto
import cks_slots
from cks_header import PAGE, TRAILER, check_signature_algorithm, choose_copy, parse_preamble, parse_trailer
from cks_manifest import Manifest
from cks_primitives import Refused, require, sha256

PREAMBLE = 4096


class Source:
    """A file of a fixed size that is read at offsets."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.size = os.fstat(self.file.fileno()).st_size

    def read_at(self, offset, size):
        data = os.pread(self.file.fileno(), size, offset)
        require(len(data) == size, "Reading", "the file became shorter while it was read")
        return data

    def close(self):
        self.file.close()


class Trust:
    """Fingerprints and public keys of those who may seal (origins) and those who may add slots (adders)."""

    def __init__(self, origins=None, adders=None, allow_unsigned=False):
        self.origins = origins or {}
        self.adders = adders or {}
        self.allow_unsigned = allow_unsigned


class Checkpoint:
    """One file. The methods are the steps of "Reading", in their order; each takes what the one before it left."""

    def __init__(self, path):
        self.source = Source(path)
        self.warnings = []
        self.damaged = False
        self.manifest = None
        self.slot = None

    def read_frame(self):
        """Step 1."""
        size = self.source.size
        require(size >= PREAMBLE, "Preamble", "the file is shorter than a preamble")
        log_h = parse_preamble(self.source.read_at(0, PREAMBLE))
        copy_size = 1 << log_h
        self.data_at = PREAMBLE + 2 * copy_size
        require(size >= self.data_at + PAGE + TRAILER, "Overview", "the file is too short for its header and manifest")
        self.trailer = parse_trailer(self.source.read_at(size - TRAILER, TRAILER), self.data_at, size)
        blocks = [self.source.read_at(PREAMBLE + n * copy_size, copy_size) for n in (0, 1)]
        self.header, self.damaged = choose_copy(blocks, log_h, self.warnings.append)
        self.immutable = self.header.immutable

    def check_origin(self, trust):
        """The end of step 1, and steps 2 and 3. Nothing of the manifest is parsed here."""
        rule = "Reading"
        check_signature_algorithm(self.trailer, self.immutable)
        if self.immutable.signed:
            key = trust.origins.get(self.immutable.origin)
            require(key is not None, rule, "the origin of the file is not trusted", code=4)
        else:
            require(trust.allow_unsigned, rule, "the file is not signed", code=4)
        whole = crypto.hashlib.sha256()
        self.page_digests = []
        for number in range(self.trailer.pages):
            page = self.source.read_at(self.trailer.manifest_at + PAGE * number, PAGE)
            whole.update(page)
            self.page_digests.append(sha256(page))
        if self.immutable.signed:
            digest = sha256(b"ckpt-seal/v1/file", self.immutable.digest, whole.digest())
            good = crypto.ecdsa_verify(key, digest, self.trailer.signature)
            require(good, "Trailer", "the signature of the file is wrong")

    def unlock(self, keys, trust):
        """Steps 4 to 6."""
        self.slot, data_key = cks_slots.unwrap(self.header.slots, self.immutable, keys)
        prk = crypto.hkdf_extract(self.immutable.checkpoint_id, data_key)
        commitment = crypto.hkdf_expand(prk, b"ckpt-seal/v1/commitment", 32)
        same = crypto.hmac.compare_digest(commitment, self.immutable.commitment)
        require(same, "Keys", "the slot gives another key than the one that the file is committed to")
        manifest = Manifest(self.source, self.immutable, self.trailer, self.data_at, data_key, self.page_digests)
        mac = crypto.hmac_sha256(manifest.header_key(), self.header.maced)
        require(crypto.hmac.compare_digest(mac, self.header.mac), "Header copies", "the header's MAC is wrong")
        manifest.check()
        self.check_adder(manifest, trust)
        self.manifest = manifest

    def check_adder(self, manifest, trust):
        rule = "Slots"
        slot = self.slot
        if slot.adder == 0:
            require(slot.digest in manifest.slot_digests, rule, "the slot was not there at sealing")
            return
        key = trust.adders.get(slot.adder_host)
        require(key is not None, rule, "the host that added the slot is not trusted", code=4)
        generation = slot.generation.to_bytes(8, "big")
        digest = sha256(b"ckpt-seal/v1/slot", self.immutable.checkpoint_id, generation, slot.digest)
        require(crypto.ecdsa_verify(key, digest, slot.signature), rule, "the signature of the slot's adder is wrong")

    def images(self):
        return [self.manifest.images[number] for number in sorted(self.manifest.images)]

    def verify_images(self):
        """{name: {length, sha256}} of all images, every chunk of them verified."""
        report = {}
        for image in self.images():
            digest = crypto.hashlib.sha256()
            for chunk in self.manifest.read_image(image):
                digest.update(chunk)
            report[image.name] = {"length": image.length, "sha256": digest.hexdigest()}
        return report

    def extract(self, folder):
        """Writes the images to `folder`; a name appears there only when the whole image was verified."""
        report = {}
        os.makedirs(folder, exist_ok=True)
        for image in self.images():
            # A space cannot stand in an image name, so this one is free.
            partial = os.path.join(folder, "partial image")
            digest = crypto.hashlib.sha256()
            try:
                with open(partial, "wb") as output:
                    for chunk in self.manifest.read_image(image):
                        digest.update(chunk)
                        output.write(chunk)
                os.rename(partial, os.path.join(folder, image.name))
            finally:
                if os.path.lexists(partial):
                    os.unlink(partial)
            report[image.name] = {"length": image.length, "sha256": digest.hexdigest()}
        return report

    def close(self):
        self.source.close()


def describe(checkpoint):
    """What the header says. Unverified unless the caller has checked the origin."""
    immutable = checkpoint.immutable
    return {
        "generation": checkpoint.header.generation,
        "suite": immutable.suite,
        "content": immutable.content,
        "header_copy_size": (checkpoint.data_at - PREAMBLE) // 2,
        "chunk_size": immutable.chunk_size,
        "checkpoint_id": immutable.checkpoint_id.hex(),
        "origin": immutable.origin.hex() if immutable.signed else None,
        "parent": immutable.parent.hex() if immutable.parent != bytes(32) else None,
        "created": immutable.created,
        "data_bytes": checkpoint.trailer.manifest_at - checkpoint.data_at,
        "manifest_pages": checkpoint.trailer.pages,
        "slots": [{"kind": s.kind, "adder": s.adder, "digest": s.digest.hex()} for s in checkpoint.header.slots],
    }


def run(verb, path, keys, trust, folder=None):
    """Does `verb` and returns the report with its exit code; raises only OSError."""
    report = {"schema_version": 1, "exit": 0, "rule": None, "message": None, "images": {}, "chunks_checked": False}
    checkpoint = Checkpoint(path)
    try:
        checkpoint.read_frame()
        if verb == "inspect":
            report["header"] = describe(checkpoint)
        elif verb == "verify" and keys.empty():
            checkpoint.check_origin(trust)
            report["signed"] = checkpoint.immutable.signed
        else:
            checkpoint.check_origin(trust)
            report["signed"] = checkpoint.immutable.signed
            checkpoint.unlock(keys, trust)
            report["content"] = checkpoint.immutable.content
            report["images"] = checkpoint.extract(folder) if verb == "extract" else checkpoint.verify_images()
            report["chunks_checked"] = True
        if verb == "verify":
            require(not checkpoint.damaged, "Header copies", "one of the header copies is damaged")
    except Refused as refusal:
        report.update({"exit": refusal.code, "rule": refusal.rule, "message": refusal.message})
    finally:
        checkpoint.close()
    report["warnings"] = checkpoint.warnings
    return report


def parse_host(text):
    """FINGERPRINT:X:Y in hex, 32 bytes each."""
    try:
        fingerprint, x, y = (bytes.fromhex(part) for part in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError("not FINGERPRINT:XHEX:YHEX") from None
    if any(len(part) != 32 for part in (fingerprint, x, y)):
        raise argparse.ArgumentTypeError("fingerprint, x and y have 32 bytes each")
    key = crypto.p256_public(x, y)
    if key is None:
        raise argparse.ArgumentTypeError("the point is not on P-256")
    return fingerprint, key


def parse_scalar(text):
    scalar = int(text, 16)
    if not 0 < scalar < crypto.P256_ORDER:
        raise argparse.ArgumentTypeError("no private scalar of P-256")
    return scalar


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog="cks.py", description="An independent reader of sealed checkpoints.")
    parser.add_argument("verb", choices=["verify", "extract", "inspect"])
    parser.add_argument("file")
    parser.add_argument("--passphrase-file", help="its bytes are the passphrase; one newline at the end is dropped")
    parser.add_argument("--origin", type=parse_host, action="append", default=[], help="FINGERPRINT:XHEX:YHEX")
    parser.add_argument("--adder", type=parse_host, action="append", default=[], help="FINGERPRINT:XHEX:YHEX")
    parser.add_argument("--allow-unsigned", action="store_true")
    parser.add_argument("--parent-scalar", type=parse_scalar, help="private scalar of a P-256 storage parent, hex")
    parser.add_argument("--parent-name", type=bytes.fromhex, help="its Name, when it is not the usual template's")
    parser.add_argument("--pin", type=str.encode, help="checked if given: who has the parent's scalar needs none")
    parser.add_argument("--private-key", type=bytes.fromhex, help="PKCS#8 in DER, hex")
    parser.add_argument("--recovery-key", type=bytes.fromhex, help="its 16 bytes, hex")
    parser.add_argument("--max-memory-kib", type=int, default=1 << 20, help="for Argon2id (1048576)")
    parser.add_argument("-o", "--output", default=".", help="folder to extract to")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def main(arguments):
    options = parse_arguments(arguments)
    keys = cks_slots.Keys(None, options.parent_scalar, options.parent_name, options.max_memory_kib, options.private_key,
                          options.recovery_key, options.pin)
    trust = Trust(dict(options.origin), dict(options.adder), options.allow_unsigned)
    try:
        if options.passphrase_file is not None:
            with open(options.passphrase_file, "rb") as file:
                keys.passphrase = file.read().removesuffix(b"\n")
        report = run(options.verb, options.file, keys, trust, options.output)
    except OSError as error:
        print(f"cks.py: {error.filename or options.file}: {error.strerror}", file=sys.stderr)
        return 1
    for warning in report["warnings"]:
        print(f"cks.py: warning: {warning}", file=sys.stderr)
    if report["exit"]:
        print(f"cks.py: {options.file}: {report['message']}", file=sys.stderr)
    if options.json:
        print(json.dumps(report, indent=2))
    elif report["exit"] == 0:
        print_report(options.verb, report)
    return report["exit"]


def print_report(verb, report):
    if verb == "inspect":
        for name, value in report["header"].items():
            print(f"{name}: {value}")
    elif not report["chunks_checked"]:
        print("signature good, chunks unchecked" if report["signed"] else "unsigned, chunks unchecked")
    for name, image in report["images"].items():
        print(f"{image['sha256']}  {image['length']}  {name}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

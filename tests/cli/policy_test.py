# SPDX-License-Identifier: Apache-2.0
"""policy predict: from logs of real boots, and from images that are put together here."""
import hashlib
import json
import struct
import subprocess
import sys

import support

LOGS = support.TOP / "tests" / "policies" / "event_logs"
sys.path.insert(0, str(LOGS))
import image_digests  # noqa: E402: an independent reader of images


def aligned(data):
    return data + bytes(-len(data) % 512)


def pe_image(sections):
    """An EFI image with these (name, content), as little as firmware would take."""
    header = bytearray(0x40 + 24 + 112 + 16 * 8 + 40 * len(sections))
    struct.pack_into("<2s58xI4sHH12xH", header, 0, b"MZ", 0x40, b"PE\0\0", 0x8664, len(sections), 112 + 16 * 8)
    struct.pack_into("<H", header, 0x58, 0x20B)
    size = len(aligned(bytes(header)))
    struct.pack_into("<I", header, 0x58 + 60, size)
    struct.pack_into("<I", header, 0x58 + 108, 16)
    body = b""
    for number, (name, content) in enumerate(sections):
        struct.pack_into("<8sIIII", header, 0x58 + 112 + 16 * 8 + 40 * number, name.encode(), len(content), 0, len(aligned(content)),
                         size + len(body))
        body += aligned(content)
    return aligned(bytes(header)) + body


def kernel(code):
    image = bytearray(pe_image([(".setup", b"s" * 512), (".text", code.ljust(512))]))
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x20E, 0x300)
    image[0x500:0x508] = b"6.1.0-1\0"
    return bytes(image)


def uki(cmdline=b"quiet", code=b"kernel", stub=b"252.1"):
    return pe_image([(".text", b"stub"), (".sdmagic", b"#### LoaderInfo: systemd-stub " + stub + b" ####\0"), (".osrel", b"ID=test"),
                     (".cmdline", cmdline), (".initrd", b"initrd"), (".linux", kernel(code))])


def pcrs_of(name):
    lines = (LOGS / f"{name}.pcrs").read_text().split()
    return dict(zip(lines[::2], lines[1::2]))


class Predictions(support.CliTest):
    HOSTS = ()

    def predict(self, log, *arguments):
        return support.run("--state", self.folder / "none", "policy", "predict", "--log", LOGS / f"{log}.eventlog", *arguments)

    def state(self, done):
        return json.loads(self.succeeds(done).stdout)

    def test_the_same_boot_again(self):
        for log in ("uki", "entry", "shim-grub", "uki-pcrkey-257"):
            state = self.state(self.predict(log))
            self.assertEqual(sorted(state), ["bank", "pcrs", "schema_version"])
            held = pcrs_of(log)
            self.assertEqual(state["pcrs"], {pcr: held[pcr] for pcr in ("0", "2", "4", "7", "8", "9", "11", "12")})

    def test_another_command_line(self):
        options = ("--cmdline", "console=ttyS0 panic=1 quiet")
        state = self.state(self.predict("entry", *options, "--tpm2-pcrs", "sha256:0,7,12"))
        held = pcrs_of("entry-changed")
        self.assertEqual(state["pcrs"], {pcr: held[pcr] for pcr in ("0", "7", "12")})
        self.refused(self.predict("uki", *options), 1, "cannot be predicted", "image")
        self.refused(self.predict("shim-grub", *options), 1, "PCR 9", "GRUB")
        before = self.write("before", b"linux /vmlinuz console=ttyS0 panic=1\ninitrd /initrd.img\nboot\n")
        after = self.write("after", b"linux /vmlinuz console=ttyS0 panic=1 quiet\ninitrd /initrd.img\nboot\n")
        state = self.state(self.predict("shim-grub", *options, "--grub-file", f"{before}={after}"))
        held = pcrs_of("shim-grub-changed")
        self.assertEqual(state["pcrs"], {pcr: held[pcr] for pcr in state["pcrs"]})
        self.refused(self.predict("shim-grub", "--grub-file", f"{after}={before}"), 1, "not extended")

    def test_another_image(self):
        """The stub's order and the image's digests, by an independent reader."""
        image = uki()
        path = self.write("next.efi", image)
        state = self.state(self.predict("uki", "--uki", path, "--tpm2-pcrs", "4,11"))

        value = bytes(32)
        for name in (".linux", ".osrel", ".cmdline", ".initrd"):
            for measured in (name.encode() + b"\0", image_digests.section(image, name)):
                value = hashlib.sha256(value + hashlib.sha256(measured).digest()).digest()
        self.assertEqual(state["pcrs"]["11"], value.hex())
        self.assertNotEqual(state["pcrs"]["4"], pcrs_of("uki")["4"])
        other = self.state(self.predict("uki", "--uki", self.write("other.efi", uki(code=b"other")), "--tpm2-pcrs", "4,11"))
        self.assertNotEqual(other["pcrs"], state["pcrs"])
        self.refused(self.predict("uki", "--uki", path), 1, "PCR 9", "OLD=NEW")
        self.refused(self.predict("uki", "--uki", f"{path}={path}", "--tpm2-pcrs", "4"), 1, "not of a boot")
        self.refused(self.predict("shim-grub", "--uki", path), 1, "PCR 11")
        self.refused(self.predict("uki", "--boot-loader", f"{path}={path}"), 1, "PCR 4")

    def test_images_that_are_none(self):
        whole = uki()
        for name, content, code in (("empty", b"", 5), ("cut", whole[:-1], 5), ("text", b"#!/bin/sh\n", 5), ("stub", uki(stub=b"999"), 1),
                                    ("plain", pe_image([(".text", b"code")]), 5)):
            path = self.write(name, content)
            self.refused(self.predict("uki", "--uki", path, "--tpm2-pcrs", "4"), code, name)
        self.refused(self.predict("uki", "--uki", self.folder / "none.efi"), 1, "none.efi")

    def test_bad_logs(self):
        log = (LOGS / "uki.eventlog").read_bytes()
        for name, content in (("empty", b""), ("cut", log[:-1]), ("tail", log + b"\0"), ("words", log.replace(b"Calling EFI", b"Falling EFI"))):
            self.refused(support.run("policy", "predict", "--log", self.write(name, content)), 5, "og")
        self.refused(support.run("policy", "predict", "--log", self.folder / "none"), 1, "none")

    def test_bad_arguments(self):
        for arguments in (("--tpm2-pcrs", "10"), ("--tpm2-pcrs", "24"), ("--boot-loader", "a"), ("--boot-loader", "=b"), ("--shim", "a="),
                          ("--grub-file", "a=b=c"), ("--uki", "=b")):
            self.refused(self.predict("uki", *arguments), 2)

    def test_the_document_and_the_report(self):
        path = self.folder / "state.json"
        report = self.json(self.succeeds(support.run("--json", "policy", "predict", "--log", LOGS / "uki.eventlog", "-o", path)))
        self.assertEqual(report["state"], json.loads(path.read_bytes()))
        self.assertEqual((report["verb"], report["checked"], report["output"]), ("policy predict", False, str(path)))
        self.refused(self.predict("uki", "-o", path), 1, "state.json")
        self.succeeds(self.predict("uki", "-o", path, "--force"))


class CheckedPredictions(support.CliTest):
    HOSTS = ()

    def test_the_log_is_held_against_the_tpm(self):
        socket = support.start_tpm(type(self), "tpm")
        log = LOGS / "uki.eventlog"
        subprocess.run([support.TOP / "swtpm-ci" / "replay", socket.parent, log], check=True, stdout=subprocess.DEVNULL, timeout=60)
        host = support.Host(self.folder, "host-c", f"swtpm:path={socket}")
        report = self.json(self.succeeds(host.run("--json", "policy", "predict", "--check", "--log", log)))
        self.assertTrue(report["checked"])
        self.refused(host.run("policy", "predict", "--check", "--log", LOGS / "entry.eventlog"), 5, "PCR 4")
        subprocess.run([support.TOP / "swtpm-ci" / "extend", socket.parent, "11", "enter-initrd"], check=True, stdout=subprocess.DEVNULL,
                       timeout=60)
        self.refused(host.run("policy", "predict", "--check", "--log", log), 5, "PCR 11")
        self.succeeds(host.run("policy", "predict", "--check", "--log", log, "--tpm2-pcrs", "0,2,4,7"))


if __name__ == "__main__":
    support.main()

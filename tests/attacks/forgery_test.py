# SPDX-License-Identifier: Apache-2.0
"""Whoever makes a whole file of its own: a stranger with all public records, somebody with a folder of CRIU's plain images, and
a trusted host that has gone bad. The last one may hand out any process, for that is what trust as origin means; it may not
do more to the host than that."""

import os
import subprocess
import tarfile

import attack_case
import sealed_victim
import support
from sealed_victim import BLOCK, CONTENT_AT, ORIGIN_AT, put

# Run by whoever takes a name or content from a file for a program; says so by a file.
PROOF = "proof-that-it-was-run"


class ForgeAFile(attack_case.AttackCase):
    HOSTS = ("host-a", "host-b", "stranger")

    def test_the_twin_of_the_trusted_host_goes_on(self):
        self.goes_on_from_where_it_stopped(self.victim.data)

    def by_the_stranger(self):
        """A whole checkpoint of a process, dumped by the stranger for host-b, whose record is public."""
        if not hasattr(type(self), "forged"):
            stranger = self.hosts["stranger"]
            child = self.launch("/usr/bin/python3", "-c", attack_case.PROGRAM, self.base / "stranger-out", "another marker")
            attack_case.wait_until(lambda: (self.base / "stranger-out").exists(), "the program starts")
            path = self.base / "forged.cks"
            self.succeeds(stranger.run("dump", "-t", child.pid, "-o", path, "--to", self.b.record(), "--to", "self"))
            child.wait(timeout=60)
            identity, key = sealed_victim.origin_of(stranger.record())
            trust = sealed_victim.cks.Trust({identity: key})
            type(self).forged = sealed_victim.Victim(path, stranger.unseal_by_other_means(path, slot=1), trust)
        return self.forged

    def test_a_checkpoint_of_a_stranger(self):
        self.all_refuse(self.by_the_stranger().data, 4, "trust")
        # Its twin: who names the record trusts it.
        done, pid, _ = self.restore_alone(self.folder / "attacked.cks", ("--trust", self.hosts["stranger"].record()))
        self.succeeds(done)
        self.end(pid)

    def test_a_checkpoint_in_the_name_of_the_trusted_host(self):
        # The stranger has the data key of its own file, and makes all of it anew under another origin.
        forged = self.by_the_stranger()
        immutable = put(forged.immutable.raw, ORIGIN_AT, self.victim.immutable.origin)
        for what, sign in (("by itself", self.hosts["stranger"].sign),
                           ("a signature of the host's", lambda _: self.victim.trailer.signature), ("nothing", lambda _: bytes(64))):
            with self.subTest(what):
                path = self.restore_refuses(forged.resealed(forged.images, sign, immutable), 5, "ignature")
                self.reader_refuses(path)

    def test_nobodys_checkpoint(self):
        forged = self.by_the_stranger()
        immutable = put(forged.immutable.raw, ORIGIN_AT, bytes(32))
        content = forged.resealed(forged.images, immutable=immutable, inject={"signature": lambda *_: (0, bytes(64))})
        self.all_refuse(content, 4, "sign")
        self.refused(self.restore_alone(self.folder / "attacked.cks", ("--allow-unsigned",))[0], 2)


class HandMade(attack_case.AttackCase):
    """Images as plain CRIU writes them, and other things that are no dump of a trusted host's."""

    def plain_images(self):
        """A dump by `criu dump` of a process like the victim."""
        if not hasattr(type(self), "plain"):
            child = self.launch("/usr/bin/python3", "-c", attack_case.PROGRAM, self.base / "plain-out", "another marker")
            attack_case.wait_until(lambda: (self.base / "plain-out").exists(), "the program starts")
            folder = self.base / "images"
            folder.mkdir()
            subprocess.run([os.environ["CRIU"], "dump", "-t", str(child.pid), "-D", folder, "-o", "/dev/null"], check=True,
                           timeout=240, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            child.wait(timeout=60)
            type(self).plain = folder
        return self.plain

    def test_the_twin_that_was_dumped_goes_on(self):
        self.goes_on_from_where_it_stopped(self.victim.data)

    def test_plain_images(self):
        folder = self.plain_images()
        self.assertTrue((folder / "inventory.img").exists())
        archive = self.base / "images.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(folder, arcname=".")
        self.restore_refuses(folder, 2, "folder")
        for path in (archive, folder / "inventory.img"):
            self.restore_refuses(path, 5)
            self.reader_refuses(path)
        # In the frame of a sealed file, without a cipher, behind the header of a real one and behind none.
        plain = archive.read_bytes()
        padded = plain + bytes(-len(plain) % BLOCK)
        self.all_refuse(self.victim.framed(padded))
        self.all_refuse(sealed_victim.Victim.framed(self.with_suite(0), padded))

    def with_suite(self, suite):
        """The victim under another suite, for all that frames it."""
        other = object.__new__(sealed_victim.Victim)
        other.__dict__.update(self.victim.__dict__, data=self.victim.with_immutable(2, bytes([suite])))
        return other

    def sealed_folder(self):
        path = self.base / "hand-made.cks"
        if not path.exists():
            folder = self.plain_images()
            core = next(folder.glob("core-*.img"))
            core.write_bytes(core.read_bytes() + b"\0")  # edited
            self.succeeds(self.a.run("seal", "-o", path, "--to", self.b.record(), "--to", "self", folder))
        return path

    def test_sealed_by_the_trusted_host(self):
        path = self.sealed_folder()
        self.restore_refuses(path, 2, "dump")
        # Its twin: as what it is, it opens.
        self.succeeds(self.b.run("open", "-o", self.base / "opened", path))
        self.assertTrue((self.base / "opened" / "inventory.img").exists())

    def test_sealed_by_the_trusted_host_and_called_a_dump_afterwards(self):
        path = self.sealed_folder()
        identity, _ = sealed_victim.origin_of(self.a.record())
        seal = sealed_victim.Victim(path, self.a.unseal_by_other_means(path, slot=1), self.trust)
        self.assertEqual((seal.immutable.content, seal.immutable.origin), ("tree", identity))
        # By whoever stores it.
        self.restore_refuses(seal.with_immutable(CONTENT_AT, b"\1"), 5, "ignature")
        self.reader_refuses(self.folder / "attacked.cks")
        # By a recipient, who makes all of it anew, with the images one by one.
        immutable = put(seal.immutable.raw, CONTENT_AT, b"\1")
        images = {image.name: image.read_bytes() for image in sorted(self.plain_images().glob("*.img"))}
        for other in (seal.images, images):
            self.restore_refuses(seal.resealed(other, immutable=immutable), 5, "ignature")
            self.reader_refuses(self.folder / "attacked.cks")


class RogueHost(attack_case.AttackCase):
    """A trusted host that signs what it made by hand. What it may not do: reach files by an image's name, or have a program run
    on the way to the restored process."""

    def signed(self, images, **more):
        return self.victim.resealed(images, self.a.sign, **more)

    def test_the_twin_that_it_signs_by_hand_goes_on(self):
        self.goes_on_from_where_it_stopped(self.signed(self.victim.images))

    def test_images_named_as_paths(self):
        proof = self.base / PROOF
        for name in (str(proof), "../../../../../../.." + str(proof), "..", "a/b", "a\0b", ""):
            with self.subTest(name):
                self.all_refuse(self.signed({**self.victim.images, name: b"content"}), 5)
                self.assertFalse(proof.exists())

    def test_images_named_twice(self):
        first = next(iter(self.victim.images))
        def doubled(_writer, records):
            records[-1].name = records[0].name
            return records
        self.all_refuse(self.signed({**self.victim.images, "x.img": self.victim.images[first]}, inject={"records": doubled}), 5)

    def test_images_named_as_programs_plugins_and_configuration(self):
        # They are images like any other: verified, and never asked for.
        proof = self.base / PROOF
        script = f"#!/bin/sh\n: >{proof}\n".encode()
        names = ("ckpt-seal-hook", "criu", "plugin.so", "default.conf", "action-script.sh", "criu.conf", "ip", "tar", "iptables-restore")
        images = {**self.victim.images, **{name: script for name in names}, "default.conf": f"action-script {proof}\n".encode()}
        self.goes_on_from_where_it_stopped(self.signed(images))
        self.assertFalse(proof.exists())

    def test_images_that_are_archives_of_links_and_devices(self):
        # A tree that another program would unpack: as an image it is bytes, as a sealed folder it stays below the output.
        proof = self.base / PROOF
        archive = self.base / "evil.tar"
        with tarfile.open(archive, "w") as tar:
            for name, kind, target in (("link", tarfile.SYMTYPE, str(self.base)), (f"link/{PROOF}", tarfile.REGTYPE, ""),
                                       (f"../{PROOF}", tarfile.REGTYPE, ""), ("device", tarfile.BLKTYPE, "")):
                entry = tarfile.TarInfo(name)
                entry.type, entry.linkname = kind, target
                tar.addfile(entry)
        content = archive.read_bytes()
        self.goes_on_from_where_it_stopped(self.signed({**self.victim.images, "tmpfs-dev-99.tar.gz.img": content}))
        self.assertFalse(proof.exists())
        tree = put(self.victim.immutable.raw, CONTENT_AT, b"\3")
        path = self.write("attacked.cks", self.signed({"tree.tar": content}, immutable=tree))
        self.restore_refuses(path, 2, "dump")
        self.refused(self.b.run("open", "-o", self.base / "opened", path), 5)
        self.assertFalse(proof.exists())
        self.assertFalse((self.base / "opened").exists())

    def test_another_content_and_version_that_it_signs(self):
        raw = self.victim.immutable.raw
        self.all_refuse(self.signed(self.victim.images, immutable=put(raw, CONTENT_AT, b"\4")), 5)
        self.all_refuse(self.signed(self.victim.images, immutable=put(raw, 0, b"\0\2")), 5)

    def test_images_that_criu_chokes_on_leave_nothing(self):
        for name in (*self.victim.named("pstree", "mm-", "core-", "seccomp"), "inventory.img"):
            with self.subTest(name):
                image = self.victim.images[name]
                for other in (image[:-1], image[:8] + b"\xff\xff\xff\xff" + image[12:], b""):
                    self.restore_refuses(self.signed({**self.victim.images, name: other}), 1)


if __name__ == "__main__":
    support.main()

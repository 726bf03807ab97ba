# SPDX-License-Identifier: Apache-2.0
"""Whoever makes a whole file of its own: a stranger with all public records, somebody with a folder of CRIU's plain images, and
a trusted host that has gone bad. The last one may hand out any process, for that is what trust as origin means; it may not
do more to the host than that."""

import os
import subprocess
import tarfile

import attack_case
import cks
import sealed_victim
import support
from pieces import NO_SIGNATURE, annex
from sealed_victim import BLOCK, CONTENT_AT, ORIGIN_AT, body_of, fields_of, origin_of, put, record_of

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
            trust = cks.Trust([origin_of(stranger.record())])
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
        immutable = put(forged.parts.immutable, ORIGIN_AT, self.victim.immutable.origin)
        for what, sign in (("by itself", self.hosts["stranger"].sign),
                           ("a signature of the host's", self.victim.old_signature), ("nothing", lambda _: bytes(64))):
            with self.subTest(what):
                path = self.restore_refuses(forged.resealed(forged.images, sign, immutable), 5, "ignature")
                self.reader_refuses(path)

    def test_nobodys_checkpoint(self):
        forged = self.by_the_stranger()
        immutable = put(forged.parts.immutable, ORIGIN_AT, bytes(32))
        content = forged.resealed(forged.images, immutable=immutable, inject={"signature": lambda *_: NO_SIGNATURE})
        self.all_refuse(content, 4, "sign")
        self.refused(self.restore_alone(self.folder / "attacked.cks", ("--allow-unsigned",))[0], 2)

    def test_a_record_of_the_stranger_that_the_file_brings_along(self):
        forged = self.by_the_stranger()
        for record in (self.hosts["stranger"].record(), self.a.record()):
            content = forged.framed(annex=annex((1, record.read_bytes()), size=3 * BLOCK))
            self.all_refuse(content, 4, "trust")

    def in_the_name_of(self, victim):
        """The stranger's checkpoint with that origin, signed by the stranger."""
        immutable = put(self.by_the_stranger().parts.immutable, ORIGIN_AT, victim.immutable.origin)
        return self.forged.resealed(self.forged.images, self.hosts["stranger"].sign, immutable)

    def test_forged_records_of_the_trusted_host(self):
        # The origin is a host, not its record of the day: so a record of the stranger's key with the identity of host-a is what
        # it would take. Its parts are all public.
        own, other = body_of(self.a.record()), body_of(self.hosts["stranger"].record())
        sign_own, sign_other = self.a.sign, self.hosts["stranger"].sign
        identity, keys = 7, 9
        def exchanged(body, field, source):
            return [(number, dict(source)[number] if number == field else value) for number, value in body]
        key, certified = dict(other)[keys], self.certified_as(dict(other)[keys], dict(own)[keys])
        at = [number for number, _ in own].index(keys)
        bodies = {"its identity in the record of the stranger": exchanged(other, identity, own),
                  "the key of the stranger in its record": exchanged(own, keys, other),
                  "the same, beside its own": [*own[:at], (keys, key), *own[at:]],
                  "the key of the stranger, certified for its own": exchanged(own, keys, [(keys, certified)])}
        content = self.in_the_name_of(self.victim)
        for what, body in bodies.items():
            with self.subTest(what):
                path = self.base / "forged.record"
                path.write_bytes(record_of(body, sign_other))
                forged = origin_of(path)
                self.no_record_of_it(path, content, 4)
                # To a reader that takes the record's word, it would be that host.
                self.assertEqual(forged[0], self.victim.immutable.origin)
                found = sealed_victim.read_with(self.folder / "attacked.cks", self.stranger_keys(), cks.Trust([forged]))
                self.assertEqual(found, (0, None))
        # Its own record, changed and signed by another or not anew.
        label = [*own, (12, sealed_victim.encoded([(1, b"rack"), (2, b"r1")]))]
        label.sort(key=lambda field: field[0])
        for sign in (sign_other, lambda _digest: bytes(64)):
            path.write_bytes(record_of(label, sign))
            self.no_record_of_it(path, content, 5)
        # The twin: by its own key.
        path.write_bytes(record_of(label, sign_own))
        self.succeeds(self.b.run("host", "trust", path, "--as", "origin"))
        self.goes_on_from_where_it_stopped(self.victim.data)
        self.restore_refuses(content, 5, "ignature")

    @staticmethod
    def certified_as(key, other):
        """The public area of one and the certification of the other."""
        return sealed_victim.encoded([(1, dict(fields_of(key))[1]), *fields_of(other)[1:]])

    def no_record_of_it(self, path, content, code):
        self.refused(self.b.run("host", "trust", path, "--as", "origin"), code, "record")
        self.restore_refuses(content, code, "record", more=("--trust", path))
        self.restore_refuses(content, 5, "ignature")

    def stranger_keys(self):
        """As the stranger opens its own checkpoint: it has the data key."""
        return sealed_victim.Keys([KnownKey(self.forged.data_key)])

    def test_another_record_of_the_trusted_host(self):
        # The twin of the forged ones: what it sealed before and after its record changed is its own, whichever of them is
        # trusted.
        before = self.base / "before.record"
        self.succeeds(self.a.run("host", "export", "-o", before))
        self.succeeds(self.a.run("provision", "--label", "rack=r2"))
        after = self.base / "after.record"
        self.succeeds(self.a.run("host", "export", "-o", after))
        self.assertNotEqual(before.read_bytes(), after.read_bytes())
        child = self.start(attack_case.PROGRAM)
        newer = self.base / "newer.cks"
        self.succeeds(self.dump_for_two(child, newer))
        child.wait(timeout=60)
        self.out.write_bytes(self.out_at_dump)
        self.succeeds(self.b.run("host", "trust", "--remove", "host-a", "--as", "origin"))
        self.addCleanup(self.b.run, "host", "trust", before, "--as", "origin")
        self.restore_refuses(self.victim.data, 4)
        for record in (before, after):
            self.goes_on_from_where_it_stopped(self.victim.data, more=("--trust", record))
            done, pid, _ = self.restore_alone(newer, ("--trust", record))
            self.succeeds(done)
            self.end(pid)


class KnownKey:
    """Of the independent reader: whoever has the data key already. It opens each slot for a TPM."""

    kind = 1

    def __init__(self, data_key):
        self.data_key = data_key

    def open(self, _body, _run):
        return self.data_key


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
        identity = origin_of(self.a.record())[0]
        seal = sealed_victim.Victim(path, self.a.unseal_by_other_means(path, slot=1), self.trust)
        self.assertEqual((cks.CONTENTS[seal.immutable.content], seal.immutable.origin), ("tree", identity))
        # By whoever stores it.
        self.restore_refuses(seal.with_immutable(CONTENT_AT, b"\1"), 5, "ignature")
        self.reader_refuses(self.folder / "attacked.cks")
        # By a recipient, who makes all of it anew, with the images one by one.
        immutable = put(seal.parts.immutable, CONTENT_AT, b"\1")
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
        self.all_refuse(self.signed({**self.victim.images, "x.img": self.victim.images[first]},
                                    inject={"image_records": doubled}), 5)

    def test_images_named_as_programs_plugins_and_configuration(self):
        # They are images like any other: verified, and never asked for.
        proof = self.base / PROOF
        script = f"#!/bin/sh\n: >{proof}\n".encode()
        names = ("ckpt-seal-hook", "criu", "plugin.so", "default.conf", "action-script.sh", "criu.conf", "ip", "tar",
                 "iptables-restore")
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
        tree = put(self.victim.parts.immutable, CONTENT_AT, b"\3")
        path = self.write("attacked.cks", self.signed({"tree.tar": content}, immutable=tree))
        self.restore_refuses(path, 2, "dump")
        self.refused(self.b.run("open", "-o", self.base / "opened", path), 5)
        self.assertFalse(proof.exists())
        self.assertFalse((self.base / "opened").exists())

    def test_another_content_and_version_that_it_signs(self):
        raw = self.victim.parts.immutable
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

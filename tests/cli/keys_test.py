#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files for certificates and public keys, opened by key files; and recovery keys. docs/recipients.md, docs/recovery.md."""

import datetime
import os
import re
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.x509.oid import NameOID

import support
from sealed_layout import Layout

PEM = serialization.Encoding.PEM
DAY = datetime.timedelta(days=1)


def key_file(key, password=None):
    """PKCS#8."""
    wrapped = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, wrapped)


def common_name(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Authority:
    """Signs certificates and revocation lists; its own certificate is signed by itself or by the one above."""

    def __init__(self, name, above=None, days=30, serial=1):
        self.name = common_name(name)
        self.key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.timezone.utc)
        usage = x509.KeyUsage(digital_signature=False, content_commitment=False, key_encipherment=False,
                              data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
                              encipher_only=False, decipher_only=False)
        builder = (x509.CertificateBuilder().subject_name(self.name).issuer_name((above or self).name)
                   .public_key(self.key.public_key()).serial_number(serial)
                   .not_valid_before(now - 60 * DAY).not_valid_after(now + days * DAY)
                   .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                   .add_extension(usage, critical=True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False))
        self.pem = (above or self).sign(builder).public_bytes(PEM)

    def sign(self, builder):
        number = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return builder.add_extension(number, critical=False).sign(self.key, hashes.SHA256())

    def revokes(self, *serials, days=1):
        """Its list, valid until in so many days."""
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (x509.CertificateRevocationListBuilder().issuer_name(self.name)
                   .last_update(now - 30 * DAY).next_update(now + days * DAY).add_extension(x509.CRLNumber(1), critical=False))
        for serial in serials:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - 30 * DAY).build())
        return self.sign(builder).public_bytes(PEM)


def certificate(key, name="backup of the archive", days=30, agreement=None, encipherment=None, by=None):
    """By an issuer of its own or this Authority, with the usage that its kind of key wants unless it is said."""
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    agreement = not is_rsa if agreement is None else agreement
    encipherment = is_rsa if encipherment is None else encipherment
    by = by or Authority("issuer")
    now = datetime.datetime.now(datetime.timezone.utc)
    usage = x509.KeyUsage(digital_signature=not agreement and not encipherment, content_commitment=False,
                          key_encipherment=encipherment, data_encipherment=False, key_agreement=agreement,
                          key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False)
    builder = (x509.CertificateBuilder()
               .subject_name(common_name(name)).issuer_name(by.name)
               .public_key(key.public_key()).serial_number(7)
               .not_valid_before(now - 60 * DAY).not_valid_after(now + days * DAY)
               .add_extension(usage, critical=True))
    return by.sign(builder)


KEYS = {
    "ecdh-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ecdh-p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "x25519": x25519.X25519PrivateKey.generate,
    "rsa-oaep-sha256": lambda: rsa.generate_private_key(65537, 2048),
}


class KeysCase(support.CliTest):
    HOSTS = ("host-a", "host-b")

    def sealed_for(self, *recipients, name="k.cks", **options):
        path = self.folder / name
        plain = self.write("plain", b"some content")
        to = [word for recipient in recipients for word in ("--to", recipient)]
        return path, self.succeeds(self.a.run("seal", "--force", "-o", path, *to, plain, **options))

    def opens(self, path, *identity, **options):
        self.assertEqual(self.succeeds(self.b.run("open", "-o", "-", *identity, path, **options)).stdout, b"some content")


class PublicKeys(KeysCase):
    def test_each_algorithm_and_the_key_of_another(self):
        for algorithm, generate in KEYS.items():
            with self.subTest(algorithm):
                key, other = generate(), generate()
                cert = self.write("c.crt", certificate(key).public_bytes(PEM))
                path, _ = self.sealed_for(cert)
                self.opens(path, "--identity", self.write("k.pem", key_file(key)))
                self.refused(self.b.run("open", "-o", "-", "--identity", self.write("o.pem", key_file(other)), path), 9)
                self.refused(self.b.run("open", "-o", "-", path), 9)
                slot = self.json(self.b.run("--json", "inspect", path))["slots"][0]
                self.assertEqual((slot["kind"], slot["algorithm"], slot["source"], slot["label"]),
                                 ("public_key", algorithm, "certificate", "CN=backup of the archive"))

    def test_each_byte_of_a_slot_flipped(self):
        key = KEYS["ecdh-p256"]()
        identity = self.write("k.pem", key_file(key))
        path, _ = self.sealed_for(self.write("c.pem", certificate(key).public_bytes(PEM)))
        content = path.read_bytes()
        layout = Layout(content)
        for at in range(layout.slots, layout.behind_slots, 7):
            self.alter(path, content, at)
            self.refused(self.b.run("open", "-o", "-", "--identity", identity, path), 5)

    def test_a_public_key_and_a_certificate_in_der(self):
        key = KEYS["x25519"]()
        public = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        der = certificate(key).public_bytes(serialization.Encoding.DER)
        for recipient in (self.write("k.pub", public), self.write("c.der", der)):
            path, _ = self.sealed_for(recipient)
            self.opens(path, "--identity", self.write("k.pem", key_file(key)))

    def test_a_host_a_key_and_the_same_key_twice(self):
        key = KEYS["ecdh-p256"]()
        cert = self.write("c.pem", certificate(key).public_bytes(PEM))
        path, done = self.sealed_for(self.b.record(), cert, cert)
        self.assertNotIn(b"locks it out", done.stderr)
        self.assertEqual(len(self.json(self.b.run("--json", "inspect", path))["slots"]), 2)
        self.opens(path)
        self.opens(path, "--identity", self.write("k.pem", key_file(key)))

    def test_a_key_file_with_a_password(self):
        key = KEYS["ecdh-p256"]()
        path, _ = self.sealed_for(self.write("c.pem", certificate(key).public_bytes(PEM)))
        identity = ("--identity", self.write("k.pem", key_file(key, b"horse")))
        self.opens(path, *identity, "--passphrase-fd", "0", input=b"horse\n")
        self.refused(self.b.run("open", "-o", "-", *identity, "--passphrase-fd", "0", path, input=b"donkey\n"), 3, "password")
        self.refused(self.b.run("open", "-o", "-", *identity, path, start_new_session=True), 1, "encrypted", "--passphrase-fd")

    def test_refused_when_sealing(self):
        key = KEYS["ecdh-p256"]()
        for name, cert, code, word in (
                ("expired", certificate(key, days=-1), 4, "expired"),
                ("usage", certificate(key, agreement=False), 2, "keyAgreement"),
                ("rsa", certificate(KEYS["rsa-oaep-sha256"](), encipherment=False), 2, "keyEncipherment"),
                ("curve", certificate(ec.generate_private_key(ec.SECP521R1())), 2, "P-256")):
            with self.subTest(name):
                path = self.write(f"{name}.pem", cert.public_bytes(PEM))
                self.refused(self.a.run("seal", "-o", self.folder / "r.cks", "--to", path, self.write("plain", b"x")), code, word)
        damaged = certificate(key).public_bytes(PEM).replace(b"M", b"!", 1)
        for name, content, code in (("damaged.pem", damaged, 5), ("empty.der", b"", 5), ("private.pem", key_file(key), 5)):
            with self.subTest(name):
                done = self.a.run("seal", "-o", self.folder / "r.cks", "--to", self.write(name, content), self.write("plain", b"x"))
                self.refused(done, code)
        self.assertFalse((self.folder / "r.cks").exists())

    def test_refused_when_opening(self):
        key = KEYS["ecdh-p256"]()
        path, _ = self.sealed_for(self.write("c.pem", certificate(key).public_bytes(PEM)))
        older = key.private_bytes(PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
        for identity, code, word in ((self.write("old.pem", older), 2, "openssl pkcs8"),
                                     (self.write("none.pem", b""), 5, "empty"),
                                     (self.write("long.pem", b"x" * 70_000), 5, "too long"),
                                     (self.write("text.pem", b"hello"), 5, "PKCS#8"),
                                     (self.folder / "missing.pem", 1, "missing.pem"),
                                     (self.folder, 2, "name the key file itself"),
                                     ("/dev/stdin", 2, "name the key file itself"),
                                     ("tmp", 2, "--identity takes")):
            with self.subTest(identity):
                self.refused(self.b.run("open", "-o", "-", "--identity", identity, path), code, word)

    def test_rewrap(self):
        key = KEYS["ecdh-p256"]()
        cert = self.write("c.pem", certificate(key).public_bytes(PEM))
        identity = ("--identity", self.write("k.pem", key_file(key)), "--trust", self.b.record())
        path = self.sealed()
        self.succeeds(self.b.run("rewrap", path, "--add", cert))
        self.opens(path, *identity)
        self.assertFalse(self.json(self.b.run("--json", "rewrap", path, "--add", cert))["files"][0]["changed"])
        self.succeeds(self.b.run("rewrap", path, "--remove", cert))
        self.refused(self.b.run("open", "-o", "-", *identity, path), 9)


class RecoveryKeys(KeysCase):
    TEXT = re.compile(rb"\Arecovery id  ([0-9a-f]{16})\n(\d{6}(?:-\d{6}){7})\n")

    def with_recovery(self, *more, **options):
        path, done = self.sealed_for(self.b.record(), "recovery", *more, **options)
        found = self.TEXT.match(done.stdout)
        self.assertTrue(found, done.stdout)
        return path, found[1], found[2]

    def by_recovery(self, path, text, *verb):
        return self.b.run(*(verb or ("open", "-o", "-")), "--identity", "recovery", "--passphrase-fd", "0", path,
                          input=text + b"\n")

    def test_it_opens_and_is_proven_before(self):
        path, number, text = self.with_recovery()
        self.assertEqual(self.succeeds(self.by_recovery(path, text)).stdout, b"some content")
        self.assertEqual(self.succeeds(self.by_recovery(path, text.replace(b"-", b" "))).stdout, b"some content")
        self.succeeds(self.by_recovery(path, text, "verify", "--slot", "1"))
        self.refused(self.by_recovery(path, text, "verify", "--slot", "0"), 9)
        slot = self.json(self.b.run("--json", "inspect", path))["slots"][1]
        self.assertEqual((slot["kind"], slot["recovery_id"].encode()), ("recovery", number))
        self.assertNotIn(text, path.read_bytes())

    def test_slips_and_the_key_of_another_file(self):
        path, number, text = self.with_recovery()
        other = self.with_recovery(name="other.cks")[2]
        self.refused(self.by_recovery(path, other), 3, number.decode())
        digit = text[15:16]
        wrong = text[:15] + (b"1" if digit != b"1" else b"2") + text[16:]
        self.refused(self.by_recovery(path, wrong), 2, "Group 3")
        groups = text.split(b"-")
        groups[4], groups[5] = groups[5], groups[4]
        self.refused(self.by_recovery(path, b"-".join(groups)), 2, "5 and 6")
        self.refused(self.by_recovery(path, text[:-1]), 2, "47 digits")
        self.refused(self.by_recovery(path, text.replace(b"-", b"x", 1)), 2, "no digit")
        self.refused(self.by_recovery(path, b""), 2, "empty")

    def test_it_mixes_with_nothing_on_stdout(self):
        plain = self.write("plain", b"some content")
        arguments = ("seal", "--to", self.b.record(), "--to", "recovery")
        self.refused(self.a.run(*arguments, plain), 2, "--recovery-fd")
        self.refused(self.a.run("--json", *arguments, "-o", self.folder / "x.cks", plain), 2, "--recovery-fd")
        self.refused(self.a.run(*arguments, "-o", self.folder / "x.cks", "--recovery-fd", "77", plain), 2, "not open")
        read, write = os.pipe()
        done = self.succeeds(self.a.run("--json", *arguments, "-o", self.folder / "x.cks", "--recovery-fd", write, plain,
                                        pass_fds=(write,)))
        os.close(write)
        with os.fdopen(read, "rb") as printed:
            text = self.TEXT.match(printed.read())[2]
        self.assertEqual(self.json(done)["recipients"], ["host-b", "recovery"])
        self.assertNotIn(text, done.stdout + done.stderr)
        self.assertEqual(self.succeeds(self.by_recovery(self.folder / "x.cks", text)).stdout, b"some content")

    def test_only_a_recovery_key_needs_no_flag(self):
        path, done = self.sealed_for("recovery")
        self.assertEqual(self.succeeds(self.by_recovery(path, self.TEXT.match(done.stdout)[2])).stdout, b"some content")

    def test_a_dry_run_makes_none(self):
        path = self.sealed()
        plain = self.write("plain", b"x")
        for done in (self.a.run("seal", "--dry-run", "-o", self.folder / "n.cks", "--to", "recovery", plain),
                     self.b.run("rewrap", "--dry-run", path, "--add", "recovery")):
            self.assertNotIn(b"recovery id", self.succeeds(done).stdout)

    def test_none_is_printed_for_a_change_that_is_refused(self):
        """A paper was printed before "no room": for a key of which no slot was made."""
        path = self.sealed()
        for _ in range(60):
            before = path.read_bytes()
            done = self.b.run("rewrap", path, "--add", "recovery")
            if done.returncode != 0:
                break
            self.assertTrue(self.TEXT.match(done.stdout))
        self.refused(done, 1, "no room")
        self.assertEqual((done.stdout, done.stderr.count(b"\n")), (b"", 1))
        self.assertEqual(path.read_bytes(), before)
        # Nor where the content is refused, which comes behind the recipients.
        done = self.a.run("seal", "-o", self.folder / "y.cks", "--to", "recovery", self.write("empty", b""))
        self.refused(done, 1, "empty")
        self.assertEqual((done.stdout, done.stderr.count(b"\n")), (b"", 1))

    def failing(self, host, call, *arguments):
        """Where the parent, who prints nothing, is told by the kernel that this call has failed."""
        return subprocess.run(["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error=EIO",
                               support.program(), "--state", str(host.state), *map(str, arguments)], capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=120, env=support.ENVIRONMENT)

    def test_one_that_was_printed_for_nothing(self):
        done = self.failing(self.a, "fsync", "seal", "-o", self.folder / "y.cks", "--to", "recovery", self.write("plain", b"x"))
        self.refused(done, 1, "y.cks")
        number = self.TEXT.match(done.stdout)[1].decode()
        self.assertIn(f"The recovery key with the id {number} was printed for nothing", done.stderr.decode())
        self.assertFalse((self.folder / "y.cks").exists())

    def test_one_of_a_change_that_stopped_in_the_middle_is_kept(self):
        path = self.sealed()
        done = self.failing(self.b, "fsync", "rewrap", path, "--add", "recovery")
        self.refused(done, 1, "keep the recovery key that was printed")
        self.assertNotIn(b"for nothing", done.stderr)
        text = self.TEXT.match(done.stdout)[2]
        self.succeeds(self.b.run("rewrap", path))
        self.assertEqual(self.succeeds(self.by_recovery(path, text)).stdout, b"some content")

    def test_without_its_paper_there_is_no_slot(self):
        path = self.sealed()
        before = path.read_bytes()
        with open("/dev/full", "wb") as full:
            self.refused(self.b.run("rewrap", path, "--add", "recovery", "--recovery-fd", full.fileno(),
                                    pass_fds=(full.fileno(),)), 1)
            self.assertEqual(path.read_bytes(), before)
            self.refused(self.a.run("seal", "-o", self.folder / "y.cks", "--to", "recovery", "--recovery-fd", full.fileno(),
                                    self.folder / "plain", pass_fds=(full.fileno(),)), 1)
        self.assertFalse((self.folder / "y.cks").exists())

    def test_one_is_added_and_taken_away(self):
        path = self.sealed()
        done = self.succeeds(self.b.run("rewrap", path, "--add", "recovery"))
        text = self.TEXT.match(done.stdout)[2]
        self.assertEqual(self.succeeds(self.by_recovery(path, text)).stdout, b"some content")
        again = self.succeeds(self.b.run("rewrap", path, "--replace", "recovery=recovery"))
        self.refused(self.by_recovery(path, text), 3)
        self.assertEqual(self.succeeds(self.by_recovery(path, self.TEXT.match(again.stdout)[2])).stdout, b"some content")


if __name__ == "__main__":
    support.main()

# SPDX-License-Identifier: Apache-2.0
"""What the tests of release policies share: hosts and their policies, and an authority by other means. docs/policies.md."""

import base64
import hashlib
import shutil
import struct
import time

import support
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

CONTENT = b"some content"


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


class OtherAuthority:
    """An authority that shares nothing with ckpt-seal but docs/policies.md, and signs what that would not."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        numbers = self.key.public_key().public_numbers()
        self.point = b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")

    def public_key(self):
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, digest):
        der = self.key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        return b"".join(number.to_bytes(32, "big") for number in utils.decode_dss_signature(der))

    def approve(self, pcrs, domain="fleet", epoch=None, created=None, expires=0, label=b"", purpose=1, point=None):
        """pcrs: values by number. epoch: NV index and highest value."""
        mask = sum(1 << pcr for pcr in pcrs)
        values = b"".join(value for _, value in sorted(pcrs.items()))
        words = f"ckpt-seal/{('', 'restore', 'migrate')[purpose]}/{domain}".encode()
        state = sha256(bytes(32), bytes.fromhex("0000017f00000001000b03"), mask.to_bytes(3, "little"), sha256(values))
        if epoch:
            index, at_most = epoch
            name = b"\0\x0b" + sha256(struct.pack(">I", index), bytes.fromhex("000b2206001200000008"))
            state = sha256(state, bytes.fromhex("00000149"), sha256(struct.pack(">Q", at_most), b"\0\0\0\x09"), name)
        body = b"CKSAPPR1" + bytes([purpose, len(domain)]) + domain.encode() + (point or self.point) + struct.pack(">I", mask) + values
        body += b"\1" + struct.pack(">IQ", *epoch) if epoch else b"\0"
        body += struct.pack(">QQB", int(time.time()) if created is None else created, expires, len(label)) + label
        body += self.sign(sha256(state, words))
        body += self.sign(sha256(b"ckpt-seal/v1/approval", body))
        return self.pem(body)

    @staticmethod
    def pem(body):
        text = base64.b64encode(body)
        lines = [text[at:at + 64] for at in range(0, len(text), 64)]
        return b"\n".join([b"-----BEGIN CKPT-SEAL APPROVAL-----", *lines, b"-----END CKPT-SEAL APPROVAL-----", b""])


class PolicyCase(support.CliTest):
    HOSTS = ("host-a",)

    def setUp(self):
        super().setUp()
        shutil.rmtree(self.a.state / "approvals", ignore_errors=True)
        (self.a.state / "approvals").mkdir()
        self.tickets.unlink(missing_ok=True)
        self.succeeds(self.a.run("provision", "--policy", "none"))

    @property
    def tickets(self):
        return self.a.state / "tpm" / "tickets"

    def policy(self, *options, name="policy"):
        path = self.folder / f"{name}.json"
        self.succeeds(self.a.run("policy", "create", *options, "-o", path, "--force"))
        return path

    def seal(self, *more, name="x.cks", **options):
        return self.a.run("seal", "--force", "-o", self.folder / name, *more, self.write("plain", CONTENT), **options)

    def sealed(self, *more, **options):
        self.succeeds(self.seal(*more, **options))
        return self.folder / options.get("name", "x.cks")

    def open(self, *more, name="x.cks", **options):
        return self.a.run(*more, "open", "-o", "-", self.folder / name, **options)

    def opens(self, *more, **options):
        done = self.succeeds(self.open(*more, **options))
        self.assertEqual(done.stdout, CONTENT)
        return done

    def commands(self):
        """How many the TPM was given."""
        lines = [line for line in self.opens("--verbose").stderr.decode().splitlines() if "TPM commands" in line]
        self.assertEqual(len(lines), 1, lines)
        return int(lines[0].split()[1])

    def approved(self, content, name="a", folder=None):
        path = (folder or self.a.state / "approvals") / f"{name}.approval"
        path.write_bytes(content)
        return path

    def pcrs(self):
        """The values of PCRs 4 and 7 in the host's record, which is made anew."""
        self.succeeds(self.a.run("provision"))
        document = self.policy("--tpm2-pcrs", "sha256:4,7", name="values")
        (term,) = self.json(self.a.run("--json", "policy", "show", "--for", "self", document))["policy"]
        return {int(pcr): bytes.fromhex(value) for pcr, value in term["pcrs"].items()}

    def epoch(self):
        (term,) = self.json(self.a.run("--json", "policy", "show", "--for", "self", self.policy("--epoch", name="epoch")))["policy"]
        return term["epoch"]["nv_index"], term["epoch"]["at_most"]


class WithAuthority(PolicyCase):
    def setUp(self):
        super().setUp()
        self.authority = OtherAuthority()
        self.fleet = self.policy_of(self.authority)

    def policy_of(self, authority, *more, name="fleet"):
        key = self.write(f"{name}.pem", authority.public_key())
        return self.policy("--tpm2-public-key", key, "--domain", "fleet", *more, name=name)

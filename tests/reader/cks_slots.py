# SPDX-License-Identifier: Apache-2.0
"""Unwraps the data key (docs/format.md, "Slots"): passphrase slots, and TPM slots in software.

A TPM never shows its storage parent's private scalar, but a test can have one of its own. Then everything that
TPM2_Import, TPM2_Load and TPM2_Unseal would do to an object sealed offline is done here, from TPM 2.0 Part 1,
"Duplication": a check of the sealing side that shares no line with it.
"""

from dataclasses import dataclass, field

import cks_keys
import cks_policy
import cks_primitives as crypto
from cks_header import Cursor
from cks_primitives import Refused, require, sha256

KIND_TPM = 1
KIND_PASSPHRASE = 2
# fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, decrypt
STORAGE_PARENT_ATTRIBUTES = 0x00030472
# adminWithPolicy; and noDA, without which a TPM counts wrong PINs
SEALED_ATTRIBUTES = 0x00000480
SEALED_ATTRIBUTES_WITH_PIN = 0x00000080


@dataclass
class Keys:
    """What the caller can unwrap with. Memory is in KiB and bounds Argon2id beyond the page's own limit."""

    passphrase: bytes | None = None
    parent_scalar: int | None = None
    parent_name: bytes | None = None
    max_memory: int = 1 << 20
    private_key: bytes | None = None  # PKCS#8 in DER
    recovery_key: bytes | None = None
    pin: bytes | None = None  # checked if it is there: who has the parent's private key does not need it

    def empty(self):
        given = (self.passphrase, self.parent_scalar, self.private_key, self.recovery_key)
        return all(key is None for key in given)


def storage_parent_name(public_key):
    """The Name of the usual ECC storage parent (P-256, AES-128-CFB) with this public point."""
    x, y = crypto.p256_point(public_key)
    public = (
        b"\x00\x23\x00\x0b"
        + STORAGE_PARENT_ATTRIBUTES.to_bytes(4, "big")
        + b"\x00\x00"  # no authPolicy
        + b"\x00\x06\x00\x80\x00\x43"  # AES, 128, CFB
        + b"\x00\x10\x00\x03\x00\x10"  # scheme NULL, NIST P-256, KDF NULL
        + b"\x00\x20" + x + b"\x00\x20" + y
    )  # fmt: skip
    return b"\x00\x0b" + sha256(public)


def unwrap(slots, immutable, keys):
    """The slot that opened and the data key. Refuses with 9 when no slot is ours, 3 when the passphrase is wrong."""
    rule = "Slots"
    if keys.parent_scalar is not None:
        for slot in slots:
            data_key = unwrap_tpm(slot, immutable, keys) if slot.kind == KIND_TPM else None
            if data_key is not None:
                return slot, data_key
    found = unwrap_by_key(slots, immutable, keys)
    if found is not None:
        return found
    if keys.passphrase is None:
        raise Refused(9, rule, "no slot of this file is for the given key")
    bodies = [(slot, parse_passphrase(slot.body)) for slot in slots if slot.kind == KIND_PASSPHRASE]
    require(bodies, rule, "the file has no passphrase slot", code=9)
    for slot, body in bodies:
        data_key = unwrap_passphrase(body, immutable, keys)
        if data_key is not None:
            return slot, data_key
    raise Refused(3, "Passphrase slot (kind 2)", "the passphrase opens no slot of this file")


def unwrap_by_key(slots, immutable, keys):
    """By a private key, a recovery key, or both together. None when no slot is for them."""

    def open_one(kind, body):
        if kind == cks_keys.KIND_PUBLIC_KEY and keys.private_key is not None:
            return cks_keys.unwrap_public_key(body, immutable, keys.private_key)
        if kind == cks_keys.KIND_RECOVERY and keys.recovery_key is not None:
            return cks_keys.unwrap_recovery(body, immutable, keys.recovery_key)
        return None

    for slot in slots:
        data_key = open_one(slot.kind, slot.body)
        if data_key is None and slot.kind == cks_keys.KIND_THRESHOLD and not keys.empty():
            data_key = cks_keys.unwrap_threshold(slot.body, open_one)
        if data_key is not None:
            return slot, data_key
    if keys.recovery_key is not None and any(slot.kind == cks_keys.KIND_RECOVERY for slot in slots):
        raise Refused(3, "Recovery key slot (kind 4)", "the recovery key opens no slot of this file")
    return None


@dataclass
class PassphraseBody:
    salt: bytes
    memory: int
    passes: int
    lanes: int
    wrapped: bytes
    tag: bytes


def parse_passphrase(raw):
    rule = "Passphrase slot (kind 2)"
    cursor = Cursor(raw, rule, "a passphrase slot")
    require(cursor.number(1) == 1, rule, "the KDF of a passphrase slot is unknown")
    body = PassphraseBody(
        cursor.take(16), cursor.number(4), cursor.number(4), cursor.number(4), cursor.take(32), cursor.take(16)
    )
    require(cursor.left() == 0, rule, "something follows the tag of a passphrase slot")
    require(1 <= body.lanes <= 16, rule, "the lanes of a passphrase slot are not 1 to 16")
    require(8 * body.lanes <= body.memory <= 4194304, rule, "the memory of a passphrase slot is not allowed")
    require(1 <= body.passes <= 64, rule, "the passes of a passphrase slot are not 1 to 64")
    return body


def unwrap_passphrase(body, immutable, keys):
    if body.memory > keys.max_memory:
        raise Refused(1, None, f"a passphrase slot wants {body.memory} KiB: allow it with --max-memory-kib")
    key = crypto.argon2id(keys.passphrase, body.salt, body.passes, body.memory, body.lanes)
    associated = b"ckpt-seal/v1/passphrase" + immutable.checkpoint_id
    return crypto.aead_open(1, key, bytes(12), body.wrapped, body.tag, associated)


@dataclass
class TpmBody:
    recipient: bytes
    parent_name: bytes
    form: int
    policy: list = field(default_factory=list)  # terms
    public: bytes = b""
    private: bytes = b""
    secret: bytes = b""


def parse_tpm(raw, immutable):
    """The body of a TPM slot of that file."""
    rule = "TPM slot (kind 1)"
    cursor = Cursor(raw, rule, "a TPM slot")
    body = TpmBody(cursor.take(32), cursor.take(34), cursor.number(1))
    require(body.form in (1, 2), rule, "the policy of a TPM slot has an unknown form")
    if body.form == 1:
        body.policy = [cks_policy.parse_pcrs(cursor)]
    else:
        body.policy = cks_policy.parse_policy(cursor.take(cursor.number(2)))
        alone = len(body.policy) == 1 and isinstance(body.policy[0], cks_policy.Pcrs)
        require(not alone, rule, "the policy of a TPM slot is one PCRs term alone, and not in form 1")
    body.public = sized(cursor, 512, "the public area's length in a TPM slot is not 1 to 512")
    body.private = sized(cursor, 1024, "the private area's length in a TPM slot is not 1 to 1024")
    body.secret = sized(cursor, 512, "the secret's length in a TPM slot is not 1 to 512")
    require(cursor.left() == 0, rule, "something follows the secret of a TPM slot")
    check_public(body, immutable)
    return body


def sized(cursor, most, message):
    length = cursor.number(2)
    require(1 <= length <= most, cursor.rule, message)
    return cursor.take(length)


def check_public(body, immutable):
    rule = "TPM slot (kind 1)"
    cursor = Cursor(body.public, rule, "the public area of a TPM slot")
    require(cursor.number(2) == 0x0008, rule, "the sealed object is not KEYEDHASH")
    require(cursor.number(2) == 0x000B, rule, "the name algorithm of the sealed object is not SHA-256")
    allowed = SEALED_ATTRIBUTES_WITH_PIN if cks_policy.has_pin(body.policy) else SEALED_ATTRIBUTES
    require(cursor.number(4) == allowed, rule, "the attributes of the sealed object are not allowed")
    policy = cursor.take(cursor.number(2))
    digest = cks_policy.policy_digest(body.policy, immutable)
    require(policy == digest, rule, "the policy of the sealed object is not that of the slot")
    require(cursor.number(2) == 0x0010, rule, "the scheme of the sealed object is not NULL")
    require(cursor.number(2) == 32, rule, "the unique field of the sealed object is not a SHA-256")
    cursor.take(32)
    require(cursor.left() == 0, rule, "something follows the public area of the sealed object")


def pin_auth(pin, immutable):
    """The authorization value of a PIN, without a zero at its end, which a TPM would take away."""
    auth = crypto.hkdf_expand(crypto.hkdf_extract(immutable.checkpoint_id, pin), b"ckpt-seal/v1/pin", 32)
    return auth[:31] + bytes([auth[31] or 1])


def unwrap_tpm(slot, immutable, keys):
    """The data key, or None when the slot is for another storage parent."""
    rule = "TPM slot (kind 1)"
    parent = crypto.ec.derive_private_key(keys.parent_scalar, crypto.ec.SECP256R1()).public_key()
    parent_name = keys.parent_name or storage_parent_name(parent)
    require(len(slot.body) >= 67, rule, "a TPM slot is shorter than its fixed fields")
    if slot.body[32:66] != parent_name:
        return None
    body = parse_tpm(slot.body, immutable)
    name = b"\x00\x0b" + sha256(body.public)
    sensitive = open_private(body, name, agree_on_seed(body.secret, parent, keys.parent_scalar))

    cursor = Cursor(sensitive, rule, "the sealed object")
    require(cursor.number(2) == len(sensitive) - 2, rule, "the size of the sealed object is wrong")
    require(cursor.number(2) == 0x0008, rule, "the sensitive area is not KEYEDHASH")
    # With the 32 bytes of the seed value and of the data key, that makes the private area 108 or 140 bytes long.
    auth = cursor.take(cursor.number(2))
    if cks_policy.has_pin(body.policy):
        require(len(auth) == 32, rule, "the authorization value of the sealed object is not 32 bytes")
        right = keys.pin is None or auth == pin_auth(keys.pin, immutable)
        require(right, rule, "the PIN is not that of the sealed object", code=3)
    else:
        require(auth == b"", rule, "the sealed object has an authorization value")
    require(cursor.number(2) == 32, rule, "the seed value of the sealed object is not 32 bytes")
    seed_value = cursor.take(32)
    data_key = cursor.take(cursor.number(2))
    require(cursor.left() == 0, rule, "something follows the sealed data")
    # TPM2_Load checks this binding of the public to the sensitive area (Part 1, "Symmetric object creation").
    require(body.public[-32:] == sha256(seed_value, data_key), rule, "the sealed object's two areas do not match")
    require(len(data_key) == 32, rule, "what the TPM slot releases is not 32 bytes long")
    return data_key


def agree_on_seed(secret, parent, scalar):
    rule = "TPM slot (kind 1)"
    cursor = Cursor(secret, rule, "the secret of a TPM slot")
    require(cursor.number(2) == 32, rule, "the x coordinate in a TPM slot is not 32 bytes")
    x = cursor.take(32)
    require(cursor.number(2) == 32, rule, "the y coordinate in a TPM slot is not 32 bytes")
    y = cursor.take(32)
    require(cursor.left() == 0, rule, "something follows the point of a TPM slot")
    ephemeral = crypto.p256_public(x, y)
    require(ephemeral is not None, rule, "the point of a TPM slot is not on the curve")
    z = crypto.ecdh(scalar, ephemeral)
    return crypto.kdfe(z, "DUPLICATE", x, crypto.p256_point(parent)[0], 256)


def open_private(body, name, seed):
    """Integrity first, then decryption, as TPM2_Import does it."""
    rule = "TPM slot (kind 1)"
    cursor = Cursor(body.private, rule, "the private area of a TPM slot")
    require(cursor.number(2) == 32, rule, "the integrity value of a TPM slot is not 32 bytes")
    integrity = cursor.take(32)
    encrypted = cursor.take(cursor.left())
    expected = crypto.hmac_sha256(crypto.kdfa(seed, "INTEGRITY", b"", b"", 256), encrypted, name)
    require(crypto.hmac.compare_digest(integrity, expected), rule, "a TPM slot does not import: its integrity is wrong")
    return crypto.aes128_cfb_decrypt(crypto.kdfa(seed, "STORAGE", name, b"", 128), encrypted)

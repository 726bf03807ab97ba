# SPDX-License-Identifier: Apache-2.0
"""What a reader can open slots with: docs/format.md, "TPM slot (kind 1)" to "Hybrid public key slot (kind 6)".

It exists to keep each kind of slot in one class. An identity has the `kind` of slot that it opens and a method
`open(body, run)`. That gives the 32 bytes that the body wraps; or None, when it is for somebody else; or refuses with
the exit code that the table of "Which slot opens" has for it.
"""

import argon2.exceptions
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import cks_mlkem
from cks_policy import Policy, reference, take_pcrs
from cks_primitives import (ZERO32, ZERO_NONCE, Cursor, Refused, aes_gcm_open, hkdf_expand, hkdf_extract, hmac_sha256,
                            is_zero, p256_point, require, same, sha256)

TPM, PASSPHRASE, PUBLIC = "TPM slot (kind 1)", "Passphrase slot (kind 2)", "Public key slot (kind 3)"
RECOVERY, HYBRID = "Recovery key slot (kind 4)", "Hybrid public key slot (kind 6)"
UNKNOWN, WRONG, TOO_MUCH = 9, 3, 1


def _take_label(cursor):
    label = cursor.take(cursor.u8())
    require(all(0x20 <= byte <= 0x7E for byte in label), cursor.rule, "its label is not printable")


def _p256_scalar(secret):
    return ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())


class StorageParent:
    """The private scalar of a storage parent: does what a TPM would do whose policy is met always."""
    kind = 1

    def __init__(self, scalar, name=None, pin=None):
        self.scalar = _p256_scalar(scalar)
        numbers = self.scalar.public_key().public_numbers()
        self.x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        template = bytes.fromhex("0023000b00030472000000060080004300100003 0010")
        self.name = name or b"\x00\x0b" + sha256(template, b"\x00\x20", self.x, b"\x00\x20", y)
        self.pin = pin

    def open(self, body, run):
        require(len(body) >= 66, TPM, "it is too short to have a Name")
        if body[32:66] != self.name:
            return None
        cursor = Cursor(body, TPM)
        cursor.take(66)
        policy = self._take_policy(cursor, run)
        name, unique = self._take_public(cursor, policy)
        private, secret = self._take_private(cursor, 140 if policy.wants_pin else 108)
        run.tried_by_tpm += 1
        require(run.tried_by_tpm <= 64, TPM, "64 slots of this TPM were tried already", TOO_MUCH)
        require(policy.can_open, TPM, "every way through its policy is for migration", WRONG)
        require(not (run.pin_was_wrong and policy.needs_pin), TPM, "a wrong PIN was tried already", WRONG)
        auth, seed, data = self._import(name, private, secret)
        require(sha256(seed, data) == unique, TPM, "its object is not bound to its public area")
        require(len(data) == 32, TPM, "it holds no 32 bytes")
        self._check_pin(policy, auth, run)
        return data

    @staticmethod
    def _take_policy(cursor, run):
        limits = run.immutable
        online = reference(limits.origin, limits.checkpoint_id, limits.restores, limits.not_after)
        form = cursor.u8()
        require(form in (1, 2), TPM, f"form {form} of a policy is not known", UNKNOWN)
        if form == 1:
            return Policy((take_pcrs(cursor),), online)
        policy = Policy.parse(cursor.take(cursor.u16()), online)
        require(not policy.is_pcrs_alone, TPM, "a policy of PCRs alone has form 2")
        require(not (limits.exclusive and policy.can_migrate), TPM, "an exclusive file can migrate")
        return policy

    @staticmethod
    def _take_public(cursor, policy):
        """The Name of its object, and its `unique`."""
        public = cursor.take(cursor.u16())
        attributes = "00000080" if policy.wants_pin else "00000480"
        start = bytes.fromhex("0008000b" + attributes + "0020") + policy.digest + bytes.fromhex("00100020")
        require(len(public) == 78 and public[:46] == start, TPM, "its public area is not that of its policy")
        return b"\x00\x0b" + sha256(public), public[46:]

    @staticmethod
    def _take_private(cursor, private_size):
        """TPM2B_PRIVATE and the secret, which end the body."""
        private = cursor.take(cursor.u16())
        secret = cursor.take(cursor.u16())
        cursor.end()
        require(len(private) == private_size, TPM, f"its private area has {len(private)} bytes")
        require(len(secret) == 68, TPM, f"its secret has {len(secret)} bytes")
        return private, secret

    def _import(self, name, private, secret):
        """TPM2_Import: auth, seed and data of the object."""
        require(private[:2] == b"\x00\x20", TPM, "the integrity of its private area has not 32 bytes")
        integrity, encrypted = private[2:34], private[34:]
        outer = self._outer_seed(secret)
        expected = hmac_sha256(hmac_sha256(outer, b"\0\0\0\1INTEGRITY\0\0\0\1\0"), encrypted, name)
        require(same(expected, integrity), TPM, "the integrity of its private area is wrong")
        key = hmac_sha256(outer, b"\0\0\0\1STORAGE\0", name, b"\0\0\0\x80")[:16]
        decryptor = Cipher(algorithms.AES(key), modes.CFB(bytes(16))).decryptor()
        return _take_sensitive(decryptor.update(encrypted) + decryptor.finalize())

    def _outer_seed(self, secret):
        sizes = len(secret) == 68 and secret[:2] == secret[34:36] == b"\x00\x20"
        point = p256_point(secret[2:34], secret[36:]) if sizes else None
        require(point, TPM, "its secret is no point of P-256")
        shared = self.scalar.exchange(ec.ECDH(), point)
        return sha256(b"\0\0\0\1", shared, b"DUPLICATE\0", secret[2:34], self.x)

    def _check_pin(self, policy, auth, run):
        if self.pin is None or run.pin_was_wrong or not policy.asks_pin_first:
            return
        expected = hkdf_expand(hkdf_extract(run.immutable.checkpoint_id, self.pin), b"ckpt-seal/v1/pin")
        expected = expected[:-1] + (expected[-1:] if expected[-1] else b"\x01")
        run.pin_was_wrong = not same(auth.rstrip(b"\0"), expected)
        require(not (run.pin_was_wrong and policy.needs_pin), TPM, "the PIN is wrong", WRONG)


def _take_sensitive(plain):
    """TPM2B_SENSITIVE as a TPM takes it: of KEYEDHASH, auth and seed no longer than a digest, the seed not empty."""
    cursor = Cursor(plain, TPM)
    size, kind = cursor.unpack(">HH")
    auth, seed, data = (cursor.take(cursor.u16()) for _ in range(3))
    cursor.end()
    require(size == len(plain) - 2 and kind == 8, TPM, "its private area is no sensitive area of KEYEDHASH")
    require(len(auth) <= 32 and 1 <= len(seed) <= 32, TPM, "its private area has an auth or seed of another size")
    return auth, seed, data


class Passphrase:
    kind = 2

    def __init__(self, passphrase):
        self.passphrase = passphrase

    def open(self, body, run):
        cursor = Cursor(body, PASSPHRASE)
        kdf = cursor.u8()
        require(kdf == 1, PASSPHRASE, f"KDF {kdf} is not known", UNKNOWN)
        salt, memory, passes, lanes, wrapped, tag = cursor.unpack(">16sIII32s16s")
        cursor.end()
        require(1 <= lanes <= 16 and 1 <= passes <= 16, PASSPHRASE, f"{passes} passes or {lanes} lanes are not allowed")
        require(8 * lanes <= memory <= 4194304, PASSPHRASE, f"{memory} KiB of memory are not allowed")
        run.spend(memory, passes, lanes)
        try:
            key = hash_secret_raw(self.passphrase, salt, passes, memory, lanes, 32, Type.ID, 0x13)
        except argon2.exceptions.HashingError:
            raise Refused(TOO_MUCH, PASSPHRASE, f"there are no {memory} KiB of memory") from None
        associated = b"ckpt-seal/v1/passphrase" + run.immutable.checkpoint_id
        value = aes_gcm_open(key, ZERO_NONCE, wrapped, tag, associated)
        require(value is not None, PASSPHRASE, "the passphrase is wrong", WRONG)
        return value


class PrivateKey:
    """A private key of P-256, P-384, X25519 or RSA, as PKCS#8 in DER."""
    kind = 3

    def __init__(self, der):
        try:
            self.key = serialization.load_der_private_key(der, None)
        except UnsupportedAlgorithm:
            raise ValueError("the private key is of an unknown kind") from None
        self.algorithm = _algorithm(self.key)
        self.id = sha256(self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))

    def open(self, body, run):
        if body[2:34] != self.id:
            return None
        cursor = Cursor(body, PUBLIC)
        algorithm, source, _ = cursor.unpack(">BB32s")
        require(1 <= algorithm <= 4, PUBLIC, f"algorithm {algorithm} is not known", UNKNOWN)
        certificate = cursor.take(32)
        require(1 <= source <= 3, PUBLIC, f"source {source} is not allowed")
        require(source == 1 or certificate == ZERO32, PUBLIC, "there is the digest of a certificate without one")
        _take_label(cursor)
        require(algorithm == self.algorithm, PUBLIC, "its algorithm is not that of the key")
        return self._open_rsa(cursor) if algorithm == 4 else self._open_curve(cursor, run)

    def _open_rsa(self, cursor):
        ciphertext = cursor.take(cursor.u16())
        cursor.end()
        require(len(ciphertext) == (self.key.key_size + 7) // 8, PUBLIC, "its ciphertext is not as long as the modulus")
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        try:
            value = self.key.decrypt(ciphertext, oaep)
        except ValueError:
            raise Refused(5, PUBLIC, "it does not decrypt") from None
        require(len(value) == 32, PUBLIC, "it holds no 32 bytes")
        return value

    def _open_curve(self, cursor, run):
        ephemeral = cursor.take(cursor.u16())
        start = cursor.data[:cursor.at]
        wrapped, tag = cursor.unpack(">32s16s")
        cursor.end()
        secret = hkdf_extract(run.immutable.checkpoint_id, self._exchange(ephemeral))
        key = hkdf_expand(secret, b"ckpt-seal/v1/public-key", bytes([self.algorithm]), self.id, ephemeral)
        associated = b"ckpt-seal/v1/public-key" + run.immutable.checkpoint_id + start
        value = aes_gcm_open(key, ZERO_NONCE, wrapped, tag, associated)
        require(value is not None, PUBLIC, "it does not decrypt")
        return value

    def _exchange(self, ephemeral):
        if self.algorithm == 3:
            return x25519_exchange(self.key, ephemeral, PUBLIC)
        size = {1: 65, 2: 97}[self.algorithm]
        require(len(ephemeral) == size and ephemeral[0] == 4, PUBLIC, "its ephemeral key has a wrong form")
        try:
            point = ec.EllipticCurvePublicKey.from_encoded_point(self.key.curve, ephemeral)
        except ValueError:
            raise Refused(5, PUBLIC, "its ephemeral key is not on the curve") from None
        return self.key.exchange(ec.ECDH(), point)


def _algorithm(key):
    """The number of the algorithm of a slot for this key."""
    if isinstance(key, x25519.X25519PrivateKey):
        return 3
    if isinstance(key, rsa.RSAPrivateKey) and 2048 <= key.key_size <= 8192:
        return 4
    curves = {"secp256r1": 1, "secp384r1": 2}
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in curves:
        return curves[key.curve.name]
    raise ValueError("no slot is for a key of this kind")


def x25519_exchange(key, public, rule):
    require(len(public) == 32, rule, "its ephemeral key has not 32 bytes")
    try:
        shared = key.exchange(x25519.X25519PublicKey.from_public_bytes(public))
    except ValueError:  # what the library says of a shared secret that is all zero
        shared = ZERO32
    require(not is_zero(shared), rule, "its shared secret is all zero")
    return shared


class RecoveryKey:
    kind = 4

    def __init__(self, key):
        self.key = key

    def open(self, body, run):
        cursor = Cursor(body, RECOVERY)
        recovery_id, salt, wrapped, tag = cursor.unpack(">8s16s32s16s")
        cursor.end()
        checkpoint_id = run.immutable.checkpoint_id
        key = hkdf_expand(hkdf_extract(salt, self.key), b"ckpt-seal/v1/recovery", checkpoint_id)
        associated = b"ckpt-seal/v1/recovery" + checkpoint_id + recovery_id
        value = aes_gcm_open(key, ZERO_NONCE, wrapped, tag, associated)
        require(value is not None, RECOVERY, "the recovery key is wrong", WRONG)
        return value


class HybridKey:
    """The X25519 scalar and the ML-KEM seed d || z."""
    kind = 6

    def __init__(self, key):
        self.scalar = x25519.X25519PrivateKey.from_private_bytes(key[:32])
        encapsulation_key, self.decapsulation_key = cks_mlkem.expand(key[32:])
        x = self.scalar.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.id = sha256(b"ckpt-seal/v1/hybrid-key", x, encapsulation_key)

    def open(self, body, run):
        if body[:32] != self.id:
            return None
        cursor = Cursor(body, HYBRID)
        cursor.take(32)
        _take_label(cursor)
        ephemeral, ciphertext = cursor.unpack(f">32s{cks_mlkem.CIPHERTEXT_SIZE}s")
        start = body[:cursor.at]
        wrapped, tag = cursor.unpack(">32s16s")
        cursor.end()
        shared = x25519_exchange(self.scalar, ephemeral, HYBRID)
        secret = cks_mlkem.decapsulate(self.decapsulation_key, ciphertext) + shared
        checkpoint_id = run.immutable.checkpoint_id
        key = hkdf_expand(hkdf_extract(checkpoint_id, secret), b"ckpt-seal/v1/hybrid", self.id, ephemeral, ciphertext)
        value = aes_gcm_open(key, ZERO_NONCE, wrapped, tag, b"ckpt-seal/v1/hybrid" + checkpoint_id + start)
        require(value is not None, HYBRID, "it does not decrypt")
        return value

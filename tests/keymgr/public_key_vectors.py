#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes public_key_vectors.h: one slot of docs/format.md, "Public key slot", for each algorithm.

It is a second implementation of that section, by python3-cryptography alone, so that the format does not become whatever the
C++ code does. RSA and OAEP are random: run it again only when the format has changed, and commit what it prints.

Usage: public_key_vectors.py >public_key_vectors.h
"""
import hashlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PURPOSE = b"ckpt-seal/v1/public-key"
CHECKPOINT_ID = bytes(range(0x40, 0x50))
DATA_KEY = bytes(range(0x80, 0xA0))
RAW = serialization.Encoding.Raw, serialization.PublicFormat.Raw
POINT = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint


def scalar(name):
    return int.from_bytes(hashlib.sha256(name).digest(), "big")


def key_id_of(key):
    return hashlib.sha256(key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).digest()


def start(algorithm, source, key, certificate, label):
    return bytes([algorithm, source]) + key_id_of(key) + certificate + bytes([len(label)]) + label


def agreement(algorithm, head, key, ephemeral, z):
    head += len(ephemeral).to_bytes(2, "big") + ephemeral
    info = PURPOSE + bytes([algorithm]) + key_id_of(key) + ephemeral
    wrapping = HKDF(hashes.SHA256(), 32, CHECKPOINT_ID, info).derive(z)
    return head + AESGCM(wrapping).encrypt(bytes(12), DATA_KEY, PURPOSE + CHECKPOINT_ID + head)


def curve_slot(algorithm, curve, source, certificate, label):
    key = ec.derive_private_key(scalar(b"recipient"), curve)
    ephemeral = ec.derive_private_key(scalar(b"ephemeral"), curve)
    z = ephemeral.exchange(ec.ECDH(), key.public_key())
    head = start(algorithm, source, key, certificate, label)
    return key, agreement(algorithm, head, key, ephemeral.public_key().public_bytes(*POINT), z)


def x25519_slot():
    key = x25519.X25519PrivateKey.from_private_bytes(hashlib.sha256(b"recipient").digest())
    ephemeral = x25519.X25519PrivateKey.from_private_bytes(hashlib.sha256(b"ephemeral").digest())
    z = ephemeral.exchange(key.public_key())
    head = start(3, 3, key, bytes(32), b"")
    return key, agreement(3, head, key, ephemeral.public_key().public_bytes(*RAW), z)


def rsa_slot():
    key = rsa.generate_private_key(65537, 2048)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    ciphertext = key.public_key().encrypt(DATA_KEY, oaep)
    head = start(4, 2, key, bytes(32), b"token key 4")
    return key, head + len(ciphertext).to_bytes(2, "big") + ciphertext


def constant(name, text):
    print(f"inline constexpr std::string_view {name} =")
    lines = [text[i:i + 90] for i in range(0, len(text), 90)]
    print("\n".join(f'    "{line}"' for line in lines) + ";")


def show(name, key, body):
    pkcs8 = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                              serialization.NoEncryption())
    constant(f"{name}_key", pkcs8.hex())
    constant(f"{name}_slot", body.hex())


print("""// SPDX-License-Identifier: Apache-2.0
//
// Made by public_key_vectors.py: private keys (PKCS#8) and slots for them, of the checkpoint 40..4f
// and the data key 80..9f.
#pragma once

#include <string_view>

namespace ckptseal::vectors {
""")
show("p256", *curve_slot(1, ec.SECP256R1(), 1, hashlib.sha256(b"certificate").digest(),
                         b"CN=recovery,O=Example"))
show("p384", *curve_slot(2, ec.SECP384R1(), 3, bytes(32), b"a key"))
show("x25519", *x25519_slot())
show("rsa", *rsa_slot())
print("""
}  // namespace ckptseal::vectors""")

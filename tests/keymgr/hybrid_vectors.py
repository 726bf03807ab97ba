#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes hybrid_vectors.h: a key and a slot of docs/format.md, "Hybrid public key slot".

It is a second implementation of that section, by python3-cryptography and an ML-KEM in Python, so that the format does not
become whatever the C++ code and libcrypto do. FOLDER has that one as cks_mlkem.py (expand, encapsulate).

Usage: hybrid_vectors.py FOLDER >hybrid_vectors.h
"""
import base64
import hashlib
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

sys.path.insert(0, sys.argv[1])
import cks_mlkem  # noqa: E402

PURPOSE = b"ckpt-seal/v1/hybrid"
CHECKPOINT_ID = bytes(range(0x40, 0x50))
DATA_KEY = bytes(range(0x80, 0xA0))
LABEL = b"archive.pub"


def raw(key):
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def scalar(name):
    return hashlib.sha256(name).digest()


def pem(label, content):
    text = base64.b64encode(content).decode()
    lines = [text[i:i + 64] for i in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def constant(name, text):
    print(f"inline constexpr std::string_view {name} =")
    lines = [text[i:i + 90] for i in range(0, len(text), 90)]
    print("\n".join(f'    "{line}"' for line in lines) + ";")


def text_constant(name, text):
    print(f"inline constexpr std::string_view {name} =")
    print("\n".join(f'    "{line}\\n"' for line in text.splitlines()) + ";")


seed = hashlib.sha512(b"seed").digest()
own = x25519.X25519PrivateKey.from_private_bytes(scalar(b"recipient"))
ek, _ = cks_mlkem.expand(seed)
public = raw(own) + ek
key_id = hashlib.sha256(b"ckpt-seal/v1/hybrid-key" + public).digest()

ephemeral = x25519.X25519PrivateKey.from_private_bytes(scalar(b"ephemeral"))
z = ephemeral.exchange(own.public_key())
k, ciphertext = cks_mlkem.encapsulate(ek, scalar(b"message"))

head = key_id + bytes([len(LABEL)]) + LABEL + raw(ephemeral) + ciphertext
info = PURPOSE + key_id + raw(ephemeral) + ciphertext
wrapping = HKDF(hashes.SHA256(), 32, CHECKPOINT_ID, info).derive(k + z)
body = head + AESGCM(wrapping).encrypt(bytes(12), DATA_KEY, PURPOSE + CHECKPOINT_ID + head)

print("""// SPDX-License-Identifier: Apache-2.0
//
// Made by hybrid_vectors.py: a key in its two files, and a slot for it, of the checkpoint 40..4f
// and the data key 80..9f, with the two secrets that open it.
#pragma once

#include <string_view>

namespace ckptseal::vectors {
""")
text_constant("hybrid_private_pem", pem("CKPT-SEAL HYBRID PRIVATE KEY", scalar(b"recipient") + seed))
text_constant("hybrid_public_pem", pem("CKPT-SEAL HYBRID PUBLIC KEY", public))
constant("hybrid_key_id", key_id.hex())
constant("hybrid_slot", body.hex())
constant("hybrid_kem_secret", k.hex())
constant("hybrid_agreed_secret", z.hex())
print("""
}  // namespace ckptseal::vectors""")

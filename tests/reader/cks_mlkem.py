# SPDX-License-Identifier: Apache-2.0
"""ML-KEM-768 (FIPS 203): key expansion, encapsulation and decapsulation in plain Python.

It exists because the Python libraries of the supported systems do not have it yet. It is for tests alone: it is slow
and takes a time that depends on secrets. The numbers in the comments are those of the algorithms of FIPS 203.
"""

import hashlib
import hmac

N, Q, K = 256, 3329, 3
DU, DV = 10, 4
CIPHERTEXT_SIZE = 32 * (DU * K + DV)  # 1088
PUBLIC_SIZE = 384 * K + 32  # 1184


def _bit_reverse(i):
    return int(f"{i:07b}"[::-1], 2)


ZETAS = [pow(17, _bit_reverse(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * _bit_reverse(i) + 1, Q) for i in range(128)]


def _g(data):
    digest = hashlib.sha3_512(data).digest()
    return digest[:32], digest[32:]


def _h(data):
    return hashlib.sha3_256(data).digest()


def _j(data):
    return hashlib.shake_256(data).digest(32)


def _encode(f, d):  # 5
    value = 0
    for i, coefficient in enumerate(f):
        value |= coefficient << (d * i)
    return value.to_bytes(32 * d, "little")


def _decode(data, d):  # 6
    value = int.from_bytes(data, "little")
    return [(value >> (d * i)) & ((1 << d) - 1) for i in range(N)]


def _compress(f, d):
    return [((2 * x << d) + Q) // (2 * Q) & ((1 << d) - 1) for x in f]


def _decompress(f, d):
    return [(y * Q + (1 << (d - 1))) >> d for y in f]


def _sample_ntt(seed):  # 7
    stream, f, at = hashlib.shake_128(seed).digest(3 * 1024), [], 0
    while len(f) < N:
        if at == len(stream):
            stream = hashlib.shake_128(seed).digest(2 * len(stream))
        a, b, c = stream[at:at + 3]
        at += 3
        f += [d for d in (a | (b & 15) << 8, b >> 4 | c << 4) if d < Q]
    return f[:N]


def _sample_cbd(seed, counter):  # 8, with eta = 2
    bits = int.from_bytes(hashlib.shake_256(seed + bytes([counter])).digest(128), "little")
    nibbles = [bits >> (4 * i) & 15 for i in range(N)]
    return [((n & 1) + (n >> 1 & 1) - (n >> 2 & 1) - (n >> 3)) % Q for n in nibbles]


def _ntt(f):  # 9
    f, k, length = list(f), 1, 128
    while length >= 2:
        for start in range(0, N, 2 * length):
            zeta, k = ZETAS[k], k + 1
            for j in range(start, start + length):
                t = zeta * f[j + length]
                f[j], f[j + length] = (f[j] + t) % Q, (f[j] - t) % Q
        length //= 2
    return f


def _inverse_ntt(f):  # 10
    f, k, length = list(f), 127, 2
    while length <= 128:
        for start in range(0, N, 2 * length):
            zeta, k = ZETAS[k], k - 1
            for j in range(start, start + length):
                t = f[j]
                f[j], f[j + length] = (t + f[j + length]) % Q, zeta * (f[j + length] - t) % Q
        length *= 2
    return [x * 3303 % Q for x in f]


def _multiply(f, g):  # 11 and 12
    product = []
    for i, gamma in enumerate(GAMMAS):
        a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        product += [(a0 * b0 + a1 * b1 * gamma) % Q, (a0 * b1 + a1 * b0) % Q]
    return product


def _add(*polynomials):
    return [sum(terms) % Q for terms in zip(*polynomials)]


def _dot(row, vector):
    return _add(*(_multiply(f, g) for f, g in zip(row, vector)))


def _matrix(rho):
    return [[_sample_ntt(rho + bytes([j, i])) for j in range(K)] for i in range(K)]


def _vector(seed, first):
    return [_sample_cbd(seed, first + i) for i in range(K)]


def expand(seed):
    """From the seed d || z: the encapsulation key and the decapsulation key (13 and 16)."""
    d, z = seed[:32], seed[32:]
    rho, sigma = _g(d + bytes([K]))
    s = [_ntt(f) for f in _vector(sigma, 0)]
    e = [_ntt(f) for f in _vector(sigma, K)]
    t = [_add(_dot(row, s), noise) for row, noise in zip(_matrix(rho), e)]
    public = b"".join(_encode(f, 12) for f in t) + rho
    return public, b"".join(_encode(f, 12) for f in s) + public + _h(public) + z


def _encrypt(public, message, randomness):  # 14
    t = [_decode(public[384 * i:384 * (i + 1)], 12) for i in range(K)]
    columns = zip(*_matrix(public[384 * K:]))
    y = [_ntt(f) for f in _vector(randomness, 0)]
    noise = _vector(randomness, K)
    u = [_add(_inverse_ntt(_dot(column, y)), e) for column, e in zip(columns, noise)]
    mu = _decompress(_decode(message, 1), 1)
    v = _add(_inverse_ntt(_dot(t, y)), _sample_cbd(randomness, 2 * K), mu)
    return b"".join(_encode(_compress(f, DU), DU) for f in u) + _encode(_compress(v, DV), DV)


def _decrypt(secret, ciphertext):  # 15
    size = 32 * DU
    u = [_decompress(_decode(ciphertext[size * i:size * (i + 1)], DU), DU) for i in range(K)]
    v = _decompress(_decode(ciphertext[size * K:], DV), DV)
    s = [_decode(secret[384 * i:384 * (i + 1)], 12) for i in range(K)]
    product = _inverse_ntt(_dot(s, [_ntt(f) for f in u]))
    return _encode(_compress([(a - b) % Q for a, b in zip(v, product)], 1), 1)


def encapsulate(public, message):
    """With 32 random bytes: the shared secret and the ciphertext (17)."""
    shared, randomness = _g(message + _h(public))
    return shared, _encrypt(public, message, randomness)


def decapsulate(secret, ciphertext):
    """The shared secret (18). A ciphertext that was not made by encapsulation gives another secret, no error."""
    public = secret[384 * K:384 * K + PUBLIC_SIZE]
    digest, z = secret[-64:-32], secret[-32:]
    message = _decrypt(secret, ciphertext)
    shared, randomness = _g(message + digest)
    if hmac.compare_digest(_encrypt(public, message, randomness), ciphertext):
        return shared
    return _j(z + ciphertext)

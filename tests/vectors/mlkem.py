# SPDX-License-Identifier: Apache-2.0
"""The half of ML-KEM-768 (FIPS 203) that seals: the encapsulation key of a seed, and a ciphertext for it. Nothing here
takes the same time for every input. Debian 12 has no library with it."""

import functools
import hashlib

Q, N, K = 3329, 256, 3
DU, DV = 10, 4


def reversed_bits(number):
    return int(f"{number:07b}"[::-1], 2)


ZETAS = [pow(17, reversed_bits(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * reversed_bits(i) + 1, Q) for i in range(128)]


def ntt(polynomial):
    """Algorithm 9."""
    f, i, length = list(polynomial), 1, 128
    while length >= 2:
        for start in range(0, N, 2 * length):
            for j in range(start, start + length):
                t = ZETAS[i] * f[j + length] % Q
                f[j + length], f[j] = (f[j] - t) % Q, (f[j] + t) % Q
            i += 1
        length //= 2
    return f


def inverse_ntt(polynomial):
    """Algorithm 10."""
    f, i, length = list(polynomial), 127, 2
    while length <= 128:
        for start in range(0, N, 2 * length):
            for j in range(start, start + length):
                t = f[j]
                f[j], f[j + length] = (t + f[j + length]) % Q, ZETAS[i] * (f[j + length] - t) % Q
            i -= 1
        length *= 2
    return [x * 3303 % Q for x in f]


def multiply(f, g):
    """Algorithm 11, of what ntt gave."""
    product = []
    for i, gamma in enumerate(GAMMAS):
        a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        product += [(a0 * b0 + a1 * b1 * gamma) % Q, (a0 * b1 + a1 * b0) % Q]
    return product


def add(*polynomials):
    return [sum(terms) % Q for terms in zip(*polynomials, strict=True)]


def product_of_vectors(f, g):
    return add(*(multiply(a, b) for a, b in zip(f, g, strict=True)))


def sample_ntt(seed):
    """Algorithm 7. 1008 bytes are more than it takes but with odds that do not matter."""
    stream, numbers = hashlib.shake_128(seed).digest(1008), []
    for at in range(0, len(stream), 3):
        a, b, c = stream[at : at + 3]
        numbers += [d for d in (a + 256 * (b % 16), b // 16 + 16 * c) if d < Q]
    if len(numbers) < N:
        raise ValueError("too few numbers")
    return numbers[:N]


def sample_cbd(sigma, counter):
    """Algorithm 8 of PRF with eta 2."""
    number = int.from_bytes(hashlib.shake_256(sigma + bytes([counter])).digest(128), "little")
    quads = ((number >> 4 * i) & 15 for i in range(N))
    return [((quad & 1) + (quad >> 1 & 1) - (quad >> 2 & 1) - (quad >> 3 & 1)) % Q for quad in quads]


def encode(bits, polynomial):
    number = sum(x << bits * i for i, x in enumerate(polynomial))
    return number.to_bytes(N * bits // 8, "little")


def decode(bits, data):
    number = int.from_bytes(data, "little")
    return [number >> bits * i & (1 << bits) - 1 for i in range(N)]


def compress(bits, polynomial):
    return [((x << bits + 1) + Q) // (2 * Q) & (1 << bits) - 1 for x in polynomial]


def matrix(rho):
    return [[sample_ntt(rho + bytes([j, i])) for j in range(K)] for i in range(K)]


@functools.cache
def encapsulation_key(d):
    """Of the seed d || z; z is for what does not decrypt, which is the business of a reader."""
    both = hashlib.sha3_512(d + bytes([K])).digest()
    rho, sigma = both[:32], both[32:]
    s = [ntt(sample_cbd(sigma, i)) for i in range(K)]
    e = [ntt(sample_cbd(sigma, K + i)) for i in range(K)]
    t = [add(product_of_vectors(row, s), e[i]) for i, row in enumerate(matrix(rho))]
    return b"".join(encode(12, polynomial) for polynomial in t) + rho


@functools.cache
def encapsulate(key, m):
    """Shared secret and ciphertext; m are 32 bytes that should be random."""
    both = hashlib.sha3_512(m + hashlib.sha3_256(key).digest()).digest()
    shared, r = both[:32], both[32:]
    t, a = [decode(12, key[384 * i : 384 * i + 384]) for i in range(K)], matrix(key[-32:])
    y = [ntt(sample_cbd(r, i)) for i in range(K)]
    u = [
        add(inverse_ntt(product_of_vectors([row[i] for row in a], y)), sample_cbd(r, K + i)) for i in range(K)
    ]
    message = [bit * ((Q + 1) // 2) for bit in decode(1, m)]
    v = add(inverse_ntt(product_of_vectors(t, y)), sample_cbd(r, 2 * K), message)
    return shared, b"".join(encode(DU, compress(DU, polynomial)) for polynomial in u) + encode(DV, compress(DV, v))

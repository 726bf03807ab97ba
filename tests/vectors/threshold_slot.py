# SPDX-License-Identifier: Apache-2.0
"""Bodies of threshold slots (docs/format.md)."""

from pieces import Slot
from primitives import u16, u32
from slots import THRESHOLD


def times(a, b):
    """In GF(2^8) of x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = (a << 1) ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product


def share_value(writer, number, needed, secret=None):
    value = bytearray()
    for at, byte in enumerate(secret or writer.data_key):
        coefficients = [byte, *writer.random(f"coefficients {at}", needed - 1)]
        result = 0
        for coefficient in reversed(coefficients):
            result = times(result, number) ^ coefficient
        value.append(result)
    return bytes(value)


def threshold_body(writer, makers, needed=2, degree=None, **changes):
    """`makers` are functions (writer, value) that give kind and body of a share. `degree` is one more than that of the
    polynomial, where it is not `needed`; `changes` replaces numbers, orders the finished shares, or adds a tail."""
    shares = []
    for number, make in enumerate(makers, 1):
        kind, body = make(writer, share_value(writer, number, degree or needed))
        shares.append(u16(kind) + u32(changes.get("lengths", {}).get(number - 1, len(body))) + body)
    shares = [shares[at] for at in changes.get("order", range(len(shares)))]
    front = bytes([changes.get("stated_needed", needed), changes.get("count", len(shares))])
    return changes.get("only_front") or front + b"".join(shares) + changes.get("tail", b"")


def threshold_slot(writer, *makers, **changes):
    return Slot(THRESHOLD, threshold_body(writer, makers, **changes))

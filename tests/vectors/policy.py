# SPDX-License-Identifier: Apache-2.0
"""Release policies as bytes and as digests (docs/policies.md). Each term takes wrong values as well as right ones: the
digest is then that of what the bytes say, as far as they say anything."""

from collections import namedtuple
from itertools import accumulate

import primitives as crypto
from primitives import sha256, u16, u32, u64

# `step` takes the digest before the term and gives the one after it; `pin` is whether there is a PIN in it.
Term = namedtuple("Term", "encoded step pin")
Policy = namedtuple("Policy", "encoded step pin")

ZEROS = bytes(32)
POLICY_PCR, POLICY_NV = u32(0x17F), u32(0x149)
POLICY_SIGNED = u32(0x160)
POLICY_AUTHORIZE, POLICY_AUTH_VALUE, POLICY_OR = u32(0x16A), u32(0x16B), u32(0x171)
AUTHORITY = crypto.multiply(crypto.scalar_from("ckpt-seal vectors authority"))
EPOCH_INDEX = 0x01800001
ORIGIN_IDENTITY = sha256(b"ckpt-seal vectors host origin")
CHECKPOINT_ID = crypto.stream("ckpt-seal vectors checkpoint id", 16)


def policy(*terms, count=None, tail=b""):
    encoded = bytes([len(terms) if count is None else count]) + b"".join(term.encoded for term in terms) + tail

    def step(digest):
        return list(accumulate(terms, lambda before, term: term.step(before), initial=digest))[-1]

    return Policy(encoded, step, any(term.pin for term in terms))


def values_of(numbers, salt=b""):
    return b"".join(sha256(b"PCR" + bytes([n]) + salt) for n in numbers)


def pcrs(*numbers, salt=b"", mask=None):
    """`salt` makes other values."""
    mask = sum(1 << n for n in numbers) if mask is None else mask
    values = values_of(numbers, salt)
    bitmap = bytes(sum(1 << n % 8 for n in range(24) if mask >> n & 1 and n // 8 == byte) for byte in range(3))
    selection = u32(1) + u16(0x0B) + b"\x03" + bitmap
    return Term(b"\x01" + u32(mask) + values, lambda d: sha256(d + POLICY_PCR + selection + sha256(values)), False)


def key_name(x, y):
    public = u16(0x23) + u16(0x0B) + u32(0x40040) + u16(0) + u16(0x10) + u16(0x18) + u16(0x0B) + u16(3) + u16(0x10)
    return u16(0x0B) + sha256(public + u16(32) + x + u16(32) + y)


def approvals(domain="fleet", purpose=1, point=AUTHORITY, first=4):
    x, y = crypto.coordinates(point)
    domain = domain.encode("ascii")
    encoded = bytes([2, purpose, first]) + x + y + bytes([len(domain)]) + domain
    name = key_name(x, y)
    word = "migrate" if purpose == 2 else "restore"
    reference = b"ckpt-seal/" + word.encode("ascii") + b"/" + domain
    return Term(encoded, lambda _d: sha256(sha256(ZEROS + POLICY_AUTHORIZE + name) + reference), False)


def epoch(highest=3, index=EPOCH_INDEX):
    name = u16(0x0B) + sha256(u32(index) + u16(0x0B) + u32(0x22060012) + u16(0) + u16(8))
    arguments = sha256(u64(highest) + u16(0) + u16(9))
    return Term(b"\x03" + u32(index) + u64(highest), lambda d: sha256(d + POLICY_NV + arguments + name), False)


def pin():
    return Term(b"\x04", lambda d: sha256(d + POLICY_AUTH_VALUE), True)


def online(point=AUTHORITY, first=4, restores=0, not_after=0, checkpoint_id=CHECKPOINT_ID, origin=ORIGIN_IDENTITY):
    """For that checkpoint and those limits, of which the bytes of the term say nothing."""
    x, y = crypto.coordinates(point)
    reference = sha256(b"ckpt-seal/v1/online" + origin + checkpoint_id + u32(restores) + u64(not_after))
    name = key_name(x, y)
    return Term(bytes([6, first]) + x + y, lambda d: sha256(sha256(d + POLICY_SIGNED + name) + reference), False)


def unknown(kind):
    return Term(bytes([kind]), lambda d: d, False)


def any_of(*branches):
    """Each branch is a term, a list of terms or a policy."""
    branches = [branch if isinstance(branch, Policy) else branch_of(branch) for branch in branches]
    encoded = bytes([5, len(branches)]) + b"".join(u16(len(b.encoded)) + b.encoded for b in branches)
    return Term(encoded, lambda d: either(b.step(d) for b in branches), any(b.pin for b in branches))


def branch_of(branch):
    return policy(branch) if isinstance(branch, Term) else policy(*branch)


def either(digests):
    return sha256(ZEROS + POLICY_OR + b"".join(digests))


def auth_of(pin_text, checkpoint_id):
    """The authorization value of an object that asks for this PIN."""
    value = crypto.expand(crypto.extract(checkpoint_id, pin_text), b"ckpt-seal/v1/pin")
    return value if value[-1] else value[:-1] + b"\1"

# SPDX-License-Identifier: Apache-2.0
"""Reads a release policy (docs/policies.md, "Encoding") and computes its digest ("Digest").

What a TPM does in a policy session is done here on byte strings: every term makes the next digest of the one before.
"""

import re
from dataclasses import dataclass, field

from cks_header import Cursor
from cks_primitives import require, sha256

# Policies stand in TPM slots, so that is the heading of docs/format.md that sends a reader to them.
RULE = "TPM slot (kind 1)"
MOST_BYTES = 8192
MOST_PATHS = 64
FRESH = bytes(32)


@dataclass
class Pcrs:
    """Policies ask for it by a mask of PCRs and 32 bytes for each bit, ascending."""

    mask: int
    values: bytes

    def after(self, digest, _immutable):
        """TPM2_PolicyPCR: command code, TPML_PCR_SELECTION, digest of the values."""
        selection = b"\0\0\0\1\0\x0b\3" + self.mask.to_bytes(3, "little")
        return sha256(digest, b"\0\0\1\x7f", selection, sha256(self.values))


def key_name(x, y):
    area = bytes.fromhex("0023 000b 00040040 0000 0010 0018 000b 0003 0010")
    return b"\0\x0b" + sha256(area, b"\0\x20", x, b"\0\x20", y)


@dataclass
class Approvals:
    purpose: int
    x: bytes
    y: bytes
    domain: bytes

    def after(self, _digest, _immutable):
        """TPM2_PolicyAuthorize, which begins from nothing again."""
        reference = b"ckpt-seal/" + {1: b"restore", 2: b"migrate"}[self.purpose] + b"/" + self.domain
        return sha256(sha256(FRESH, b"\0\0\1\x6a", key_name(self.x, self.y)), reference)


@dataclass
class Epoch:
    index: int
    highest: int

    def after(self, digest, _immutable):
        """TPM2_PolicyNV: at most `highest`, compared from offset 0, unsigned."""
        area = self.index.to_bytes(4, "big") + bytes.fromhex("000b 22060012 0000 0008")
        operation = sha256(self.highest.to_bytes(8, "big"), b"\0\0", b"\0\x09")
        return sha256(digest, b"\0\0\1\x49", operation, b"\0\x0b", sha256(area))


@dataclass
class Pin:
    def after(self, digest, _immutable):
        """TPM2_PolicyAuthValue."""
        return sha256(digest, b"\0\0\1\x6b")


@dataclass
class Online:
    x: bytes
    y: bytes

    def after(self, digest, immutable):
        """TPM2_PolicySigned, whose reference says for which checkpoint and within which limits."""
        limits = immutable.restores.to_bytes(4, "big") + immutable.not_after.to_bytes(8, "big")
        reference = sha256(b"ckpt-seal/v1/online", immutable.checkpoint_id, limits)
        return sha256(sha256(digest, b"\0\0\1\x60", key_name(self.x, self.y)), reference)


@dataclass
class AnyOf:
    branches: list = field(default_factory=list)

    def after(self, digest, immutable):
        """TPM2_PolicyOR over what each branch leads to from here."""
        reached = [policy_digest(branch, immutable, digest) for branch in self.branches]
        require(len(set(reached)) == len(reached), RULE, "two branches of a policy are equal")
        return sha256(FRESH, b"\0\0\1\x71", *reached)


def policy_digest(terms, immutable, digest=FRESH):
    """In a slot of the file that `immutable` is of."""
    for term in terms:
        digest = term.after(digest, immutable)
    return digest


def has_pin(terms):
    return any(isinstance(term, Pin) for path in paths(terms) for term in path)


def parse_policy(raw):
    """The terms of a policy that keeps every rule but that of equal branches, which policy_digest() finds."""
    require(1 <= len(raw) <= MOST_BYTES, RULE, "the length of a policy is not 1 to 8192")
    terms = parse_terms(raw, depth=0)
    require(count_paths(terms) <= MOST_PATHS, RULE, "there are more than 64 paths through a policy")
    for path in paths(terms):
        check_path(path)
    return terms


def parse_terms(raw, depth):
    cursor = Cursor(raw, RULE, "a policy")
    count = cursor.number(1)
    require(count <= 16, RULE, "a policy has more than 16 terms")
    terms = [parse_term(cursor, depth) for _ in range(count)]
    require(cursor.left() == 0, RULE, "something follows the last term of a policy")
    if depth:
        require(terms, RULE, "a branch of a policy has no term")
    return terms


def parse_term(cursor, depth):
    kind = cursor.number(1)
    require(1 <= kind <= 6, RULE, "the kind of a term of a policy is unknown")
    if kind == 1:
        return parse_pcrs(cursor)
    if kind == 2:
        return parse_approvals(cursor)
    if kind == 3:
        return parse_epoch(cursor)
    if kind == 6:
        return Online(*parse_key(cursor))
    return Pin() if kind == 4 else parse_any_of(cursor, depth)


def parse_pcrs(cursor):
    mask = cursor.number(4)
    require(mask != 0, RULE, "the policy of a TPM slot names no PCR")
    require(mask >> 24 == 0, RULE, "the policy of a TPM slot names a PCR above 23")
    require(not mask >> 10 & 1, RULE, "the policy of a TPM slot names PCR 10")
    return Pcrs(mask, cursor.take(32 * mask.bit_count()))


def parse_key(cursor):
    require(cursor.number(1) == 4, RULE, "the key of an authority does not begin with 04")
    return cursor.take(32), cursor.take(32)


def parse_approvals(cursor):
    purpose = cursor.number(1)
    require(purpose in (1, 2), RULE, "the purpose of approvals is not 1 or 2")
    x, y = parse_key(cursor)
    domain = cursor.take(cursor.number(1))
    name = re.fullmatch(rb"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", domain)
    require(name, RULE, "the domain of approvals is not a name")
    return Approvals(purpose, x, y, domain)


def parse_epoch(cursor):
    index, highest = cursor.number(4), cursor.number(8)
    require(0x01000000 <= index <= 0x01FFFFFF, RULE, "the NV index of an epoch is not allowed")
    return Epoch(index, highest)


def parse_any_of(cursor, depth):
    require(depth < 2, RULE, "the choices of a policy are nested three deep")
    count = cursor.number(1)
    require(2 <= count <= 8, RULE, "a choice of a policy has not 2 to 8 branches")
    return AnyOf([parse_terms(cursor.take(cursor.number(2)), depth + 1) for _ in range(count)])


def count_paths(terms):
    product = 1
    for term in terms:
        if isinstance(term, AnyOf):
            product *= sum(count_paths(branch) for branch in term.branches)
    return product


def paths(terms):
    """Every way through, as a list of terms among which is no choice. At most as many as count_paths() says."""
    if not terms:
        return [[]]
    first, rest = terms[0], paths(terms[1:])
    ways = [way for branch in first.branches for way in paths(branch)] if isinstance(first, AnyOf) else [[first]]
    return [way + tail for way in ways for tail in rest]


def check_path(path):
    def count(kind):
        return sum(isinstance(term, kind) for term in path)

    later = any(isinstance(term, Approvals) for term in path[1:])
    require(not later, RULE, "approvals are not the first term of a policy")
    require(count(Epoch) <= 1, RULE, "a policy asks twice for an epoch")
    require(count(Pin) <= 1, RULE, "a policy asks twice for a PIN")
    require(count(Online) <= 1, RULE, "a policy asks twice for an online approval")

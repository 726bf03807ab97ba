# SPDX-License-Identifier: Apache-2.0
"""Release policies of TPM slots: docs/policies.md, "Encoding" and "Digest".

It exists because the digest of the policy stands in the object of a TPM slot, so that a reader can tell whether what
a slot says about itself is what the TPM enforces.
"""

import math
import re
from dataclasses import dataclass

from cks_primitives import ZERO32, Cursor, require, sha256

TPM_SLOT = "TPM slot (kind 1)"
MAX_SIZE, MAX_TERMS, MAX_PATHS = 8192, 16, 64
PCRS, APPROVALS, EPOCH, PIN, ANY_OF, ONLINE = range(1, 7)
PURPOSES = {1: b"restore", 2: b"migrate"}
DOMAIN = re.compile(rb"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")

COMMAND_NV, COMMAND_SIGNED, COMMAND_AUTHORIZE = 0x149, 0x160, 0x16A
COMMAND_AUTH_VALUE, COMMAND_OR, COMMAND_PCR = 0x16B, 0x171, 0x17F


@dataclass(frozen=True)
class Term:
    """One term. Which of the fields are used depends on the kind."""
    kind: int
    mask: int = 0
    values: bytes = b""
    purpose: int = 0
    key: bytes = b""
    domain: bytes = b""
    index: int = 0
    highest: int = 0
    branches: tuple = ()


def take_pcrs(cursor):
    """A mask and its values: the body of a term of kind 1, and all of a policy of form 1."""
    mask = cursor.u32()
    require(mask and not mask >> 24 and not mask >> 10 & 1, TPM_SLOT, f"the mask of PCRs {mask:08x} is not allowed")
    return Term(PCRS, mask=mask, values=cursor.take(32 * mask.bit_count()))


def _take_key(cursor):
    key = cursor.take(65)
    require(key[0] == 4, TPM_SLOT, "a key in the policy is no uncompressed point")
    return key


def _take_approvals(cursor):
    purpose, key = cursor.u8(), _take_key(cursor)
    domain = cursor.take(cursor.u8())
    require(purpose in PURPOSES, TPM_SLOT, f"{purpose} is no purpose of approvals")
    require(DOMAIN.fullmatch(domain), TPM_SLOT, "the domain of approvals has not the form of a name")
    return Term(APPROVALS, purpose=purpose, key=key, domain=domain)


def _take_epoch(cursor):
    index, highest = cursor.u32(), cursor.u64()
    require(0x01000000 <= index <= 0x01FFFFFF, TPM_SLOT, f"{index:08x} is no NV index of an epoch")
    return Term(EPOCH, index=index, highest=highest)


def _take_any_of(cursor, depth):
    require(depth < 2, TPM_SLOT, "any of stands in a branch of a branch of the policy")
    count = cursor.u8()
    require(2 <= count <= 8, TPM_SLOT, f"any of has {count} branches")
    branches = []
    for _ in range(count):
        branch = _parse(cursor.take(cursor.u16()), depth + 1)
        require(branch, TPM_SLOT, "a branch of the policy has no term")
        branches.append(branch)
    return Term(ANY_OF, branches=tuple(branches))


def _take_term(cursor, depth):
    kind = cursor.u8()
    require(PCRS <= kind <= ONLINE, TPM_SLOT, f"{kind} is no kind of term of a policy")
    if kind == PCRS:
        return take_pcrs(cursor)
    if kind == APPROVALS:
        return _take_approvals(cursor)
    if kind == EPOCH:
        return _take_epoch(cursor)
    if kind == ANY_OF:
        return _take_any_of(cursor, depth)
    return Term(ONLINE, key=_take_key(cursor)) if kind == ONLINE else Term(PIN)


def _parse(data, depth):
    cursor = Cursor(data, TPM_SLOT)
    count = cursor.u8()
    require(count <= MAX_TERMS, TPM_SLOT, f"a policy has {count} terms")
    terms = tuple(_take_term(cursor, depth) for _ in range(count))
    cursor.end()
    return terms


def _count_paths(terms):
    return math.prod(sum(map(_count_paths, term.branches)) for term in terms if term.kind == ANY_OF)


def _paths(terms):
    """Every path: a tuple of terms of which none is any of."""
    found = [()]
    for term in terms:
        ways = [way for branch in term.branches for way in _paths(branch)] if term.kind == ANY_OF else [(term,)]
        found = [path + way for path in found for way in ways]
    return found


def _check_path(path):
    kinds = [term.kind for term in path]
    require(APPROVALS not in kinds[1:], TPM_SLOT, "approvals are not the first term on a path of the policy")
    for kind in (EPOCH, PIN, ONLINE):
        require(kinds.count(kind) <= 1, TPM_SLOT, f"the term {kind} stands twice on a path of the policy")


def _name_of_key(key):
    template = bytes.fromhex("0023000b00040040000000100018000b00030010")
    return b"\x00\x0b" + sha256(template, b"\x00\x20", key[1:33], b"\x00\x20", key[33:])


def _name_of_counter(index):
    return b"\x00\x0b" + sha256(index.to_bytes(4, "big"), bytes.fromhex("000b2206001200000008"))


def _command(code):
    return code.to_bytes(4, "big")


def _digest_pcrs(before, term):
    selection = bytes.fromhex("00000001000b03") + term.mask.to_bytes(3, "little")
    return sha256(before, _command(COMMAND_PCR), selection, sha256(term.values))


def _digest_approvals(term):
    named = sha256(ZERO32, _command(COMMAND_AUTHORIZE), _name_of_key(term.key))
    return sha256(named, b"ckpt-seal/", PURPOSES[term.purpose], b"/", term.domain)


def _digest_epoch(before, term):
    arguments = sha256(term.highest.to_bytes(8, "big"), bytes.fromhex("00000009"))
    return sha256(before, _command(COMMAND_NV), arguments, _name_of_counter(term.index))


def _digest_any_of(before, term, reference):
    digests = [_digest(branch, before, reference) for branch in term.branches]
    require(len(set(digests)) == len(digests), TPM_SLOT, "two branches of the policy have the same digest")
    return sha256(ZERO32, _command(COMMAND_OR), *digests)


def _digest_term(term, before, reference):
    if term.kind == PCRS:
        return _digest_pcrs(before, term)
    if term.kind == APPROVALS:
        return _digest_approvals(term)
    if term.kind == EPOCH:
        return _digest_epoch(before, term)
    if term.kind == PIN:
        return sha256(before, _command(COMMAND_AUTH_VALUE))
    if term.kind == ONLINE:
        return sha256(sha256(before, _command(COMMAND_SIGNED), _name_of_key(term.key)), reference)
    return _digest_any_of(before, term, reference)


def _digest(terms, before, reference):
    for term in terms:
        before = _digest_term(term, before, reference)
    return before


def reference(origin, checkpoint_id, restores, not_after):
    """What an online approval says of the checkpoint and its limits; each limit 0 where there is none."""
    limits = restores.to_bytes(4, "big") + not_after.to_bytes(8, "big")
    return sha256(b"ckpt-seal/v1/online", origin, checkpoint_id, limits)


class Policy:
    """A policy that keeps every rule of "Encoding"."""

    def __init__(self, terms, online_reference):
        require(_count_paths(terms) <= MAX_PATHS, TPM_SLOT, "there are more than 64 paths through the policy")
        self.terms = terms
        self.paths = _paths(terms)
        for path in self.paths:
            _check_path(path)
        self.digest = _digest(terms, ZERO32, online_reference)

    @classmethod
    def parse(cls, data, online_reference):
        require(1 <= len(data) <= MAX_SIZE, TPM_SLOT, f"a policy has {len(data)} bytes")
        return cls(_parse(data, 0), online_reference)

    @property
    def is_pcrs_alone(self):
        return [term.kind for term in self.terms] == [PCRS]

    @property
    def wants_pin(self):
        """Whether there is a PIN on any path."""
        return any(term.kind == PIN for path in self.paths for term in path)

    @property
    def needs_pin(self):
        """Whether no way is without one."""
        return all(has_pin for has_pin, _ in self._ways)

    @property
    def asks_pin_first(self):
        """Whether the first way ("Ways") wants a PIN: one comes before an online approval."""
        return min((online, has_pin) for has_pin, online in self._ways)[1]

    @property
    def _ways(self):
        """Of each path that is not for migration, whether there is a PIN and an online approval on it."""
        kinds = [{term.kind for term in path} for path in self.paths if not _migrates(path)]
        return [(PIN in path, ONLINE in path) for path in kinds]

    @property
    def can_migrate(self):
        return any(map(_migrates, self.paths))

    @property
    def can_open(self):
        """Whether there is a path that is not for migration."""
        return not all(map(_migrates, self.paths))


def _migrates(path):
    return any(term.kind == APPROVALS and PURPOSES[term.purpose] == b"migrate" for term in path)

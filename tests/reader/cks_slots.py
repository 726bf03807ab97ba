# SPDX-License-Identifier: Apache-2.0
"""Which slot is vouched for and which one opens: docs/format.md, "Slots", "Which slot opens", "Threshold slot (kind 5)"
and "Keys".

It exists because these rules go over all slots: order, warnings, exit codes, and the bounds of one run.
"""

from cks_primitives import (ZERO32, Cursor, Refused, hkdf_expand, hkdf_extract, interpolate_at_zero, require, same)

SLOTS, OPENS, PASSPHRASE = "Slots", "Which slot opens", "Passphrase slot (kind 2)"
THRESHOLD_SLOT, THRESHOLD = "Threshold slot (kind 5)", 5
ORDER = (7, 8, 3, 6, 1, 5, 4, 9)
TRIED = (3, 6)  # the exit codes of slots that were tried: no warning


class Keys:
    """The identities of a reader, in the order in which it was given them, and the memory that it allows."""

    def __init__(self, identities, max_memory_kib=1 << 20):
        self.identities = identities
        self.max_memory_kib = max_memory_kib


class Run:
    """What holds for all slots of one run: its bounds, and what it met."""

    def __init__(self, immutable, keys, warn):
        self.immutable = immutable
        self.keys = keys
        self.warn = warn
        self.met = []  # refusals, and of whose key
        self.work = 0
        self.pin_was_wrong = False
        self.tried_by_tpm = 0

    def spend(self, memory, passes, lanes):
        """Bounds memory and work of a passphrase, before any is used."""
        allowed = self.keys.max_memory_kib
        require(memory <= allowed, PASSPHRASE, f"it wants {memory} KiB of memory, allowed are {allowed}", 1)
        work = self.work + max(memory, 64 * lanes) * passes
        require(work <= 16 * allowed, PASSPHRASE, "it wants more work than is allowed", 1)
        self.work = work

    def skip(self, where, refusal, opener=None):
        self.met.append((refusal, opener))
        if refusal.code not in TRIED:
            self.warn(f"{where} is skipped: {refusal.message}")


def vouch(slot, header, trust):
    """Refuses a slot that is not vouched for."""
    if slot.adder_kind == 0:
        require(slot.digest in header.listed, SLOTS, "it is not in the slot list")
    elif slot.adder == ZERO32:
        require(trust.allow_unsigned, SLOTS, "who added it is not named, and that is not allowed", 4)
    else:
        keys = trust.keys_at(slot.adder, slot.time)
        require(keys, SLOTS, f"its adder {slot.adder.hex()} is not trusted", 4)
        holds = slot.signature.holds(keys, slot.to_sign(header.immutable.digest))
        require(holds, SLOTS, "the signature of its adder does not hold")


def find_data_key(header, keys, trust, warn):
    """The index of the slot that opens, and the data key."""
    run = Run(header.immutable, keys, warn)
    for slot in header.slots:
        where = f"slot {slot.index}"
        try:
            vouch(slot, header, trust)
        except Refused as refusal:
            run.skip(where, refusal)
            continue
        for value, _ in _values(slot.kind, slot.body, where, run):
            if is_data_key(value, header.immutable):
                return slot.index, value
            run.skip(where, Refused(5, "Keys", "what it holds is not the data key of this file"))
    require(run.met, OPENS, "no slot is for this reader", 9)
    heaviest, _ = min(run.met, key=lambda met: ORDER.index(met[0].code))
    raise Refused(heaviest.code, heaviest.rule, f"no slot opens: {heaviest.message}")


def is_data_key(value, immutable):
    """"Keys": the commitment."""
    return same(commitment(value, immutable.checkpoint_id), immutable.commitment)


def commitment(data_key, checkpoint_id):
    return hkdf_expand(hkdf_extract(checkpoint_id, data_key), b"ckpt-seal/v1/commitment")


def _values(kind, body, where, run):
    """What the identities of the reader get out of a slot or share, one after the other, and who it was."""
    for opener in _openers(kind, where, run):
        try:
            value = opener(body, run)
        except Refused as refusal:
            run.skip(where, refusal, opener)
            continue
        if value is not None:
            yield value, opener


def _openers(kind, where, run):
    if kind == THRESHOLD:
        return [lambda body, run: _open_threshold(body, where, run)]
    return [identity.open for identity in run.keys.identities if identity.kind == kind]


def _is_by_trial(opener):
    """Whether it is that of a passphrase or a recovery key: whose a share is only trying tells."""
    return getattr(getattr(opener, "__self__", None), "kind", None) in (2, 4)


def _open_threshold(body, where, run):
    k, shares = _take_shares(body)
    values, givers = {}, []
    outer, run.met = run.met, []
    try:
        for number, (kind, share) in enumerate(shares, 1):
            value, giver = next(_values(kind, share, f"{where}, share {number}", run), (None, None))
            if value is not None:
                values[number] = value
                givers.append(giver)
            if len(values) == k:
                return interpolate_at_zero(values)
    finally:
        met, run.met = run.met, outer
    # A passphrase that gave one value was not wrong for the others.
    for refusal, opener in met:
        if not (refusal.code == 3 and opener in givers and _is_by_trial(opener)):
            run.met.append((refusal, opener))
    require(not values and not met, THRESHOLD_SLOT, f"it gives {len(values)} values of the {k} that it needs", 9)
    return None


def _take_shares(body):
    cursor = Cursor(body, THRESHOLD_SLOT)
    k, count = cursor.unpack(">BB")
    require(2 <= k <= count <= 16, THRESHOLD_SLOT, f"{k} shares of {count} are not allowed")
    shares = []
    for _ in range(count):
        kind, size = cursor.unpack(">HI")
        require(kind != THRESHOLD, THRESHOLD_SLOT, "a share is a threshold")
        require(1 <= size <= 16384, THRESHOLD_SLOT, f"a share has {size} bytes")
        shares.append((kind, cursor.take(size)))
    cursor.end()
    return k, shares

# SPDX-License-Identifier: Apache-2.0
"""Faults at random steps of the writer of tests/vectors. What is computed behind a step is right for the wrong value,
so that a fault goes past checksums, MACs and signatures to the rule that it breaks."""

import dataclasses
import random

# How often each step is chosen. Those of which a file has many (bodies, pages) come more often.
STEPS = {
    "slots": 4,
    "slot_list": 2,
    "list_digest": 1,
    "commitment": 1,
    "immutable": 5,
    "slots_part": 4,
    "change": 6,
    "header_front": 2,
    "header_mac": 4,
    "header_block": 2,
    "header_copy": 3,
    "body": 36,
    "added": 7,
    "tpm_data_key": 2,
    "tpm_public": 2,
    "tpm_auth": 2,
    "tpm_sensitive": 4,
    "tpm_integrity": 1,
    "tpm_private": 2,
    "tpm_point": 2,
    "tpm_fields": 6,
    "tpm_body": 2,
    "chunk_nonce": 1,
    "sealed_chunk": 4,
    "entries": 8,
    "data": 3,
    "image_records": 10,
    "records": 6,
    "pages": 14,
    "page_plain": 9,
    "page_nonce": 1,
    "sealed_pages": 2,
    "evidence": 1,
    "signed": 1,
    "signature": 2,
    "trailer_fields": 3,
    "trailer": 1,
    "trailer_block": 1,
    "preamble": 2,
    "file": 2,
}
SAME_SIZE = ("chunk_nonce", "page_nonce", "page_plain", "header_block", "header_copy", "signed")
WIDTHS = {
    "kind": 16, "adder": 16, "type": 15, "algorithm": 16, "encoding": 8, "count": 16, "number": 32, "owner": 32,
    "mask": 32, "form": 8, "first": 64, "offset": 64, "policy_length": 16, "pages": 144, "manifest_at": 64, "annex": 32,
    "evidence": 32, "size": 32,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Fault:
    """At one step; `nth` is at which of its calls, None at all of them."""

    step: str
    nth: int | None
    seed: int

    def apply(self, value, other):
        return Mutation(random.Random(self.seed), self.step in SAME_SIZE, other).of(value)


def random_faults(rng):
    count = rng.choices((0, 1, 2, 3), (35, 35, 20, 10))[0]
    return tuple(
        Fault(
            rng.choices(list(STEPS), STEPS.values())[0],
            rng.choices((None, 0, 1, 2, 3), (30, 45, 15, 6, 4))[0],
            rng.getrandbits(32),
        )
        for _ in range(count)
    )


def edges(rng, value, bits):
    top = (1 << bits) - 1
    around = [value + 1, value - 1, value * 2, value ^ (1 << rng.randrange(bits))]
    fixed = [0, 1, 2, 3, 9, 16, 255, 4096, 65536, top, top - 1, 1 << (bits - 1), 1 << bits // 2, rng.getrandbits(bits)]
    return rng.choice([min(max(number, 0), top) for number in around + fixed])


class Mutation:
    """Makes another value of the same kind. `other` is what stands at this step in another file, or None."""

    def __init__(self, rng, same_size, other):
        self.rng = rng
        self.same_size = same_size
        self.other = other

    def of(self, value, name="", depth=0):
        if depth == 0 and self.other is not None and self.rng.random() < 0.15 and type(value) is type(self.other):
            if not self.same_size or len(value) == len(self.other):
                return self.other
        if isinstance(value, (bytes, bytearray)):
            return self.of_bytes(bytes(value))
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int):
            return edges(self.rng, value, WIDTHS.get(name, 32))
        if isinstance(value, list):
            return self.of_list(value, depth)
        if isinstance(value, tuple):
            at = self.rng.randrange(len(value))
            return (*value[:at], self.of(value[at], depth=depth + 1), *value[at + 1 :])
        return self.of_fields(value, depth)

    def of_fields(self, value, depth):
        """A field of a dictionary, or of a piece; in a dictionary two may change places."""
        rng = self.rng
        if isinstance(value, dict):
            if not value:
                return value
            keys = list(value)
            name, second = rng.choice(keys), rng.choice(keys)
            if isinstance(name, tuple) and rng.random() < 0.3:
                return value | {name: value[second], second: value[name]}
            return value | {name: self.of(value[name], name, depth + 1)}
        names = [field.name for field in dataclasses.fields(value) if getattr(value, field.name) is not None]
        name = rng.choice(names)
        return dataclasses.replace(value, **{name: self.of(getattr(value, name), name, depth + 1)})

    def of_list(self, values, depth):
        rng, values = self.rng, list(values)
        elsewhere = self.other if isinstance(self.other, list) and self.other else values
        if not values:
            return elsewhere[:1]
        at, second = rng.randrange(len(values)), rng.randrange(len(values))
        how = rng.choices(("change", "repeat", "remove", "swap", "exchange"), (55, 12, 11, 12, 10))[0]
        if how == "change":
            values[at] = self.of(values[at], depth=depth + 1)
        elif how == "repeat":
            values.insert(second, values[at])
        elif how == "remove":
            del values[at]
        elif how == "swap":
            values[at], values[second] = values[second], values[at]
        else:
            values[at] = rng.choice(elsewhere)
        return values

    def of_bytes(self, value):
        rng = self.rng
        if not value:
            return value if self.same_size else rng.choice((b"\0", bytes(32), b"\1" * 64))
        hows = ("flip", "number", "zero", "swap", "cut", "longer", "repeat")
        weights = (30, 40, 7, 3, 8, 8, 4)
        how = rng.choices(hows[:4], weights[:4])[0] if self.same_size else rng.choices(hows, weights)[0]
        return getattr(self, "_" + how)(value)

    def _place(self, value, width):
        """Most of what is a number stands near the front, or behind a boundary of 32 bytes."""
        last = max(len(value) - width, 0)
        near = min(last, self.rng.choice((last, 3, 16, 68, 300)))
        return self.rng.randint(0, near)

    def _flip(self, value):
        at = self._place(value, 1)
        return value[:at] + bytes([value[at] ^ 1 << self.rng.randrange(8)]) + value[at + 1 :]

    def _number(self, value):
        width = min(self.rng.choice((1, 1, 2, 4, 8)), len(value))
        at = self._place(value, width)
        number = edges(self.rng, int.from_bytes(value[at : at + width], "big"), 8 * width)
        return value[:at] + number.to_bytes(width, "big") + value[at + width :]

    def _zero(self, value):
        width = min(self.rng.choice((8, 16, 32, 64)), len(value))
        at = self._place(value, width)
        return value[:at] + bytes(width) + value[at + width :]

    def _swap(self, value):
        width = min(32, len(value) // 2)
        return value[width : 2 * width] + value[:width] + value[2 * width :]

    def _cut(self, value):
        size = self._sizes(value)
        return self.rng.choice((value[:-size], value[size:]))

    def _longer(self, value):
        more = self.rng.choice((bytes, self.rng.randbytes))(self._sizes(value, extra=True))
        return self.rng.choice((value + more, value + more, more + value))

    def _repeat(self, value):
        width = min(self.rng.choice((1, 32, 56, 4096)), len(value))
        at = self._place(value, width)
        return value[: at + width] + value[at:]

    def _sizes(self, value, extra=False):
        size = self.rng.choice((1, 1, 2, 32, 64, 4096))
        return size if extra else min(size, len(value))

# SPDX-License-Identifier: Apache-2.0
"""A whole file at random: what it holds, whom it is for, and who changed it since. Most are right; what a step of the
writer can get wrong comes from faults.py, and here only what a writer would have to mean."""

from dataclasses import dataclass

import primitives as crypto
from evidence import tpm_quote
from pieces import CHANGED, CREATED, NOBODY, Header, Host, Record, Signature, annex
from primitives import u32, u64
from random_slots import SlotChooser
from scenario import CHANGER, NOW, ORIGIN, STRANGER
from slots import HYBRID, PUBLIC_KEY, TPM, added
from writer import Writer

ADDERS = (ORIGIN, CHANGER, STRANGER, NOBODY)
OTHER_KEY = Host("origin", "origin, another")
POOL = crypto.stream("ckpt-seal differential content", 150000)
TIMES = (CREATED + 1, CHANGED, NOW, NOW + 1, 1 << 40)

# What a writer must not write.
PARENT = b"\1" * 32
ODD_OPTIONS = (
    {"depth": 1},
    {"parent": PARENT},
    {"parent": PARENT, "depth": 1},
    {"parent": PARENT, "depth": 64, "content": 1},
    {"conditions": [b"\3"]},
    {"conditions": [b"\2" + u32(2), b"\1" + u64(1 << 40)]},
    {"conditions": [b"\2" + u32(2)] * 2},
    {"conditions": [b"\1" + u64(1 << 40), b"\2" + u32(2), b"\3"]},
    {"conditions": [b"\1" + u64(CREATED)]},
    {"conditions": [b"\2" + u32(0)]},
    {"log_c": 15},
    {"log_c": 17, "left_out": lambda _number, _index: False, "order": None},
    {"log_c": 23},
    {"content": 0},
    {"encoding": 1},
    {"annex": bytes(4095)},
    {"annex": bytes((1 << 20) + 4096)},
    {"evidence": bytes(32769)},
)
# Of changers and adders; none holds.
ODD_SIGNATURES = (
    Signature(0, b""),
    Signature(0, b"1"),
    Signature(1, bytes(64)),
    Signature(1, bytes(63)),
    Signature(2, b"1"),
    Signature(2, b""),
    Signature(0xFFFF, bytes(64)),
    Signature(2, b"1", 16384),
)


@dataclass
class Change:
    """Of the slots: which of those at sealing stay, which are new and whose, and how the copies stand."""

    generation: int
    kept: list
    new: list  # (slot, adder, and how the adder signs)
    shuffled: bool
    changer: object
    signing: dict
    copies: str


class FileWriter(Writer):
    """A writer whose steps are heard by `at_step`, which may give other values; `label` makes another file of it."""

    def __init__(self, plan, at_step, label=""):
        self.label = label
        self.at_step = at_step
        options = dict(plan.options, slots=lambda w: [make(w) for make in plan.slots])
        if plan.change:
            options["headers"] = lambda w: headers(w, plan.change)
        super().__init__(plan.images, **options)
        self.more_records = plan.records

    def random(self, label, size):
        return super().random(self.label + label, size)

    def step(self, name, value, *where):
        return self.at_step(name, value)

    def parent_records(self):
        return sorted(super().parent_records() + self.more_records, key=lambda record: record.type & 0x7FFF)


def headers(writer, change):
    slots = [slot for slot, stays in zip(writer.slots, change.kept) if stays]
    for make, adder, signing in change.new:
        slots.append(writer.step("added", added(writer, make(writer), adder, **signing)))
    if change.shuffled:
        slots.reverse()
    new = Header(change.generation, slots, change.changer, **change.signing)
    if change.generation == 2:
        old = Header(1, writer.slots)
    else:
        old = Header(change.generation - 1, writer.slots, change.changer)
    same = Header(change.generation, writer.slots, change.changer)
    return {"equal": [new, new], "first": [new, old], "second": [old, new], "differ": [new, same]}[change.copies]


class FilePlan:
    """All that is drawn of one file; build() gives the same bytes each time, but for what happens at its steps."""

    def __init__(self, rng):
        self.rng = rng
        self.options = {"suite": rng.choices((1, 2, 3, 4, 5), (50, 25, 13, 11, 1))[0], "log_c": 16}
        self.exclusive = self.options["suite"] in (3, 4)
        self.content = rng.choices((1, 2, 3, 4), (50, 35, 14, 1))[0]
        self.options["content"] = self.content
        self._choose_conditions()
        self._choose_slots()
        self._choose_origin()
        self.change = self._change() if rng.random() < (0.05 if self.exclusive else 0.4) else None
        if self.change:
            self.options["log_h"] = 14
        self._choose_images()
        self._choose_rest()

    def build(self, at_step=lambda _name, value: value, label=""):
        return FileWriter(self, at_step, label).build()

    def _choose_conditions(self):
        rng = self.rng
        self.not_after = rng.choice(TIMES) if rng.random() < 0.2 else 0
        self.restores = rng.choice((1, 2, 2**32 - 1)) if rng.random() < 0.15 else 0
        both = [b"\1" + u64(self.not_after)] * bool(self.not_after) + [b"\2" + u32(self.restores)] * bool(self.restores)
        self.options["conditions"] = both

    def _choose_slots(self):
        self.chooser = SlotChooser(self.rng, self.restores, self.not_after)
        if self.exclusive and self.rng.random() < 0.95:
            self.slots = [self.chooser.slot((TPM, PUBLIC_KEY, PUBLIC_KEY, HYBRID))]
            return
        count = self.rng.choices((1, 2, 3, 4, 30), (40, 30, 15, 14, 1))[0]
        self.slots = [self.chooser.slot() for _ in range(count)]

    def _choose_origin(self):
        rng = self.rng
        who = rng.choices((ORIGIN, None, STRANGER, OTHER_KEY), (80, 12, 4, 4))[0]
        self.options["origin"] = who
        if who and self.content == 1 and not self.exclusive and rng.random() < 0.15:
            self.options |= {"parent": rng.randbytes(32), "depth": rng.choice((1, 1, 63, 64))}
        if who and rng.random() < 0.2:
            self.options["evidence"] = rng.choice((tpm_quote, b"\2", bytes(5000), bytes(32768)))
        if rng.random() < 0.15:
            self.options["annex"] = annex((1, b"record"), (9, bytes(50)), size=rng.choice((4096, 8192)))

    def _change(self):
        rng = self.rng
        generation = rng.choice((2, 2, 2, 3, 5, 2**63 - 1))
        new = []
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            adder = rng.choices(ADDERS, (45, 30, 10, 15))[0]
            when = {"generation": rng.choice((2, 2, min(generation, 4))), "time": rng.choice((CHANGED, CREATED))}
            new.append((self.chooser.slot(), adder, when | self._signing()))
        kept = [not new or rng.random() < 0.8 for _ in self.slots]
        changer = rng.choices(ADDERS, (50, 30, 5, 15))[0]
        copies = rng.choices(("equal", "first", "second", "differ"), (70, 10, 10, 10))[0]
        return Change(generation, kept, new, rng.random() < 0.1, changer, self._signing(), copies)

    def _signing(self):
        """Seldom somebody else signs, or nobody as it has to be."""
        how = self.rng.random()
        if how < 0.04:
            return {"signer": self.rng.choice(ADDERS[:3])}
        return {"signature": self.rng.choice(ODD_SIGNATURES)} if how < 0.08 else {}

    def _choose_images(self):
        rng = self.rng
        names = {2: ["stream"], 3: ["tree.tar"]}.get(self.content)
        if names is None:
            names = rng.sample(("core-1.img", "pages-1.img", "~", "n" * 255, "a"), rng.choice((0, 1, 1, 2, 3)))
        if rng.random() < 0.02:
            names = rng.choice(([".."], ["a/b"], ["stream", "stream"], ["tree.tar"], [" "]))
        self.images, self.left_out = [], set()
        for number, name in enumerate(names):
            self.images.append((name, self._image(number)))
        left_out = frozenset(self.left_out)
        self.options["left_out"] = lambda number, index: (number, index) in left_out
        chunks = [(n, i) for n, (_, content) in enumerate(self.images) for i in range((len(content) >> 16) + 1)]
        if rng.random() < 0.3:
            self.options["order"] = rng.sample(chunks, len(chunks))

    def _image(self, number):
        """Chunks of zeros, of which most are left out, and others; then a short one."""
        rng = self.rng
        full = rng.choices((0, 1, 2, 7, 8, 9, 72, 145), (56, 14, 7, 3, 6, 8, 4, 2))[0]
        out = []
        for index in range(full):
            zeros = rng.random() < (0.3 if full < 7 else 0.9 if full < 72 else 1.0)
            if zeros and rng.random() < 0.8:
                self.left_out.add((number, index))
            out.append(bytes(1 << 16) if zeros else self._some(1 << 16))
        last = rng.choice((0, 1, 100, 16384, 16385, 65535))
        if last and rng.random() < 0.2:
            out.append(bytes(last))
            self.left_out.add((number, full))
        else:
            out.append(self._some(last))
        if not last and rng.random() < 0.05:
            self.left_out.add((number, full))  # which an empty one must not be
        return b"".join(out)

    def _some(self, size):
        at = self.rng.randrange(len(POOL) - size)
        return POOL[at : at + size]

    def _choose_rest(self):
        rng = self.rng
        self.records = []
        if rng.random() < 0.35:
            types = rng.choices((2, 3, 5, 100, 0x7FFF, 0x8002), (9, 9, 9, 9, 9, 1), k=rng.randint(1, 4))
            self.records = [Record(kind, rng.randbytes(rng.choice((0, 1, 60)))) for kind in types]
        if not self.change and rng.random() < 0.1:
            self.options["log_h"] = rng.choice((13, 15))
        if rng.random() < 0.06:
            self.options |= rng.choice(ODD_OPTIONS)

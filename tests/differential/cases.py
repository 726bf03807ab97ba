# SPDX-License-Identifier: Apache-2.0
"""One case: a random file with random faults, and a look at it, all from one seed."""

import random
from collections import Counter

import primitives as crypto
from faults import random_faults
from random_files import FilePlan
from random_looks import random_look


class NotWritten(Exception):
    """The writer cannot write what the faults ask for, for example a number that does not fit."""


class Recorder:
    """Keeps what another file has at each step, for an exchange."""

    def __init__(self):
        self.values = {}
        self.counts = Counter()

    def __call__(self, name, value):
        self.values[name, self.counts[name]] = value
        self.counts[name] += 1
        return value


class Injector:
    """Applies faults at their steps. `done` are those whose step there was and that changed something."""

    def __init__(self, faults, other):
        self.faults = faults
        self.other = other
        self.counts = Counter()
        self.done = set()

    def __call__(self, name, value):
        nth = self.counts[name]
        self.counts[name] += 1
        for fault in self.faults:
            if fault.step != name or fault.nth not in (None, nth):
                continue
            changed = fault.apply(value, self.other.get((name, nth)))
            if changed != value:
                self.done.add(fault)
            value = changed
        return value


def other_file(seed):
    """What stands at every step of a right file with another data key, by step and call."""
    recorder = Recorder()
    FilePlan(random.Random(f"{seed} other")).build(recorder, label="another file: ")
    return recorder.values


class Case:
    def __init__(self, seed, hybrid):
        rng = random.Random(seed)
        self.seed = seed
        self.plan = FilePlan(rng)
        self.faults = random_faults(rng)
        self.look = random_look(rng, self.plan, hybrid)
        self._other = None

    def build(self, faults):
        """The file with these faults, and which of them are in it."""
        if faults and self._other is None:
            self._other = self._build(lambda: other_file(self.seed))
        injector = Injector(faults, self._other)
        return self._build(lambda: self.plan.build(injector)), injector.done

    @staticmethod
    def _build(make):
        try:
            return make()
        except (ArithmeticError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise NotWritten(repr(error)) from error

    def images(self):
        """What a reader gives out of the file without faults."""
        return {name: crypto.sha256(content).hex() for name, content in self.plan.images}

# SPDX-License-Identifier: Apache-2.0
"""Slots of every kind at random, as functions of a writer and the 32 bytes to wrap, so that a file can be built twice.
Each body passes through the writer's step `body`, where faults come in. What was chosen is drawn from `rng` at once."""

from hybrid_slot import HYBRID_KEY, OTHER_HYBRID_KEY, hybrid_body
from key_slots import pkcs8, point, public_key_body
from people import LARGER, MONTGOMERY, OTHER_PARENT, OTHERS, OURS, PARENT, RSA
from pieces import Slot
from random_policies import random_policy
from slots import (
    HYBRID,
    OTHER_PASSPHRASE,
    OTHER_RECOVERY_KEY,
    PASSPHRASE,
    PASSPHRASE_KIND,
    PUBLIC_KEY,
    RECOVERY,
    RECOVERY_KEY,
    THRESHOLD,
    TPM,
    passphrase_body,
    recovery_body,
)
from threshold_slot import threshold_body
from tpm_slot import tpm_body

PINS = ("2468", "1357")
PRIVATE_KEYS = {pkcs8(key): key for key in (OURS, LARGER, MONTGOMERY, RSA, OTHERS)}
PARENTS = {f"{parent.scalar:064x}": parent for parent in (PARENT, OTHER_PARENT)}
PASSPHRASES = {word.decode("ascii"): word for word in (PASSPHRASE, OTHER_PASSPHRASE)}
RECOVERY_KEYS = {key.hex(): key for key in (RECOVERY_KEY, OTHER_RECOVERY_KEY)}
HYBRID_KEYS = {key.private(): key for key in (HYBRID_KEY, OTHER_HYBRID_KEY)}
# Memory, passes, lanes. All of them together take milliseconds; 64 KiB times 16 is all that a reader may do who allows
# 64 KiB.
COSTS = ((64, 1, 1), (64, 1, 1), (64, 2, 1), (128, 1, 2), (64, 16, 1), (1024, 1, 1), (2048, 1, 1))
# What is wrong before the data key is wrapped by it.
NO_SECRET = {"ephemeral": bytes(32), "z": bytes(32)}
ODD_PUBLIC_KEYS = (
    NO_SECRET,
    {"ephemeral": b"\1" + bytes(31), "z": bytes(32)},
    {"ephemeral": b"\4" + bytes(64)},
    {"ephemeral": b"\4" + bytes(96)},
    {"ephemeral": b"\2" + point(OURS)[1:33]},
    {"ephemeral": b"\0"},
    {"algorithm": 1},
    {"algorithm": 3},
    {"source": 0},
    {"source": 4},
    {"source": 2, "certificate": b"\1" * 32},
    {"label": b"\x7f"},
)
UNKNOWN_KINDS = (0, 7, 8, 0x7E57, 0xFFFF)


class SlotChooser:
    """Chooses slots for one file. `used` is whose they are: what a look has to give to open them."""

    def __init__(self, rng, restores=0, not_after=0):
        self.rng = rng
        self.limits = {"restores": restores, "not_after": not_after}
        self.used = {}
        self.kinds = {
            TPM: self.tpm,
            PASSPHRASE_KIND: self.passphrase,
            PUBLIC_KEY: self.public_key,
            RECOVERY: self.recovery,
            HYBRID: self.hybrid,
            None: self.unknown,
            THRESHOLD: self.threshold,
        }

    def slot(self, kinds=None, weights=(5, 4, 5, 3, 1, 1, 4)):
        """A function of the writer that gives a slot."""
        kind = self.rng.choice(kinds) if kinds else self.rng.choices(list(self.kinds), weights)[0]
        make, wrapped = self.kinds[kind](), self._wrapped()
        return lambda w: Slot(*make(w, wrapped(w.data_key)))

    def _wrapped(self):
        """What is wrapped in place of the right value: seldom another one."""
        odd = (lambda right: right[:31], lambda right: right + b"\0", lambda right: right[::-1])
        return self.rng.choice(odd) if self.rng.random() < 0.04 else lambda right: right

    def _of(self, key, known, likely):
        """One of these people, the first most often, whose key is noted."""
        names = list(known)
        name = names[0] if self.rng.random() < likely else self.rng.choice(names)
        self.used.setdefault(key, []).append(name)
        return known[name]

    def tpm(self):
        parent = self._of("parent_scalar", PARENTS, 0.7)
        if self.rng.random() < 0.4:
            numbers = sorted(self.rng.sample([n for n in range(24) if n != 10], self.rng.randint(1, 6)))
            return _body(TPM, lambda w, value: tpm_body(w, parent, pcr_numbers=numbers, data_key=value))
        asked, word = random_policy(self.rng, self.limits), self.rng.choices(PINS, (3, 1))[0]
        return _body(TPM, lambda w, value: tpm_body(w, parent, any_policy=asked, pin=word, data_key=value))

    def passphrase(self):
        word, cost = self._of("passphrase", PASSPHRASES, 0.7), self.rng.choice(COSTS)
        return _body(PASSPHRASE_KIND, lambda w, value: passphrase_body(w, word, cost, data_key=value))

    def public_key(self):
        key = self._of("private_key", PRIVATE_KEYS, 0.3)
        source = self.rng.randint(1, 3)
        used = {
            "source": source,
            "certificate": self.rng.randbytes(32) if source == 1 else bytes(32),
            "label": bytes(self.rng.choices(range(0x20, 0x7F), k=self.rng.choice((0, 5, 255)))),
        }
        if self.rng.random() < 0.1:
            used |= self.rng.choice(ODD_PUBLIC_KEYS)
        return _body(PUBLIC_KEY, lambda w, value: public_key_body(w, key, used=dict(used), data_key=value))

    def recovery(self):
        key = self._of("recovery_key", RECOVERY_KEYS, 0.7)
        return _body(RECOVERY, lambda w, value: recovery_body(w, key, data_key=value))

    def hybrid(self):
        key = self._of("hybrid_key", HYBRID_KEYS, 0.7)
        used = NO_SECRET if self.rng.random() < 0.05 else {}
        return _body(HYBRID, lambda w, value: hybrid_body(w, key, data_key=value, used=used))

    def unknown(self):
        kind, content = self.rng.choice(UNKNOWN_KINDS), self.rng.randbytes(self.rng.randint(1, 100))
        return _body(kind, lambda _w, _value: content)

    def threshold(self):
        """Two of two up to four of four, with shares of all other kinds."""
        count = self.rng.randint(2, 4)
        weights = (5, 4, 5, 4, 1, 1)
        makers = [self._share(kind) for kind in self.rng.choices(list(self.kinds)[:6], weights, k=count)]
        needed = self.rng.choice((2, 2, count))
        return _body(THRESHOLD, lambda w, _value: threshold_body(w, makers, needed))

    def _share(self, kind):
        make, wrapped = self.kinds[kind](), self._wrapped()
        if self.rng.random() < 0.01:
            return lambda w, value: (THRESHOLD, make(w, value)[1])
        return lambda w, value: make(w, wrapped(value))


def _body(kind, make):
    return lambda w, value: (kind, w.step("body", make(w, value)))

# SPDX-License-Identifier: Apache-2.0
"""What a scenario is, and the small ways of breaking a step that most of them use."""

from dataclasses import dataclass, field, replace

import primitives as crypto
from pieces import CREATED, Header, Host
from primitives import sha256
from slots import PASSPHRASE, passphrase_slot
from writer import Writer

ORIGIN = Host("origin")
CHANGER = Host("changer")
STRANGER = Host("stranger")
CHUNK = 1 << 16
NOW = CREATED + 86400
KEYS = ("passphrase", "parent_scalar", "private_key", "hybrid_key", "recovery_key")
DEFAULTS = {
    "passphrase": PASSPHRASE.decode("ascii"),
    "parent_scalar": None,
    "pin": None,
    "private_key": None,
    "hybrid_key": None,
    "recovery_key": None,
    "trusted": [ORIGIN.public()],
    "allow_unsigned": False,
    "now": NOW,
    "max_memory_kib": 1 << 20,
    "wanted_operation": "verify",
    "exit": None,
    "warning": False,
}
NO_KEY = dict.fromkeys(KEYS)
EXTRACT = {"wanted_operation": "extract"}
UNSIGNED = {"allow_unsigned": True, "trusted": []}
TRUST_CHANGER = {"trusted": [ORIGIN.public(), CHANGER.public()]}


def content(label, size):
    return crypto.stream("ckpt-seal vectors content " + label, size)


TWO = content("two", 2 * CHUNK + 100)
SMALL = [("stream", content("small", 100))]
TWO_CHUNKS = [("stream", TWO[: CHUNK + 100])]
THREE_CHUNKS = [("stream", TWO)]
EIGHT_ZEROS = {"left_out": lambda _number, index: index < 8}
NINE_CHUNKS = [("stream", bytes(8 * CHUNK) + TWO[:100])]  # with EIGHT_ZEROS
# Where a reader gives out nothing anyway: an empty manifest is one page.
NOTHING = {"images": [], "content": 1}


@dataclass
class Scenario:
    """One file and what a reader must say of it. `exit` and `rule` are what is expected with the usual settings: the
    passphrase, the origin trusted, `verify`. `settings` changes these; each of `also` is one more look at the same
    file, with its own settings, `what` and `exit`."""

    name: str
    rule: str
    what: str
    exit: int = 5
    images: list = field(default_factory=lambda: SMALL)
    options: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    also: list = field(default_factory=list)

    def build(self):
        options = {"slots": lambda writer: [passphrase_slot(writer)]} | self.options
        return Writer(self.images, **options).build()

    def entries(self):
        """The scenario's objects in vectors.json."""
        first = dict(self.settings, what=self.what, exit=self.exit)
        looks = [first] + [dict(self.settings, exit=self.exit) | look for look in self.also]
        for look in looks:
            entry = {"file": self.name + ".cks", "what": None, "rule": self.rule} | DEFAULTS | look
            opened = entry["exit"] == 0 and any(entry[key] is not None for key in KEYS)
            entry["images"] = {name: sha256(data).hex() for name, data in self.images} if opened else {}
            entry["slot"] = look.get("slot", 0) if opened else None
            yield entry


def good(name, rule, what, **rest):
    return Scenario(name, rule, what, exit=0, **rest)


def bad(name, rule, what, inject, **rest):
    """A fault in one step or some steps of the usual file."""
    options = dict(rest.pop("options", {}), inject=inject)
    return Scenario(name, rule, what, options=options, **rest)


def without_key(what="The same without a key.", **rest):
    return NO_KEY | {"what": what, "warning": False} | rest


def generation_2(slots, changer=ORIGIN, **rest):
    """Both copies of generation 2; `slots` is a function of the writer."""
    return lambda writer: [Header(2, slots(writer), changer, **rest)] * 2


def before_and_after(slots, changer=ORIGIN, **rest):
    """Copy 0 of generation 2, copy 1 still of generation 1: at a fault that makes copy 0 not sound a reader uses copy
    1, at any other it refuses the file."""
    return lambda writer: [Header(2, slots(writer), changer, **rest), Header(1, writer.slots)]


def put(at, new):
    """Replaces bytes from `at`; a negative `at` counts from the end."""

    def fault(_writer, value, *_where):
        begin = at if at >= 0 else len(value) + at
        return value[:begin] + new + value[begin + len(new) :]

    return fault


def flip(at):
    def fault(_writer, value, *_where):
        return put(at, bytes([value[at] ^ 1]))(None, value)

    return fault


def always(new):
    return lambda _writer, _value, *_where: new


def only(where, fault):
    """The fault at one place (a header copy, a page, an image and chunk), the right value elsewhere."""
    return lambda writer, value, *at: fault(writer, value, *at) if at == where else value


def change(index, **fields):
    """Replaces fields of one element of a list: of a page, of an image record."""

    def fault(_writer, values):
        values = list(values)
        values[index] = replace(values[index], **fields)
        return values

    return fault


def rearrange(arrangement):
    """`arrangement` takes and gives a list."""
    return lambda _writer, values: arrangement(list(values))

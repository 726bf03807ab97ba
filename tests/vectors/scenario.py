# SPDX-License-Identifier: Apache-2.0
"""What a scenario is, and the small ways of breaking a step that most of them use."""

from dataclasses import dataclass, field, replace

import primitives as crypto
from primitives import sha256
from writer import PASSPHRASE, Host, Writer

ORIGIN = Host("origin")
ADDER = Host("adder")
STRANGER = Host("stranger")
CHUNK = 1 << 16


def content(label, size):
    return crypto.stream("ckpt-seal vectors content " + label, size)


SMALL = [("stream", content("small", 100))]
TWO_CHUNKS = [("stream", content("two", CHUNK + 100))]
NINE_CHUNKS = [("stream", content("nine", 8 * CHUNK + 100))]


@dataclass
class Scenario:
    """One file and what a reader must say of it. `exit` and `rule` are what is expected with the usual settings: the
    passphrase, the origin trusted, nobody trusted as adder, `verify`. `settings` changes these; each of `also` is one
    more look at the same file, with its own settings, `what` and `exit`."""

    name: str
    rule: str
    what: str
    exit: int = 5
    images: list = field(default_factory=lambda: SMALL)
    options: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    also: list = field(default_factory=list)

    def build(self):
        return Writer(self.images, **self.options).build()

    def entries(self):
        """The scenario's objects in vectors.json."""
        looks = [dict(self.settings, what=self.what, exit=self.exit)]
        looks += [dict(self.settings, exit=self.exit) | look for look in self.also]
        for look in looks:
            entry = {
                "file": self.name + ".cks",
                "what": None,
                "rule": self.rule,
                "passphrase": PASSPHRASE.decode("ascii"),
                "parent_scalar": None,
                "pin": None,
                "private_key": None,
                "recovery_key": None,
                "trusted_origins": [ORIGIN.public()],
                "trusted_adders": [],
                "allow_unsigned": False,
                "wanted_operation": "verify",
                "exit": None,
                "warning": False,
                "images": {},
            }
            entry.update(look)
            if look["exit"] == 0 and "images" not in look:
                entry["images"] = {name: sha256(data).hex() for name, data in self.images}
            yield entry


def good(name, rule, what, **rest):
    return Scenario(name, rule, what, exit=0, **rest)


def bad(name, rule, what, inject, **rest):
    """A fault in one step or some steps of the usual file."""
    options = dict(rest.pop("options", {}), inject=inject)
    return Scenario(name, rule, what, options=options, **rest)


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

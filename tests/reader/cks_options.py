# SPDX-License-Identifier: Apache-2.0
"""The command line of cks.py.

It exists to keep what is only needed to run the program out of the steps of docs/format.md, "Reading".
"""

import argparse
import os

from cks_keys import HybridKey, Passphrase, PrivateKey, RecoveryKey, StorageParent


def hexadecimal(*sizes):
    def parse(text):
        value = bytes.fromhex(text)
        if sizes and len(value) not in sizes:
            raise ValueError("another length was expected")
        return value
    return parse


def trusted_host(text):
    identity, x, y, *expires = text.split(":")
    parse = hexadecimal(32)
    if len(expires) > 1:
        raise ValueError("there are too many fields")
    return parse(identity), parse(x), parse(y), int(*expires)


def secret_of(data):
    if not 1 <= len(data) <= 1024:
        raise ValueError("it has 1 to 1024 bytes")
    return data


def passphrase_file(path):
    try:
        with open(path, "rb") as file:
            text = file.read(1026)
    except OSError as error:
        raise argparse.ArgumentTypeError(error.strerror) from None
    return Passphrase(secret_of(text[:-1] if text.endswith(b"\n") else text))


def identity_of(kind, *sizes):
    parse = hexadecimal(*sizes)
    return lambda text: kind(parse(text))


def parse_arguments(arguments):
    about = "Reads a sealed checkpoint as docs/format.md says."
    parser = argparse.ArgumentParser(prog="cks.py", description=about, allow_abbrev=False)
    parser.add_argument("verb", choices=("verify", "extract", "inspect"))
    parser.add_argument("file")
    key = dict(action="append", dest="keys", default=[])
    parser.add_argument("--passphrase-file", type=passphrase_file, **key)
    parser.add_argument("--parent-scalar", type=hexadecimal(32), **key)
    parser.add_argument("--private-key", type=identity_of(PrivateKey), **key)
    parser.add_argument("--hybrid-key", type=identity_of(HybridKey, 96), **key)
    parser.add_argument("--recovery-key", type=identity_of(RecoveryKey, 16), **key)
    parser.add_argument("--parent-name", type=hexadecimal(34))
    parser.add_argument("--pin", type=lambda text: secret_of(os.fsencode(text)))
    parser.add_argument("--origin", type=trusted_host, action="append", default=[])
    parser.add_argument("--allow-unsigned", action="store_true")
    parser.add_argument("--max-memory-kib", type=int, default=1 << 20)
    parser.add_argument("--now", type=int)
    parser.add_argument("-o", dest="output")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.verb == "extract" and not options.output:
        parser.error("extract needs -o FOLDER")
    with_parents(parser, options)
    return options


def with_parents(parser, options):
    """A storage parent has its Name and PIN only when all options are known."""
    try:
        options.keys = [StorageParent(key, options.parent_name, options.pin) if isinstance(key, bytes) else key
                        for key in options.keys]
    except ValueError:
        parser.error("the scalar is not from 1 to n - 1")

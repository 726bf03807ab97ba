#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes vectors.tar.xz and vectors.json anew, with the same members each time.

  make.py                writes into the folder of this file
  make.py --check        writes nothing, and fails when they hold something else than what would be written
  make.py --unpack DIR   writes the files of the archive into this folder, which is made if need be, and vectors.json
  make.py --only NAME    writes one scenario into the folder where one is
  make.py --big DIR      writes the scenarios that are too large to keep, with a vectors.json of their own
"""

import argparse
import json
import pathlib
import shutil
import sys

import archive
import scenarios_adders
import scenarios_big
import scenarios_bounds
import scenarios_changes
import scenarios_chunk_pages
import scenarios_chunks
import scenarios_good
import scenarios_header
import scenarios_hybrid
import scenarios_images
import scenarios_immutable
import scenarios_keys
import scenarios_lists
import scenarios_manifest
import scenarios_opening
import scenarios_order
import scenarios_paths
import scenarios_policies
import scenarios_records
import scenarios_slots
import scenarios_threshold
import scenarios_tpm
import scenarios_trailer
import scenarios_trust
import scenarios_zeros

HERE = pathlib.Path(__file__).parent
ARCHIVE, LIST = HERE / "vectors.tar.xz", HERE / "vectors.json"
MODULES = (
    scenarios_adders,
    scenarios_bounds,
    scenarios_changes,
    scenarios_chunk_pages,
    scenarios_chunks,
    scenarios_good,
    scenarios_header,
    scenarios_hybrid,
    scenarios_images,
    scenarios_immutable,
    scenarios_keys,
    scenarios_lists,
    scenarios_manifest,
    scenarios_opening,
    scenarios_order,
    scenarios_paths,
    scenarios_policies,
    scenarios_records,
    scenarios_slots,
    scenarios_threshold,
    scenarios_tpm,
    scenarios_trailer,
    scenarios_trust,
    scenarios_zeros,
)


def scenarios():
    result = [scenario for module in MODULES for scenario in module.SCENARIOS]
    names = [scenario.name for scenario in result]
    if len(set(names)) != len(names):
        raise RuntimeError("two scenarios have the same name")
    return sorted(result, key=lambda scenario: scenario.name)


def produce(chosen):
    """The files by their names, and the text of vectors.json."""
    files = {scenario.name + ".cks": scenario.build() for scenario in chosen}
    looks = [look for scenario in chosen for look in scenario.entries()]
    return files, json.dumps(looks, indent=1) + "\n"


def write(folder, files, text):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / LIST.name).write_text(text, encoding="ascii")


def differing(files, text):
    """What is not as it would be written. Another liblzma may compress in another way: what is compared is content."""
    kept = archive.unpacked(ARCHIVE) if ARCHIVE.exists() else {}
    names = {name for name in files.keys() | kept.keys() if files.get(name) != kept.get(name)}
    if not LIST.exists() or LIST.read_text(encoding="ascii") != text:
        names.add(LIST.name)
    return sorted(names)


def check():
    names = differing(*produce(scenarios()))
    for name in names:
        print(f"make.py: {name} is not what make.py writes", file=sys.stderr)
    return 1 if names else 0


def unpack(folder):
    folder.mkdir(parents=True, exist_ok=True)
    archive.unpack(ARCHIVE, folder)
    shutil.copyfile(LIST, folder / LIST.name)


def make():
    files, text = produce(scenarios())
    ARCHIVE.write_bytes(archive.packed(files))
    LIST.write_text(text, encoding="ascii")


def main():
    parser = argparse.ArgumentParser(description="Writes the vectors of the sealed checkpoint format.")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--unpack", metavar="DIR", type=pathlib.Path)
    parser.add_argument("--only", metavar="NAME")
    parser.add_argument("--big", metavar="DIR", type=pathlib.Path)
    options = parser.parse_args()
    if options.check:
        return check()
    if options.unpack:
        unpack(options.unpack)
    elif options.big:
        write(options.big, *produce(scenarios_big.SCENARIOS))
    elif options.only:
        chosen = [scenario for scenario in scenarios() if scenario.name == options.only]
        if not chosen:
            print(f"make.py: there is no scenario {options.only}", file=sys.stderr)
            return 1
        pathlib.Path(options.only + ".cks").write_bytes(chosen[0].build())
    else:
        make()
    return 0


if __name__ == "__main__":
    sys.exit(main())

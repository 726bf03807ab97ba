#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes all vectors and vectors.json anew, the same bytes each time.

  make.py                writes into the folder of this file
  make.py --check        writes nothing, and fails when a file is not what would be written
  make.py --only NAME    one scenario
  make.py --big DIR      the scenarios that are too large to keep: more than one chunk page
"""

import argparse
import json
import pathlib
import sys

import scenarios_chunks
import scenarios_good
import scenarios_header
import scenarios_keys
import scenarios_manifest
import scenarios_policies
import scenarios_slots
from scenario import CHUNK, Scenario, change, content, good
from scenarios_manifest import split

HERE = pathlib.Path(__file__).parent
MODULES = (
    scenarios_good,
    scenarios_header,
    scenarios_slots,
    scenarios_policies,
    scenarios_keys,
    scenarios_chunks,
    scenarios_manifest,
)


def scenarios():
    result = [scenario for module in MODULES for scenario in module.SCENARIOS]
    names = [scenario.name for scenario in result]
    if len(set(names)) != len(names):
        raise RuntimeError("two scenarios have the same name")
    return sorted(result, key=lambda scenario: scenario.name)


def big_scenarios():
    long = [("stream", content("long", 293 * CHUNK))]
    two = [("a.img", content("a.img", 292 * CHUNK + 7)), ("b.img", content("b.img", 300 * CHUNK + 7))]
    turns = [(n % 2, n // 2) for n in range(2 * 293)] + [(1, n) for n in range(293, 301)]
    rule = "Manifest"
    return [
        good("big_chunk_pages", rule, "294 chunks in two pages.", images=long),
        good("big_exact_page", rule, "292 chunks, the last one empty: one full page.", images=[("stream", long[0][1][: 291 * CHUNK])]),
        good("big_exclusive", rule, "682 chunks in two pages.", images=[("stream", bytes(681 * CHUNK))], options={"suite": 3}),
        good("big_two_images", rule, "Chunks of two images take turns.", images=two, options={"content": 1, "order": turns}),
        Scenario(
            "big_chunk_page_missing",
            rule,
            "The second chunk page is missing.",
            images=long,
            options={"inject": {"pages": lambda w, pages: pages[:1] + pages[2:]}},
        ),
        Scenario(
            "big_chunk_pages_swapped",
            rule,
            "The second chunk page comes first.",
            images=long,
            options={"inject": {"pages": lambda w, pages: [pages[1], pages[0]] + pages[2:]}},
        ),
        Scenario(
            "big_chunk_page_short",
            rule,
            "The second of three chunk pages is not full.",
            images=long,
            options={"inject": {"pages": split(1, 1)}},
        ),
        Scenario(
            "big_chunk_page_index",
            rule,
            "The second chunk page begins with chunk 293.",
            images=long,
            options={"inject": {"pages": change(1, first=293)}},
        ),
    ]


def write_big(folder):
    folder = pathlib.Path(folder)
    entries = []
    for scenario in big_scenarios():
        (folder / (scenario.name + ".cks")).write_bytes(scenario.build())
        entries += scenario.entries()
    (folder / "vectors.json").write_text(json.dumps(entries, indent=1) + "\n", encoding="ascii")


def produce(chosen):
    """(path, bytes) of all files."""
    entries = []
    for scenario in chosen:
        yield HERE / (scenario.name + ".cks"), scenario.build()
        entries += scenario.entries()
    yield HERE / "vectors.json", (json.dumps(entries, indent=1) + "\n").encode("ascii")


def main():
    parser = argparse.ArgumentParser(description="Writes the vectors of the sealed checkpoint format.")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", metavar="NAME")
    parser.add_argument("--big", metavar="DIR")
    options = parser.parse_args()
    if options.big:
        write_big(options.big)
        return 0
    if options.only:
        for scenario in scenarios():
            if scenario.name == options.only:
                (HERE / (scenario.name + ".cks")).write_bytes(scenario.build())
        return 0
    differing = []
    for path, data in produce(scenarios()):
        if not options.check:
            path.write_bytes(data)
        elif not path.exists() or path.read_bytes() != data:
            differing.append(path.name)
    for name in differing:
        print(f"make.py: {name} is not what make.py writes", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())

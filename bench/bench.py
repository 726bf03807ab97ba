#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Dumps and restores one and the same process in several ways, and says what each costs next to plain CRIU.

Only ratios within one run mean anything: the same machine is twice as fast an hour later, when its host is less busy. So
all methods alternate, each round begins with another, and a figure is compared with that of plain CRIU in the same round.
Medians leave out the round in which something else ran. Run it on a machine that does nothing else; it warns when there is
load. It judges nothing but whether the methods work: the exit code is 1 when one fails, or when restored memory differs.

scripts/bench.sh installs, builds and mounts what this needs. docs/performance.md explains the table.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile

import measure
import methods
import report

MIB = 1 << 20


def parse(arguments):
    names = [method.name for method in methods.ALL]
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="memory of the process (default: 1024)")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="rounds (default: 5)")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME",
                        help=f"these, and plain, which the others are compared with: {', '.join(names)}")
    parser.add_argument("--output", type=pathlib.Path, required=True, metavar="FILE",
                        help="the table in Markdown; the raw figures go beside it, as FILE with .jsonl at its end")
    parser.add_argument("--folder", type=pathlib.Path, required=True, metavar="DIR", help="work below this folder")
    parser.add_argument("--ckpt-seal", type=pathlib.Path, required=True, metavar="PATH", help="the program")
    parser.add_argument("--criu", default=os.environ.get("CRIU"), metavar="PATH",
                        help="the CRIU (default: CRIU in the environment)")
    options = parser.parse_args(arguments)
    if options.size < 1 or options.runs < 1:
        parser.error("--size and --runs take a number from 1 on")
    if not options.criu:
        parser.error("name a CRIU with --criu, or in the environment; swtpm-ci/get-criu finds one")
    options.methods = [method for method in methods.ALL if method is methods.Plain or method.name in options.only]
    return options


def check_room(options):
    """The process, its images, and those encrypted: what runs out of room in the middle is no measurement."""
    need = options.size * 3 + 128
    free = shutil.disk_usage(options.folder).free // MIB
    if free < need - options.size:
        raise measure.BenchError(f"{options.folder} has {free} MiB free and {need - options.size} are needed; "
                                 "choose a smaller --size.")
    for line in pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:") and int(line.split()[1]) // 1024 < need:
            raise measure.BenchError(f"{need} MiB of memory are needed and are not free; choose a smaller --size.")


def one(method, tools, mebibytes, names):
    """One dump and one restore of a new process. The memory of the processes with these names is looked at."""
    method.clean()
    tools.stats.unlink(missing_ok=True)
    log = tools.folder / "command.log"
    victim = measure.Victim(mebibytes, tools.folder)
    try:
        measure.make_free_memory_present(2 * mebibytes)
        dump = measure.Measured(method.dump(victim.pid), tools.environment, log, names,
                                lambda: measure.sync_files(method.out))
        victim.dumped()
        left = measure.bytes_in(method.out)
        frozen = measure.frozen_seconds(tools.stats.read_bytes())
        measure.make_free_memory_present(2 * mebibytes)
        restore = measure.Measured(method.restore(), tools.environment, log, names)
        victim.check_restored()
    finally:
        victim.end()
    plaintext = method.plaintext()
    return {
        "dump": {"seconds": dump.seconds, "frozen_seconds": frozen, "cpu_seconds": dump.cpu, "peak_bytes": dump.peak},
        "restore": {"seconds": restore.seconds, "cpu_seconds": restore.cpu, "peak_bytes": restore.peak},
        "bytes_left": left,
        "bytes_plaintext": measure.bytes_in(plaintext) if plaintext else 0,
    }


def rounds(options, chosen, tools, write):
    """In round 0 memory is looked at, in the others time."""
    results = []
    for number in range(options.runs + 1):
        first = number % len(chosen)
        for method in chosen[first:] + chosen[:first]:
            result = {"round": number, "method": method.name, "size_mib": options.size}
            try:
                result.update(one(method, tools, options.size, method.names if number == 0 else frozenset()))
            except (measure.BenchError, OSError) as error:
                raise measure.BenchError(f"{method.name}, round {number}: {error}") from error
            write(result)
            results.append(result)
            what = "memory" if number == 0 else f"round {number} of {options.runs}"
            print(f"{what}: {method.name}: dump {result['dump']['seconds']:.3f} s, "
                  f"restore {result['restore']['seconds']:.3f} s", file=sys.stderr, flush=True)
    return results


def bench(options, folder):
    tools = methods.Tools(folder, options.ckpt_seal.resolve(), options.criu)
    chosen = [method(tools) for method in options.methods]
    raw = options.output.with_name(options.output.name + ".jsonl")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    # A table of an earlier run beside the figures of one that failed would be taken for its own.
    options.output.unlink(missing_ok=True)
    try:
        for method in chosen:
            method.set_up()
        known = report.facts(chosen, tools, options.size, options.runs)
        known["Load at the start"] = f"{os.getloadavg()[0]:.2f}"
        if os.getloadavg()[0] > 0.25:
            print(f"bench.py: warning: this machine has just been busy (load {os.getloadavg()[0]:.2f}); if it still is, the "
                  "figures are worth little.", file=sys.stderr)
        with open(raw, "w", encoding="utf-8") as out:
            def write(record):
                out.write(json.dumps(record, sort_keys=True) + "\n")
                out.flush()

            write({"facts": known})
            results = rounds(options, chosen, tools, write)
    finally:
        for method in chosen:
            method.tear_down()
    options.output.write_text(report.markdown(results, chosen, known), encoding="utf-8")
    print(report.table(results, chosen), end="")
    print(f"The table is in {options.output}, the raw figures are in {raw}.", file=sys.stderr)


def end(number, _frame):
    sys.exit(128 + number)


def main(arguments=None):
    options = parse(arguments)
    if os.geteuid() != 0:
        print("bench.py: only root can dump and restore processes; run it as root.", file=sys.stderr)
        return 1
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    measure.adopt_orphans()
    folder = None
    try:
        check_room(options)
        folder = pathlib.Path(tempfile.mkdtemp(prefix="b-", dir=options.folder.resolve()))
        bench(options, folder)
    except (measure.BenchError, OSError) as error:
        print(f"bench.py: {error}", file=sys.stderr)
        return 1
    finally:
        measure.end_children()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

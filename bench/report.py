# SPDX-License-Identifier: Apache-2.0
"""From raw figures to the table that people read, with what has to be known of the machine to read it."""

import datetime
import os
import pathlib
import platform
import shutil
import statistics
import subprocess

MIB = 1 << 20
# What encryption and hashing are fast with.
FLAGS = ("aes", "pclmulqdq", "vaes", "vpclmulqdq", "avx2", "avx512f", "sha_ni", "pmull", "sha2")
VERSION_OPTION = {"openssl": "version"}


def median_and_spread(values, form):
    if len(values) == 1:
        return form.format(values[0])
    return f"{form.format(statistics.median(values))} ({form.format(min(values))}-{form.format(max(values))})"


def ratios(results, name, plain, value):
    """To plain CRIU of the same round, so that a machine that gets slower meets both alike."""
    of_plain = {result["round"]: value(result) for result in results if result["method"] == plain}
    return [value(result) / of_plain[result["round"]] for result in results if result["method"] == name]


def row(results, method, plain):
    timed = [result for result in results if result["round"] > 0]
    own = [result for result in timed if result["method"] == method.name]

    def median(*keys):
        values = [result[keys[0]] if len(keys) == 1 else result[keys[0]][keys[1]] for result in own]
        return statistics.median(values)

    cells = [method.name]
    for part, key in (("dump", "seconds"), ("dump", "frozen_seconds"), ("restore", "seconds")):
        compared = ratios(timed, method.name, plain, lambda result: result[part][key])
        cells += [median_and_spread(compared, "{:.2f}"), f"{median(part, key):.3f}"]
    for part in ("dump", "restore"):
        peak = max(result[part]["peak_bytes"] for result in results if result["method"] == method.name)
        cells.append(f"{peak / MIB:.0f}" if method.names else "-")
    cells.append(f"{median('bytes_left') / MIB:.1f}")
    cells.append(f"{median('bytes_plaintext') / MIB:.1f}")
    return cells


HEADING = ["Method", "Dump", "s", "Frozen", "s", "Restore", "s", "Memory, dump, MiB", "Memory, restore, MiB", "Left, MiB",
           "Plaintext, MiB"]


def table(results, methods):
    """`methods[0]` is what the others are compared with."""
    rows = [HEADING] + [row(results, method, methods[0].name) for method in methods]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(HEADING))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths)) + " |" for cells in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def of_cpuinfo():
    fields = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", fields.get("Features", "")).split()
    return fields.get("model name", platform.machine()), [flag for flag in FLAGS if flag in flags]


def file_system(folder):
    best = ("", "unknown", "")
    for line in pathlib.Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, point, kind, options = line.split()[:4]
        if os.path.commonpath([point, folder]) == point and len(point) >= len(best[0]):
            best = (point, kind, options)
    return f"{best[1]} ({best[2]})"


def transparent_huge_pages():
    try:
        text = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text(encoding="ascii")
    except OSError:
        return "not there"
    return text.partition("[")[2].partition("]")[0]


def version_of(program, environment):
    name = pathlib.Path(program).name
    done = subprocess.run([program, VERSION_OPTION.get(name, "--version")], env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    lines = done.stdout.splitlines()
    return lines[0].removeprefix("Version:").strip() if lines else "unknown"


def commit():
    """Of the sources, where they are in git and git is installed."""
    if not shutil.which("git"):
        return ""
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=pathlib.Path(__file__).parent, text=True, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.strip()


def versions(methods, tools):
    programs = {"ckpt-seal": tools.ckpt_seal}
    out = {"CRIU": version_of(tools.criu, tools.environment)}
    for name in dict.fromkeys(name for method in methods for name in method.tools):
        out[name] = version_of(programs.get(name, name), tools.environment)
    if "ckpt-seal" in out and commit():
        out["ckpt-seal"] += f", sources {commit()}"
    return out


def facts(methods, tools, mebibytes, runs):
    model, flags = of_cpuinfo()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return {
        "Date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "Process": f"{mebibytes} MiB of random memory; {runs} rounds, the order of the methods rotated",
        "Processor": f"{model}, {os.cpu_count()} threads; {' '.join(flags) or 'none of the flags that matter'}",
        "Memory": f"{memory:.1f} GiB; transparent huge pages: {transparent_huge_pages()}",
        "Kernel": f"{platform.system()} {platform.release()}",
        "Files": file_system(str(tools.folder)),
        **versions(methods, tools),
    }


NOTES = """Dump, Frozen, Restore: median over the rounds of the ratio to plain CRIU in the same round (smallest-largest); beside it the median time. Frozen is
CRIU's own frozen_time. Memory: the largest seen in a round that is not timed, of the method's processes without CRIU, TPM and the process itself. Left: the files
after the dump. Plaintext: images that were in the folder unencrypted, even if only for a while. docs/performance.md says how all this is measured.
"""


def markdown(results, methods, known):
    lines = ["| What | |", "|---|---|"]
    lines += [f"| {key} | {value} |" for key, value in known.items()]
    about = [f"- {method.name}: {method.about}." for method in methods]
    return "\n".join([table(results, methods), NOTES, *about, "", *lines]) + "\n"

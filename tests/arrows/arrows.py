#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keeps the folders of the project in their order: who may include whom, and where each library's headers belong.

It exists because an arrow the other way compiles as well as any, and is hard to take out later. docs/architecture.md shows
the arrows; this reads them from the sources. Standard library only. It reads text, not the preprocessor's view: an #include
behind an #if counts, and one in a comment does not.
"""

import argparse
import os
import re
import sys

# Whom the sources of a folder may include beside their own folder. Everything not said here is forbidden. A folder inside another
# has a place of its own when it stands here, and else that of the folder around it; so does a file.
_BASIS = {"base", "proto"}
_HOSTS = _BASIS | {"policies", "hosts"}
_CRIU = _HOSTS | {"keymgr", "sealing", "criu"}
_CLI = _CRIU | {"restore", "provisioning", "cli"}
ALLOWED = {
    "base": set(),
    "proto": set(),
    "policies": _BASIS,
    "hosts": _BASIS | {"policies"},
    "keymgr": _HOSTS,
    "sealing": _HOSTS | {"keymgr"},
    "criu": _HOSTS | {"keymgr", "sealing"},
    "restore": _CRIU,
    "provisioning": _HOSTS | {"keymgr"},
    "cli": _CLI - {"cli"},
    "cli/sealing": _CLI,
    "cli/opening": _CLI,
    "cli/doctor": _CLI | {"cli/opening"},
    "cli/verbs": _CLI | {"cli/sealing", "cli/opening", "cli/doctor"},
    "cli/main.cc": _CLI | {"cli/verbs"},
}

ANYWHERE = ("",)
# The beginning of a third-party header, and the folders in which it may be included. Even there only a .cc file or a header
# that ends with _internal.h includes it, so that the library stays out of everybody else's compilation; a folder that nobody
# may include has nobody to spare.
THIRD_PARTY = {
    "CLI/": ("cli/",),
    "archive.h": ("sealing/",),
    "archive_entry.h": ("sealing/",),
    "argon2.h": ("keymgr/passphrase/",),
    "fmt/": ANYWHERE,
    "gmp.h": ("keymgr/tpm2/",),
    "gnutls/": ("base/",),
    "libmnl/": ("criu/",),
    "google/protobuf/": ANYWHERE,
    "intel-ipsec-mb.h": ("base/",),
    "libgfshare.h": ("keymgr/threshold/",),
    "nettle/": ("keymgr/tpm2/",),
    "openssl/": ("keymgr/public_key/",),
    "p11-kit/": ("keymgr/pkcs11/",),
    "nlohmann/": ("policies/", "cli/"),
    "seccomp.h": ("sealing/",),
    "tss2/": ("policies/", "keymgr/tpm2/"),
}

# Headers of the C library and the kernel. One that is in neither list fails: it is a new dependency, and belongs above.
SYSTEM_FOLDERS = ("arpa/", "asm/", "bits/", "linux/", "net/", "netinet/", "sys/")
SYSTEM = frozenset(
    f"{name}.h"
    for name in (
        "byteswap dirent dlfcn elf endian err errno fcntl fnmatch ftw getopt glob grp ifaddrs inttypes langinfo libgen limits "
        "link locale malloc mntent netdb poll pthread pwd sched semaphore signal spawn stdarg stddef stdint stdio stdlib "
        "string sysexits syslog termios time ucontext unistd utime wchar"
    ).split()
)

SPDX = "SPDX-License-Identifier: Apache-2.0"
# With the comment sign that starts the line.
SPDX_BY_ENDING = {".cc": "//", ".h": "//", ".proto": "//", ".py": "#", ".sh": "#", ".cmake": "#"}
NOT_OURS = ("build", ".git", "__pycache__")
TEXT_LIMIT = 4 << 20

_BLOCK_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_LINE_COMMENT = re.compile(r"//[^\n]*")
_DIRECTIVE = re.compile(r"^[ \t]*(?:#|%:)[ \t]*(?:include|include_next|import)\b[ \t]*([^\n]*)", re.MULTILINE)
_HAS_INCLUDE = re.compile(r"\b__has_include\s*\(\s*([<\"][^>\"]+[>\"])")
_TARGET = re.compile(r"^(?:\"([^\"]+)\"|<([^>]+)>)")
_PROTO_IMPORT = re.compile(r"^[ \t]*import[ \t]+(?:public[ \t]+|weak[ \t]+)?\"([^\"]+)\"", re.MULTILINE)
_PICTURE = re.compile(r"^```arrows\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PICTURE_LINE = re.compile(r"^([a-z0-9_./]+)(?:\s+->((?:\s+[a-z0-9_./]+)+))?$")


def read_text(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read(TEXT_LIMIT)


def files_below(root):
    """Paths of all files of the project, relative to `root`, in order; build folders and the repository's own are left out."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in NOT_OURS)
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                found.append(os.path.relpath(path, root))
    return sorted(found)


def is_source(path):
    """C++ and protobuf files that are delivered: those of tests may include whatever they test with."""
    return path.endswith((".cc", ".h", ".proto")) and "/" in path and not path.startswith("tests/")


def includes(root, path):
    """Pairs (line, what stands behind #include or import) of one source file."""
    text = read_text(os.path.join(root, path))
    text = _BLOCK_COMMENT.sub(lambda match: "\n" * match.group().count("\n"), text)
    pattern = _DIRECTIVE
    if path.endswith(".proto"):
        pattern = _PROTO_IMPORT
        text = _LINE_COMMENT.sub("", text)
    found = [(match.start(1), match.group(1)) for match in pattern.finditer(text)]
    found += [(match.start(1), match.group(1)) for match in _HAS_INCLUDE.finditer(text)]
    return [(text.count("\n", 0, at) + 1, what) for at, what in sorted(found)]


def header_of(path, what):
    """(header, quoted) of an #include, or None when it names no header that can be read here."""
    if path.endswith(".proto"):
        return what, True
    match = _TARGET.match(what)
    if not match:
        return None
    return match.group(1) or match.group(2), match.group(1) is not None


def top_folder(path):
    return path.split("/", 1)[0]


def place_of(path):
    """What stands for this file in the order of folders: the longest beginning of its path that ALLOWED has, else its top folder."""
    while "/" in path and path not in ALLOWED:
        path = path.rpartition("/")[0]
    return path


def arrows_of(root):
    """{folder: folders that it includes} of all folders with sources, and the sentences about what must not be."""
    arrows = {}
    problems = []
    for path in filter(is_source, files_below(root)):
        folder = place_of(path)
        if folder not in ALLOWED:
            if folder not in arrows:
                problems.append(f"{path}: the folder {folder}/ has sources and no place in the order of folders; give it one in tests/arrows/arrows.py.")
            arrows.setdefault(folder, set())
            continue
        targets = arrows.setdefault(folder, set())
        for line, what in includes(root, path):
            header = header_of(path, what)
            if header is None:
                problems.append(f"{path}:{line}: an #include must name its header, not a macro.")
                continue
            name, quoted = header
            target = place_of(name)
            if "/../" in f"/{name}" or "/./" in f"/{name}" or (quoted and "/" not in name):
                problems.append(f'{path}:{line}: write "{name}" with its folder, as seen from the top of the project.')
            elif target in ALLOWED:
                if target == folder:
                    continue
                targets.add(target)
                if target not in ALLOWED[folder]:
                    problems.append(f"{path}:{line}: {folder}/ must not include {name}, for {target}/ stands above it or beside it (docs/architecture.md).")
            elif quoted and not path.endswith(".proto"):
                problems.append(f'{path}:{line}: "{name}" is in no folder of the project; write <{name}> for a library\'s header.')
    return arrows, problems


def check_includes(root):
    arrows, problems = arrows_of(root)
    if not arrows:
        problems.append(f"{root}: there are no sources; is this the top of the project?")
    return problems


def may_be_included(folder):
    """By others than the folders in it."""
    return any(folder in targets for name, targets in ALLOWED.items() if top_folder(name) != folder)


def third_party_problem(path, name):
    for beginning, folders in THIRD_PARTY.items():
        if not name.startswith(beginning):
            continue
        if not path.startswith(folders):
            return f"<{name}> belongs in {' and '.join(folders)} alone; ask that folder for what is needed."
        if path.endswith(".h") and not path.endswith("_internal.h") and may_be_included(top_folder(path)):
            return f"<{name}> must stay in .cc files or in a header that ends with _internal.h."
        return None
    standard_library = "/" not in name and "." not in name
    if standard_library or name in SYSTEM or name.startswith(SYSTEM_FOLDERS) or top_folder(name) in ALLOWED:
        return None
    return f"<{name}> is of no known library; give it its folder in tests/arrows/arrows.py."


def check_third_party(root):
    problems = []
    for path in filter(is_source, files_below(root)):
        if path.endswith(".proto"):
            continue
        for line, what in includes(root, path):
            header = header_of(path, what)
            if header is None or (header[1] and top_folder(header[0]) in ALLOWED):
                continue
            problem = third_party_problem(path, header[0])
            if problem:
                problems.append(f"{path}:{line}: {problem}")
    return problems


def comment_sign(root, path):
    """The sign that starts a comment in this kind of file, or None if it is no source."""
    name = os.path.basename(path)
    if name == "CMakeLists.txt":
        return "#"
    ending = os.path.splitext(name)[1]
    if ending in SPDX_BY_ENDING:
        return SPDX_BY_ENDING[ending]
    if ending == "":
        with open(os.path.join(root, path), "rb") as file:
            return "#" if file.read(2) == b"#!" else None
    return None


def check_licence(root):
    problems = []
    for path in files_below(root):
        sign = comment_sign(root, path)
        if sign is None:
            continue
        lines = read_text(os.path.join(root, path)).split("\n", 3)[:3]
        # What must be first stays first: the interpreter, and what shellcheck reads of a file that is sourced.
        if lines[0].startswith(("#!", "# shellcheck ")):
            lines.pop(0)
        if not lines or lines[0] != f"{sign} {SPDX}":
            problems.append(f'{path}: it must begin with the line "{sign} {SPDX}".')
    return problems


def picture(arrows):
    """The block of docs/architecture.md for these arrows, without its fences."""
    order = [folder for folder in ALLOWED if folder in arrows]
    width = max(map(len, order), default=0)
    lines = []
    for folder in order:
        targets = [target for target in order if target in arrows[folder]]
        lines.append(f"{folder:{width}} -> {' '.join(targets)}" if targets else folder)
    return "".join(f"{line}\n" for line in lines)


def parse_picture(block):
    arrows = {}
    for line in block.splitlines():
        match = _PICTURE_LINE.match(line.strip())
        if not match or match.group(1) in arrows:
            raise ValueError(f'docs/architecture.md: the line "{line}" is not one folder and its arrows, or its folder stands there twice.')
        arrows[match.group(1)] = set((match.group(2) or "").split())
    return arrows


def check_picture(root):
    path = os.path.join(root, "docs", "architecture.md")
    if not os.path.isfile(path):
        return ["docs/architecture.md: there is no such file; it must show the arrows between the folders."]
    blocks = _PICTURE.findall(read_text(path))
    if len(blocks) != 1:
        return [f"docs/architecture.md: it must have one block that begins with ```arrows, and has {len(blocks)}."]
    try:
        drawn = parse_picture(blocks[0])
    except ValueError as error:
        return [str(error)]
    real, _ = arrows_of(root)
    problems = []
    for folder in sorted(set(drawn) | set(real)):
        if folder not in real:
            problems.append(f"docs/architecture.md: {folder} is drawn and has no sources; take it out of the block.")
            continue
        if folder not in drawn:
            problems.append(f"docs/architecture.md: {folder} has sources and is not drawn; add its line to the block.")
            continue
        for target in sorted(drawn[folder] - real[folder]):
            problems.append(f"docs/architecture.md: the arrow {folder} -> {target} is drawn and no source has it; take it out.")
        for target in sorted(real[folder] - drawn[folder]):
            problems.append(f"docs/architecture.md: the arrow {folder} -> {target} is in the sources and not drawn; add it.")
    return problems


CHECKS = {
    "includes": check_includes,
    "third-party": check_third_party,
    "licence": check_licence,
    "picture": check_picture,
}


def main():
    parser = argparse.ArgumentParser(description="Checks the order of the folders of the project. Exits 1 and says where when it is broken.")
    parser.add_argument("root", help="the top of the project")
    parser.add_argument("--check", choices=sorted(CHECKS), action="append", help="only this check (may be repeated)")
    parser.add_argument("--print-picture", action="store_true", help="print the block that docs/architecture.md should have")
    arguments = parser.parse_args()
    if arguments.print_picture:
        print(picture(arrows_of(arguments.root)[0]), end="")
        return 0
    problems = [problem for name in arguments.check or CHECKS for problem in CHECKS[name](arguments.root)]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

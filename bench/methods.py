# SPDX-License-Identifier: Apache-2.0
"""The ways to dump and restore that are compared: plain CRIU, ckpt-seal, and CRIU with a tool that encrypts its images after.

A method has `name`, `names` (of the processes whose memory counts: all of its own, neither CRIU nor the TPM), `tools` (to
say the version of), `about`, and two commands: of a dump, and of a restore.
"""

import pathlib
import shlex
import shutil
import subprocess

from measure import BenchError

HERE = pathlib.Path(__file__).resolve().parent


class Tools:
    """Where things are, and the environment that all methods run in."""

    def __init__(self, folder, ckpt_seal, criu):
        self.folder, self.ckpt_seal, self.criu = pathlib.Path(folder), str(ckpt_seal), str(criu)
        self.stats = self.folder / "stats-dump"
        self.keeping_stats = str(HERE / "criu-keeping-stats")
        self.environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.folder),
            "LC_ALL": "C",
            "GNUPGHOME": str(self.folder / "gnupg"),
            "BENCH_CRIU": self.criu,
            "BENCH_STATS": str(self.stats),
        }

    def run(self, *command, **options):
        done = subprocess.run([str(word) for word in command], env=self.environment, stdin=subprocess.DEVNULL, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        if done.returncode != 0:
            raise BenchError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip() or 'it did not say why'}.")
        return done.stdout


class Plain:
    name = "plain"
    names = frozenset()
    tools = ()
    about = "`criu dump` into a folder, and `criu restore` from it; nothing is encrypted"

    def __init__(self, tools):
        self.tool = tools
        self.out = tools.folder / "out"  # what a dump leaves
        self.images = self.out / "images"
        self.work = tools.folder / "work"

    def set_up(self):
        """What is made once, before anything is measured."""

    def tear_down(self):
        pass

    def clean(self):
        for folder in (self.out, self.work):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()

    def folders(self):
        return ["--images-dir", self.images, "--work-dir", self.work]

    def dump(self, pid):
        self.images.mkdir()
        return [self.tool.keeping_stats, "dump", "--tree", str(pid), *self.folders(), "--log-file", "dump.log"]

    def restore(self):
        return [self.tool.criu, "restore", "--restore-detached", *self.folders(), "--log-file", "restore.log"]

    def plaintext(self):
        """The folder that holds images in plaintext at the end of a restore; None if there never was one."""
        return self.images


class CkptSeal(Plain):
    name = "ckpt-seal"
    names = frozenset({"ckpt-seal", "ckpt-seal-hook"})
    tools = ("ckpt-seal",)
    about = "`ckpt-seal dump --to` another host, and `ckpt-seal restore` there; encrypted, with the digest tree, signed"
    options = ()

    def __init__(self, tools):
        super().__init__(tools)
        self.file = self.out / "x.cks"
        self.record = tools.folder / "b.record"

    def ckpt_seal(self, host, *arguments):
        return [self.tool.ckpt_seal, "--state", str(self.tool.folder / host), *map(str, arguments)]

    def set_up(self):
        if self.record.exists():
            return
        origin = self.tool.folder / "a.record"
        for host, record in (("a", origin), ("b", self.record)):
            self.tool.run(*self.ckpt_seal(host, "--tpm", "soft", "provision", "--name", f"host-{host}"))
            self.tool.run(*self.ckpt_seal(host, "host", "export", "-o", record))
        self.tool.run(*self.ckpt_seal("b", "host", "trust", origin, "--as", "origin"))

    def dump(self, pid):
        return self.ckpt_seal("a", "dump", "--tree", pid, "-o", self.file, "--to", self.record, *self.options,
                              "--criu", self.tool.keeping_stats)

    def restore(self):
        return self.ckpt_seal("b", "restore", "--detach", self.file, "--criu", self.tool.criu)

    def plaintext(self):
        return None


class Exclusive(CkptSeal):
    name = "ckpt-seal-exclusive"
    about = "the same with `--exclusive`, for one recipient for ever: no digest tree"
    options = ("--exclusive",)


class PostDump(Plain):
    """tar and a tool in CRIU's post-dump script, where such tools are put today: the tasks stay frozen until it is done.

    Only there a failure of the tool leaves the application running; after CRIU has ended it would be lost.
    """

    seal = unseal = ""  # from standard input to standard output

    def __init__(self, tools):
        super().__init__(tools)
        self.file = self.out / "images.tar.sealed"
        self.script = tools.folder / f"post-dump-{self.name}"

    def set_up(self):
        images, file = shlex.quote(str(self.images)), shlex.quote(str(self.file))
        self.script.write_text(
            "#!/bin/bash\n"
            "set -euo pipefail\n"
            '[[ "$CRTOOLS_SCRIPT_ACTION" == post-dump ]] || exit 0\n'
            f"tar -C {images} -c . | {self.seal} >{file}\n"
            f"rm -rf -- {images}\n", encoding="utf-8")
        self.script.chmod(0o755)

    def dump(self, pid):
        return [*super().dump(pid), "--action-script", self.script]

    def restore(self):
        images, file = shlex.quote(str(self.images)), shlex.quote(str(self.file))
        return ["bash", "-euo", "pipefail", "-c",
                f'mkdir {images}; {self.unseal} <{file} | tar -C {images} -x; exec "$@"', "restore", *super().restore()]


class Age(PostDump):
    name = "age"
    names = frozenset({"age", "tar"})
    tools = ("age", "tar")
    about = "CRIU, then `tar | age -r` in its post-dump script"

    def set_up(self):
        key = self.tool.folder / "age.key"
        self.tool.run("age-keygen", "-o", key)
        self.seal = f"age -r {self.tool.run('age-keygen', '-y', key).strip()}"
        self.unseal = f"age -d -i {shlex.quote(str(key))}"
        super().set_up()


class Gpg(PostDump):
    name = "gpg"
    names = frozenset({"gpg", "gpg-agent", "tar"})
    tools = ("gpg", "tar")
    about = "CRIU, then `tar | gpg --encrypt` for a public key, without compression, in its post-dump script"

    seal = "gpg --batch --quiet --trust-model always --compress-algo none --recipient bench@localhost --encrypt"
    unseal = "gpg --batch --quiet --decrypt"

    def set_up(self):
        pathlib.Path(self.tool.environment["GNUPGHOME"]).mkdir(mode=0o700)
        self.tool.run("gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "bench@localhost", "default",
                      "default", "never")
        super().set_up()

    def tear_down(self):
        """The agent that gpg starts, and its folder of sockets, which may be outside of ours."""
        for command in (["--kill", "all"], ["--remove-socketdir"]):
            subprocess.run(["gpgconf", *command], env=self.tool.environment, check=False, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)


class Openssl(PostDump):
    name = "openssl"
    names = frozenset({"openssl", "tar"})
    tools = ("openssl", "tar")
    about = "CRIU, then `tar | openssl enc -aes-256-ctr -pbkdf2` in its post-dump script; nothing authenticates the result"

    def set_up(self):
        key = self.tool.folder / "openssl.pass"
        key.write_text(self.tool.run("openssl", "rand", "-hex", "32"), encoding="ascii")
        enc = f"openssl enc -aes-256-ctr -pbkdf2 -pass {shlex.quote('file:' + str(key))}"
        self.seal, self.unseal = enc, enc + " -d"
        super().set_up()


ALL = (Plain, CkptSeal, Exclusive, Age, Gpg, Openssl)

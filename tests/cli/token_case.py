# SPDX-License-Identifier: Apache-2.0
"""What the tests of PKCS #11 tokens share: SoftHSM 2, a token per test, keys made by pkcs11-tool."""

import glob
import os
import pathlib
import re
import subprocess

import support

SOFTHSM = next(iter(glob.glob("/usr/lib/softhsm/libsofthsm2.so") + glob.glob("/usr/lib/*/softhsm/libsofthsm2.so")))
PIN = "29384756"
DEVICE_REMOVED, GENERAL_ERROR = 0x32, 0x05


class WithTokens:
    """Beside support.CliTest."""

    def setUp(self):
        super().setUp()
        (self.folder / "tokens").mkdir(mode=0o700)
        settings = self.write("softhsm2.conf", f"directories.tokendir = {self.folder}/tokens\nlog.level = ERROR\n".encode())
        self.environment = {"SOFTHSM2_CONF": str(settings)}
        self.make_token("archive")

    def tool(self, *command):
        return subprocess.run(list(map(str, command)), env=dict(os.environ, **self.environment), check=True, timeout=60,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()

    def make_token(self, label):
        """Returns the serial numbers of all."""
        self.tool("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", PIN)
        return re.findall(r"Serial number: *(\w+)", self.tool("softhsm2-util", "--show-slots"))

    def pkcs11_tool(self, *command, token="archive"):
        return self.tool("pkcs11-tool", "--module", SOFTHSM, "--token-label", token, "--login", "--pin", PIN, *command)

    def make_key(self, label="backup", kind="EC:prime256v1", number="01", usage="--usage-derive"):
        self.pkcs11_tool("--keypairgen", "--key-type", kind, usage, "--label", label, "--id", number)

    def uri(self, path="token=archive;object=backup", module=SOFTHSM, more=""):
        return f"pkcs11:{path}?module-path={module}{more}"

    def ckpt_seal(self, *arguments, host=None, **options):
        environment = dict(self.environment, **options.pop("more_environment", {}))
        return (host or self.a).run(*arguments, more_environment=environment, **options)


class WithFailures(WithTokens):
    """tests/pkcs11/failing_module.cc stands before SoftHSM."""

    def setUp(self):
        super().setUp()
        self.environment["CKPT_TEST_PKCS11_MODULE"] = SOFTHSM
        self.failing = pathlib.Path(support.PROGRAMS).resolve() / "failing_pkcs11_module.so"

    @staticmethod
    def failure(**how):
        """The environment for it."""
        return {f"CKPT_TEST_PKCS11_{name.upper()}": str(value) for name, value in how.items()}

    def calls_of(self, action):
        """The names of the calls of what action(environment) does, which succeeds."""
        log = self.folder / "calls"
        log.unlink(missing_ok=True)
        self.succeeds(action(self.failure(log=log)))
        return log.read_text().split()

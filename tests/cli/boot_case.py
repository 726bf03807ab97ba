# SPDX-License-Identifier: Apache-2.0
"""Boots of a real machine, replayed on a software TPM that runs on."""

import subprocess

import support

LOGS = support.TOP / "tests" / "policies" / "event_logs"


class BootCase(support.CliTest):
    HOSTS = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.socket = support.start_tpm(cls, "tpm")

    def boot(self, name):
        tools = support.TOP / "swtpm-ci"
        for command in (["reboot", self.socket.parent], ["replay", self.socket.parent, LOGS / f"{name}.eventlog"]):
            subprocess.run([tools / command[0], *map(str, command[1:])], check=True, stdout=subprocess.DEVNULL, timeout=120)

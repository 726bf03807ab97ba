# SPDX-License-Identifier: Apache-2.0
"""A device on the TPM bus: it stands between a program and a software TPM, records, and answers what it wants."""

import os
import select
import socket
import threading

HEADER = 10
LARGEST = 4096
SILENCE = None


def read_frame(connection):
    """A command or an answer; what came of it, if the other side ended before."""
    data, wanted = b"", HEADER
    while len(data) < wanted:
        piece = connection.recv(wanted - len(data))
        if not piece:
            break
        data += piece
        if len(data) == HEADER:
            wanted = min(max(int.from_bytes(data[2:6], "big"), HEADER), LARGEST)
    return data


def code_of(command):
    """Of the command: TPM 2.0 Library, Part 2, "TPM_CC"."""
    return int.from_bytes(command[6:10], "big")


class TpmInTheMiddle:
    """Listens at `path`. `behavior(number, command, ask)` gives the bytes to answer the command with that number, from 0;
    `ask` gets those of the TPM. SILENCE keeps the connection without an answer, for as long as the other side waits."""

    def __init__(self, path, tpm_path, behavior=lambda _number, _command, ask: ask()):
        self.path, self.tpm_path, self.behavior = str(path), str(tpm_path), behavior
        self.exchanges = []  # (command, answer), in their order
        self.failure = None

    def __enter__(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        self.stopped, self.stop = os.pipe()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        return self

    def __exit__(self, *_):
        os.close(self.stop)
        self.thread.join()
        os.close(self.stopped)
        self.listener.close()
        os.unlink(self.path)
        if self.failure:
            raise self.failure

    @property
    def options(self):
        return ("--tpm", f"swtpm:path={self.path}", "--tpm-timeout", "2")

    def serve(self):
        while self.listener in select.select([self.listener, self.stopped], [], [])[0]:
            connection, _ = self.listener.accept()
            with connection:
                try:
                    self.serve_one(connection)
                except OSError:
                    pass  # the other side has gone
                except Exception as failure:  # of the test's own behavior
                    self.failure = failure

    def serve_one(self, connection):
        command = read_frame(connection)
        if len(command) < HEADER:
            return
        answer = self.behavior(len(self.exchanges), command, lambda: self.ask(command))
        self.exchanges.append((command, answer))
        if answer is SILENCE:
            select.select([connection, self.stopped], [], [])
        else:
            connection.sendall(answer)

    def ask(self, command):
        with socket.socket(socket.AF_UNIX) as tpm:
            tpm.connect(self.tpm_path)
            tpm.sendall(command)
            return read_frame(tpm)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sockets that others are connected to, and a database server with data and a client: dumped, restored, and used on."""

import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import struct
import unittest

import support
from process_case import TellingCase, wait_until

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
# Nobody else sends to these sockets while they are not there, and the tools that lock a network may not be there.
ESTABLISHED = ("--", "--tcp-established", "--network-lock", "skip")

LISTENER = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
tell(port=listener.getsockname()[1])
while True:
    connection, _ = listener.accept()
    connection.sendall(b"heard " + connection.recv(100))
    connection.close()
"""
# Two tasks with a connection, and in both directions more than the other has read.
PAIR = """
import socket
sent = {"root": os.urandom(100000), "child": os.urandom(60000)}
more = b" and more"
listener = socket.create_server(("127.0.0.1", 0))
ours = socket.create_connection(listener.getsockname())
theirs, _ = listener.accept()
listener.close()
def play(role, other, connection):
    connection.sendall(sent[role])
    tell(role, heard=digest(sent[other] + more), ends=[connection.getsockname(), connection.getpeername()])
    asked()
    if role == "root":
        os.kill(child, signal.SIGUSR1)
    ends = [connection.getsockname(), connection.getpeername()]
    connection.sendall(more)
    connection.shutdown(socket.SHUT_WR)
    heard = b""
    while part := connection.recv(65536):
        heard += part
    tell(role, heard=digest(heard), ends=ends)
    stay()
child = os.fork()
if child == 0:
    ours.close()
    play("child", "root", theirs)
theirs.close()
play("root", "child", ours)
"""
# Serves a client that it is not dumped with.
SERVER = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
tell(port=listener.getsockname()[1])
connection, _ = listener.accept()
tell(first=connection.recv(5, socket.MSG_WAITALL).decode())
asked()
heard = b""
while part := connection.recv(65536):
    heard += part
connection.sendall(digest(heard).encode())
connection.close()
stay()
"""


class NetworkCase(TellingCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Its own network: no other program takes a port that is needed again. All that this test starts lives in it.
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "Cannot make a network namespace")
        with socket.socket() as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))

    def connect(self, port):
        client = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.addCleanup(client.close)
        return client


class Connections(NetworkCase):
    def test_a_listener_accepts(self):
        child, before = self.start_teller(LISTENER)
        self.there_and_back(child)
        for words in (b"one", b"another"):
            client = self.connect(before["port"])
            client.sendall(words)
            self.assertEqual(client.recv(100), b"heard " + words)

    def test_a_connection_between_two_tasks(self):
        child, before = self.start_teller(PAIR, roles=2)
        self.there_and_back(child, *ESTABLISHED, restore_options=ESTABLISHED[:2])
        self.assertEqual(self.ask(roles=2), before)

    def test_a_client_that_stays(self):
        child, told = self.start_teller(SERVER)
        client = self.connect(told["port"])
        queued = os.urandom(50000)
        client.sendall(b"hello")
        self.assertEqual(self.hear()["first"], "hello")
        client.sendall(queued)
        self.there_and_back(child, *ESTABLISHED, restore_options=ESTABLISHED[:2])
        os.kill(self.restored[-1], signal.SIGUSR1)
        client.sendall(b" and more")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(client.recv(64, socket.MSG_WAITALL).decode(), hashlib.sha256(queued + b" and more").hexdigest())


class Database(NetworkCase):
    """redis-server, which Debian's redis-tools has under the name of redis-check-rdb: its name decides what it does."""

    PORT = 6379
    KEYS = 2000

    @classmethod
    def setUpClass(cls):
        cls.server = shutil.which("redis-server") or shutil.which("redis-check-rdb")
        if not cls.server:
            raise unittest.SkipTest("there is no redis; scripts/install-deps.sh installs redis-tools")
        super().setUpClass()

    def start_redis(self):
        options = {"bind": "127.0.0.1", "port": self.PORT, "dir": self.folder, "save": "", "appendonly": "no", "daemonize": "no",
                   "set-proc-title": "no"}
        words = [str(word) for name, value in options.items() for word in ("--" + name, value)]
        child = self.launch("redis-server", *words, executable=self.server)
        def listens():
            self.assertIsNone(child.poll(), "redis-server ended")
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.PORT)) == 0
        wait_until(listens, "redis-server listens")
        return child

    def client(self):
        connection = self.connect(self.PORT)
        lines = connection.makefile("rb")
        self.addCleanup(lines.close)

        def say(*words):
            """One command, and its answer: a line, a string or a list."""
            connection.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
            return self.answer(lines)
        return say

    def answer(self, lines):
        line = lines.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"$" and rest != b"-1":
            return lines.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.answer(lines) for _ in range(int(rest))]
        return line

    def test_data_and_a_client_in_the_middle_of_a_transaction(self):
        child = self.start_redis()
        client = self.client()
        data = {b"key-%d" % number: os.urandom(500) for number in range(self.KEYS)}
        for key, value in data.items():
            self.assertEqual(client(b"SET", key, value), b"+OK")
        run_id = [line for line in client(b"INFO", b"server").splitlines() if line.startswith(b"run_id:")]
        self.assertEqual(client(b"MULTI"), b"+OK")
        self.assertEqual(client(b"INCRBY", b"number", b"42"), b"+QUEUED")
        self.there_and_back(child, *ESTABLISHED, restore_options=ESTABLISHED[:2])
        self.assertEqual(client(b"EXEC"), [b":42"])
        self.assertEqual(client(b"MGET", *data), list(data.values()))
        other = self.client()
        self.assertEqual(other(b"GET", b"number"), b"42")
        self.assertEqual(other(b"DBSIZE"), b":%d" % (self.KEYS + 1))
        self.assertIn(run_id[0], other(b"INFO", b"server").splitlines())


if __name__ == "__main__":
    support.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a process can hold, dumped, restored, and looked at from inside: each program tells what it has before and after."""

import support
from process_case import TellingCase

# Five tasks, and between them a pipe and sockets with data that nobody has read. Restored, each writer says one word more and
# closes, and each reader reads to the end.
TREE = """
import socket
more = b" and more"
sent = {name: os.urandom(size) for name, size in (("pipe", 50000), ("there", 70000), ("back", 30000), ("named", 40000))}
datagrams = [os.urandom(size) for size in (1, 700, 9000)]
pipe_r, pipe_w = os.pipe()
stream_root, stream_b = socket.socketpair()
dgram_a, dgram_b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
ready_r, ready_w = os.pipe()

def close(*ends):
    for end in ends:
        os.close(end) if isinstance(end, int) else end.close()
def read_all(read):
    content = b""
    while part := read(65536):
        content += part
    return digest(content)
def ids():  # the first one's parent is not of the tree
    return os.getpid(), os.getsid(0), os.getppid() if os.getppid() in parents else 0
def begin(role, **what):
    tell(role, ids=ids(), **what)
    os.close(ready_w)
    asked()
    for child in children:
        os.kill(child, signal.SIGUSR1)
def end(role, **what):
    tell(role, ids=ids(), **what)
    stay()
def child(work):
    parents.add(os.getpid())
    pid = os.fork()
    if pid == 0:
        children.clear()
        work()
    return pid

def a():
    close(pipe_w, stream_root, stream_b, dgram_b)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(folder + "/named")
    listener.listen()
    children.append(child(lambda: a1(listener)))
    listener.close()
    begin("a", pipe=digest(sent["pipe"] + more), datagrams=[digest(one) for one in datagrams])
    end("a", pipe=read_all(lambda size: os.read(pipe_r, size)), datagrams=[digest(dgram_a.recv(65536)) for _ in datagrams])
def a1(listener):
    close(pipe_r, dgram_a)
    connection, _ = listener.accept()
    begin("a1", named=digest(sent["named"] + more), again=digest(more))
    named = read_all(connection.recv)
    connection, _ = listener.accept()  # the listener listens still
    end("a1", named=named, again=read_all(connection.recv))
def b():
    close(pipe_r, pipe_w, stream_root, dgram_a)
    children.append(child(b1))
    stream_b.sendall(sent["back"])
    for one in datagrams:
        dgram_b.send(one)
    begin("b", there=digest(sent["there"] + more))
    stream_b.sendall(more)
    stream_b.shutdown(socket.SHUT_WR)
    end("b", there=read_all(stream_b.recv))
def b1():
    close(stream_b, dgram_b)
    connection = socket.socket(socket.AF_UNIX)
    while True:
        try:
            connection.connect(folder + "/named")
            break
        except OSError:
            pass  # it does not listen yet
    connection.sendall(sent["named"])
    begin("b1")
    connection.sendall(more)
    connection.close()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(folder + "/named")
    connection.sendall(more)
    connection.close()
    end("b1")

parents, children = set(), []
first = child(a)
children = [first, child(b)]
close(pipe_r, stream_b, dgram_a, dgram_b, ready_w)
os.write(pipe_w, sent["pipe"])
stream_root.sendall(sent["there"])
os.read(ready_r, 1)  # its end: all others are ready
ready_w = ready_r
begin("root", back=digest(sent["back"] + more))
os.write(pipe_w, more)
os.close(pipe_w)
stream_root.sendall(more)
stream_root.shutdown(socket.SHUT_WR)
end("root", back=read_all(stream_root.recv))
"""

# Eight threads, each with a word, a number and a signal mask of its own that no other knows.
THREADS = """
import threading, time
def state(words):
    return [threading.get_native_id(), open(f"/proc/thread-self/comm").read(), words, sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))]
def thread(number):
    words = os.urandom(16).hex()
    with open("/proc/thread-self/comm", "w") as name:
        name.write(f"thread-{number}")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN + number})
    states[number] = state(words)
    arrived.release()
    gates[number].acquire()
    states[number] = state(words)
    arrived.release()
    gates[number].acquire()
states, arrived = [None] * 8, threading.Semaphore(0)
gates = [threading.Semaphore(0) for _ in states]
threads = [threading.Thread(target=thread, args=(number,), daemon=True) for number in range(8)]
def all_arrived():
    for _ in states:
        arrived.acquire()
    tell(states=states, ids=[len(os.listdir("/proc/self/task"))] + [one.native_id for one in threads])
for one in threads:
    one.start()
all_arrived()
states = [None] * 8
asked()
for gate in gates:
    gate.release()
all_arrived()
stay()
"""
# Objects of an interpreter: a generator in the middle, dictionaries that hold themselves, random numbers to come, an open file.
INTERPRETER = """
import collections, itertools, random
def squares():
    for number in itertools.count():
        yield number * number
squared = squares()
first = [next(squared) for _ in range(1000)]
random.seed(os.urandom(16))
twin = random.Random()
twin.setstate(random.getstate())
table = {os.urandom(8).hex(): [number, str(number)] for number in range(20000)}
table["itself"] = table
counts = collections.Counter(map(len, map(str, first)))
with open(folder + "/lines", "w") as lines:
    lines.writelines(f"line {number}\\n" for number in range(1000))
lines = open(folder + "/lines")
for _ in range(500):
    lines.readline()
def told(squares, line, draws):
    fingerprint = digest(repr(sorted((key, value) for key, value in table.items() if key != "itself")).encode())
    tell(table=fingerprint, itself=table["itself"] is table, counts=counts, squares=squares, line=line, draws=draws)
told([number * number for number in range(1000, 1010)], "line 500\\n", [twin.random() for _ in range(10)])
asked()
told([next(squared) for _ in range(10)], lines.readline(), [random.random() for _ in range(10)])
stay()
"""


class Trees(TellingCase):
    def test_five_tasks_with_pipes_and_sockets_full_of_data(self):
        child, before = self.start_teller(TREE, roles=5)
        self.there_and_back(child)
        self.assertEqual(self.ask(roles=5), before)

    def test_eight_threads(self):
        child, before = self.start_teller(THREADS)
        self.assertEqual(len({words for _, _, words, _ in before["states"]}), 8)
        self.there_and_back(child)
        self.assertEqual(self.ask(), before)

    def test_an_interpreter_and_its_objects(self):
        child, before = self.start_teller(INTERPRETER)
        self.there_and_back(child)
        self.assertEqual(self.ask(), before)


# Memory that a parent shares with its child, and a memfd that is open, mapped and sealed. Restored, each changes what the other sees.
SHARED = """
import fcntl, mmap
shared = mmap.mmap(-1, 1 << 20)
shared[:] = os.urandom(1 << 20)
memfd = os.memfd_create("kept", os.MFD_ALLOW_SEALING)
os.write(memfd, os.urandom(300000))
os.lseek(memfd, 12345, os.SEEK_SET)
fcntl.fcntl(memfd, 1033, 2)  # F_ADD_SEALS, F_SEAL_SHRINK
mapped = mmap.mmap(memfd, 300000)
name = os.readlink(f"/proc/self/fd/{memfd}")
def what():
    return {"shared": digest(shared), "memfd": digest(mapped), "offset": os.lseek(memfd, 0, os.SEEK_CUR),
            "read": digest(os.pread(memfd, 300000, 0)), "seals": fcntl.fcntl(memfd, 1034), "name": os.readlink(f"/proc/self/fd/{memfd}")}
def change():
    shared[4096:4101] = mapped[4096:4101] = b"child"
ready_r, ready_w = os.pipe()
child = os.fork()
if child == 0:
    os.write(ready_w, b"1")
    asked()
    change()
    os.write(ready_w, b"2")
    tell("child", **what())
    stay()
os.read(ready_r, 1)
# What both will hold once the child has changed it.
kept = shared[4096:4101], mapped[4096:4101]
change()
tell("child", **what())
tell("root", **what())
shared[4096:4101], mapped[4096:4101] = kept
asked()
os.kill(child, signal.SIGUSR1)
os.read(ready_r, 1)
tell("root", **what())
stay()
"""
# A file that has lost its name, open twice, with an offset for each and a mapping; then it is written on.
GHOST = """
import mmap
path = folder + "/ghost"
first = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
content = os.urandom(200000)
os.write(first, content)
second = os.open(path, os.O_RDWR | os.O_APPEND)
os.lseek(second, 777, os.SEEK_SET)
mapped = mmap.mmap(second, 0)
os.unlink(path)
def what(content, seen):
    status = os.fstat(first)
    tell(content=digest(content), mapped=digest(seen), mode=status.st_mode, links=status.st_nlink, size=status.st_size,
         offsets=[os.lseek(fd, 0, os.SEEK_CUR) for fd in (first, second)], names=os.path.exists(path))
what(content[:100] + b"written on" + content[110:], content[:100] + b"written on" + content[110:])
asked()
os.pwrite(first, b"written on", 100)
what(os.pread(second, 1 << 20, 0), mapped[:])
stay()
"""


class Memories(TellingCase):
    def test_shared_memory_and_a_memfd(self):
        child, before = self.start_teller(SHARED, roles=2)
        self.there_and_back(child)
        self.assertEqual(self.ask(roles=2), before)

    def test_a_file_without_a_name(self):
        child, before = self.start_teller(GHOST)
        self.there_and_back(child)
        self.assertEqual(self.ask(), before)
        self.assertNotIn("ghost", [path.name for path in self.folder.iterdir()])


if __name__ == "__main__":
    support.main()

"""A fake agent on a socket of its own, and what it reads in an engine's memory."""

import ctypes
import fcntl
import mmap
import os
import socket
import struct
import tempfile
import time
import zlib

from eagle_eye import layout, link
from eagle_eye.bell import BELL_BYTES, BELL_MAGIC, SLEEPING_AT
from eagle_eye.layout import GreetingKind
from eagle_eye.memory import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK

WAIT_S = 120.0  # A long limit: the machine may be busy with everything else.


def until(condition, what):
    """Polls with a deadline."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {WAIT_S} s for {what}")
        time.sleep(0.005)


def greeting(kind, tail=b""):
    return layout.GREETING.pack(layout.GREETING_MAGIC, kind, layout.GREETING_LAYOUT) + tail


class BellMaker:
    """The agent's side of the bell."""

    def __init__(self, sealed=True, nonblocking=True, size=BELL_BYTES, magic=BELL_MAGIC):
        self.memory_fd = os.memfd_create("bell", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.memory_fd, size)
        os.pwrite(self.memory_fd, magic, 0)
        if sealed:
            fcntl.fcntl(self.memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
        flags = os.O_CLOEXEC | (os.O_NONBLOCK if nonblocking else 0)
        self.eventfd = ctypes.CDLL(None).eventfd(0, flags)

    def sleep(self, sleeping):
        os.pwrite(self.memory_fd, struct.pack("<I", sleeping), SLEEPING_AT)

    def rung(self):
        try:
            return int.from_bytes(os.read(self.eventfd, 8), "little")
        except BlockingIOError:
            return 0

    @property
    def fds(self):
        return [self.memory_fd, self.eventfd]

    def close(self):
        os.close(self.memory_fd)
        os.close(self.eventfd)


class Agent:
    """Listens, and answers a greeting only when told to."""

    def __init__(self, path=None):
        self.folder = None if path else tempfile.TemporaryDirectory()
        self.path = path or os.path.join(self.folder.name, "agent.sock")
        self.listen()

    def listen(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(self.path)
        self.socket.listen(8)
        self.socket.settimeout(WAIT_S)

    def accept(self):
        """A connection, its greeting, and the engine's memory, mapped and checked."""
        connection, _ = self.socket.accept()
        connection.settimeout(WAIT_S)
        message, fds = link.receive(connection)
        assert link.greeting_kind(message) == GreetingKind.ENGINE, message
        assert len(fds) == 1, fds
        return connection, Reader(fds[0])

    def welcome(self, bell):
        connection, reader = self.accept()
        socket.send_fds(connection, [greeting(GreetingKind.WELCOME_ENGINE)], bell.fds)
        return connection, reader

    def die(self):
        """Stops listening; what is connected is the test's to close."""
        self.socket.close()
        os.unlink(self.path)

    def close(self):
        if self.socket.fileno() >= 0:
            self.die()
        if self.folder:
            self.folder.cleanup()


class Reader:
    """Reads a door by the schema's offsets."""

    def __init__(self, fd):
        self.seals = fcntl.fcntl(fd, 1034)
        self.inode = os.fstat(fd).st_ino
        self.map = mmap.mmap(fd, os.fstat(fd).st_size, mmap.MAP_SHARED, mmap.PROT_READ)
        os.close(fd)
        (self.magic, self.layout, self.bytes, self.slots_at, self.slot_bytes, self.slot_count,
         self.details_at, self.instance, self.incarnation,
         self.details_bytes) = layout.DOOR_HEADER.unpack_from(self.map)

    def head(self):
        return struct.unpack_from("<Q", self.map, layout.DOOR_HEAD_AT)[0]

    def slot(self, sequence):
        """A step, or None if its slot holds another number or is torn."""
        at = self.slots_at + (sequence - 1) % self.slot_count * self.slot_bytes
        number, length, crc = layout.DOOR_SLOT_HEADER.unpack_from(self.map, at)
        core = self.map[at + 16 : at + 16 + layout.STEP_BYTES]
        if number != sequence or length != layout.STEP_BYTES or zlib.crc32(core) != crc:
            return None
        return layout.StepCore._make(layout.STEP.unpack(core))

    def newest(self):
        return self.slot(self.head())

    def heartbeat(self):
        beat = self.map[layout.DOOR_HEARTBEAT_AT : layout.DOOR_HEARTBEAT_AT + 32]
        assert zlib.crc32(beat[:28]) == struct.unpack("<I", beat[28:])[0]
        return layout.DOOR_HEARTBEAT.unpack(beat[:28])

    def info(self):
        version, length, crc = layout.DOOR_INFO.unpack_from(self.map, layout.DOOR_INFO_AT)
        info = self.map[layout.DOOR_INFO_BYTES_AT : layout.DOOR_INFO_BYTES_AT + length]
        assert version % 2 == 0 and zlib.crc32(info) == crc
        return info

    def details(self):
        """The bytes of the details, b"" where none were written."""
        version, length, crc = layout.DOOR_DETAILS.unpack_from(self.map, self.details_at)
        at = self.details_at + layout.DOOR_DETAILS_HEAD_BYTES
        details = self.map[at : at + length]
        assert version % 2 == 0 and zlib.crc32(details) == crc
        return details

"""The connection to the agent: its own thread, which the engine never waits for."""

from __future__ import annotations

import array
import logging
import os
import random
import socket
import threading
import time
from typing import List, Optional, Tuple

from . import layout
from .bell import Bell, BellError

LOG = logging.getLogger("eagle_eye")

CONNECT_WAIT_S = 1.0
WELCOME_WAIT_S = 5.0  # Then the connection is made anew.
PAUSE_S = 0.05  # First pause between attempts; doubles, with full jitter.
PAUSE_S_MAX = 1.0
REFUSED_PAUSE_S_MAX = 10.0
STEADY_S = 1.0  # A connection that held this long starts the pauses anew.
CHATTER_PAUSE_S = 0.05  # What an agent says after its welcome is passed over, slowly.
MESSAGE_BYTES_MAX = 1024
FDS_MAX = 4


def socket_paths() -> List[str]:
    """Where an agent may listen, in the order in which we try."""
    configured = os.environ.get("EAGLE_EYE_SOCKET")
    if configured:
        return [configured]
    paths = ["/run/eagle-eye/agent.sock"]
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    if not os.path.isabs(own):
        home = os.environ.get("HOME", "")
        own = os.path.join(home, ".local", "state") if os.path.isabs(home) else ""
    if own:
        own = os.path.join(own, "eagle-eye", "agent.sock")
        # A user's own agent is meant for his engines; root's is for everyone.
        paths.insert(0 if os.getuid() else 1, own)
    return paths


class Link:
    """Hands the door's descriptor to the agent, again and again, for ever."""

    def __init__(self, paths: List[str], door_fd: int) -> None:
        self.bell: Optional[Bell] = None
        """The agent's bell while we are welcome, read by the writer."""
        self.welcomes = 0
        """How often an agent welcomed us."""
        self.is_welcome = False
        """Whether an agent has our memory at the moment."""
        self._paths = paths
        self._door_fd = door_fd
        self._socket: Optional[socket.socket] = None
        self._stop = threading.Event()
        # Our own: an engine's seeded random numbers stay as they are.
        self._random = random.Random()
        self._last_said = ""
        self._thread = threading.Thread(target=self._run, name="eagle-eye-link", daemon=True)

    def start(self) -> None:
        """Begins to look for an agent."""
        self._thread.start()

    def stop(self, wait_s: float) -> bool:
        """Hangs up; whether the thread ended in time."""
        self._stop.set()
        self.bell = None
        connection = self._socket
        if connection is not None:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # Not connected, or hung up already.
        if self._thread.ident is not None:
            self._thread.join(wait_s)
        return not self._thread.is_alive()

    def forget(self) -> None:
        """In a forked child: closes its copy, or the parent's death would not
        hang up while the child lives. Takes no lock."""
        self.bell = None
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            began = time.monotonic()
            pause_s_max = PAUSE_S_MAX
            try:
                pause_s_max = self._visit()
            except OSError as error:
                self._say(logging.DEBUG, f"no agent answers: {error}")
            except Exception as error:  # A thread that ends would never connect again.
                self._say(logging.WARNING, f"the agent's connection failed: {error!r}")
            finally:
                self.bell = None
                self.is_welcome = False
                self._hang_up()
            failures = 0 if time.monotonic() - began >= STEADY_S else min(failures + 1, 10)
            self._stop.wait(self._random.uniform(0.0, min(pause_s_max, PAUSE_S * 2**failures)))

    def _visit(self) -> float:
        """One connection from greeting to hang-up; the longest pause after it."""
        connection = self._connect()
        if self._stop.is_set():
            return PAUSE_S_MAX
        greeting = layout.GREETING.pack(
            layout.GREETING_MAGIC, layout.GreetingKind.ENGINE, layout.GREETING_LAYOUT
        )
        socket.send_fds(connection, [greeting], [self._door_fd])
        connection.settimeout(WELCOME_WAIT_S)
        message, fds = receive(connection)
        try:
            if not message:
                raise ConnectionResetError("the agent hung up before its welcome")
            kind = greeting_kind(message)
            if kind == layout.GreetingKind.REFUSED:
                reason = message[layout.GREETING.size :].decode("utf-8", "replace")
                self._say(logging.WARNING, f"the agent refused this engine: {reason}")
                return REFUSED_PAUSE_S_MAX
            if kind != layout.GreetingKind.WELCOME_ENGINE:
                self._say(logging.WARNING, "what answers on the agent's socket is no agent")
                return REFUSED_PAUSE_S_MAX
            try:
                self.bell = Bell.open(fds)
            except BellError as error:
                # The agent then finds our steps by its slow poll.
                self._say(logging.WARNING, f"the agent cannot be woken: {error}")
        finally:
            for fd in fds:
                os.close(fd)
        self.welcomes += 1
        self.is_welcome = True
        self._say(logging.DEBUG, "the agent reads this engine's steps")
        self._wait_for_hang_up(connection)
        return PAUSE_S_MAX

    def _connect(self) -> socket.socket:
        refused: OSError = FileNotFoundError("no path to an agent's socket is configured")
        for path in self._paths:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._socket = connection
            try:
                connection.settimeout(CONNECT_WAIT_S)
                connection.connect(path)
                return connection
            except OSError as error:
                refused = error
                self._hang_up()
        raise refused

    def _wait_for_hang_up(self, connection: socket.socket) -> None:
        connection.settimeout(None)
        while not self._stop.is_set() and connection.recv(MESSAGE_BYTES_MAX):
            self._stop.wait(CHATTER_PAUSE_S)

    def _hang_up(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def _say(self, level: int, sentence: str) -> None:
        """Once per change: an agent that is away for a day fills no log."""
        if sentence != self._last_said:
            self._last_said = sentence
            LOG.log(level, "eagle-eye: %s", sentence)


def receive(connection: socket.socket) -> Tuple[bytes, List[int]]:
    """One message and its descriptors, closed in children that we execute."""
    # socket.recv_fds leaves received descriptors open across exec.
    fds = array.array("i")
    message, ancillary, _, _ = connection.recvmsg(
        MESSAGE_BYTES_MAX, socket.CMSG_SPACE(FDS_MAX * fds.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return message, list(fds)


def greeting_kind(message: bytes) -> int:
    """What a message's first bytes say, 0 if they are no greeting."""
    if len(message) < layout.GREETING.size:
        return 0
    magic, kind, version = layout.GREETING.unpack_from(message)
    if magic != layout.GREETING_MAGIC or version != layout.GREETING_LAYOUT:
        return 0
    return int(kind)

"""A view of this host by its agent: shared memory for numbers, the socket for
names, events and verdicts.

Reading a number is reading memory; no task of ours need run in between. The
task keeps the connection and the names, and tells changes to who asks for them.
"""

from __future__ import annotations

import array
import asyncio
import logging
import os
import select
import socket
import time
from typing import Dict, List, Optional, Sequence, Tuple

from .. import layout
from ..layout import GreetingKind
from ..link import greeting_kind, socket_paths
from .changes import APPEARED, FORGOTTEN, FRESHNESS, RESTARTED, UPDATED
from .core import Refused
from .record import Record
from .state import Freshness, freshness_of
from .table import ReadingTable, StepTable, TableError
from .view import View

LOG = logging.getLogger("eagle_eye")

WELCOME_S = 2.0  # How long an agent may take to answer a greeting.
PAUSE_S, PAUSE_S_MAX = 0.05, 2.0  # Between two tries; doubles.
LOOK_S = 0.01  # How often somebody who wants to hear of changes does.
IDLE_S = 0.25  # How often the task wakes otherwise.
ROUND_MESSAGES = 64  # Messages taken before others get their turn.
FDS_MAX = 4


class LocalError(OSError):
    """The local agent's memory is not here, and why."""


class LocalLink:
    """One connection to the agent, without waiting; `meet` and `poll` are all
    that a reader without an event loop needs."""

    def __init__(self, view: View, paths: Optional[Sequence[str]] = None) -> None:
        self._view = view
        self._paths = list(paths or socket_paths())
        self._socket: Optional[socket.socket] = None
        self._watch = Watch(view)

    def meet(self, wait_s: float = WELCOME_S) -> None:
        """Connects and maps the agent's memory. Raises LocalError."""
        self.greet()
        deadline = time.monotonic() + wait_s
        while not self.welcome():
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([self], [], [], left_s)[0]:
                self.close()
                raise LocalError("the local agent did not answer in time")

    def greet(self) -> None:
        """Connects and greets. Raises LocalError."""
        self.close()
        connection = self._connect()
        greeting = layout.GREETING.pack(
            layout.GREETING_MAGIC, GreetingKind.VIEW, layout.GREETING_LAYOUT
        )
        try:
            connection.send(greeting)
        except OSError as error:
            connection.close()
            raise LocalError(f"greeting the local agent failed: {error}") from error
        self._socket = connection

    def welcome(self) -> bool:
        """Takes the agent's answer; False where it is not there yet. Raises
        LocalError."""
        received = self._receive()
        if received is None:
            return False
        message, fds = received
        try:
            self._map(message, fds)
        except (LocalError, TableError, OSError) as error:
            self.close()
            raise LocalError(str(error)) from error
        finally:
            for fd in fds:
                os.close(fd)
        core = self._view.core
        core.connected(time.monotonic_ns())
        core.is_complete = True  # What is read from shared memory is always whole.
        return True

    def poll(self) -> bool:
        """Takes names, events and verdicts that came, and tells changes. False
        once the agent hung up: what was mapped stays, and ages."""
        core = self._view.core
        for _ in range(ROUND_MESSAGES):
            try:
                received = self._receive()
            except LocalError:
                self.close()
                return False
            if received is None:
                break
            for fd in received[1]:
                os.close(fd)
            try:
                core.feed_news(received[0])
            except Refused:
                pass  # It is counted.
        self.look()
        return True

    def look(self) -> None:
        """Tells changes to who asked for them, and forgets names without ranks
        once there are many."""
        self._watch.look(time.monotonic_ns())
        core, table = self._view.core, self._view.table
        if table is not None and 2 * len(core.news.engines) > core.settings.ranks_max:
            known = {cell.step.instance for cell in table.read() if isinstance(cell, Record)}
            core.news.forget_engines(known.__contains__)

    def fileno(self) -> int:
        """The connection's descriptor, to wait on; -1 without one."""
        return -1 if self._socket is None else self._socket.fileno()

    def close(self) -> None:
        """Hangs up."""
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()
        self._view.core.disconnected()

    def _connect(self) -> socket.socket:
        first: Optional[OSError] = None
        for path in self._paths:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            connection.setblocking(False)
            try:
                connection.connect(path)
                return connection
            except OSError as error:
                connection.close()
                first = first or LocalError(f"connecting to the local agent at {path} failed: {error}")
        raise first or LocalError("no path to an agent's socket is configured")

    def _receive(self) -> Optional[Tuple[bytes, List[int]]]:
        """One message and its descriptors; None where there is none now."""
        if self._socket is None:
            raise LocalError("not connected")
        fds = array.array("i")
        try:
            message, ancillary, flags, _ = self._socket.recvmsg(
                layout.BATCH_BYTES_MAX, socket.CMSG_SPACE(FDS_MAX * fds.itemsize),
                socket.MSG_CMSG_CLOEXEC,
            )
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            raise LocalError(f"the connection to the local agent failed: {error}") from error
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        if not message:
            for fd in fds:
                os.close(fd)
            raise LocalError("the local agent hung up")
        if flags & socket.MSG_TRUNC:
            message = b""  # Larger than any batch; refused as such.
            self._view.core.counts.batches_oversized += 1
        return message, list(fds)

    def _map(self, message: bytes, fds: List[int]) -> None:
        kind = greeting_kind(message)
        if kind == GreetingKind.REFUSED:
            why = message[layout.GREETING.size :].decode("utf-8", "replace")[:300]
            raise LocalError(f"the local agent refused: {why}")
        if kind != GreetingKind.WELCOME_VIEW or len(fds) < 2:
            raise LocalError("the local agent's answer is not one that this version reads")
        steps, readings = StepTable(fds[0]), ReadingTable(fds[1])
        self._view.table, self._view.reading_table = steps, readings


async def keep(link: LocalLink) -> None:
    """Keeps a view connected to the local agent until cancelled."""
    pause_s, told = PAUSE_S, False
    try:
        while True:
            try:
                link.greet()
                if not await _readable(link, WELCOME_S) or not link.welcome():
                    raise LocalError("the local agent did not answer in time")
                pause_s, told = PAUSE_S, False
                while link.poll():
                    await _readable(link, link_wait_s(link))
            except LocalError as error:
                # One line a change of state: the next try that fails says
                # nothing that the first did not.
                if not told:
                    LOG.warning("eagle-eye: %s; trying again until it is there", error)
                told = True
            link.close()
            await _rest(link, pause_s)
            pause_s = min(2 * pause_s, PAUSE_S_MAX)
    finally:
        link.close()


def link_wait_s(link: LocalLink) -> float:
    """How long nobody misses us."""
    return LOOK_S if link._view.core.changes.is_wanted else IDLE_S


async def _rest(link: LocalLink, pause_s: float) -> None:
    """Waits, but goes on telling who becomes stale."""
    until = time.monotonic() + pause_s
    while time.monotonic() < until:
        await asyncio.sleep(min(link_wait_s(link), max(until - time.monotonic(), 0)))
        link.look()


async def _readable(link: LocalLink, limit_s: float) -> bool:
    """Whether something came within the limit."""
    loop = asyncio.get_running_loop()
    arrived, fd = loop.create_future(), link.fileno()

    def wake(came: bool) -> None:
        if not arrived.done():
            arrived.set_result(came)

    loop.add_reader(fd, wake, True)
    timer = loop.call_later(limit_s, wake, False)
    try:
        # Not `wait_for`: before Python 3.12 it may swallow a cancellation.
        return bool(await arrived)
    finally:
        timer.cancel()
        loop.remove_reader(fd)


class Watch:
    """Tells what changed in memory that others write."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._cells: Dict[int, Tuple[Record, Freshness]] = {}

    def look(self, now_ns: int) -> None:
        """Compares every cell with what it was."""
        core, table = self._view.core, self._view.table
        if table is None or not core.changes.is_wanted:
            self._cells.clear()
            return
        for index, cell in enumerate(table.read()):
            before = self._cells.get(index)
            if cell is None and before is not None:
                step = before[0].step
                core.changes.tell(step.instance, step.rank, FORGOTTEN)
                del self._cells[index]
            if isinstance(cell, Record):
                silence_ns = max(now_ns - cell.alive_ns, 0)
                fresh = freshness_of(
                    cell.step.flags, cell.promised_ns, silence_ns, core.settings.patience
                )
                what = _what(before, cell, fresh)
                self._cells[index] = (cell, fresh)
                if what:
                    core.changes.tell(cell.step.instance, cell.step.rank, what)


def _what(before: Optional[Tuple[Record, Freshness]], cell: Record, fresh: Freshness) -> int:
    if before is None:
        return APPEARED
    record, freshness = before
    what = 0 if fresh == freshness else FRESHNESS
    if record is cell:
        return what
    was, now = record.step, cell.step
    if (was.instance, was.rank) != (now.instance, now.rank):
        return what | APPEARED
    return what | (UPDATED if was.incarnation == now.incarnation else RESTARTED)

"""The thread that publishes: it looks at the door's memory every 2 ms while
steps flow, every 20 ms while none do, and every 50 ms while it is silent.

The engine's thread is not asked to wake it, since that would cost a lock.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from typing import Any, Callable, List, NamedTuple, Optional

from ..link import LOG
from ..step import Engine
from . import compat
from .records import Records, rank_of
from .road import NamesLoop, Road
from .settings import Settings
from .state import Held, Sender

FLOW_S, IDLE_S, SILENT_S = 0.002, 0.02, 0.05
FLOWS_FOR_NS = 250_000_000  # After a step; then the engine is idle.
PENDING_BYTES_MAX = 128 << 10  # Unsent; beyond, only each rank's newest waits.
REQUESTS_MAX = 64  # That wait for an answer; who asked will ask again.
ANSWER_HOLD_NS_MAX = 100_000_000  # So that a thousand answers are no burst.
DETAILS_NS = 1_000_000_000
FLUSH_S = 0.15  # For a goodbye.
AGAIN_S = 5.0  # After what should not happen.


class Source(NamedTuple):
    """What of a door is published, and whether somebody else does it."""

    records: Records
    engine: Callable[[], Engine]
    details: Callable[[], bytes]
    agent_speaks: Callable[[], bool]


class Request(NamedTuple):
    """Somebody wants the whole state."""

    due_ns: int
    received_ns: int
    reply: str


class Speaker:
    """Publishes one door until stopped. Its counts may be read at any time."""

    def __init__(self, settings: Settings, sender: Sender, source: Source) -> None:
        self.messages = 0
        """Messages handed to NATS, answers and JSON apart."""
        self.objects = 0
        """JSON objects handed to NATS."""
        self.answers = 0
        """Requests for the whole state that were answered."""
        self.requests_dropped = 0
        """Requests that found no room."""
        self.failures = 0
        """Turns that failed for a reason that nobody foresaw."""
        self.held = Held()
        self.records = source.records
        self.shelf = compat.Shelf(settings.compat_hz)
        self.road: Optional[Road] = None
        """The connection; None where there is no `nats-py`."""
        self._settings, self._sender, self._source = settings, sender, source
        self._chance = random.Random()
        self._requests: List[Request] = []
        self._speaking_to: Any = None
        self._heard_by: Any = None
        self._told_engine: Optional[Engine] = None
        self._told_details = b""
        self._details_ns = 0
        self._who = ""
        self._flowed_ns = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="eagle-eye-nats", daemon=True)

    @property
    def is_speaking(self) -> bool:
        """Whether this engine is told of from here at the moment."""
        return self._speaking_to is not None

    def start(self) -> None:
        """Begins to look for a server."""
        self._thread.start()

    def stop(self, wait_s: float) -> None:
        """Says what the door says last, and leaves."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(wait_s)

    def forget(self) -> None:
        """In a forked child: closes its copy, or the parent's death would not
        hang up while the child lives. Takes no lock."""
        connection = self.road.socket() if self.road is not None else None
        if connection is not None:
            connection.close()

    def _run(self) -> None:
        try:
            from nats.aio.client import Client
        except Exception as error:  # Importing can fail in many ways.
            LOG.warning("eagle-eye: EAGLE_EYE_NATS is set, and without nats-py this engine says nothing "
                        "there: pip install 'eagle-eye[nats]' (%s)", error)
            return
        while not self._stop.is_set():
            try:
                loop = NamesLoop()
                try:
                    asyncio.set_event_loop(loop)
                    loop.run_until_complete(self._speak(Client))
                finally:
                    end(loop)
            except Exception as error:
                LOG.warning("eagle-eye: speaking to NATS failed and begins anew: %r", error)
                self._stop.wait(AGAIN_S)

    async def _speak(self, make_client: Callable[[], Any]) -> None:
        self.road = Road(
            make_client, f"eagle-eye engine {self._sender.node}", self._settings.urls,
            self._settings.credentials, f"{self._settings.prefix}.snapshot", self._asked,
        )
        self._speaking_to = None
        connecting = asyncio.ensure_future(self.road.keep())
        try:
            while not self._stop.is_set():
                if connecting.done():
                    connecting.result()  # It never ends by itself: what happened is said.
                await self._attempt(False)
                await asyncio.sleep(self._pause_s())
            await self._attempt(True)
            await self._flush()
        finally:
            connecting.cancel()
            await asyncio.wait([connecting], timeout=FLUSH_S)

    async def _flush(self) -> None:
        try:
            if self._speaking_to is not None:
                await self._speaking_to.flush(FLUSH_S)
        except Exception as error:
            LOG.debug("eagle-eye: NATS took no goodbye: %r", error)

    async def _attempt(self, is_last: bool) -> None:
        try:
            await self._turn(time.monotonic_ns(), is_last)
        except Exception as error:
            # The connection may have gone just now; what is new is said again.
            self._speaking_to = None
            road = self.road
            if road is not None and road.client is not None and road.client.is_connected:
                self.failures += 1
                road.say(f"speaking to NATS failed: {error!r}")

    async def _turn(self, now_ns: int, is_last: bool) -> None:
        records = self.records.look()
        if records:
            self._flowed_ns = now_ns
        client = self._listener()
        if client is None:
            self._speaking_to = None
            self.held.keep([rank_of(record) for record in records], records)
        elif client is not self._speaking_to:
            self._speaking_to = self._heard_by = client
            await self._begin(client)
        elif client.pending_data_size > PENDING_BYTES_MAX:
            self.held.keep([rank_of(record) for record in records], records)
        else:
            await self._tell(client, records, now_ns)
            await self._tell_objects(client, now_ns, is_last)
        await self._answer(now_ns)

    def _listener(self) -> Any:
        """The client to speak to, None while this engine is to be silent."""
        client = self.road.client if self.road is not None else None
        if client is None or not client.is_connected:
            return None
        return client if self._settings.always or not self._source.agent_speaks() else None

    async def _begin(self, client: Any) -> None:
        """Whatever was missed: the newest of everything comes first."""
        self._sender.generation += 1
        self.held.drop()
        newest = list(self.records.newest.values())
        self.shelf.restart(newest if self._settings.compat_subject else [])
        self._told_engine, self._told_details = self._source.engine(), self._source.details()
        self._who = compat.names(self._told_engine, self._sender.node)
        for message in self._sender.everything(self._told_engine, self._told_details, newest):
            await self._publish(client, message)

    async def _tell(self, client: Any, records: List[bytes], now_ns: int) -> None:
        engine, details = self._source.engine(), self._source.details()
        if engine is not self._told_engine:
            self._told_engine, self._who = engine, compat.names(engine, self._sender.node)
            for message in self._sender.names(engine):
                await self._publish(client, message)
        held = self.held.take()
        if held:
            # Older than any record of now, and the newest of its rank then.
            self.held.keep([rank_of(record) for record in held + records], held + records)
            records = self.held.take()
        for message in self._sender.hot(records):
            await self._publish(client, message)
        if self._settings.compat_subject:
            self.shelf.put(records)
        if details is not self._told_details and now_ns - self._details_ns >= DETAILS_NS:
            self._told_details, self._details_ns = details, now_ns
            for message in self._sender.details(details):
                await self._publish(client, message)

    async def _tell_objects(self, client: Any, now_ns: int, everything: bool) -> None:
        if not self._settings.compat_subject:
            return
        for record in self.shelf.due(now_ns, everything):
            await client.publish(self._settings.compat_subject, compat.write(record, self._who))
            self.objects += 1

    async def _publish(self, client: Any, message: bytes) -> None:
        await client.publish(self._sender.subject, message)
        self.messages += 1

    async def _asked(self, message: Any) -> None:
        if not message.reply or len(self._requests) >= REQUESTS_MAX:
            self.requests_dropped += 1
            return
        now_ns = time.monotonic_ns()
        due_ns = now_ns + self._chance.randint(0, ANSWER_HOLD_NS_MAX)
        self._requests.append(Request(due_ns, now_ns, message.reply))

    async def _answer(self, now_ns: int) -> None:
        due = [request for request in self._requests if request.due_ns <= now_ns]
        if not due:
            return
        self._requests = [request for request in self._requests if request.due_ns > now_ns]
        client = self.road.client if self.road is not None else None
        if client is None or client is not self._heard_by or not client.is_connected:
            return  # Nobody heard of this engine from here, or nobody hears.
        for request in due:
            held_ns = time.monotonic_ns() - request.received_ns
            for message in self._state(held_ns):
                await client.publish(request.reply, message)
            self.answers += 1

    def _state(self, held_ns: int) -> List[bytes]:
        if self._speaking_to is None:
            return self._sender.nothing(held_ns)
        newest = list(self.records.newest.values())
        return self._sender.everything(self._source.engine(), self._source.details(), newest, held_ns)

    def _pause_s(self) -> float:
        if self._speaking_to is None:
            return IDLE_S if self._requests else SILENT_S
        return FLOW_S if time.monotonic_ns() - self._flowed_ns < FLOWS_FOR_NS else IDLE_S


def end(loop: asyncio.AbstractEventLoop) -> None:
    """Closes a loop and what `nats-py` left in it."""
    try:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=FLUSH_S))
    finally:
        loop.close()

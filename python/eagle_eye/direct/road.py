"""The connection to NATS: made anew after every end, never with a backlog.

A connection that ended takes what it had not sent with it; the next begins
with the newest of everything. So `nats-py` may not reconnect by itself.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import threading
import time
from typing import Any, Awaitable, Callable, Dict, Optional, Sequence, Set
from urllib.parse import urlsplit

from ..link import LOG

CONNECT_S = 2
GREET_S = 5.0  # All of connecting, with TLS and authentication.
PING_S = 1
PINGS_MAX = 3  # So a server that is silent for 3 to 4 s is left.
PAUSE_S, PAUSE_S_MAX = 0.1, 5.0  # Between attempts: doubles, with full jitter.
STEADY_S = 2.0  # A connection that held this long starts the pauses anew.
SENTENCES_MAX = 8  # Said of one connection; a server may complain of every message.
LOOK_S = 0.05
CLOSE_S = 0.2
SOCKET_BYTES = 65536  # What the kernel keeps is old when it arrives.
PENDING = {"pending_msgs_limit": 256, "pending_bytes_limit": 1 << 20}


class NamesLoop(asyncio.SelectorEventLoop):
    """Looks hosts up on daemon threads: those of the usual executor would hold
    up the end of the process as long as a name server is silent."""

    def __init__(self) -> None:
        super().__init__()
        self._lookups: Dict[Any, "asyncio.Future[Any]"] = {}

    async def getaddrinfo(self, host: Any, port: Any, **how: Any) -> Any:
        key = (host, port, *sorted(how.items()))
        found = self._lookups.get(key)
        if found is None:
            found = self._lookups[key] = self.create_future()
            # An answer that nobody waits for any more is no news.
            found.add_done_callback(lambda done: done.cancelled() or done.exception())
            threading.Thread(
                target=self._look_up, args=(key, host, port, how), name="eagle-eye-names", daemon=True
            ).start()
        return await asyncio.shield(found)

    def _look_up(self, key: Any, host: Any, port: Any, how: Dict[str, Any]) -> None:
        answer, failure = None, None
        try:
            answer = socket.getaddrinfo(host, port, **how)
        except Exception as error:
            failure = error
        try:
            self.call_soon_threadsafe(self._answer, key, answer, failure)
        except RuntimeError:
            pass  # The loop is closed.

    def _answer(self, key: Any, answer: Any, failure: Optional[Exception]) -> None:
        found = self._lookups.pop(key)
        if found.done():
            return
        if failure is not None:
            found.set_exception(failure)
        else:
            found.set_result(answer)


class Road:
    """One connection after another, to each of the servers in turn."""

    def __init__(
        self, make_client: Callable[[], Any], name: str, urls: Sequence[str], credentials: Optional[str],
        request_subject: str, requested: Callable[[Any], Awaitable[None]],
    ) -> None:
        self.client: Any = None
        """The client that is connected, None while there is none."""
        self.connects = 0
        """Connections that stood."""
        self._make_client = make_client
        self._name, self._credentials = name, credentials
        # Our own: an engine's seeded random numbers stay as they are.
        self._random = random.Random()
        self._urls = self._random.sample(list(urls), len(urls))
        self._request_subject, self._requested = request_subject, requested
        self._is_connecting = False
        self._said: Set[str] = set()

    async def keep(self) -> None:
        """Connects, again and again, until cancelled."""
        failures = attempts = 0
        while True:
            began = time.monotonic()
            url = self._urls[attempts % len(self._urls)]
            attempts += 1
            try:
                await self._visit(url)
                self.say(f"the connection to NATS at {place_of(url)} ended")
            except Exception as error:
                self.say(f"NATS at {place_of(url)} cannot be reached: {error or type(error).__name__}")
            failures = 0 if time.monotonic() - began >= STEADY_S else min(failures + 1, 10)
            await asyncio.sleep(self._random.uniform(0.0, min(PAUSE_S_MAX, PAUSE_S * 2**failures)))

    def socket(self) -> Optional[socket.socket]:
        """The connection's socket, where it can be had."""
        try:
            return self.client._transport._io_writer.get_extra_info("socket")._sock  # type: ignore[no-any-return]
        except AttributeError:
            return None

    async def _visit(self, url: str) -> None:
        """One connection from its beginning to its end."""
        client, self._is_connecting = self._make_client(), True
        options: Dict[str, Any] = {"user_credentials": self._credentials} if self._credentials else {}
        try:
            await asyncio.wait_for(client.connect(
                servers=[url], name=self._name, allow_reconnect=False, connect_timeout=CONNECT_S,
                ping_interval=PING_S, max_outstanding_pings=PINGS_MAX, error_cb=self._failed, **options,
            ), GREET_S)
            await client.subscribe(self._request_subject, cb=self._requested, **PENDING)
            self.client, self._is_connecting = client, False
            self.connects += 1
            self._said.clear()
            self._bound_socket()
            while client.is_connected:
                await asyncio.sleep(LOOK_S)
        finally:
            self.client = None
            await _close(client)

    def _bound_socket(self) -> None:
        connection = self.socket()
        if connection is not None:
            try:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
            except OSError as error:
                LOG.debug("eagle-eye: the socket's buffer stays large: %s", error)

    async def _failed(self, error: Exception) -> None:
        """What `nats-py` complains of. It would try a server that it did not
        reach again by itself, every 2 s; raising here makes that ours to do."""
        if self._is_connecting:
            raise error
        if "permissions violation" in str(error).lower():
            self.say(f"the NATS server forbids: {error}")
        else:
            LOG.log(logging.DEBUG, "eagle-eye: NATS: %s", error or type(error).__name__)

    def say(self, sentence: str) -> None:
        """Once each: a server that is away for a day fills no log."""
        if sentence not in self._said and len(self._said) < SENTENCES_MAX:
            self._said.add(sentence)
            LOG.warning("eagle-eye: %s", sentence)


def place_of(url: str) -> str:
    """Host and port of a URL, without what is secret in it."""
    try:
        return urlsplit(url if "//" in url else f"//{url}").netloc.rpartition("@")[2]
    except ValueError:
        return "a URL that is none"


async def _close(client: Any) -> None:
    try:
        await asyncio.wait_for(client.close(), CLOSE_S)
    except Exception as error:
        LOG.debug("eagle-eye: closing the connection to NATS failed: %s", error or type(error).__name__)

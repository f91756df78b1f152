"""Finding whom to listen to."""

from __future__ import annotations

import asyncio
import os
from types import TracebackType
from typing import Any, Dict, List, NamedTuple, Optional, Type

from .core import ViewCore, ViewSettings
from .local import LocalLink, keep
from .over_nats import PREFIX_DEFAULT, NatsFeed
from .view import View

LOOK_S = 0.01
LEAVE_S = 1.0


class Options(NamedTuple):
    """Whom to listen to. Without NATS servers: the local agent."""

    nats: List[str] = []
    """NATS servers, such as nats://10.0.0.1:4222."""
    nats_options: Dict[str, Any] = {}
    """How to enter them: what `nats.connect` takes, such as `user_credentials`
    or `tls`."""
    prefix: str = PREFIX_DEFAULT
    """What every subject begins with."""
    model: Optional[str] = None
    """Only engines that serve this model; over NATS others are not received."""
    socket: Optional[str] = None
    """The local agent's socket; where it usually is if absent."""
    settings: ViewSettings = ViewSettings()
    """Limits and patience."""

    @classmethod
    def from_environment(cls) -> Options:
        """What the environment says: EAGLE_EYE_NATS (servers, separated by
        commas) and EAGLE_EYE_SOCKET."""
        servers = os.environ.get("EAGLE_EYE_NATS", "").split(",")
        return cls(nats=[server.strip() for server in servers if server.strip()])


class ConnectedView(View):
    """A view that keeps itself connected while its `async with` block runs."""

    def __init__(self, options: Options, seed: int = 0) -> None:
        super().__init__(ViewCore(options.settings), seed)
        self._options = options
        self._task: Optional[asyncio.Task[None]] = None

    async def __aenter__(self) -> ConnectedView:
        options = self._options
        if options.nats:
            feed = NatsFeed(self, options.nats, options.prefix, options.model, options.nats_options)
            work = feed.keep()
        else:
            work = keep(LocalLink(self, [options.socket] if options.socket else None))
        self._task = asyncio.get_running_loop().create_task(work)
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        task, self._task = self._task, None
        while task is not None and not task.done():
            # More than once: what it waits for may swallow a cancellation.
            task.cancel()
            await asyncio.wait({task}, timeout=LEAVE_S)

    async def complete(self, wait_s: float = 5.0) -> bool:
        """Waits until the view is complete; whether it is within the time.
        Raises what ended the connection for good: a mistake in its options."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while not self.is_complete:
            if self._task is not None and self._task.done():
                self._task.result()
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(LOOK_S)
        return True


def connect(options: Optional[Options] = None, seed: int = 0) -> ConnectedView:
    """A view over NATS if servers are given, otherwise of the local agent:
    `async with connect() as view`. Nothing need be there yet, and what goes
    away is waited for."""
    return ConnectedView(Options.from_environment() if options is None else options, seed)


def open_local(socket: Optional[str] = None, settings: ViewSettings = ViewSettings()) -> LocalView:
    """A view of the local agent for who has no event loop. Raises LocalError
    where no agent answers."""
    return LocalView(socket, settings)


class LocalView(View):
    """Reads the local agent's memory; `poll` takes names and events."""

    def __init__(self, socket: Optional[str], settings: ViewSettings) -> None:
        super().__init__(ViewCore(settings))
        self._link = LocalLink(self, [socket] if socket else None)
        self._link.meet()
        self.poll()

    def poll(self) -> bool:
        """Takes names, events and verdicts that came. False once the agent hung
        up; `reopen` then."""
        return self._link.poll()

    def reopen(self) -> None:
        """Connects anew. Raises LocalError."""
        self._link.meet()

    def close(self) -> None:
        """Hangs up."""
        self._link.close()

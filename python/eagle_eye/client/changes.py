"""A stream of changes that never grows: what happened to a rank since it was
last taken is one entry."""

from __future__ import annotations

import asyncio
import enum
import weakref
from typing import Dict, NamedTuple, Optional

from .counts import Counts
from .state import RankId


class What(enum.IntFlag):
    """What happened to a rank; several can be true."""

    APPEARED = 1
    """First heard of."""
    UPDATED = 2
    """Its newest step is another."""
    RESTARTED = 4
    """It came back under a later incarnation."""
    FRESHNESS = 8
    """It is more or less fresh than before; read it to learn how."""
    NAMED = 16
    """Its engine's name, endpoint or model is another."""
    FORGOTTEN = 32
    """It was silent for so long that it was forgotten."""


# Plain numbers where steps are taken: an IntFlag costs more than the step.
APPEARED, UPDATED, RESTARTED, FRESHNESS, NAMED, FORGOTTEN = (int(what) for what in What)


class Change(NamedTuple):
    """One rank's changes since it was last taken."""

    rank: RankId
    what: What


class Changes:
    """A subscriber's end: `async for change in changes`. Forgotten by its
    owner, it ends."""

    def __init__(self, ranks_max: int) -> None:
        self._pending: Dict[RankId, int] = {}
        self._ranks_max = max(ranks_max, 1)
        self._arrived: Optional[asyncio.Event] = None

    def next_now(self) -> Optional[Change]:
        """The next change, if there is one."""
        for rank, what in self._pending.items():
            del self._pending[rank]
            return Change(rank, What(what))
        return None

    def __aiter__(self) -> Changes:
        return self

    async def __anext__(self) -> Change:
        while True:
            change = self.next_now()
            if change is not None:
                return change
            if self._arrived is None:
                self._arrived = asyncio.Event()
            self._arrived.clear()
            await self._arrived.wait()

    def add(self, rank: RankId, what: int, counts: Counts) -> None:
        """Called by the view's writing side."""
        before = self._pending.get(rank)
        if before is None and len(self._pending) >= self._ranks_max:
            counts.changes_dropped += 1
            return
        self._pending[rank] = (before or 0) | what
        if self._arrived is not None:
            self._arrived.set()


class ChangeFan:
    """The writer's end: everybody who subscribed and still listens."""

    def __init__(self, ranks_max: int, counts: Counts) -> None:
        self._subscribers: weakref.WeakSet[Changes] = weakref.WeakSet()
        self._ranks_max = ranks_max
        self._counts = counts

    def subscribe(self) -> Changes:
        """What happens from here on."""
        changes = Changes(self._ranks_max)
        self._subscribers.add(changes)
        return changes

    @property
    def is_wanted(self) -> bool:
        """Whether anybody listens."""
        return bool(self._subscribers)

    def tell(self, instance: int, rank: int, what: int) -> None:
        """Something happened to a rank."""
        for changes in list(self._subscribers):
            changes.add(RankId(instance, rank), what, self._counts)

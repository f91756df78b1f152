"""Names, events and verdicts: what comes at its own low rate.

What is kept is bounded however much comes: names by the view's limits, events
and verdicts by what a subscriber may leave unread.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import OrderedDict, deque
from typing import Callable, Deque, Dict, Generic, List, Mapping, NamedTuple, Optional, Tuple, TypeVar

from ..engine_details import EngineDetails
from ..wire import Batch, Event, NamedDevice, NamedEngine, Verdict
from .counts import Counts
from .details import DetailsBoard

NEWS_QUEUE_MAX = 1024
"""Events and verdicts that a subscriber may leave unread; when full, the newest
is dropped and counted."""

REMEMBERED_MAX = 4096  # Events and revisions remembered, so that each is told once.
DEVICES_MAX = 16_384

T = TypeVar("T")


class ToldEvent(NamedTuple):
    """An event, and the hash of the node whose agent told it."""

    node: int
    what: Event


class ToldVerdict(NamedTuple):
    """A verdict, and the hash of the node whose agent told it."""

    node: int
    what: Verdict


class Tidings(NamedTuple):
    """What a batch tells besides numbers, read before any of it is believed."""

    node_name: Optional[str]
    engines: List[NamedEngine]
    devices: List[NamedDevice]
    events: List[Event]
    verdicts: List[Verdict]
    details: List[EngineDetails]


NO_TIDINGS = Tidings(None, [], [], [], [], [])


def tidings_of(batch: Batch) -> Tidings:
    """Raises WireError, and nothing else."""
    if batch.is_hot:
        return NO_TIDINGS
    return Tidings(
        batch.node_name(), batch.engines(), batch.devices(), batch.events(), batch.verdicts(),
        batch.details(),
    )


class Told(Generic[T]):
    """A subscriber's end: `async for told in …`. Forgotten by its owner, it ends."""

    def __init__(self) -> None:
        self._waiting: Deque[T] = deque()
        self._arrived: Optional[asyncio.Event] = None

    def next_now(self) -> Optional[T]:
        """The next, if there is one."""
        return self._waiting.popleft() if self._waiting else None

    def __aiter__(self) -> Told[T]:
        return self

    async def __anext__(self) -> T:
        while not self._waiting:
            if self._arrived is None:
                self._arrived = asyncio.Event()
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()

    def add(self, what: T, counts: Counts) -> None:
        """Called by the view's writing side."""
        if len(self._waiting) >= NEWS_QUEUE_MAX:
            counts.news_dropped += 1
            return
        self._waiting.append(what)
        if self._arrived is not None:
            self._arrived.set()


class News:
    """What is known besides numbers."""

    def __init__(self, engines_max: int, nodes_max: int, counts: Counts) -> None:
        self.engines: Dict[int, NamedEngine] = {}
        self.nodes: Dict[int, str] = {}
        self.devices: Dict[Tuple[int, int], NamedDevice] = {}
        self.details = DetailsBoard(engines_max, counts)
        self._engines_max, self._nodes_max = engines_max, nodes_max
        self._counts = counts
        self._event_ids: OrderedDict[Tuple[int, int], None] = OrderedDict()
        self._revisions: OrderedDict[Tuple[int, int], int] = OrderedDict()
        self._event_takers: weakref.WeakSet[Told[ToldEvent]] = weakref.WeakSet()
        self._verdict_takers: weakref.WeakSet[Told[ToldVerdict]] = weakref.WeakSet()

    def events(self) -> Told[ToldEvent]:
        """Events from here on, each once."""
        taker: Told[ToldEvent] = Told()
        self._event_takers.add(taker)
        return taker

    def verdicts(self) -> Told[ToldVerdict]:
        """Verdicts from here on, each revision once."""
        taker: Told[ToldVerdict] = Told()
        self._verdict_takers.add(taker)
        return taker

    def feed(self, node: int, tidings: Tidings, renamed: Callable[[NamedEngine], None]) -> None:
        """Takes what a batch tells. Calls `renamed` for every engine whose
        entry changed."""
        if tidings is NO_TIDINGS:
            return
        if tidings.node_name is not None and self._fits(self.nodes, node, self._nodes_max):
            self.nodes[node] = tidings.node_name
        for engine in tidings.engines:
            if self._keep_engine(engine):
                renamed(engine)
        for device in tidings.devices:
            if self._fits(self.devices, (node, device.device), DEVICES_MAX):
                self.devices[node, device.device] = device
        self.details.feed(tidings.details)
        for event in tidings.events:
            self._tell_event(ToldEvent(node, event))
        for verdict in tidings.verdicts:
            self._tell_verdict(ToldVerdict(node, verdict))

    def forget_engines(self, is_known: Callable[[int], bool]) -> None:
        """Forgets the names and details of engines for which `is_known` says no."""
        self.details.forget(is_known)
        self.engines = {key: engine for key, engine in self.engines.items() if is_known(key)}

    def forget_node(self, node: int) -> None:
        """Forgets a node that is gone, and its devices."""
        if self.nodes.pop(node, None) is not None:
            self.devices = {key: device for key, device in self.devices.items() if key[0] != node}

    def _fits(self, names: Mapping[T, object], key: T, most: int) -> bool:
        if key in names or len(names) < most:
            return True
        self._counts.names_refused += 1
        return False

    def _keep_engine(self, engine: NamedEngine) -> bool:
        known = self.engines.get(engine.instance)
        if known is not None and (known.incarnation > engine.incarnation or known == engine):
            return False
        if not self._fits(self.engines, engine.instance, self._engines_max):
            return False
        self.engines[engine.instance] = engine
        return True

    def _tell_event(self, told: ToldEvent) -> None:
        key = (told.node, told.what.id)
        if key in self._event_ids:
            self._counts.news_repeated += 1
            return
        self._event_ids[key] = None
        if len(self._event_ids) > REMEMBERED_MAX:
            self._event_ids.popitem(last=False)
        self._counts.events += 1
        for taker in list(self._event_takers):
            taker.add(told, self._counts)

    def _tell_verdict(self, told: ToldVerdict) -> None:
        key = (told.node, told.what.id)
        if self._revisions.get(key, -1) >= told.what.revision:
            self._counts.news_repeated += 1
            return
        self._revisions[key] = told.what.revision
        if len(self._revisions) > REMEMBERED_MAX:
            self._revisions.popitem(last=False)
        self._counts.verdicts += 1
        for taker in list(self._verdict_takers):
            taker.add(told, self._counts)

"""The view without its connections: bytes and times in, newest values out.

It has no clock, socket or task. Whoever owns it feeds it what arrives, with the
receipt's time, and ticks it now and then. Steps stay packed until somebody
looks at them, so that taking one costs little more than a copy of its bytes.
"""

from __future__ import annotations

import struct
from typing import Dict, List, NamedTuple, Optional, Tuple

from .. import layout
from ..layout import BatchHead
from ..wire import Batch, Bytes, NamedEngine, WireError, read_batch
from .changes import APPEARED, FORGOTTEN, FRESHNESS, NAMED, RESTARTED, UPDATED, ChangeFan
from .clock import MILLISECOND_NS, SECOND_NS, SenderClock
from .counts import Counts
from .ledger import Ledger
from .news import News, Tidings, tidings_of
from .standing import ALL_SEEN, Held, Standing
from .state import Patience, freshness_of

RANKS_MAX = 16_384
"""Most ranks that can be configured, times producers."""

SNAPSHOT, LAST = 1, 2  # Flags of a batch's head.
PRODUCERS_MAX = 256  # Most front ends of one rank.
LISTEN_NS = 250 * MILLISECOND_NS  # After a connection, before the view can call itself complete.
SENDER_SPARE_NS = 60 * SECOND_NS  # A sender silent for this long makes room for another.

# instance, incarnation, rank, producer, producers, sequence, monotonic, flags, heartbeat
_GLANCE = struct.Struct("<QQ8xHHH2xQQ24xI132xQ40x")
assert _GLANCE.size == layout.STEP_BYTES


class ViewSettings(NamedTuple):
    """Limits and patience of a view."""

    ranks_max: int = 4096
    """Most ranks, times producers; up to `RANKS_MAX`. Beyond, steps are refused
    and counted."""
    senders_max: int = 4096
    """Most senders (agents and engines that publish themselves); beyond,
    batches are refused and counted."""
    patience: Patience = Patience()
    """When a silent rank is gone."""
    forget_ns: int = 600 * SECOND_NS
    """Silence after which a rank and its names are forgotten, ns."""


class Fed:
    """What became of the steps of one message."""

    __slots__ = ("stored", "old", "refused")

    def __init__(self) -> None:
        self.stored = self.old = self.refused = 0


class Refused(Exception):
    """A message refused whole: no batch that we read, or of one sender too
    many. It is counted."""


class _Sender:
    __slots__ = ("clock", "heard_ns", "answered")

    def __init__(self) -> None:
        self.clock = SenderClock()
        self.heard_ns = 0
        self.answered = 0  # The connection in which it last told its whole state.


class ViewCore:
    """The writing side of a view."""

    def __init__(self, settings: ViewSettings = ViewSettings()) -> None:
        ranks_max = min(max(settings.ranks_max, 1), RANKS_MAX)
        self.settings = settings._replace(ranks_max=ranks_max)
        self.counts = Counts()
        self.changes = ChangeFan(ranks_max, self.counts)
        self.ledger = Ledger(ranks_max)
        self.news = News(ranks_max, settings.senders_max, self.counts)
        self.cells: List[Optional[Held]] = []
        """Every rank and producer, each in its place; None is free."""
        self.is_complete = False
        """Whether everybody heard in this connection told its whole state."""
        self._free: List[int] = []
        self._held: Dict[Tuple[int, int, int], Held] = {}
        self._senders: Dict[Tuple[int, int], _Sender] = {}
        self._connection = 0
        self._connected_ns: Optional[int] = None

    @property
    def is_connected(self) -> bool:
        """Whether a connection stands."""
        return self._connected_ns is not None

    def feed(self, data: Bytes, receipt_ns: int) -> Fed:
        """Takes a message that was published. Raises Refused, and nothing else."""
        batch, tidings = self._verify(data)
        sender = self._sender(batch.head, receipt_ns)
        sender.clock.heard(batch.head.publish_monotonic_ns, receipt_ns)
        return self._take(batch, tidings, sender, receipt_ns)

    def reply(self, data: Bytes, receipt_ns: int, request_sent_ns: int) -> Fed:
        """Takes a message that answers our snapshot request. Raises as `feed`."""
        batch, tidings = self._verify(data)
        publish_ns = batch.head.publish_monotonic_ns
        sender = self._sender(batch.head, receipt_ns)
        if not sender.clock.answered(publish_ns, receipt_ns, request_sent_ns, batch.held_ns()):
            sender.clock.heard(publish_ns, receipt_ns)
            self.counts.trips_refused += 1
        return self._take(batch, tidings, sender, receipt_ns)

    def feed_news(self, data: Bytes) -> None:
        """Takes a message whose steps are had from elsewhere: only its names,
        events and verdicts. Raises as `feed`."""
        batch, tidings = self._verify(data)
        self.counts.batches += 1
        self.counts.steps += batch.step_count
        self.counts.steps_ignored += batch.step_count
        self._take_news(batch, tidings)

    def connected(self, now_ns: int) -> None:
        """Notes that a connection stands; until everybody answered it is not
        complete."""
        self._connection += 1
        self._connected_ns = now_ns
        self.counts.connects += 1
        self.is_complete = False

    def disconnected(self) -> None:
        """Notes that the connection is gone. What was heard stays and ages."""
        if self._connected_ns is not None:
            self.counts.disconnects += 1
        self._connected_ns = None
        self.is_complete = False

    def tick(self, now_ns: int) -> None:
        """Forgets what was silent for very long, tells changes of freshness,
        and sees whether the view is complete. Several times a second."""
        self._tell_freshness(now_ns)
        self._forget_ranks(now_ns)
        self._forget_senders(now_ns)
        since_ns = self._connected_ns
        if since_ns is not None and self._everybody_answered(since_ns, now_ns):
            self.is_complete = True

    def _verify(self, data: Bytes) -> Tuple[Batch, Tidings]:
        try:
            batch = read_batch(data)
            return batch, tidings_of(batch)
        except WireError as error:
            size = len(data)
            if size > layout.BATCH_BYTES_MAX:
                self.counts.batches_oversized += 1
            elif bytes(data[4:8]) != layout.BATCH_IDENTIFIER:
                self.counts.batches_unknown += 1
            else:
                self.counts.batches_malformed += 1
            raise Refused(f"reading a batch failed: {error}") from error

    def _sender(self, head: BatchHead, receipt_ns: int) -> _Sender:
        key = (head.node, head.incarnation)
        sender = self._senders.get(key)
        if sender is None:
            if len(self._senders) >= self.settings.senders_max:
                self._spare_sender(receipt_ns)
            sender = self._senders[key] = _Sender()
        sender.heard_ns = receipt_ns
        if head.flags & LAST:
            sender.answered = self._connection
        return sender

    def _spare_sender(self, receipt_ns: int) -> None:
        key = min(self._senders, key=lambda key: self._senders[key].heard_ns, default=None)
        if key is None or receipt_ns - self._senders[key].heard_ns <= SENDER_SPARE_NS:
            self.counts.batches_beyond_senders += 1
            raise Refused("a batch came from more senders than `senders_max` allows; raise it")
        del self._senders[key]

    def _take(self, batch: Batch, tidings: Tidings, sender: _Sender, receipt_ns: int) -> Fed:
        offset = sender.clock.offset(receipt_ns)
        self.counts.batches += 1
        fed = Fed()
        if offset is not None and batch.step_count:
            self._take_steps(batch.step_bytes(), offset.ns, offset.error_ns, receipt_ns, fed)
        self._take_news(batch, tidings)
        return fed

    def _take_news(self, batch: Batch, tidings: Tidings) -> None:
        self.counts.readings_ignored += batch.reading_count
        self.news.feed(batch.head.node, tidings, self._renamed)

    def _renamed(self, engine: NamedEngine) -> None:
        if self.changes.is_wanted:
            for rank in range(min(max(engine.ranks, 1), PRODUCERS_MAX)):
                self.changes.tell(engine.instance, rank, NAMED)

    def _take_steps(
        self, steps: memoryview, offset_ns: int, error_ns: int, receipt_ns: int, fed: Fed
    ) -> None:
        """The one loop that runs for every update: no objects but the copy."""
        counts, table, wanted = self.counts, self._held, self.changes.is_wanted
        stride, latest_ns = layout.STEP_BYTES, receipt_ns + error_ns
        at = malformed = future = 0
        for (instance, incarnation, rank, producer, producers, sequence, monotonic_ns, flags,
             heartbeat_ns) in _GLANCE.iter_unpack(steps):
            at += stride
            if not instance or producer >= (producers or 1) or producers > PRODUCERS_MAX:
                malformed += 1
                continue
            if heartbeat_ns < monotonic_ns:
                heartbeat_ns = monotonic_ns
            alive_ns = heartbeat_ns + offset_ns
            if alive_ns > latest_ns:
                future += 1
                continue
            if alive_ns > receipt_ns:
                alive_ns = receipt_ns
            elif alive_ns < 0:
                alive_ns = 0
            key = (instance, rank, producer)
            held = table.get(key)
            if held is None:
                fresh = Held(bytes(steps[at - stride : at]), receipt_ns, alive_ns, error_ns, 0)
                fresh.identify(incarnation, sequence, heartbeat_ns, flags, producers)
                self._appear(key, fresh, fed)
                continue
            if held.incarnation == incarnation and sequence == held.sequence + 1:
                # By far the most: the next step of a rank.
                held.seen = (held.seen << 1 | 1) & ALL_SEEN
                standing = Standing.NEXT
            else:
                standing = held.compare(
                    incarnation, sequence, heartbeat_ns, flags, alive_ns, error_ns, self.settings.patience
                )
                if standing == Standing.OLD:
                    counts.steps_old += 1
                    fed.old += 1
                    continue
                if standing == Standing.LATE:
                    counts.steps_late += 1
                    counts.steps_lost -= 1
                    fed.old += 1
                    continue
                counts.steps_lost += held.gap
                counts.restarts += standing == Standing.RESTARTED
            fewer = held.producers
            held.succeed(incarnation == held.incarnation, bytes(steps[at - stride : at]),
                         receipt_ns, alive_ns, error_ns)
            held.identify(incarnation, sequence, heartbeat_ns, flags, producers)
            fed.stored += 1
            if held.producers < fewer:
                self._forget_producers(key, held.producers, fewer)
            if wanted:
                what = RESTARTED if standing == Standing.RESTARTED else UPDATED
                self.changes.tell(instance, rank, what)
        counts.steps += at // stride
        counts.steps_stored += fed.stored
        counts.steps_malformed += malformed
        counts.steps_future += future
        fed.refused += malformed + future

    def _appear(self, key: Tuple[int, int, int], held: Held, fed: Fed) -> None:
        if self._free:
            held.cell = self._free.pop()
            self.cells[held.cell] = held
        elif len(self.cells) < self.settings.ranks_max:
            held.cell = len(self.cells)
            self.cells.append(held)
        else:
            self.counts.steps_beyond_ranks += 1
            fed.refused += 1
            return
        self._held[key] = held
        fed.stored += 1
        self.changes.tell(key[0], key[1], APPEARED)

    def _forget_producers(self, key: Tuple[int, int, int], count: int, before: int) -> None:
        """Forgets front ends that a rank does not have any more."""
        for producer in range(count, before):
            self._forget((key[0], key[1], producer))

    def _forget(self, key: Tuple[int, int, int]) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            self.cells[held.cell] = None
            self._free.append(held.cell)

    def _tell_freshness(self, now_ns: int) -> None:
        if not self.changes.is_wanted:
            return
        for key, held in self._held.items():
            silence_ns = max(now_ns - held.alive_ns, 0)
            fresh = freshness_of(held.flags, held.promised_ns, silence_ns, self.settings.patience)
            if fresh != held.freshness:
                held.freshness = fresh
                self.changes.tell(key[0], key[1], FRESHNESS)

    def _forget_ranks(self, now_ns: int) -> None:
        silent = [
            key for key, held in self._held.items()
            if now_ns - max(held.alive_ns, held.heard_ns) > self.settings.forget_ns
        ]
        for key in silent:
            self._forget(key)
            self.counts.ranks_forgotten += 1
            self.changes.tell(key[0], key[1], FORGOTTEN)
        if silent:
            known = {key[0] for key in self._held}
            self.news.forget_engines(known.__contains__)

    def _forget_senders(self, now_ns: int) -> None:
        forget_ns = self.settings.forget_ns
        silent = [key for key, sender in self._senders.items() if now_ns - sender.heard_ns > forget_ns]
        for key in silent:
            del self._senders[key]
            if not any(node == key[0] for node, _ in self._senders):
                self.news.forget_node(key[0])

    def _everybody_answered(self, since_ns: int, now_ns: int) -> bool:
        heard = [sender for sender in self._senders.values() if sender.heard_ns >= since_ns]
        long_enough_ns = LISTEN_NS if heard else SECOND_NS
        return now_ns - since_ns >= long_enough_ns and all(
            sender.answered == self._connection for sender in heard
        )

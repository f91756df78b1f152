"""What a router holds: the newest values of every engine."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Dict, List, Optional, Type, Union

from ..layout import Reading
from ..wire import NamedDevice, NamedEngine
from .changes import Changes
from .chance import Chance
from .core import ViewCore
from .counts import Counts
from .details import Details
from .ledger import Entry, Ledger
from .merge import InstanceState, instance
from .news import Told, ToldEvent, ToldVerdict
from .pick import Ask, Cells, OwnScore, Pick, Picture, Score, pick
from .policy import Policy
from .record import Record
from .state import RankId, RankState
from .table import ReadingTable, StepTable


class Reservation:
    """A request sent to a rank. While it lives it counts in this process's
    picture of that rank: end it with `finish`, or use it in a `with` block."""

    __slots__ = ("pick", "_ledger", "_entry")

    pick: Pick
    """Where the request goes, and why."""

    def __init__(self, ledger: Ledger, chosen: Pick, prompt_tokens: int) -> None:
        self.pick = chosen
        self._ledger = ledger
        self._entry: Optional[Entry] = ledger.open(chosen.state.id, chosen.at_ns, prompt_tokens)

    def first_token(self) -> None:
        """The first token came: its prompt is no work any more."""
        if self._entry is not None:
            self._ledger.first_token(self._entry)

    def finish(self) -> None:
        """The request ended, however it did. Again is nothing."""
        entry, self._entry = self._entry, None
        if entry is not None:
            self._ledger.close(entry)

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.finish()

    def __del__(self) -> None:
        self.finish()


class View:
    """A picture of all engines, as a core that the caller feeds makes it, or as
    `connect` keeps it up to date. Reading waits for nothing and nobody. For one
    thread: that of the event loop where there is one."""

    def __init__(self, core: ViewCore, seed: int = 0) -> None:
        self.core = core
        self.table: Optional[StepTable] = None
        """Where a local agent writes the newest steps."""
        self.reading_table: Optional[ReadingTable] = None
        """Where a local agent writes the newest readings."""
        self._chance = Chance(seed)

    def ranks(self, now_ns: Optional[int] = None) -> List[RankState]:
        """Every rank at one instant (now, on this host's CLOCK_MONOTONIC), in
        no order."""
        return list(self._picture().states(_now_ns(now_ns)))

    def rank(self, rank: RankId, now_ns: Optional[int] = None) -> Optional[RankState]:
        """One rank. Looks through all."""
        at_ns = _now_ns(now_ns)
        return next((state for state in self._picture().states(at_ns) if state.id == rank), None)

    def instance(self, key: int, now_ns: Optional[int] = None) -> Optional[InstanceState]:
        """All ranks of one instance together, as `merge.instance` says."""
        return instance(state for state in self.ranks(now_ns) if state.id.instance == key)

    def engine(self, key: int) -> Optional[NamedEngine]:
        """The names, model and endpoint behind an instance."""
        return self.core.news.engines.get(key)

    def details(self, key: int) -> Optional[Details]:
        """What an instance says beside its steps, renewed about once a second;
        None where it says nothing of the kind. Only what belongs to steps in
        the view counts, so that a previous incarnation's is left out. Looks
        through all ranks."""
        here = {
            (record.step.rank, record.step.producer, record.step.incarnation)
            for record in self._picture().cells
            if isinstance(record, Record) and record.step.instance == key
        }
        current = [of for of in self.core.news.details.of(key)
                   if (of.rank, of.producer, of.incarnation) in here]
        return Details(current) if current else None

    def node(self, key: int) -> Optional[str]:
        """The name behind a node's hash."""
        return self.core.news.nodes.get(key)

    def device(self, node: int, index: int) -> Optional[NamedDevice]:
        """The names behind a node's device."""
        return self.core.news.devices.get((node, index))

    def readings(self) -> List[Reading]:
        """The newest readings of this host, where the view is a local agent's."""
        return [] if self.reading_table is None else self.reading_table.read()

    @property
    def is_connected(self) -> bool:
        """Whether a connection stands."""
        return self.core.is_connected

    @property
    def is_complete(self) -> bool:
        """Whether everybody heard since the connection was made has told its
        whole state: from then on a rank that is not here is not there."""
        return self.core.is_complete

    def changes(self) -> Changes:
        """What happens from here on, one entry a rank until it is taken."""
        return self.core.changes.subscribe()

    def events(self) -> Told[ToldEvent]:
        """Events from here on, each once."""
        return self.core.news.events()

    def verdicts(self) -> Told[ToldVerdict]:
        """Verdicts from here on, each revision once."""
        return self.core.news.verdicts()

    @property
    def counts(self) -> Counts:
        """What became of everything that came in."""
        return self.core.counts

    def named_counts(self) -> Dict[str, int]:
        """The same by name, for an exporter."""
        return self.core.counts.named()

    def pick(
        self, ask: Ask, policy: Policy, score: Union[Score, OwnScore],
        now_ns: Optional[int] = None,
    ) -> Pick:
        """Chooses a rank for a request. Raises NoPick, which says how many
        ranks were left out, and why."""
        return pick(self._picture(), _now_ns(now_ns), ask, policy, score)

    def reserve(
        self, ask: Ask, policy: Policy, score: Union[Score, OwnScore],
        now_ns: Optional[int] = None,
    ) -> Reservation:
        """Chooses a rank and counts the request as in flight there until the
        reservation is finished. Raises as `pick`."""
        return self.reserve_picked(self.pick(ask, policy, score, now_ns), ask.prompt_tokens)

    def reserve_picked(self, chosen: Pick, prompt_tokens: int = 0) -> Reservation:
        """Counts a request as in flight at a rank already picked."""
        return Reservation(self.core.ledger, chosen, prompt_tokens)

    def _picture(self) -> Picture:
        cells: Cells = self.core.cells if self.table is None else self.table.read()
        core = self.core
        return Picture(cells, core.ledger, core.settings.patience, self._chance)


def _now_ns(now_ns: Optional[int]) -> int:
    return time.monotonic_ns() if now_ns is None else now_ns

"""The newest step of one producer of one rank, kept packed and read when asked."""

from __future__ import annotations

from typing import NamedTuple, Optional

from .. import layout
from ..layout import StepCore
from .clock import U64_MAX
from .state import Activity, Load, RankId, RankState, activity_of, load_of, ttl_ns


class Brief(NamedTuple):
    """What the built-in scores need of a rank."""

    id: RankId
    model: int
    sampled_ns: int
    error_ns: int
    promised_ns: int
    load: Load


class Record:
    """A step's bytes and its life here; the newest values cost nothing until
    somebody looks at them."""

    __slots__ = (
        "data", "heard_ns", "alive_ns", "error_ns", "lost", "previous", "_step", "_brief",
        "_promised_ns",
    )

    data: bytes
    """The step as its producer packed it."""
    heard_ns: int
    """Our clock when the record came in, ns."""
    alive_ns: int
    """Our clock at the producer's last sign of life, ns, within `error_ns`."""
    error_ns: int
    """Bound on the error of `alive_ns`, ns."""
    lost: int
    """Steps of this producer that never came here."""

    previous: bool
    """The newest values could not be had whole: these are the ones before."""

    def __init__(self, data: bytes, heard_ns: int, alive_ns: int, error_ns: int, lost: int) -> None:
        self.lost = lost
        self.previous = False
        self.replace(data, heard_ns, alive_ns, error_ns)

    def replace(self, data: bytes, heard_ns: int, alive_ns: int, error_ns: int) -> None:
        """Puts a newer step in this one's place."""
        self.data = data
        self.heard_ns = heard_ns
        self.alive_ns = alive_ns
        self.error_ns = error_ns
        self._step: Optional[StepCore] = None
        self._brief: Optional[Brief] = None
        self._promised_ns = 0

    @property
    def step(self) -> StepCore:
        """The step, read once."""
        step = self._step
        if step is None:
            step = StepCore._make(layout.STEP.unpack(self.data))
            if step.heartbeat_ns < step.monotonic_ns or not step.producers:
                step = step._replace(
                    heartbeat_ns=max(step.heartbeat_ns, step.monotonic_ns),
                    producers=max(step.producers, 1),
                )
            self._step = step
        return step

    @property
    def promised_ns(self) -> int:
        """Its time-to-live, ns."""
        if not self._promised_ns:
            self._promised_ns = ttl_ns(self.step)
        return self._promised_ns

    @property
    def sampled_ns(self) -> int:
        """Our clock when the step ended, ns."""
        step = self.step
        return max(self.alive_ns - max(step.heartbeat_ns - step.monotonic_ns, 0), 0)

    @property
    def brief(self) -> Optional[Brief]:
        """What to choose by, read once; None where the rank must be looked at
        in full: it does not stand alone, takes nothing, or its load is unknown."""
        if self._brief is None:
            step = self.step
            load = load_of(step)
            takes = activity_of(step) in (Activity.BUSY, Activity.IDLE)
            if load is None or not takes or step.producers > 1 or step.flags & layout.Flag.GOODBYE:
                return None
            error_ns = min(self.error_ns + step.clock_error_ns, U64_MAX)
            rank = RankId(step.instance, step.rank)
            self._brief = Brief(rank, step.model, self.sampled_ns, error_ns, self.promised_ns, load)
        return self._brief

    def state(self) -> RankState:
        """Its picture, of no age yet."""
        state = RankState(self.step, self.alive_ns, self.error_ns, self.lost)
        state.previous = self.previous
        return state

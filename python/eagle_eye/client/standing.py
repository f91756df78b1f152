"""What a step is beside the newest of its rank: newer, late, or old."""

from __future__ import annotations

import enum

from ..layout import Flag
from .clock import U64_MAX
from .record import Record
from .state import Freshness, Patience

ALL_SEEN = U64_MAX
"""Bit n of `seen`: the sequence n + 1 before the newest came, or never was ours
to miss."""


class Standing(enum.IntEnum):
    """What to do with a step."""

    NEXT = 0
    RESTARTED = 1
    LATE = 2
    OLD = 3


NEXT, RESTARTED, LATE, OLD = Standing.NEXT, Standing.RESTARTED, Standing.LATE, Standing.OLD


class Held(Record):
    """A record in its cell, and what the writer alone needs of it."""

    __slots__ = (
        "cell", "incarnation", "sequence", "heartbeat_ns", "flags", "producers", "seen",
        "gap", "freshness",
    )

    cell: int
    incarnation: int
    sequence: int
    heartbeat_ns: int
    flags: int
    producers: int

    def __init__(self, data: bytes, heard_ns: int, alive_ns: int, error_ns: int, lost: int) -> None:
        super().__init__(data, heard_ns, alive_ns, error_ns, lost)
        self.seen = ALL_SEEN
        self.gap = 0  # Steps found missing by the last `compare`.
        self.freshness = Freshness.FRESH

    def identify(
        self, incarnation: int, sequence: int, heartbeat_ns: int, flags: int, producers: int
    ) -> None:
        """What of its step the writer compares with."""
        self.incarnation = incarnation
        self.sequence = sequence
        self.heartbeat_ns = heartbeat_ns
        self.flags = flags
        self.producers = producers or 1

    def succeed(
        self, same: bool, data: bytes, heard_ns: int, alive_ns: int, error_ns: int
    ) -> None:
        """Puts a newer step in this one's place; `same` is its incarnation."""
        later_ns = alive_ns
        if same and self.alive_ns > alive_ns:
            later_ns = self.alive_ns
        if later_ns > heard_ns:
            later_ns = heard_ns
        # A sign of life dated before its clock was known may stand beyond this
        # one; the bound then says so.
        if later_ns > alive_ns:
            error_ns += later_ns - alive_ns
        self.lost += self.gap
        self.gap = 0
        self.replace(data, heard_ns, later_ns, error_ns)

    def compare(
        self, incarnation: int, sequence: int, heartbeat_ns: int, flags: int,
        alive_ns: int, error_ns: int, patience: Patience,
    ) -> Standing:
        """As numbers say, unless this one fell silent and the other lives:
        numbers may lie, as after a clock that was set back between two starts,
        or one wild message. No rank is stuck longer than that."""
        self.gap = 0
        standing = self._standing(incarnation, sequence, heartbeat_ns, flags)
        if standing == OLD and self._is_outlived(incarnation, flags, alive_ns, error_ns, patience):
            self.seen = ALL_SEEN
            return RESTARTED
        return standing

    def _is_outlived(
        self, incarnation: int, flags: int, alive_ns: int, error_ns: int, patience: Patience
    ) -> bool:
        if incarnation != self.incarnation and self.flags & Flag.GOODBYE:
            silence_ns = 0
        else:
            silence_ns = min(3 * self.promised_ns, patience.gone_ns)
        since_ns = max(alive_ns - self.alive_ns, 0)
        return not flags & Flag.GOODBYE and since_ns > silence_ns + self.error_ns + error_ns

    def _standing(self, incarnation: int, sequence: int, heartbeat_ns: int, flags: int) -> Standing:
        if incarnation != self.incarnation:
            if incarnation < self.incarnation:
                return OLD
            self.seen = ALL_SEEN
            return RESTARTED
        if sequence == self.sequence:
            # A heartbeat tells the same step again, at a later sign of life. So
            # does a goodbye, which may come within the clock's resolution.
            later = heartbeat_ns > self.heartbeat_ns or (
                heartbeat_ns == self.heartbeat_ns
                and bool(flags & Flag.GOODBYE)
                and not self.flags & Flag.GOODBYE
            )
            return NEXT if later else OLD
        if sequence < self.sequence:
            behind = self.sequence - sequence - 1
            bit = 1 << behind if behind < 64 else 0
            if not bit or self.seen & bit:
                return OLD
            self.seen |= bit
            self.lost = max(self.lost - 1, 0)
            return LATE
        ahead = sequence - self.sequence
        self.gap = ahead - 1
        # The newest so far becomes bit `ahead - 1`.
        self.seen = (self.seen << ahead | 1 << ahead - 1) & ALL_SEEN if ahead <= 64 else 0
        return NEXT

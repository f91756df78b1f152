"""What a sender's clock says in ours, and how wrong that can be.

Let `o` be our CLOCK_MONOTONIC minus the sender's. No message arrives before it
was sent, which bounds `o` from above: `o <= receipt - publish`. No answer takes
longer than its whole round trip less the time its request was held, which
bounds it from below: `o >= receipt - publish - trip`. The smallest upper and
the largest lower bound are kept, both widened by the drift that two clocks can
have; the middle is taken, and its error is half of what lies between.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional

SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000
U64_MAX = (1 << 64) - 1

ERROR_UNKNOWN_NS = SECOND_NS
"""The error that we admit before any round trip was measured, ns."""

DRIFT_PER_2_20 = 105  # 100 ppm, in ns per 2^20 ns.
WINDOW_NS = 30 * SECOND_NS  # Bounds are kept for one to two of these.


class Offset(NamedTuple):
    """Our clock minus a sender's, and the bound on its error, ns."""

    ns: int
    error_ns: int

    def ours_ns(self, theirs_ns: int) -> int:
        """An instant of the sender's clock in ours; before our clock began is 0."""
        return min(max(theirs_ns + self.ns, 0), U64_MAX)


class _Bound(NamedTuple):
    offset_ns: int
    at_ns: int

    def drift_ns(self, now_ns: int) -> int:
        return max(now_ns - self.at_ns, 0) * DRIFT_PER_2_20 >> 20

    def upper_ns(self, now_ns: int) -> int:
        return self.offset_ns + self.drift_ns(now_ns)

    def lower_ns(self, now_ns: int) -> int:
        return self.offset_ns - self.drift_ns(now_ns)


class SenderClock:
    """What we know of one sender's clock."""

    __slots__ = ("_window_began_ns", "_upper", "_lower")

    def __init__(self) -> None:
        self._window_began_ns = 0
        self._upper: List[Optional[_Bound]] = [None, None]
        self._lower: Optional[_Bound] = None

    def heard(self, publish_ns: int, receipt_ns: int) -> None:
        """Takes what one message says: when it was sent by their clock, and
        when it was received by ours."""
        since_ns = max(receipt_ns - self._window_began_ns, 0)
        if since_ns >= WINDOW_NS:
            self._upper = [None, None if since_ns >= 2 * WINDOW_NS else self._upper[0]]
            self._window_began_ns = receipt_ns
        offset_ns = receipt_ns - publish_ns
        newest = self._upper[0]
        if newest is None or offset_ns < newest.upper_ns(receipt_ns):
            self._upper[0] = _Bound(offset_ns, receipt_ns)
        lower = self._lower
        if lower is not None:
            upper_ns = self._upper_ns(receipt_ns)
            if upper_ns is not None and lower.lower_ns(receipt_ns) > upper_ns:
                # One of the clocks paused; what was measured before is void.
                self._lower = None

    def answered(self, publish_ns: int, receipt_ns: int, request_sent_ns: int, held_ns: int) -> bool:
        """Takes a round trip as well: when we asked, and how long the answer
        was held before it was sent. Whether it made sense."""
        trip_ns = receipt_ns - request_sent_ns - held_ns
        if receipt_ns < request_sent_ns or trip_ns < 0:
            return False
        self.heard(publish_ns, receipt_ns)
        offset_ns = receipt_ns - publish_ns - trip_ns
        nearer = self._lower is None or offset_ns > self._lower.lower_ns(receipt_ns)
        upper_ns = self._upper_ns(receipt_ns)
        if upper_ns is not None and offset_ns > upper_ns:
            # A trip bounds the offset from both sides by itself: what says
            # otherwise is from before a pause.
            self._upper = [_Bound(receipt_ns - publish_ns, receipt_ns), None]
        if nearer:
            self._lower = _Bound(offset_ns, receipt_ns)
        return True

    def offset(self, now_ns: int) -> Optional[Offset]:
        """The best offset; None before the first message."""
        upper_ns = self._upper_ns(now_ns)
        if upper_ns is None:
            return None
        if self._lower is None:
            return Offset(upper_ns, ERROR_UNKNOWN_NS)
        lower_ns = self._lower.lower_ns(now_ns)
        half_ns = max(upper_ns - lower_ns, 0) // 2
        if half_ns + 1 > ERROR_UNKNOWN_NS:
            # Measured so long ago that it says nothing any more.
            return Offset(upper_ns, ERROR_UNKNOWN_NS)
        return Offset(lower_ns + half_ns, half_ns + 1)

    def _upper_ns(self, now_ns: int) -> Optional[int]:
        first, second = self._upper
        if first is None:
            return None if second is None else second.upper_ns(now_ns)
        if second is None:
            return first.upper_ns(now_ns)
        return min(first.upper_ns(now_ns), second.upper_ns(now_ns))

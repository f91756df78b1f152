"""What an engine says at a low rate beside its steps, in bytes.

Entries stand back to back: tag u16, rank u16, length u32, value; little
endian, unaligned. Everything but the adapters is cumulative since the
incarnation, so that a reader who misses some misses nothing. A reader passes
over tags that it does not know.
"""

from __future__ import annotations

import math
import struct
from typing import Dict, Iterable, Iterator, Mapping, Optional, Sequence, Tuple

from .step import bounded_name

TAG_SKETCH, TAG_FINISHED, TAG_ADAPTER, TAG_SPECULATION, TAG_TRANSFER = 1, 2, 3, 4, 5
TTFT, INTER_TOKEN, QUEUE, PREFILL, DECODE, END_TO_END = 1, 2, 3, 4, 5, 6
BUCKETS = 1024
BUCKETS_PER_DOUBLING = 16
POSITIONS_MAX = 64  # Of a draft; no method drafts as many.

_ENTRY = struct.Struct("<HHI")
_SKETCH = struct.Struct("<HHiQdd")
_COUNT = struct.Struct("<Q")
_ADAPTER = struct.Struct("<II")
_TRANSFER = struct.Struct("<QQQd")
_U32_MAX = 0xFFFFFFFF
_U64_MAX = 0xFFFFFFFFFFFFFFFF


def bucket_of(microseconds: float) -> int:
    """The bucket of a duration: 16 in a doubling, so 2.2 % off at most."""
    if microseconds <= 1.0:
        return 0
    return min(BUCKETS - 1, math.ceil(BUCKETS_PER_DOUBLING * math.log2(microseconds)))


class Sketch:
    """How long something took, as counts by bucket. Sketches of one kind add up."""

    __slots__ = ("count", "sum_us", "max_us", "counts")

    def __init__(self) -> None:
        self.count = 0
        self.sum_us = 0.0
        self.max_us = 0.0
        self.counts: Dict[int, int] = {}
        """Values by bucket, where there are any."""

    def add(self, seconds: float, times: int = 1) -> bool:
        """Adds a duration; whether it was one. A NaN, an infinity and what is
        negative or no number are none."""
        try:
            return self.add_all({seconds: times}) == 0
        except TypeError:  # It cannot even be a key.
            return False

    def add_all(self, durations: Mapping[float, int]) -> int:
        """Adds durations, in seconds, each so many times; how many were none."""
        counts, refused, log2, ceil = self.counts, 0, math.log2, math.ceil
        for seconds, times in durations.items():
            try:
                microseconds = seconds * 1e6
                if not 0.0 <= microseconds < math.inf:
                    refused += times
                    continue
            except Exception:
                refused += times
                continue
            bucket = 0  # As `bucket_of`, whose call would cost as much as the rest.
            if microseconds > 1.0:
                bucket = min(BUCKETS - 1, ceil(BUCKETS_PER_DOUBLING * log2(microseconds)))
            counts[bucket] = counts.get(bucket, 0) + times
            self.count += times
            self.sum_us += microseconds * times
            if microseconds > self.max_us:
                self.max_us = microseconds
        return refused

    def merge(self, other: Sketch) -> None:
        """Adds all values of another sketch of the same kind."""
        self.count = min(self.count + other.count, _U64_MAX)
        self.sum_us += other.sum_us
        self.max_us = max(self.max_us, other.max_us)
        for bucket, number in other.counts.items():
            self.counts[bucket] = min(self.counts.get(bucket, 0) + number, _U32_MAX)

    def quantile(self, share: float) -> Optional[float]:
        """The time, in seconds, that a share (0 to 1) of the values does not
        exceed, 2.2 % off at most; None where there is no value."""
        every = sum(self.counts.values())
        if not every or not 0.0 <= share <= 1.0:
            return None
        wanted, below = min(max(math.ceil(share * every), 1), every), 0
        for bucket in sorted(self.counts):
            below += self.counts[bucket]
            if below >= wanted:
                break
        middle_us = float(2 ** ((bucket - 0.5) / BUCKETS_PER_DOUBLING)) if bucket else 1.0
        return (min(middle_us, self.max_us) if self.max_us > 0.0 else middle_us) / 1e6

    def mean(self) -> Optional[float]:
        """The mean, in seconds; None where there is no value."""
        return self.sum_us / self.count / 1e6 if self.count else None

    def value(self, kind: int) -> bytes:
        """The value of its entry."""
        first, last = (min(self.counts), max(self.counts)) if self.counts else (0, -1)
        buckets = [min(self.counts.get(bucket, 0), _U32_MAX) for bucket in range(first, last + 1)]
        head = _SKETCH.pack(kind, 0, first, self.count, self.sum_us, self.max_us)
        return head + struct.pack(f"<{len(buckets)}I", *buckets)


def entry(tag: int, rank: int, value: bytes) -> bytes:
    """One entry."""
    return _ENTRY.pack(tag, rank, len(value)) + value


def finished_value(reason: str, count: int) -> bytes:
    """How many requests finished for this reason."""
    return _COUNT.pack(count & _U64_MAX) + bounded_name(reason).encode("utf-8")


def adapter_value(name: str, running: int, waiting: int) -> bytes:
    """An adapter's requests at this moment."""
    numbers = (min(max(0, running), _U32_MAX), min(max(0, waiting), _U32_MAX))
    return _ADAPTER.pack(*numbers) + bounded_name(name).encode("utf-8")


def speculation_value(drafts: int, draft_tokens: int, accepted: int, by_position: Sequence[int]) -> bytes:
    """What speculative decoding drafted and what of it was accepted."""
    numbers = [drafts, draft_tokens, accepted, *by_position[:POSITIONS_MAX]]
    return struct.pack(f"<{len(numbers)}Q", *(number & _U64_MAX for number in numbers))


def transfer_value(transfers: int, transferred_bytes: int, failures: int, seconds: float) -> bytes:
    """Transfers of KV blocks."""
    return _TRANSFER.pack(transfers & _U64_MAX, transferred_bytes & _U64_MAX, failures & _U64_MAX, seconds)


def pack(entries: Iterable[bytes], bytes_max: int) -> Tuple[bytes, int]:
    """As many of the entries as fit, the first ones first, and how many did not."""
    out = bytearray()
    left_out = 0
    for one in entries:
        if len(out) + len(one) <= bytes_max:
            out += one
        else:
            left_out += 1
    return bytes(out), left_out


def entries(data: bytes) -> Iterator[Tuple[int, int, bytes]]:
    """(tag, rank, value) of each entry that is whole."""
    at = 0
    while at + _ENTRY.size <= len(data):
        tag, rank, length = _ENTRY.unpack_from(data, at)
        at += _ENTRY.size
        if at + length > len(data):
            return
        yield tag, rank, data[at : at + length]
        at += length


def read_sketch(value: bytes) -> Tuple[int, Sketch]:
    """Kind and sketch of a value. Raises struct.error where it is cut short."""
    kind, _, first, count, sum_us, max_us = _SKETCH.unpack_from(value)
    sketch = Sketch()
    sketch.count, sketch.sum_us, sketch.max_us = count, sum_us, max_us
    buckets = struct.iter_unpack("<I", value[_SKETCH.size : len(value) & ~3])
    sketch.counts = {first + place: number for place, (number,) in enumerate(buckets) if number}
    return kind, sketch

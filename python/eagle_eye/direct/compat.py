"""Steps as JSON, for routers that read JSON; docs/compatibility.md has the keys."""

from __future__ import annotations

import json
import math
import struct
from collections import deque
from typing import Any, Deque, Dict, List, Sequence

from .. import layout
from ..layout import Flag, Role, StepCore
from ..step import Engine, bounded_name
from .records import rank_of

VERSION = 1  # Of the keys: some may be added under it, none changes.
QUEUE_MAX = 4096  # Steps that wait where every one is sent; the oldest go first.
TTL_MS_DEFAULT = 1000

_FLAGS = tuple((name.lower(), bit) for name, bit in vars(Flag).items() if name.isupper())
_ROLES = {int(role): role.name.lower() for role in Role}


class Shelf:
    """Steps that wait to be told: at most so often, always the newest."""

    def __init__(self, hz: float) -> None:
        self.lost = 0
        """Steps that found no room, where every one is sent."""
        self._period_ns = int(1e9 / hz) if hz > 0 else 0
        self._waiting: Dict[int, bytes] = {}
        self._told_ns: Dict[int, int] = {}
        self._queue: Deque[bytes] = deque()

    def restart(self, newest: Sequence[bytes]) -> None:
        """Begins anew with the newest of every rank."""
        self.lost += len(self._queue)
        self._queue.clear()
        self._waiting.clear()
        self._told_ns.clear()
        self.put(newest)

    def put(self, records: Sequence[bytes]) -> None:
        """Keeps steps."""
        if self._period_ns:
            for record in records:
                self._waiting[rank_of(record)] = record
            return
        self._queue.extend(records)
        while len(self._queue) > QUEUE_MAX:
            self._queue.popleft()
            self.lost += 1

    def due(self, now_ns: int, everything: bool = False) -> List[bytes]:
        """Those whose time has come: at once after a silence."""
        if not self._period_ns:
            queue, self._queue = self._queue, deque()
            return list(queue)
        due = [rank for rank in self._waiting
               if everything or now_ns - self._told_ns.get(rank, -self._period_ns) >= self._period_ns]
        for rank in due:
            self._told_ns[rank] = now_ns
        return [self._waiting.pop(rank) for rank in due]


def names(engine: Engine, node: str) -> str:
    """Who it is, as it stands in every object."""
    said = {"engine": bounded_name(engine.name), "model": bounded_name(engine.model) or None,
            "endpoint": bounded_name(engine.endpoint) or None, "node": node}
    return json.dumps(said, separators=(",", ":"))[1:-1]


def write(record: bytes, who: str) -> bytes:
    """The object of a packed step."""
    step = StepCore._make(layout.STEP.unpack(record))
    seconds, ns = divmod(step.wall_ns, 1_000_000_000)
    time = f"{seconds}.{ns // 1000:06d}" if step.wall_ns else "null"
    parts = [
        f'{{"version":{VERSION},"time":{time},"sequence":{step.sequence},{who},"rank":{step.rank}',
        f'"producer":{step.producer},"producers":{max(step.producers, 1)}',
        f'"role":"{_ROLES.get(step.role, "unknown")}","incarnation":"{step.incarnation}"',
        f'"ttl_ms":{step.ttl_ms or TTL_MS_DEFAULT}',
    ]
    parts += [f'"{field}":{_number(step.value(field))}' for field in layout.FIELDS]
    parts += [f'"{name}":{"true" if step.flags & bit else "false"}' for name, bit in _FLAGS]
    return (",".join(parts) + "}").encode("ascii")


def _number(value: Any) -> str:
    """Whole numbers without a point, others with the digits that a gauge has."""
    if value is None or not math.isfinite(value):
        return "null"
    if value == int(value):
        return str(int(value))
    for digits in range(6, 9):
        text = f"{value:.{digits}g}"
        if struct.pack("<f", float(text)) == struct.pack("<f", value):
            return text
    return f"{value:.9g}"

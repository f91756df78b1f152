"""What engines say beside their steps, as a batch carries it."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Dict, List, NamedTuple, Optional, Tuple

from . import layout
from .details import BUCKETS, POSITIONS_MAX, Sketch
from .layout import SketchKind
from .step import bounded_name

if TYPE_CHECKING:
    from .wire import Batch, Table

REASONS_MAX, ADAPTERS_MAX = 16, 64

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_F64 = struct.Struct("<d")
_KINDS = {int(kind): kind for kind in SketchKind if kind != SketchKind.UNKNOWN}


class Adapter(NamedTuple):
    """The load of one adapter now."""

    name: str
    running: int
    waiting: int


class Speculation(NamedTuple):
    """Speculative decoding since the incarnation."""

    drafts: int
    draft_tokens: int
    accepted_tokens: int
    accepted: Tuple[int, ...]
    """Accepted tokens by their position in the draft."""


class Transfer(NamedTuple):
    """Transfers of KV blocks since the incarnation."""

    transfers: int
    bytes: int
    failures: int
    seconds: float


class EngineDetails(NamedTuple):
    """What one producer of one rank says beside its steps, since its incarnation."""

    instance: int
    incarnation: int
    rank: int
    producer: int
    sketches: Dict[SketchKind, Sketch]
    """How long things took."""
    finished: List[Tuple[str, int]]
    """Requests that finished, by reason."""
    adapters: List[Adapter]
    """The load of each adapter now."""
    speculation: Optional[Speculation]
    transfer: Optional[Transfer]


def of_batch(batch: Batch) -> List[EngineDetails]:
    """Everything that a batch says, within the bounds of an engine's own
    memory; what is beyond them is left out. Raises WireError, and nothing else."""
    return [_details(table) for table in batch.tables(layout.BATCH_ID_DETAILS)]


def _details(table: Table) -> EngineDetails:
    sketches: Dict[SketchKind, Sketch] = {}
    for of in table.tables(layout.ENGINE_DETAILS_ID_SKETCHES):
        kind, sketch = _sketch(of)
        if kind is not None and sketch is not None:
            sketches.setdefault(kind, sketch)
    finished = table.tables(layout.ENGINE_DETAILS_ID_FINISHED)[:REASONS_MAX]
    adapters = table.tables(layout.ENGINE_DETAILS_ID_ADAPTERS)[:ADAPTERS_MAX]
    speculation = table.table(layout.ENGINE_DETAILS_ID_SPECULATION)
    transfer = table.table(layout.ENGINE_DETAILS_ID_TRANSFER)
    return EngineDetails(
        instance=table.number(layout.ENGINE_DETAILS_ID_INSTANCE, _U64),
        incarnation=table.number(layout.ENGINE_DETAILS_ID_INCARNATION, _U64),
        rank=table.number(layout.ENGINE_DETAILS_ID_RANK, _U16),
        producer=table.number(layout.ENGINE_DETAILS_ID_PRODUCER, _U16),
        sketches=sketches,
        finished=[(_name(of, layout.FINISHED_ID_REASON), of.number(layout.FINISHED_ID_COUNT, _U64))
                  for of in finished],
        adapters=[Adapter(_name(of, layout.ADAPTER_ID_NAME), of.number(layout.ADAPTER_ID_RUNNING, _U32),
                          of.number(layout.ADAPTER_ID_WAITING, _U32)) for of in adapters],
        speculation=None if speculation is None else _speculation(speculation),
        transfer=None if transfer is None else _transfer(transfer),
    )


def _sketch(table: Table) -> Tuple[Optional[SketchKind], Optional[Sketch]]:
    """A sketch, where its kind is known and its numbers can be."""
    kind = _KINDS.get(table.number(layout.SKETCH_ID_KIND, _U16))
    first = table.number(layout.SKETCH_ID_OFFSET, _U16)
    buckets = table.bytes(layout.SKETCH_ID_BUCKETS, 4)
    sketch = Sketch()
    sketch.count = table.number(layout.SKETCH_ID_COUNT, _U64)
    sketch.sum_us = table.real(layout.SKETCH_ID_SUM_US)
    sketch.max_us = table.real(layout.SKETCH_ID_MAX_US)
    is_whole = first + len(buckets) // 4 <= BUCKETS
    if kind is None or not is_whole or not _is_time(sketch.sum_us) or not _is_time(sketch.max_us):
        return None, None
    sketch.counts = {
        first + place: number for place, (number,) in enumerate(_U32.iter_unpack(buckets)) if number
    }
    return kind, sketch


def _speculation(table: Table) -> Speculation:
    accepted = table.bytes(layout.SPECULATION_ID_ACCEPTED, 8)[: 8 * POSITIONS_MAX]
    return Speculation(
        table.number(layout.SPECULATION_ID_DRAFTS, _U64),
        table.number(layout.SPECULATION_ID_DRAFT_TOKENS, _U64),
        table.number(layout.SPECULATION_ID_ACCEPTED_TOKENS, _U64),
        tuple(number for (number,) in _U64.iter_unpack(accepted)),
    )


def _transfer(table: Table) -> Optional[Transfer]:
    seconds = table.real(layout.TRANSFER_ID_SECONDS)
    if not _is_time(seconds):
        return None
    numbers = (layout.TRANSFER_ID_TRANSFERS, layout.TRANSFER_ID_BYTES, layout.TRANSFER_ID_FAILURES)
    transfers, moved, failures = (table.number(field, _U64) for field in numbers)
    return Transfer(transfers, moved, failures, seconds)


def _name(table: Table, field: int) -> str:
    return bounded_name(table.text(field) or "")


def _is_time(value: float) -> bool:
    return 0.0 <= value < math.inf

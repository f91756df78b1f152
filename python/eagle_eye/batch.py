"""Writes batches: steps at fixed offsets, names and details as FlatBuffers tables.

No FlatBuffers package: a hot batch is a header of 80 bytes and the steps' own,
and the few tables go out about once a second. `wire` reads what stands here.
"""

from __future__ import annotations

import struct
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from . import details as entries_of
from . import layout
from .flat import Table
from .layout import BatchHead
from .step import Engine, bounded_name, name_hash

SNAPSHOT, LAST = 1, 2
"""Flags of a head: part of a whole state, and the last part of it."""
HOT_STEPS_MAX = (layout.BATCH_BYTES_MAX - 80) // layout.STEP_BYTES
STEPS_MAX = 100  # In one message of a whole state.
DETAILS_BYTES_MAX = layout.BATCH_BYTES_MAX // 2  # In one message, unless one rank alone needs more.
RANK_END = 4096  # One past the highest rank that readers accept details of.
REASONS_MAX, ADAPTERS_MAX, POSITIONS_MAX = 16, 64, 64

_HOT = struct.Struct("<I4s6Hi")
_SKETCH = struct.Struct("<HHiQdd")
_SPECULATION = struct.Struct("<QQQ")
_TRANSFER = struct.Struct("<QQQd")
_ADAPTER = struct.Struct("<II")
_COUNT = struct.Struct("<Q")


def hot_steps(head: BatchHead, steps: Sequence[bytes]) -> bytes:
    """A batch of packed steps, up to `HOT_STEPS_MAX` of them."""
    if len(steps) > HOT_STEPS_MAX:
        raise ValueError(f"{len(steps)} steps are more than the {HOT_STEPS_MAX} that fit a batch")
    # Root, identifier, vtable (its size, the table's, head, steps, readings,
    # padding), and how far before the table it stands.
    start = _HOT.pack(20, layout.BATCH_IDENTIFIER, 8, 56, 4, 52, 0, 0, 12)
    count = struct.pack("<II", 4, len(steps))
    return b"".join((start, layout.BATCH_HEAD.pack(*head), count, *steps))


def tables(
    head: BatchHead, node: str, *, engines: Sequence[Table] = (), details: Sequence[Table] = (),
    steps: Sequence[bytes] = (), held_ns: int = 0,
) -> bytes:
    """A batch of tables, and of newest steps in a whole state."""
    batch = Table()
    batch.inline(layout.BATCH_ID_HEAD, 8, layout.BATCH_HEAD.pack(*head))
    batch.text(layout.BATCH_ID_NODE_NAME, node)
    batch.number(layout.BATCH_ID_HELD_NS, "Q", held_ns)
    if steps:
        batch.vector(layout.BATCH_ID_STEPS, 8, len(steps), b"".join(steps))
    batch.tables(layout.BATCH_ID_ENGINES, engines)
    batch.tables(layout.BATCH_ID_DETAILS, details)
    data = batch.finish(layout.BATCH_IDENTIFIER)
    if len(data) > layout.BATCH_BYTES_MAX:
        raise ValueError(f"a batch of {len(data)} bytes is larger than one may be")
    return data


def engine_table(engine: Engine, incarnation: int, process: int, source: str) -> Table:
    """What a router needs to know of an engine beside its steps."""
    table = Table()
    name, model = bounded_name(engine.name), bounded_name(engine.model)
    table.number(layout.ENGINE_ID_INSTANCE, "Q", name_hash(name))
    table.number(layout.ENGINE_ID_INCARNATION, "Q", incarnation)
    table.number(layout.ENGINE_ID_MODEL_HASH, "Q", name_hash(model))
    table.text(layout.ENGINE_ID_NAME, name)
    table.text(layout.ENGINE_ID_MODEL, model)
    table.text(layout.ENGINE_ID_ENDPOINT, engine.endpoint)
    table.text(layout.ENGINE_ID_ENGINE, engine.engine)
    table.number(layout.ENGINE_ID_RANKS, "H", engine.ranks)
    table.number(layout.ENGINE_ID_PROCESS, "I", process)
    table.text(layout.ENGINE_ID_SOURCE, source)
    return table


class Whose(NamedTuple):
    """Whose details they are."""

    instance: int
    incarnation: int
    producer: int


def details_tables(whose: Whose, data: bytes) -> List[Tuple[Table, int]]:
    """A door's details as one table for each rank, and a bound on its bytes.
    What is cut short, beyond a limit or of an unknown kind is left out."""
    ranks: Dict[int, _Said] = {}
    for tag, rank, value in entries_of.entries(data):
        if rank >= RANK_END:
            continue
        said = ranks.setdefault(rank, _Said())
        try:
            said.take(tag, value)
        except (struct.error, UnicodeDecodeError):
            continue
    return [(said.table(whose, rank), said.bytes) for rank, said in sorted(ranks.items())]


def details_parts(tables_: Iterable[Tuple[Table, int]]) -> Iterator[List[Table]]:
    """Details in parts that fit a message."""
    part: List[Table] = []
    size = 0
    for table, table_bytes in tables_:
        if part and size + table_bytes > DETAILS_BYTES_MAX:
            yield part
            part, size = [], 0
        part.append(table)
        size += table_bytes
    if part:
        yield part


class _Said:
    """What one rank says beside its steps."""

    def __init__(self) -> None:
        self.bytes = 256
        self.sketches: Dict[int, Table] = {}
        self.finished: List[Table] = []
        self.adapters: List[Table] = []
        self.speculation: Optional[Table] = None
        self.transfer: Optional[Table] = None

    def take(self, tag: int, value: bytes) -> None:
        before = self.counts()
        if tag == entries_of.TAG_SKETCH:
            self._take_sketch(value)
        elif tag == entries_of.TAG_FINISHED and len(self.finished) < REASONS_MAX:
            table = Table()
            table.text(layout.FINISHED_ID_REASON, str(value[_COUNT.size :], "utf-8"))
            table.number(layout.FINISHED_ID_COUNT, "Q", _COUNT.unpack_from(value)[0])
            self.finished.append(table)
        elif tag == entries_of.TAG_ADAPTER and len(self.adapters) < ADAPTERS_MAX:
            running, waiting = _ADAPTER.unpack_from(value)
            table = Table()
            table.text(layout.ADAPTER_ID_NAME, str(value[_ADAPTER.size :], "utf-8"))
            table.number(layout.ADAPTER_ID_RUNNING, "I", running)
            table.number(layout.ADAPTER_ID_WAITING, "I", waiting)
            self.adapters.append(table)
        elif tag == entries_of.TAG_SPECULATION:
            self.speculation = _speculation(value)
        elif tag == entries_of.TAG_TRANSFER:
            self.transfer = _transfer(value)
        if self.counts() != before:
            self.bytes += len(value) + 64

    def counts(self) -> Tuple[int, int, int, bool, bool]:
        return (len(self.sketches), len(self.finished), len(self.adapters),
                self.speculation is not None, self.transfer is not None)

    def table(self, whose: Whose, rank: int) -> Table:
        table = Table()
        table.number(layout.ENGINE_DETAILS_ID_INSTANCE, "Q", whose.instance)
        table.number(layout.ENGINE_DETAILS_ID_INCARNATION, "Q", whose.incarnation)
        table.number(layout.ENGINE_DETAILS_ID_RANK, "H", rank)
        table.number(layout.ENGINE_DETAILS_ID_PRODUCER, "H", whose.producer)
        table.tables(layout.ENGINE_DETAILS_ID_SKETCHES, list(self.sketches.values()))
        table.tables(layout.ENGINE_DETAILS_ID_FINISHED, self.finished)
        table.tables(layout.ENGINE_DETAILS_ID_ADAPTERS, self.adapters)
        table.table(layout.ENGINE_DETAILS_ID_SPECULATION, self.speculation)
        table.table(layout.ENGINE_DETAILS_ID_TRANSFER, self.transfer)
        return table

    def _take_sketch(self, value: bytes) -> None:
        kind, _, first, count, sum_us, max_us = _SKETCH.unpack_from(value)
        buckets = value[_SKETCH.size : len(value) & ~3]
        is_known = entries_of.TTFT <= kind <= entries_of.END_TO_END and kind not in self.sketches
        is_whole = first >= 0 and first + len(buckets) // 4 <= entries_of.BUCKETS
        is_time = 0.0 <= sum_us < float("inf") and 0.0 <= max_us < float("inf")
        if not (is_known and is_whole and is_time):
            return
        table = Table()
        table.number(layout.SKETCH_ID_KIND, "H", kind)
        table.number(layout.SKETCH_ID_OFFSET, "H", first)
        table.number(layout.SKETCH_ID_COUNT, "Q", count)
        table.number(layout.SKETCH_ID_SUM_US, "d", sum_us)
        table.number(layout.SKETCH_ID_MAX_US, "d", max_us)
        table.vector(layout.SKETCH_ID_BUCKETS, 4, len(buckets) // 4, buckets)
        self.sketches[kind] = table


def _speculation(value: bytes) -> Table:
    drafts, draft_tokens, accepted_tokens = _SPECULATION.unpack_from(value)
    accepted = value[_SPECULATION.size :][: 8 * POSITIONS_MAX]
    accepted = accepted[: len(accepted) & ~7]
    table = Table()
    table.number(layout.SPECULATION_ID_DRAFTS, "Q", drafts)
    table.number(layout.SPECULATION_ID_DRAFT_TOKENS, "Q", draft_tokens)
    table.number(layout.SPECULATION_ID_ACCEPTED_TOKENS, "Q", accepted_tokens)
    table.vector(layout.SPECULATION_ID_ACCEPTED, 8, len(accepted) // 8, accepted)
    return table


def _transfer(value: bytes) -> Optional[Table]:
    transfers, moved, failures, seconds = _TRANSFER.unpack_from(value)
    if not 0.0 <= seconds < float("inf"):
        return None
    table = Table()
    table.number(layout.TRANSFER_ID_TRANSFERS, "Q", transfers)
    table.number(layout.TRANSFER_ID_BYTES, "Q", moved)
    table.number(layout.TRANSFER_ID_FAILURES, "Q", failures)
    table.number(layout.TRANSFER_ID_SECONDS, "d", seconds)
    return table

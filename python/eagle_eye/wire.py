"""Reads batches where they lie: no FlatBuffers package, no copy before the bounds are known.

Bytes from outside are hostile: whatever they are, the only error is `WireError`.
"""

from __future__ import annotations

import struct
from typing import Iterator, List, NamedTuple, Optional, Tuple, Union

from . import layout
from .engine_details import EngineDetails, of_batch
from .layout import BatchHead, EventKind, Reading, Severity, StepCore
from .step import bounded_name

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
_U64 = struct.Struct("<Q")
_F64 = struct.Struct("<d")
_U8 = struct.Struct("<B")
TABLES_MAX = 2048  # Engines, devices, events or verdicts in one batch that we accept.
TEXT_BYTES_MAX = 4096  # Of an event's or verdict's sentence; what is longer is cut.

Bytes = Union[bytes, bytearray, memoryview]


class WireError(ValueError):
    """The bytes are no batch: too many, of another kind, or malformed."""


class NamedEngine(NamedTuple):
    """An engine as a batch names it."""

    instance: int
    incarnation: int
    model_hash: int
    name: str
    model: str
    endpoint: str
    engine: str
    ranks: int
    process: int
    source: str
    container: str
    pod: str


class NamedDevice(NamedTuple):
    """A device as a batch names it."""

    device: int
    """Its index on its node, by which readings refer to it."""
    name: str
    kind: str
    vendor: str
    uuid: str
    container: str
    pod: str


class Event(NamedTuple):
    """A discrete fact. A kind that this version does not know is `UNKNOWN`."""

    id: int
    kind: EventKind
    severity: Severity
    wall_ns: int
    monotonic_ns: int
    source: str
    subject: str
    text: str
    code: int
    lost: int


class Verdict(NamedTuple):
    """What a rule concluded."""

    id: int
    revision: int
    rule: str
    severity: Severity
    subject: str
    text: str
    wall_ns: int


class Batch:
    """A batch whose bounds are checked. Keeps a view of the bytes it came from."""

    __slots__ = ("head", "_bytes", "_table", "_steps", "_readings")

    def __init__(self, data: Bytes) -> None:
        try:
            view = memoryview(data).cast("B")
        except TypeError as error:
            raise WireError(f"a batch is contiguous bytes: {error}") from error
        if len(view) > layout.BATCH_BYTES_MAX:
            raise WireError(f"{len(view)} bytes are larger than a batch may be")
        if len(view) < 8 or view[4:8] != layout.BATCH_IDENTIFIER:
            raise WireError("not a batch of this version")
        self._bytes = view
        self._table = Table(view, _unsigned(view, 0))
        at = self._table.place(layout.BATCH_ID_HEAD)
        if at is None:
            raise WireError("the batch has no head")
        _check(view, at, layout.BATCH_HEAD.size)
        self.head = BatchHead._make(layout.BATCH_HEAD.unpack_from(view, at))
        self._steps = self._table.vector(layout.BATCH_ID_STEPS, layout.STEP.size)
        self._readings = self._table.vector(layout.BATCH_ID_READINGS, layout.READING.size)

    @property
    def step_count(self) -> int:
        """How many steps the batch holds."""
        return self._steps[1]

    @property
    def reading_count(self) -> int:
        """How many readings the batch holds."""
        return self._readings[1]

    def steps(self) -> Iterator[StepCore]:
        """The steps in their order."""
        return map(StepCore._make, layout.STEP.iter_unpack(self.step_bytes()))

    def step_bytes(self) -> memoryview:
        """The steps' bytes back to back, for readers that need few fields."""
        at, count = self._steps
        return self._bytes[at : at + count * layout.STEP.size]

    def readings(self) -> Iterator[Reading]:
        """The readings in their order."""
        at, count = self._readings
        region = self._bytes[at : at + count * layout.READING.size]
        return map(Reading._make, layout.READING.iter_unpack(region))

    def node_name(self) -> Optional[str]:
        """The node's true name, where the batch carries it."""
        return self._table.text(layout.BATCH_ID_NODE_NAME)

    def held_ns(self) -> int:
        """In an answer: how long its request was held before it was published, ns."""
        return self._table.number(layout.BATCH_ID_HELD_NS, _U64)

    def engines(self) -> List[NamedEngine]:
        """The engines that the batch names."""
        return [_engine(table) for table in self.tables(layout.BATCH_ID_ENGINES)]

    def devices(self) -> List[NamedDevice]:
        """The devices that the batch names."""
        return [_device(table) for table in self.tables(layout.BATCH_ID_DEVICES)]

    def events(self) -> List[Event]:
        """The events that the batch carries."""
        return [_event(table) for table in self.tables(layout.BATCH_ID_EVENTS)]

    def verdicts(self) -> List[Verdict]:
        """The verdicts that the batch carries."""
        return [_verdict(table) for table in self.tables(layout.BATCH_ID_VERDICTS)]

    def details(self) -> List[EngineDetails]:
        """What engines say beside their steps."""
        return of_batch(self)

    @property
    def is_hot(self) -> bool:
        """Whether the batch can only hold structs: nothing else to look for."""
        return self._table.ends_with(layout.BATCH_ID_READINGS)

    def tables(self, field: int) -> List[Table]:
        """The tables of a field, for those who read what stands in them."""
        return self._table.tables(field)


class Table:
    """A table by its offsets; what leaves the bytes is an error, what is newer is passed over."""

    __slots__ = ("_bytes", "_at", "_end", "_fields", "_fields_end")

    def __init__(self, view: memoryview, at: int) -> None:
        _check(view, at, 4)
        fields = at - _I32.unpack_from(view, at)[0]
        _check(view, fields, 4)
        fields_bytes = _U16.unpack_from(view, fields)[0]
        table_bytes = _U16.unpack_from(view, fields + 2)[0]
        if fields_bytes < 4 or fields_bytes % 2 or table_bytes < 4:
            raise WireError("a table contradicts itself")
        _check(view, fields, fields_bytes)
        _check(view, at, table_bytes)
        self._bytes, self._at, self._end = view, at, at + table_bytes
        self._fields, self._fields_end = fields, fields + fields_bytes

    def place(self, field: int) -> Optional[int]:
        """Where a field stands, or None if it is absent."""
        entry = self._fields + 4 + 2 * field
        if entry + 2 > self._fields_end:
            return None
        offset = _U16.unpack_from(self._bytes, entry)[0]
        if offset == 0:
            return None
        if offset < 4 or self._at + offset >= self._end:
            raise WireError("a field lies outside of its table")
        return self._at + int(offset)

    def ends_with(self, field: int) -> bool:
        """Whether no field beyond this one can be there."""
        return bool(self._fields + 4 + 2 * (field + 1) >= self._fields_end)

    def vector(self, field: int, stride: int) -> Tuple[int, int]:
        """Where a vector's items begin and how many there are; (0, 0) if absent."""
        place = self.place(field)
        if place is None:
            return 0, 0
        at = place + _unsigned(self._bytes, place)
        count = _unsigned(self._bytes, at)
        _check(self._bytes, at + 4, count * stride)
        return at + 4, count

    def text(self, field: int) -> Optional[str]:
        """A string, or None if it is absent."""
        at, length = self.vector(field, 1)
        if at == 0:
            return None
        try:
            return str(self._bytes[at : at + length], "utf-8")
        except UnicodeDecodeError as error:
            raise WireError("a string is not UTF-8") from error

    def number(self, field: int, kind: struct.Struct) -> int:
        """A scalar, 0 if it is absent."""
        place = self.place(field)
        if place is None:
            return 0
        _check(self._bytes, place, kind.size)
        return int(kind.unpack_from(self._bytes, place)[0])

    def real(self, field: int) -> float:
        """A number of 64 bits, 0 if it is absent."""
        place = self.place(field)
        if place is None:
            return 0.0
        _check(self._bytes, place, _F64.size)
        return float(_F64.unpack_from(self._bytes, place)[0])

    def bytes(self, field: int, stride: int) -> memoryview:
        """A vector's items of so many bytes each, back to back; none if it is absent."""
        at, count = self.vector(field, stride)
        return self._bytes[at : at + count * stride]

    def table(self, field: int) -> Optional[Table]:
        """A table in this one, None if it is absent."""
        place = self.place(field)
        return None if place is None else Table(self._bytes, place + _unsigned(self._bytes, place))

    def tables(self, field: int) -> List[Table]:
        """A vector of tables, none if it is absent."""
        at, count = self.vector(field, 4)
        if count > TABLES_MAX:
            raise WireError(f"{count} tables are more than a batch may carry")
        return [
            Table(self._bytes, place + _unsigned(self._bytes, place))
            for place in range(at, at + 4 * count, 4)
        ]


def read_batch(data: Bytes) -> Batch:
    """A batch from a message. Raises WireError, and nothing else."""
    return Batch(data)


def iter_steps(data: Bytes) -> Iterator[StepCore]:
    """The steps of a message, checked before the first is given.

    Raises WireError, and nothing else, at once and not while iterating.
    """
    return Batch(data).steps()


def _name(table: Table, field: int) -> str:
    return bounded_name(table.text(field) or "")


def _engine(table: Table) -> NamedEngine:
    return NamedEngine(
        instance=table.number(layout.ENGINE_ID_INSTANCE, _U64),
        incarnation=table.number(layout.ENGINE_ID_INCARNATION, _U64),
        model_hash=table.number(layout.ENGINE_ID_MODEL_HASH, _U64),
        name=_name(table, layout.ENGINE_ID_NAME),
        model=_name(table, layout.ENGINE_ID_MODEL),
        endpoint=_name(table, layout.ENGINE_ID_ENDPOINT),
        engine=_name(table, layout.ENGINE_ID_ENGINE),
        ranks=table.number(layout.ENGINE_ID_RANKS, _U16),
        process=table.number(layout.ENGINE_ID_PROCESS, _U32),
        source=_name(table, layout.ENGINE_ID_SOURCE),
        container=_name(table, layout.ENGINE_ID_CONTAINER),
        pod=_name(table, layout.ENGINE_ID_POD),
    )


def _device(table: Table) -> NamedDevice:
    return NamedDevice(
        device=table.number(layout.DEVICE_ID_INDEX, _U32),
        name=_name(table, layout.DEVICE_ID_NAME),
        kind=_name(table, layout.DEVICE_ID_KIND),
        vendor=_name(table, layout.DEVICE_ID_VENDOR),
        uuid=_name(table, layout.DEVICE_ID_UUID),
        container=_name(table, layout.DEVICE_ID_CONTAINER),
        pod=_name(table, layout.DEVICE_ID_POD),
    )


def _event(table: Table) -> Event:
    kind = table.number(layout.EVENT_ID_KIND, _U16)
    return Event(
        id=table.number(layout.EVENT_ID_ID, _U64),
        kind=EventKind(kind) if kind in _KINDS else EventKind.UNKNOWN,
        severity=_severity(table.number(layout.EVENT_ID_SEVERITY, _U8)),
        wall_ns=table.number(layout.EVENT_ID_WALL_NS, _U64),
        monotonic_ns=table.number(layout.EVENT_ID_MONOTONIC_NS, _U64),
        source=_name(table, layout.EVENT_ID_SOURCE),
        subject=_name(table, layout.EVENT_ID_SUBJECT),
        text=(table.text(layout.EVENT_ID_TEXT) or "")[:TEXT_BYTES_MAX],
        code=table.number(layout.EVENT_ID_CODE, _U64),
        lost=table.number(layout.EVENT_ID_LOST, _U64),
    )


def _verdict(table: Table) -> Verdict:
    return Verdict(
        id=table.number(layout.VERDICT_ID_ID, _U64),
        revision=table.number(layout.VERDICT_ID_REVISION, _U32),
        rule=_name(table, layout.VERDICT_ID_RULE),
        severity=_severity(table.number(layout.VERDICT_ID_SEVERITY, _U8)),
        subject=_name(table, layout.VERDICT_ID_SUBJECT),
        text=(table.text(layout.VERDICT_ID_TEXT) or "")[:TEXT_BYTES_MAX],
        wall_ns=table.number(layout.VERDICT_ID_WALL_NS, _U64),
    )


_KINDS = frozenset(int(kind) for kind in EventKind)


def _severity(number: int) -> Severity:
    """What is newer than this version is taken as critical."""
    return Severity(min(number, Severity.CRITICAL))


def _check(view: memoryview, at: int, length: int) -> None:
    if at < 0 or at + length > len(view):
        raise WireError("malformed or truncated")


def _unsigned(view: memoryview, at: int) -> int:
    _check(view, at, 4)
    return int(_U32.unpack_from(view, at)[0])

"""The agent's memory of newest values, read in place.

    0  magic      "EENEWST1"        8  layout u32, kind u32 (1 steps, 2 readings)
   16  cell_bytes u32, capacity u32     24  value_bytes u32
   64  length     u64  cells ever used  72  changes u64  one up with every write
  128  cells: a sequence u64 (2 x finished writes, odd during one), 56 bytes of
       nothing, then two copies of the value; write n goes to copy n mod 2

A copy is believed only if no second write began while it was taken, so that
what is read is whole, however often the agent writes.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import platform
import struct
import threading
from typing import List, Optional, Tuple, Union

from .. import layout
from ..layout import Reading
from ..memory import F_GET_SEALS, F_SEAL_GROW, F_SEAL_SHRINK
from .pick import DISTURBED, Disturbed
from .record import Record

MAGIC = b"EENEWST1"
LAYOUT, STEPS, READINGS = 1, 1, 2
CAPACITY_MAX = 1 << 16
CELLS_AT = 128
COPIES_AT = 64  # In a cell.
TRIES_MAX = 8
_HEADER = struct.Struct("<8sIIIII")
_LIFE = struct.Struct("<QQQQ")
STEP_VALUE_BYTES = layout.STEP_BYTES + _LIFE.size
READING_VALUE_BYTES = 8 + layout.READING.size


class TableError(ValueError):
    """The memory is not sealed, or no table of this layout and kind."""


class _Table:
    """The reading end of one table."""

    def __init__(self, fd: int, kind: int, value_bytes: int) -> None:
        seals = fcntl.fcntl(fd, F_GET_SEALS)
        if seals & (F_SEAL_SHRINK | F_SEAL_GROW) != F_SEAL_SHRINK | F_SEAL_GROW:
            raise TableError("the memory can be made smaller while it is read")
        size = os.fstat(fd).st_size
        self.cell_bytes = COPIES_AT + 2 * value_bytes
        most = CELLS_AT + CAPACITY_MAX * self.cell_bytes + mmap.PAGESIZE
        if not CELLS_AT + self.cell_bytes <= size <= most:
            raise TableError(f"{size} bytes are no table")
        self._map = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
        magic, version, is_kind, cell_bytes, capacity, is_value_bytes = _HEADER.unpack_from(self._map)
        if (
            (magic, version, is_kind) != (MAGIC, LAYOUT, kind)
            or (cell_bytes, is_value_bytes) != (self.cell_bytes, value_bytes)
            or not 1 <= capacity <= CAPACITY_MAX
            or CELLS_AT + capacity * cell_bytes > size
        ):
            raise TableError("the shared table is of another kind or layout than this version reads")
        self._value_bytes, self._capacity = value_bytes, int(capacity)
        self._bytes = memoryview(self._map)
        self._words = self._bytes[: size & ~7].cast("Q")

    @property
    def changes(self) -> int:
        """One up with every write to any cell: a cheap look for a change."""
        return self._words[9]

    def __len__(self) -> int:
        return min(self._words[8], self._capacity)

    def finished(self, index: int) -> int:
        """How often a cell was written."""
        return self._words[(CELLS_AT + index * self.cell_bytes) >> 3] >> 1

    def value(self, index: int) -> Tuple[int, Optional[bytes]]:
        """How many writes were finished and the newest value's bytes; None where
        writes disturbed every try, or the cell was never written (0 then)."""
        at = CELLS_AT + index * self.cell_bytes
        words, word, size = self._words, at >> 3, self._value_bytes
        finished = 0
        for _ in range(TRIES_MAX):
            finished = words[word] >> 1
            if not finished:
                return 0, None
            _order_loads()
            copy_at = at + COPIES_AT + (finished & 1) * size
            value = bytes(self._bytes[copy_at : copy_at + size])
            _order_loads()
            if 0 <= words[word] - 2 * finished <= 2:
                return finished, value
        return finished, None


_FENCE = threading.Lock()


def _order_loads() -> None:
    """Keeps what is read before apart from what is read after. This processor
    does so by itself."""


def _order_loads_by_lock() -> None:
    # An unlock that a lock follows is a full barrier everywhere.
    with _FENCE:
        pass
    with _FENCE:
        pass


if platform.machine() not in ("x86_64", "AMD64", "i686"):
    _order_loads = _order_loads_by_lock

Cell = Union[Record, Disturbed, None]


class StepTable(_Table):
    """The newest step of every rank and producer of this host. A cell is read
    again only when it was written since."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, STEPS, STEP_VALUE_BYTES)
        self._cells: List[Cell] = []
        self._seen: List[int] = []
        self._changes = -1
        self._disturbed = False

    def read(self) -> List[Cell]:
        """Every cell; a free one is None. Valid until the next call."""
        changes = self.changes
        if changes == self._changes and not self._disturbed:
            return self._cells
        self._changes, self._disturbed = changes, False
        count = len(self)
        while len(self._cells) < count:
            self._cells.append(None)
            self._seen.append(0)
        for index in range(count):
            if self.finished(index) != self._seen[index]:
                self._seen[index], self._cells[index] = self._look(index)
        return self._cells

    def _look(self, index: int) -> Tuple[int, Cell]:
        finished, value = self.value(index)
        if value is None:
            if not finished:
                return 0, None
            # The number before, so that the next read looks again; the value
            # before, which says so.
            self._disturbed = True
            before = self._cells[index]
            if isinstance(before, Record):
                before.previous = True
                return self._seen[index], before
            return self._seen[index], DISTURBED
        if not any(value[:8]):
            return finished, None
        life = _LIFE.unpack_from(value, layout.STEP_BYTES)
        return finished, Record(value[: layout.STEP_BYTES], *life)


class ReadingTable(_Table):
    """The newest reading of every metric of every device of this host."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, READINGS, READING_VALUE_BYTES)

    def read(self) -> List[Reading]:
        """Every reading that could be had whole."""
        found = []
        for index in range(len(self)):
            _, value = self.value(index)
            if value is not None and any(value[:8]):
                found.append(Reading._make(layout.READING.unpack_from(value, 8)))
        return found

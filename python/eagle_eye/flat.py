"""Lays down FlatBuffers tables: the few that go out at a low rate."""

from __future__ import annotations

import struct
from typing import Any, Dict, List, Optional, Sequence, Tuple

from .step import bounded_name

_U32 = struct.Struct("<I")


class Table:
    """A FlatBuffers table before it is laid down: fields by their id.

    Laid down front to back: its vtable, itself, then what it refers to, so that
    every offset points forward. A table begins 4 bytes after a multiple of 8,
    which aligns what follows its first word.
    """

    __slots__ = ("_inline", "_behind")

    def __init__(self) -> None:
        self._inline: List[Tuple[int, int, bytes]] = []  # Id, alignment, bytes.
        self._behind: Dict[int, Any] = {}

    def inline(self, field: int, alignment: int, data: bytes) -> None:
        """A struct or number that stands in the table itself."""
        self._inline.append((field, alignment, data))

    def number(self, field: int, kind: str, value: Any) -> None:
        """A scalar of a `struct` kind; 0 is absent, which reads the same."""
        data = struct.pack("<" + kind, value)
        if value:
            self.inline(field, len(data), data)

    def text(self, field: int, text: str) -> None:
        """A name; an empty one is absent."""
        if text:
            data = bounded_name(text).encode("utf-8")
            self._behind[field] = (4, len(data), data + b"\0")

    def vector(self, field: int, alignment: int, count: int, data: bytes) -> None:
        """Numbers or structs back to back."""
        self._behind[field] = (alignment, count, data)

    def table(self, field: int, table: Optional[Table]) -> None:
        """Another table, if it is there."""
        if table is not None:
            self._behind[field] = table

    def tables(self, field: int, tables_: Sequence[Table]) -> None:
        """Other tables; none are absent."""
        if tables_:
            self._behind[field] = list(tables_)

    def finish(self, identifier: bytes) -> bytes:
        """The whole message with this table as its root."""
        out = bytearray(4) + identifier
        _U32.pack_into(out, 0, self._lay(out))
        out += bytes(-len(out) % 8)
        return bytes(out)

    def _lay(self, out: bytearray) -> int:
        """Appends the table and all behind it; where it begins."""
        offsets = [(field, 4, b"\0\0\0\0") for field in self._behind]
        fields = sorted(self._inline + offsets, key=lambda field: -field[1])
        slots = 1 + max((field for field, _, _ in fields), default=-1)
        places, body = [0] * slots, bytearray(4)
        for field, alignment, data in fields:
            body += bytes(-(len(body) + 4) % alignment)
            places[field] = len(body)
            body += data
        vtable = struct.pack(f"<HH{slots}H", 4 + 2 * slots, len(body), *places)
        out += bytes((4 - len(out) - len(vtable)) % 8)
        at = len(out) + len(vtable)
        struct.pack_into("<i", body, 0, len(vtable))
        out += vtable + body
        for field, behind in self._behind.items():
            place = at + places[field]
            _U32.pack_into(out, place, _lay_behind(out, behind) - place)
        return at


def _lay_behind(out: bytearray, behind: Any) -> int:
    if isinstance(behind, Table):
        return behind._lay(out)
    if isinstance(behind, list):
        out += bytes(-len(out) % 4)
        at = len(out)
        out += _U32.pack(len(behind)) + bytes(4 * len(behind))
        for number, table in enumerate(behind):
            place = at + 4 + 4 * number
            _U32.pack_into(out, place, table._lay(out) - place)
        return at
    alignment, count, data = behind
    out += bytes((-4 - len(out)) % max(alignment, 4))
    at = len(out)
    out += _U32.pack(count) + data
    return at

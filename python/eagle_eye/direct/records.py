"""Reads steps and signs of life out of a door's memory, as an agent does.

The engine's thread does nothing for it: what it wrote stands in the slots, and
whoever looks too late finds a gap, which it counts.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from typing import Dict, List

from .. import layout
from ..layout import Flag

RANK_END = 4096  # One past the highest rank that readers accept.

STATE_FLAGS = Flag.DRAINING | Flag.ASLEEP | Flag.WARMING | Flag.GOODBYE | Flag.SIMULATED
"""What the producer is up to, as its heartbeat may tell when no step does."""
LASTING_FLAGS = Flag.GOODBYE | Flag.SIMULATED
"""Those of them that no heartbeat takes back."""

_U64 = struct.Struct("<Q")
_U32 = struct.Struct("<I")
_RANK = struct.Struct("<H")
# In a step, by schema/README.md.
RANK_AT, SEQUENCE_AT, MONOTONIC_AT, TTL_AT, FLAGS_AT, HEARTBEAT_AT = 24, 32, 40, 60, 72, 208
_BEAT_END = layout.DOOR_HEARTBEAT_AT + layout.DOOR_HEARTBEAT_BYTES


class Records:
    """What a door says, and the newest of each rank."""

    def __init__(self, memory: mmap.mmap, slot_count: int) -> None:
        self.newest: Dict[int, bytes] = {}
        """The newest step of each rank, with its last sign of life."""
        self.lost = 0
        """Steps that were overwritten before anybody looked."""
        self.refused = 0
        """Steps of ranks that no reader accepts."""
        self._memory = memory
        self._slots = slot_count
        self._seen = 0
        self._beat = b""

    def look(self) -> List[bytes]:
        """Every step since the last look, and ranks without one that gave a
        sign of life; packed, in their order."""
        records = self._steps()
        beat = self._memory[layout.DOOR_HEARTBEAT_AT : _BEAT_END]
        if beat != self._beat:
            self._beat = beat
            records += self._alive(beat)
        return records

    def _steps(self) -> List[bytes]:
        memory, seen = self._memory, self._seen
        head = _U64.unpack_from(memory, layout.DOOR_HEAD_AT)[0]
        if head == seen:
            return []
        first = max(seen + 1, head - self._slots + 1)
        self.lost += first - seen - 1
        self._seen = head
        records = []
        for sequence in range(first, head + 1):
            at = layout.DOOR_SLOTS_AT + (sequence - 1) % self._slots * layout.DOOR_SLOT_BYTES
            slot = memory[at : at + layout.DOOR_SLOT_BYTES]
            number, length, crc = layout.DOOR_SLOT_HEADER.unpack_from(slot)
            step = slot[layout.DOOR_SLOT_HEADER_BYTES :]
            if number != sequence or length != layout.STEP_BYTES or zlib.crc32(step) != crc:
                self.lost += 1
                continue
            rank = rank_of(step)
            if rank >= RANK_END:
                self.refused += 1
                continue
            self.newest[rank] = step
            records.append(step)
        return records

    def _alive(self, beat: bytes) -> List[bytes]:
        body = beat[:-4]
        if zlib.crc32(body) != _U32.unpack_from(beat, len(body))[0]:
            return []  # Half written; the next one is whole.
        _, monotonic_ns, _, flags = layout.DOOR_HEARTBEAT.unpack(body)
        alive = []
        for rank, step in self.newest.items():
            told = with_beat(step, monotonic_ns, flags)
            if told is not step:
                self.newest[rank] = told
                alive.append(told)
        return alive


def rank_of(step: bytes) -> int:
    """A packed step's rank."""
    return int(_RANK.unpack_from(step, RANK_AT)[0])


def with_beat(step: bytes, monotonic_ns: int, flags: int) -> bytes:
    """The step with a later sign of life, or itself where that is no news: it
    spoke within a third of its promise, and of the same state."""
    heartbeat_ns = _U64.unpack_from(step, HEARTBEAT_AT)[0]
    before = _U32.unpack_from(step, FLAGS_AT)[0]
    after = before & (~STATE_FLAGS | LASTING_FLAGS) | flags & STATE_FLAGS | Flag.HEARTBEAT
    silence_ns = _U32.unpack_from(step, TTL_AT)[0] * 1_000_000 // 3
    if monotonic_ns <= heartbeat_ns or before & Flag.GOODBYE:
        return step
    if monotonic_ns - heartbeat_ns < silence_ns and (before ^ after) & STATE_FLAGS == 0:
        return step
    told = bytearray(step)
    _U32.pack_into(told, FLAGS_AT, after & 0xFFFFFFFF)
    _U64.pack_into(told, HEARTBEAT_AT, monotonic_ns)
    return bytes(told)

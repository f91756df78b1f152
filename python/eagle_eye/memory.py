"""The sealed memory of a door: made, described and given signs of life."""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
import zlib

from . import layout

# Numbers of Linux that the standard library lacks on some builds of 3.9.
F_ADD_SEALS = getattr(fcntl, "F_ADD_SEALS", 1033)
F_GET_SEALS = getattr(fcntl, "F_GET_SEALS", 1034)
F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW = 1, 2, 4
_MFD_CLOEXEC, _MFD_ALLOW_SEALING, _MFD_NOEXEC_SEAL = 1, 2, 8


class DoorMemory:
    """A `memfd` of fixed size with a door's header, names, empty slots and,
    where `details_bytes` says so, room for details behind them."""

    def __init__(
        self, slot_count: int, instance: int, incarnation: int, info: bytes, details_bytes: int = 0
    ) -> None:
        if not 0 < slot_count <= layout.DOOR_SLOTS_MAX or slot_count & (slot_count - 1):
            raise ValueError(f"slots must be a power of two up to {layout.DOOR_SLOTS_MAX}")
        if details_bytes and (
            not layout.DOOR_DETAILS_HEAD_BYTES < details_bytes <= layout.DOOR_DETAILS_BYTES_MAX
            or details_bytes % 8
        ):
            raise ValueError(
                f"details_bytes must be 0 or a multiple of 8 up to {layout.DOOR_DETAILS_BYTES_MAX}"
            )
        slots_end = layout.DOOR_SLOTS_AT + slot_count * layout.DOOR_SLOT_BYTES
        self.details_at = slots_end if details_bytes else 0  # A slot's size keeps it aligned to 8.
        self.details_bytes_max = max(0, details_bytes - layout.DOOR_DETAILS_HEAD_BYTES)
        """So many bytes of details fit."""
        self.bytes = slots_end + details_bytes
        self.fd = _sealed_memfd(self.bytes)
        # Shared: what a fork inherits is the same memory, so a child must not write.
        self.map = mmap.mmap(self.fd, self.bytes, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        view = memoryview(self.map)
        self.head = view[layout.DOOR_HEAD_AT : layout.DOOR_HEAD_AT + 8].cast("Q")
        self._info_version = view[layout.DOOR_INFO_AT : layout.DOOR_INFO_AT + 4].cast("I")
        at = self.details_at
        self._details_version = view[at : at + 4].cast("I") if at else None
        self._heartbeats = 0
        # Between the threads that write names, details and heartbeats; the
        # thread that writes steps never takes it.
        self._lock = threading.Lock()
        self.write_info(info)
        self.map[: layout.DOOR_HEADER.size] = layout.DOOR_HEADER.pack(
            layout.DOOR_MAGIC,
            layout.DOOR_LAYOUT,
            self.bytes,
            layout.DOOR_SLOTS_AT,
            layout.DOOR_SLOT_BYTES,
            slot_count,
            self.details_at,
            instance,
            incarnation,
            details_bytes,
        )

    def write_info(self, info: bytes) -> None:
        """Replaces the names; a reader sees the version odd while it changes."""
        if len(info) > layout.DOOR_INFO_BYTES_MAX:
            raise ValueError(f"names take {len(info)} bytes, {layout.DOOR_INFO_BYTES_MAX} fit")
        with self._lock:
            version = self._info_version[0]
            self._info_version[0] = (version + 1) & 0xFFFFFFFF
            at = layout.DOOR_INFO_BYTES_AT
            self.map[at : at + len(info)] = info
            self.map[layout.DOOR_INFO_AT + 4 : layout.DOOR_INFO_AT + 12] = layout.DOOR_INFO.pack(
                0, len(info), zlib.crc32(info)
            )[4:]
            self._info_version[0] = (version + 2) & 0xFFFFFFFF

    def write_details(self, details: bytes) -> None:
        """Replaces the details; a reader sees the version odd while they change."""
        version_cell = self._details_version
        if version_cell is None or len(details) > self.details_bytes_max:
            raise ValueError(f"details take {len(details)} bytes, {self.details_bytes_max} fit")
        with self._lock:
            version = version_cell[0]
            version_cell[0] = (version + 1) & 0xFFFFFFFF
            at = self.details_at
            head = layout.DOOR_DETAILS.pack(0, len(details), zlib.crc32(details))[4:]
            self.map[at + 4 : at + layout.DOOR_DETAILS_HEAD_BYTES] = head
            at += layout.DOOR_DETAILS_HEAD_BYTES
            self.map[at : at + len(details)] = details
            version_cell[0] = (version + 2) & 0xFFFFFFFF

    def write_heartbeat(self, monotonic_ns: int, wall_ns: int, flags: int) -> None:
        """Replaces the heartbeat in one copy, guarded by its checksum."""
        with self._lock:
            self._heartbeats += 1
            beat = layout.DOOR_HEARTBEAT.pack(self._heartbeats, monotonic_ns, wall_ns, flags)
            at = layout.DOOR_HEARTBEAT_AT
            self.map[at : at + layout.DOOR_HEARTBEAT_BYTES] = beat + zlib.crc32(beat).to_bytes(4, "little")

    def close_fd(self) -> None:
        """Gives the descriptor back; the mapping lives while it is referred to."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def _sealed_memfd(size: int) -> int:
    flags = _MFD_CLOEXEC | _MFD_ALLOW_SEALING
    try:
        fd = os.memfd_create("eagle-eye-door", flags)
    except PermissionError:
        # Where vm.memfd_noexec = 2, memory must say that it is never executed.
        fd = os.memfd_create("eagle-eye-door", flags | _MFD_NOEXEC_SEAL)
    try:
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
    except BaseException:
        os.close(fd)
        raise
    return fd

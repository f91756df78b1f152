"""The agent's bell: wakes an agent that said that it sleeps."""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import List

from .memory import F_GET_SEALS, F_SEAL_SHRINK

BELL_MAGIC = b"EEBELL01"
BELL_BYTES = 4096
SLEEPING_AT = 64

try:
    import ctypes

    # PyDLL keeps the GIL: giving it up around a write that never waits costs
    # a fight for it with every other thread of the engine.
    _write = ctypes.PyDLL(None).write
    _write.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
    _write.restype = ctypes.c_ssize_t
except (ImportError, OSError, AttributeError):  # No ctypes: the agent's slow poll finds us.
    _write = None  # type: ignore[assignment]

_ONE = (1).to_bytes(8, "little")


class BellError(Exception):
    """What the agent handed over as its bell could harm the engine."""


class Bell:
    """The bell's memory and eventfd; both go when the last user lets go.

    Never closed by hand: a writer may just be ringing, and a descriptor's
    number that is closed under it would soon be somebody else's file.
    """

    __slots__ = ("sleeping", "_eventfd", "_map")

    def __init__(self, memory_fd: int, eventfd: int) -> None:
        """Takes `eventfd` over, and only on success."""
        if _write is None:
            raise BellError("this Python has no ctypes")
        # Unsealed memory could be cut short, which kills whoever reads it.
        if not fcntl.fcntl(memory_fd, F_GET_SEALS) & F_SEAL_SHRINK:
            raise BellError("the bell's memory is not sealed against shrinking")
        if os.fstat(memory_fd).st_size < BELL_BYTES:
            raise BellError("the bell's memory is too small")
        if not fcntl.fcntl(eventfd, fcntl.F_GETFL) & os.O_NONBLOCK:
            raise BellError("the bell's eventfd could block its writer")
        self._map = mmap.mmap(memory_fd, BELL_BYTES, mmap.MAP_SHARED, mmap.PROT_READ)
        if self._map[: len(BELL_MAGIC)] != BELL_MAGIC:
            raise BellError("the bell's memory does not begin with its magic bytes")
        self.sleeping = memoryview(self._map)[SLEEPING_AT : SLEEPING_AT + 4].cast("I")
        self._eventfd = eventfd

    @classmethod
    def open(cls, fds: List[int]) -> Bell:
        """The bell behind two received descriptors; takes from the list what it keeps."""
        if len(fds) != 2:
            raise BellError(f"a welcome brings 2 descriptors, this one brought {len(fds)}")
        try:
            bell = cls(fds[0], fds[1])
        except (OSError, ValueError) as error:
            raise BellError(f"the bell cannot be used: {error}") from error
        del fds[1]
        return bell

    def ring(self) -> None:
        """Adds one. A full counter (EAGAIN) means that it already rings."""
        _write(self._eventfd, _ONE, 8)

    def __del__(self) -> None:
        eventfd = getattr(self, "_eventfd", -1)
        if eventfd >= 0:
            os.close(eventfd)

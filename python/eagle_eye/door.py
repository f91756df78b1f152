"""An engine's door to its agent: memory into which it writes its steps.

Nothing here waits for an agent, and `Door.write` raises nothing, blocks on
nothing and takes no lock that anyone else holds for longer than a write.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import threading
import time
import weakref
import zlib
from typing import TYPE_CHECKING, Dict, List, Optional, Union

from . import layout
from .link import LOG, Link, socket_paths
from .memory import DoorMemory
from .step import Engine, Step, bounded_name, name_hash

if TYPE_CHECKING:
    from .direct import Settings, Speaker

SLOTS_DEFAULT = 1024  # A second at 1 kHz in 278,528 bytes; older steps count as a gap.
TTL_MS_DEFAULT = 1000
CLOCK_ERROR_NS_DEFAULT = 1000
FAULTS_MAX = 16  # So many faulty writes in a row and the door writes no more.
CLOSE_WAIT_S = 0.2
SPEAKER_WAIT_S = 0.5  # For a goodbye over NATS.

# Looked up once: a global is cheaper than an attribute of a module.
_monotonic_ns = time.monotonic_ns
_time_ns = time.time_ns
_crc32 = zlib.crc32
_pack_step = layout.pack_step
_pack_slot_header = layout.DOOR_SLOT_HEADER.pack_into
_HEADER = layout.DOOR_SLOT_HEADER_BYTES
_SLOT = layout.DOOR_SLOT_BYTES
_STEP = layout.STEP_BYTES
_SLOTS_AT = layout.DOOR_SLOTS_AT


class Door:
    """Where one engine's steps, heartbeats and names stand for its agent.

    A child made by `fork` cannot use its parent's door, since it would write
    the same slots: its copy closes and writes nothing. It opens its own.

    Where the memory cannot be made, the door says so in the log and stays
    shut: `open` is false and `write` does nothing.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        role: int = layout.Role.AGGREGATED,
        producer: int = 0,
        producers: int = 1,
        flags: int = 0,
        ttl_ms: int = TTL_MS_DEFAULT,
        clock_error_ns: int = CLOCK_ERROR_NS_DEFAULT,
        slots: int = SLOTS_DEFAULT,
        details_bytes: int = 0,
        socket_path: Union[str, List[str], None] = None,
        nats: Optional[Settings] = None,
    ) -> None:
        """Opens a door and begins to look for an agent; where `nats` or
        EAGLE_EYE_NATS names servers, for those too.

        Raises only ValueError, for numbers that cannot be.
        """
        for name, number, largest in (
            ("producer", producer, 0xFFFF), ("producers", producers, 0xFFFF),
            ("role", role, 0xFF), ("ranks", engine.ranks, 0xFFFF), ("flags", flags, 0xFFFFFFFF),
            ("ttl_ms", ttl_ms, 0xFFFFFFFF), ("clock_error_ns", clock_error_ns, 0xFFFFFFFF),
        ):
            if not 0 <= number <= largest:
                raise ValueError(f"{name} must be from 0 to {largest}, it is {number}")
        if not 10 <= ttl_ms:
            raise ValueError(f"ttl_ms must be at least 10, it is {ttl_ms}")
        self.engine = engine
        self.incarnation = time.time_ns()
        """Differs after every restart; larger is later on one host."""
        self.flags = int(flags)
        """Standing `Flag` bits of every step and heartbeat, such as
        Flag.DRAINING; assign to it when the engine's state changes."""
        self.open = False
        """Whether steps are written."""
        self.faults = 0
        """Steps that were not written since something in them is no number."""
        self.unfit = 0
        """Values left out, as unknown, since they did not fit their field."""
        # A count that several threads advance at once without losing any.
        self._busy = itertools.count()
        self._identity = (
            name_hash(bounded_name(engine.name)), self.incarnation,
            name_hash(bounded_name(engine.model)), producer, producers, int(role),
        )
        self._ttl_ms = ttl_ms
        self._clock_error_ns = clock_error_ns
        self._mask = slots - 1
        self._sequence = 0
        self._rank_sequences: Dict[int, int] = {}
        self._slot = bytearray(_SLOT)
        self._core = memoryview(self._slot)[_HEADER:]
        self._faults_in_row = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._complaint: Optional[str] = None
        self._closed = False
        self._beaten_at_sequence = 0
        self._link: Optional[Link] = None
        self._memory: Optional[DoorMemory] = None
        self._details = b""
        self.speaker: Optional[Speaker] = None
        """What publishes to NATS while no agent has this door, if anything does."""
        self._pulse = threading.Thread(target=self._beat_on, name="eagle-eye-pulse", daemon=True)
        try:
            self._memory = DoorMemory(
                slots, self._identity[0], self.incarnation, engine.info(), details_bytes
            )
            self._map, self._head = self._memory.map, self._memory.head
            self.beat()
            paths = [socket_path] if isinstance(socket_path, str) else socket_path or socket_paths()
            self._link = Link(paths, self._memory.fd)
            self.open = True
            _DOORS.add(self)
            self._link.start()
            self._pulse.start()
            if nats is not None or os.environ.get("EAGLE_EYE_NATS"):
                self._speak(nats)
        except (OSError, RuntimeError) as error:
            LOG.warning("eagle-eye: this engine's steps are not seen: %s", error)

    def write(self, step: Step) -> bool:
        """Stores one step, stamped with this moment; whether it was stored.

        Meant for one thread; when two meet here the second one's step is
        dropped and counted in `busy`.
        """
        lock = self._lock
        if not lock.acquire(False):
            next(self._busy)
            return False
        try:
            if not self.open:
                return False
            self._store(step, self.flags)
            self._faults_in_row = 0
        except Exception:
            if not self._store_fitted(step):
                return False
        finally:
            # Between the step's store and the look at the bell: the release is
            # a locked instruction on x86, so neither passes the other. Where
            # it is weaker, the agent's slow poll finds what was not rung for.
            lock.release()
        try:
            bell = self._link.bell  # type: ignore[union-attr]
            if bell is not None and bell.sleeping[0]:
                bell.ring()
        except Exception:
            self.faults += 1
        return True

    @property
    def busy(self) -> int:
        """Steps that were not written since another thread was writing."""
        return int(self._busy.__reduce__()[1][0])

    @property
    def written(self) -> int:
        """Steps stored since the door was opened, goodbyes included."""
        return self._sequence

    @property
    def welcomes(self) -> int:
        """How often an agent took this door's memory."""
        return self._link.welcomes if self._link is not None else 0

    def rank_written(self, rank: int) -> int:
        """Steps stored of this rank."""
        return self._rank_sequences.get(rank, 0)

    def describe(self, engine: Engine) -> None:
        """Replaces what a router needs to know, such as an endpoint found late.

        The name and the model stay: steps refer to them.
        """
        if (engine.name, engine.model) != (self.engine.name, self.engine.model):
            raise ValueError("an engine's name and model cannot change while its door is open")
        if not 0 <= engine.ranks <= 0xFFFF:
            raise ValueError(f"ranks must be from 0 to 65535, it is {engine.ranks}")
        self.engine = engine
        if self._memory is not None:
            self._memory.write_info(engine.info())

    @property
    def details_bytes_max(self) -> int:
        """So many bytes `write_details` takes; 0 where there is no room."""
        return self._memory.details_bytes_max if self._memory is not None else 0

    def write_details(self, details: bytes) -> None:
        """Replaces what stands beside the steps at a low rate, entries of
        `eagle_eye.details`. Not for the engine's own thread.

        Raises ValueError where they do not fit.
        """
        if self._memory is not None and self.open:
            self._memory.write_details(details)
            self._details = details

    def beat(self, flags: int = 0) -> None:
        """Writes a heartbeat. The door's own thread does so twice in a ttl."""
        if self._memory is None:
            return
        sequence = self._sequence
        idle = layout.Flag.HEARTBEAT if sequence == self._beaten_at_sequence else 0
        self._beaten_at_sequence = sequence
        flags = (self.flags | flags | idle) & 0xFFFFFFFF
        self._memory.write_heartbeat(_monotonic_ns(), _time_ns(), flags)

    def close(self) -> None:
        """Says goodbye and hangs up. Steps written before can still be read."""
        if self._closed:
            return
        self._closed = True
        self._stop.set()
        if self._lock.acquire(timeout=CLOSE_WAIT_S):
            try:
                open_until_now, self.open = self.open, False
                for rank in self._rank_sequences if open_until_now else ():
                    self._store(Step(rank), self.flags | layout.Flag.GOODBYE)
            except Exception as error:
                LOG.debug("eagle-eye: goodbye failed: %s", error)
            finally:
                self._lock.release()
        self.open = False
        if self._pulse.ident is not None:
            self._pulse.join(CLOSE_WAIT_S)
        self.beat(layout.Flag.GOODBYE)
        if self.speaker is not None:
            self.speaker.stop(SPEAKER_WAIT_S)
        link = self._link
        bell = link.bell if link is not None else None
        if bell is not None and bell.sleeping[0]:
            bell.ring()
        if link is not None and link.stop(CLOSE_WAIT_S) and self._memory is not None:
            self._memory.close_fd()

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _speak(self, settings: Optional[Settings]) -> None:
        """Begins to look for NATS; without it, the log says why."""
        try:
            # Here, since asyncio takes a while to import and few need it.
            from .direct import begin

            self.speaker = begin(self, settings)
        except Exception as error:
            LOG.warning("eagle-eye: this engine says nothing to NATS: %r", error)

    def _store(self, step: Step, flags: int) -> None:
        sequence = self._sequence + 1
        rank = step.rank
        rank_sequence = self._rank_sequences.get(rank, 0) + 1
        slot = self._slot
        _pack_step(
            slot, _HEADER, step, self._identity, rank_sequence,
            _monotonic_ns(), _time_ns(), self._clock_error_ns, self._ttl_ms, flags,
        )
        _pack_slot_header(slot, 0, sequence, _STEP, _crc32(self._core))
        # Counted before it is visible: if we are interrupted from here on, a
        # reader sees a gap, never two steps of one number.
        self._sequence = sequence
        self._rank_sequences[rank] = rank_sequence
        at = _SLOTS_AT + ((sequence - 1) & self._mask) * _SLOT
        self._map[at : at + _SLOT] = slot
        self._head[0] = sequence

    def _store_fitted(self, step: Step) -> bool:
        """The slow way, after packing failed: leaves out what does not fit."""
        try:
            fitted, unfit = step.fitted()
            self._store(fitted, self.flags)
            self.unfit += unfit
            self._faults_in_row = 0
            return True
        except Exception as error:
            self.faults += 1
            self._faults_in_row += 1
            if self._faults_in_row >= FAULTS_MAX:
                self.open = False
                # Said by the pulse's thread: a log may block, the engine may not.
                self._complaint = f"{FAULTS_MAX} steps in a row could not be written, the last for {error!r}"
            return False

    def _beat_on(self) -> None:
        # Two in a ttl and some slack, so that one late wake-up is no silence.
        period_s = self._ttl_ms / 1000 / 2.5
        while not self._stop.wait(period_s):
            try:
                self.beat()
                complaint, self._complaint = self._complaint, None
                if complaint is not None:
                    LOG.warning("eagle-eye: this engine's steps are no longer seen: %s", complaint)
            except Exception as error:
                LOG.log(logging.DEBUG, "eagle-eye: heartbeat failed: %r", error)

    def _leave_to_parent(self) -> None:
        """In a forked child: everything here is the parent's. Takes no lock,
        which a thread that the child lacks might hold for ever."""
        self.open = False
        self._closed = True
        if self._link is not None:
            self._link.forget()
        if self.speaker is not None:
            self.speaker.forget()
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.close_fd()


_DOORS: "weakref.WeakSet[Door]" = weakref.WeakSet()


def _close_all() -> None:
    for door in list(_DOORS):
        try:
            door.close()
        except Exception:
            LOG.debug("eagle-eye: a door did not close", exc_info=True)


def _leave_all_to_parent() -> None:
    for door in list(_DOORS):
        door._leave_to_parent()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_leave_all_to_parent)

"""One engine's door and all that is behind it: ranks, and a thread of its own.

The engine's thread calls `record`, which takes no lock and waits for nothing.
The plugin's thread folds what was kept, a little at a time, since while it
runs Python the engine's thread does not.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Dict, Iterator, Optional, Tuple

from .. import details, layout
from ..door import Door
from ..layout import Flag
from ..link import LOG
from .place import Place, attribute, number
from .rank import Rank
from .tally import Tally

FAULTS_MAX = 16  # So many faulty calls in a row and nothing is recorded any more.
FOLD_PERIOD_S = 0.1
FOLD_SLICE_S = 0.0001  # Folded in one go; then the engine's turn.
FOLD_PAUSE_S = 0.001
DETAILS_PERIOD_S = 1.0
DETAILS_BYTES_PER_RANK = 16384


class Reporter:
    """What the loggers of one process say of one engine."""

    def __init__(self, place: Place, config: Any, ranks: Tuple[int, ...], counts_rejections: bool) -> None:
        self.process = os.getpid()
        self.users = 0
        """Loggers that report here; their number only ever grows."""
        self.left = 0
        """Those of them that vLLM dropped."""
        self.faults = 0
        """Calls that raised here or brought what cannot be read."""
        self.off = False
        """Whether nothing is recorded any more, after faults in a row."""
        self.closed = False
        self._config = config
        self._counts_rejections = counts_rejections
        self._alone = place.producers == 1
        # Nobody sent a request before the front ends were up, and the first of
        # them says so for all.
        self._idle = place.producer == 0
        self._faults_in_row = 0
        self._last_fault: Optional[BaseException] = None
        self._ranks: Dict[int, Rank] = {}
        self._tallies: Dict[int, Tally] = {}
        self._written_details = b""
        room = DETAILS_BYTES_PER_RANK * len(ranks)
        self.door = Door(
            place.engine,
            role=place.role,
            producer=place.producer,
            producers=place.producers,
            # Gauges are of the whole rank, counters of this front end.
            flags=0 if self._alone else Flag.PARTIAL,
            socket_path=place.socket_path,
            details_bytes=min(max(room, layout.DOOR_DETAILS_BYTES), layout.DOOR_DETAILS_BYTES_MAX),
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="eagle-eye-vllm", daemon=True)
        self._thread.start()

    def add(self, ranks: Tuple[int, ...]) -> None:
        """One more logger, for these ranks."""
        self.users += 1
        for rank in ranks:
            if rank not in self._ranks:
                self._rank(rank)

    def record(self, engine_index: Any, scheduler: Any, iteration: Any) -> None:
        """One step of one rank, on the engine's time."""
        if self.off:
            return
        try:
            rank = self._ranks.get(engine_index)
            if rank is None:
                rank = self._late_rank(engine_index)
            try:
                rank.take(scheduler, iteration)
                self._faults_in_row = 0
            except Exception as error:
                if rank.take_plain(scheduler, iteration):
                    self.fault(error)
                else:
                    self._faults_in_row = 0
        except Exception as error:
            self.fault(error)
        except (KeyboardInterrupt, SystemExit):
            raise  # Meant for the process, which happened to be here.
        except BaseException as error:
            self.fault(error)

    def fault(self, error: BaseException) -> None:
        """Counts; the plugin's thread says it, since a log may block."""
        self.faults += 1
        self._faults_in_row += 1
        if self._faults_in_row >= FAULTS_MAX and not self.off:
            self._last_fault = error
            self.off = True

    def initialized(self) -> None:
        """Reads the capacities again, which are final now."""
        for rank in self._ranks.values():
            self._capacities(rank)
            self.door.write(rank.step)

    def sleep(self, asleep: bool) -> None:
        """Says at once whether the engine sleeps."""
        door = self.door
        door.flags = door.flags | Flag.ASLEEP if asleep else door.flags & ~Flag.ASLEEP
        for rank in self._ranks.values():
            door.write(rank.step)
        door.beat()

    def reject(self) -> None:
        """Counts a refusal at the first rank, as nobody had chosen one yet."""
        if self._counts_rejections:
            step = next(iter(self._ranks.values())).step
            step.rejections = (step.rejections or 0) + 1

    def let_go(self) -> None:
        """A logger is gone. May run on any thread, at any time: only counts."""
        self.left += 1

    def close(self) -> None:
        """Says goodbye."""
        self.closed = True
        self._stop.set()
        self.door.close()

    def tallies(self) -> Dict[int, Tally]:
        """Each rank's details as far as they are folded."""
        return self._tallies

    def _late_rank(self, engine_index: Any) -> Rank:
        """A rank that no constructor named, as after an elastic deployment grew."""
        if engine_index.__class__ is not int or not 0 <= engine_index <= 0xFFFF:
            raise ValueError(f"no rank: {engine_index!r}")
        return self._rank(engine_index)

    def _rank(self, number_: int) -> Rank:
        rank = Rank(number_, self.door, self._alone)
        self._capacities(rank)
        rank.begin(self._idle, self._counts_rejections)
        self._tallies = {**self._tallies, number_: Tally(rank)}  # Replaced whole: read by our thread.
        self._ranks[number_] = rank
        return rank

    def _capacities(self, rank: Rank) -> None:
        step, config = rank.step, self._config
        step.max_sequences = number(config, "scheduler_config.max_num_seqs")
        step.max_batched_tokens = number(config, "scheduler_config.max_num_batched_tokens")
        step.kv_blocks = number(config, "cache_config.num_gpu_blocks")
        step.block_size = number(config, "cache_config.block_size", 0xFFFF)
        if attribute(config, "lora_config") is not None and step.lora_running is None and self._idle:
            step.lora_running = step.lora_waiting = 0

    def _run(self) -> None:
        told_at = time.monotonic()
        while not self._stop.wait(FOLD_PERIOD_S):
            try:
                if self._is_over():
                    return
                self._fold()
                now = time.monotonic()
                if now - told_at >= DETAILS_PERIOD_S:
                    told_at = now
                    self._tell_details()
            except Exception as error:
                LOG.debug("eagle-eye: details failed: %r", error)

    def _is_over(self) -> bool:
        if self.off:
            LOG.warning("eagle-eye: this engine's steps are no longer seen: %d calls in a row could not be "
                        "read, the last for %r", FAULTS_MAX, self._last_fault)
            self.close()
        elif self.users and self.left >= self.users:
            LOG.warning("eagle-eye: this engine's steps are no longer seen: vLLM dropped its stat logger, "
                        "as it does at its end and when it scales an elastic deployment")
            self.close()
        return self.closed

    def _fold(self) -> None:
        for tally in self._tallies.values():
            while tally.fold(FOLD_SLICE_S) and not self._stop.is_set():
                time.sleep(FOLD_PAUSE_S)

    def _tell_details(self) -> None:
        packed, left_out = details.pack(self._entries(), self.door.details_bytes_max)
        if packed != self._written_details:
            self._written_details = packed
            self.door.write_details(packed)
            if left_out:
                LOG.debug("eagle-eye: %d details found no room", left_out)

    def _entries(self) -> Iterator[bytes]:
        for tally in self._tallies.values():
            yield from tally.entries()


_reporters: Dict[Tuple[str, int], Reporter] = {}
_lock = threading.Lock()  # Between constructors; `record` never takes it.


def reporter_at(place: Place, config: Any, ranks: Tuple[int, ...], counts_rejections: bool) -> Reporter:
    """The reporter of this engine in this process: vLLM before 0.11.1 builds a
    logger for each rank, and all of them share one door."""
    with _lock:
        key = (place.engine.name, place.producer)
        reporter = _reporters.get(key)
        if reporter is None or not _is_in_use(reporter):
            reporter = _reporters[key] = Reporter(place, config, ranks, counts_rejections)
        reporter.add(ranks)
        return reporter


def _is_in_use(reporter: Reporter) -> bool:
    mine = reporter.process == os.getpid()
    return mine and not reporter.closed and not reporter.off and reporter.left < reporter.users


def _forget_in_child() -> None:
    global _lock
    _lock = threading.Lock()  # A thread that the child lacks might hold it for ever.
    for reporter in list(_reporters.values()):
        reporter.off = reporter.closed = True
    _reporters.clear()


os.register_at_fork(after_in_child=_forget_in_child)

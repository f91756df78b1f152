"""What the plugin's own thread makes of the stats that were kept: sketches of
latencies, finish reasons, adapters, speculation and KV transfers.

Everything read here is vLLM's, of any version: what is missing or no number
is passed over and counted.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Dict, Iterator, List, Tuple

from .. import details
from ..details import Sketch
from .rank import Rank

_perf_counter = time.perf_counter

# What an agent takes of one rank.
REASONS_MAX = 16
ADAPTERS_MAX = 64
ADAPTERS_LOOKED_AT = 1024
_FINISH_REASONS = ("stop", "length", "abort", "error", "repetition")
# Where a finished request's times stand; TTFT and inter-token times come in lists of their own.
_TIMES = (
    (details.QUEUE, "queued_time"),
    (details.PREFILL, "prefill_time"),
    (details.DECODE, "decode_time"),
    (details.END_TO_END, "e2e_latency"),
)


class Tally:
    """One rank's details, cumulative but for the adapters."""

    def __init__(self, rank: Rank) -> None:
        self._rank = rank
        self.folded = 0
        """Steps folded."""
        self.unfit = 0
        """Values passed over since they are no durations or counts."""
        self.sketches: Dict[int, Sketch] = {}
        self.finished: Dict[str, int] = {}
        self.adapters: Dict[str, List[int]] = {}
        self.drafts = self.draft_tokens = self.accepted = 0
        self.accepted_by_position: List[int] = []
        self.transfers = self.transferred_bytes = self.transfer_failures = 0
        self.transfer_seconds = 0.0

    @property
    def dropped(self) -> int:
        """Steps that fell out of the queue before they could be folded."""
        return max(0, self._rank.handed - self.folded - len(self._rank.kept))

    def fold(self, slice_s: float) -> bool:
        """Folds kept steps for about this long; whether some are left."""
        kept, end = self._rank.kept, _perf_counter() + slice_s
        while kept:
            try:
                scheduler, iteration = kept.popleft()
            except IndexError:
                return False
            self.folded += 1
            if iteration is not None:
                self._fold_iteration(iteration)
            if scheduler is not None:
                self._fold_scheduler(scheduler)
            if _perf_counter() >= end:
                return bool(kept)
        return False

    def entries(self) -> Iterator[bytes]:
        """Everything as entries, what matters most first."""
        rank = self._rank.step.rank
        for kind in sorted(self.sketches):
            yield details.entry(details.TAG_SKETCH, rank, self.sketches[kind].value(kind))
        for reason, count in sorted(self.finished.items()):
            yield details.entry(details.TAG_FINISHED, rank, details.finished_value(reason, count))
        if self.drafts:
            value = details.speculation_value(
                self.drafts, self.draft_tokens, self.accepted, self.accepted_by_position
            )
            yield details.entry(details.TAG_SPECULATION, rank, value)
        if self.transfers or self.transfer_failures:
            value = details.transfer_value(
                self.transfers, self.transferred_bytes, self.transfer_failures, self.transfer_seconds
            )
            yield details.entry(details.TAG_TRANSFER, rank, value)
        busiest = sorted(self.adapters.items(), key=lambda one: (-sum(one[1]), one[0]))
        for name, (running, waiting) in busiest[:ADAPTERS_MAX]:
            yield details.entry(details.TAG_ADAPTER, rank, details.adapter_value(name, running, waiting))

    def _fold_iteration(self, iteration: Any) -> None:
        self._add_all(details.TTFT, _read(iteration, "time_to_first_tokens_iter"))
        self._add_all(details.INTER_TOKEN, _read(iteration, "inter_token_latencies_iter")
                      or _read(iteration, "time_per_output_tokens_iter"))  # Its name in vLLM 0.10.0.
        finished = _read(iteration, "finished_requests")
        for request in finished if isinstance(finished, (list, tuple)) else ():
            self._fold_finished(request)
        if hasattr(iteration, "running_lora_adapters"):
            self._fold_adapters(iteration)

    def _fold_scheduler(self, scheduler: Any) -> None:
        drafted = _read(scheduler, "spec_decoding_stats")
        if drafted is not None:
            self._fold_drafts(drafted)
        moved = _read(scheduler, "kv_connector_stats")
        if moved:
            self._fold_transfers(moved)
        if hasattr(scheduler, "running_lora_adapters"):
            self._fold_adapters(scheduler)

    def _add_all(self, kind: int, values: Any) -> None:
        if not values:
            return
        try:
            # Requests of one batch share most of their times: counted in C, few are left.
            distinct = Counter(values)
        except Exception:
            self.unfit += 1
            return
        self.unfit += self.sketches.setdefault(kind, Sketch()).add_all(distinct)

    def _fold_finished(self, request: Any) -> None:
        reason = _reason(_read(request, "finish_reason"))
        if reason in self.finished or len(self.finished) < REASONS_MAX:
            self.finished[reason] = self.finished.get(reason, 0) + 1
        for kind, name in _TIMES:
            seconds = _read(request, name)
            # vLLM leaves a 0 where a request never came so far.
            if seconds and not self.sketches.setdefault(kind, Sketch()).add(seconds):
                self.unfit += 1

    def _fold_adapters(self, stats: Any) -> None:
        running, waiting = _read(stats, "running_lora_adapters"), _read(stats, "waiting_lora_adapters")
        self.adapters = {}
        for place, adapters in enumerate((running, waiting)):
            for name, count in _counts(adapters):
                if name in self.adapters or len(self.adapters) < ADAPTERS_LOOKED_AT:
                    self.adapters.setdefault(name, [0, 0])[place] = count

    def _fold_drafts(self, drafted: Any) -> None:
        self.drafts += _whole(_read(drafted, "num_drafts"))
        self.draft_tokens += _whole(_read(drafted, "num_draft_tokens"))
        self.accepted += _whole(_read(drafted, "num_accepted_tokens"))
        positions = _read(drafted, "num_accepted_tokens_per_pos")
        for place, count in enumerate(positions if isinstance(positions, (list, tuple)) else ()):
            if place >= details.POSITIONS_MAX:
                break
            if place == len(self.accepted_by_position):
                self.accepted_by_position.append(0)
            self.accepted_by_position[place] += _whole(count)

    def _fold_transfers(self, moved: Any) -> None:
        """NIXL's stats, alone or as one of several connectors'."""
        for stats in (moved, *_values(moved)):
            stats = _values_of(stats)
            durations, sizes = stats.get("transfer_duration"), stats.get("bytes_transferred")
            if isinstance(durations, list):
                self.transfers += len(durations)
                self.transfer_seconds += sum(map(_seconds, durations))
            if isinstance(sizes, list):
                self.transferred_bytes += sum(map(_whole, sizes))
            failures = stats.get("num_failed_transfers")
            self.transfer_failures += len(failures) if isinstance(failures, list) else _whole(failures)


def _read(thing: Any, name: str) -> Any:
    try:
        return getattr(thing, name, None)
    except Exception:
        return None


def _reason(reason: Any) -> str:
    number = _read(reason, "value") if not isinstance(reason, (int, str)) else reason
    if isinstance(number, int) and 0 <= number < len(_FINISH_REASONS):
        return _FINISH_REASONS[number]
    return str(reason)[:64] if isinstance(reason, str) else "other"


def _counts(adapters: Any) -> Iterator[Tuple[str, int]]:
    """(name, requests) of {name: count}, and of plain names."""
    if isinstance(adapters, dict):
        for name, count in adapters.items():
            yield str(name), _whole(count)
    elif isinstance(adapters, (list, tuple, set)):
        for name in adapters:
            yield str(name), 1


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) and 0 <= value < 1 << 53 else 0


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and 0 <= value < 1e9 else 0.0


def _values(moved: Any) -> "tuple[Any, ...]":
    return tuple(moved.values()) if isinstance(moved, dict) else ()


def _values_of(stats: Any) -> Dict[str, Any]:
    """A connector's stats, which some wrap in `data`."""
    if not isinstance(stats, dict):
        stats = _read(stats, "data")
    elif isinstance(stats.get("data"), dict):
        stats = stats["data"]
    return stats if isinstance(stats, dict) else {}

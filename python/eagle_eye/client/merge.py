"""One picture of a rank from the records of its several producers, and of an
instance from its ranks.

An engine with several front ends sends each step's scheduler numbers through
one of them, and each front end counts only its own requests. So:

- Whose records count: those of producers below the newest record's `producers`,
  unless gone. One of an earlier incarnation that fell silent is left over from
  before a restart and does not count either. If none is left, the newest record
  alone is the picture.
- Scheduler gauges: each from the newest record that has it.
- What each front end knows of its own requests: rates are summed, so are
  waiting and pending tokens where they are estimates; the oldest wait is the
  longest. A front end whose steps are flagged partial estimates tokens from the
  scheduler's numbers, so of the whole rank: they are gauges.
- A front end that is silent while another is not says nothing of now: its
  gauges and rates do not count, its counters do.
- Counters are summed. What a lost front end had counted leaves the sum with it:
  who takes differences begins anew when `incarnation` or `producers` is another
  or when a sum falls.
- Time: the newest sign of life; the age is that of the record whose running
  requests are in the picture; the error is the largest.
"""

from __future__ import annotations

import struct
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from ..layout import FIELD_BITS, Flag, StepCore
from .clock import U64_MAX
from .record import Record
from .state import Activity, Freshness, Patience, RankState, activity_of, freshness_of

_F32 = struct.Struct("<f")
_U16_MAX, _U32_MAX = (1 << 16) - 1, (1 << 32) - 1
_SCHEDULER = (
    "last_step_us", "running", "waiting", "deferred", "max_sequences", "max_batched_tokens",
    "kv_blocks", "block_size", "lora_running", "lora_waiting", "kv_usage",
)
_RATES = ("prefill_tokens_per_second", "decode_tokens_per_second")
_TOKENS = ("waiting_tokens", "pending_tokens")
COUNTERS = (
    "steps", "prompt_tokens", "generated_tokens", "cached_tokens", "prefix_queries",
    "prefix_hits", "preemptions", "rejections", "finished",
)
_BLANK = {name: 0 for name in FIELD_BITS}


def merge(records: Iterable[Record], now_ns: int, patience: Patience) -> RankState:
    """The picture of one rank from `records`, all of it, in any order."""
    newest_first = sorted(records, key=_order, reverse=True)
    state = newest_first[0].state()
    state.age(now_ns, patience)
    if len(newest_first) == 1:
        return state
    producers = newest_first[0].step.producers
    latest = max(record.step.incarnation for record in newest_first)
    lively: List[Record] = []
    silent: List[Record] = []
    for record in newest_first:
        step = record.step
        silence_ns = max(now_ns - record.alive_ns, 0)
        freshness = freshness_of(step.flags, record.promised_ns, silence_ns, patience)
        if step.producer >= producers or freshness == Freshness.GONE:
            continue
        if freshness < Freshness.SILENT:
            lively.append(record)
        elif step.incarnation == latest:
            silent.append(record)
    if not lively:
        # Where all are silent, the newest of them say what was last known.
        lively, silent = silent, []
    if not lively:
        return state
    merged = _Merged(lively[0])
    for record in lively:
        merged.add(record)
    for record in silent:
        merged.add_counters(record)
    _fill(state, merged, latest)
    state.age(now_ns, patience)
    return state


def _fill(state: RankState, merged: _Merged, latest: int) -> None:
    state.step = merged.step(latest)
    state.lost = min(merged.lost, U64_MAX)
    state.producers = merged.producers
    state.error_ns = merged.error_ns
    state.sampled_ns = merged.sampled_ns
    state.alive_ns = merged.alive_ns
    state.activity = activity_of(state.step)


def _order(record: Record) -> Tuple[int, int, int]:
    return record.sampled_ns, record.step.incarnation, record.step.producer


class _Merged:
    def __init__(self, newest: Record) -> None:
        # Identity, time and flags are the newest record's.
        self.newest = newest
        self.flags = newest.step.flags & ~Flag.TOKENS_ESTIMATED
        self.tokens_are_own = _tokens_are_own(newest.step)
        self.known: Dict[str, Any] = {}
        self.lost = self.producers = self.alive_ns = self.error_ns = 0
        self.sampled_ns = newest.sampled_ns

    def add(self, record: Record) -> None:
        """Adds a record that is older than those before."""
        step, known = record.step, self.known
        if "running" not in known and step.value("running") is not None:
            self.sampled_ns = record.sampled_ns
        for name in _SCHEDULER:
            if name not in known:
                self.keep(name, step.value(name))
        self.add_tokens(step)
        wait_ms = step.value("oldest_wait_ms")
        if wait_ms is not None:
            self.keep("oldest_wait_ms", max(wait_ms, known.get("oldest_wait_ms", 0)))
        for name in _RATES:
            rate = step.value(name)
            self.keep(name, rate if rate is None or name not in known else f32(known[name] + rate))
        self.add_counters(record)

    def add_tokens(self, step: StepCore) -> None:
        known, before = self.known, len(self.known)
        is_sum = self.tokens_are_own and _tokens_are_own(step)
        for name in _TOKENS:
            if is_sum:
                self.plus(name, step.value(name), _U32_MAX)
            elif name not in known:
                self.keep(name, step.value(name))
        if len(known) != before:
            self.flags |= step.flags & Flag.TOKENS_ESTIMATED

    def add_counters(self, record: Record) -> None:
        """Adds what stays true of a record however old it is."""
        step = record.step
        self.producers += 1
        self.lost += record.lost
        self.alive_ns = max(self.alive_ns, record.alive_ns)
        self.error_ns = max(self.error_ns, min(record.error_ns + step.clock_error_ns, U64_MAX))
        for name in COUNTERS:
            self.plus(name, step.value(name), U64_MAX)

    def keep(self, name: str, value: Any) -> None:
        if value is not None:
            self.known[name] = value

    def plus(self, name: str, value: Any, most: int) -> None:
        if value is not None:
            self.known[name] = min(self.known.get(name, 0) + value, most)

    def step(self, incarnation: int) -> StepCore:
        if self.producers >= self.newest.step.producers:
            self.flags &= ~Flag.PARTIAL  # All parts are here.
        present = sum(1 << FIELD_BITS[name] for name in self.known)
        return self.newest.step._replace(
            **{**_BLANK, **self.known}, present=present, incarnation=incarnation,
            flags=self.flags,
        )


def _tokens_are_own(step: StepCore) -> bool:
    """Whether a front end estimated the tokens of its own requests alone."""
    return bool(step.flags & Flag.TOKENS_ESTIMATED) and not step.flags & Flag.PARTIAL


def f32(value: float) -> float:
    """A number as the wire's 32 bits hold it."""
    try:
        return float(_F32.unpack(_F32.pack(value))[0])
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


class InstanceState(NamedTuple):
    """One engine instance: all its ranks together."""

    instance: int
    ranks: int
    """Ranks that are in this picture: those not gone; if all are, all."""
    step: StepCore
    """What they said together: gauges and counters summed where every rank has
    them, unknown otherwise. Its rank, producer, sequence and times mean nothing."""
    age_ns: int
    """Age of the oldest of their steps, ns, within `error_ns`."""
    silence_ns: int
    error_ns: int
    freshness: Freshness
    """The least fresh of them."""
    activity: Activity
    in_flight: int
    unaccounted: int


_SUMS_U32 = _TOKENS + (
    "running", "waiting", "deferred", "max_sequences", "max_batched_tokens", "kv_blocks",
)


def instance(ranks: Iterable[RankState]) -> Optional[InstanceState]:
    """The picture of the instance whose ranks these are; None of none."""
    every = list(ranks)
    counted = [rank for rank in every if rank.freshness != Freshness.GONE] or every
    if not counted:
        return None
    steps = [rank.step for rank in counted]
    step = _together(steps)
    return InstanceState(
        instance=counted[0].id.instance,
        ranks=min(len(counted), _U16_MAX),
        step=step,
        age_ns=max(rank.age_ns for rank in counted),
        silence_ns=max(rank.silence_ns for rank in counted),
        error_ns=max(rank.error_ns for rank in counted),
        freshness=max(rank.freshness for rank in counted),
        activity=activity_of(step),
        in_flight=sum(rank.in_flight for rank in counted),
        unaccounted=sum(rank.unaccounted for rank in counted),
    )


def _together(steps: List[StepCore]) -> StepCore:
    present, flags = U64_MAX, _U32_MAX
    for step in steps:
        present, flags = present & step.present, flags & step.flags
    values: Dict[str, Any] = {}
    for names, most in ((_SUMS_U32, _U32_MAX), (("lora_running", "lora_waiting"), _U16_MAX),
                        (COUNTERS, U64_MAX)):
        for name in names:
            values[name] = min(sum(getattr(step, name) for step in steps), most)
    for name in _RATES:
        total = 0.0
        for step in steps:
            total = f32(total + getattr(step, name))
        values[name] = total
    for name in ("last_step_us", "oldest_wait_ms", "ttl_ms", "incarnation", "producers"):
        values[name] = max(getattr(step, name) for step in steps)
    values["kv_usage"] = _usage(steps)
    nothing = dict.fromkeys(
        ("rank", "producer", "sequence", "monotonic_ns", "wall_ns", "clock_error_ns",
         "heartbeat_ns"), 0,
    )
    return steps[0]._replace(**values, **nothing, present=present, flags=flags)


def _usage(steps: List[StepCore]) -> float:
    """The share of all blocks; where their number is unknown, ranks are taken
    as equal."""
    weights = [1 if step.value("kv_blocks") is None else step.kv_blocks for step in steps]
    blocks = sum(weights)
    usage = sum(step.kv_usage * weight for step, weight in zip(steps, weights))
    return f32(usage / blocks) if blocks else 0.0


__all__ = ["COUNTERS", "InstanceState", "instance", "merge"]

"""One rank as a router sees it: numbers, their age, and what they mean."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple, Optional

from .. import layout
from ..layout import Flag, StepCore
from .clock import MILLISECOND_NS, SECOND_NS, U64_MAX

TTL_MS_UNKNOWN = 1000  # What a time-to-live of 0 stands for.

_RUNNING = 1 << layout.FIELD_BITS["running"]
_WAITING = 1 << layout.FIELD_BITS["waiting"]
_DEFERRED = 1 << layout.FIELD_BITS["deferred"]
_WAITING_TOKENS = 1 << layout.FIELD_BITS["waiting_tokens"]
_PENDING_TOKENS = 1 << layout.FIELD_BITS["pending_tokens"]
_KV_USAGE = 1 << layout.FIELD_BITS["kv_usage"]
_LOAD = _RUNNING | _WAITING

ROLES = {int(role): role for role in layout.Role}


class Freshness(enum.IntEnum):
    """How recently a producer was heard."""

    FRESH = 0
    """A step or a heartbeat within its time-to-live."""
    STALE = 1
    """Overdue by up to two more of them."""
    SILENT = 2
    """Overdue by more; nobody said goodbye."""
    GONE = 3
    """It said goodbye, its connection hung up, or it was silent for very long."""


class Activity(enum.IntEnum):
    """What a producer was doing when it was last heard."""

    UNKNOWN = 0
    """The producer did not say enough to tell."""
    BUSY = 1
    """It has requests running or waiting."""
    IDLE = 2
    """It has none."""
    ASLEEP = 3
    """It sleeps and must be woken before it serves."""
    DRAINING = 4
    """It finishes what it has and takes nothing more."""
    WARMING = 5
    """It is not ready yet."""


class Health(enum.IntEnum):
    """What is known of the hardware under an engine."""

    UNKNOWN = 0
    """Nobody samples it."""
    HEALTHY = 1
    """Nothing speaks against it."""
    DEGRADED = 2
    """It serves, but worse than it should."""
    FAILED = 3
    """It should not be given work."""


class RankId(NamedTuple):
    """One data-parallel rank of one engine instance."""

    instance: int
    """Hash of the engine's name."""
    rank: int
    """Data-parallel rank."""


class Patience(NamedTuple):
    """How long a silence means what."""

    gone_ns: int = 30 * SECOND_NS
    """Silence after which a rank is gone, ns."""


class Load(NamedTuple):
    """How much work a rank has by its engine's own word."""

    requests: int
    """Running, waiting and deferred."""
    waiting: int
    tokens: int
    """Waiting and pending prompt tokens, where known."""
    kv_usage: float


def ttl_ns(step: StepCore) -> int:
    """How often a sign of life is promised, ns."""
    return (step.ttl_ms or TTL_MS_UNKNOWN) * MILLISECOND_NS


def freshness_of(flags: int, promised_ns: int, silence_ns: int, patience: Patience) -> Freshness:
    """How fresh a producer is after a silence."""
    if silence_ns > patience.gone_ns or flags & Flag.GOODBYE:
        return Freshness.GONE
    if silence_ns <= promised_ns:
        return Freshness.FRESH
    return Freshness.STALE if silence_ns <= 3 * promised_ns else Freshness.SILENT


def activity_of(step: StepCore) -> Activity:
    """What the producer of a step said that it does. Zero requests are idle
    only where both gauges were measured."""
    flags, present = step.flags, step.present
    if flags & Flag.ASLEEP:
        return Activity.ASLEEP
    if flags & Flag.DRAINING:
        return Activity.DRAINING
    if flags & Flag.WARMING:
        return Activity.WARMING
    if present & _RUNNING and step.running or present & _WAITING and step.waiting:
        return Activity.BUSY
    return Activity.IDLE if present & _LOAD == _LOAD else Activity.UNKNOWN


def load_of(step: StepCore) -> Optional[Load]:
    """None where running or waiting is unknown."""
    present = step.present
    if present & _LOAD != _LOAD:
        return None
    requests = step.running + step.waiting + (step.deferred if present & _DEFERRED else 0)
    tokens = step.waiting_tokens if present & _WAITING_TOKENS else 0
    if present & _PENDING_TOKENS:
        tokens += step.pending_tokens
    return Load(requests, step.waiting, tokens, step.kv_usage if present & _KV_USAGE else 0.0)


class RankState:
    """One rank: the newest numbers of all its producers, and their age."""

    __slots__ = (
        "id", "step", "age_ns", "silence_ns", "error_ns", "lost", "producers", "freshness",
        "activity", "health", "previous", "in_flight", "unaccounted", "unaccounted_tokens",
        "sampled_ns", "alive_ns",
    )

    id: RankId
    """Which rank."""
    step: StepCore
    """The newest step; of several producers, as `merge` says."""
    age_ns: int
    """Since the step ended, ns, within `error_ns`."""
    silence_ns: int
    """Since the last sign of life, ns, within `error_ns`."""
    error_ns: int
    """Bound on the error of `age_ns` and `silence_ns`, ns."""
    lost: int
    """Steps that never came here."""
    producers: int
    """Producers whose records are in this picture."""
    freshness: Freshness
    """How recently it was heard."""
    activity: Activity
    """What it was doing when it was last heard."""
    health: Health
    """What is known of its hardware."""
    previous: bool
    """The newest values could not be had whole: these are the ones before,
    with their true age."""
    in_flight: int
    """Requests that this process has in flight there."""
    unaccounted: int
    """Those among them that the engine's own numbers cannot include yet."""
    unaccounted_tokens: int
    """Prompt tokens of those, without those whose first token came."""
    sampled_ns: int
    """This host's CLOCK_MONOTONIC when the step ended, ns."""
    alive_ns: int
    """This host's CLOCK_MONOTONIC at the last sign of life, ns."""

    def __init__(self, step: StepCore, alive_ns: int, error_ns: int, lost: int) -> None:
        self.id = RankId(step.instance, step.rank)
        self.step = step
        self.error_ns = min(error_ns + step.clock_error_ns, U64_MAX)
        self.lost = lost
        self.producers = 1
        self.activity = activity_of(step)
        self.health = Health.UNKNOWN
        self.previous = False
        self.in_flight = self.unaccounted = self.unaccounted_tokens = 0
        self.alive_ns = alive_ns
        self.sampled_ns = max(alive_ns - max(step.heartbeat_ns - step.monotonic_ns, 0), 0)
        self.age_ns = self.silence_ns = 0
        self.freshness = Freshness.GONE

    def age(self, now_ns: int, patience: Patience) -> None:
        """Brings the ages and the freshness to `now_ns`."""
        self.age_ns = max(now_ns - self.sampled_ns, 0)
        self.silence_ns = max(now_ns - self.alive_ns, 0)
        self.freshness = freshness_of(self.step.flags, ttl_ns(self.step), self.silence_ns, patience)

    def value(self, field: str) -> Any:
        """A gauge or counter by its name; None where it was not measured."""
        return self.step.value(field)

    def role(self) -> layout.Role:
        """What part of a request it serves."""
        return ROLES.get(self.step.role, layout.Role.UNKNOWN)

    def requests(self) -> Optional[int]:
        """Requests running, waiting and deferred at the engine, with ours that
        it cannot have counted yet; None where running or waiting is unknown."""
        load = load_of(self.step)
        return None if load is None else load.requests + self.unaccounted

    def __repr__(self) -> str:
        return (
            f"RankState({self.id.instance:016x}#{self.id.rank} {self.freshness.name.lower()}"
            f" {self.activity.name.lower()}, {self.age_ns / 1e6:.1f} ms old)"
        )

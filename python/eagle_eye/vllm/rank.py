"""One rank's step from vLLM's two stats objects, on the engine's own time.

`take` is called at the end of each step, on the event loop that hands out
tokens: it reads some twenty attributes, does arithmetic on integers and
writes the step. Lists are only measured here; what is in them is folded
later, by the plugin's own thread (`tally`), for which the objects are kept.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Deque, Optional, Tuple

from ..door import Door
from ..layout import Flag
from ..step import Step
from .plain import PlainIteration, PlainScheduler

KEPT_MAX = 2048  # Steps that wait to be folded: two seconds at 1 kHz.
SMOOTHING_S = 1.0  # Of the token rates.
PROMPTS_SMOOTHED = 16  # The mean prompt length is that of about so many requests.
DELTA_BITS = 40  # No step counts as much; what does is no count.

_monotonic = time.monotonic


class Rank:
    """Keeps what is cumulative, and says each step at the door.

    With several front ends (`producers` > 1) a step's scheduler stats come to
    one of them. Each says only what it was told: gauges it was not told in
    this very step stay unknown, since another front end has newer ones, and
    the reader takes those. So with estimates, which are of the whole rank. A single front end repeats its last ones. Counters
    are of this front end alone; the reader adds them up.
    """

    __slots__ = (
        "step", "kept", "handed", "_door", "_alone", "_scheduler_kind", "_iteration_kind",
        "_has_deferred", "_has_details", "_has_sources", "_is_0_10_0", "_lora_at_scheduler", "_lora_at_iteration",
        "_told_at", "_was_busy", "_computed_rate", "_generated_rate", "_prompt_mean", "_lost",
        "_steps", "_prompt", "_generated", "_cached", "_queries", "_hits", "_preempted", "_finished",
    )

    def __init__(self, rank: int, door: Door, alone: bool) -> None:
        self.step = Step(rank)
        self.kept: Deque[Tuple[Any, Any]] = deque(maxlen=KEPT_MAX)
        """Stats for the plugin's own thread; a deque's ends need no lock."""
        self.handed = 0
        """How often something was put into `kept`."""
        self._door = door
        self._alone = alone
        self._scheduler_kind: Any = None
        self._iteration_kind: Any = None
        self._has_deferred = self._has_details = self._has_sources = self._is_0_10_0 = False
        self._lora_at_scheduler = self._lora_at_iteration = False
        self._told_at = _monotonic()
        self._was_busy = False
        self._computed_rate = self._generated_rate = 0.0
        self._prompt_mean: Optional[float] = None
        self._lost: Tuple[str, ...] = ()  # Fields that this step cannot say.
        self._steps = self._prompt = self._generated = self._cached = 0
        self._queries = self._hits = self._preempted = self._finished = 0

    def begin(self, idle: bool, counts_rejections: bool) -> None:
        """Counters at zero, and the gauges too where nobody can have sent
        anything yet: a router must see an engine before its first request."""
        step = self.step
        step.steps = step.prompt_tokens = step.generated_tokens = step.finished = step.preemptions = 0
        if counts_rejections:
            step.rejections = 0
        if idle:
            step.running = step.waiting = 0
            step.kv_usage = 0.0
            step.prefill_tokens_per_second = step.decode_tokens_per_second = 0.0
        self._door.write(step)

    def take(self, scheduler: Any, iteration: Any) -> None:
        """Writes what this step says, of objects as vLLM makes them.

        Raises where they are otherwise, before anything is counted.
        """
        # 1. Read everything; what can raise does so here.
        running: Any = None
        queries = hits = 0
        prefix = details = None
        if scheduler is not None:
            if scheduler.__class__ is not self._scheduler_kind:
                self._sight_scheduler(scheduler)
            running = scheduler.num_running_reqs
            waiting = scheduler.num_waiting_reqs
            usage = scheduler.kv_cache_usage
            if running is not None and waiting is not None and (running | waiting) >> 32:
                raise ValueError("requests that are no number of them")
            prefix = scheduler.prefix_cache_stats
            if prefix is not None:
                queries, hits = prefix.queries, prefix.hits
                if (queries | hits) >> DELTA_BITS:
                    raise ValueError("prefix-cache counts that are none")
            deferred = scheduler.num_skipped_waiting_reqs if self._has_deferred else None
            if self._has_details:
                details = scheduler.iteration_details
        generated = prompt = first = decoded = finished = 0
        if iteration is not None:
            if iteration.__class__ is not self._iteration_kind:
                self._sight_iteration(iteration)
            generated = iteration.num_generation_tokens
            if self._has_sources:
                sources = iteration.prompt_token_stats
                prompt, computed, cached = sources.total, sources.computed, sources.cached_tokens
            else:
                prompt = computed = iteration.num_prompt_tokens
                cached = 0
            preempted = iteration.num_preempted_reqs
            finished = len(iteration.finished_requests)
            first = len(iteration.time_to_first_tokens_iter)
            decoded = len(
                iteration.time_per_output_tokens_iter if self._is_0_10_0 else iteration.inter_token_latencies_iter
            )
            # One look for all: what is negative or too large leaves a bit, what is no integer raises.
            if (generated | prompt | computed | cached | preempted) >> DELTA_BITS:
                raise ValueError("token counts that are none")
        elif scheduler is None:
            return

        # 2. Count and say; nothing here raises for numbers that passed.
        step = self.step
        now = _monotonic()
        since = now - self._told_at
        self._told_at = now
        if scheduler is not None:
            step.running, step.waiting, step.kv_usage, step.deferred = running, waiting, usage, deferred
            self._steps = step.steps = self._steps + 1
            if prefix is not None:
                self._queries = step.prefix_queries = self._queries + queries
                self._hits = step.prefix_hits = self._hits + hits
            if details is not None:
                step.last_step_us = microseconds_of(details)
            else:
                # From one step's end to the next: the step, if the engine had work throughout.
                step.last_step_us = int(since * 1e6) if self._was_busy and self._alone else None
            self._was_busy = bool(running)
            if self._lora_at_scheduler:
                self._say_adapters(scheduler)
        elif not self._alone:
            step.running = step.waiting = step.kv_usage = step.deferred = None
            step.last_step_us = step.lora_running = step.lora_waiting = None
        if iteration is not None:
            self._generated = step.generated_tokens = self._generated + generated
            self._prompt = step.prompt_tokens = self._prompt + prompt
            self._preempted = step.preemptions = self._preempted + preempted
            self._finished = step.finished = self._finished + finished
            if self._has_sources:
                self._cached = step.cached_tokens = self._cached + cached
            if first:
                self._learn_prompt(prompt, first)
            if self._lora_at_iteration:
                self._say_adapters(iteration)
        else:
            computed = 0
        weight = since + SMOOTHING_S
        self._computed_rate += (computed - self._computed_rate * since) / weight
        self._generated_rate += (generated - self._generated_rate * since) / weight
        if running == 0 or (not self._alone and first + decoded <= finished):
            # Nothing more comes until there is new work, and no call that could say so.
            self._computed_rate = self._generated_rate = 0.0
        step.prefill_tokens_per_second = self._computed_rate
        step.decode_tokens_per_second = self._generated_rate
        if self._alone:
            self._estimate(first + decoded - finished if iteration is not None else None)
        elif scheduler is not None:
            # Who gave a token in this step is known of our own requests only.
            self._estimate(None)
        else:
            step.flags = 0
            step.waiting_tokens = step.pending_tokens = None
        if self._lost:
            for name in self._lost:
                setattr(step, name, None)
        self._door.write(step)
        self.kept.append((scheduler, iteration))
        self.handed += 1

    def take_plain(self, scheduler: Any, iteration: Any) -> int:
        """The careful way, for objects of another shape: what cannot be read
        or is no number is unknown. How many attributes raised."""
        plains = [None if scheduler is None else PlainScheduler(scheduler),
                  None if iteration is None else PlainIteration(iteration)]
        there = [plain for plain in plains if plain is not None]
        self._lost = tuple(name for plain in there for name in plain.lost)
        # Sighted anew each time: each may lack another thing.
        self._scheduler_kind = self._iteration_kind = None
        try:
            self.take(*plains)
        finally:
            self._lost = ()
            self._scheduler_kind = self._iteration_kind = None
        return sum(plain.raised for plain in there)

    def _sight_scheduler(self, scheduler: Any) -> None:
        """Which of the versions' differences these stats have; once for each kind."""
        self._has_deferred = hasattr(scheduler, "num_skipped_waiting_reqs")
        self._has_details = hasattr(scheduler, "iteration_details")
        self._lora_at_scheduler = hasattr(scheduler, "running_lora_adapters")
        self._scheduler_kind = scheduler.__class__

    def _sight_iteration(self, iteration: Any) -> None:
        self._has_sources = hasattr(iteration, "prompt_token_stats")
        self._lora_at_iteration = hasattr(iteration, "running_lora_adapters")
        self._is_0_10_0 = hasattr(iteration, "time_per_output_tokens_iter")
        self._iteration_kind = iteration.__class__

    def _say_adapters(self, stats: Any) -> None:
        step = self.step
        try:
            running, waiting = stats.running_lora_adapters, stats.waiting_lora_adapters
            if running or waiting:
                step.lora_running, step.lora_waiting = len(running), len(waiting.keys() - running.keys())
            elif step.lora_running is not None:
                step.lora_running = step.lora_waiting = 0
        except Exception:
            step.lora_running = step.lora_waiting = None

    def _learn_prompt(self, prompt: int, first: int) -> None:
        """The mean prompt length of late, from requests at their first token."""
        mean = prompt / first
        known = self._prompt_mean
        if known is not None:
            mean = known + (mean - known) * min(1.0, first / PROMPTS_SMOOTHED)
        self._prompt_mean = mean

    def _estimate(self, answering: Optional[int]) -> None:
        """Prompt tokens that wait, and those of running requests still to be
        computed. vLLM tells neither, so: waiting requests times the mean prompt
        length of late; running requests that gave no token in this step times
        half of it. Unknown until a first request told a length."""
        step, mean = self.step, self._prompt_mean
        running, waiting = step.running, step.waiting
        step.flags = 0
        step.waiting_tokens = step.pending_tokens = None
        if waiting == 0:
            step.waiting_tokens = 0
        elif mean is not None and waiting is not None:
            step.waiting_tokens = int(waiting * mean)
            step.flags = Flag.TOKENS_ESTIMATED
        if running == 0:
            step.pending_tokens = 0
        elif mean is not None and answering is not None and running is not None:
            step.pending_tokens = int(max(0, running - answering) * mean / 2)
            step.flags = Flag.TOKENS_ESTIMATED


def microseconds_of(details: Any) -> Optional[int]:
    """What vLLM itself measured, None where that is no duration."""
    try:
        elapsed_us = details.elapsed_ms * 1000.0
        return int(elapsed_us) if 0.0 <= elapsed_us < 4e9 else None
    except Exception:
        return None

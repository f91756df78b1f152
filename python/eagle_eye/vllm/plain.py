"""vLLM's stats, read with suspicion: the slow way, for shapes never met.

vLLM calls these classes unstable. Where an attribute is missing, raises or is
no number, the step says nothing of it, and the rest is still said.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, List, Optional

COUNT_MAX = 1 << 40


class Plain:
    """Reads attributes one by one and counts those that raise."""

    def __init__(self, stats: Any) -> None:
        self._stats = stats
        self.raised = 0
        """Attributes that are there and cannot be read."""
        self.lost: List[str] = []
        """Fields of a step that cannot be said for want of an attribute."""

    def _read(self, thing: Any, name: str) -> Any:
        try:
            return getattr(thing, name, None)
        except Exception:
            self.raised += 1
            return None

    def _count(self, thing: Any, name: str, field: str) -> int:
        """A count of this step. Where there is none nothing is added, and the
        counter is not said: it would look like one that stands still."""
        try:
            whole = int(self._read(thing, name))
            if 0 <= whole < COUNT_MAX:
                return whole
        except Exception:
            pass
        self.lost.append(field)
        return 0

    def _gauge(self, name: str) -> Optional[int]:
        try:
            whole = int(self._read(self._stats, name))
            return whole if 0 <= whole <= 0xFFFFFFFF else None
        except Exception:
            return None

    def _items(self, name: str, kind: Any, field: str = "") -> Any:
        value = self._read(self._stats, name)
        if isinstance(value, kind):
            return value
        if field:
            self.lost.append(field)
        return kind()


class PlainScheduler(Plain):
    """A SchedulerStats of any version, and of none."""

    def __init__(self, stats: Any) -> None:
        super().__init__(stats)
        self.num_running_reqs = self._gauge("num_running_reqs")
        self.num_waiting_reqs = self._gauge("num_waiting_reqs")
        self.num_skipped_waiting_reqs = self._gauge("num_skipped_waiting_reqs")
        usage = self._read(stats, "kv_cache_usage")
        usable = usage.__class__ in (int, float) and math.isfinite(usage)
        self.kv_cache_usage = usage if usable else None
        prefix = self._read(stats, "prefix_cache_stats")
        self.prefix_cache_stats = None if prefix is None else SimpleNamespace(
            queries=self._count(prefix, "queries", "prefix_queries"),
            hits=self._count(prefix, "hits", "prefix_hits"),
        )
        self.iteration_details = self._read(stats, "iteration_details")
        self.running_lora_adapters = self._items("running_lora_adapters", dict)
        self.waiting_lora_adapters = self._items("waiting_lora_adapters", dict)
        self.spec_decoding_stats = self._read(stats, "spec_decoding_stats")
        self.kv_connector_stats = self._read(stats, "kv_connector_stats")


class PlainIteration(Plain):
    """An IterationStats of any version, and of none."""

    def __init__(self, stats: Any) -> None:
        super().__init__(stats)
        self.num_generation_tokens = self._count(stats, "num_generation_tokens", "generated_tokens")
        self.num_preempted_reqs = self._count(stats, "num_preempted_reqs", "preemptions")
        sources = self._read(stats, "prompt_token_stats")
        if sources is None:
            self.num_prompt_tokens = self._count(stats, "num_prompt_tokens", "prompt_tokens")
        else:
            self.prompt_token_stats = SimpleNamespace(
                total=self._count(sources, "total", "prompt_tokens"),
                computed=self._count(sources, "computed", "prefill_tokens_per_second"),
                cached_tokens=self._count(sources, "cached_tokens", "cached_tokens"),
            )
        self.finished_requests = self._items("finished_requests", list, "finished")
        self.time_to_first_tokens_iter = self._items("time_to_first_tokens_iter", list, "pending_tokens")
        self.inter_token_latencies_iter = self._items("inter_token_latencies_iter", list, "pending_tokens")
        if self._read(stats, "running_lora_adapters") is not None:
            self.running_lora_adapters = self._items("running_lora_adapters", dict)
            self.waiting_lora_adapters = self._items("waiting_lora_adapters", dict)

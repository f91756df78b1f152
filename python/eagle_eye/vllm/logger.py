"""The class that vLLM builds and calls: the outermost skin of the plugin.

vLLM calls `record` on the event loop that hands out tokens, and one exception
there, or in `__init__`, ends the server. So nothing leaves from here but what
ends a process on purpose (KeyboardInterrupt, SystemExit).
"""

from __future__ import annotations

import weakref
from typing import Any, List, Optional, Tuple

from ..link import LOG
from . import reporter as reporters
from .place import Place

_absent: Optional[BaseException] = None
_base: Any
try:
    from vllm.v1.metrics import loggers as _vllm  # type: ignore[import-not-found,unused-ignore]

    # One logger for all ranks, which alone is told of sleep and rejections.
    _base = getattr(_vllm, "AggregateStatLoggerBase", None) or _vllm.StatLoggerBase
except Exception as error:  # Importing vLLM can fail in many ways.
    _absent, _base = error, object

COUNTS_REJECTIONS = hasattr(_base, "record_admission_rejection")
RANK_MAX = 0xFFFF


class StatLogger(_base):  # type: ignore[misc]
    """Tells the agent on this machine what each step of this engine said.

    A logger that could not be set up is a logger that does nothing; the log
    has one line that says why.
    """

    def __init__(
        self, vllm_config: Any = None, engine_index: Any = 0, engine_indexes: Any = None, **_: Any
    ) -> None:
        """Both of vLLM's forms: (vllm_config, engine_index) for each engine,
        (vllm_config, engine_indexes) for all of them.

        Raises ImportError where there is no vLLM, and nothing else.
        """
        if _absent is not None:
            raise ImportError(f"eagle_eye.vllm needs vLLM, which cannot be imported: {_absent}") from _absent
        self._reporter: Optional[reporters.Reporter] = None
        self._ranks: Tuple[int, ...] = (0,)
        try:
            self._ranks = ranks_of(engine_index if engine_indexes is None else engine_indexes)
            place = Place.of(vllm_config)
            if place.disabled:
                return
            self._reporter = reporters.reporter_at(place, vllm_config, self._ranks, COUNTS_REJECTIONS)
            # vLLM has no farewell: it drops its loggers at its end, and when it
            # scales an elastic deployment. At exit the door says goodbye.
            farewell = weakref.finalize(self, self._reporter.let_go)
            farewell.atexit = False
        except Exception as error:
            self._reporter = None
            _say(f"this engine's steps are not seen: {error!r}")

    def record(
        self,
        scheduler_stats: Any = None,
        iteration_stats: Any = None,
        mm_cache_stats: Any = None,
        engine_idx: Any = None,
        *_: Any,
        **__: Any,
    ) -> None:
        """Takes one step of one rank. Raises nothing, waits for nothing."""
        reporter = self._reporter
        if reporter is None:
            return
        # Up to vLLM 0.11.0 the third argument, given by its place, is the engine's index.
        if engine_idx is None:
            engine_idx = mm_cache_stats if mm_cache_stats.__class__ is int else self._ranks[0]
        reporter.record(engine_idx, scheduler_stats, iteration_stats)

    def log_engine_initialized(self, *_: Any, **__: Any) -> None:
        """Capacities are final now."""
        self._attempt("initialized")

    def log(self, *_: Any, **__: Any) -> None:
        """Every ten seconds; the plugin's own thread needs no such reminder."""

    def record_sleep_state(self, sleep: Any = 0, level: Any = 0, *_: Any, **__: Any) -> None:
        """vLLM's base class calls its first argument `is_awake`, but its
        callers and its own loggers mean 1 where the engine sleeps."""
        self._attempt("sleep", bool(sleep))

    def record_admission_rejection(self, *_: Any, **__: Any) -> None:
        """A request was refused since too many wait."""
        self._attempt("reject")

    def _attempt(self, name: str, *arguments: Any) -> None:
        reporter = self._reporter
        if reporter is None:
            return
        try:
            getattr(reporter, name)(*arguments)
        except Exception as error:
            reporter.fault(error)


def ranks_of(given: Any) -> Tuple[int, ...]:
    """The ranks that a logger is for; rank 0 where vLLM names none."""
    numbers: List[Any] = list(given) if isinstance(given, (list, tuple, set, range)) else [given]
    ranks = tuple(sorted({n for n in numbers if n.__class__ is int and 0 <= n <= RANK_MAX}))
    return ranks or (0,)


def _say(sentence: str) -> None:
    try:
        LOG.warning("eagle-eye: %s", sentence)
    except Exception:
        pass  # A log handler that raises is not worth a server.

"""The stat logger for vLLM: each engine step, as it ends, to the agent.

vLLM from 0.11.1 on finds it by itself, as a plugin of the group
`vllm.stat_logger_plugins`; before that, it is an argument:

    AsyncLLM.from_engine_args(args, stat_loggers=[eagle_eye.vllm.StatLogger])

It harms nothing: `record` raises nothing, waits for nothing, and after faults
in a row does nothing any more and says so once.
"""

from __future__ import annotations

from .logger import StatLogger

__all__ = ["StatLogger"]

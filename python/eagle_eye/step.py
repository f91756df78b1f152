"""What an engine says about one step, before it is packed."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple, Optional, Tuple

from . import layout


def name_hash(name: str) -> int:
    """The 64-bit FNV-1a hash of a name, by which steps refer to it."""
    value = 0xCBF29CE484222325
    for byte in name.encode("utf-8", "replace"):
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def bounded_name(name: str) -> str:
    """A name as the wire carries it: UTF-8, cut between characters."""
    encoded = name.encode("utf-8", "replace")[: layout.NAME_BYTES_MAX]
    return encoded.decode("utf-8", "ignore")


class Engine(NamedTuple):
    """What does not change by the step about an engine."""

    name: str
    """Unique within a fleet; usually host and port, or a pod's name."""
    model: str
    """The model's name as the engine serves it."""
    endpoint: str = ""
    """What a router dials, such as http://10.0.0.7:8000; empty if unknown."""
    engine: str = ""
    """Kind and version, such as `vllm 0.32.0`."""
    source: str = "plugin"
    """How it reports: plugin, direct or simulated."""
    ranks: int = 1
    """Data-parallel ranks."""

    def info(self) -> bytes:
        """The engine's names as the door carries them: tag, length, value."""
        out = bytearray()
        for tag, name in enumerate((self.name, self.model, self.endpoint, self.engine, self.source), 1):
            value = bounded_name(name).encode("utf-8")
            out += struct.pack("<HH", tag, len(value)) + value
        out += struct.pack("<HHH", 6, 2, self.ranks)
        return bytes(out)


class Step:
    """One step's numbers. `None` means not measured, which is never zero.

    Keep one and set its fields anew each step; making one costs as much as
    writing it. Gauges are last values; counters are cumulative since the
    engine's start.
    """

    __slots__ = ("rank", "flags") + layout.FIELDS

    rank: int
    """Data-parallel rank."""
    flags: int
    """`layout.Flag` bits of this step, beside the door's own."""
    last_step_us: Optional[int]
    """Duration of the last step, µs."""
    running: Optional[int]
    """Requests in the running batch."""
    waiting: Optional[int]
    """Requests admitted and waiting for capacity."""
    deferred: Optional[int]
    """Requests waiting for something else, such as a KV transfer."""
    oldest_wait_ms: Optional[int]
    """Age of the oldest waiting request, ms."""
    waiting_tokens: Optional[int]
    """Prompt tokens of waiting requests."""
    pending_tokens: Optional[int]
    """Prompt tokens of running requests not yet computed."""
    max_sequences: Optional[int]
    """Most requests that can run at once."""
    max_batched_tokens: Optional[int]
    """Most tokens in one step."""
    kv_blocks: Optional[int]
    """KV-cache blocks in all."""
    block_size: Optional[int]
    """Tokens a KV block."""
    lora_running: Optional[int]
    """Distinct adapters in the running batch."""
    lora_waiting: Optional[int]
    """Distinct adapters among the waiting only."""
    kv_usage: Optional[float]
    """Share of the KV cache in use, 0 to 1."""
    prefill_tokens_per_second: Optional[float]
    """Prompt tokens computed a second."""
    decode_tokens_per_second: Optional[float]
    """Tokens generated a second."""
    steps: Optional[int]
    """Steps since start."""
    prompt_tokens: Optional[int]
    """Prompt tokens since start."""
    generated_tokens: Optional[int]
    """Generated tokens since start."""
    cached_tokens: Optional[int]
    """Prompt tokens served from a cache since start."""
    prefix_queries: Optional[int]
    """Tokens looked up in the prefix cache since start."""
    prefix_hits: Optional[int]
    """Tokens found in the prefix cache since start."""
    preemptions: Optional[int]
    """Preempted requests since start."""
    rejections: Optional[int]
    """Requests refused at admission since start."""
    finished: Optional[int]
    """Finished requests since start."""

    def __init__(self, rank: int = 0, flags: int = 0, **fields: Any) -> None:
        self.rank = rank
        self.flags = flags
        for name in layout.FIELDS:
            setattr(self, name, fields.pop(name, None))
        if fields:
            raise TypeError(f"a step has no field {sorted(fields)[0]!r}")

    def fitted(self) -> Tuple[Step, int]:
        """A copy without the values that do not fit their field, and how many
        those were. The slow way, taken only when packing failed."""
        copy = Step(self.rank, self.flags)
        unfit = 0
        for name in layout.FIELDS:
            value = getattr(self, name)
            setattr(copy, name, value)
            if value is None:
                continue
            try:
                layout.pack_step(_SCRATCH, 0, _only(name, value), _NOBODY, 0, 0, 0, 0, 0, 0)
            except Exception:
                setattr(copy, name, None)
                unfit += 1
        return copy, unfit


def _only(name: str, value: Any) -> Step:
    step = Step()
    setattr(step, name, value)
    return step


_SCRATCH = bytearray(layout.STEP_BYTES)
_NOBODY = (0, 0, 0, 0, 0, 0)

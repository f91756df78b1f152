"""Where everything stands in a step, a batch and a door.

Generated from the schema by generate_layout.py; not edited by hand.
"""

from __future__ import annotations

import enum
import struct
from typing import Any, NamedTuple, Tuple

NAME_BYTES_MAX = 255

# The door: an engine's shared memory.
DOOR_MAGIC = b"EEDOOR01"
DOOR_LAYOUT = 1
DOOR_HEAD_AT = 64
DOOR_HEARTBEAT_AT = 128
DOOR_HEARTBEAT_BYTES = 32
DOOR_INFO_AT = 192
DOOR_INFO_BYTES_AT = 256
DOOR_INFO_BYTES_MAX = 3840
DOOR_SLOTS_AT = 4096
DOOR_SLOT_HEADER_BYTES = 16
DOOR_SLOTS_MAX = 4096
DOOR_DETAILS_HEAD_BYTES = 16
DOOR_DETAILS_BYTES = 65536
DOOR_DETAILS_BYTES_MAX = 262144
DOOR_SLOT_HEADER = struct.Struct("<QII")
DOOR_HEARTBEAT = struct.Struct("<QQQI")
DOOR_INFO = struct.Struct("<III")
DOOR_DETAILS = struct.Struct("<III4x")
DOOR_HEADER = struct.Struct("<8sIIIIIIQQI12x")

# The first message in each direction on the agent's socket.
GREETING_MAGIC = b"EEHI"
GREETING_LAYOUT = 1
GREETING = struct.Struct("<4sHH8x")

# A step.
STEP_LAYOUT = 1
FLOAT_MAX = 3.4028234663852886e38
STEP = struct.Struct("<QQQHHHBBQQQIIQIIIIIIIIIIIHHH2xfffQQQQQQQQQQ40x")
STEP_BYTES = STEP.size
DOOR_SLOT_BYTES = DOOR_SLOT_HEADER_BYTES + STEP_BYTES

# A batch.
BATCH_IDENTIFIER = b"EEB1"
BATCH_BYTES_MAX = 65536
BATCH_HEAD = struct.Struct("<QQQQQII")
READING = struct.Struct("<IHHQd")

# Field ids of the table Batch.
BATCH_ID_HEAD = 0
BATCH_ID_STEPS = 1
BATCH_ID_READINGS = 2
BATCH_ID_NODE_NAME = 3
BATCH_ID_ENGINES = 4
BATCH_ID_DEVICES = 5
BATCH_ID_EVENTS = 6
BATCH_ID_VERDICTS = 7
BATCH_ID_HELD_NS = 8
BATCH_ID_DETAILS = 9
BATCH_ID_ASSESSMENTS = 10

# Field ids of the table Engine.
ENGINE_ID_INSTANCE = 0
ENGINE_ID_INCARNATION = 1
ENGINE_ID_MODEL_HASH = 2
ENGINE_ID_NAME = 3
ENGINE_ID_MODEL = 4
ENGINE_ID_ENDPOINT = 5
ENGINE_ID_ENGINE = 6
ENGINE_ID_RANKS = 7
ENGINE_ID_PROCESS = 8
ENGINE_ID_SOURCE = 9
ENGINE_ID_CONTAINER = 10
ENGINE_ID_POD = 11

# Field ids of the table Device.
DEVICE_ID_INDEX = 0
DEVICE_ID_NAME = 1
DEVICE_ID_KIND = 2
DEVICE_ID_VENDOR = 3
DEVICE_ID_UUID = 4
DEVICE_ID_CONTAINER = 5
DEVICE_ID_POD = 6
DEVICE_ID_ACCELERATOR = 7

# Field ids of the table Event.
EVENT_ID_ID = 0
EVENT_ID_KIND = 1
EVENT_ID_SEVERITY = 2
EVENT_ID_WALL_NS = 3
EVENT_ID_MONOTONIC_NS = 4
EVENT_ID_SOURCE = 5
EVENT_ID_SUBJECT = 6
EVENT_ID_TEXT = 7
EVENT_ID_LOG = 8
EVENT_ID_CODE = 9
EVENT_ID_LOST = 10
EVENT_ID_FAULT = 11

# Field ids of the table LogRecord.
LOG_RECORD_ID_FACILITY = 0
LOG_RECORD_ID_LEVEL = 1
LOG_RECORD_ID_TRUST = 2
LOG_RECORD_ID_BEFORE_START = 3
LOG_RECORD_ID_SEQUENCE = 4
LOG_RECORD_ID_DEVICE = 5
LOG_RECORD_ID_SUBSYSTEM = 6

# Field ids of the table Verdict.
VERDICT_ID_ID = 0
VERDICT_ID_REVISION = 1
VERDICT_ID_RULE = 2
VERDICT_ID_SEVERITY = 3
VERDICT_ID_SUBJECT = 4
VERDICT_ID_TEXT = 5
VERDICT_ID_WALL_NS = 6
VERDICT_ID_STATE = 7
VERDICT_ID_SINCE_WALL_NS = 8
VERDICT_ID_SUBJECT_KIND = 9
VERDICT_ID_CAUSE = 10
VERDICT_ID_CONFIDENCE = 11
VERDICT_ID_EVIDENCE = 12
VERDICT_ID_IMPACT = 13
VERDICT_ID_ACTION = 14
VERDICT_ID_STEPS = 15
VERDICT_ID_PAGE = 16
VERDICT_ID_DATA_VERSION = 17
VERDICT_ID_CAUSED_BY = 18
VERDICT_ID_COUNT = 19
VERDICT_ID_SILENCED_UNTIL_WALL_NS = 20
VERDICT_ID_SILENCED_BY = 21
VERDICT_ID_LIMIT_SOURCE = 22

# Field ids of the table EngineDetails.
ENGINE_DETAILS_ID_INSTANCE = 0
ENGINE_DETAILS_ID_INCARNATION = 1
ENGINE_DETAILS_ID_RANK = 2
ENGINE_DETAILS_ID_PRODUCER = 3
ENGINE_DETAILS_ID_SKETCHES = 4
ENGINE_DETAILS_ID_FINISHED = 5
ENGINE_DETAILS_ID_ADAPTERS = 6
ENGINE_DETAILS_ID_SPECULATION = 7
ENGINE_DETAILS_ID_TRANSFER = 8
ENGINE_DETAILS_ID_DEVICES = 9

# Field ids of the table Sketch.
SKETCH_ID_KIND = 0
SKETCH_ID_OFFSET = 1
SKETCH_ID_COUNT = 2
SKETCH_ID_SUM_US = 3
SKETCH_ID_MAX_US = 4
SKETCH_ID_BUCKETS = 5

# Field ids of the table Finished.
FINISHED_ID_REASON = 0
FINISHED_ID_COUNT = 1

# Field ids of the table Adapter.
ADAPTER_ID_NAME = 0
ADAPTER_ID_RUNNING = 1
ADAPTER_ID_WAITING = 2

# Field ids of the table Speculation.
SPECULATION_ID_DRAFTS = 0
SPECULATION_ID_DRAFT_TOKENS = 1
SPECULATION_ID_ACCEPTED_TOKENS = 2
SPECULATION_ID_ACCEPTED = 3

# Field ids of the table Transfer.
TRANSFER_ID_TRANSFERS = 0
TRANSFER_ID_BYTES = 1
TRANSFER_ID_FAILURES = 2
TRANSFER_ID_SECONDS = 3

# Bit of each measured field in `present`.
FIELD_BITS = {
    "last_step_us": 0,
    "running": 1,
    "waiting": 2,
    "deferred": 3,
    "oldest_wait_ms": 4,
    "waiting_tokens": 5,
    "pending_tokens": 6,
    "max_sequences": 7,
    "max_batched_tokens": 8,
    "kv_blocks": 9,
    "block_size": 10,
    "lora_running": 11,
    "lora_waiting": 12,
    "kv_usage": 13,
    "prefill_tokens_per_second": 14,
    "decode_tokens_per_second": 15,
    "steps": 16,
    "prompt_tokens": 17,
    "generated_tokens": 18,
    "cached_tokens": 19,
    "prefix_queries": 20,
    "prefix_hits": 21,
    "preemptions": 22,
    "rejections": 23,
    "finished": 24,
}
FIELDS = tuple(FIELD_BITS)
PRESENT_ALL = (1 << len(FIELDS)) - 1


class Flag:
    """What a step says about its producer, as plain integers: the `|` of an
    IntFlag costs as much as writing a step."""

    HEARTBEAT = 1
    DRAINING = 2
    ASLEEP = 4
    WARMING = 8
    GOODBYE = 16
    TOKENS_ESTIMATED = 32
    SIMULATED = 64
    SCRAPED = 128
    PARTIAL = 256


class Role(enum.IntEnum):
    """What part of a request an engine serves."""

    UNKNOWN = 0
    AGGREGATED = 1
    PREFILL = 2
    DECODE = 3
    ENCODE = 4


class EventKind(enum.IntEnum):
    """What happened."""

    UNKNOWN = 0
    ENGINE_APPEARED = 1
    ENGINE_GONE = 2
    ENGINE_RESTARTED = 3
    SAMPLER_STALLED = 4
    SAMPLER_RECOVERED = 5
    AGENT_STARTED = 6
    AGENT_STOPPED = 7
    RECORD_REJECTED = 8
    KERNEL_LINE = 9
    KERNEL_LINES_LOST = 10
    CONTAINER_STARTED = 11
    CONTAINER_ENDED = 12
    CONTAINER_OOM_KILL = 13
    XID = 14
    SXID = 15
    TRACE_EVENTS_LOST = 16
    SOURCE_HANGS = 17
    SOURCE_ANSWERS = 18
    DEVICE_APPEARED = 19
    DEVICE_GONE = 20
    DEVICE_RETURNED = 21
    DEVICE_RESETTING = 22
    DEVICE_UPGRADING = 23
    DEVICE_CHANGED = 24
    DEVICE_FAULT = 25
    DEVICE_NOTICE = 26
    DEVICE_EVENTS_LOST = 27


class Severity(enum.IntEnum):
    """How bad it is."""

    INFO = 0
    WARNING = 1
    ERROR = 2
    CRITICAL = 3


class SketchKind(enum.IntEnum):
    """What a sketch measures."""

    UNKNOWN = 0
    TTFT = 1
    INTER_TOKEN = 2
    QUEUE = 3
    PREFILL = 4
    DECODE = 5
    END_TO_END = 6


class GreetingKind(enum.IntEnum):
    """What a greeting says."""

    ENGINE = 1
    VIEW = 2
    WELCOME_ENGINE = 3
    WELCOME_VIEW = 4
    REFUSED = 5


class StepCore(NamedTuple):
    """One step as it stands on the wire; see `value` for what is known."""

    instance: int
    incarnation: int
    model: int
    rank: int
    producer: int
    producers: int
    role: int
    layout: int
    sequence: int
    monotonic_ns: int
    wall_ns: int
    clock_error_ns: int
    ttl_ms: int
    present: int
    flags: int
    last_step_us: int
    running: int
    waiting: int
    deferred: int
    oldest_wait_ms: int
    waiting_tokens: int
    pending_tokens: int
    max_sequences: int
    max_batched_tokens: int
    kv_blocks: int
    block_size: int
    lora_running: int
    lora_waiting: int
    kv_usage: float
    prefill_tokens_per_second: float
    decode_tokens_per_second: float
    steps: int
    prompt_tokens: int
    generated_tokens: int
    cached_tokens: int
    prefix_queries: int
    prefix_hits: int
    preemptions: int
    rejections: int
    finished: int
    heartbeat_ns: int

    def value(self, field: str) -> Any:
        """A measured field, or None where it is unknown."""
        if self.present >> FIELD_BITS[field] & 1:
            return getattr(self, field)
        return None


class Reading(NamedTuple):
    """One value of one metric of one device."""

    device: int
    metric: int
    flags: int
    time_ns: int
    value: float


class BatchHead(NamedTuple):
    """Who sends a batch, and when."""

    node: int
    incarnation: int
    sequence: int
    publish_monotonic_ns: int
    publish_wall_ns: int
    generation: int
    flags: int


def pack_step(
    buffer: bytearray, at: int, step: Any, identity: Tuple[int, ...], sequence: int,
    monotonic_ns: int, wall_ns: int, clock_error_ns: int, ttl_ms: int, flags: int,
) -> None:
    """Packs a step's fields; None and what is not finite are unknown.

    `identity` is (instance, incarnation, model, producer, producers, role).
    Raises when a value does not fit its field. Unrolled, since this is the
    engine's own time."""
    present = PRESENT_ALL
    last_step_us = step.last_step_us
    if last_step_us is None:
        last_step_us = 0
        present ^= 0x1
    running = step.running
    if running is None:
        running = 0
        present ^= 0x2
    waiting = step.waiting
    if waiting is None:
        waiting = 0
        present ^= 0x4
    deferred = step.deferred
    if deferred is None:
        deferred = 0
        present ^= 0x8
    oldest_wait_ms = step.oldest_wait_ms
    if oldest_wait_ms is None:
        oldest_wait_ms = 0
        present ^= 0x10
    waiting_tokens = step.waiting_tokens
    if waiting_tokens is None:
        waiting_tokens = 0
        present ^= 0x20
    pending_tokens = step.pending_tokens
    if pending_tokens is None:
        pending_tokens = 0
        present ^= 0x40
    max_sequences = step.max_sequences
    if max_sequences is None:
        max_sequences = 0
        present ^= 0x80
    max_batched_tokens = step.max_batched_tokens
    if max_batched_tokens is None:
        max_batched_tokens = 0
        present ^= 0x100
    kv_blocks = step.kv_blocks
    if kv_blocks is None:
        kv_blocks = 0
        present ^= 0x200
    block_size = step.block_size
    if block_size is None:
        block_size = 0
        present ^= 0x400
    lora_running = step.lora_running
    if lora_running is None:
        lora_running = 0
        present ^= 0x800
    lora_waiting = step.lora_waiting
    if lora_waiting is None:
        lora_waiting = 0
        present ^= 0x1000
    kv_usage = step.kv_usage
    if kv_usage is None or not -FLOAT_MAX <= kv_usage <= FLOAT_MAX:
        kv_usage = 0
        present ^= 0x2000
    prefill_tokens_per_second = step.prefill_tokens_per_second
    if prefill_tokens_per_second is None or not -FLOAT_MAX <= prefill_tokens_per_second <= FLOAT_MAX:
        prefill_tokens_per_second = 0
        present ^= 0x4000
    decode_tokens_per_second = step.decode_tokens_per_second
    if decode_tokens_per_second is None or not -FLOAT_MAX <= decode_tokens_per_second <= FLOAT_MAX:
        decode_tokens_per_second = 0
        present ^= 0x8000
    steps = step.steps
    if steps is None:
        steps = 0
        present ^= 0x10000
    prompt_tokens = step.prompt_tokens
    if prompt_tokens is None:
        prompt_tokens = 0
        present ^= 0x20000
    generated_tokens = step.generated_tokens
    if generated_tokens is None:
        generated_tokens = 0
        present ^= 0x40000
    cached_tokens = step.cached_tokens
    if cached_tokens is None:
        cached_tokens = 0
        present ^= 0x80000
    prefix_queries = step.prefix_queries
    if prefix_queries is None:
        prefix_queries = 0
        present ^= 0x100000
    prefix_hits = step.prefix_hits
    if prefix_hits is None:
        prefix_hits = 0
        present ^= 0x200000
    preemptions = step.preemptions
    if preemptions is None:
        preemptions = 0
        present ^= 0x400000
    rejections = step.rejections
    if rejections is None:
        rejections = 0
        present ^= 0x800000
    finished = step.finished
    if finished is None:
        finished = 0
        present ^= 0x1000000
    STEP.pack_into(
        buffer,
        at,
        identity[0],
        identity[1],
        identity[2],
        step.rank,
        identity[3],
        identity[4],
        identity[5],
        STEP_LAYOUT,
        sequence,
        monotonic_ns,
        wall_ns,
        clock_error_ns,
        ttl_ms,
        present,
        flags | step.flags,
        last_step_us,
        running,
        waiting,
        deferred,
        oldest_wait_ms,
        waiting_tokens,
        pending_tokens,
        max_sequences,
        max_batched_tokens,
        kv_blocks,
        block_size,
        lora_running,
        lora_waiting,
        kv_usage,
        prefill_tokens_per_second,
        decode_tokens_per_second,
        steps,
        prompt_tokens,
        generated_tokens,
        cached_tokens,
        prefix_queries,
        prefix_hits,
        preemptions,
        rejections,
        finished,
        monotonic_ns,
    )

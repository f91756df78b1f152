#!/usr/bin/env python3
"""A fake engine: writes simulated steps at a steady rate, then says how many.

    python3 python/examples/engine.py --name a --model m --hz 100 --seconds 5
"""

import argparse
import json
import math
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from eagle_eye import Door, Engine, Flag, Step  # noqa: E402

MAX_SEQUENCES = 256
KV_BLOCKS = 16_384
BLOCK_SIZE = 16
PROMPT_TOKENS = 512
ANSWER_TOKENS = 128


class Load:
    """One rank's load: requests arrive in waves, run, and finish."""

    def __init__(self, rank, hz):
        self.numbers = random.Random(rank)
        self.hz = hz
        self.running = 0.0
        self.waiting = 0.0
        self.step = Step(rank, max_sequences=MAX_SEQUENCES, max_batched_tokens=8192,
                         kv_blocks=KV_BLOCKS, block_size=BLOCK_SIZE, deferred=0)
        for name in ("steps", "prompt_tokens", "generated_tokens", "cached_tokens", "prefix_queries",
                     "prefix_hits", "preemptions", "rejections", "finished"):
            setattr(self.step, name, 0)

    def advance(self, now):
        """The next step, `now` seconds after the first."""
        step = self.step
        wave = 1.0 + 0.6 * math.sin(now / 3 + step.rank)
        self.waiting += wave * self.numbers.random() * 80 / self.hz
        admitted = min(self.waiting, MAX_SEQUENCES - self.running)
        self.waiting -= admitted
        done = self.running / ANSWER_TOKENS
        self.running = max(self.running + admitted - done, 0.0)
        prompts = int(admitted * PROMPT_TOKENS)
        step.running, step.waiting = round(self.running), round(self.waiting)
        step.waiting_tokens = step.waiting * PROMPT_TOKENS
        step.pending_tokens = prompts
        step.oldest_wait_ms = 40 * step.waiting
        step.last_step_us = 4000 + 20 * step.running
        step.kv_usage = min(step.running * (PROMPT_TOKENS + ANSWER_TOKENS) / (KV_BLOCKS * BLOCK_SIZE), 1.0)
        step.prefill_tokens_per_second = float(prompts * self.hz)
        step.decode_tokens_per_second = float(step.running * self.hz)
        step.steps += 1
        step.prompt_tokens += prompts
        step.cached_tokens += prompts // 4
        step.prefix_queries += prompts
        step.prefix_hits += prompts // 4
        step.generated_tokens += step.running
        step.finished = step.generated_tokens // ANSWER_TOKENS
        return step


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="simulated-engine")
    parser.add_argument("--model", default="simulated-model")
    parser.add_argument("--endpoint", default="")
    parser.add_argument("--hz", type=float, default=100.0, help="steps a second of each rank")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--socket", help="the agent's socket, if not where agents listen")
    options = parser.parse_args()
    if options.hz <= 0 or options.seconds < 0 or options.ranks < 1:
        parser.error("--hz, --seconds and --ranks must be positive")
    return options


def main():
    options = arguments()
    stop = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.append(True))
    engine = Engine(options.name, options.model, options.endpoint, "simulated 1", "simulated", options.ranks)
    loads = [Load(rank, options.hz) for rank in range(options.ranks)]
    with Door(engine, flags=Flag.SIMULATED, socket_path=options.socket) as door:
        began = time.monotonic()
        for turn in range(math.ceil(options.hz * options.seconds)):
            due = began + turn / options.hz
            # In short naps, so that a signal ends a slow engine soon.
            while not stop and (left := due - time.monotonic()) > 0:
                time.sleep(min(left, 0.1))
            if stop:
                break
            for load in loads:
                door.write(load.advance(turn / options.hz))
        counts = {str(load.step.rank): door.rank_written(load.step.rank) for load in loads}
    # The goodbye of each rank is one more step, stored by the close above.
    print(json.dumps({
        "name": options.name, "incarnation": door.incarnation, "steps": counts,
        "goodbyes": door.written - sum(counts.values()), "welcomes": door.welcomes,
        "faults": door.faults, "unfit": door.unfit, "busy": door.busy,
    }), flush=True)


if __name__ == "__main__":
    main()

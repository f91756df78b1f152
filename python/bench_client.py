#!/usr/bin/env python3
"""How many updates a second one core takes in, and what a choice costs.

`python3 python/bench_client.py [UPDATES]`: hot batches of steps into the view's core,
beside a router that takes one JSON object an update into a dict, which is what
one writes without it; then picks and scans. One process, one thread, the best
of five rounds each.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from eagle_eye import layout  # noqa: E402
from eagle_eye.client import Ask, Policy, Score, View, ViewCore, ViewSettings  # noqa: E402
from eagle_eye.layout import FIELDS  # noqa: E402

ROUNDS = 5
MS = 1_000_000
HEADER = bytes.fromhex("14000000454542310800380004003400000000000c000000")  # Of a hot batch.


def step(rank, sequence, at_ns):
    blank = layout.StepCore._make(layout.STEP.unpack(bytes(layout.STEP_BYTES)))
    return blank._replace(
        instance=1 + rank // 8, incarnation=9, model=5, rank=rank % 8, producers=1, sequence=sequence,
        monotonic_ns=at_ns, heartbeat_ns=at_ns, ttl_ms=1000, present=layout.PRESENT_ALL,
        running=rank % 32, waiting=rank % 5, kv_usage=0.5, steps=sequence, generated_tokens=17 * sequence,
    )


def batch(steps, at_ns, sequence):
    head = layout.BATCH_HEAD.pack(3, 1, sequence, at_ns, 0, 1, 0)
    packed = b"".join(layout.STEP.pack(*one) for one in steps)
    return HEADER + head + (4).to_bytes(4, "little") + len(steps).to_bytes(4, "little") + packed


def rate(count, work):
    """Updates a second, the best of some rounds."""
    best = 0.0
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        work()
        best = max(best, count / (time.perf_counter() - begun))
    return best


def packed_rate(ranks, in_batch, updates):
    messages, at_ns = [], 1_000 * MS
    for number in range(updates // in_batch):
        at_ns += MS
        first = number * in_batch
        steps = [step((first + n) % ranks, (first + n) // ranks + 1, at_ns) for n in range(in_batch)]
        messages.append((batch(steps, at_ns, number + 1), at_ns + 5_000 * MS))

    def work():
        core = ViewCore(ViewSettings())
        for message, receipt_ns in messages:
            core.feed(message, receipt_ns)
        assert core.counts.steps_stored == len(messages) * in_batch, core.counts.named()

    return rate(len(messages) * in_batch, work)


def json_rate(ranks, updates):
    """One object an update with the same numbers, kept by rank."""
    messages = []
    for number in range(updates):
        one = step(number % ranks, number // ranks + 1, 1_000 * MS)
        said = {name: getattr(one, name) for name in FIELDS}
        said.update(engine=f"engine-{one.instance}", rank=one.rank, sequence=one.sequence,
                    time_ns=one.monotonic_ns)
        messages.append(json.dumps(said).encode())

    def work():
        newest = {}
        for message in messages:
            said = json.loads(message)
            newest[said["engine"], said["rank"]] = said

    return rate(updates, work)


def chosen_us(ranks, score, updated):
    """One pick among so many ranks, of which some were updated since the last."""
    core, at_ns = ViewCore(ViewSettings()), 1_000 * MS
    view = View(core, seed=1)
    for first in range(0, ranks, 200):
        steps = [step(rank, 1, at_ns) for rank in range(first, min(first + 200, ranks))]
        core.feed(batch(steps, at_ns, 1), at_ns + 5_000 * MS)
    now_ns, ask, policy = at_ns + 5_001 * MS, Ask(), Policy.strict()
    best = float("inf")
    for number in range(200):
        for first in range(0, updated, 200):
            steps = [step(rank, number + 2, at_ns) for rank in range(first, min(first + 200, updated))]
            core.feed(batch(steps, at_ns, number + 2), at_ns + 5_000 * MS)
        begun = time.perf_counter()
        view.pick(ask, policy, score, now_ns)
        best = min(best, time.perf_counter() - begun)
    return best * 1e6


def main():
    updates = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
    print(f"Python {sys.version.split()[0]}, {updates} updates a round, best of {ROUNDS}")
    for ranks, in_batch in ((1000, 200), (1000, 20), (1000, 1), (64, 32)):
        taken = packed_rate(ranks, in_batch, updates)
        print(f"batches of {in_batch:3} of {ranks:4} ranks: {taken:9,.0f} updates/s")
    print(f"json.loads and a dict, 1000 ranks: {json_rate(1000, updates):9,.0f} updates/s")
    for ranks in (16, 128, 1000):
        for score in Score:
            quiet, moving = chosen_us(ranks, score, 0), chosen_us(ranks, score, ranks)
            print(f"pick {score.value:12} of {ranks:4}: {quiet:8.1f} µs, all updated since {moving:8.1f} µs")


if __name__ == "__main__":
    main()

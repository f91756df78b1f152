#!/usr/bin/env python3
"""What the vLLM plugin costs the engine's event loop: `python3 python/bench_plugin.py`.

Each row times `record` alone, called from a running event loop with a pause
between steps, as vLLM calls it. Rows of one size follow one another in one
process, round about, so that all meet the same machine:

  clock              nothing: what every figure contains
  agent awake        the plugin; the agent polls
  agent asleep       the plugin; each call rings a bell on which a process sleeps
  Prometheus         counters, gauges and histograms as many and as large as
                     vLLM's own logger has, with prometheus_client (not vLLM's code)
  JSON, nats-py      json.dumps of the same fields and a task that publishes them;
                     the task's own time, later on the same loop, is not counted

The last two need `pip install prometheus-client nats-py` and a nats-server
(EAGLE_EYE_NATS_SERVER, else on the PATH or in target/tools/bin); without, they
are left out and that is said.
"""

import argparse
import asyncio
import gc
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
os.environ["EAGLE_EYE_SOCKET"] = "/nowhere/agent.sock"

from bench_door import a_bell, wake_for_ever  # noqa: E402
from tests.vllm_standins import Standin, config, installed  # noqa: E402

SIZES = (8, 64, 256)
VERSION = "0.33.0"


def steps(standin, running, count):
    """Steps of a busy engine: a token for each running sequence, one request
    in and out every eighth step. Of the times between tokens an eighth differs."""
    numbers = random.Random(running)
    for place in range(count):
        share, turn = max(1, running // 8), place % 8 == 0
        same = numbers.uniform(0.01, 0.05)
        decoded = [same] * (running - share) + [numbers.uniform(0.01, 0.05) for _ in range(share)]
        finished = [standin.request(1, e2e_latency=2.0, queued_time=0.01, prefill_time=0.1, decode_time=1.9,
                                    inference_time=2.0, num_prompt_tokens=500, num_generation_tokens=200)]
        yield (standin.scheduler(running, 4, 0.6, queries=500 * turn, hits=100 * turn),
               standin.iteration(running, 500 * turn, 100 * turn, first=[0.2] * turn, decoded=decoded,
                                 finished=finished * turn))


class PrometheusLike:
    """As many series as vLLM's logger touches in a step."""

    def __init__(self):
        import prometheus_client as prometheus

        registry, labels = prometheus.CollectorRegistry(), ("model_name", "engine")
        self.version = prometheus.__name__
        short = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560]
        made = lambda kind, name, **more: kind(name, "x", labels, registry=registry, **more).labels("m", "0")
        self.gauges = [made(prometheus.Gauge, f"gauge_{n}") for n in range(6)]
        self.counters = [made(prometheus.Counter, f"counter_{n}") for n in range(14)]
        self.first, self.between, self.tokens, *self.finished = [
            made(prometheus.Histogram, f"histogram_{n}", buckets=short) for n in range(13)]

    def record(self, scheduler, iteration):
        for gauge, value in zip(self.gauges, (scheduler.num_running_reqs, scheduler.num_waiting_reqs,
                                              scheduler.kv_cache_usage, 0, 4, 0)):
            gauge.set(value)
        for counter in self.counters:
            counter.inc(iteration.num_generation_tokens)
        self.tokens.observe(iteration.num_generation_tokens)
        for value in iteration.time_to_first_tokens_iter:
            self.first.observe(value)
        for value in iteration.inter_token_latencies_iter:
            self.between.observe(value)
        for request in iteration.finished_requests:
            for histogram in self.finished:
                histogram.observe(request.e2e_latency)


class JsonOverNats:
    """A dictionary, json.dumps, and a task that publishes."""

    def __init__(self, client):
        self.client = client
        self.tasks = set()
        self.totals = {"generated": 0, "prompt": 0, "finished": 0, "preempted": 0, "queries": 0, "hits": 0}

    def record(self, scheduler, iteration):
        totals = self.totals
        totals["generated"] += iteration.num_generation_tokens
        totals["prompt"] += iteration.prompt_token_stats.total
        totals["finished"] += len(iteration.finished_requests)
        totals["preempted"] += iteration.num_preempted_reqs
        totals["queries"] += scheduler.prefix_cache_stats.queries
        totals["hits"] += scheduler.prefix_cache_stats.hits
        body = json.dumps({"engine": "bench", "model": "m", "rank": 0, "time": time.time(),
                           "running": scheduler.num_running_reqs, "waiting": scheduler.num_waiting_reqs,
                           "kv_usage": scheduler.kv_cache_usage, "deferred": scheduler.num_skipped_waiting_reqs,
                           "max_sequences": 256, "kv_blocks": 9000, "block_size": 16, **totals}).encode()
        task = asyncio.get_running_loop().create_task(self.client.publish("bench", body))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


async def nats_client():
    """A client of a server of our own, and what ends both."""
    import nats

    program = os.environ.get("EAGLE_EYE_NATS_SERVER") or shutil.which("nats-server") or str(
        HERE.parent / "target" / "tools" / "bin" / "nats-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([program, "-a", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 0.1).close()
                break
            except OSError:
                await asyncio.sleep(0.05)
        return await nats.connect(f"nats://127.0.0.1:{port}"), server
    except BaseException:
        server.kill()
        raise


async def measure(call, made, pause_s):
    clock = time.perf_counter_ns
    times = []
    for place, stats in enumerate(made):
        began = clock()
        call(*stats)
        times.append(clock() - began)
        if pause_s:
            await asyncio.sleep(pause_s)
        elif place % 64 == 0:
            await asyncio.sleep(0)
    return times


def show(name, running, times):
    times.sort()
    at = lambda share: times[min(int(len(times) * share), len(times) - 1)] / 1000
    print(f"{name:16} {running:4} running   p50 {at(0.5):8.2f} µs   p99 {at(0.99):8.2f} µs   p99.9 {at(0.999):8.2f} µs",
          flush=True)


async def rows(standin, plugin):
    """(name, call, before, after) of each row."""
    logger = plugin.StatLogger(vllm_config=config(scheduler_config__max_num_seqs=256), engine_indexes=[0])
    link = logger._reporter.door._link
    if not link.stop(5.0):
        raise SystemExit("the link did not stop, so no bell can be measured")
    awake, asleep = a_bell(0), a_bell(1)
    child = os.fork()
    if child == 0:
        wake_for_ever(asleep._eventfd)

    def record(scheduler, iteration):
        logger.record(scheduler, iteration, mm_cache_stats=None, engine_idx=0)

    def bell(which):
        link.bell = which
        # No engine makes steps as fast as these turns without a pause: without
        # this, what the last turn left would be freed on this one's time.
        while logger._reporter._ranks[0].kept:
            time.sleep(0.01)

    found = [("clock", lambda *_: None, None), ("agent awake", record, lambda: bell(awake)),
             ("agent asleep", record, lambda: bell(asleep))]
    ends = [lambda: os.kill(child, signal.SIGKILL), lambda: os.waitpid(child, 0)]
    try:
        found.append(("Prometheus", PrometheusLike().record, None))
    except ImportError as error:
        print(f"no row for Prometheus: {error}")
    try:
        client, server = await nats_client()
        found.append(("JSON, nats-py", JsonOverNats(client).record, None))
        ends.append(server.kill)
    except (ImportError, OSError) as error:
        print(f"no row for JSON over NATS: {error}")
    return found, ends, logger


async def run(count, rounds, pause_s):
    standin = Standin(VERSION)
    with installed(standin) as plugin:
        found, ends, logger = await rows(standin, plugin)
        try:
            for running in SIZES:
                times = {name: [] for name, _, _ in found}
                for _ in range(rounds):
                    for name, call, before in found:
                        made = list(steps(standin, running, count // rounds))
                        if before:
                            before()
                        gc.collect()
                        times[name] += await measure(call, made, pause_s)
                for name, taken in times.items():
                    show(name, running, taken)
            reporter = logger._reporter
            print(f"faults {reporter.faults}, steps not folded {reporter.tallies()[0].dropped}")
        finally:
            for end in ends:
                end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=3000, help="calls of each row and size")
    parser.add_argument("--rounds", type=int, default=5, help="turns in which the rows make them")
    parser.add_argument("--pause-us", type=int, default=1000, help="between two calls")
    given = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, {given.count} calls each, {given.pause_us} µs apart, "
          f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    asyncio.run(run(given.count, given.rounds, given.pause_us / 1e6))


if __name__ == "__main__":
    main()

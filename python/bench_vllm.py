#!/usr/bin/env python3
"""What the plugin costs a real vLLM: throughput, time to the first token and time
between tokens, with and without it.

    bench_vllm.py --vllm VENV/bin/vllm --model FOLDER --eagle-eye target/release/eagle-eye [-- ARGUMENTS]

Two servers stand side by side, one with the plugin and an agent, and take turns
under the same load, so that what else the machine does meets both. Then they start
anew with their parts changed. A pair is a turn of each; what is told is the median
and the middle half of the pairs' ratios, and beside it the same of `without` against
itself in the turn before: what the machine alone makes of it.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

PYTHON = Path(__file__).resolve().parent
sys.path.insert(0, str(PYTHON))

from tests.real_engine import free_port, until_healthy  # noqa: E402

MODEL = "real"
WORDS = "the quick brown fox jumps over a lazy dog".split()


async def stream(base, chance, times):
    """One streamed request: notes its first token's time and those between tokens."""
    body = json.dumps({"model": MODEL, "prompt": " ".join(chance.choices(WORDS, k=30)), "stream": True,
                       "ignore_eos": True, "max_tokens": chance.randint(32, 64)}).encode()
    parts = urlsplit(base)
    began = last = time.monotonic()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                     b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        first = True
        async for line in reader:
            if line.startswith(b"data: {"):
                now = time.monotonic()
                times["ttft" if first else "itl"].append(now - (began if first else last))
                first, last = False, now
    finally:
        writer.close()


async def turn(base, clients, seconds, seed):
    """One server under load."""
    times = {"ttft": [], "itl": []}
    end = time.monotonic() + seconds

    async def client(number):
        chance = random.Random(seed * 1000 + number)
        while time.monotonic() < end:
            await stream(base, chance, times)

    began = time.monotonic()
    await asyncio.gather(*(client(number) for number in range(clients)))
    took = time.monotonic() - began
    tokens = len(times["ttft"]) + len(times["itl"])
    at = lambda all_, share: sorted(all_)[int(len(all_) * share)]  # noqa: E731
    return {"tokens_per_s": tokens / took, "itl_ms_p50": 1e3 * at(times["itl"], 0.5), "itl_ms_p99": 1e3 * at(times["itl"], 0.99),
            "ttft_ms_p50": 1e3 * at(times["ttft"], 0.5)}


def server(given, port, environment):
    return subprocess.Popen(
        [given.vllm, "serve", given.model, "--served-model-name", MODEL, "--host", "127.0.0.1", "--port", str(port),
         *given.arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def half(given, first, turns):
    """Turns of both, of which the first server has the plugin where `first`."""
    started, found = [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "plugin")
        subprocess.run([sys.executable, PYTHON / "make_folder.py", folder], check=True, stdout=subprocess.DEVNULL)
        plain = {**{name: value for name, value in os.environ.items() if not name.startswith("EAGLE_EYE_")},
                 "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
        seen = {**plain, "EAGLE_EYE_SOCKET": f"{scratch}/agent.sock", "PYTHONPATH": str(folder)}
        try:
            started.append(subprocess.Popen(
                [given.eagle_eye, "run", "--set", f"run_dir={scratch}", "--set", f"state_dir={scratch}/state",
                 "--set", "samplers.engine_scrape.discover=false", "--listen", "off", "--no-view"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=plain))
            bases = []
            for number in (0, 1):
                port = free_port()
                bases.append(f"http://127.0.0.1:{port}")
                started.append(server(given, port, seen if (number == 0) == first else plain))
            for base, one in zip(bases, started[1:]):
                until_healthy(base, one)
            for base in bases:
                asyncio.run(turn(base, given.clients, 5.0, 0))  # Both are warm.
            with_, without = bases if first else bases[::-1]
            for number in range(turns):
                order = [("with", with_), ("without", without)]
                pair = {}
                for name, base in order if number % 2 == 0 else order[::-1]:
                    pair[name] = asyncio.run(turn(base, given.clients, given.seconds, number + 1))
                found.append(pair)
                print(f"turn {len(found)}: " + ", ".join(
                    f"{name} {pair[name]['tokens_per_s']:.0f} tokens/s, ITL {pair[name]['itl_ms_p50']:.2f} ms" for name in sorted(pair)),
                    flush=True)
        finally:
            for process in reversed(started):
                process.terminate()
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
    return found


def spread(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{statistics.median(values):.3f} ({low:.3f}–{high:.3f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--vllm", "--model", "--eagle-eye"):
        parser.add_argument(name, required=True, type=Path)
    parser.add_argument("--turns", type=int, default=12, help="of each server and half")
    parser.add_argument("--seconds", type=float, default=8.0, help="of a turn")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("arguments", nargs="*", help="for vllm serve, behind --")
    given = parser.parse_args()
    pairs = []
    for first in (True, False):
        pairs += half(given, first, given.turns)
    print(f"{len(pairs)} pairs of {given.seconds:g} s, {given.clients} clients, load {os.getloadavg()[0]:.1f} on "
          f"{os.cpu_count()} cores, {platform.machine()}")
    print(f"{'':14} {'with':>20} {'without':>20} {'with ÷ without':>24} {'without ÷ the one before':>26}")
    for name in ("tokens_per_s", "itl_ms_p50", "itl_ms_p99", "ttft_ms_p50"):
        with_, without = ([pair[which][name] for pair in pairs] for which in ("with", "without"))
        itself = [b / a for a, b in zip(without, without[1:])]
        print(f"{name:14} {statistics.median(with_):20.2f} {statistics.median(without):20.2f} "
              f"{spread([a / b for a, b in zip(with_, without)]):>24} {spread(itself):>26}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The real thing: a vLLM with the plugin, an agent, load, and then the agent's
numbers, in the Rust view and in the Python one, against the engine's own metrics
page.

    real_engine.py --vllm VENV/bin/vllm --model FOLDER --eagle-eye target/debug/eagle-eye [-- ARGUMENTS]

The model may be tiny and random; what stands behind `--` goes to `vllm serve`,
such as `--api-server-count 2`. Everything listens on loopback, the load is
bounded, and all that is started is ended. Exits with 1 where a number differs.
"""

import argparse
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

PYTHON = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PYTHON))

from eagle_eye import name_hash  # noqa: E402
from eagle_eye.client import SketchKind, open_local  # noqa: E402

CLIENTS, REQUESTS = 8, 20
START_WAIT_S = 300
# A step's counter, and the metric of vLLM's that says the same.
SAME = {"prompt_tokens": "prompt_tokens_total", "generated_tokens": "generation_tokens_total",
        "finished": "request_success_total", "preemptions": "num_preemptions_total",
        "prefix_queries": "prefix_cache_queries_total", "prefix_hits": "prefix_cache_hits_total"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def fetch(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.read().decode()


def until_healthy(base, server):
    deadline = time.monotonic() + START_WAIT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(f"vLLM ended with {server.returncode}")
        try:
            fetch(f"{base}/health")
            return
        except OSError:
            time.sleep(1)
    raise SystemExit(f"vLLM was not up after {START_WAIT_S} s")


def load(base):
    def client(number):
        words = random.Random(number)
        for _ in range(REQUESTS):
            prompt = " ".join(words.choice("the quick brown fox jumps over a lazy dog".split()) for _ in range(30))
            fetch(f"{base}/v1/completions", {"model": "real", "prompt": prompt, "ignore_eos": True,
                                             "max_tokens": words.randint(8, 48)})

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def metric(page, name):
    return round(sum(map(float, re.findall(rf"^vllm:{name}\{{[^}}]*\}} (\S+)", page, re.MULTILINE))))


def compare(page, ranks):
    """Front ends of one engine add up, as its page does over processes."""
    differ = 0
    for field, name in SAME.items():
        ours, theirs = sum(rank.get(field, 0) for rank in ranks), metric(page, name)
        differ += ours != theirs
        print(f"{field:20} {ours:10} {theirs:10} {'' if ours == theirs else 'DIFFERS'}")
    running = [rank["running"] for rank in ranks if "running" in rank]
    print(f"{'running, at rest':20} {running} {metric(page, 'num_requests_running')}")
    return differ + any(running) + (not running)


# What our sketches count, and the histogram of vLLM's that counts the same.
TIMES = {SketchKind.TTFT: "time_to_first_token_seconds_count", SketchKind.END_TO_END: "e2e_request_latency_seconds_count"}


def compare_views(page, ranks, agent_socket):
    """The Python view says what the Rust view said, and as many latencies as the page."""
    view = open_local(str(agent_socket))
    ours = [state for state in view.ranks() if state.step.model == name_hash("real")]
    differ = 0
    for field in (*SAME, "steps"):
        theirs, mine = sum(rank.get(field, 0) for rank in ranks), sum(state.value(field) or 0 for state in ours)
        differ += theirs != mine
        if theirs != mine:
            print(f"{field:20} {mine:10} {theirs:10} DIFFERS between the views")
    details = view.details(ours[0].id.instance)
    for kind, name in TIMES.items():
        sketch = details and details.sketch(kind)
        counted, theirs = sketch.count if sketch else 0, metric(page, name)
        differ += counted != theirs
        half = details and details.quantile(kind, 0.5)
        print(f"{kind.name.lower():20} {counted:10} {theirs:10} {'' if counted == theirs else 'DIFFERS'} p50 {half or 0:.3f} s")
    view.close()
    return differ


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--vllm", "--model", "--eagle-eye"):
        parser.add_argument(name, required=True, type=Path)
    parser.add_argument("arguments", nargs="*")
    given = parser.parse_args()
    base, started = f"http://127.0.0.1:{free_port()}", []
    with tempfile.TemporaryDirectory() as scratch:
        folder, agent_socket = Path(scratch, "plugin"), Path(scratch, "agent.sock")
        subprocess.run([sys.executable, PYTHON / "make_folder.py", folder], check=True)
        environment = {**os.environ, "EAGLE_EYE_SOCKET": str(agent_socket), "PYTHONPATH": str(folder),
                       "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
        try:
            started.append(subprocess.Popen(
                [given.eagle_eye, "run", "--set", f"run_dir={scratch}", "--set", f"state_dir={scratch}/state",
                 "--set", "samplers.engine_scrape.discover=false", "--listen", "off", "--no-view"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            started.append(subprocess.Popen(
                [given.vllm, "serve", given.model, "--served-model-name", "real", "--host", "127.0.0.1",
                 "--port", base.rsplit(":", 1)[1], *given.arguments], env=environment, stdout=subprocess.DEVNULL))
            until_healthy(base, started[-1])
            load(base)
            time.sleep(2)
            page = fetch(f"{base}/metrics")
            look = subprocess.run([given.eagle_eye, "watch", "--once", "--json", "--socket", agent_socket],
                                  capture_output=True, text=True, timeout=60)
            ranks = [rank for rank in json.loads(look.stdout)["ranks"] if rank.get("model") == "real"]
            return 1 if compare(page, ranks) + compare_views(page, ranks, agent_socket) else 0
        finally:
            for process in reversed(started):
                process.terminate()
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()


if __name__ == "__main__":
    raise SystemExit(main())

#!/usr/bin/env python3
"""How fast routers turn from an engine that stalls: two real vLLM engines with
the plugin, and three example routers with one policy. The first router's view is
the agent's; the others' are fed by scraping the engines' metrics pages.

    stall.py --vllm VENV/bin/vllm --model FOLDER --eagle-eye target/debug/eagle-eye --out stall.json

Two kinds of stall, each several times in one run. `flood`: another client sends one
engine long prompts for some seconds. `stop`: its core is stopped and continued, as
when a device hangs. Requests go to the routers in turn, at random times. Everything
listens on loopback and is ended.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PYTHON = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PYTHON), str(PYTHON / "examples")]

from eagle_eye import Engine, name_hash  # noqa: E402
from eagle_eye.client import Options, RankId, Score, connect  # noqa: E402
from router import Router  # noqa: E402
from tests.real_engine import free_port, until_healthy  # noqa: E402
from tests.scraped import Scraped, request  # noqa: E402

MODEL = "real"
NAMES = ("stalled", "other")
FLOOD_CLIENTS = 24
FLOOD_BODY = {"model": MODEL, "prompt": "x" * 800, "max_tokens": 100, "ignore_eos": True}
BODY = {"model": MODEL, "prompt": "the quick brown fox", "max_tokens": 4, "ignore_eos": True}
BEFORE_S, REST_S = 2.0, 3.0
REST_S_MAX = 60.0
BUSY = 8  # So many requests at an engine are the flood, and not the routers' own.


class Noting(Router):
    """The example router, which notes when it chose whom."""

    def __init__(self, view):
        super().__init__(view, Score.LEAST_WORK)
        self.chosen = []

    def choose(self, body, failed):
        reservation = super().choose(body, failed)
        chosen = reservation.pick.state.id.instance
        self.chosen.append((time.monotonic(), chosen == name_hash(NAMES[0])))
        return reservation


class Run:
    """What is measured, and with what."""

    def __init__(self, given, engines, routers, core):
        self.given, self.engines, self.routers, self.core = given, engines, routers, core
        self.chance = random.Random(7)
        self.ports, self.stalls, self.failures = {}, [], 0
        self.tasks = set()

    async def serve(self):
        for name, router in self.routers.items():
            server = await asyncio.start_server(router.serve, "127.0.0.1", 0)
            self.ports[name] = server.sockets[0].getsockname()[1]

    async def load(self):
        """Requests at random times, to each router as many as to the others."""
        turn = list(self.ports)
        while True:
            self.chance.shuffle(turn)
            for name in turn:
                await asyncio.sleep(self.chance.expovariate(len(turn) * self.given.hz))
                self.spawn(self.ask(f"http://127.0.0.1:{self.ports[name]}/v1/completions", BODY))

    def spawn(self, work):
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def ask(self, url, body):
        try:
            await request(url, "POST", json.dumps(body).encode())
        except OSError:
            self.failures += 1

    async def stall(self, kind):
        """One stall, from quiet to quiet."""
        await self.rest()
        await asyncio.sleep(BEFORE_S + self.chance.uniform(0, 5))  # At any point of a scrape's period.
        found = {"kind": kind, "at": time.monotonic(), "seen": {}}
        watch = asyncio.ensure_future(self.watch(found))
        await (self.flood() if kind == "flood" else self.stop())
        found["end"] = time.monotonic()
        watch.cancel()
        self.stalls.append(found)
        seen = ", ".join(f"{name} {1e3 * at:.0f} ms" for name, at in found["seen"].items())
        print(f"{kind} {len(self.stalls)}: {found['end'] - found['at']:.1f} s; its queue was seen after: {seen}",
              file=sys.stderr, flush=True)

    async def rest(self):
        """Waits until nothing is left at either engine."""
        end = time.monotonic() + REST_S_MAX
        view = self.routers["pushed"].view
        while any(state.value("running") + state.value("waiting") > 4 for state in view.ranks()):
            if time.monotonic() > end:
                raise SystemExit("the engines did not come to rest")
            await asyncio.sleep(0.05)
        await asyncio.sleep(REST_S)

    async def watch(self, found):
        """When each view first shows the queue of a flood."""
        rank = RankId(name_hash(NAMES[0]), 0)
        while len(found["seen"]) < len(self.routers):
            for name, router in self.routers.items():
                state = router.view.rank(rank)
                if name not in found["seen"] and state and state.value("running") + state.value("waiting") >= BUSY:
                    found["seen"][name] = time.monotonic() - found["at"]
            await asyncio.sleep(0.002)

    async def flood(self):
        end = time.monotonic() + self.given.seconds

        async def client():
            while time.monotonic() < end:
                await self.ask(f"{self.engines[0].endpoint}/v1/completions", FLOOD_BODY)

        clients = [asyncio.ensure_future(client()) for _ in range(FLOOD_CLIENTS)]
        await asyncio.sleep(self.given.seconds)
        await asyncio.wait(clients, timeout=REST_S_MAX)

    async def stop(self):
        os.kill(self.core, signal.SIGSTOP)
        try:
            await asyncio.sleep(self.given.seconds)
        finally:
            os.kill(self.core, signal.SIGCONT)


def shares(run, kind, from_s, to_s, bin_s):
    """Of each router, the share of requests that went to the stalled engine, by
    the time since the stall began, over all stalls of a kind."""
    begins = [stall["at"] for stall in run.stalls if stall["kind"] == kind]
    found = {}
    for name, router in run.routers.items():
        counts = [[0, 0] for _ in range(round((to_s - from_s) / bin_s))]
        for at, stalled in router.chosen:
            for began in begins:
                place = int((at - began - from_s) // bin_s)
                if 0 <= place < len(counts):
                    counts[place][0] += stalled
                    counts[place][1] += 1
        found[name] = [{"at_s": round(from_s + (place + 0.5) * bin_s, 3), "stalled": one, "requests": every}
                       for place, (one, every) in enumerate(counts)]
    return found


def told(run):
    """Everything measured, for the figure and for readers."""
    given, found = run.given, {}
    for kind in ("flood", "stop"):
        stalls = [stall for stall in run.stalls if stall["kind"] == kind]
        if not stalls:
            continue
        sent, seen = {}, {}
        for name, router in run.routers.items():
            sent[name] = [sum(stalled and 0 <= at - stall["at"] < given.seconds for at, stalled in router.chosen)
                          for stall in stalls]
            seen[name] = sorted(round(stall["seen"][name], 4) for stall in stalls if name in stall["seen"])
        found[kind] = {
            "stalls": len(stalls), "seconds": given.seconds, "bins": shares(run, kind, -2.0, given.seconds, given.bin),
            "sent_to_the_stalled": sent,
            "seen_after_s": seen if kind == "flood" else {},
            "seen_after_s_median": {name: statistics.median(all_) for name, all_ in seen.items() if all_}
            if kind == "flood" else {},
        }
    return {"about": "share of new requests that routers send to an engine that stalls", "kinds": found,
            "requests_a_second_of_each_router": given.hz, "failures": run.failures,
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}",
            "python": platform.python_version(), "date": time.strftime("%Y-%m-%d")}


def core_of(server):
    """The process of vLLM's that makes the steps."""
    children, found = {}, [server]
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_text()
            except OSError:
                continue
            name, _, rest = stat.partition("(")[2].rpartition(")")
            children.setdefault(int(rest.split()[1]), []).append((int(entry), name))
    while found:
        for process, name in children.get(found.pop(), []):
            if name.startswith("VLLM::Engine"):
                return process
            found.append(process)
    raise SystemExit("vLLM has no process of an engine's core")


async def measure(given, engines, socket, core):
    async with connect(Options(socket=socket)) as pushed:
        scraped = {f"scraped {period:g} s": (period, Scraped(engines, int(3e3 * period))) for period in given.periods}
        routers = {"pushed": Noting(pushed), **{name: Noting(one.view) for name, (_, one) in scraped.items()}}
        run = Run(given, engines, routers, core)
        await run.serve()
        keeping = [asyncio.ensure_future(one.keep(period)) for period, one in scraped.values()]
        # Each engine says that it is there before it did anything.
        end = time.monotonic() + REST_S_MAX
        while any(len(router.view.ranks()) < 2 for router in routers.values()):
            if time.monotonic() > end:
                raise SystemExit("not every view has both engines")
            await asyncio.sleep(0.1)
        loading = asyncio.ensure_future(run.load())
        for kind, count in (("flood", given.floods), ("stop", given.stops)):
            for _ in range(count):
                if loading.done():
                    loading.result()
                await run.stall(kind)
        loading.cancel()
        await asyncio.wait(run.tasks or [loading], timeout=REST_S_MAX)
        for task in keeping:
            task.cancel()
        return told(run)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--vllm", "--model", "--eagle-eye", "--out"):
        parser.add_argument(name, required=True, type=Path)
    parser.add_argument("--floods", type=int, default=16)
    parser.add_argument("--stops", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=6.0, help="of one stall")
    parser.add_argument("--hz", type=float, default=8.0, help="requests a second of each router")
    parser.add_argument("--bin", type=float, default=0.25, help="width of a bin, s")
    parser.add_argument("--periods", type=float, nargs="+", default=[1.0, 5.0], help="of scraping, s")
    parser.add_argument("arguments", nargs="*", help="for vllm serve, behind --")
    given = parser.parse_args()
    started = []
    with tempfile.TemporaryDirectory() as scratch:
        folder, socket = Path(scratch, "plugin"), f"{scratch}/agent.sock"
        subprocess.run([sys.executable, PYTHON / "make_folder.py", folder], check=True, stdout=subprocess.DEVNULL)
        environment = {**os.environ, "EAGLE_EYE_SOCKET": socket, "PYTHONPATH": str(folder),
                       "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
        try:
            started.append(subprocess.Popen(
                [given.eagle_eye, "run", "--set", f"run_dir={scratch}", "--set", f"state_dir={scratch}/state",
                 "--set", "samplers.engine_scrape.discover=false", "--listen", "off", "--no-view"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            engines = []
            for name in NAMES:
                base = f"http://127.0.0.1:{free_port()}"
                engines.append(Engine(name, MODEL, endpoint=base))
                with open(given.out.with_suffix(f".{name}.log"), "w") as log:
                    started.append(subprocess.Popen(
                        [given.vllm, "serve", given.model, "--served-model-name", MODEL, "--host", "127.0.0.1",
                         "--port", base.rsplit(":", 1)[1], *given.arguments],
                        env={**environment, "EAGLE_EYE_INSTANCE": name}, stdout=log, stderr=log))
            for engine, server in zip(engines, started[1:]):
                until_healthy(engine.endpoint, server)
            # The routers' lines, one a request, are of no interest here.
            with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
                found = asyncio.run(measure(given, engines, socket, core_of(started[1].pid)))
            found["engine"] = "vLLM on the CPU, a tiny random model"
            given.out.write_text(json.dumps(found, indent=1) + "\n")
            print(f"written: {given.out}")
            return 0
        finally:
            for process in reversed(started):
                process.terminate()
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()


if __name__ == "__main__":
    raise SystemExit(main())

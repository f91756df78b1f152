"""A router that reads JSON with a plain NATS client, against the real agent."""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from eagle_eye import Door, Engine, Step

try:
    from nats.aio.client import Client
except ImportError:
    Client = None

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "target" / "tools" / "bin" / "nats-server"
AGENT = os.environ.get("EAGLE_EYE_BINARY")
WAIT_S = 120.0
SUBJECT = "eagle_eye.routing_metrics"


class RouterSubscriber:
    """As the original's documentation shows it: connect, subscribe, parse."""

    def __init__(self, server_address, topic):
        self.server_address, self.topic = server_address, topic
        self.client = Client()
        self.loads = []

    async def connect(self):
        await self.client.connect(self.server_address)

    async def subscribe(self):
        await self.client.subscribe(self.topic, cb=self.message_handler)

    async def message_handler(self, message):
        self.loads.append(self.parse_message(message.data))

    def parse_message(self, data):
        return json.loads(data.decode("utf-8"))


class Programs:
    """A NATS server and an agent of the test's own."""

    def __init__(self, folder):
        ports = Path(folder) / "ports"
        ports.mkdir()
        self.server = subprocess.Popen(
            [str(SERVER), "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", str(ports)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        self.url = until(lambda: first_url(ports))
        self.socket = os.path.join(folder, "agent.sock")
        # Every EAGLE_EYE_ variable is a setting.
        others = {key: value for key, value in os.environ.items() if not key.startswith("EAGLE_EYE_")}
        environment = dict(
            others, EAGLE_EYE_NATS_URLS=self.url, EAGLE_EYE_RUN_DIR=folder,
            EAGLE_EYE_STATE_DIR=os.path.join(folder, "state"), EAGLE_EYE_LISTEN="off",
            EAGLE_EYE_NODE="node one",
            EAGLE_EYE_SAMPLERS_ENGINE_SCRAPE_DISCOVER="false",
        )
        self.agent = subprocess.Popen(
            [AGENT, "run"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )

    def close(self):
        for program in (self.agent, self.server):
            program.terminate()
            program.wait(WAIT_S)


def first_url(ports):
    for path in ports.glob("*.ports"):
        try:
            return json.loads(path.read_text())["nats"][0]
        except (ValueError, KeyError, IndexError):
            pass
    return None


def until(look, seconds=WAIT_S):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come in time")


@unittest.skipUnless(sys.platform == "linux", "shared memory is Linux's")
@unittest.skipIf(Client is None, "nats-py is not installed")
@unittest.skipUnless(AGENT and SERVER.exists(), "run by ./dev python, which builds the agent")
class CompatTest(unittest.TestCase):
    def test_a_router_of_the_original_s_kind_sees_every_engine(self):
        with tempfile.TemporaryDirectory() as folder:
            programs = Programs(folder)
            self.addCleanup(programs.close)
            asyncio.run(self.route(programs))

    async def route(self, programs):
        router = RouterSubscriber(programs.url, SUBJECT)
        await router.connect()
        await router.subscribe()
        door = Door(Engine("10.0.0.7:8000", "org/model", source="direct"), socket_path=programs.socket)
        step = Step(running=7, waiting=9, kv_usage=0.5)
        loads = router.loads
        end = time.monotonic() + WAIT_S
        while not (loads and loads[-1]["model"] and loads[-1]["waiting"] == 11):
            self.assertIsNone(programs.agent.poll(), "the agent ended")
            self.assertLess(time.monotonic(), end, loads[-3:])
            # The load changes once the router heard the first.
            step.waiting = 11 if loads else 9
            door.write(step)
            await asyncio.sleep(0.02)
        load = loads[-1]
        self.assertEqual((load["engine"], load["model"]), ("10.0.0.7:8000", "org/model"))
        self.assertEqual((load["running"], load["kv_usage"], load["rank"]), (7, 0.5, 0))
        self.assertIsNone(load["generated_tokens"], "unknown is null, never 0")
        self.assertLess(math.fabs(load["time"] - time.time()), 60)
        self.assertGreater(load["sequence"], 0)
        door.close()
        while not loads[-1]["goodbye"]:
            self.assertLess(time.monotonic(), end)
            await asyncio.sleep(0.02)
        await router.client.close()


if __name__ == "__main__":
    unittest.main()

"""Real parts on this host: a NATS server, an agent, simulated engines.

Where the agent's binary (EAGLE_EYE_BINARY), the server or nats-py is missing,
the tests that need it are skipped and say so; `./dev python` provides all.
"""

import asyncio
import logging
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

BINARY = os.environ.get("EAGLE_EYE_BINARY", "")
TOOLS = Path(__file__).resolve().parents[2] / "target" / "tools" / "bin"
SERVER = shutil.which("nats-server", path=f"{TOOLS}:{os.environ.get('PATH', '')}")
WAIT_S = 120.0  # A long limit: the machine may be busy with everything else.

try:
    import nats
except ImportError:
    nats = None

needs_agent = unittest.skipUnless(BINARY, "EAGLE_EYE_BINARY names no agent")
needs_nats = unittest.skipUnless(BINARY and SERVER and nats, "no agent, nats-server or nats-py here")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def until(condition, what):
    """Polls with a generous deadline."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"waited {WAIT_S} s for {what}")


class Part:
    """A process that ends with its test."""

    def __init__(self, *command, log=subprocess.DEVNULL):
        # The agent takes every EAGLE_EYE_… for a setting.
        ours = {key: value for key, value in os.environ.items() if not key.startswith("EAGLE_EYE_")}
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ours
        )

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(WAIT_S)


class Server(Part):
    """A NATS server on a port of its own."""

    def __init__(self, port=None):
        self.port = port or free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        super().__init__(SERVER, "-a", "127.0.0.1", "-p", str(self.port))


class Agent(Part):
    """An agent that keeps to a folder."""

    def __init__(self, folder, *more):
        self.socket = f"{folder}/run/agent.sock"
        with open(f"{folder}/log", "ab") as log:
            super().__init__(
                BINARY, "run", "--no-view", "--listen", "off", "--node", "here",
                # Whatever else listens on this host is not this test's.
                "--set", "samplers.engine_scrape.discover=false",
                "--set", f"run_dir={folder}/run", "--set", f"state_dir={folder}/state", *more, log=log,
            )


class Engines(Part):
    """Simulated engines through the real door."""

    def __init__(self, agent, name="sim", engines=2, ranks=2, hz=50):
        super().__init__(
            BINARY, "simulate", "--socket", agent.socket, "--name", name,
            "--engines", str(engines), "--ranks", str(ranks), "--hz", str(hz),
        )


class Parts(unittest.IsolatedAsyncioTestCase):
    """A test with parts and a folder that are gone after it."""

    def setUp(self):
        # What goes away on purpose need not be told.
        logging.getLogger("eagle_eye").setLevel(logging.ERROR)
        self.addCleanup(logging.getLogger("eagle_eye").setLevel, logging.NOTSET)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def start(self, kind, *arguments, **named):
        part = kind(*arguments, **named)
        self.addCleanup(part.kill)
        return part

    async def agent(self, *more):
        agent = self.start(Agent, self.folder, *more)

        def is_open():
            self.assertIsNone(agent.process.poll(), Path(self.folder, "log").read_text())
            return os.path.exists(agent.socket)

        await until(is_open, "the agent's door")
        return agent

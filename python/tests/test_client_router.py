"""The example router in front of two engines, of which one is busy."""

import asyncio
import sys
import unittest
from pathlib import Path

from eagle_eye import Door, Engine, Step
from tests.parts import Part, Parts, free_port, needs_agent

BODY = b'{"model": "org/model", "prompt": "Hello"}'
ROUTER = Path(__file__).resolve().parents[1] / "examples" / "router.py"


class FakeEngine:
    """Answers every request with its name, and says the load it is given."""

    def __init__(self, name, socket_path):
        self.name, self.answered, self.port = name, 0, free_port()
        engine = Engine(name, "org/model", endpoint=f"http://127.0.0.1:{self.port}", source="direct")
        # So long that neither is silent on a machine that is busy.
        self.door = Door(engine, socket_path=socket_path, ttl_ms=60_000)
        self.step = Step(running=0, waiting=0)

    async def serve(self):
        self.server = await asyncio.start_server(self.answer, "127.0.0.1", self.port)

    async def answer(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Connection: close" in head, head
        # All of it: what is left unread at the close resets the connection,
        # and the answer may be lost with it.
        await reader.readexactly(len(BODY))
        self.answered += 1
        body = self.name.encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    def says(self, running):
        self.step.running = running
        self.door.write(self.step)

    def close(self):
        self.server.close()
        self.door.close()


@needs_agent
class Router(Parts):
    async def asyncSetUp(self):
        self.agent_part = await self.agent()
        self.engines = [FakeEngine(name, self.agent_part.socket) for name in ("one", "two")]
        for engine in self.engines:
            await engine.serve()
            self.addCleanup(engine.close)
        port = free_port()
        self.address = ("127.0.0.1", port)
        self.start(Part, sys.executable, str(ROUTER), "--listen", f"127.0.0.1:{port}",
                   "--socket", self.agent_part.socket)

    async def ask(self):
        """The engine that answered, or None."""
        try:
            reader, writer = await asyncio.open_connection(*self.address)
        except OSError:
            return None
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY)
        answer = await reader.read()
        writer.close()
        return answer.rpartition(b"\r\n\r\n")[2].decode() if b" 200 " in answer[:20] else None

    async def test_requests_go_to_the_engine_with_less_to_do(self):
        one, two = self.engines
        for busy, idle in ((one, two), (two, one)):
            for _ in range(200):
                busy.says(50)
                idle.says(0)
                if await self.ask() == idle.name:
                    break
                await asyncio.sleep(0.05)
            answers = []
            for _ in range(8):
                busy.says(50)
                idle.says(0)
                answers.append(await self.ask())
            self.assertEqual(answers, [idle.name] * 8)

    async def test_an_engine_that_does_not_answer_is_tried_once_and_another_serves(self):
        one, two = self.engines
        one.server.close()
        await one.server.wait_closed()

        async def served():
            one.says(0)
            two.says(5)
            return await self.ask() == "two"

        for _ in range(200):
            if await served():
                break
            await asyncio.sleep(0.05)
        self.assertTrue(await served())


if __name__ == "__main__":
    unittest.main()

"""The example router in front of two engines, of which one is busy."""

import asyncio
import sys
import unittest
from pathlib import Path

from eagle_eye import Door, Engine, Step, name_hash
from eagle_eye.client import Options, RankId, Score, connect
from tests.parts import Part, Parts, free_port, needs_agent, until
from tests.scraped import Scraped

BODY = b'{"model": "org/model", "prompt": "Hello"}'
ROUTER = Path(__file__).resolve().parents[1] / "examples" / "router.py"
sys.path.append(str(ROUTER.parent))
from router import Router  # noqa: E402


class FakeEngine:
    """Answers every request with its name, and says the load it is given."""

    def __init__(self, name, socket_path):
        self.name, self.port = name, free_port()
        self.engine = engine = Engine(name, "org/model", endpoint=f"http://127.0.0.1:{self.port}", source="direct")
        # So long that neither is silent on a machine that is busy.
        self.door = Door(engine, socket_path=socket_path, ttl_ms=60_000)
        self.step = Step(running=0, waiting=0)

    async def serve(self):
        self.server = await asyncio.start_server(self.answer, "127.0.0.1", self.port)

    async def answer(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Connection: close" in head, head
        if head.startswith(b"GET /metrics "):
            body = f"vllm:num_requests_running{{}} {self.step.running}\nvllm:num_requests_waiting{{}} 0\n".encode()
            return await self.say(body, writer)
        # All of it: what is left unread at the close resets the connection,
        # and the answer may be lost with it.
        await reader.readexactly(len(BODY))
        return await self.say(self.name.encode(), writer)

    async def say(self, body, writer):
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
class Routing(Parts):
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

    async def test_a_stalled_engine_gets_nothing_after_one_update_and_half_until_the_next_scrape(self):
        """Shares, not times: what `./dev stall` measures on real engines."""
        one, two = self.engines
        one.says(0), two.says(0)
        scraped = Scraped([engine.engine for engine in self.engines], ttl_ms=3_600_000)
        await scraped.scrape()
        async with connect(Options(socket=self.agent_part.socket)) as pushed:
            routers = {"pushed": Noting(pushed), "scraped": Noting(scraped.view)}
            await until(lambda: len(pushed.ranks()) == 2 and all(map(known(pushed), pushed.ranks())), "both engines")
            for name, router in routers.items():
                self.assertEqual(router.shares(64), {"one", "two"}, f"{name}: both are idle")
            one.says(50)
            rank = RankId(name_hash("one"), 0)
            await until(lambda: pushed.rank(rank).value("running") == 50, "one update")
            self.assertEqual(routers["pushed"].shares(64), {"two"})
            self.assertEqual(routers["scraped"].shares(64), {"one", "two"}, "it knows nothing yet")
            await scraped.scrape()
            self.assertEqual(routers["scraped"].shares(64), {"two"})


class Noting(Router):
    """The example router, whose choices are asked for one by one; each request
    ends at once."""

    def __init__(self, view):
        super().__init__(view, Score.LEAST_WORK)

    def shares(self, requests):
        """Who gets so many requests."""
        found = set()
        for _ in range(requests):
            with self.choose(BODY, set()) as reservation:
                found.add(self.view.engine(reservation.pick.state.id.instance).name)
        return found


def known(view):
    return lambda state: view.engine(state.id.instance) and state.value("running") == 0


if __name__ == "__main__":
    unittest.main()

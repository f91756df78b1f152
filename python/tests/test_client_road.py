"""The views beside real parts: an agent, a NATS server, simulated engines."""

import asyncio
import os
import re
import subprocess
import time
import unittest
from pathlib import Path

import eagle_eye
from eagle_eye import Flag, name_hash
from eagle_eye.client import (
    Ask, Freshness, LocalError, LocalView, NoPick, Options, Policy, Score, What, connect, open_local,
)
from tests.parts import BINARY, WAIT_S, Engines, Parts, Server, needs_agent, needs_nats, until


def ids(view):
    return {state.id for state in view.ranks()}


def known(view, count):
    """Whether so many ranks are here and each has a name."""
    ranks = view.ranks()
    return len(ranks) == count and all(view.engine(state.id.instance) for state in ranks)


@needs_agent
class Local(Parts):
    async def test_the_agents_memory_gives_numbers_names_events_and_readings(self):
        agent = await self.agent()
        async with connect(Options(socket=agent.socket)) as view:
            events = view.events()
            self.start(Engines, agent)
            await until(lambda: known(view, 4), "four ranks with names")
            self.assertTrue(view.is_connected and view.is_complete)
            state = await until(lambda: next((s for s in view.ranks() if s.value("steps")), None), "a step")
            self.assertTrue(state.step.flags & Flag.SIMULATED)
            self.assertLess(state.error_ns, 1_000_000_000)
            first = state.value("steps")
            await until(lambda: view.rank(state.id).value("steps") > first, "later steps")
            self.assertEqual(view.instance(state.id.instance).ranks, 2)
            appeared = await asyncio.wait_for(events.__anext__(), WAIT_S)
            self.assertTrue(appeared.what.text or appeared.what.subject)
            await until(lambda: len(view.readings()) > 3, "readings of this host")
            # Not the strict one: an engine that the machine holds up may be stale just now.
            reservation = view.reserve(Ask(), Policy.lenient(), Score.LEAST_WORK)
            self.assertEqual(view.rank(reservation.pick.state.id).in_flight, 1)
            reservation.finish()
            self.assertEqual(view.rank(reservation.pick.state.id).in_flight, 0)

    async def test_engines_that_are_killed_are_gone_and_never_chosen(self):
        agent = await self.agent()
        async with connect(Options(socket=agent.socket)) as view:
            engines = self.start(Engines, agent, engines=1, ranks=1)
            await until(lambda: known(view, 1), "the engine")
            changes = view.changes()
            engines.kill()
            await until(lambda: view.ranks()[0].freshness == Freshness.GONE, "it is gone")
            with self.assertRaises(NoPick) as none:
                view.pick(Ask(), Policy.lenient(), Score.LEAST_WORK)
            self.assertEqual(none.exception.excluded, {"gone": 1})
            told = await asyncio.wait_for(changes.__anext__(), WAIT_S)
            self.assertTrue(told.what & (What.UPDATED | What.FRESHNESS | What.APPEARED))

    async def test_a_view_outlives_its_agent_and_finds_the_next(self):
        agent = await self.agent()
        engines = self.start(Engines, agent, engines=1, ranks=1)
        async with connect(Options(socket=agent.socket)) as view:
            await until(lambda: known(view, 1), "the engine")
            agent.kill()
            await until(lambda: not view.is_connected, "the hang-up")
            await until(lambda: view.ranks()[0].freshness >= Freshness.SILENT, "silence is seen")
            await self.agent()
            await until(lambda: view.is_connected and known(view, 1), "the engine again")
            await until(lambda: view.ranks()[0].freshness == Freshness.FRESH, "it is fresh again")
            self.assertEqual(view.counts.connects, 2)
        self.assertIsNone(engines.process.poll())

    async def test_who_has_no_event_loop_reads_as_well(self):
        with self.assertRaises(LocalError):
            open_local(f"{self.folder}/nobody.sock")
        agent = await self.agent()
        self.start(Engines, agent, engines=1, ranks=2)

        def opened():
            try:
                return open_local(agent.socket)
            except LocalError:
                return None  # It answers late, on a busy machine.

        view: LocalView = await until(opened, "the agent's answer")
        await until(lambda: view.poll() and known(view, 2), "the engine")
        agent.kill()
        await until(lambda: not view.poll(), "the hang-up")
        self.assertEqual(len(view.ranks()), 2)
        view.close()


@needs_agent
class Environment(unittest.TestCase):
    def test_an_agent_starts_in_the_environment_of_an_engine(self):
        package, read = Path(eagle_eye.__file__).parent, set()
        for file in package.rglob("*.py"):
            read.update(re.findall(r"\bEAGLE_EYE_[A-Z_]*[A-Z]\b", file.read_text()))
        read |= {f"EAGLE_EYE_{name.upper()}" for name in ("instance", "endpoint", "socket", "role", "disable")}
        self.assertGreater(len(read), 8)
        others = {name: value for name, value in os.environ.items() if not name.startswith("EAGLE_EYE_")}
        values = {**dict.fromkeys(read, "1"), "EAGLE_EYE_NATS": "nats://127.0.0.1:4222"}
        checked = subprocess.run([BINARY, "check"], env={**others, **values}, timeout=WAIT_S,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(checked.returncode, 0, checked.stdout)


@needs_nats
class Fleet(Parts):
    async def asyncSetUp(self):
        self.server = self.start(Server)
        self.options = Options(nats=[self.server.url])

    async def test_both_views_show_the_same_engines_and_numbers(self):
        agent = await self.agent("--nats", self.server.url)
        self.start(Engines, agent)
        async with connect(Options(socket=agent.socket)) as here, connect(self.options) as there:
            await until(lambda: known(here, 4) and known(there, 4), "four ranks with names in both")
            self.assertTrue(await there.complete(WAIT_S))
            self.assertEqual(ids(here), ids(there))
            self.assertEqual(here.core.news.engines, there.core.news.engines)
            self.assertEqual(there.node(name_hash("here")), "here")
            await until(lambda: there.ranks()[0].error_ns < 1_000_000_000, "a measured trip")

            def same():
                mine = {(s.id, s.step.sequence): s.step for s in here.ranks()}
                theirs = {(s.id, s.step.sequence): s.step for s in there.ranks()}
                both = mine.keys() & theirs.keys()
                return both and all(mine[key].steps == theirs[key].steps for key in both)

            await until(same, "one step in both views")
            for state in there.ranks():
                self.assertLess(state.age_ns, 30_000_000_000)

    async def test_a_late_joiner_is_complete_by_the_snapshot(self):
        agent = await self.agent("--nats", self.server.url)
        # Twice a second at most by themselves: the snapshot tells first.
        self.start(Engines, agent, engines=3, hz=1)
        async with connect(self.options) as early:
            await until(lambda: known(early, 6), "all ranks")
        async with connect(self.options) as late:
            began = time.monotonic()
            # Together, since an agent that the machine holds up may answer after the view
            # stopped waiting for it; what complete means is in the vectors.
            await until(lambda: late.is_complete and known(late, 6), "all of it")
            took_s = time.monotonic() - began
        # No assertion on the clock of a busy machine; the number is for readers.
        print(f"a late joiner was complete after {took_s:.3f} s")

    async def test_a_server_that_restarts_is_found_again(self):
        agent = await self.agent("--nats", self.server.url)
        self.start(Engines, agent, engines=1, ranks=1)
        async with connect(self.options) as view:
            self.assertTrue(await view.complete(WAIT_S))
            await until(lambda: known(view, 1), "the engine")
            self.server.kill()
            await until(lambda: not view.is_connected, "the hang-up")
            self.assertFalse(view.is_complete)
            self.start(Server, self.server.port)
            await until(lambda: view.is_complete, "complete again")
            await until(lambda: view.ranks()[0].freshness == Freshness.FRESH, "fresh again")

    async def test_an_agent_that_restarts_is_the_same_node_with_the_same_engines(self):
        agent = await self.agent("--nats", self.server.url)
        self.start(Engines, agent, engines=1, ranks=1)
        async with connect(self.options) as view:
            await until(lambda: known(view, 1), "the engine")
            agent.kill()
            await until(lambda: view.ranks()[0].freshness >= Freshness.STALE, "silence is seen")
            await self.agent("--nats", self.server.url)
            await until(lambda: view.ranks()[0].freshness == Freshness.FRESH, "fresh again")
            self.assertEqual(len(view.ranks()), 1)

    async def test_a_view_that_comes_first_waits_for_its_server(self):
        self.server.kill()
        async with connect(self.options) as view:
            self.assertFalse(await view.complete(0.1))
            self.start(Server, self.server.port)
            self.assertTrue(await view.complete(WAIT_S), "nobody is there, and it knows")
            self.assertEqual(view.ranks(), [])


if __name__ == "__main__":
    unittest.main()

"""An engine that speaks to NATS itself, beside a real server, a real agent and
readers of both languages."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path
from unittest import mock

from eagle_eye import Door, Engine, Step, details, name_hash
from eagle_eye.client import Freshness, Options, connect
from eagle_eye.direct import Settings, road
from tests.parts import BINARY, SERVER, WAIT_S, Part, Parts, Server, free_port, nats, needs_nats, until
from tests.plugin import WithPlugin
from tests.test_batch import HOSTILE

needs_server = unittest.skipUnless(SERVER and nats, "no nats-server or nats-py here")
NOWHERE = "/nowhere/agent.sock"
COMPAT = "eagle_eye.routing_metrics"


class WithServer(Parts):
    async def asyncSetUp(self):
        self.server = self.start(Server)
        self.options = Options(nats=[self.server.url])

    def door(self, engine=Engine("10.0.0.7:8000", "org/model", "http://10.0.0.7:8000"), **named):
        settings = named.pop("nats", Settings((self.server.url,)))
        door = Door(engine, **{"socket_path": NOWHERE, **named}, nats=settings)
        self.addCleanup(door.close)
        return door

    async def speaking(self, door):
        await until(lambda: door.speaker.is_speaking, "the engine speaks")

    def state(self, view, door, rank=0):
        """What a view knows of a door's rank."""
        ranks = [state for state in view.ranks() if state.id.instance == name_hash(door.engine.name)]
        return next((state for state in ranks if state.id.rank == rank), None)


@needs_server
class Readers(WithServer):
    async def test_a_view_shows_the_numbers_names_and_age_of_each_rank(self):
        door = self.door()
        async with connect(self.options) as view:
            await self.speaking(door)
            for running in range(20):
                for rank in (0, 1):
                    door.write(Step(rank=rank, running=running, kv_usage=0.5))
                await asyncio.sleep(0.005)
            await until(lambda: (self.state(view, door, 1) or 0) and self.state(view, door, 1).step.sequence == 20,
                        "the last step")
            self.assertTrue(await view.complete(WAIT_S))
            state = self.state(view, door)
            self.assertEqual((state.step.sequence, state.value("running"), state.value("kv_usage")), (20, 19, 0.5))
            self.assertIsNone(state.value("waiting"))
            self.assertLess(state.age_ns, 30_000_000_000)
            engine = view.engine(state.id.instance)
            self.assertEqual((engine.name, engine.endpoint, engine.source, engine.process),
                             ("10.0.0.7:8000", "http://10.0.0.7:8000", "direct", os.getpid()))
            self.assertEqual(view.node(name_hash(door.engine.name)), door.engine.name)
            self.assertEqual(view.counts.batches_malformed, 0)

    async def test_an_idle_engine_lives_by_its_heartbeats_and_a_goodbye_is_its_last_word(self):
        door = self.door(ttl_ms=100)
        door.write(Step(running=0, waiting=0))
        async with connect(self.options) as view:
            state = await until(lambda: self.state(view, door), "the engine")
            alive = state.step.heartbeat_ns
            await until(lambda: self.state(view, door).step.heartbeat_ns > alive, "a sign of life")
            self.assertEqual(self.state(view, door).step.sequence, 1)
            await asyncio.get_running_loop().run_in_executor(None, door.close)
            await until(lambda: self.state(view, door).freshness == Freshness.GONE, "the goodbye")

    async def test_a_late_joiner_learns_all_by_the_snapshot(self):
        # It promises a sign of life in an hour: only the answer can tell.
        door = self.door(ttl_ms=3_600_000)
        await self.speaking(door)
        door.write(Step(running=5))
        await until(lambda: door.speaker.messages >= 2, "the step is told")
        async with connect(self.options) as view:
            self.assertTrue(await view.complete(WAIT_S))
            await until(lambda: self.state(view, door), "the rank")
            self.assertEqual(self.state(view, door).value("running"), 5)
            self.assertEqual(view.engine(name_hash(door.engine.name)).model, "org/model")
            self.assertLess(self.state(view, door).error_ns, 1_000_000_000, "a measured trip")

    async def test_an_outage_is_followed_by_the_newest_and_by_nothing_stale(self):
        door = self.door()
        await self.speaking(door)
        door.write(Step(running=1))
        async with connect(self.options) as view:
            await until(lambda: self.state(view, door), "the engine")
            self.server.kill()
            await until(lambda: not door.speaker.is_speaking, "the hang-up")
            for running in range(2, 500):
                self.assertTrue(door.write(Step(running=running)))
            self.start(Server, self.server.port)
            await until(lambda: self.state(view, door).step.sequence == 499, "the newest")
            await until(lambda: view.is_complete, "the whole state")
            self.assertEqual(self.state(view, door).value("running"), 499)
            self.assertEqual((view.counts.steps_late, door.speaker.failures), (0, 0))

    async def test_hostile_names_reach_readers_bounded(self):
        doors = [self.door(Engine(f"{number}{name}", name, name, name)) for number, name in enumerate(HOSTILE)]
        for door in doors:
            door.write(Step(running=1))
        async with connect(self.options) as view:
            await until(lambda: len(view.ranks()) == len(doors), "every engine")
            await until(lambda: all(view.engine(state.id.instance) for state in view.ranks()), "every name")
            self.assertEqual(view.counts.batches_malformed, 0)

    async def test_details_are_taken_by_readers_that_verify(self):
        door = self.door(details_bytes=4096)
        door.write_details(details.entry(2, 0, details.finished_value("stop", 1)))
        door.write(Step(running=1))
        async with connect(self.options) as view:
            await until(lambda: self.state(view, door), "the engine")
            self.assertEqual(view.counts.batches_malformed, 0)


    async def test_a_password_in_the_url_is_used_and_a_wrong_one_is_not_said(self):
        port = free_port()
        self.start(Part, SERVER, "-a", "127.0.0.1", "-p", str(port), "--user", "eye", "--pass", "right-word")
        good = self.door(nats=Settings((f"nats://eye:right-word@127.0.0.1:{port}",)))
        await self.speaking(good)
        with self.assertLogs("eagle_eye", "WARNING") as log:
            bad = self.door(Engine("b", "m"), nats=Settings((f"nats://eye:wrong-word@127.0.0.1:{port}",)))
            await until(lambda: any("cannot be reached" in line for line in log.output), "the refusal")
        self.assertFalse(bad.speaker.is_speaking)
        self.assertNotIn("wrong-word", "".join(log.output))


@needs_server
class Json(WithServer):
    async def test_an_object_is_the_step_of_its_sequence(self):
        client, loads = nats.aio.client.Client(), []

        async def take(message):
            loads.append(json.loads(message.data))

        async def not_yet(_):
            """The server begins to listen only now."""

        await client.connect(self.server.url, reconnect_time_wait=0.1, max_reconnect_attempts=-1, error_cb=not_yet)

        await client.subscribe(COMPAT, cb=take)
        await client.flush()
        door = self.door()
        await self.speaking(door)
        async with connect(self.options) as view:
            began = time.monotonic()
            for running in range(30):
                door.write(Step(running=running, kv_usage=running / 64, generated_tokens=running * 1000))
                await asyncio.sleep(0.01)
            await until(lambda: loads and loads[-1]["sequence"] == 30, "the last step, never left out")
            await until(lambda: self.state(view, door) and self.state(view, door).step.sequence == 30, "the same")
            state, load = self.state(view, door), loads[-1]
            for field in ("running", "kv_usage", "generated_tokens", "waiting"):
                self.assertEqual(load[field], state.value(field), field)
            self.assertEqual(load["incarnation"], str(state.step.incarnation))
            self.assertEqual((load["engine"], load["model"], load["node"]),
                             (door.engine.name, "org/model", door.engine.name))
            # One at the start and the last, which is never left out, beside ten a second.
            self.assertLessEqual(len(loads), 2 + 10 * (time.monotonic() - began), "at most ten a second")
        await client.close()


@needs_nats
class Agents(WithServer):
    async def test_an_agent_takes_over_and_the_engine_again_once_it_is_gone(self):
        socket = f"{self.folder}/run/agent.sock"
        door = self.door(ttl_ms=500, socket_path=socket)
        step = Step(running=1)
        async with connect(self.options) as view:
            await self.speaking(door)
            door.write(step)
            await until(lambda: self.state(view, door), "the engine by itself")
            agent = await self.agent("--nats", self.server.url)
            await until(lambda: door.welcomes and not door.speaker.is_speaking, "the agent takes over")
            step.running = 2
            door.write(step)
            await until(lambda: self.state(view, door).value("running") == 2, "the agent's word")
            await until(lambda: view.node(name_hash("here")), "the agent's node")
            told = door.speaker.messages
            agent.kill()
            step.running = 3
            door.write(step)
            await until(lambda: self.state(view, door).value("running") == 3, "the engine's word again")
            self.assertGreater(door.speaker.messages, told)
            await until(lambda: self.state(view, door).freshness == Freshness.FRESH, "fresh")
            self.assertEqual(len(view.ranks()), 1)

    async def test_the_rust_reader_shows_the_same_numbers(self):
        # So long that it stays fresh on a machine that holds it up.
        door = self.door(ttl_ms=60_000)
        await self.speaking(door)
        ours = {key: value for key, value in os.environ.items() if not key.startswith("EAGLE_EYE_")}
        step = Step(running=7, waiting=9, kv_usage=0.25, generated_tokens=1 << 40)

        def look():
            return subprocess.Popen([BINARY, "watch", "--nats", self.server.url, "--once", "--json"],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=ours)

        def seen():
            nonlocal looking
            door.write(step)
            if looking.poll() is None:
                return None
            ranks = json.loads(looking.communicate()[0])["ranks"]
            if not ranks:  # It waits a few seconds for an answer, which a busy machine may exceed.
                looking = look()
            return ranks

        looking = look()
        (rank,) = await until(seen, "one look")
        for key, value in (("engine", "10.0.0.7:8000"), ("model", "org/model"), ("source", "direct"), ("running", 7),
                           ("waiting", 9), ("kv_usage", 0.25), ("generated_tokens", 1 << 40), ("freshness", "fresh"),
                           ("incarnation", str(door.incarnation)), ("endpoint", "http://10.0.0.7:8000")):
            self.assertEqual(rank[key], value, key)


@needs_server
class Plugin(WithPlugin):
    def test_vllm_s_steps_and_details_reach_readers_without_an_agent(self):
        server = Server()
        self.addCleanup(server.kill)
        os.environ["EAGLE_EYE_NATS"] = server.url  # Taken back with the rest of the environment.
        logger = self.logger()
        self.addCleanup(logger._reporter.close)
        asyncio.run(self.look(logger, server.url))

    async def look(self, logger, url):
        speaker, standin = logger._reporter.door.speaker, self.standin
        async with connect(Options(nats=[url])) as view:
            await until(lambda: speaker.is_speaking, "the plugin speaks")
            standin.record(logger, standin.scheduler(3, 2, 0.25), standin.iteration(
                generated=4, prompt=70, first=[0.1], decoded=[0.01], finished=[standin.request()]))
            await until(lambda: view.ranks() and view.ranks()[0].value("running") == 3, "the step")
            state = view.ranks()[0]
            self.assertEqual((state.value("waiting"), state.value("generated_tokens")), (2, 4))
            engine = await until(lambda: view.engine(state.id.instance), "its name")
            self.assertEqual((engine.name, engine.endpoint, engine.source),
                             ("host-1:8100", "http://host-1:8100", "direct"))
            await until(lambda: speaker._told_details, "the details")
            self.assertEqual((view.counts.batches_malformed, speaker.failures, logger._reporter.faults), (0, 0, 0))


@needs_server
class Ends(WithServer):
    """What must not happen to a process that speaks."""

    SPEAKS = (
        "import os, sys, time\n"
        "from eagle_eye import Door, Engine, Step\n"
        "door = Door(Engine('short', 'm'), socket_path='/nowhere/a')\n"
        "end = time.monotonic() + 120\n"
        "while not door.speaker.is_speaking and 'wait' in sys.argv and time.monotonic() < end: time.sleep(0.01)\n"
        "door.write(Step(running=1))\n"
        "print('up', flush=True)\n"
        "sys.stdin.read()\n"
    )

    def process(self, url, *arguments):
        root = str(Path(__file__).resolve().parents[1])
        environment = {**os.environ, "EAGLE_EYE_NATS": url, "PYTHONPATH": root}
        process = subprocess.Popen([sys.executable, "-c", self.SPEAKS, *arguments], env=environment,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), b"up\n")
        return process

    async def test_a_process_that_ends_says_goodbye(self):
        async with connect(self.options) as view:
            process = self.process(self.server.url, "wait")
            rank = await until(lambda: view.ranks(), "the engine")
            _, complaints = process.communicate(timeout=WAIT_S)
            self.assertEqual((process.returncode, complaints), (0, b""))
            await until(lambda: view.rank(rank[0].id).freshness == Freshness.GONE, "the goodbye")

    async def test_a_server_that_hangs_or_is_not_there_holds_up_no_end(self):
        nobody = self.process("nats://127.0.0.1:1,nats://host.invalid:4222")
        nobody.communicate(timeout=WAIT_S)
        self.assertEqual(nobody.returncode, 0)
        process = self.process(self.server.url, "wait")
        self.server.process.send_signal(signal.SIGSTOP)
        try:
            _, complaints = process.communicate(timeout=WAIT_S)
        finally:
            self.server.process.send_signal(signal.SIGCONT)
        self.assertEqual((process.returncode, complaints), (0, b""))

    async def test_a_forked_child_leaves_the_connection_to_its_parent(self):
        # A server that a busy machine holds up is not left.
        patched = mock.patch.object(road, "PINGS_MAX", 1000)
        patched.start()
        self.addCleanup(patched.stop)
        door = self.door()
        await self.speaking(door)
        child = os.fork()
        if child == 0:
            code = 1 if door.open or door.write(Step(running=9)) else 0
            os._exit(code)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        door.write(Step(running=1))
        async with connect(self.options) as view:
            await until(lambda: self.state(view, door) and self.state(view, door).value("running") == 1, "the step")
        self.assertEqual(door.speaker.road.connects, 1)


if __name__ == "__main__":
    unittest.main()

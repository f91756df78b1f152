"""An engine that speaks to NATS itself, without a server: what it reads in the
door, what it says, and when."""

import asyncio
import json
import os
import re
import sys
import unittest
from pathlib import Path
from unittest import mock

from eagle_eye import Door, Engine, Flag, Step, details, layout, read_batch
from eagle_eye.direct import Settings, compat
from eagle_eye.direct.records import RANK_END, Records, with_beat
from eagle_eye.direct.road import NamesLoop, Road, place_of
from eagle_eye.direct.speaker import PENDING_BYTES_MAX, Source, Speaker
from eagle_eye.direct.state import Held, Sender
from eagle_eye.batch import LAST, SNAPSHOT, Whose
from tests.plugin import WithPlugin
from tests.test_batch import HOSTILE

NOWHERE = "/nowhere/agent.sock"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"


def unpack(record):
    return layout.StepCore._make(layout.STEP.unpack(record))


def door(test, engine=Engine("a", "org/m"), **named):
    # So long that no heartbeat comes between, however busy the machine is.
    made = Door(engine, **{"socket_path": NOWHERE, "ttl_ms": 600_000, **named})
    test.addCleanup(made.close)
    return made


def records_of(made):
    return Records(made._memory.map, made._mask + 1)


class TheDoor(unittest.TestCase):
    def test_every_step_is_read_once_and_in_order(self):
        made = door(self)
        records = records_of(made)
        self.assertEqual(records.look(), [])
        for running in (1, 2):
            made.write(Step(rank=running, running=running))
        made.write(Step(rank=1, running=3))
        said = [unpack(record) for record in records.look()]
        self.assertEqual([(step.rank, step.sequence, step.running) for step in said], [(1, 1, 1), (2, 1, 2), (1, 2, 3)])
        self.assertEqual({rank: unpack(step).running for rank, step in records.newest.items()}, {1: 3, 2: 2})
        self.assertEqual(records.look(), [])

    def test_what_was_overwritten_is_counted_and_what_is_torn_is_passed_over(self):
        made = door(self, slots=8)
        records = records_of(made)
        for _ in range(20):
            made.write(Step(running=1))
        made.write(Step(rank=RANK_END, running=1))
        made._map[layout.DOOR_SLOTS_AT + 16 + 100] ^= 1  # In slot 0, of step 17.
        self.assertEqual([unpack(record).sequence for record in records.look()], [14, 15, 16, 18, 19, 20])
        self.assertEqual((records.lost, records.refused), (13 + 1, 1))

    def test_a_sign_of_life_is_told_where_a_rank_is_silent_or_changed_its_state(self):
        made = door(self)
        made.write(Step(running=1))
        step = layout.STEP.pack(*unpack(records_of(made).look()[0])._replace(ttl_ms=1000))
        at_ns = unpack(step).monotonic_ns
        second = 1_000_000_000
        self.assertIs(with_beat(step, at_ns, Flag.DRAINING), step)
        self.assertIs(with_beat(step, at_ns + second // 10, 0), step)
        alive = unpack(with_beat(step, at_ns + second // 2, 0))
        self.assertEqual((alive.heartbeat_ns, alive.monotonic_ns, alive.flags, alive.sequence),
                         (at_ns + second // 2, at_ns, Flag.HEARTBEAT, 1))
        changed = with_beat(step, at_ns + 1, Flag.DRAINING)
        self.assertEqual(unpack(changed).flags, Flag.DRAINING | Flag.HEARTBEAT)
        back = with_beat(changed, at_ns + 2, 0)
        self.assertEqual(unpack(back).flags, Flag.HEARTBEAT)
        gone = with_beat(changed, at_ns + 2, Flag.GOODBYE)
        self.assertIs(with_beat(gone, at_ns + 9 * second, 0), gone, "a goodbye is the last word")

    def test_the_door_s_own_beat_is_heard_unless_it_is_torn(self):
        made = door(self, ttl_ms=600_000)
        made.write(Step(running=1))
        records = records_of(made)
        records.look()
        made.flags = Flag.ASLEEP
        made.beat()
        made._map[layout.DOOR_HEARTBEAT_AT + 9] ^= 1
        self.assertEqual(records.look(), [])
        made.beat()
        self.assertTrue(unpack(records.look()[0]).flags & Flag.ASLEEP)


class Json(unittest.TestCase):
    def written(self, step, engine=Engine("a", "org/m"), **named):
        made = door(self, engine, **named)
        made.write(step)
        record = records_of(made).look()[0]
        return unpack(record), json.loads(compat.write(record, compat.names(engine, "n")))

    def test_an_object_has_the_keys_of_the_page_in_its_order_and_the_numbers_of_the_step(self):
        page = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
        values = {name: 3 for name in layout.FIELDS}
        values.update(kv_usage=0.3, prefill_tokens_per_second=16000.0, decode_tokens_per_second=1234.567,
                      generated_tokens=1 << 60)
        step, said = self.written(Step(rank=2, flags=Flag.TOKENS_ESTIMATED, **values), producers=3, role=4)
        self.assertEqual(list(said), page)
        for name in layout.FIELDS:
            self.assertEqual(said[name], values[name], name)
        self.assertAlmostEqual(said["time"], step.wall_ns / 1e9, places=5)
        self.assertEqual((said["rank"], said["producers"], said["role"], said["incarnation"], said["ttl_ms"]),
                         (2, 3, "encode", str(step.incarnation), 600_000))
        self.assertEqual([name for name, is_set in said.items() if is_set is True], ["tokens_estimated"])

    def test_what_is_unknown_is_null_and_hostile_names_are_text(self):
        step, said = self.written(Step(kv_usage=float("nan")))
        self.assertEqual([name for name in layout.FIELDS if said[name] is not None], [])
        for name in HOSTILE:
            _, said = self.written(Step(), Engine(name, name, name))
            self.assertLessEqual(len(said["engine"].encode()), layout.NAME_BYTES_MAX)

    def test_a_rank_is_told_of_at_once_then_at_most_so_often_and_always_last(self):
        made = door(self)
        records, shelf, second = records_of(made), compat.Shelf(10), 1_000_000_000

        def put(running):
            made.write(Step(running=running))
            shelf.put(records.look())

        def due(at_s, **named):
            return [unpack(record).running for record in shelf.due(int(at_s * second), **named)]

        put(1)
        self.assertEqual(due(5), [1])
        put(2)
        put(3)
        self.assertEqual((due(5.09), due(5.11), due(5.3)), ([], [3], []))
        put(4)
        self.assertEqual(due(5.12, everything=True), [4])
        every = compat.Shelf(0)
        for running in range(3):
            made.write(Step(running=running))
        every.put(records.look())
        self.assertEqual(len(every.due(0)), 3)


class Words(unittest.TestCase):
    def test_settings_come_from_the_environment_and_mistakes_keep_the_default(self):
        def of(**given):
            return Settings.of({f"EAGLE_EYE_{name}": value for name, value in given.items()})

        self.assertIsNone(of())
        self.assertIsNone(of(NATS=" , "))
        self.assertEqual(of(NATS="nats://a:1, b:2").urls, ("nats://a:1", "b:2"))
        made = of(NATS="a", NATS_CREDENTIALS="/c", NATS_PREFIX="x.y", NATS_COMPAT_SUBJECT="", NATS_COMPAT_HZ="0",
                  NATS_ALWAYS="1")
        self.assertEqual(made, Settings(("a",), "/c", "x.y", "", 0.0, True))
        with self.assertLogs("eagle_eye", "WARNING") as log:
            wrong = of(NATS="a", NATS_PREFIX="x y", NATS_COMPAT_SUBJECT="a.>", NATS_COMPAT_HZ="nan")
        self.assertEqual((wrong, len(log.output)), (Settings(("a",)), 3))

    def test_what_is_secret_in_a_url_is_not_said(self):
        for url in ("nats://user:pass@10.0.0.1:4222", "user:pass@10.0.0.1:4222", "10.0.0.1:4222"):
            self.assertEqual(place_of(url), "10.0.0.1:4222")
        self.assertNotIn("secret", place_of("nats://user:secret@[::1"))

    def test_a_server_that_complains_of_every_message_fills_no_log(self):
        async def complain():
            road = Road(lambda: None, "n", ["nats://a"], None, "s", None)
            for number in range(100):
                await road._failed(Exception(f'nats: Permissions Violation for Publish to "_INBOX.{number}"'))

        with self.assertLogs("eagle_eye", "WARNING") as log:
            asyncio.run(complain())
        self.assertEqual(len(log.output), 8)

    def test_front_ends_of_one_engine_speak_under_names_of_their_own(self):
        def sender(name, producer, producers):
            return Sender(Engine(name, "org/m"), Whose(1, 2, producer), producers, 3, "p")

        self.assertEqual((sender("h:1", 0, 1).node, sender("h:1", 0, 1).subject), ("h:1", "p.routing.h_1.org_m"))
        self.assertEqual(sender("h:1", 1, 2).node, "h:1#1")
        for name in HOSTILE:
            made = sender(name, 3, 4)
            self.assertRegex(made.subject, r"^p\.routing\.[A-Za-z0-9_-]{1,255}\.org_m$")
            self.assertLessEqual(len(made.node.encode()), layout.NAME_BYTES_MAX)

    def test_hosts_are_looked_up_without_the_executor(self):
        async def connect():
            loop = asyncio.get_running_loop()
            with self.assertRaises(OSError):
                await asyncio.wait_for(loop.create_connection(asyncio.Protocol, "host.invalid", 1), 20)
            found = await loop.getaddrinfo("localhost", 1)
            self.assertIsNone(loop._default_executor)
            return found

        loop = NamesLoop()
        try:
            self.assertTrue(loop.run_until_complete(connect()))
        finally:
            loop.close()


class Listener:
    """A NATS client that only remembers."""

    def __init__(self):
        self.is_connected, self.pending_data_size, self.told = True, 0, []

    async def publish(self, subject, payload):
        self.told.append((subject, payload))

    def batches(self):
        return [read_batch(payload) for subject, payload in self.told if ".routing." in subject]


class NoRoad:
    client = None

    def socket(self):
        return None

    def say(self, sentence):
        raise AssertionError(sentence)


class Request:
    reply = "inbox"


class Turns(unittest.TestCase):
    """The speaker's turns one by one, with a client that can be had or not."""

    def setUp(self):
        self.door = door(self, ttl_ms=600_000, details_bytes=4096)
        self.agent = False
        self.speaker = self.make(Settings(("a",)))

    def make(self, settings):
        made = self.door
        source = Source(records_of(made), lambda: made.engine, lambda: made._details, lambda: self.agent)
        sender = Sender(made.engine, Whose(1, made.incarnation, 0), 1, 5, settings.prefix)
        speaker = Speaker(settings, sender, source)
        speaker.road = NoRoad()
        return speaker

    def turn(self, at_s=100.0, is_last=False):
        asyncio.run(self.speaker._turn(int(at_s * 1e9), is_last))

    def connect(self):
        self.speaker.road.client = client = Listener()
        return client

    def sequences(self, client):
        return [step.sequence for said in client.batches() for step in said.steps()]

    def test_a_connection_begins_with_the_whole_state_and_then_steps_flow(self):
        self.door.write(Step(running=1))
        client = self.connect()
        self.turn()
        said = client.batches()
        self.assertTrue(said[0].engines() and said[0].engines()[0].source == "direct")
        self.assertEqual([read.head.flags for read in said], [SNAPSHOT, SNAPSHOT | LAST])
        for _ in range(3):
            self.door.write(Step(running=2))
        self.turn()
        hot = client.batches()[-1]
        self.assertEqual((hot.is_hot, hot.step_count, hot.head.sequence, hot.head.generation), (True, 3, 1, 1))
        self.assertEqual(self.sequences(client), [1, 2, 3, 4])

    def test_after_an_outage_the_newest_comes_first_and_nothing_older_ever(self):
        first = self.connect()
        self.turn()
        first.is_connected = False
        for rank in (0, 1) * 500:
            self.door.write(Step(rank=rank))
            if not self.door.written % 300:
                self.turn()
        second = self.connect()
        self.turn()
        self.door.write(Step(rank=1))
        self.turn()
        said = second.batches()
        self.assertEqual({read.head.generation for read in said}, {2})
        self.assertEqual(self.sequences(second), [500, 500, 501])
        self.assertGreater(self.speaker.held.replaced, 0)

    def test_a_connection_that_takes_nothing_gets_no_backlog(self):
        client = self.connect()
        self.turn()
        client.pending_data_size = PENDING_BYTES_MAX + 1
        for _ in range(100):
            self.door.write(Step())
            self.turn()
        self.assertEqual(self.sequences(client), [])
        client.pending_data_size = 0
        self.door.write(Step())
        self.turn()
        self.assertEqual((self.sequences(client), self.speaker.held.replaced), ([101], 100))

    def test_while_an_agent_has_the_door_it_is_silent_and_answers_with_nothing(self):
        client = self.connect()
        self.turn()
        self.agent = True
        self.door.write(Step())
        self.turn()
        self.assertFalse(self.speaker.is_speaking)
        told = len(client.told)
        asyncio.run(self.speaker._asked(Request))
        self.turn(1e9)
        ((subject, payload),) = client.told[told:]
        self.assertEqual(subject, "inbox")
        read = read_batch(payload)
        self.assertEqual((read.head.flags, read.engines(), read.step_count), (SNAPSHOT | LAST, [], 0))
        self.agent = False
        self.turn()
        self.assertEqual(client.batches()[-1].head.generation, 2)
        self.assertEqual(self.sequences(client), [1])

    def test_who_was_told_to_speaks_beside_an_agent(self):
        self.agent = True
        self.speaker = self.make(Settings(("a",), always=True))
        client = self.connect()
        self.door.write(Step())
        self.turn()
        self.assertEqual(self.sequences(client), [1])

    def test_names_and_details_are_told_again_when_they_change(self):
        client = self.connect()
        self.turn()
        told = len(client.told)
        self.turn()
        self.assertEqual(len(client.told), told, "nothing is new")
        self.door.describe(self.door.engine._replace(endpoint="http://b:2"))
        self.door.write_details(details.entry(2, 0, details.finished_value("stop", 1)))
        self.turn()
        names, _details = client.batches()[-2:]
        self.assertEqual(names.engines()[0].endpoint, "http://b:2")

    def test_requests_are_held_for_a_moment_and_only_so_many(self):
        client = self.connect()
        self.turn()
        for _ in range(100):
            asyncio.run(self.speaker._asked(Request))
        self.assertEqual(self.speaker.requests_dropped, 36)
        self.turn(1e9)
        answers = [read_batch(payload) for subject, payload in client.told if subject == "inbox"]
        self.assertEqual((self.speaker.answers, len(answers)), (64, 64))
        self.assertTrue(all(read.held_ns() > 0 and read.engines() for read in answers))

    def test_json_is_told_unless_it_is_turned_off(self):
        for subject in ("eagle_eye.routing_metrics", ""):
            self.speaker = self.make(Settings(("a",), compat_subject=subject))
            client = self.connect()
            self.turn()
            self.door.write(Step(running=3))
            self.turn()
            objects = [json.loads(payload) for to, payload in client.told if to == subject]
            self.assertEqual([said["running"] for said in objects], [3] if subject else [])


class NoNats(unittest.TestCase):
    def test_without_nats_py_the_log_says_what_to_do_and_the_door_works(self):
        absent = {"nats": None, "nats.aio": None, "nats.aio.client": None}
        with mock.patch.dict(sys.modules, absent), self.assertLogs("eagle_eye", "WARNING") as log:
            made = Door(Engine("a", "m"), socket_path=NOWHERE, nats=Settings(("127.0.0.1:1",)))
            self.addCleanup(made.close)
            made.speaker._thread.join(120)
            self.assertTrue(made.write(Step()))
        self.assertEqual(len(log.output), 1)
        self.assertIn("pip install 'eagle-eye[nats]'", log.output[0])

    def test_without_the_setting_nothing_is_begun(self):
        with mock.patch.dict(os.environ):
            os.environ.pop("EAGLE_EYE_NATS", None)
            self.assertIsNone(door(self).speaker)

    def test_what_is_held_is_each_ranks_newest(self):
        held = Held()
        held.keep([1, 2, 1], [b"a", b"b", b"c"])
        self.assertEqual((held.take(), held.replaced, held.take()), ([b"c", b"b"], 1, []))


class Plugin(WithPlugin):
    environment = {**WithPlugin.environment, "EAGLE_EYE_NATS": "127.0.0.1:1"}

    def test_the_plugin_speaks_where_the_environment_says_so(self):
        reporter = self.logger()._reporter
        self.addCleanup(reporter.close)
        self.assertEqual(reporter.door.speaker._settings.urls, ("127.0.0.1:1",))


if __name__ == "__main__":
    unittest.main()

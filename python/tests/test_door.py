import json
import logging
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import unittest
from pathlib import Path
from unittest import mock

from eagle_eye import Door, Engine, Flag, Step, layout, name_hash
from eagle_eye import door as door_module
from eagle_eye import link as link_module
from eagle_eye.layout import GreetingKind
from eagle_eye.link import socket_paths
from tests.agent import WAIT_S, Agent, BellMaker, greeting, until
from tests.test_layout import golden_step

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "engine.py"


def links(process):
    """What a process has open, in one text."""
    folder = f"/proc/{process}/fd"
    found = []
    for fd in os.listdir(folder):
        try:
            found.append(os.readlink(f"{folder}/{fd}"))
        except FileNotFoundError:
            pass
    return " ".join(found)


ENGINE = Engine("one", "org/model", "http://127.0.0.1:8000", "test 1", "direct", 2)


class WithAgent(unittest.TestCase):
    def setUp(self):
        logging.getLogger("eagle_eye").setLevel(logging.CRITICAL)
        self.addCleanup(logging.getLogger("eagle_eye").setLevel, logging.NOTSET)
        # However long the machine holds the agent of a test up.
        for name in ("CONNECT_WAIT_S", "WELCOME_WAIT_S"):
            patched = mock.patch.object(link_module, name, WAIT_S)
            patched.start()
            self.addCleanup(patched.stop)
        self.agent = Agent()
        self.addCleanup(self.agent.close)

    def door(self, **settings):
        door = Door(ENGINE, socket_path=self.agent.path, **settings)
        self.addCleanup(door.close)
        return door

    def bell(self, **settings):
        bell = BellMaker(**settings)
        self.addCleanup(bell.close)
        return bell

    def welcome(self, bell):
        connection, reader = self.agent.welcome(bell)
        self.addCleanup(connection.close)
        return connection, reader


class Memory(WithAgent):
    def test_an_agent_finds_sealed_memory_with_names_and_every_step(self):
        door = self.door(slots=8)
        _, reader = self.welcome(self.bell())
        self.assertEqual(reader.seals & 7, 7)
        self.assertEqual((reader.magic, reader.layout, reader.slot_count), (b"EEDOOR01", 1, 8))
        self.assertEqual(reader.bytes, len(reader.map))
        self.assertEqual((reader.instance, reader.incarnation), (name_hash("one"), door.incarnation))
        self.assertEqual(reader.info(), ENGINE.info())
        for sequence in range(1, 21):
            step = golden_step()
            step.rank, step.running = sequence % 2, sequence
            self.assertTrue(door.write(step))
            read = reader.slot(reader.head())
            self.assertEqual((reader.head(), read.value("running")), (sequence, sequence))
            self.assertEqual((read.rank, read.sequence), (sequence % 2, (sequence + 1) // 2))
            self.assertEqual(read.heartbeat_ns, read.monotonic_ns)
        self.assertEqual([s for s in range(1, 21) if reader.slot(s)], list(range(13, 21)))

    def test_a_half_written_slot_does_not_match_its_checksum(self):
        door = self.door(slots=2)
        _, reader = self.welcome(self.bell())
        for _ in range(2):
            door.write(golden_step())
        self.assertIsNotNone(reader.slot(1))
        step = golden_step()
        step.finished = 7
        door.write(step)
        whole = bytes(door._slot)
        at = layout.DOOR_SLOTS_AT
        door._map[at + 200 : at + 272] = bytes(72)
        self.assertIsNone(reader.slot(3))
        door._map[at : at + 272] = whole
        self.assertEqual(reader.slot(3).finished, 7)

    def test_names_change_under_an_even_version(self):
        door = self.door()
        _, reader = self.welcome(self.bell())
        door.describe(ENGINE._replace(endpoint="http://10.0.0.7:1"))
        self.assertIn(b"http://10.0.0.7:1", reader.info())
        with self.assertRaises(ValueError):
            door.describe(ENGINE._replace(name="two"))

    def test_heartbeats_go_on_without_steps_and_carry_the_standing_flags(self):
        door = self.door(ttl_ms=50, flags=Flag.SIMULATED)
        _, reader = self.welcome(self.bell())
        first = reader.heartbeat()[0]
        door.flags |= Flag.ASLEEP
        until(lambda: reader.heartbeat()[0] >= first + 3, "three heartbeats")
        self.assertEqual(reader.heartbeat()[3], Flag.SIMULATED | Flag.ASLEEP | Flag.HEARTBEAT)

    def test_close_says_goodbye_for_every_rank_and_hangs_up(self):
        door = self.door()
        connection, reader = self.welcome(self.bell())
        for rank in (0, 1):
            door.write(Step(rank, running=1))
        door.close()
        self.assertEqual(connection.recv(16), b"")
        goodbyes = [reader.slot(3), reader.slot(4)]
        self.assertEqual([(s.rank, s.sequence, s.flags, s.present) for s in goodbyes],
                         [(0, 2, Flag.GOODBYE, 0), (1, 2, Flag.GOODBYE, 0)])
        self.assertTrue(reader.heartbeat()[3] & Flag.GOODBYE)
        self.assertFalse(door.write(Step()))
        self.assertEqual(reader.head(), 4)

    def test_numbers_that_cannot_be_are_refused(self):
        for settings in ({"slots": 3}, {"slots": 8192}, {"slots": 0}, {"ttl_ms": 0}, {"producer": 70000}):
            with self.assertRaises(ValueError):
                Door(ENGINE, socket_path=self.agent.path, **settings)


class NeverHarms(WithAgent):
    def test_what_does_not_fit_is_left_out_as_unknown_and_counted(self):
        door = self.door()
        _, reader = self.welcome(self.bell())
        for unfit in (-1, 1 << 40, "7", object(), 1.5):
            step = golden_step()
            step.running = unfit
            self.assertTrue(door.write(step))
            read = reader.newest()
            self.assertIsNone(read.value("running"))
            self.assertEqual(read.value("finished"), 39)
        self.assertEqual((door.unfit, door.faults), (5, 0))

    def test_steps_without_sense_never_raise_and_shut_the_door_once(self):
        door = self.door(ttl_ms=50)
        for _ in range(door_module.FAULTS_MAX - 1):
            self.assertFalse(door.write(None))
        self.assertTrue(door.write(golden_step()))
        logging.getLogger("eagle_eye").setLevel(logging.WARNING)
        with self.assertLogs("eagle_eye", logging.WARNING) as logs:
            for _ in range(door_module.FAULTS_MAX):
                self.assertFalse(door.write(Step(rank=70000)))
            until(lambda: door._complaint is None, "the complaint to be said")
            until(lambda: logs.records, "the complaint to arrive")
        self.assertFalse(door.open)
        self.assertFalse(door.write(golden_step()))
        self.assertEqual(len([r for r in logs.records if "no longer seen" in r.getMessage()]), 1)

    def test_two_threads_at_once_lose_and_count_but_never_mix(self):
        door = self.door(slots=4096)
        _, reader = self.welcome(self.bell())

        def work(rank):
            step = Step(rank)
            for number in range(1000):
                step.finished = step.generated_tokens = number * 10 + rank
                door.write(step)

        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(1e-6)
        threads = [threading.Thread(target=work, args=(rank,)) for rank in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(door.written + door.busy, 3000)
        for sequence in range(1, door.written + 1):
            step = reader.slot(sequence)
            self.assertEqual(step.finished, step.generated_tokens)
            self.assertEqual(step.finished % 10, step.rank)

    def test_a_write_within_a_write_is_dropped_and_counted(self):
        door = self.door()
        with door._lock:
            self.assertFalse(door.write(golden_step()))
        self.assertEqual((door.busy, door.written), (1, 0))
        self.assertTrue(door.write(golden_step()))

    def test_a_killed_engine_hangs_up_though_its_forked_child_lives(self):
        code = ("import os, signal\nfrom eagle_eye import *\n"
                "d = Door(Engine('a', 'm'), socket_path=%r)\n"
                "import time\nwhile not d.welcomes: time.sleep(0.01)\n"
                "child = os.fork()\n"
                "if child == 0: signal.pause()\n"
                "print(child, flush=True)\nsignal.pause()" % self.agent.path)
        process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], cwd=str(EXAMPLE.parents[1]),
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        connection, _ = self.welcome(self.bell())
        child = int(process.stdout.readline())
        self.addCleanup(os.kill, child, signal.SIGKILL)
        # The child gives its copy up as soon as it runs; only then is the kill a test.
        until(lambda: "socket:" not in links(child), "the child to let go")
        process.kill()
        connection.settimeout(WAIT_S)
        self.assertEqual(connection.recv(16), b"")

    def test_a_forked_child_writes_nothing(self):
        door = self.door()
        _, reader = self.welcome(self.bell())
        until(lambda: door.welcomes, "the welcome")
        door.write(golden_step())
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            wrote = door.write(golden_step())
            door.close()
            own = Door(ENGINE, socket_path="/nonexistent")
            later = own.incarnation > door.incarnation and own.write(golden_step())
            os.write(write_end, bytes([wrote, later]))
            signal.pause()
        try:
            self.assertEqual(os.read(read_end, 2), bytes([False, True]))
            self.assertEqual(reader.head(), 1)
            self.assertTrue(door.write(golden_step()))
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(read_end)
            os.close(write_end)

    def test_an_engine_s_seeded_random_numbers_stay_as_they_are(self):
        drawn = []

        class Counting(random.Random):
            def uniform(self, low, high):
                drawn.append(high)
                return 0.001

        random.seed(7)
        expected = random.random()
        random.seed(7)
        door = Door(ENGINE, socket_path="/nonexistent")
        self.addCleanup(door.close)
        door._link._random = Counting()
        door.write(golden_step())
        until(lambda: max(drawn, default=0) == link_module.PAUSE_S_MAX, "the longest pause between attempts")
        self.assertLessEqual(max(drawn), link_module.PAUSE_S_MAX)
        self.assertEqual(random.random(), expected)


class Ringing(WithAgent):
    def test_the_bell_rings_once_a_step_and_only_for_a_sleeper(self):
        bell = self.bell()
        door = self.door()
        self.welcome(bell)
        until(lambda: door._link.bell, "the bell")
        door.write(golden_step())
        self.assertEqual(bell.rung(), 0)
        bell.sleep(1)
        for _ in range(3):
            door.write(golden_step())
        self.assertEqual(bell.rung(), 3)

    def test_a_full_bell_does_not_hold_the_writer(self):
        bell = self.bell()
        os.write(bell.eventfd, struct.pack("<Q", 2**64 - 2))
        bell.sleep(1)
        door = self.door()
        self.welcome(bell)
        until(lambda: door._link.bell, "the bell")
        self.assertTrue(door.write(golden_step()))
        self.assertEqual(door.faults, 0)

    def test_a_bell_that_could_harm_is_not_taken_and_steps_go_on(self):
        for bad in ({"sealed": False}, {"nonblocking": False}, {"size": 64}, {"magic": b"EEBELL99"}):
            bell = self.bell(**bad)
            bell.sleep(1) if bad != {"size": 64} else None
            door = self.door()
            connection, reader = self.welcome(bell)
            until(lambda: door.welcomes, "the welcome")
            self.assertIsNone(door._link.bell, bad)
            self.assertTrue(door.write(golden_step()))
            self.assertEqual(reader.head(), 1)
            door.close()
            connection.close()


class Connection(WithAgent):
    def test_an_engine_that_was_first_is_found_with_all_that_it_wrote(self):
        self.agent.die()
        door = self.door()
        for _ in range(5):
            door.write(golden_step())
        self.agent.listen()
        _, reader = self.welcome(self.bell())
        self.assertEqual(reader.head(), 5)

    def test_an_agent_s_restart_goes_unnoticed_and_meets_the_same_memory(self):
        door = self.door()
        connection, before = self.welcome(self.bell())
        door.write(golden_step())
        until(lambda: door.welcomes == 1, "the first welcome")
        self.agent.die()
        connection.close()
        until(lambda: door._link.bell is None, "the bell to go with its agent")
        self.assertTrue(door.write(golden_step()))
        self.agent.listen()
        bell = self.bell()
        _, after = self.welcome(bell)
        until(lambda: door._link.bell, "the second bell")
        bell.sleep(1)
        door.write(golden_step())
        self.assertEqual((after.head(), before.head()), (3, 3))
        self.assertEqual(after.inode, before.inode)
        self.assertEqual(bell.rung(), 1)
        self.assertEqual((door.welcomes, door.faults), (2, 0))

    def test_a_withheld_welcome_holds_nobody_and_is_asked_for_again(self):
        link_module.WELCOME_WAIT_S = 0.1
        door = self.door()
        silent, reader = self.agent.accept()
        self.addCleanup(silent.close)
        self.assertTrue(door.write(golden_step()))
        self.assertEqual(reader.head(), 1)
        while not door.welcomes:
            # This one may be late as well, on a busy machine.
            connection, _ = self.welcome(self.bell())
            until(lambda: door.welcomes or select.select([connection], [], [], 0)[0], "the end of a visit")

    def test_garbage_and_refusals_are_outlived(self):
        pause_s, link_module.REFUSED_PAUSE_S_MAX = link_module.REFUSED_PAUSE_S_MAX, 0.05
        self.addCleanup(setattr, link_module, "REFUSED_PAUSE_S_MAX", pause_s)
        door = self.door()
        bell = self.bell()
        for message, fds in (
            (b"x", []), (b"\xff" * 900, bell.fds), (greeting(GreetingKind.WELCOME_VIEW), bell.fds),
            (greeting(GreetingKind.REFUSED, b"no room\xff"), []), (greeting(99), bell.fds * 2),
            (b"EEHI" + struct.pack("<HHQ", 3, 2, 0), bell.fds),
        ):
            connection, _ = self.agent.accept()
            socket.send_fds(connection, [message], fds)
            self.assertEqual(connection.recv(16), b"", message)
            connection.close()
            self.assertTrue(door.write(golden_step()))
        open_before = len(os.listdir("/proc/self/fd"))
        for fds in (bell.fds, bell.fds * 2, []):
            connection, _ = self.agent.accept()
            socket.send_fds(connection, [greeting(GreetingKind.WELCOME_VIEW)], fds)
            self.assertEqual(connection.recv(16), b"")
            connection.close()
        until(lambda: len(os.listdir("/proc/self/fd")) <= open_before + 1, "refused descriptors to be closed")
        self.welcome(bell)
        until(lambda: door.welcomes == 1, "the welcome")

    def test_an_agent_that_chatters_after_its_welcome_keeps_its_engine(self):
        door = self.door()
        connection, _ = self.welcome(self.bell())
        for _ in range(3):
            connection.send(b"news")
        until(lambda: door.welcomes == 1, "the welcome")
        self.assertTrue(door.write(golden_step()))
        self.assertIsNotNone(door._link.bell)

    def test_where_an_agent_listens(self):
        saved = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(saved)))
        os.environ.pop("EAGLE_EYE_SOCKET", None)
        os.environ["XDG_RUNTIME_DIR"] = "/run/user/7"
        self.assertEqual(set(socket_paths()),
                         {"/run/eagle-eye/agent.sock", "/run/user/7/eagle-eye/agent.sock"})
        os.environ["EAGLE_EYE_SOCKET"] = "/a"
        self.assertEqual(socket_paths(), ["/a"])


class Example(WithAgent):
    def run_example(self, *arguments):
        process = subprocess.Popen(
            [sys.executable, str(EXAMPLE), "--socket", self.agent.path, *arguments],
            stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_the_example_says_exactly_what_it_wrote(self):
        process = self.run_example("--name", "a", "--model", "m", "--hz", "100", "--seconds", "0.5", "--ranks", "3")
        connection, reader = self.welcome(self.bell())
        self.assertEqual(connection.recv(16), b"")
        said = json.loads(process.communicate(timeout=WAIT_S)[0])
        self.assertEqual(said["steps"], {"0": 50, "1": 50, "2": 50})
        self.assertEqual((said["goodbyes"], said["faults"], said["unfit"]), (3, 0, 0))
        self.assertEqual(reader.head(), 153)
        steps = [reader.slot(sequence) for sequence in range(1, 154)]
        self.assertTrue(all(step.flags & Flag.SIMULATED for step in steps))
        self.assertEqual(steps[149].value("steps"), 50)
        self.assertTrue(steps[152].flags & Flag.GOODBYE)

    def test_an_engine_that_is_told_to_end_says_goodbye_and_its_count(self):
        process = self.run_example("--hz", "50", "--seconds", "600")
        _, reader = self.welcome(self.bell())
        until(lambda: reader.head() > 3, "a few steps")
        process.terminate()
        said = json.loads(process.communicate(timeout=WAIT_S)[0])
        self.assertEqual(said["steps"]["0"] + 1, reader.head())
        self.assertTrue(reader.newest().flags & Flag.GOODBYE)

    def test_a_process_that_only_ends_says_goodbye_too(self):
        code = ("from eagle_eye import *; d = Door(Engine('a', 'm'), socket_path=%r)\n"
                "import time\nwhile not d.welcomes: time.sleep(0.01)\nd.write(Step(running=1))" % self.agent.path)
        process = subprocess.Popen([sys.executable, "-c", code], cwd=str(EXAMPLE.parents[1]))
        self.addCleanup(process.wait)
        connection, reader = self.welcome(self.bell())
        self.assertEqual(connection.recv(16), b"")
        self.assertTrue(reader.newest().flags & Flag.GOODBYE)


if __name__ == "__main__":
    unittest.main()

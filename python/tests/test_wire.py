import random
import struct
import unittest

from eagle_eye import WireError, batch as batches, iter_steps, layout, read_batch
from eagle_eye.layout import BatchHead, Reading, SketchKind
from tests import golden
from tests.test_batch import details_of, entries

HEAD = BatchHead(1, 2, 3, 4, 5, 6, 3)
HOT = golden.HOT_STEPS + golden.STEP * 2
HOT_READINGS = golden.HOT_READINGS + golden.READING * 2

DETAILS = batches.tables(HEAD, "n", details=details_of(entries(2)))


def read_all(data):
    """Everything a reader can ask for; how many things it was."""
    batch = read_batch(data)
    batch.node_name()
    batch.devices(), batch.events(), batch.verdicts(), batch.details()
    return len(list(batch.steps())) + len(list(batch.readings())) + len(batch.engines())


class Wire(unittest.TestCase):
    def test_a_hot_batch_gives_its_head_and_steps(self):
        batch = read_batch(HOT)
        self.assertEqual(batch.head, HEAD)
        self.assertEqual([step.sequence for step in iter_steps(HOT)], [42, 42])
        self.assertEqual(bytes(batch.step_bytes()), golden.STEP * 2)
        self.assertEqual(list(batch.readings()), [])

    def test_a_hot_batch_of_readings_gives_readings_and_no_steps(self):
        self.assertEqual(list(read_batch(HOT_READINGS).readings()), [Reading(7, 8, 9, 10, 1.5)] * 2)
        self.assertEqual(list(iter_steps(HOT_READINGS)), [])

    def test_a_batch_of_the_builder_gives_the_same_and_its_names(self):
        batch = read_batch(golden.BUILT)
        self.assertEqual(batch.head, HEAD)
        self.assertEqual(list(batch.steps()), list(iter_steps(HOT)))
        self.assertEqual(list(batch.readings()), [Reading(7, 8, 9, 10, 1.5)])
        self.assertEqual(batch.node_name(), "n")
        (engine,) = batch.engines()
        self.assertEqual((engine.name, engine.model, engine.endpoint, engine.engine, engine.source),
                         ("one", "org/model", "http://127.0.0.1:8000", "vllm 0.32.0", "plugin"))
        self.assertEqual((engine.ranks, engine.process, engine.incarnation), (4, 77, 9))

    def test_details_are_read_and_what_is_malformed_is_left_out(self):
        first, second = read_batch(DETAILS).details()
        self.assertEqual((first.instance, first.incarnation, first.producer, second.rank), (7, 8, 2, 1))
        self.assertEqual((first.sketches[SketchKind.TTFT].count, len(first.sketches)), (9, 6))
        bad = bytearray(DETAILS)
        at = bad.index(struct.pack("<d", 12.5))
        bad[at : at + 8] = struct.pack("<d", float("nan"))
        self.assertEqual(len(read_batch(bytes(bad)).details()[0].sketches)
                         + len(read_batch(bytes(bad)).details()[1].sketches), 11)

    def test_bytes_that_are_no_batch_are_refused_at_once(self):
        for data in (b"", b"EEB1", HOT[:79], HOT[:-1], b"\0" * 80, HOT[:4] + b"EEB2" + HOT[8:],
                     HOT + b"\0" * layout.BATCH_BYTES_MAX,
                     HOT[:76] + struct.pack("<I", 3) + HOT[80:],
                     HOT[:76] + struct.pack("<I", 0xFFFFFFFF) + HOT[80:],
                     HOT[:12] + b"\0\0" + HOT[14:], memoryview(HOT)[::2],
                     # A field beyond its table, though within the message.
                     HOT[:10] + struct.pack("<H", 52) + HOT[12:]):
            with self.assertRaises(WireError):
                iter_steps(data)

    def test_bytes_cut_anywhere_are_refused(self):
        for whole in (HOT, HOT_READINGS):
            for end in range(len(whole)):
                with self.assertRaises(WireError):
                    read_all(whole[:end])

    def test_bits_flipped_anywhere_raise_nothing_else(self):
        refused = 0
        for good in (HOT[:88], HOT_READINGS, golden.BUILT, DETAILS):
            for bit in range(len(good) * 8):
                bad = bytearray(good)
                bad[bit // 8] ^= 1 << bit % 8
                refused += self.reads_or_refuses(bad)
        self.assertGreater(refused, 100)

    def test_random_bytes_raise_nothing_else(self):
        numbers = random.Random(20)
        for _ in range(20_000):
            bad = bytearray(numbers.choice((HOT, HOT_READINGS, golden.BUILT, DETAILS)))
            for _ in range(numbers.randrange(1, 12)):
                # Mostly where offsets stand.
                at = numbers.randrange(numbers.choice((40, 100, len(bad))))
                bad[at] = numbers.choice((0, 1, 127, 128, 255, numbers.randrange(256)))
            self.reads_or_refuses(bad)
            noise = bytes(numbers.randrange(256) for _ in range(numbers.randrange(60)))
            self.reads_or_refuses(noise[:4] + b"EEB1" + noise[4:])

    def reads_or_refuses(self, data):
        try:
            read_all(bytes(data))
        except WireError:
            return 1
        return 0


if __name__ == "__main__":
    unittest.main()

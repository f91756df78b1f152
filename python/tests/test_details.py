import math
import os
import random
import struct
import unittest
import zlib

from eagle_eye import Door, Engine, details, layout
from eagle_eye.details import Sketch
from tests.agent import Reader


class Sketches(unittest.TestCase):
    def test_a_bucket_s_upper_end_is_at_most_a_sixteenth_of_a_doubling_above_its_values(self):
        numbers = random.Random(1)
        for _ in range(20_000):
            microseconds = 10 ** numbers.uniform(0.001, 18)
            bucket = details.bucket_of(microseconds)
            self.assertLessEqual(microseconds, 2 ** (bucket / 16) * (1 + 1e-9))
            self.assertGreater(microseconds * (1 + 1e-9), 2 ** ((bucket - 1) / 16))

    def test_the_ends_of_the_scale(self):
        for microseconds, bucket in ((0, 0), (0.5, 0), (1, 0), (1.0001, 1), (2, 16), (4, 32), (1e30, 1023), (1e300, 1023)):
            self.assertEqual(details.bucket_of(microseconds), bucket, microseconds)

    def test_what_is_no_duration_is_refused_and_changes_nothing(self):
        sketch = Sketch()
        for odd in (-1, -1e-9, float("nan"), float("inf"), None, "x", object(), [], 1e303):
            self.assertFalse(sketch.add(odd), odd)
        self.assertEqual((sketch.count, sketch.sum_us, sketch.counts), (0, 0.0, {}))

    def test_a_sketch_survives_its_bytes_and_knows_its_quantiles(self):
        numbers, sketch, values = random.Random(2), Sketch(), []
        for _ in range(5000):
            values.append(numbers.lognormvariate(-3, 1.5))
            sketch.add(values[-1])
        kind, read = details.read_sketch(sketch.value(details.DECODE))
        self.assertEqual(kind, details.DECODE)
        for name in Sketch.__slots__:
            self.assertEqual(getattr(read, name), getattr(sketch, name))
        values.sort()
        for share in (0.01, 0.5, 0.9, 0.99, 1.0):
            true = values[math.ceil(share * len(values)) - 1]
            self.assertLess(abs(read.quantile(share) - true) / true, 0.0222)

    def test_a_sketch_stands_as_the_contract_says(self):
        sketch = Sketch()
        for seconds in (2e-6, 2e-6, 4e-6):
            sketch.add(seconds)
        counts = [2] + [0] * 15 + [1]
        self.assertEqual(sketch.value(details.TTFT), struct.pack("<HHiQdd17I", 1, 0, 16, 3, 8.0, 4.0, *counts))
        self.assertEqual(Sketch().value(2), struct.pack("<HHiQdd", 2, 0, 0, 0, 0, 0))


class Entries(unittest.TestCase):
    def test_what_does_not_fit_is_left_out_and_counted(self):
        entries = [details.entry(2, 0, bytes(n)) for n in (10, 100, 10)]
        packed, left_out = details.pack(entries, 40)
        self.assertEqual(([len(v) for _, _, v in details.entries(packed)], left_out), ([10, 10], 1))

    def test_any_bytes_are_read_without_harm(self):
        numbers = random.Random(3)
        good = details.pack([details.entry(1, 3, Sketch().value(1)), details.entry(9, 0, b"later")], 1000)[0]
        for _ in range(5000):
            data = bytearray(good if numbers.random() < 0.5 else numbers.randbytes(numbers.randrange(80)))
            if data:
                data[numbers.randrange(len(data))] = numbers.randrange(256)
            data = bytes(data[: numbers.randrange(len(data) + 1)])
            for tag, _, value in details.entries(data):
                if tag == details.TAG_SKETCH:
                    try:
                        details.read_sketch(value)
                    except struct.error:
                        pass

    def test_numbers_that_are_too_large_are_cut_to_what_fits(self):
        details.adapter_value("a" * 1000, 1 << 40, -5)
        details.finished_value("\ud800", 1 << 70)
        details.speculation_value(1 << 70, 0, 0, [1] * 1000)


class Memory(unittest.TestCase):
    def door(self, **settings):
        door = Door(Engine("one", "m"), socket_path="/nowhere/agent.sock", **settings)
        self.addCleanup(door.close)
        return door, Reader(os.dup(door._memory.fd))

    def test_a_door_without_room_has_zeros_in_their_place_and_refuses_details(self):
        door, reader = self.door()
        self.assertEqual((reader.details_at, reader.details_bytes, door.details_bytes_max), (0, 0, 0))
        with self.assertRaises(ValueError):
            door.write_details(b"")

    def test_details_stand_behind_the_slots_under_an_even_version_with_their_checksum(self):
        door, reader = self.door(slots=8, details_bytes=1024)
        self.assertEqual((reader.details_at, reader.details_bytes), (4096 + 8 * 272, 1024))
        self.assertEqual(reader.bytes, 4096 + 8 * 272 + 1024)
        self.assertEqual(reader.details(), b"")
        for data in (b"abc", bytes(1008), b""):
            door.write_details(data)
            self.assertEqual(reader.details(), data)
        head = layout.DOOR_DETAILS.unpack_from(reader.map, reader.details_at)
        self.assertEqual(head, (6, 0, zlib.crc32(b"")))
        with self.assertRaises(ValueError):
            door.write_details(bytes(1009))

    def test_sizes_that_cannot_be_are_refused(self):
        for size in (8, 16, 1001, 1 << 20, -8):
            with self.assertRaises(ValueError):
                self.door(details_bytes=size)


if __name__ == "__main__":
    unittest.main()

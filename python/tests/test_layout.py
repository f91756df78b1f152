import subprocess
import sys
import unittest
from pathlib import Path

from eagle_eye import Engine, Step, layout, name_hash
from eagle_eye.layout import FIELDS
from eagle_eye.step import bounded_name
from tests import golden

PYTHON = Path(__file__).resolve().parents[1]


def golden_step():
    """The step whose bytes are golden.STEP."""
    step = Step(3, 64)
    for value, name in enumerate(FIELDS[:13], 11):
        setattr(step, name, value)
    step.kv_usage, step.prefill_tokens_per_second, step.decode_tokens_per_second = 0.25, 1.5, 2.5
    for value, name in enumerate(FIELDS[16:], 31):
        setattr(step, name, value)
    return step


def packed(step):
    buffer = bytearray(layout.STEP_BYTES)
    identity = (name_hash("one"), 0x1122334455667788, name_hash("org/model"), 1, 2, 1)
    layout.pack_step(buffer, 0, step, identity, 42, 1001, 1002, 1003, 1004, 0)
    return bytes(buffer)


class Layout(unittest.TestCase):
    def test_a_packed_step_is_byte_for_byte_what_rust_writes(self):
        self.assertEqual(packed(golden_step()), golden.STEP)

    def test_a_step_that_rust_wrote_reads_back_field_by_field(self):
        step = layout.StepCore._make(layout.STEP.unpack(golden.STEP))
        self.assertEqual({name: step.value(name) for name in FIELDS},
                         {name: getattr(golden_step(), name) for name in FIELDS})
        self.assertEqual((step.rank, step.producer, step.producers, step.role, step.sequence), (3, 1, 2, 1, 42))

    def test_each_unknown_field_clears_its_own_bit_only(self):
        for name in FIELDS:
            step = golden_step()
            setattr(step, name, None)
            read = layout.StepCore._make(layout.STEP.unpack(packed(step)))
            self.assertEqual([n for n in FIELDS if read.value(n) is None], [name])

    def test_a_rate_that_is_no_number_is_unknown(self):
        for value in (float("nan"), float("inf"), float("-inf"), 1e300):
            step = golden_step()
            step.kv_usage = value
            read = layout.StepCore._make(layout.STEP.unpack(packed(step)))
            self.assertIsNone(read.value("kv_usage"))

    def test_names_header_and_greeting_are_what_rust_writes(self):
        engine = Engine("one", "org/model", "http://127.0.0.1:8000", "vllm 0.32.0", "plugin", 4)
        self.assertEqual(engine.info(), golden.INFO)
        header = layout.DOOR_HEADER.pack(layout.DOOR_MAGIC, 1, 4096 + 64 * 272, 4096, 272, 64, 0,
                                         name_hash("one"), 0x1122334455667788, 0)
        self.assertEqual(header, golden.HEADER)
        self.assertEqual(layout.GREETING.pack(layout.GREETING_MAGIC, 1, 1), golden.GREETING)

    def test_hashes_agree_with_the_published_vectors_of_fnv_1a(self):
        for name, value in (("", 0xCBF29CE484222325), ("a", 0xAF63DC4C8601EC8C), ("foobar", 0x85944171F73967E8)):
            self.assertEqual(name_hash(name), value)

    def test_a_long_name_is_cut_between_characters(self):
        self.assertEqual(len(bounded_name("é" * 200).encode()), 254)

    def test_the_layout_is_what_the_schema_generates(self):
        if not (PYTHON.parent / "schema" / "eagle_eye.fbs").exists():
            self.skipTest("the schema is not part of this distribution")
        done = subprocess.run([sys.executable, str(PYTHON / "generate_layout.py"), "--check"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_field_that_steps_lack_is_refused(self):
        with self.assertRaises(TypeError):
            Step(runing=1)


if __name__ == "__main__":
    unittest.main()

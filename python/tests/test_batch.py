"""Batches written in Python are those that Rust writes and FlatBuffers verifies."""

import json
import random
import shutil
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from eagle_eye import Engine, batch, details, iter_steps, layout, read_batch
from eagle_eye.layout import BatchHead, SketchKind
from tests import golden
from tests.parts import TOOLS

ROOT = Path(__file__).resolve().parents[2]
FLATC = shutil.which("flatc", path=str(TOOLS))
HEAD = BatchHead(1, 2, 3, 4, 5, 6, 3)
WHOSE = batch.Whose(7, 8, 2)
HOSTILE = ["", "ä" * 200, "\0", "\ud800", "a\nb\"c\\", "x" * 100_000, "*.>", "\U0001f441"]


def verified(data):
    """What FlatBuffers' own compiler reads in a batch; it refuses what is malformed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "batch.bin")
        path.write_bytes(data)
        subprocess.run(
            [FLATC, "--json", "--raw-binary", "--strict-json", "-o", folder,
             str(ROOT / "schema" / "eagle_eye.fbs"), "--", str(path)],
            check=True, stdout=subprocess.DEVNULL,
        )
        return json.loads(Path(folder, "batch.json").read_text())


def entries(ranks=1, buckets=3):
    """One of everything that a rank may say."""
    said = []
    for rank in range(ranks):
        for kind in range(1, 7):
            sketch = details.Sketch()
            sketch.counts = {5 + bucket: bucket + 1 for bucket in range(buckets)}
            sketch.count, sketch.sum_us, sketch.max_us = 9, 12.5, 7.5
            said.append(details.entry(details.TAG_SKETCH, rank, sketch.value(kind)))
        said += [
            details.entry(details.TAG_FINISHED, rank, details.finished_value("stop", 4)),
            details.entry(details.TAG_ADAPTER, rank, details.adapter_value("é", 1, 2)),
            details.entry(details.TAG_SPECULATION, rank, details.speculation_value(5, 6, 7, [3, 4])),
            details.entry(details.TAG_TRANSFER, rank, details.transfer_value(8, 9, 10, 0.5)),
        ]
    return b"".join(said)


def details_of(data):
    return [table for table, _ in batch.details_tables(WHOSE, data)]


def sketch_of(chance):
    """A sketch of anything."""
    sketch = details.Sketch()
    for _ in range(chance.randrange(30)):
        sketch.add(chance.choice((0, 1e-9, chance.lognormvariate(-3, 4), 1e12)), chance.randrange(1, 1000))
    return sketch


def parts(sketch):
    return sketch.count, sketch.sum_us, sketch.max_us, sketch.counts


class Batches(unittest.TestCase):
    def test_a_hot_batch_has_the_bytes_of_the_rust_side(self):
        self.assertEqual(batch.hot_steps(HEAD, [golden.STEP] * 2), golden.HOT_STEPS + golden.STEP * 2)
        self.assertLessEqual(len(batch.hot_steps(HEAD, [golden.STEP] * batch.HOT_STEPS_MAX)), layout.BATCH_BYTES_MAX)
        with self.assertRaises(ValueError):
            batch.hot_steps(HEAD, [golden.STEP] * (batch.HOT_STEPS_MAX + 1))

    def test_names_and_newest_steps_read_as_they_were_written(self):
        engine = Engine("one", "org/model", "http://a:1", "vllm 0.32.0", ranks=4)
        data = batch.tables(HEAD, "n", engines=[batch.engine_table(engine, 9, 77, "direct")],
                            steps=[golden.STEP] * 3, held_ns=12)
        read = read_batch(data)
        self.assertEqual((read.head, read.node_name(), read.held_ns()), (HEAD, "n", 12))
        self.assertEqual(bytes(read.step_bytes()), golden.STEP * 3)
        (said,) = read.engines()
        self.assertEqual((said.name, said.model, said.endpoint, said.engine, said.source, said.ranks, said.process,
                          said.incarnation),
                         ("one", "org/model", "http://a:1", "vllm 0.32.0", "direct", 4, 77, 9))
        self.assertEqual((said.instance, said.model_hash), tuple(
            getattr(next(iter_steps(golden.HOT_STEPS + golden.STEP * 2)), name) for name in ("instance", "model")))

    @unittest.skipUnless(FLATC, "no flatc here")
    def test_flatbuffers_own_compiler_verifies_all_and_reads_the_same(self):
        data = batch.tables(HEAD, "n", details=details_of(entries(2)), steps=[golden.STEP],
                            engines=[batch.engine_table(Engine("a", "m"), 1, 2, "direct")])
        said = verified(data)
        self.assertEqual(said["head"]["generation"], 6)
        first, second = said["details"]
        self.assertEqual((first["instance"], first["incarnation"], first["producer"]), (7, 8, 2))
        self.assertEqual(second["rank"], 1)
        self.assertEqual([sketch["kind"] for sketch in first["sketches"]],
                         ["ttft", "inter_token", "queue", "prefill", "decode", "end_to_end"])
        self.assertEqual(first["sketches"][0], {
            "kind": "ttft", "offset": 5, "count": 9, "sum_us": 12.5, "max_us": 7.5, "buckets": [1, 2, 3]})
        self.assertEqual(first["finished"], [{"reason": "stop", "count": 4}])
        self.assertEqual(first["adapters"], [{"name": "é", "running": 1, "waiting": 2}])
        self.assertEqual(first["speculation"],
                         {"drafts": 5, "draft_tokens": 6, "accepted_tokens": 7, "accepted": [3, 4]})
        self.assertEqual(first["transfer"], {"transfers": 8, "bytes": 9, "failures": 10, "seconds": 0.5})

    @unittest.skipUnless(FLATC, "no flatc here")
    def test_details_in_a_door_become_the_tables_that_rust_makes_of_them(self):
        captures = ROOT / "tests" / "captures" / "golden"
        theirs = verified((captures / "details.bin").read_bytes())["details"]
        door = (captures / "door_details.bin").read_bytes()
        details_at, instance, incarnation = layout.DOOR_HEADER.unpack_from(door)[6:9]
        _, length, _ = layout.DOOR_DETAILS.unpack_from(door, details_at)
        at = details_at + layout.DOOR_DETAILS_HEAD_BYTES
        tables = batch.details_tables(batch.Whose(instance, incarnation, 1), door[at : at + length])
        self.assertEqual(verified(batch.tables(HEAD, "n", details=[table for table, _ in tables]))["details"], theirs)

    @unittest.skipUnless(FLATC, "no flatc here")
    def test_hostile_names_are_bounded_and_well_formed(self):
        for name in HOSTILE:
            engine = Engine(name, name, name, name)
            said = details.finished_value(name, 1)
            data = batch.tables(HEAD, name, engines=[batch.engine_table(engine, 1, 2, "direct")],
                                details=details_of(details.entry(2, 0, said)))
            verified(data)
            self.assertLessEqual(len(read_batch(data).engines()[0].name.encode()), layout.NAME_BYTES_MAX)

    def test_details_beyond_a_limit_or_malformed_are_left_out_and_nothing_raises(self):
        long = "r" * 300
        flood = b"".join(
            [details.entry(2, 0, details.finished_value(f"{n}{long}", n)) for n in range(100)]
            + [details.entry(3, 0, details.adapter_value(f"{n}{long}", n, n)) for n in range(100)]
            + [details.entry(4, 0, details.speculation_value(1, 2, 3, [9] * 64) + b"\1" * 4096)]
        )
        (table,) = details_of(entries(1, 1000) + flood)
        self.assertLessEqual(len(batch.tables(HEAD, "n", details=[table])), layout.BATCH_BYTES_MAX)
        for bad in (b"", b"\1", details.entry(1, 0, b""), details.entry(1, 5000, entries()),
                    details.entry(1, 0, struct.pack("<HHiQdd", 1, 0, -1, 1, 1.0, 1.0)),
                    details.entry(1, 0, struct.pack("<HHiQdd", 1, 0, 0, 1, float("nan"), 1.0)),
                    details.entry(5, 0, details.transfer_value(1, 1, 1, float("inf"))),
                    details.entry(2, 0, bytes(8) + b"\xff"), details.entry(99, 0, b"x")):
            batch.tables(HEAD, "n", details=details_of(bad))
        chance = random.Random(4)
        good = entries(3)
        for _ in range(2000):
            data = bytearray(good[: chance.randrange(len(good))])
            for _ in range(chance.randrange(8)):
                if data:
                    data[chance.randrange(len(data))] = chance.randrange(256)
            self.check(read_batch(batch.tables(HEAD, "n", details=details_of(bytes(data)))).details())

    def check(self, found):
        """What a reader made of details whose bytes were anything."""
        self.assertEqual(len(found), len({of.rank for of in found}), "one of each rank")
        for of in found:
            self.assertEqual((of.instance, of.incarnation, of.producer), WHOSE)
            self.assertLess(of.rank, batch.RANK_END)
            self.assertLessEqual(len(of.finished), batch.REASONS_MAX)
            self.assertLessEqual(len(of.adapters), batch.ADAPTERS_MAX)
            for sketch in of.sketches.values():
                self.assertTrue(all(0 <= bucket < details.BUCKETS for bucket in sketch.counts))
                for share in (0.0, 0.5, 1.0):
                    seconds = sketch.quantile(share)
                    self.assertTrue(seconds is None or 0.0 <= seconds < float("inf"))
            self.assertTrue(of.transfer is None or of.transfer.seconds >= 0.0)

    def test_what_a_door_holds_is_what_a_reader_finds(self):
        chance = random.Random(9)
        for _ in range(300):
            said, packed = {}, []
            for rank in chance.sample(range(batch.RANK_END), chance.randrange(1, 3)):
                kinds = {kind: sketch_of(chance) for kind in chance.sample(list(SketchKind)[1:], chance.randrange(7))}
                reasons = [(f"reason {number}", chance.randrange(1 << 64)) for number in range(chance.randrange(17))]
                adapters = [(f"é{number}", chance.randrange(1 << 32), 0) for number in range(chance.randrange(5))]
                positions = tuple(chance.randrange(1 << 64) for _ in range(chance.randrange(65)))
                packed += [details.entry(1, rank, sketch.value(kind)) for kind, sketch in kinds.items()]
                packed += [details.entry(2, rank, details.finished_value(*one)) for one in reasons]
                packed += [details.entry(3, rank, details.adapter_value(*one)) for one in adapters]
                packed += [details.entry(4, rank, details.speculation_value(1, 2, 3, positions)),
                           details.entry(5, rank, details.transfer_value(4, 5, 6, 0.5))]
                said[rank] = (kinds, reasons, adapters, (1, 2, 3, positions), (4, 5, 6, 0.5))
            chance.shuffle(packed)
            found = read_batch(batch.tables(HEAD, "n", details=details_of(b"".join(packed)))).details()
            self.assertEqual([of.rank for of in found], sorted(said))
            for of in found:
                kinds, reasons, adapters, speculation, transfer = said[of.rank]
                self.assertEqual({kind: parts(sketch) for kind, sketch in of.sketches.items()},
                                 {kind: parts(sketch) for kind, sketch in kinds.items()})
                self.assertEqual((sorted(of.finished), sorted(of.adapters)), (sorted(reasons), sorted(adapters)))
                self.assertEqual((of.speculation, of.transfer), (speculation, transfer))

    def test_many_ranks_come_in_messages_that_fit(self):
        parts = list(batch.details_parts(batch.details_tables(WHOSE, entries(20, 400))))
        self.assertGreater(len(parts), 1)
        self.assertEqual(sum(map(len, parts)), 20)
        for part in parts:
            self.assertLessEqual(len(batch.tables(HEAD, "n", details=part)), layout.BATCH_BYTES_MAX)


if __name__ == "__main__":
    unittest.main()

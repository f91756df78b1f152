"""Whatever comes in, a view refuses it, counts it, or takes it, in bounded memory."""

import fcntl
import os
import random
import socket
import struct
import tempfile
import threading
import unittest

from eagle_eye import batch, layout
from eagle_eye.client import LocalError, Patience, Policy, Refused, Score, View, ViewCore, ViewSettings
from eagle_eye.client.connect import open_local
from eagle_eye.client.ledger import ADMISSION_MARGIN_NS, Ledger
from eagle_eye.client.merge import merge
from eagle_eye.client.pick import Ask, NoPick
from eagle_eye.client.record import Record
from eagle_eye.client.state import Freshness, RankId
from eagle_eye.client.table import (
    CELLS_AT, LAYOUT, MAGIC, STEP_VALUE_BYTES, STEPS, ReadingTable, StepTable, TableError,
)
from eagle_eye.layout import FIELD_BITS
from eagle_eye.memory import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SHRINK
from tests import golden
from tests.agent import greeting, until
from tests.test_batch import details_of, entries

MS = 1_000_000
NOW = 100_000 * MS
SMALL = ViewSettings(ranks_max=8, senders_max=4)
CELL_BYTES = 64 + 2 * STEP_VALUE_BYTES


def step_bytes(present=(), **fields):
    """A packed step with these fields."""
    step = layout.StepCore._make(layout.STEP.unpack(bytes(layout.STEP_BYTES)))
    bits = sum(1 << FIELD_BITS[name] for name in present)
    values = {"instance": 1, "producers": 1, "ttl_ms": 100, "present": bits, **fields}
    return layout.STEP.pack(*step._replace(**values))


def sealed(data):
    fd = os.memfd_create("table", os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)
    return fd


def table_bytes(capacity=2, kind=STEPS, magic=MAGIC, cell_bytes=CELL_BYTES):
    header = struct.pack("<8sIIIII", magic, LAYOUT, kind, cell_bytes, capacity, STEP_VALUE_BYTES)
    return bytearray(header.ljust(CELLS_AT, b"\0") + bytes(capacity * CELL_BYTES))


class Batches(unittest.TestCase):
    def setUp(self):
        self.numbers = random.Random(41)
        hot = golden.HOT_STEPS + golden.STEP * 2
        told = batch.tables(layout.BatchHead(1, 2, 3, 4, 5, 6, 3), "n", details=details_of(entries(2)))
        self.good = (told, hot, golden.HOT_READINGS + golden.READING * 2, golden.BUILT)

    def feed(self, core, data):
        ask = self.numbers.random() < 0.3
        try:
            if ask:
                core.reply(data, NOW, NOW - self.numbers.randrange(1000) * MS)
            else:
                core.feed(data, self.numbers.choice((0, NOW, (1 << 64) - 1)))
        except Refused:
            return 0
        return 1

    def test_bad_bytes_are_refused_or_taken_and_nothing_else_happens(self):
        core = ViewCore(SMALL)
        view = View(core)
        taken = 0
        for _ in range(8_000):
            data = bytearray(self.numbers.choice(self.good))
            for _ in range(self.numbers.randrange(6)):
                at = self.numbers.randrange(self.numbers.choice((100, len(data))))
                data[at] = self.numbers.choice((0, 1, 127, 255, self.numbers.randrange(256)))
            taken += self.feed(core, bytes(data[: self.numbers.choice((len(data), self.numbers.randrange(len(data)))) ]))
        self.assertGreater(taken, 200)
        for state in view.ranks(NOW):
            self.assertIsNotNone(repr(state))
        for score in Score:
            try:
                view.pick(Ask(), Policy.lenient(), score, NOW)
            except NoPick:
                pass
        self.check_bounds(core)

    def test_steps_of_anything_keep_to_the_limits(self):
        core = ViewCore(SMALL)
        head = bytearray(golden.HOT_STEPS)
        head[76:80] = (8).to_bytes(4, "little")
        for _ in range(1_500):
            # Few of each, so that ranks meet again.
            steps = [step_bytes(
                instance=self.numbers.randrange(4), rank=self.numbers.randrange(4),
                producer=self.numbers.randrange(3), producers=self.numbers.randrange(4),
                incarnation=self.numbers.randrange(3), sequence=self.numbers.choice((0, 1, 5, 70, (1 << 64) - 1)),
                monotonic_ns=self.numbers.choice((0, 5, NOW, (1 << 64) - 1)),
                heartbeat_ns=self.numbers.choice((0, 5, NOW, (1 << 64) - 1)),
                flags=self.numbers.choice((0, 16)), ttl_ms=self.numbers.choice((0, 1, (1 << 32) - 1)),
                kv_usage=self.numbers.choice((0.5, float("nan"), float("inf"))), present=layout.FIELDS,
            ) for _ in range(8)]
            self.feed(core, bytes(head) + b"".join(steps))
            core.tick(NOW)
            View(core).ranks(NOW)
        self.check_bounds(core)
        kinds = ("stored", "old", "late", "future", "malformed", "beyond_ranks", "ignored")
        counts = core.counts.named()
        self.assertEqual(counts["steps"], sum(counts[f"steps_{kind}"] for kind in kinds))

    def check_bounds(self, core):
        self.assertLessEqual(len(core.cells), 8)
        self.assertLessEqual(len(core._held), 8)
        self.assertLessEqual(len(core._senders), 4)
        self.assertLessEqual(len(core.news.engines), 8)
        self.assertLessEqual(len(core.news.nodes), 4)
        self.assertLessEqual(len(core.news.details._known), 8)
        self.assertEqual(sum(cell is not None for cell in core.cells), len(core._held))


class Tables(unittest.TestCase):
    def open(self, data, kind=StepTable):
        fd = sealed(bytes(data))
        try:
            return kind(fd)
        finally:
            os.close(fd)

    def test_memory_that_is_no_table_is_refused(self):
        for data in (b"", bytes(4096), table_bytes(kind=2), table_bytes(magic=b"EENEWST2"),
                     table_bytes(cell_bytes=8), table_bytes()[:-1], table_bytes()[:100]):
            with self.assertRaises(TableError):
                self.open(data)
        with self.assertRaises(TableError):
            self.open(table_bytes(), ReadingTable)
        unsealed = os.memfd_create("table")
        os.write(unsealed, table_bytes())
        with self.assertRaises(TableError):
            StepTable(unsealed)
        os.close(unsealed)

    def test_a_cell_is_read_whole_or_not_at_all(self):
        data = table_bytes(capacity=4)
        struct.pack_into("<Q", data, 64, 99)  # More used than there are.
        value = step_bytes(sequence=7) + struct.pack("<QQQQ", 1, 2, 3, 4)
        for cell, (sequence, copy) in enumerate(((2, 1), (3, 1), (0, 0), ((1 << 64) - 1, 1))):
            at = CELLS_AT + cell * CELL_BYTES
            struct.pack_into("<Q", data, at, sequence)
            data[at + 64 + copy * STEP_VALUE_BYTES : at + 64 + (copy + 1) * STEP_VALUE_BYTES] = value
        cells = self.open(data).read()
        self.assertEqual([cell and cell.step.sequence for cell in cells], [7, 7, None, 7])
        self.assertEqual((cells[0].alive_ns, cells[0].error_ns, cells[0].lost), (2, 3, 4))

    def test_cells_of_anything_raise_nothing(self):
        numbers = random.Random(7)
        for _ in range(300):
            data = table_bytes(capacity=3)
            data[64:] = numbers.randbytes(len(data) - 64)
            view = View(ViewCore(SMALL))
            view.table = self.open(data)
            view.ranks(NOW)
            try:
                view.pick(Ask(), Policy.lenient(), Score.LEAST_WORK, NOW)
            except NoPick:
                pass


class Greetings(unittest.TestCase):
    def test_an_agent_that_makes_no_sense_is_an_error_and_leaves_no_descriptor(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/agent.sock"
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            listener.bind(path)
            listener.listen(8)
            before = len(os.listdir("/proc/self/fd"))
            for message in (b"?", greeting(4), greeting(3), greeting(5, "full \xff".encode("latin1")),
                            greeting(4)[:-1], b"x" * 70_000):
                with self.subTest(message=message[:20]):
                    self.refuses(listener, path, message)
            # Threads of other tests may open and close their own meanwhile.
            until(lambda: len(os.listdir("/proc/self/fd")) <= before, "every descriptor to be closed")
            listener.close()

    def refuses(self, listener, path, message):
        def answer():
            connection, _ = listener.accept()
            connection.recv(100)
            fd = os.memfd_create("rubbish")
            socket.send_fds(connection, [message], [fd, fd])
            os.close(fd)
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with self.assertRaises(LocalError):
            open_local(path)
        thread.join()


class Laws(unittest.TestCase):
    def test_the_ledger_says_what_a_plain_list_says(self):
        numbers = random.Random(3)
        ledger, now, plain, covered = Ledger(4), 0, {}, {}
        for _ in range(4_000):
            rank, act = RankId(9, numbers.randrange(3)), numbers.random()
            sent = plain.setdefault(rank, [])
            if act < 0.45:
                now += numbers.randrange(20 * MS)
                tokens = numbers.randrange(100)
                sent.append([ledger.open(rank, now, tokens), now, tokens])
            elif act < 0.55 and sent:
                one = numbers.choice(sent)
                one[2] = 0
                ledger.first_token(one[0])
            elif act < 0.8 and sent:
                ledger.close(sent.pop(numbers.randrange(len(sent)))[0])
            else:
                sampled, error = now - numbers.randrange(100 * MS), numbers.randrange(50 * MS)
                owed = ledger.owed(rank, sampled, error)
                if sent:
                    covered[rank] = max(covered.get(rank, 0), sampled - error - ADMISSION_MARGIN_NS)
                still = [one for one in sent if one[1] >= covered.get(rank, 0)]
                self.assertEqual(owed, (len(sent), len(still), sum(one[2] for one in still)) if sent else (0, 0, 0))

    def test_a_merge_does_not_depend_on_the_order_and_says_no_more_than_its_records(self):
        numbers = random.Random(5)
        for _ in range(1_000):
            records = [self.front(numbers, producer) for producer in range(numbers.randrange(1, 5))]
            state = merge(records, NOW, Patience())
            shuffled = numbers.sample(records, len(records))
            again = merge(shuffled, NOW, Patience())
            self.assertEqual((state.step, state.age_ns, state.error_ns), (again.step, again.age_ns, again.error_ns))
            running = state.value("running")
            self.assertIn(running, [None] + [record.step.value("running") for record in records])
            self.assertLessEqual(state.value("finished"), sum(record.step.finished for record in records))
            if state.freshness < Freshness.SILENT and running is not None:
                # No gauge of one who fell silent.
                self.assertLessEqual(state.age_ns, 3 * 100 * MS + 2_000 * MS)

    def front(self, numbers, producer):
        idle_ns = numbers.randrange(2_000) * MS
        alive_ns = NOW - numbers.choice((0, 50, 250, 400, 5_000, 40_000)) * MS
        present = [name for name in layout.FIELDS if numbers.random() < 0.5] + ["finished"]
        data = step_bytes(
            present=set(present), producer=producer, producers=4,
            incarnation=numbers.randrange(1, 4), monotonic_ns=MS, heartbeat_ns=MS + idle_ns,
            running=numbers.randrange(1_000), finished=numbers.randrange(1_000),
            flags=numbers.choice((0, 0, 0, 16, 32)),
        )
        return Record(data, alive_ns, alive_ns, numbers.randrange(3), 0)


if __name__ == "__main__":
    unittest.main()

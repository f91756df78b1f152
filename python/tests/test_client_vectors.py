"""What the Rust view does with messages and times, this view does too.

The vectors are the Rust side's (`schema/vectors/`); nothing here writes them.
"""

import json
import math
import unittest
from pathlib import Path

from eagle_eye import layout, read_batch
from eagle_eye.client import (
    Ask, NoPick, Patience, Policy, Refused, Score, SketchKind, View, ViewCore, ViewSettings,
)
from eagle_eye.layout import FIELDS, Flag

VECTORS = Path(__file__).resolve().parents[2] / "schema" / "vectors"
MS = 1_000_000
POLICIES = {"strict": Policy.strict(), "lenient": Policy.lenient()}


def load(name):
    return json.loads((VECTORS / name).read_text())


def known(step):
    return {name: step.value(name) for name in FIELDS if step.value(name) is not None}


def told(state):
    """A rank as the vectors write it."""
    return {
        "instance": state.id.instance, "rank": state.id.rank,
        "incarnation": state.step.incarnation, "sequence": state.step.sequence,
        "producers": state.producers, "age_ns": state.age_ns, "silence_ns": state.silence_ns,
        "error_ns": state.error_ns, "lost": state.lost,
        "freshness": state.freshness.name.lower(), "activity": state.activity.name.lower(),
        "in_flight": state.in_flight, "unaccounted": state.unaccounted,
        "unaccounted_tokens": state.unaccounted_tokens, "flags": state.step.flags, "known": known(state.step),
    }


class Player:
    """Plays one scenario."""

    def __init__(self, scenario):
        settings = scenario.get("settings", {})
        self.core = ViewCore(ViewSettings(
            ranks_max=settings.get("ranks_max", 64),
            senders_max=settings.get("senders_max", 64),
            patience=Patience(settings.get("gone_ms", 30_000) * MS),
            forget_ns=settings.get("forget_ms", 600_000) * MS,
        ))
        self.view = View(self.core, scenario.get("chance", 7))
        self.reserved = {}

    def play(self, act):
        return getattr(self, "do_" + act["do"])(act, act.get("now_ms", 0) * MS)

    def do_connect(self, act, now_ns):
        self.core.connected(now_ns)

    def do_disconnect(self, act, now_ns):
        self.core.disconnected()

    def do_tick(self, act, now_ns):
        self.core.tick(now_ns)

    def do_feed(self, act, now_ns):
        data = bytes.fromhex(act["bytes"])
        try:
            if "asked_ms" in act:
                fed = self.core.reply(data, now_ns, act["asked_ms"] * MS)
            else:
                fed = self.core.feed(data, now_ns)
        except Refused:
            return "refused"
        return {"stored": fed.stored, "old": fed.old, "refused": fed.refused}

    def do_look(self, act, now_ns):
        ranks = sorted(self.view.ranks(now_ns), key=lambda state: state.id)
        return {"complete": self.view.is_complete, "ranks": [told(state) for state in ranks]}

    def do_instance(self, act, now_ns):
        state = self.view.instance(act["instance"], now_ns)
        return {
            "ranks": state.ranks, "age_ns": state.age_ns, "silence_ns": state.silence_ns,
            "error_ns": state.error_ns, "freshness": state.freshness.name.lower(),
            "activity": state.activity.name.lower(), "known": known(state.step),
        }

    def do_details(self, act, now_ns):
        details = self.view.details(act["instance"])
        if details is None:
            return None
        whole_ns = lambda seconds: None if seconds is None else math.floor(seconds * 1e9 + 0.5)
        kinds = {}
        for kind in SketchKind:
            sketch = details.sketch(kind)
            if sketch is not None:
                quantiles = [whole_ns(details.quantile(kind, share)) for share in act["shares"]]
                kinds[kind.name.lower()] = {
                    "count": sketch.count, "mean_ns": whole_ns(sketch.mean()), "quantiles_ns": quantiles,
                }
        of_ranks = [{
            "rank": of.rank, "producer": of.producer, "incarnation": of.incarnation,
            "adapters": [list(adapter) for adapter in of.adapters],
            "speculation": of.speculation and [*of.speculation[:3], list(of.speculation.accepted)],
            "transfer": of.transfer and list(of.transfer),
        } for of in sorted(details.of_ranks, key=lambda of: (of.rank, of.producer))]
        return {"kinds": kinds, "finished": details.finished(), "of_ranks": of_ranks}

    def do_pick(self, act, now_ns):
        return [self.picked(act, now_ns)[0] for _ in range(act.get("times", 1))]

    def do_reserve(self, act, now_ns):
        found, pick = self.picked(act, now_ns)
        if pick:
            self.reserved[act["as"]] = self.view.reserve_picked(pick, act.get("prompt_tokens", 0))
        return found

    def picked(self, act, now_ns):
        ask = Ask(model=act.get("model"), prompt_tokens=act.get("prompt_tokens", 0))
        try:
            pick = self.view.pick(ask, POLICIES[act["policy"]], Score(act["score"]), now_ns)
        except NoPick as none:
            return {"excluded": none.excluded}, None
        return {
            "instance": pick.state.id.instance, "rank": pick.state.id.rank, "score": pick.score,
            "considered": pick.considered, "excluded": pick.excluded,
        }, pick

    def do_first_token(self, act, now_ns):
        self.reserved[act["of"]].first_token()

    def do_finish(self, act, now_ns):
        self.reserved.pop(act["of"]).finish()

    def do_counts(self, act, now_ns):
        return {name: count for name, count in self.view.named_counts().items() if count}


@unittest.skipUnless(VECTORS.exists(), "the vectors are not part of this distribution")
class Vectors(unittest.TestCase):
    maxDiff = None

    def test_every_scenario_ends_as_the_rust_view_says(self):
        paths = sorted((VECTORS / "scenarios").glob("*.json"))
        self.assertGreater(len(paths), 5)
        for path in paths:
            scenario = json.loads(path.read_text())
            player = Player(scenario)
            for number, act in enumerate(scenario["acts"]):
                with self.subTest(path.stem, act=number, do=act["do"]):
                    expect = player.play(act)
                    self.assertEqual(expect, act.get("expect"))

    def test_the_bytes_of_every_scenario_are_what_is_written_beside_them(self):
        for path in sorted((VECTORS / "scenarios").glob("*.json")):
            for act in json.loads(path.read_text())["acts"]:
                if "published_ms" not in act:
                    continue
                batch = read_batch(bytes.fromhex(act["bytes"]))
                self.assertEqual(batch.head.publish_monotonic_ns, act["published_ms"] * MS)
                self.assertEqual(batch.held_ns(), act.get("held_ms", 0) * MS)
                for step, wrote in zip(batch.steps(), act["steps"]):
                    self.check_step(step, wrote)

    def check_step(self, step, wrote):
        self.assertEqual(step.monotonic_ns, wrote["at_ms"] * MS)
        self.assertEqual(step.heartbeat_ns, wrote.get("heartbeat_ms", wrote["at_ms"]) * MS)
        for name in ("instance", "rank", "producer", "sequence"):
            self.assertEqual(getattr(step, name), wrote.get(name, 0))
        for name in FIELDS:
            self.assertEqual(step.value(name) is None, name not in wrote, name)
            if name in wrote:
                self.assertAlmostEqual(step.value(name), wrote[name], 6)
        named = {name.title().replace("_", "") for name, bit in vars(Flag).items()
                 if name.isupper() and step.flags & bit}
        self.assertEqual(named, set(wrote.get("flags", ())))

    def test_messages_give_the_ranks_and_choices_of_the_rust_view(self):
        for case in load("client.json"):
            core = ViewCore(ViewSettings(ranks_max=64))
            view = View(core, seed=7)
            for message in case["messages"]:
                data, receipt_ns = bytes.fromhex(message["bytes"]), message["receipt_ns"]
                if message["request_sent_ns"] is None:
                    core.feed(data, receipt_ns)
                else:
                    core.reply(data, receipt_ns, message["request_sent_ns"])
            with self.subTest(case["name"]):
                self.check_case(case, view)

    def check_case(self, case, view):
        ranks = sorted(view.ranks(case["now_ns"]), key=lambda state: state.id)
        self.assertEqual(len(ranks), len(case["ranks"]))
        for state, expected in zip(ranks, case["ranks"]):
            found = {**told(state), "running": state.value("running"), "finished": state.value("finished")}
            self.assertEqual({key: found[key] for key in expected}, expected)
        for expected in case["picks"]:
            policy, score = POLICIES[expected["policy"]], Score(expected["score"])
            try:
                pick = view.pick(Ask(), policy, score, case["now_ns"])
                found = (pick.state.id.instance, pick.score)
            except NoPick:
                found = (None, None)
            self.assertEqual(found, (expected["instance"], expected["value"]))


@unittest.skipUnless(VECTORS.exists(), "the vectors are not part of this distribution")
class Golden(unittest.TestCase):
    """The released bytes of `tests/captures/golden/`."""

    def setUp(self):
        self.folder = VECTORS.parents[1] / "tests" / "captures" / "golden"

    def test_released_batches_are_read(self):
        for name, steps, readings in (("hot_steps", 2, 0), ("hot_readings", 0, 3), ("bare", 0, 0)):
            batch = read_batch((self.folder / f"{name}.bin").read_bytes())
            self.assertEqual((batch.step_count, batch.reading_count), (steps, readings), name)

    def test_names_devices_events_and_verdicts_are_read(self):
        batch = read_batch((self.folder / "tables.bin").read_bytes())
        self.assertTrue(batch.node_name())
        for things in (batch.engines(), batch.devices(), batch.events(), batch.verdicts()):
            self.assertTrue(things)

    def test_what_a_later_build_wrote_is_read_and_what_is_new_is_unknown(self):
        batch = read_batch((self.folder / "future.bin").read_bytes())
        self.assertGreater(len(list(batch.steps())), 0)
        self.assertTrue(any(event.kind == layout.EventKind.UNKNOWN for event in batch.events()))
        ViewCore().feed((self.folder / "future.bin").read_bytes(), 1)


if __name__ == "__main__":
    unittest.main()

import gc
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

from eagle_eye import Flag, Role, details
from eagle_eye.layout import FIELDS
from tests.agent import Reader, until
from tests.plugin import WithPlugin
from tests.vllm_standins import VERSIONS, config

PYTHON = Path(__file__).resolve().parents[1]


class EachVersion(WithPlugin):
    def test_a_step_says_the_same_of_every_version_but_what_a_version_lacks(self):
        for version in VERSIONS:
            with self.subTest(version):
                logger = self.logger(version)
                logger.log_engine_initialized()
                reader = self.reader(logger)
                standin = self.standin
                for _ in range(2):
                    standin.record(logger, standin.scheduler(3, 2, 0.25, queries=70, hits=20),
                                   standin.iteration(generated=4, prompt=70, cached=20, preempted=1,
                                                     first=[0.1], decoded=[0.01, 0.01],
                                                     finished=[standin.request()]))
                step = reader.newest()
                sources = hasattr(standin, "PromptTokenStats")
                expected = {
                    "running": 3, "waiting": 2, "kv_usage": 0.25, "steps": 2, "generated_tokens": 8,
                    "prompt_tokens": 140, "cached_tokens": 40 if sources else None, "preemptions": 2,
                    "finished": 2, "prefix_queries": 140, "prefix_hits": 40, "max_sequences": 16,
                    "max_batched_tokens": 512, "kv_blocks": 96, "block_size": 32, "waiting_tokens": 140,
                    "pending_tokens": 35, "oldest_wait_ms": None, "lora_running": None, "lora_waiting": None,
                    "deferred": 0 if version >= "0.20" else None,
                    "rejections": 0 if version >= "0.32" else None,
                }
                self.assertEqual({name: step.value(name) for name in expected}, expected)
                self.assertEqual(logger._reporter.faults, 0)
                engine = logger._reporter.door.engine
                self.assertEqual((engine.name, engine.model, engine.engine, engine.endpoint),
                                 ("host-1:8100", "org/model", f"vllm {version}", "http://host-1:8100"))

    def test_the_third_argument_by_place_is_a_rank_up_to_0_11_0_and_a_cache_s_stats_after(self):
        for version, third in (("0.11.0", 1), ("0.11.1", None), ("0.33.0", object())):
            first, second = self.loggers(version, ranks=(0, 1))
            reader = self.reader(first)
            second.record(self.standin.scheduler(5), None, third)
            self.assertEqual(reader.newest().rank, 1 if third == 1 else 0)

    def test_all_ranks_share_one_door_whether_they_have_one_logger_or_each_its_own(self):
        for version in ("0.10.0", "0.33.0"):
            loggers = self.loggers(version, ranks=(2, 3))
            reader = self.reader(loggers[0])
            self.assertEqual([reader.slot(s).rank for s in (1, 2)], [2, 3])
            for logger, rank in zip(loggers, (2, 3)):
                self.standin.record(logger, self.standin.scheduler(rank), None, rank)
                self.assertEqual((reader.newest().rank, reader.newest().running), (rank, rank))
            self.assertEqual(reader.head(), 4)

    def test_a_rank_that_nobody_announced_is_taken_up(self):
        logger = self.logger()
        logger.record(self.standin.scheduler(1), None, engine_idx=7)
        self.assertEqual(self.reader(logger).newest().rank, 7)

    def test_adapters_are_counted_wherever_a_version_has_them(self):
        for version, where in (("0.10.0", "iteration"), ("0.12.0", "scheduler")):
            logger = self.logger(version, lora_config=object())
            reader = self.reader(logger)
            self.assertEqual(reader.newest().value("lora_running"), 0)
            stats = {"scheduler": self.standin.scheduler(2), "iteration": self.standin.iteration()}
            stats[where].running_lora_adapters = {"a": 2, "b": 1}
            stats[where].waiting_lora_adapters = {"b": 1, "c": 1}
            self.standin.record(logger, stats["scheduler"], stats["iteration"])
            step = reader.newest()
            self.assertEqual((step.value("lora_running"), step.value("lora_waiting")), (2, 1))


class WhatIsSaid(WithPlugin):
    def test_an_engine_is_seen_idle_before_its_first_request(self):
        step = self.reader(self.logger()).newest()
        self.assertEqual([step.value(n) for n in ("running", "waiting", "kv_usage", "steps", "finished")],
                         [0, 0, 0.0, 0, 0])
        self.assertEqual([n for n in ("prefix_queries", "cached_tokens", "deferred", "last_step_us")
                          if step.value(n) is not None], [])

    def test_capacities_are_read_again_once_the_engine_is_initialized(self):
        cfg = config(cache_config__num_gpu_blocks=None)
        plugin = self.plugin("0.33.0")
        logger = self.standin.build(plugin.StatLogger, cfg)[0]
        reader = self.reader(logger)
        self.assertIsNone(reader.newest().value("kv_blocks"))
        cfg.cache_config.num_gpu_blocks = 1234
        logger.log_engine_initialized()
        self.assertEqual(reader.newest().value("kv_blocks"), 1234)

    def test_one_front_end_repeats_gauges_and_several_leave_them_to_whoever_was_told(self):
        for producers, running in ((1, 3), (2, None)):
            logger = self.logger(parallel_config___api_process_count=producers)
            reader = self.reader(logger)
            logger.record(self.standin.scheduler(3, queries=5), self.standin.iteration(generated=2))
            logger.record(None, self.standin.iteration(generated=2, finished=[self.standin.request()]))
            step = reader.newest()
            self.assertEqual((step.value("running"), step.generated_tokens, step.finished, step.steps,
                              step.prefix_queries, step.producers), (running, 4, 1, 1, 5, producers))
            logger.record(None, None)
            self.assertEqual(reader.newest(), step)

    def test_a_step_of_which_only_the_scheduler_tells_keeps_what_was_counted(self):
        logger = self.logger()
        logger.record(self.standin.scheduler(3), self.standin.iteration(generated=2, prompt=9, first=[0.1]))
        logger.record(self.standin.scheduler(0), None)
        step = self.reader(logger).newest()
        self.assertEqual((step.running, step.generated_tokens, step.decode_tokens_per_second,
                          step.prefill_tokens_per_second, step.pending_tokens), (0, 2, 0.0, 0.0, 0))

    def test_several_front_ends_are_one_engine_and_only_the_first_says_that_nothing_came_yet(self):
        steps = []
        for rank in (0, 1):
            logger = self.logger(parallel_config___api_process_count=2, parallel_config___api_process_rank=rank)
            steps.append(self.reader(logger).newest())
        self.assertEqual([(s.producer, s.producers, s.value("running")) for s in steps], [(0, 2, 0), (1, 2, None)])
        self.assertEqual(steps[0].instance, steps[1].instance)

    def test_estimates_are_flagged_and_unknown_until_a_length_is_known(self):
        logger = self.logger()
        reader = self.reader(logger)
        logger.record(self.standin.scheduler(1, 3), None)
        step = reader.newest()
        self.assertEqual((step.value("waiting_tokens"), step.flags), (None, 0))
        logger.record(self.standin.scheduler(4, 3), self.standin.iteration(prompt=200, first=[0.1, 0.1]))
        step = reader.newest()
        self.assertEqual((step.value("waiting_tokens"), step.value("pending_tokens"), step.flags),
                         (300, 100, Flag.TOKENS_ESTIMATED))
        logger = self.logger(parallel_config___api_process_count=2)
        logger.record(self.standin.scheduler(4, 3), self.standin.iteration(prompt=200, first=[0.1, 0.1]))
        reader, both = self.reader(logger), Flag.PARTIAL | Flag.TOKENS_ESTIMATED
        said = []
        for scheduler, iteration in ((None, None), (None, self.standin.iteration(generated=1)),
                                     (self.standin.scheduler(0, 0), None)):
            logger.record(scheduler, iteration)
            step = reader.newest()
            said.append((step.value("waiting_tokens"), step.value("pending_tokens"), step.flags))
        # Told of the whole, it estimates of the whole, but not who gave no token.
        self.assertEqual(said, [(300, None, both), (None, None, Flag.PARTIAL), (0, 0, Flag.PARTIAL)])

    def test_a_step_s_time_is_vllm_s_own_else_that_between_steps_while_there_was_work(self):
        logger = self.logger()
        reader = self.reader(logger)
        clock = mock.Mock(return_value=time.monotonic() + 5)
        details_ = self.standin.SchedulerIterationDetails(elapsed_ms=2.5)
        with mock.patch.object(self.module("rank"), "_monotonic", clock):
            said = []
            for running, given, pause in ((2, None, 5), (2, None, 0.25), (0, None, 0.5), (1, None, 60), (1, details_, 9)):
                clock.return_value += pause
                logger.record(self.standin.scheduler(running, iteration_details=given), None)
                said.append(reader.newest().value("last_step_us"))
        self.assertEqual(said[0], None)
        self.assertAlmostEqual(said[1], 250_000, delta=2)
        self.assertAlmostEqual(said[2], 500_000, delta=2)
        self.assertEqual(said[3:], [None, 2500])

    def test_rates_follow_the_tokens_and_end_with_the_work(self):
        logger = self.logger()
        reader = self.reader(logger)
        clock = mock.Mock(return_value=time.monotonic() + 1)
        with mock.patch.object(self.module("rank"), "_monotonic", clock):
            for _ in range(1000):
                clock.return_value += 0.01
                logger.record(self.standin.scheduler(8), self.standin.iteration(generated=8, prompt=5))
            step = reader.newest()
            self.assertAlmostEqual(step.decode_tokens_per_second, 800, delta=1)
            self.assertAlmostEqual(step.prefill_tokens_per_second, 500, delta=1)

    def test_sleep_shows_at_once_and_so_does_waking(self):
        logger = self.logger()
        reader = self.reader(logger)
        for call, asleep in (((1, 1), True), ((1, 0), True), ((0, 0), False)):
            logger.record_sleep_state(*call)
            self.assertEqual(bool(reader.newest().flags & Flag.ASLEEP), asleep)
            self.assertEqual(bool(reader.heartbeat()[3] & Flag.ASLEEP), asleep)

    def test_refusals_are_counted_where_a_version_tells_them(self):
        logger = self.logger("0.33.0")
        logger.record_admission_rejection("max_num_queued_reqs")
        logger.record_admission_rejection(reason="max_num_queued_tokens")
        logger.record(self.standin.scheduler(1), None)
        self.assertEqual(self.reader(logger).newest().value("rejections"), 2)

    def test_details_hold_latencies_reasons_speculation_adapters_and_transfers(self):
        logger = self.logger()
        reader = self.reader(logger)
        standin = self.standin
        spec = standin.SpecDecodingStats(num_drafts=1, num_draft_tokens=3, num_accepted_tokens=2,
                                         num_accepted_tokens_per_pos=[1, 1, 0])
        nixl = {"transfer_duration": [0.5, 0.25], "bytes_transferred": [100, 200], "num_failed_transfers": [1]}
        for _ in range(2):
            logger.record(
                standin.scheduler(2, spec_decoding_stats=spec, kv_connector_stats=nixl,
                                  running_lora_adapters={"a": 2}, waiting_lora_adapters={"b": 1}),
                standin.iteration(first=[0.2], decoded=[0.01, 0.01], finished=[
                    standin.request(1, queued_time=0.1, prefill_time=0.2, decode_time=0.3, e2e_latency=0.6)]))
        rank = logger._reporter._ranks[0]
        tally = logger._reporter.tallies()[0]
        until(lambda: tally.folded == 2 and not rank.kept, "the steps to be folded")
        until(lambda: any(tag == details.TAG_ADAPTER for tag, _, _ in details.entries(reader.details())),
              "the details")
        found = list(details.entries(reader.details()))
        sketches = dict(details.read_sketch(value) for tag, _, value in found if tag == details.TAG_SKETCH)
        self.assertEqual({kind: s.count for kind, s in sketches.items()}, {1: 2, 2: 4, 3: 2, 4: 2, 5: 2, 6: 2})
        self.assertAlmostEqual(sketches[details.TTFT].quantile(0.5), 0.2, delta=0.005)
        self.assertEqual([(t, v) for t, _, v in found if t != details.TAG_SKETCH], [
            (details.TAG_FINISHED, struct.pack("<Q", 2) + b"length"),
            (details.TAG_SPECULATION, struct.pack("<6Q", 2, 6, 4, 2, 2, 0)),
            (details.TAG_TRANSFER, struct.pack("<QQQd", 4, 600, 2, 1.5)),
            (details.TAG_ADAPTER, struct.pack("<II", 2, 0) + b"a"),
            (details.TAG_ADAPTER, struct.pack("<II", 0, 1) + b"b"),
        ])


class Hostile(BaseException):
    """Not even an Exception."""


def raising(error):
    def read(_self):
        raise error
    return property(read)


class NeverHarms(WithPlugin):
    def test_whatever_stands_in_a_field_the_rest_is_said_and_nothing_raises(self):
        odd = (None, -1, float("nan"), float("inf"), 1 << 70, -(1 << 70), "7", 1.5, [], object(), b"x", True)
        places = ["num_running_reqs", "num_waiting_reqs", "kv_cache_usage", "num_skipped_waiting_reqs",
                  "prefix_cache_stats", "iteration_details", "spec_decoding_stats", "kv_connector_stats",
                  "running_lora_adapters", "waiting_lora_adapters", "num_generation_tokens",
                  "num_preempted_reqs", "prompt_token_stats", "finished_requests",
                  "time_to_first_tokens_iter", "inter_token_latencies_iter"]
        logger = self.logger()
        reader = self.reader(logger)
        standin = self.standin
        before = 0
        for place in places:
            for value in odd:
                scheduler, iteration = standin.scheduler(3, 1, 0.5, 10, 5), standin.iteration(7, 10, first=[0.1])
                setattr(scheduler if hasattr(scheduler, place) else iteration, place, value)
                logger.record(scheduler, iteration, mm_cache_stats=None, engine_idx=0)
                step = reader.newest()
                self.assertEqual(reader.head(), before + 2 if not before else before + 1, (place, value))
                before = reader.head()
                if step.value("steps") is not None:
                    self.assertEqual(step.steps, reader.head() - 1, (place, value))
                if place != "num_running_reqs":
                    self.assertEqual(step.value("running"), 3, (place, value))
                if place != "kv_cache_usage":
                    self.assertEqual(step.value("kv_usage"), 0.5, (place, value))
                clean = standin.scheduler(1), standin.iteration(1)
                logger.record(*clean)
                before = reader.head()
                step = reader.newest()
                self.assertEqual([n for n in ("running", "generated_tokens", "finished", "prefix_hits")
                                  if step.value(n) is None], [], (place, value))
                self.assertEqual(step.steps, reader.head() - 1, (place, value))
        self.assertFalse(logger._reporter.off)
        tally, rank = logger._reporter.tallies()[0], logger._reporter._ranks[0]
        until(lambda: tally.folded == rank.handed, "everything to be folded")
        self.assertTrue(logger._reporter._thread.is_alive())

    def test_what_a_later_version_renames_is_unknown_and_the_rest_is_still_said(self):
        for place, field in (("num_running_reqs", "running"), ("kv_cache_usage", "kv_usage"),
                             ("num_generation_tokens", "generated_tokens"), ("finished_requests", "finished"),
                             ("num_preempted_reqs", "preemptions"), ("prefix_cache_stats", "prefix_hits")):
            logger = self.logger()
            for _ in range(40):
                scheduler, iteration = self.standin.scheduler(3, 2, 0.5), self.standin.iteration(4)
                delattr(scheduler if hasattr(scheduler, place) else iteration, place)
                logger.record(scheduler, iteration)
            step = self.reader(logger).newest()
            self.assertIsNone(step.value(field), place)
            self.assertEqual(step.value("waiting"), 2)
            self.assertEqual((logger._reporter.faults, logger._reporter.off), (0, False))

    def test_stats_that_cannot_be_read_turn_it_off_and_that_is_said_once(self):
        for error in (RuntimeError("no"), Hostile("no"), RecursionError()):
            logger = self.logger()
            reporter = logger._reporter
            bad = type("Bad", (), {"num_running_reqs": raising(error), "num_waiting_reqs": 1})()
            with self.assertLogs("eagle_eye", "WARNING") as said:
                for _ in range(100):
                    logger.record(bad, None)
                until(lambda: reporter.closed, "the door to close")
            self.assertEqual((reporter.off, len(said.output)), (True, 1))
            self.assertIn("16 calls in a row", said.output[0])
            logger.record(self.standin.scheduler(1), None)
            logger.record_sleep_state(1, 1)
            logger.log_engine_initialized()

    def test_a_fault_between_good_steps_turns_nothing_off(self):
        logger = self.logger()
        bad = type("Bad", (), {"num_running_reqs": raising(RuntimeError("no"))})()
        for _ in range(50):
            logger.record(bad, None)
            logger.record(self.standin.scheduler(1), None)
        self.assertEqual((logger._reporter.faults, logger._reporter.off), (50, False))

    def test_an_interrupt_that_happens_here_goes_on_to_its_process(self):
        logger = self.logger()
        for error in (KeyboardInterrupt, SystemExit):
            with self.assertRaises(error):
                logger.record(type("Bad", (), {"num_running_reqs": raising(error())})(), None)

    def test_no_argument_in_its_place_raises(self):
        logger = self.logger()
        for call in ((), (1,), (None, None, "x", "y"), (object(), object(), 1.5, -1), (None, None, None, 1 << 40)):
            logger.record(*call)
            logger.record_sleep_state(*call)
            logger.record_admission_rejection(*call)
            logger.log(*call)
            logger.log_engine_initialized(*call)
        logger.record(scheduler_stats=None, iteration_stats=None, something_new=1)

    def test_a_logger_that_cannot_be_set_up_does_nothing_and_says_one_line(self):
        plugin = self.plugin("0.33.0")
        with mock.patch.object(self.module("reporter"), "Door", side_effect=OSError("no memory")):
            with self.assertLogs("eagle_eye", "WARNING") as said:
                logger = plugin.StatLogger(vllm_config=config(), engine_indexes=[0])
        self.assertEqual(len(said.output), 1)
        logger.record(self.standin.scheduler(1), None)
        for odd in (None, object(), 7, type("Config", (), {"model_config": raising(RuntimeError())})()):
            logger = plugin.StatLogger(odd, odd)
            logger.record(self.standin.scheduler(1), None)
            logger.log_engine_initialized()
            self.assertIsNotNone(logger._reporter)

    def test_it_can_be_switched_off(self):
        os.environ["EAGLE_EYE_DISABLE"] = "1"
        logger = self.logger()
        self.assertIsNone(logger._reporter)
        logger.record(self.standin.scheduler(1), None)

    def test_steps_that_nobody_folds_are_bounded_and_counted(self):
        logger = self.logger()
        reporter = logger._reporter
        reporter._stop.set()
        reporter._thread.join()
        for _ in range(3000):
            logger.record(None, self.standin.iteration(decoded=[0.01]))
        tally = reporter.tallies()[0]
        self.assertEqual((len(reporter._ranks[0].kept), tally.dropped), (2048, 952))
        self.assertFalse(tally.fold(60.0))
        self.assertEqual((tally.folded, tally.dropped), (2048, 952))

    def test_several_threads_at_once_harm_nobody(self):
        loggers = self.loggers(ranks=(0, 1, 2, 3))
        reader = self.reader(loggers[0])
        failed = []

        def run(rank):
            try:
                for _ in range(500):
                    loggers[0].record(self.standin.scheduler(rank), self.standin.iteration(1), engine_idx=rank)
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=run, args=(rank,)) for rank in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])
        for rank in range(4):
            self.assertEqual(loggers[0]._reporter._ranks[rank]._generated, 500)
        for sequence in range(max(1, reader.head() - 1000), reader.head() + 1):
            step = reader.slot(sequence)
            self.assertIn(step.value("running"), (0, step.rank))

    def test_a_forked_child_says_nothing_for_its_parent(self):
        logger = self.logger()
        reader = self.reader(logger)
        child = os.fork()
        if child == 0:
            try:
                logger.record(self.standin.scheduler(9), None)
                fresh = type(logger)(vllm_config=config(), engine_indexes=[0])
                same = fresh._reporter is logger._reporter
                fresh._reporter.close()
                os._exit(1 if same else 0)
            except BaseException:
                os._exit(2)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(reader.head(), 1)
        logger.record(self.standin.scheduler(2), None)
        self.assertEqual(reader.newest().running, 2)


class Farewell(WithPlugin):
    def test_a_logger_that_vllm_drops_says_goodbye_in_the_log_and_to_the_agent(self):
        plugin = self.plugin("0.33.0")
        logger = plugin.StatLogger(vllm_config=config(), engine_indexes=[0, 1])
        reader, reporter = self.reader(logger), logger._reporter
        with self.assertLogs("eagle_eye", "WARNING") as said:
            del logger
            gc.collect()
            until(lambda: reporter.closed and reader.heartbeat()[3] & Flag.GOODBYE, "the goodbye")
        self.assertIn("vLLM dropped its stat logger", said.output[0])
        self.assertTrue(reader.newest().flags & Flag.GOODBYE)
        again = plugin.StatLogger(vllm_config=config(), engine_indexes=[0])
        self.assertIsNot(again._reporter, reporter)
        self.assertGreater(self.reader(again).incarnation, reader.incarnation)

    def test_a_door_that_ranks_share_stays_until_the_last_logger_went(self):
        loggers = self.loggers("0.10.2", ranks=(0, 1))
        reporter = loggers[0]._reporter
        del loggers[0]
        gc.collect()
        self.assertEqual((reporter.users, reporter.left, reporter._is_over()), (2, 1, False))


class Places(WithPlugin):
    def test_names_and_endpoints_come_from_what_can_be_had(self):
        self.plugin("0.33.0")
        place = self.module("place")
        serve = ["/usr/bin/vllm", "serve", "m"]
        for arguments, environment, name, endpoint in (
            (serve, {}, "h:8000", "http://h:8000"),
            (serve + ["--port=81"], {}, "h:81", "http://h:81"),
            (serve + ["--port", "81", "--host", "10.0.0.7"], {}, "h:81", "http://10.0.0.7:81"),
            (serve + ["--host", "::1"], {}, "h:8000", "http://[::1]:8000"),
            (serve + ["--host=0.0.0.0"], {"POD_IP": "10.1.2.3", "POD_NAME": "pod-0"}, "pod-0:8000", "http://10.1.2.3:8000"),
            (serve + ["--ssl-keyfile", "k"], {}, "h:8000", "https://h:8000"),
            (serve + ["--uds", "/tmp/s"], {}, "h:8000", ""),
            (["/x/vllm/entrypoints/openai/api_server.py", "--port", "9"], {}, "h:9", "http://h:9"),
            (serve, {"EAGLE_EYE_INSTANCE": "one", "EAGLE_EYE_ENDPOINT": "http://vip:1"}, "one", "http://vip:1"),
            (["train.py"], {}, f"h:process-{os.getpid()}", ""),
            (serve + ["--port", "x"], {}, f"h:process-{os.getpid()}", ""),
        ):
            found = place.Place.of(config(), {"HOSTNAME": "h", **environment}, arguments)
            self.assertEqual((found.engine.name, found.engine.endpoint), (name, endpoint), arguments)

    def test_a_port_in_vllm_s_own_file_is_found(self):
        self.plugin("0.33.0")
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("model: m\nport: 8765\n")
            file.flush()
            found = self.module("place").Place.of(config(), {"HOSTNAME": "h"}, ["vllm", "serve", "--config", file.name])
        self.assertEqual(found.engine.name, "h:8765")

    def test_vllm_s_additional_config_may_hold_our_settings_and_the_environment_wins(self):
        self.plugin("0.33.0")
        own = {"eagle_eye": {"instance": "a", "role": "decode", "socket": "/s"}}
        found = self.module("place").Place.of(config(additional_config=own), {"EAGLE_EYE_INSTANCE": "b"}, [])
        self.assertEqual((found.engine.name, found.role, found.socket_path), ("b", Role.DECODE, "/s"))
        for odd in (None, 7, {"eagle_eye": None}, {"eagle_eye": []}, "x"):
            self.module("place").Place.of(config(additional_config=odd), {}, [])

    def test_a_connector_s_role_is_the_engine_s(self):
        self.plugin("0.33.0")
        for kv_role, role in (("kv_producer", Role.PREFILL), ("kv_consumer", Role.DECODE),
                              ("kv_both", Role.AGGREGATED), (None, Role.AGGREGATED)):
            found = self.module("place").Place.of(config(kv_transfer_config__kv_role=kv_role), {}, [])
            self.assertEqual(found.role, role)

    def test_front_ends_are_told_apart_even_where_vllm_does_not_number_them(self):
        self.plugin("0.10.0")
        place = self.module("place")
        bare = config(parallel_config=None)
        bare.parallel_config = None
        for name, arguments, expected in (("ApiServer_1", ["vllm", "serve", "--api-server-count", "3"], (1, 3)),
                                          ("ApiServer_2", ["vllm", "serve"], (2, 3)), ("MainProcess", [], (0, 1))):
            with mock.patch.object(place, "current_process", return_value=mock.Mock()) as process:
                process.return_value.name = name
                found = place.Place.of(bare, {}, arguments)
            self.assertEqual((found.producer, found.producers), expected)

    def test_served_names_may_be_one_or_many_or_none(self):
        self.plugin("0.33.0")
        for served, expected in ("a", "a"), (["a", "b"], "a"), ([], "path"), (None, "path"):
            cfg = config(model_config__served_model_name=served, model_config__model="path")
            self.assertEqual(self.module("place").Place.of(cfg, {}, []).engine.model, expected)


class Package(unittest.TestCase):
    def run_python(self, code, *path):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True,
                              timeout=180, cwd="/")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_vllm_is_needed_only_where_the_plugin_is_used(self):
        said = self.run_python(
            "import sys, eagle_eye\n"
            "assert 'vllm' not in sys.modules and 'eagle_eye.vllm' not in sys.modules\n"
            "sys.modules['vllm'] = None\n"
            "from eagle_eye.vllm import StatLogger\n"
            "try: StatLogger()\n"
            "except ImportError as error: print(error)\n", PYTHON)
        self.assertIn("eagle_eye.vllm needs vLLM", said)

    def test_a_folder_on_the_path_is_found_as_if_it_were_installed(self):
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(2):
                subprocess.run([sys.executable, PYTHON / "make_folder.py", folder], check=True, capture_output=True)
            said = self.run_python(
                "import importlib.metadata as m\n"
                "found = [e for d in m.distributions() for e in d.entry_points"
                " if e.group == 'vllm.stat_logger_plugins' and e.name == 'eagle_eye']\n"
                "print(len(found), found[0].load().__name__, found[0].load().__module__)\n"
                "import eagle_eye; print(eagle_eye.__file__)", folder)
            self.assertIn("1 StatLogger eagle_eye.vllm.logger", said)
            self.assertIn(folder, said)


if __name__ == "__main__":
    unittest.main()

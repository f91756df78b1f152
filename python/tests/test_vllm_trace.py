import time
import unittest
from unittest import mock

from eagle_eye import details, layout
from tests import vllm_trace
from tests.plugin import WithPlugin


class Trace(WithPlugin):
    def test_a_real_engine_s_calls_say_what_its_own_metrics_page_said_at_that_moment(self):
        logger = self.logger("0.32.0")
        reader = self.reader(logger)
        clock = mock.Mock(return_value=0.0)
        tally = logger._reporter.tallies()[0]
        rank = logger._reporter._ranks[0]
        with mock.patch.object(self.module("rank"), "_monotonic", clock):
            for call, (at, scheduler, iteration) in enumerate(vllm_trace.read(), 1):
                clock.return_value = at
                logger.record(scheduler, iteration, mm_cache_stats=None, engine_idx=0)
                if call % 512 == 0:
                    self.fold(tally, rank)
                if call == vllm_trace.SCRAPED_AT:
                    step = reader.newest()
        said = {name: step.value(name) for name in vllm_trace.SCRAPED}
        self.assertEqual(said, vllm_trace.SCRAPED)
        self.assertAlmostEqual(step.value("kv_usage"), vllm_trace.SCRAPED_KV_USAGE, 6)
        self.assertGreater(step.value("last_step_us"), 0)
        self.assertGreater(step.value("decode_tokens_per_second"), 500)
        last = reader.newest()
        self.assertEqual((last.finished, last.generated_tokens, last.prompt_tokens, last.preemptions),
                         (1343, 54_531, 324_422, 120))
        self.assertEqual((last.running, last.waiting, last.decode_tokens_per_second), (0, 0, 0.0))
        self.fold(tally, rank)
        self.assertEqual((tally.dropped, tally.unfit, logger._reporter.faults), (0, 0, 0))
        self.assertEqual(tally.finished, {"length": 1343})
        counts = {kind: sketch.count for kind, sketch in tally.sketches.items()}
        self.assertEqual(counts[details.TTFT], 1343)
        self.assertEqual(counts[details.END_TO_END], 1343)
        self.assertEqual(counts[details.INTER_TOKEN], 54_531 - 1343)

    def test_estimated_waiting_tokens_are_near_what_the_waiting_requests_then_brought(self):
        logger = self.logger("0.32.0")
        reader = self.reader(logger)
        prompts = []
        estimates = []
        for _, scheduler, iteration in vllm_trace.read():
            logger.record(scheduler, iteration, mm_cache_stats=None, engine_idx=0)
            step = reader.newest()
            if scheduler is not None and scheduler.num_waiting_reqs >= 8:
                self.assertTrue(step.flags & layout.Flag.TOKENS_ESTIMATED)
                estimates.append(step.value("waiting_tokens") / scheduler.num_waiting_reqs)
            if iteration is not None and iteration.time_to_first_tokens_iter:
                prompts.append(iteration.prompt_token_stats.total / len(iteration.time_to_first_tokens_iter))
        self.assertGreater(len(estimates), 100)
        mean = sum(estimates) / len(estimates)
        truth = 324_422 / 1343
        self.assertLess(abs(mean - truth) / truth, 0.2)

    def fold(self, tally, rank):
        """Together with the plugin's own thread, which folds too."""
        deadline = time.monotonic() + 120
        while tally.folded < rank.handed:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.002)


if __name__ == "__main__":
    unittest.main()

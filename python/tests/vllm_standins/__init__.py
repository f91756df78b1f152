"""Stand-ins for vLLM: classes of the shapes of one version, and its callers.

Only shapes, written by us (`versions.py`); nothing of vLLM's code.
"""

import abc
import sys
import types
from unittest import mock

from .versions import VERSIONS, calls, number, shapes

__all__ = ["VERSIONS", "Standin", "installed"]

_LISTS = ("finished_requests", "max_num_generation_tokens_iter", "n_params_iter", "time_to_first_tokens_iter",
          "inter_token_latencies_iter", "time_per_output_tokens_iter", "kv_cache_eviction_events",
          "num_accepted_tokens_per_pos", "num_draft_tokens_per_pos")
_DICTS = ("num_kv_fetch_reqs_by_stage", "waiting_lora_adapters", "running_lora_adapters", "hits_by_source")
_NOTHING = ("iteration_details", "connector_prefix_cache_stats", "spec_decoding_stats", "kv_connector_stats",
            "ec_connector_stats", "cudagraph_stats", "perf_stats", "request_id", "max_tokens_param")


class Standin:
    """The classes of one version, as attributes."""

    def __init__(self, version):
        self.version = version
        self._shapes = shapes(version)
        for name, fields in self._shapes.items():
            setattr(self, name, self._stats_class(name, fields))
        self.loggers = types.ModuleType("vllm.v1.metrics.loggers")
        self._logger_classes()

    def _stats_class(self, name, fields):
        fresh = {field: self._fresh(field) for field in fields}

        def __init__(self, **given):
            unknown = set(given) - set(fresh)
            if unknown:
                raise TypeError(f"{name} has no {sorted(unknown)}")
            for field, value in fresh.items():
                setattr(self, field, given[field] if field in given else value())

        return type(name, (), {"__init__": __init__})

    def _fresh(self, field):
        nested = {"prefix_cache_stats": "PrefixCacheStats", "prompt_token_stats": "PromptTokenStats"}.get(field)
        if nested:
            return lambda: getattr(self, nested)()
        if field in _LISTS:
            return list
        if field in _DICTS:
            return dict
        return (lambda: None) if field in _NOTHING else int

    def _logger_classes(self):
        made = {}
        for (owner, method), arguments in calls(self.version).items():
            body = made.setdefault(owner, {})
            namespace = {}
            exec(f"def {method}({', '.join(arguments[:1] + [a + '=None' for a in arguments[1:]])}): pass", namespace)
            required = method in ("__init__", "record", "log_engine_initialized")
            body[method] = abc.abstractmethod(namespace[method]) if required else namespace[method]
        base = abc.ABCMeta("StatLoggerBase", (), made["StatLoggerBase"])
        self.loggers.StatLoggerBase = base
        if "AggregateStatLoggerBase" in made:
            self.loggers.AggregateStatLoggerBase = abc.ABCMeta(
                "AggregateStatLoggerBase", (base,), made["AggregateStatLoggerBase"])

    @property
    def aggregates(self):
        return hasattr(self.loggers, "AggregateStatLoggerBase")

    def build(self, logger_class, config, ranks=(0,)):
        """What this version builds of a logger: one, or one for each rank."""
        assert issubclass(logger_class, self.loggers.StatLoggerBase)
        if self.aggregates and issubclass(logger_class, self.loggers.AggregateStatLoggerBase):
            return [logger_class(vllm_config=config, engine_indexes=list(ranks))] * len(ranks)
        return [logger_class(config, rank) for rank in ranks]

    def record(self, logger, scheduler_stats, iteration_stats, rank=0):
        """As this version calls it."""
        if number(self.version) < number("0.11.1"):
            logger.record(scheduler_stats, iteration_stats, rank)
        else:
            logger.record(scheduler_stats, iteration_stats, mm_cache_stats=None, engine_idx=rank)

    def scheduler(self, running=0, waiting=0, usage=0.0, queries=0, hits=0, **more):
        """SchedulerStats; what this version does not know is left out."""
        prefix = self.PrefixCacheStats(queries=queries, hits=hits)
        given = dict(num_running_reqs=running, num_waiting_reqs=waiting, kv_cache_usage=usage,
                     prefix_cache_stats=prefix, **more)
        return self.SchedulerStats(**{k: v for k, v in given.items() if k in self._shapes["SchedulerStats"]})

    def iteration(self, generated=0, prompt=0, cached=0, preempted=0, finished=(), first=(), decoded=(), **more):
        """IterationStats; what this version does not know is left out."""
        given = dict(num_generation_tokens=generated, num_prompt_tokens=prompt, num_preempted_reqs=preempted,
                     finished_requests=list(finished), time_to_first_tokens_iter=list(first),
                     inter_token_latencies_iter=list(decoded), time_per_output_tokens_iter=list(decoded), **more)
        if "PromptTokenStats" in self._shapes:
            given["prompt_token_stats"] = self.PromptTokenStats(
                total=prompt, computed=prompt - cached, cached_tokens=cached, local_cache_hit=cached)
        return self.IterationStats(**{k: v for k, v in given.items() if k in self._shapes["IterationStats"]})

    def request(self, reason=0, **times):
        """FinishedRequestStats."""
        return self.FinishedRequestStats(finish_reason=reason, **times)


def config(**given):
    """A VllmConfig as far as the plugin looks, by dotted path with `__` for a dot."""
    paths = {"model_config__served_model_name": "org/model", "cache_config__num_gpu_blocks": 96,
             "cache_config__block_size": 32, "scheduler_config__max_num_seqs": 16,
             "scheduler_config__max_num_batched_tokens": 512, "parallel_config__data_parallel_size": 1,
             "parallel_config___api_process_count": 1, "parallel_config___api_process_rank": 0,
             "lora_config": None, "kv_transfer_config": None, **given}
    root = types.SimpleNamespace()
    for path, value in paths.items():
        owner, _, name = path.partition("__")
        if not name:
            setattr(root, owner, value)
        else:
            if not hasattr(root, owner) or getattr(root, owner) is None:
                setattr(root, owner, types.SimpleNamespace())
            setattr(getattr(root, owner), name, value)
    return root


def installed(standin):
    """While this holds, `import vllm` finds the stand-in, and the plugin is new."""
    vllm = types.ModuleType("vllm")
    vllm.__version__ = standin.version
    v1, metrics = types.ModuleType("vllm.v1"), types.ModuleType("vllm.v1.metrics")
    vllm.v1, v1.metrics, metrics.loggers = v1, metrics, standin.loggers
    modules = {"vllm": vllm, "vllm.v1": v1, "vllm.v1.metrics": metrics,
               "vllm.v1.metrics.loggers": standin.loggers}
    patch = mock.patch.dict(sys.modules, modules)

    class Installed:
        def __enter__(self):
            patch.start()
            for name in [n for n in sys.modules if n.startswith("eagle_eye.vllm")]:
                del sys.modules[name]
            import eagle_eye.vllm
            return eagle_eye.vllm

        def __exit__(self, *_):
            reporter = sys.modules["eagle_eye.vllm.reporter"]
            for one in list(reporter._reporters.values()):
                one.close()
            patch.stop()

    return Installed()

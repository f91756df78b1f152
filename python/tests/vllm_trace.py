"""The recorded calls of a real engine, as objects of its version's shapes.

`captures/vllm_trace.jsonl.gz` has all 8,946 `record` calls of one run of
vLLM 0.32.0 on a CPU with a tiny random model. Its own metrics page, scraped at
call 6,835, is the truth that a test compares with.
"""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

TRACE = Path(__file__).resolve().parent / "captures" / "vllm_trace.jsonl.gz"

SCRAPED_AT = 6835
SCRAPED = {"generated_tokens": 35_276, "prompt_tokens": 214_235, "preemptions": 56, "finished": 882,
           "prefix_queries": 214_235, "prefix_hits": 60_288, "running": 10, "waiting": 20}
SCRAPED_KV_USAGE = 0.873684


def read():
    """(time in s, scheduler stats, iteration stats) of each call."""
    with gzip.open(TRACE, "rt", encoding="utf-8") as lines:
        defaults = json.loads(next(lines))["meta"]["defaults"]
        for line in lines:
            call = json.loads(line)
            yield call["mono"], *(
                thing(defaults[name], call.get(name, {})) for name in ("scheduler_stats", "iteration_stats"))


def thing(default, given):
    """An object with the default's attributes, as far as not given otherwise."""
    if given is None:
        return None
    values = {}
    for name, value in default.items():
        mine = given.get(name, value)
        nested = isinstance(value, dict) and value and name != "num_kv_fetch_reqs_by_stage"
        if nested and isinstance(mine, dict):
            mine = thing(value, mine)
        elif isinstance(mine, list):
            mine = [SimpleNamespace(**one) if isinstance(one, dict) else one for one in mine]
        values[name] = mine
    return SimpleNamespace(**values)

"""The shapes of vLLM's stat classes and calls, version by version, as data.

Written from what each release's own source says; `check.py` compares them
with that source where it is at hand. Only names and order of arguments
matter here, since the plugin reads nothing else.
"""

VERSIONS = ("0.10.0", "0.10.2", "0.11.0", "0.11.1", "0.12.0", "0.19.1", "0.20.0", "0.24.0", "0.26.0",
            "0.28.0", "0.32.0", "0.33.0")

FIRST = {
    "PrefixCacheStats": ["reset", "requests", "queries", "hits"],
    "SchedulerStats": ["num_running_reqs", "num_waiting_reqs", "kv_cache_usage", "prefix_cache_stats",
                       "spec_decoding_stats", "num_corrupted_reqs"],
    "FinishedRequestStats": ["finish_reason", "e2e_latency", "num_prompt_tokens", "num_generation_tokens",
                             "max_tokens_param", "queued_time", "prefill_time", "inference_time", "decode_time"],
    "IterationStats": ["iteration_timestamp", "num_generation_tokens", "num_prompt_tokens", "num_preempted_reqs",
                       "finished_requests", "max_num_generation_tokens_iter", "n_params_iter",
                       "time_to_first_tokens_iter", "time_per_output_tokens_iter",
                       "waiting_lora_adapters", "running_lora_adapters"],
    "SpecDecodingStats": ["num_spec_tokens", "num_drafts", "num_draft_tokens", "num_accepted_tokens",
                          "num_accepted_tokens_per_pos"],
    "PromptTokenStats": [],
    "SchedulerIterationDetails": [],
}

_DETAILS = ("iteration_index num_ctx_requests num_ctx_tokens num_generation_requests num_generation_tokens "
            "elapsed_ms num_encoder_inputs num_encoder_output_tokens is_dummy")

# (version, class, what came, what went)
CHANGES = (
    ("0.10.2", "SchedulerStats", "step_counter current_wave", ""),
    ("0.10.2", "IterationStats", "inter_token_latencies_iter", "time_per_output_tokens_iter"),
    ("0.11.0", "SchedulerStats", "kv_connector_stats", ""),
    ("0.11.0", "FinishedRequestStats", "mean_time_per_output_token", ""),
    ("0.11.1", "PrefixCacheStats", "preempted_requests preempted_queries preempted_hits", ""),
    ("0.11.1", "SchedulerStats", "connector_prefix_cache_stats waiting_lora_adapters running_lora_adapters",
     "num_corrupted_reqs"),
    ("0.11.1", "IterationStats", "num_corrupted_reqs", "waiting_lora_adapters running_lora_adapters"),
    ("0.11.1", "FinishedRequestStats", "is_corrupted", ""),
    ("0.12.0", "SchedulerStats", "kv_cache_eviction_events", ""),
    ("0.19.1", "SchedulerStats", "encoder_cache_usage cudagraph_stats perf_stats", ""),
    ("0.19.1", "FinishedRequestStats", "num_cached_tokens", ""),
    ("0.19.1", "PromptTokenStats", "ALL_SOURCES computed local_cache_hit external_kv_transfer cached_tokens "
     "recomputed_tokens total", ""),
    ("0.19.1", "IterationStats", "prompt_token_stats", "num_prompt_tokens"),
    ("0.20.0", "SchedulerStats", "num_skipped_waiting_reqs", "encoder_cache_usage"),
    ("0.20.0", "FinishedRequestStats", "request_id", ""),
    ("0.20.0", "PromptTokenStats", "", "recomputed_tokens"),
    ("0.24.0", "SpecDecodingStats", "num_draft_tokens_per_pos", ""),
    ("0.26.0", "SchedulerStats", "iteration_details", ""),
    ("0.26.0", "SchedulerIterationDetails", _DETAILS, ""),
    ("0.32.0", "SchedulerStats", "num_kv_fetch_reqs_by_stage ec_connector_stats", ""),
    ("0.32.0", "PrefixCacheStats", "hits_by_source", ""),
    ("0.32.0", "FinishedRequestStats", "num_preemptions", ""),
    ("0.32.0", "IterationStats", "num_watermarked_reqs num_watermark_skipped_reqs num_not_watermarked_reqs", ""),
    ("0.33.0", "IterationStats", "compute_nans_in_logits", ""),
)

_RECORD = "self scheduler_stats iteration_stats"
# (from version, class, method, arguments)
CALLS = (
    ("0.10.0", "StatLoggerBase", "__init__", "self vllm_config engine_index"),
    ("0.10.0", "StatLoggerBase", "record", f"{_RECORD} engine_idx"),
    ("0.11.1", "StatLoggerBase", "record", f"{_RECORD} mm_cache_stats engine_idx"),
    ("0.10.0", "StatLoggerBase", "log_engine_initialized", "self"),
    ("0.10.0", "StatLoggerBase", "log", "self"),
    ("0.11.1", "StatLoggerBase", "record_sleep_state", "self is_awake level"),
    ("0.11.1", "AggregateStatLoggerBase", "__init__", "self vllm_config engine_indexes"),
    ("0.32.0", "AggregateStatLoggerBase", "record_admission_rejection", "self reason"),
)


def number(version):
    return tuple(int(part) for part in version.split("."))


def shapes(version):
    """{class: [field]} of a version; a class without fields does not exist there."""
    found = {name: list(fields) for name, fields in FIRST.items()}
    for since, name, came, went in CHANGES:
        if number(since) <= number(version):
            gone = set(went.split())
            found[name] = [field for field in found[name] if field not in gone] + came.split()
    return {name: fields for name, fields in found.items() if fields}


def calls(version):
    """{(class, method): [argument]} of a version."""
    return {(owner, method): arguments.split() for since, owner, method, arguments in CALLS
            if number(since) <= number(version)}

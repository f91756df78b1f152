//! What each engine calls its numbers: name tables as data.
//!
//! A row says under which name, and with which label, an engine gives one of
//! our fields. Where several rows give the same field the earlier row wins, so
//! that a page may carry the names of two versions. A name is here only when
//! its number means what our field says; where an engine's unit changed
//! without its name changing, the row is missing on purpose and the field is
//! unknown.
//!
//! To add an engine: a table below and a line in [`FAMILIES`]. To add a number:
//! a row.

use crate::schema::Field;

/// What a number becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goes {
    /// A field of the step.
    To(Field),
    /// Prompt tokens that were computed and not found in a cache, cumulative:
    /// the prefill rate is made from it.
    Computed,
    /// 1 while the engine is awake, 0 while it sleeps.
    Awake,
    /// When the process started, seconds since 1970.
    Started,
}

impl Goes {
    /// Fields, then the other three.
    pub(super) const COUNT: usize = Field::ALL.len() + 3;

    pub(super) const fn at(self) -> usize {
        match self {
            Self::To(field) => field as usize,
            Self::Computed => Self::COUNT - 3,
            Self::Awake => Self::COUNT - 2,
            Self::Started => Self::COUNT - 1,
        }
    }

    /// The places of what holds for every rank of a page that does not say
    /// otherwise.
    pub(super) const OF_ALL: [usize; 5] = [
        Self::Started.at(),
        Self::To(Field::BlockSize).at(),
        Self::To(Field::KvBlocks).at(),
        Self::To(Field::MaxBatchedTokens).at(),
        Self::To(Field::MaxSequences).at(),
    ];
}

/// Where in a sample the number stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    Value,
    /// In a label, as configurations do.
    Label(&'static str),
}

/// What a row says about the page that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shows {
    /// Nothing: others use the name as well.
    Nothing,
    /// A model, unless another row shows one more surely.
    AModel,
    /// A rank of this engine.
    ARank,
}

/// One name of one engine.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Only samples with this label of this value.
    pub(super) when: Option<(&'static str, &'static str)>,
    pub(super) reads: Reads,
    pub(super) goes: Goes,
    /// Whether samples that differ in other labels are parts of a sum.
    pub(super) adds: bool,
    pub(super) shows: Shows,
}

impl Row {
    const fn new(name: &'static str, goes: Goes) -> Self {
        Self { name, when: None, reads: Reads::Value, goes, adds: false, shows: Shows::ARank }
    }

    const fn when(mut self, label: &'static str, value: &'static str) -> Self {
        self.when = Some((label, value));
        self
    }

    const fn sum(mut self) -> Self {
        self.adds = true;
        self
    }

    const fn shows(mut self, shows: Shows) -> Self {
        self.shows = shows;
        self
    }
}

const fn one(name: &'static str, field: Field) -> Row {
    Row::new(name, Goes::To(field))
}

const fn sum(name: &'static str, field: Field) -> Row {
    one(name, field).sum()
}

const fn config(name: &'static str, label: &'static str, field: Field) -> Row {
    let row = one(name, field).shows(Shows::Nothing);
    Row { reads: Reads::Label(label), ..row }
}

/// An engine's names.
#[derive(Debug)]
pub(super) struct Family {
    /// What people call the engine.
    pub(super) name: &'static str,
    /// The label that names the model; empty where there is none.
    pub(super) model_label: &'static str,
    /// The label that numbers data-parallel ranks; empty where there is none.
    pub(super) rank_label: &'static str,
    /// Whether its counters move while requests run, so that their differences
    /// are rates; those that move when a request ends give none.
    pub(super) rates: bool,
    /// How many different rows must be there before a page is believed to be
    /// this engine's: more than one where its names are anybody's.
    pub(super) rows_least: usize,
    pub(super) rows: &'static [Row],
}

/// Labels that tell apart reports of the same scheduler: they make no ranks,
/// and only the lowest of them counts. Bits of each in the order that decides.
pub(super) const DUPLICATES: &[(&str, u32)] =
    &[("pp_rank", 8), ("tp_rank", 12), ("moe_ep_rank", 12), ("pid", 22), ("priority", 8)];

/// Every engine that is known by its page.
pub(super) const FAMILIES: &[Family] = &[
    Family { name: "vllm", rank_label: "engine", rows: VLLM, ..KNOWN },
    Family { name: "sglang", rank_label: "dp_rank", rows: SGLANG, ..KNOWN },
    Family { name: "tensorrt-llm", rows: TENSORRT_LLM, ..KNOWN },
    Family { name: "triton", model_label: "model", rows: TRITON, ..KNOWN },
    Family { name: "tgi", model_label: "", rates: false, rows: TGI, ..KNOWN },
    Family { name: "llama.cpp", model_label: "", rows: LLAMA_CPP, ..KNOWN },
    Family { name: "lmdeploy", rank_label: "engine", rows: LMDEPLOY, ..KNOWN },
    Family { name: "mindie", rows: MINDIE, rows_least: 3, ..KNOWN },
];

const KNOWN: Family = Family {
    name: "",
    model_label: "model_name",
    rank_label: "",
    rates: true,
    rows_least: 1,
    rows: &[],
};

/// vLLM, V0 and V1. `gpu_prefix_cache_queries` of the versions before 0.9
/// counted blocks in some and tokens in others, and is not read; nor is
/// `lora_requests_info`, which has no engine label and so mixes ranks.
const VLLM: &[Row] = &[
    one("vllm:num_requests_running", Field::Running),
    one("vllm:num_requests_waiting_by_reason", Field::Waiting).when("reason", "capacity"),
    one("vllm:num_requests_waiting_by_reason", Field::Deferred).when("reason", "deferred"),
    one("vllm:num_requests_waiting", Field::Waiting),
    one("vllm:kv_cache_usage_perc", Field::KvUsage),
    one("vllm:gpu_cache_usage_perc", Field::KvUsage),
    one("vllm:prompt_tokens_total", Field::PromptTokens),
    one("vllm:generation_tokens_total", Field::GeneratedTokens),
    one("vllm:prompt_tokens_cached_total", Field::CachedTokens),
    Row::new("vllm:prompt_tokens_by_source_total", Goes::Computed).when("source", "local_compute"),
    one("vllm:prefix_cache_queries_total", Field::PrefixQueries),
    one("vllm:prefix_cache_hits_total", Field::PrefixHits),
    one("vllm:num_preemptions_total", Field::Preemptions),
    sum("vllm:admission_rejections_total", Field::Rejections),
    sum("vllm:request_success_total", Field::Finished),
    Row::new("vllm:engine_sleep_state", Goes::Awake).when("sleep_state", "awake"),
    config("vllm:cache_config_info", "num_gpu_blocks", Field::KvBlocks),
    config("vllm:cache_config_info", "block_size", Field::BlockSize),
    STARTED,
];

/// SGLang. Its counters of tokens and requests are the front end's and carry
/// no rank: with several ranks they are nobody's.
const SGLANG: &[Row] = &[
    one("sglang:num_running_reqs", Field::Running),
    one("sglang:num_queue_reqs", Field::Waiting),
    one("sglang:token_usage", Field::KvUsage),
    one("sglang:gen_throughput", Field::DecodeRate),
    one("sglang:prompt_tokens_total", Field::PromptTokens),
    one("sglang:generation_tokens_total", Field::GeneratedTokens),
    sum("sglang:cached_tokens_total", Field::CachedTokens),
    Row::new("sglang:realtime_tokens_total", Goes::Computed).when("mode", "prefill_compute"),
    one("sglang:num_requests_total", Field::Finished),
    one("sglang:num_pages", Field::KvBlocks).shows(Shows::Nothing),
    one("sglang:page_size", Field::BlockSize).shows(Shows::Nothing),
    config("sglang:cache_config_info", "num_pages", Field::KvBlocks),
    config("sglang:cache_config_info", "page_size", Field::BlockSize),
    STARTED,
];

/// TensorRT-LLM's own server (`trtllm-serve`, under `/prometheus/metrics`).
const TENSORRT_LLM: &[Row] = &[
    one("trtllm_num_requests_running", Field::Running),
    one("trtllm_num_requests_waiting", Field::Waiting),
    one("trtllm_kv_cache_utilization", Field::KvUsage),
    one("trtllm_kv_cache_max_blocks", Field::KvBlocks),
    one("trtllm_kv_cache_tokens_per_block", Field::BlockSize),
    one("trtllm_prompt_tokens_total", Field::PromptTokens),
    one("trtllm_generation_tokens_total", Field::GeneratedTokens),
    sum("trtllm_request_success_total", Field::Finished),
    STARTED,
];

/// Triton, with the TensorRT-LLM backend's numbers where it has that backend,
/// else with the pending requests that it counts for any model.
const TRITON: &[Row] = &[
    one("nv_trt_llm_request_metrics", Field::Running).when("request_type", "scheduled"),
    one("nv_trt_llm_request_metrics", Field::Waiting).when("request_type", "waiting"),
    one("nv_trt_llm_request_metrics", Field::MaxSequences).when("request_type", "max"),
    one("nv_trt_llm_kv_cache_block_metrics", Field::KvUsage).when(BLOCK_KIND, "fraction"),
    one("nv_trt_llm_kv_cache_block_metrics", Field::KvBlocks).when(BLOCK_KIND, "max"),
    one("nv_trt_llm_kv_cache_block_metrics", Field::BlockSize).when(BLOCK_KIND, "tokens_per"),
    one("nv_trt_llm_general_metrics", Field::Steps).when("general_type", "iteration_counter"),
    sum("nv_inference_pending_request_count", Field::Waiting).shows(Shows::AModel),
    sum("nv_inference_request_success", Field::Finished).shows(Shows::AModel),
];

const BLOCK_KIND: &str = "kv_cache_block_type";

/// Text Generation Inference. Its tokens are counted when a request ends.
const TGI: &[Row] = &[
    one("tgi_batch_current_size", Field::Running),
    one("tgi_queue_size", Field::Waiting),
    one("tgi_request_input_length_sum", Field::PromptTokens),
    one("tgi_request_generated_tokens_sum", Field::GeneratedTokens),
    sum("tgi_request_success", Field::Finished),
];

/// llama.cpp's server, started with `--metrics`. What it calls deferred waits
/// for a slot; its prompt tokens are those that it computed.
const LLAMA_CPP: &[Row] = &[
    one("llamacpp:requests_processing", Field::Running),
    one("llamacpp:requests_deferred", Field::Waiting),
    one("llamacpp:kv_cache_usage_ratio", Field::KvUsage),
    one("llamacpp:tokens_predicted_total", Field::GeneratedTokens),
    Row::new("llamacpp:prompt_tokens_total", Goes::Computed),
    one("llamacpp:n_decode_total", Field::Steps),
];

/// LMDeploy.
const LMDEPLOY: &[Row] = &[
    one("lmdeploy:num_requests_running", Field::Running),
    one("lmdeploy:num_requests_waiting", Field::Waiting),
    one("lmdeploy:gpu_cache_usage_perc", Field::KvUsage),
    one("lmdeploy:prompt_tokens_total", Field::PromptTokens),
    one("lmdeploy:generation_tokens_total", Field::GeneratedTokens),
    sum("lmdeploy:request_success_total", Field::Finished),
    STARTED,
];

/// MindIE. Its `npu_cache_usage_perc` is a share by its help and a percentage
/// in what servers say, and is not read.
const MINDIE: &[Row] = &[
    one("num_requests_running", Field::Running),
    one("num_requests_waiting", Field::Waiting),
    one("prompt_tokens_total", Field::PromptTokens),
    one("generation_tokens_total", Field::GeneratedTokens),
    one("num_preemptions_total", Field::Preemptions),
    sum("request_success_total", Field::Finished),
];

const STARTED: Row = Row::new("process_start_time_seconds", Goes::Started).shows(Shows::Nothing);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_each_goals_own() {
        let goals = Field::ALL.iter().map(|field| Goes::To(*field)).chain([
            Goes::Computed,
            Goes::Awake,
            Goes::Started,
        ]);
        assert!(goals.map(Goes::at).eq(0..Goes::COUNT));
        assert!(DUPLICATES.iter().map(|(_, bits)| bits).sum::<u32>() < 64);
    }

    #[test]
    fn no_row_stands_twice_and_none_is_a_bucket() {
        for family in FAMILIES {
            assert!(family.rows.len() < usize::from(u8::MAX), "{}", family.name);
            for (at, row) in family.rows.iter().enumerate() {
                assert!(!row.name.ends_with("_bucket"), "{}", row.name);
                let same = |other: &&Row| {
                    (other.name, other.when, other.reads) == (row.name, row.when, row.reads)
                };
                assert_eq!(family.rows.iter().filter(same).count(), 1, "{} {at}", row.name);
            }
        }
    }
}

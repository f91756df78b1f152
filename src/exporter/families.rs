//! Every family that is not a reading of the metric table: what its name
//! means.

use super::page::{Family, Kind};
use super::rank::Rank;
use crate::schema::{Field, SketchKind};

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, help }
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, help }
}

const fn histogram(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Histogram, help }
}

/// A family of ranks: what it says and where that stands in a step.
pub(super) struct OfRank {
    pub(super) family: Family,
    pub(super) value: fn(&Rank) -> Option<f64>,
}

macro_rules! of_rank {
    ($($kind:ident $name:literal $help:literal $value:expr;)*) => {
        /// Families with one series a rank, in the order of the page.
        pub(super) const OF_RANK: &[OfRank] = &[
            $(OfRank { family: $kind($name, $help), value: $value },)*
        ];
    };
}

const fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

of_rank! {
    gauge "engine_sample_age_seconds" "Time since the step that these numbers are of, by the node's own clock." |rank| Some(seconds(rank.age_ns));
    gauge "engine_silence_seconds" "Time since the last sign of life, be it a step or a heartbeat." |rank| Some(seconds(rank.silence_ns));
    counter "engine_steps_lost_total" "Steps that the engine made and that never came here." |rank| Some(rank.lost as f64);
    gauge "engine_requests_running" "Requests in the running batch." |rank| rank.step.value(Field::Running);
    gauge "engine_requests_waiting" "Requests admitted that wait for capacity." |rank| rank.step.value(Field::Waiting);
    gauge "engine_requests_deferred" "Requests that wait for something else, such as a KV transfer." |rank| rank.step.value(Field::Deferred);
    gauge "engine_oldest_wait_seconds" "Age of the oldest waiting request." |rank| Some(rank.step.value(Field::OldestWait)? / 1e3);
    gauge "engine_waiting_prompt_tokens" "Prompt tokens of waiting requests." |rank| rank.step.value(Field::WaitingTokens);
    gauge "engine_pending_prompt_tokens" "Prompt tokens of running requests that are not computed yet." |rank| rank.step.value(Field::PendingTokens);
    gauge "engine_sequences_limit" "Most requests that can run at once." |rank| rank.step.value(Field::MaxSequences);
    gauge "engine_batched_tokens_limit" "Most tokens in one step." |rank| rank.step.value(Field::MaxBatchedTokens);
    gauge "engine_kv_blocks" "KV-cache blocks in all." |rank| rank.step.value(Field::KvBlocks);
    gauge "engine_kv_block_tokens" "Tokens a KV block." |rank| rank.step.value(Field::BlockSize);
    gauge "engine_kv_usage_ratio" "Share of the KV cache in use, 0 to 1." |rank| rank.step.value(Field::KvUsage);
    gauge "engine_adapters_running" "Distinct adapters in the running batch." |rank| rank.step.value(Field::LoraRunning);
    gauge "engine_adapters_waiting" "Distinct adapters among the waiting only." |rank| rank.step.value(Field::LoraWaiting);
    gauge "engine_last_step_seconds" "Duration of the last step." |rank| Some(rank.step.value(Field::LastStep)? / 1e6);
    gauge "engine_prefill_tokens_per_second" "Prompt tokens computed a second, smoothed by the engine." |rank| rank.step.value(Field::PrefillRate);
    gauge "engine_decode_tokens_per_second" "Tokens generated a second, smoothed by the engine." |rank| rank.step.value(Field::DecodeRate);
    counter "engine_steps_total" "Scheduler iterations since the engine began." |rank| rank.step.value(Field::Steps);
    counter "engine_prompt_tokens_total" "Prompt tokens since the engine began." |rank| rank.step.value(Field::PromptTokens);
    counter "engine_generated_tokens_total" "Generated tokens since the engine began." |rank| rank.step.value(Field::GeneratedTokens);
    counter "engine_cached_tokens_total" "Prompt tokens served from a cache since the engine began." |rank| rank.step.value(Field::CachedTokens);
    counter "engine_prefix_queries_total" "Tokens looked up in the prefix cache since the engine began." |rank| rank.step.value(Field::PrefixQueries);
    counter "engine_prefix_hits_total" "Tokens found in the prefix cache since the engine began." |rank| rank.step.value(Field::PrefixHits);
    counter "engine_preemptions_total" "Requests preempted since the engine began." |rank| rank.step.value(Field::Preemptions);
    counter "engine_rejections_total" "Requests refused at admission since the engine began." |rank| rank.step.value(Field::Rejections);
    counter "engine_requests_finished_total" "Requests finished since the engine began." |rank| rank.step.value(Field::Finished);
}

pub(super) const ENGINE_INFO: Family = gauge(
    "engine_info",
    "1 for each engine: what it is and how it reports (source: plugin, scrape, direct or simulated).",
);
pub(super) const ENGINE_RANKS: Family =
    gauge("engine_ranks", "Data-parallel ranks that the engine says it has.");
pub(super) const FRESHNESS: Family = gauge(
    "engine_freshness",
    "1 for what the rank is, else 0: fresh, stale (missed its promise) or silent (missed three).",
);
pub(super) const ACTIVITY: Family = gauge(
    "engine_activity",
    "1 for what the rank does, else 0: unknown, busy, idle, asleep, draining or warming.",
);
pub(super) const FINISHED: Family = counter(
    "engine_requests_finished_by_reason_total",
    "Requests finished since the engine began, by the reason that it gives.",
);
pub(super) const ADAPTER_RUNNING: Family =
    gauge("engine_adapter_requests_running", "Requests with an adapter in the running batch.");
pub(super) const ADAPTER_WAITING: Family =
    gauge("engine_adapter_requests_waiting", "Requests with an adapter that wait.");
pub(super) const DRAFTS: Family =
    counter("engine_speculative_drafts_total", "Drafts made by speculative decoding.");
pub(super) const DRAFT_TOKENS: Family =
    counter("engine_speculative_draft_tokens_total", "Tokens in drafts.");
pub(super) const ACCEPTED_TOKENS: Family =
    counter("engine_speculative_accepted_tokens_total", "Tokens of drafts that were accepted.");
pub(super) const ACCEPTED_AT: Family = counter(
    "engine_speculative_accepted_by_position_total",
    "Tokens of drafts that were accepted, by their position in the draft.",
);
pub(super) const TRANSFERS: Family =
    counter("engine_kv_transfers_total", "Transfers of KV blocks made.");
pub(super) const TRANSFER_BYTES: Family =
    counter("engine_kv_transfer_bytes_total", "Bytes of KV blocks moved.");
pub(super) const TRANSFER_FAILURES: Family =
    counter("engine_kv_transfer_failures_total", "Transfers of KV blocks that failed.");
pub(super) const TRANSFER_SECONDS: Family =
    counter("engine_kv_transfer_seconds_total", "Time that transfers of KV blocks took.");

/// The family of a sketch's times.
pub(super) const fn of_sketch(kind: SketchKind) -> Family {
    match kind {
        SketchKind::Ttft => histogram(
            "engine_time_to_first_token_seconds",
            "Arrival of a request to its first token.",
        ),
        SketchKind::InterToken => {
            histogram("engine_inter_token_seconds", "Between two tokens of one request.")
        }
        SketchKind::Queue => {
            histogram("engine_queue_seconds", "Arrival of a request to its first computation.")
        }
        SketchKind::Prefill => histogram(
            "engine_prefill_seconds",
            "First computation of a request to its first token.",
        ),
        SketchKind::Decode => {
            histogram("engine_decode_seconds", "First token of a request to its last.")
        }
        SketchKind::EndToEnd => {
            histogram("engine_end_to_end_seconds", "Arrival of a request to its last token.")
        }
    }
}

pub(super) const DEVICE_INFO: Family = gauge(
    "device_info",
    "1 for each GPU, NPU or part of one: what it is. Join it by node and device.",
);
pub(super) const CONTAINER_INFO: Family =
    gauge("container_info", "1 for each container: its short name and its pod's UID.");
pub(super) const DEVICE_PROCESS: Family = gauge(
    "device_process_memory_bytes",
    "Device memory held by the processes of one container, or of none.",
);

pub(super) const AGENT_INFO: Family = gauge("agent_info", "1: which agent this is.");
pub(super) const AGENT_READY: Family =
    gauge("agent_ready", "1 while everything that is configured works, else 0 (/readyz says why).");
pub(super) const AGENT_UP: Family = gauge("agent_up_seconds", "Time since the agent began.");
pub(super) const NATS_CONNECTED: Family = gauge(
    "nats_connected",
    "1 while the connection to NATS carries, 0 while it does not; absent where none is configured.",
);
pub(super) const SAMPLER_SUCCESS: Family = gauge(
    "sampler_success",
    "1 while the sampler reads its source in time, 0 where it failed or stalls; absent where it is off or its source is not here.",
);
pub(super) const SAMPLER_AGE: Family =
    gauge("sampler_sample_age_seconds", "Time since the sampler's last finished round.");
pub(super) const SAMPLER_DURATION: Family =
    gauge("sampler_duration_seconds", "How long the sampler's last round took.");
pub(super) const SAMPLER_PERIOD: Family =
    gauge("sampler_period_seconds", "How often the sampler is to read its source.");
pub(super) const EVENTS: Family =
    counter("events_total", "Events stated on this node since the agent began.");
pub(super) const VERDICTS: Family =
    gauge("verdicts_open", "Verdicts that hold, by rule, severity and subject.");
pub(super) const VERDICT_SINCE: Family = gauge(
    "verdict_since_timestamp_seconds",
    "Since when the oldest open verdict of this rule about this subject holds.",
);
pub(super) const PAGE_SERIES: Family =
    gauge("exporter_series", "Series on this page, but for the three about itself.");
pub(super) const PAGE_REFUSED: Family =
    gauge("exporter_series_refused", "Series that this page has no room for.");
pub(super) const PAGE_BYTES: Family = gauge("exporter_page_bytes", "Length of this page.");

/// Every family that is no row of the metric table.
#[must_use]
pub fn families() -> Vec<Family> {
    let mut all: Vec<Family> = OF_RANK.iter().map(|of| of.family).collect();
    all.extend(SketchKind::ALL.map(of_sketch));
    all.extend([
        ENGINE_INFO,
        ENGINE_RANKS,
        FRESHNESS,
        ACTIVITY,
        FINISHED,
        ADAPTER_RUNNING,
        ADAPTER_WAITING,
        DRAFTS,
        DRAFT_TOKENS,
        ACCEPTED_TOKENS,
        ACCEPTED_AT,
        TRANSFERS,
        TRANSFER_BYTES,
        TRANSFER_FAILURES,
        TRANSFER_SECONDS,
        DEVICE_INFO,
        CONTAINER_INFO,
        DEVICE_PROCESS,
        AGENT_INFO,
        AGENT_READY,
        AGENT_UP,
        NATS_CONNECTED,
        SAMPLER_SUCCESS,
        SAMPLER_AGE,
        SAMPLER_DURATION,
        SAMPLER_PERIOD,
        EVENTS,
        VERDICTS,
        VERDICT_SINCE,
        PAGE_SERIES,
        PAGE_REFUSED,
        PAGE_BYTES,
    ]);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::METRICS;

    #[test]
    fn every_family_has_a_sentence_and_a_name_of_its_own() {
        let mut names: Vec<&str> = families().iter().map(|family| family.name).collect();
        names.extend(METRICS.iter().map(|row| row.name));
        for family in families() {
            assert!(family.help.ends_with('.'), "{}", family.name);
            let sum = family.name.ends_with("_total");
            assert_eq!(sum, family.kind == Kind::Counter, "{}", family.name);
        }
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "a name stands twice");
    }
}

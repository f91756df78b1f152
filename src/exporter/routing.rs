//! The small page for routers that pull: the families that gateway endpoint
//! pickers read, under vLLM's names, for as many engines as are asked for.
//!
//! A picker takes one series of each family and believes it to be of the
//! moment when it asked. So there is nothing else on the page, every answer is
//! made when it is asked for, and a rank that broke its promise three times is
//! not on it: no number is better than an old one under a new time.
//!
//! vLLM's `engine` label is the data-parallel rank, and each of its pages is
//! of one instance. A node has several, so the instance stands in a label of
//! its own, which pickers pass over, and `?engine=` (with `&rank=`) asks for
//! the one that a picker means by this endpoint. Engines stand in the order of
//! their names, ranks in that of their numbers.

use bytes::BytesMut;

use super::details::Said;
use super::form::Form;
use super::limits::{ROUTING_BYTES_MAX, ROUTING_NAME_BYTES_MAX, VALUE_BYTES_MAX};
use super::page::{Family, Kind, Page, label};
use super::rank::{Placed, Ranks, engine_name};
use crate::schema::{Field, Freshness};

/// Which engines a picker asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The engine's name or endpoint; none for all.
    pub engine: Option<String>,
    /// One of its ranks; none for all.
    pub rank: Option<u16>,
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, help }
}

const LORA: Family = gauge("lora_requests_info", "Adapters running and waiting, at a time.");
const CACHE: Family = gauge("cache_config_info", "Size of the KV cache.");

/// A rank of the page, with the engine's name and endpoint.
struct Listed<'a> {
    placed: &'a Placed,
    labels: String,
}

/// Writes what was asked for, at this wall-clock time, ns since 1970.
pub(super) fn write(
    bytes: BytesMut,
    ranks: &Ranks,
    said: &Said,
    wanted: &Wanted,
    wall_ns: u64,
) -> BytesMut {
    let listed: Vec<Listed<'_>> =
        ranks.all().iter().filter_map(|of| list(of, ranks, wanted)).collect();
    let mut page = Page::new(bytes, Form::Classic);
    page.prefixed("vllm:");
    for (family, field) in [
        (gauge("num_requests_running", "Requests in the running batch."), Field::Running),
        (gauge("num_requests_waiting", "Requests that wait."), Field::Waiting),
        (gauge("kv_cache_usage_perc", "Share of the KV cache in use, 0 to 1."), Field::KvUsage),
    ] {
        page.family(family);
        for Listed { placed, labels } in &listed {
            let step = &placed.rank.step;
            // vLLM counts what waits for a transfer among the waiting.
            let deferred = match field {
                Field::Waiting => step.value(Field::Deferred).unwrap_or(0.0),
                _ => 0.0,
            };
            if let Some(value) = step.value(field) {
                page.series(labels, &[], value + deferred);
            }
        }
    }
    page.family(LORA);
    listed.iter().for_each(|of| write_adapters(&mut page, of, said, wall_ns));
    page.family(CACHE);
    listed.iter().for_each(|of| write_cache(&mut page, of));
    page.finish()
}

fn list<'a>(placed: &'a Placed, ranks: &Ranks, wanted: &Wanted) -> Option<Listed<'a>> {
    let step = &placed.rank.step;
    let engine = ranks.engine(step.instance);
    let name = engine_name(engine, step.instance);
    let endpoint = engine.map_or("", |engine| &engine.endpoint);
    let meant = wanted.engine.as_ref().is_none_or(|engine| *engine == name || engine == endpoint);
    let of_rank = wanted.rank.is_none_or(|rank| rank == step.rank);
    let fresh = matches!(placed.rank.freshness, Freshness::Fresh | Freshness::Stale);
    if !(meant && of_rank && fresh) {
        return None;
    }
    let model = engine.map_or("", |engine| cut(&engine.model));
    // Two long names may begin alike.
    let instance = match cut(&name) {
        whole if whole.len() == name.len() => name,
        begin => format!("{}~{:016x}", &begin[..begin.floor_char_boundary(48)], step.instance),
    };
    let mut labels = String::new();
    label(&mut labels, "model_name", model);
    label(&mut labels, "engine", &step.rank.to_string());
    label(&mut labels, "instance_name", &instance);
    Some(Listed { placed, labels })
}

/// As much of a name as takes no more room than there is, written.
fn cut(name: &str) -> &str {
    let mut bytes = 0;
    let end = name.char_indices().find(|(_, c)| {
        bytes += c.len_utf8() + usize::from(must_escape(*c));
        bytes > ROUTING_NAME_BYTES_MAX
    });
    end.map_or(name, |(at, _)| &name[..at])
}

const fn must_escape(c: char) -> bool {
    matches!(c, '"' | '\\' | '\n')
}

/// The names in one label, as vLLM has them; most loaded first where they do
/// not all fit.
fn write_adapters(page: &mut Page, listed: &Listed<'_>, said: &Said, wall_ns: u64) {
    let adapters = said.adapters(listed.placed);
    if adapters.is_empty() {
        return;
    }
    let others = HEAD_BYTES + 5 * (listed.labels.len() + SERIES_BYTES);
    let bytes_max = (ROUTING_BYTES_MAX.saturating_sub(others) / 2).min(VALUE_BYTES_MAX);
    let names = |load: fn(&(u64, u64)) -> u64| {
        let mut some: Vec<_> = adapters.iter().filter(|(_, of)| load(of) > 0).collect();
        some.sort_by_key(|(_, of)| std::cmp::Reverse(load(of)));
        let mut text = String::new();
        for (name, _) in some {
            // A comma in a name would make two of it.
            let plain = !name.contains(|c| c == ',' || must_escape(c));
            if !plain || text.len() + name.len() + 1 > bytes_max {
                continue;
            }
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(name);
        }
        text
    };
    let (running, waiting) = (names(|of| of.0), names(|of| of.1));
    let more = [("running_lora_adapters", &*running), ("waiting_lora_adapters", &*waiting)];
    page.series(&listed.labels, &more, (wall_ns / 1_000_000) as f64 / 1e3);
}

/// Bytes of the headers of all five families.
const HEAD_BYTES: usize = 500;

/// Bytes of a series but for the labels that all have in common, on average.
const SERIES_BYTES: usize = 62;

fn write_cache(page: &mut Page, listed: &Listed<'_>) {
    let step = &listed.placed.rank.step;
    let (blocks, size) = (step.value(Field::KvBlocks), step.value(Field::BlockSize));
    if let (Some(blocks), Some(size)) = (blocks, size) {
        let (blocks, size) = (blocks.to_string(), size.to_string());
        let more = [("block_size", &*size), ("num_gpu_blocks", &*blocks)];
        page.series(&listed.labels, &more, 1.0);
    }
}

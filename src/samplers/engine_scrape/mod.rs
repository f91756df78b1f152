//! Engines that can load no plugin, by the page that they have for Prometheus.
//!
//! One thread reads every page, each at its own beat, over sockets that never
//! wait: an engine that dribbles costs itself its page and nobody else a
//! millisecond. A page becomes steps as a plugin would push them, flagged as
//! scraped, timed when the answer came, with the error that asking cost. What a
//! page does not say stays unknown; nothing is guessed from nothing.
//!
//! It reads seldom on purpose: an engine makes its page on the loop that serves
//! its requests, and a large one takes it tens of milliseconds. It asks no more
//! than one page at a time of any engine, follows no redirect, and sends a
//! token only where the configuration says. A port of this host that nobody
//! named is asked a few times at most and with growing pauses (`probes.rs` says
//! when, and which never), and none of another host. An engine that reports
//! itself is left alone.
//!
//! **Trust.** A page is believed as far as its numbers can be. Whoever may
//! listen on this host may call himself an engine, under his port's name; where
//! that matters, `discover` is false and the endpoints are listed.
//!
//! **Cost.** About 20 KiB an engine for what arrives and 650 bytes a rank; pages
//! are not kept. Reading one allocates nothing; the HTTP library allocates a
//! request and a head each time. Not spoken: TLS, HTTP/2, compression.

mod endpoint;
mod engines;
pub mod exposition;
mod fetch;
mod listeners;
mod needs;
mod page;
mod probes;
mod pushed;
mod resolve;
mod scrape;
mod settings;
mod tables;
mod target;
mod token;

#[cfg(test)]
mod tests;

use super::{Context, Entry, Opened, Settings};
use crate::schema::MetricId;

pub use listeners::{LISTENERS_MAX, Listener, parse as parse_listeners};
pub use page::{CELLS_MAX, MODELS_MAX, Page, PageRank, Said, Unread};
pub use tables::Goes;

/// What the family knows of this sampler.
pub static ENTRY: Entry = Entry {
    name: "engine_scrape",
    summary: "Steps of engines that can load no plugin, from their metrics pages: vLLM, SGLang, TensorRT-LLM, Triton, TGI, llama.cpp, LMDeploy, MindIE.",
    source: "http://…/metrics of configured engines and of listening ports of this host (/proc/net/tcp)",
    period_ms: 1000,
    steps: true,
    metrics: METRICS,
    settings: settings::SETTINGS,
    open,
    needs: needs::needs,
};

const METRICS: &[MetricId] = &[
    MetricId::ScrapeDuration,
    MetricId::ScrapeBytes,
    MetricId::ScrapeSamples,
    MetricId::ScrapeAge,
    MetricId::ScrapePages,
    MetricId::ScrapeUnconnected,
    MetricId::ScrapeLate,
    MetricId::ScrapeRefused,
    MetricId::ScrapeCut,
    MetricId::ScrapeUnread,
    MetricId::ScrapeRestarts,
    MetricId::ScrapeSamplesRefused,
    MetricId::ScrapePaused,
];

fn open(context: &Context, settings: &Settings) -> Opened {
    let plan = match settings::Plan::from_settings(settings) {
        Ok(plan) => plan,
        Err(sentence) => return Opened::Failed(sentence),
    };
    if plan.endpoints.is_empty() && !plan.discover {
        return Opened::NotHere(
            "no endpoint is configured and discover is false: there is nothing to read".to_owned(),
        );
    }
    Opened::Ready(Box::new(scrape::EngineScrape::open(context, plan)))
}

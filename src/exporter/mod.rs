//! Writes the newest values as Prometheus text.
//!
//! A page is made when it is asked for, from the tables of newest values and
//! from counts that their owners keep: what is gone is not on it, and nothing
//! is pushed here by a sampler or an engine. Those who ask at once share one
//! rendering; nobody who samples or routes waits for it.
//!
//! There is no registry of metrics. The agent's own counters are atomics that
//! their rooms keep, read here like everything else: a registry would hold a
//! second copy of each, to be pushed to at the places that must not wait, and
//! the usual one grows by 16 bytes a histogram sample until its upkeep runs.
//!
//! The room reads no clock and opens no socket: `web` brings the time and
//! carries the bytes.

mod dcgm;
mod details;
mod devices;
mod engines;
mod families;
mod form;
mod histogram;
mod limits;
mod ours;
mod page;
mod rank;
mod readings;
mod routing;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};

use crate::newest::{Names, ReadingTableView, StepTableView};
use crate::schema::Verdict;

use details::Said;
use devices::Devices;
use families::{PAGE_BYTES, PAGE_REFUSED, PAGE_SERIES};
use page::{Page, label};
use rank::Ranks;
use readings::{Faults, Newest};

pub use families::families;
pub use form::Form;
pub use limits::{PAGE_BYTES_MAX, ROUTING_BYTES_MAX, SHARED_NS, VALUE_BYTES_MAX};
pub use ours::{EventCount, Health, LossCount, SamplerHealth};
pub use page::{Family, Kind, PREFIX};
pub use rank::{Merge, Rank};
pub use readings::family_of;
pub use routing::Wanted;

/// What pages are made of. Nothing here may wait.
pub struct Sources {
    /// The newest step of every front end of every rank.
    pub steps: StepTableView,
    /// The newest readings.
    pub readings: ReadingTableView,
    /// Engines and devices by name.
    pub names: Names,
    /// Puts the front ends of a rank together.
    pub merge: Merge,
    /// How the agent is.
    pub health: Box<dyn Fn() -> Health + Send + Sync>,
    /// The verdicts that hold.
    pub verdicts: Box<dyn Fn() -> Vec<Verdict> + Send + Sync>,
}

/// What can be set.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// Whether NVIDIA's GPUs appear under DCGM's names too.
    pub dcgm_names: bool,
    /// The longest period of any sampler, ns.
    pub period_ns_max: u64,
}

/// Makes pages, for whoever asks.
pub struct Exporter {
    sources: Sources,
    settings: Settings,
    kept: Mutex<Kept>,
}

/// What is kept from one page to the next: the memory it was made in, and for
/// a moment the page itself.
#[derive(Debug, Default)]
struct Kept {
    ranks: Ranks,
    said: Said,
    devices: Devices,
    newest: Newest,
    pages: [Made; 2],
    routing: BytesMut,
}

#[derive(Debug, Default)]
struct Made {
    memory: BytesMut,
    page: Bytes,
    at_ns: Option<u64>,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Exporter {
    /// An exporter of these sources.
    #[must_use]
    pub fn new(sources: Sources, settings: Settings) -> Self {
        Self { sources, settings, kept: Mutex::default() }
    }

    /// The page of everything at this time of the host's `CLOCK_MONOTONIC`, ns;
    /// one made less than [`SHARED_NS`] ago is given again.
    #[must_use]
    pub fn metrics(&self, form: Form, now_ns: u64) -> Bytes {
        let kept = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let made = &kept.pages[form as usize];
        if made.at_ns.is_some_and(|at_ns| now_ns.saturating_sub(at_ns) < SHARED_NS) {
            return made.page.clone();
        }
        // Where nobody still reads the last page, its memory is used again.
        kept.pages[form as usize].page = Bytes::new();
        let memory = std::mem::take(&mut kept.pages[form as usize].memory);
        let mut memory = self.render(kept, memory, form, now_ns);
        let page = memory.split().freeze();
        kept.pages[form as usize] = Made { memory, page: page.clone(), at_ns: Some(now_ns) };
        page
    }

    /// The small page for routers that pull, always made anew; `wall_ns` since
    /// 1970 is the time that adapters are said to be of.
    #[must_use]
    pub fn routing(&self, wanted: &Wanted, now_ns: u64, wall_ns: u64) -> Bytes {
        let kept = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.ranks.read(&self.sources, now_ns);
        kept.said.read(&self.sources.names, kept.ranks.all());
        let memory = std::mem::take(&mut kept.routing);
        kept.routing = routing::write(memory, &kept.ranks, &kept.said, wanted, wall_ns);
        kept.routing.split().freeze()
    }

    fn render(&self, kept: &mut Kept, memory: BytesMut, form: Form, now_ns: u64) -> BytesMut {
        let Kept { ranks, said, devices, newest, .. } = kept;
        let (sources, node) = (&self.sources, self.sources.names.node());
        ranks.read(sources, now_ns);
        said.read(&sources.names, ranks.all());
        devices.read(&sources.names);
        newest.read(sources, &self.settings, devices, now_ns);
        let mut page = Page::new(memory, form);
        page.section(limits::OWN_SERIES_MAX);
        ours::write_health(&mut page, &(sources.health)(), node);
        page.section(limits::VERDICT_SERIES_MAX);
        let verdicts = (sources.verdicts)();
        ours::write_verdicts(&mut page, &verdicts, node);
        page.section(limits::ENGINE_SERIES_MAX);
        engines::write(&mut page, ranks, node);
        said.write(&mut page, ranks.all());
        page.section(limits::READING_SERIES_MAX);
        devices.write(&mut page, node);
        newest.write(&mut page, devices, &Faults::of(&verdicts));
        if self.settings.dcgm_names {
            page.section(limits::ALIAS_SERIES_MAX);
            dcgm::write(&mut page, devices, newest, node);
        }
        write_size(&mut page, node);
        page.finish()
    }
}

/// How large the page is, and what it had no room for.
fn write_size(page: &mut Page, node: &str) {
    let mut labels = String::new();
    label(&mut labels, "node", node);
    let ((series, refused), bytes) = (page.counts(), page.len());
    page.section(3);
    for (family, value) in [(PAGE_SERIES, series), (PAGE_REFUSED, refused), (PAGE_BYTES, bytes)] {
        page.family(family);
        page.series(&labels, &[], value as f64);
    }
}

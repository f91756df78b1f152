//! One page that is read again and again: when, what came of it, and what is
//! said about that.

use std::net::SocketAddr;

use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use crate::schema::{Device, EventKind, MetricId, Severity};

use super::super::Outlet;
use super::super::cgroup::ContainerPath;
use super::endpoint::{Endpoint, is_own};
use super::engines::{Engines, GONE_NS, When};
use super::fetch::{Answer, Failure, Fetch};
use super::listeners::Listener;
use super::page::{Page, Unread};
use super::pushed::Whose;

/// Failures in a row after which an engine is called gone.
const FAILURES_GONE: u32 = 5;

/// The longest pause between two tries of a page that fails, unless the period
/// is longer.
const PAUSE_NS_MAX: u64 = 30 * SECOND_NS;

/// What kind of device a page is.
const DEVICE_KIND: &str = "scrape";

/// How a page came to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The configuration lists it.
    Configured,
    /// It was found on this port.
    Found(Listener),
}

/// One page.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    pub(super) origin: Origin,
    /// Nothing while its name has no address.
    pub(super) address: Option<SocketAddr>,
    /// Who listens there; 0 where unknown.
    process: u32,
    /// Its parent, as far as known.
    parent: u32,
    /// Whether it should be looked who listens there.
    pub(super) seeks_owner: bool,
    pub(super) own: bool,
    pub(super) uri: String,
    pub(super) page: Page,
    pub(super) fetch: Option<Fetch>,
    /// Kept between fetches.
    pub(super) input: Vec<u8>,
    /// Whether it is read before the next round.
    urgent: bool,
    /// Rounds to leave out.
    rests: u64,
    name: String,
    engines: Engines,
    device: Option<u32>,
    failures: u32,
    /// When the engine was called gone; 0 while it is not.
    gone_ns: u64,
    /// Since when there is no page.
    good_ns: u64,
    /// What was last said to be wrong.
    told: Option<Failure>,
    paused: bool,
    counts: Counts,
}

/// What happened so far.
#[derive(Debug, Default)]
struct Counts {
    pages: u64,
    connect: u64,
    late: u64,
    refused: u64,
    cut: u64,
    unread: u64,
    restarts: u64,
    samples_refused: u64,
}

/// What a page promises: how often it is read, and how long that may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) period_ns: u64,
    pub(super) timeout_ns: u64,
}

impl Target {
    /// A page that was not read yet.
    pub(super) fn new(endpoint: Endpoint, origin: Origin, node: &str, now_ns: u64) -> Self {
        let dialled = endpoint.dialled(node);
        let name = match endpoint.name.as_str() {
            "" => dialled.clone(),
            name => name.to_owned(),
        };
        let address = endpoint.address();
        Self {
            origin,
            address,
            process: 0,
            parent: 0,
            seeks_owner: true,
            own: address.is_some_and(|address| is_own(address.ip())),
            uri: endpoint.uri(),
            page: Page::default(),
            fetch: None,
            input: Vec::new(),
            urgent: true,
            rests: 0,
            engines: Engines::new(&name, &format!("http://{dialled}")),
            name,
            endpoint,
            device: None,
            failures: 0,
            gone_ns: 0,
            good_ns: now_ns,
            told: None,
            paused: false,
            counts: Counts::default(),
        }
    }

    /// Takes in the address of its name.
    pub(super) fn resolved(&mut self, address: SocketAddr) {
        self.own = is_own(address.ip());
        self.address = Some(address);
        (self.urgent, self.rests) = (true, 0);
    }

    /// Whether it is to be read now, and counts this round.
    pub(super) fn is_due(&mut self, round: bool) -> bool {
        if self.fetch.is_some() || self.paused {
            return false;
        }
        if std::mem::take(&mut self.urgent) {
            return true;
        }
        let rests = self.rests > 0;
        self.rests = self.rests.saturating_sub(u64::from(round));
        round && !rests
    }

    pub(super) fn whose(&self) -> Whose<'_> {
        Whose {
            endpoint: &self.endpoint,
            own: self.own,
            process: self.process,
            parent: self.parent,
        }
    }

    /// Takes in who listens there, and in which container.
    pub(super) fn owned_by(
        &mut self,
        process: u32,
        parent: u32,
        home: ContainerPath,
        outlet: &mut Outlet,
    ) {
        self.seeks_owner = false;
        (self.process, self.parent) = (process, parent);
        self.engines.owned_by(process, home, outlet);
    }

    /// Leaves the page alone, or reads it again. Its engine reports itself:
    /// nothing of ours stays beside that.
    pub(super) fn pause(&mut self, paused: bool, now_ns: u64, outlet: &mut Outlet) {
        if self.paused == paused {
            return;
        }
        self.paused = paused;
        self.drop_fetch();
        self.engines.forget(outlet);
        (self.failures, self.gone_ns, self.told) = (0, 0, None);
        (self.rests, self.good_ns) = (0, now_ns);
        self.read(MetricId::ScrapePaused, now_ns, u64::from(paused) as f64, outlet);
    }

    /// Takes in a page that was read to its end.
    pub(super) fn done(&mut self, answer: Answer, pace: Pace, outlet: &mut Outlet) {
        let now_ns = clock::monotonic_ns();
        self.drop_fetch();
        let said = match self.page.end() {
            Ok(said) => said,
            Err(Unread::Lines) => return self.failed(Failure::Lines, pace, outlet),
            Err(Unread::NoEngine) => return self.failed(Failure::NoEngine, pace, outlet),
        };
        let when = When {
            came_ns: answer.came_ns,
            error_ns: answer.came_ns.saturating_sub(answer.asked_ns),
            wall_ns: clock::wall_ns().saturating_sub(now_ns.saturating_sub(answer.came_ns)),
            ttl_ms: u32::try_from((pace.period_ns + pace.timeout_ns) / MILLISECOND_NS)
                .unwrap_or(u32::MAX),
        };
        let (samples, refused) = (said.samples, said.refused);
        let was_gone = std::mem::take(&mut self.gone_ns) != 0;
        let changes = self.engines.take(&said, when, self.process, outlet);
        if was_gone && changes.restarted + changes.appeared == 0 {
            self.engines.back(outlet);
        }
        if changes.restarted > 0 || was_gone {
            self.seeks_owner = true;
        }
        (self.failures, self.told, self.good_ns) = (0, None, now_ns);
        self.counts.pages += 1;
        self.counts.restarts += u64::from(changes.restarted);
        self.counts.samples_refused += u64::from(refused);
        let took_ns = now_ns.saturating_sub(answer.asked_ns);
        for (metric, value) in [
            (MetricId::ScrapeDuration, took_ns as f64 / 1e9),
            (MetricId::ScrapeBytes, answer.page_bytes as f64),
            (MetricId::ScrapeSamples, f64::from(samples)),
        ] {
            self.read(metric, answer.came_ns, value, outlet);
        }
        self.tell_counts(now_ns, outlet);
    }

    /// Takes in that there is no page this time.
    pub(super) fn failed(&mut self, why: Failure, pace: Pace, outlet: &mut Outlet) {
        let now_ns = clock::monotonic_ns();
        self.drop_fetch();
        self.failures = self.failures.saturating_add(1);
        *self.counts.of(why) += 1;
        if why == Failure::Late || matches!(why, Failure::Connect(_)) {
            // The name may stand for another address by now.
            self.address = self.endpoint.address().or(self.address.filter(|_| self.failures < 3));
        }
        self.tell(why, outlet);
        if self.failures == FAILURES_GONE {
            self.gone_ns = now_ns;
            self.engines.gone(&why.says(), outlet);
        }
        if self.gone_ns != 0 && now_ns.saturating_sub(self.gone_ns) > GONE_NS {
            self.engines.forget(outlet);
        }
        let beyond = self.failures.saturating_sub(FAILURES_GONE).min(16);
        self.rests = ((1 << beyond) - 1).min(PAUSE_NS_MAX / pace.period_ns.max(1));
        self.tell_counts(now_ns, outlet);
    }

    /// Whether a page that was found is lost for good.
    pub(super) fn is_lost(&self) -> bool {
        self.origin != Origin::Configured
            && self.failures > FAILURES_GONE
            && self.engines.is_empty()
            && !self.paused
    }

    /// Forgets everything that it put anywhere.
    pub(super) fn forget(&mut self, outlet: &mut Outlet) {
        self.engines.forget(outlet);
        if let Some(device) = self.device.take() {
            outlet.forget_device(device);
        }
    }

    /// Says once what is wrong with an endpoint of the configuration, or what
    /// an engine answers instead of its page.
    fn tell(&mut self, why: Failure, outlet: &mut Outlet) {
        let is_refusal = !matches!(why, Failure::Connect(_) | Failure::Late | Failure::Cut);
        let is_time = is_refusal || self.failures == FAILURES_GONE;
        if self.told == Some(why) || !is_time || !(is_refusal || self.engines.is_empty()) {
            return;
        }
        self.told = Some(why);
        let kind = match is_refusal {
            true => EventKind::RecordRejected,
            false => EventKind::SourceHangs,
        };
        let text = format!("{} gives no page: {}", self.uri, why.says());
        outlet.event(kind, Severity::Warning, &self.name, text);
    }

    fn tell_counts(&mut self, now_ns: u64, outlet: &mut Outlet) {
        let age_ns = now_ns.saturating_sub(self.good_ns);
        let counts = &self.counts;
        for (metric, value) in [
            (MetricId::ScrapeAge, age_ns as f64 / 1e9),
            (MetricId::ScrapePages, counts.pages as f64),
            (MetricId::ScrapeUnconnected, counts.connect as f64),
            (MetricId::ScrapeLate, counts.late as f64),
            (MetricId::ScrapeRefused, counts.refused as f64),
            (MetricId::ScrapeCut, counts.cut as f64),
            (MetricId::ScrapeUnread, counts.unread as f64),
            (MetricId::ScrapeRestarts, counts.restarts as f64),
            (MetricId::ScrapeSamplesRefused, counts.samples_refused as f64),
        ] {
            self.read(metric, now_ns, value, outlet);
        }
    }

    fn read(&mut self, metric: MetricId, time_ns: u64, value: f64, outlet: &mut Outlet) {
        if self.device.is_none() {
            self.device = outlet.register(DEVICE_KIND, &self.name);
            if let Some(index) = self.device {
                let (name, kind) = (self.name.clone(), DEVICE_KIND.to_owned());
                outlet.describe(Device { index, name, kind, ..Device::default() });
            }
        }
        if let Some(device) = self.device {
            outlet.reading(device, metric, time_ns, value);
        }
    }

    fn drop_fetch(&mut self) {
        if let Some(fetch) = self.fetch.take() {
            self.input = fetch.into_input();
        }
    }
}

impl Counts {
    fn of(&mut self, why: Failure) -> &mut u64 {
        match why {
            Failure::Unresolved | Failure::Connect(_) => &mut self.connect,
            Failure::Late => &mut self.late,
            Failure::Cut => &mut self.cut,
            Failure::Status(_) | Failure::Redirect(_) | Failure::NotHttp | Failure::Encoded => {
                &mut self.refused
            }
            Failure::Bytes | Failure::Lines | Failure::NoEngine => &mut self.unread,
        }
    }
}

//! Sends what was recorded again, marked, under the subjects of old.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::platform::clock::{self, MILLISECOND_NS, SECOND_NS};
use crate::platform::thread::Stop;
use crate::recorder::{Moment, What};
use crate::schema::{BatchHead, BatchView, raise_flags, subject_token};
use crate::transports::nats::{NatsPublisher, NatsSettings, PublisherHooks};

/// Batches that wait at most: far below where the publisher would put newer
/// state in the place of what waits.
const WAITING_MAX: u64 = (super::TAKER_QUEUE_MAX / 2) as u64;

/// How long the server may be away, or behind.
const PATIENCE_NS: u64 = 10 * SECOND_NS;

/// How long what waits at the end may take.
const LEAVE: Duration = Duration::from_secs(5);

/// Names that are remembered.
const NAMES_MAX: usize = 1 << 16;

/// What became of batches that were sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// All of them.
    pub batches: u64,
    /// Of those, lost between here and the network.
    pub lost: u64,
}

/// Sends recorded batches again.
///
/// Each carries [`BatchHead::REPLAY`]. Subjects are those of the agent that
/// was recorded, under another prefix, so that nobody takes what was for what
/// is unless he asks for it.
#[derive(Debug)]
pub struct Resend {
    publisher: NatsPublisher,
    prefix: String,
    nodes: HashMap<u64, String>,
    models: HashMap<u64, String>,
    batches: u64,
    /// Batches that a publisher which fell behind has thrown away.
    thrown: u64,
}

impl Resend {
    /// Connects to servers, joined by commas.
    ///
    /// # Errors
    ///
    /// A sentence, when none of them answers in time or the settings cannot be.
    pub fn start(urls: &str, prefix: &str, stop: &Stop) -> Result<Self, String> {
        let settings = NatsSettings {
            name: "eagle-eye replay".to_owned(),
            queue_batches: super::TAKER_QUEUE_MAX,
            ..NatsSettings::with_urls(urls.split(',').map(str::trim))
        };
        // There is no newer state than what is played.
        let hooks = PublisherHooks {
            full_state: Box::new(|_, _| Vec::new()),
            answers: Vec::new(),
            aside: None,
        };
        let publisher =
            NatsPublisher::start(settings, hooks, None).map_err(|error| error.to_string())?;
        let resend = Self {
            publisher,
            prefix: prefix.to_owned(),
            nodes: HashMap::new(),
            models: HashMap::new(),
            batches: 0,
            thrown: 0,
        };
        resend.wait(stop, |resend| resend.publisher.outlet().generation().is_some())?;
        Ok(resend)
    }

    /// Sends a moment's batch; of others there is nothing to send.
    ///
    /// # Errors
    ///
    /// A sentence, when the server is away or behind for long.
    pub fn send(&mut self, moment: &Moment<'_>, stop: &Stop) -> Result<(), String> {
        if !matches!(moment.what, What::Known | What::Batch) {
            return Ok(());
        }
        let Some(batch) = moment.batch() else { return Ok(()) };
        self.learn(&batch);
        let subject = self.subject(&batch);
        let records = (batch.steps().len() + batch.readings().len()) as u32;
        let mut bytes = moment.bytes().to_vec();
        if raise_flags(&mut bytes, BatchHead::REPLAY).is_err() {
            return Ok(());
        }
        if let Err(why) = self.wait(stop, |resend| resend.waiting() < WAITING_MAX) {
            // On a connection that stands, what nobody sends is not there.
            if stop.is_raised() || self.publisher.outlet().generation().is_none() {
                return Err(why);
            }
            self.thrown += self.waiting();
        }
        self.batches += 1;
        self.publisher.offer(&subject, Bytes::from(bytes), records);
        Ok(())
    }

    /// Sends what waits, and tells what became of all.
    #[must_use]
    pub fn end(self) -> Sent {
        let link = self.publisher.link();
        self.publisher.stop(LEAVE);
        let lost = self.batches.saturating_sub(link.counts().publishes);
        Sent { batches: self.batches, lost }
    }

    fn waiting(&self) -> u64 {
        let publishes = self.publisher.link().counts().publishes;
        self.batches.saturating_sub(publishes + self.thrown)
    }

    fn wait(&self, stop: &Stop, until: impl Fn(&Self) -> bool) -> Result<(), String> {
        let begun_ns = clock::monotonic_ns();
        while !until(self) {
            let now_ns = clock::monotonic_ns();
            if stop.is_raised() {
                return Err("stopped".to_owned());
            }
            if now_ns > begun_ns + PATIENCE_NS {
                let state = self.publisher.snapshot().state;
                return Err(format!("NATS takes nothing ({state:?}): is the server there?"));
            }
            stop.sleep_until(now_ns + MILLISECOND_NS);
        }
        Ok(())
    }

    fn learn(&mut self, batch: &BatchView<'_>) {
        if let Some(name) = batch.node_name().filter(|_| self.nodes.len() < NAMES_MAX) {
            self.nodes.entry(batch.head().node).or_insert_with(|| subject_token(name));
        }
        for engine in batch.engines() {
            if self.models.len() < NAMES_MAX {
                self.models
                    .entry(engine.model_hash)
                    .or_insert_with(|| subject_token(&engine.model));
            }
        }
    }

    /// Where such a batch travelled.
    fn subject(&self, batch: &BatchView<'_>) -> Arc<str> {
        let (prefix, hash) = (&self.prefix, batch.head().node);
        let node = self.nodes.get(&hash).cloned().unwrap_or_else(|| format!("{hash:016x}"));
        let model = batch
            .steps()
            .next()
            .map(|step| step.model)
            .or_else(|| batch.engines().next().map(|engine| engine.model_hash));
        let details = || batch.details().next().is_some();
        if let Some(model) = model {
            let token = self.models.get(&model).map_or("unknown", String::as_str);
            return format!("{prefix}.routing.{node}.{token}").into();
        }
        let kind = if batch.events().next().is_some() {
            "events"
        } else if batch.verdicts().next().is_some() || batch.assessments().next().is_some() {
            "verdicts"
        } else if details() {
            return format!("{prefix}.routing.{node}.unknown").into();
        } else {
            "health"
        };
        format!("{prefix}.{kind}.{node}").into()
    }
}

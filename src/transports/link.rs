//! What a link says of itself: read by anyone, never pushed.
//!
//! The end that owns the link writes; counters are single relaxed words, the
//! sentences stand behind a lock that only changes of state and readers take.
//! For a publishing end, at any quiet moment,
//! `offered = sent + replaced + dropped (by reason)`.

use std::sync::{Arc, Mutex, PoisonError};

use crate::platform::atomic::{AtomicU32, AtomicU64, Ordering};

/// A shared reading end of a link's state and counts.
#[derive(Debug, Clone)]
pub struct Link(Arc<Cells>);

/// Where a link stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// The first connection is being made.
    Connecting,
    /// It carries.
    Connected {
        /// The server's address, without secrets, and its name.
        server: String,
        /// Since when, on the monotonic clock, in ns.
        since_ns: u64,
    },
    /// It cannot carry and keeps trying.
    Down {
        /// Since when, on the monotonic clock, in ns.
        since_ns: u64,
        /// What failed, on what, and what to do.
        sentence: String,
    },
    /// The peer forbids what we are set up to do: credentials, certificates
    /// or permissions. Nobody but an operator can heal it, so readiness is
    /// false. What is still allowed goes on.
    Refused {
        /// Since when, on the monotonic clock, in ns.
        since_ns: u64,
        /// What was refused, by whom, and what to do.
        sentence: String,
    },
}

/// A link at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSnapshot {
    /// Where it stands.
    pub state: LinkState,
    /// Which connection this is: one higher each time, 0 before the first.
    pub generation: u32,
    /// How often a connection was made again.
    pub reconnects: u64,
    /// An upper bound of the round trip, in ns, taken while connecting.
    pub round_trip_ns: Option<u64>,
    /// What works but should be put right, such as an outdated server.
    pub warning: Option<String>,
    /// What happened to everything that was to be carried.
    pub counts: LinkCounts,
}

/// What happened to everything that was to be carried, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Records handed to the network.
    pub sent: u64,
    /// Payload bytes handed to the network, full states and answers included.
    pub sent_bytes: u64,
    /// Records of full states handed to the network; never part of `sent`.
    pub state_sent: u64,
    /// Messages sent in answer to requests; never part of `sent`.
    pub answers_sent: u64,
    /// Requests left unanswered because too many waited already.
    pub requests_dropped: u64,
    /// Records that a full state took the place of, when the stream was behind.
    pub replaced: u64,
    /// Records refused because the queue was full.
    pub dropped_queue_full: u64,
    /// Records in batches larger than the peer takes.
    pub dropped_oversize: u64,
    /// Records offered, or waiting, while there was no connection.
    pub dropped_not_connected: u64,
    /// Records for subjects that the peer forbids us.
    pub dropped_forbidden: u64,
    /// Of `sent`: at most this many were on their way when a connection died,
    /// and may or may not have arrived.
    pub unconfirmed: u64,
    /// Messages the peer reported as forbidden after they were sent, as far
    /// as it told.
    pub forbidden_reported: u64,
    /// Messages received.
    pub received: u64,
    /// Payload bytes received.
    pub received_bytes: u64,
    /// Messages lost on our side because the receiver was too slow.
    pub lost_slow: u64,
    /// Replies to requests that nobody waits for any more.
    pub replies_unmatched: u64,
    /// Batches taken from the queue and handed to the network client.
    pub publishes: u64,
    /// How long those waited since they were offered, summed, in ns.
    pub publish_ns: u64,
    /// Messages of the side stream handed to the network; never part of `sent`.
    pub aside_sent: u64,
    /// Messages of the side stream that the peer forbids, that are too large, or
    /// that were to be sent when the connection died.
    pub aside_dropped: u64,
}

/// A counter of a link, in the order of [`LinkCounts`].
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "client"), expect(dead_code, reason = "only NATS counts these"))]
pub(crate) enum Count {
    Sent,
    SentBytes,
    StateSent,
    AnswersSent,
    RequestsDropped,
    Replaced,
    QueueFull,
    Oversize,
    NotConnected,
    Forbidden,
    Unconfirmed,
    ForbiddenReported,
    Received,
    ReceivedBytes,
    LostSlow,
    RepliesUnmatched,
    Publishes,
    PublishNs,
    AsideSent,
    AsideDropped,
}

const COUNTS: usize = Count::AsideDropped as usize + 1;

#[derive(Debug)]
struct Cells {
    words: Mutex<Words>,
    generation: AtomicU32,
    reconnects: AtomicU64,
    counts: [AtomicU64; COUNTS],
    publish_ns_max: AtomicU64,
}

#[derive(Debug)]
struct Words {
    state: LinkState,
    round_trip_ns: Option<u64>,
    warning: Option<String>,
}

#[cfg_attr(not(feature = "client"), expect(dead_code, reason = "only NATS changes state"))]
impl Link {
    /// A link that has not connected yet.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Cells {
            words: Mutex::new(Words {
                state: LinkState::Connecting,
                round_trip_ns: None,
                warning: None,
            }),
            generation: AtomicU32::new(0),
            reconnects: AtomicU64::new(0),
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            publish_ns_max: AtomicU64::new(0),
        }))
    }

    /// Adds to a counter.
    pub(crate) fn count(&self, what: Count, by: u64) {
        self.0.counts[what as usize].fetch_add(by, Ordering::Relaxed);
    }

    /// Says that a batch left the queue for the network client.
    pub(crate) fn published(&self, waited_ns: u64) {
        self.count(Count::Publishes, 1);
        self.count(Count::PublishNs, waited_ns);
        self.0.publish_ns_max.fetch_max(waited_ns, Ordering::Relaxed);
    }

    /// Reads a counter.
    pub(crate) fn counted(&self, what: Count) -> u64 {
        self.0.counts[what as usize].load(Ordering::Relaxed)
    }

    /// Says that a connection stands; gives its generation.
    pub(crate) fn connected(
        &self,
        server: String,
        since_ns: u64,
        round_trip_ns: Option<u64>,
        warning: Option<String>,
    ) -> u32 {
        let generation = self.0.generation.fetch_add(1, Ordering::AcqRel) + 1;
        if generation > 1 {
            self.0.reconnects.fetch_add(1, Ordering::Relaxed);
        }
        let mut words = self.0.words.lock().unwrap_or_else(PoisonError::into_inner);
        *words = Words { state: LinkState::Connected { server, since_ns }, round_trip_ns, warning };
        generation
    }

    /// Says where the link stands. A `Down` or `Refused` that goes on keeps
    /// the time at which it began.
    pub(crate) fn turn(&self, mut state: LinkState) {
        use LinkState::{Down, Refused};
        let mut words = self.0.words.lock().unwrap_or_else(PoisonError::into_inner);
        match (&words.state, &mut state) {
            (Down { since_ns: began, .. }, Down { since_ns, .. })
            | (Refused { since_ns: began, .. }, Refused { since_ns, .. }) => *since_ns = *began,
            _ => {}
        }
        words.state = state;
    }

    /// Says what works but should be put right; `None` when nothing is.
    pub(crate) fn warn(&self, warning: impl Into<Option<String>>) {
        self.0.words.lock().unwrap_or_else(PoisonError::into_inner).warning = warning.into();
    }
}

impl Link {
    /// Which connection stands or stood last: 0 before the first.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// The link as it stands.
    #[must_use]
    pub fn snapshot(&self) -> LinkSnapshot {
        let words = self.0.words.lock().unwrap_or_else(PoisonError::into_inner);
        LinkSnapshot {
            state: words.state.clone(),
            generation: self.generation(),
            reconnects: self.0.reconnects.load(Ordering::Relaxed),
            round_trip_ns: words.round_trip_ns,
            warning: words.warning.clone(),
            counts: self.counts(),
        }
    }

    /// The longest that a batch waited for the network client since the last
    /// call, in ns. One reader calls it.
    #[must_use]
    pub fn take_publish_ns_max(&self) -> u64 {
        self.0.publish_ns_max.swap(0, Ordering::Relaxed)
    }

    /// Only the counts: takes no lock and allocates nothing.
    #[must_use]
    pub fn counts(&self) -> LinkCounts {
        let [
            sent,
            sent_bytes,
            state_sent,
            answers_sent,
            requests_dropped,
            replaced,
            dropped_queue_full,
            dropped_oversize,
            dropped_not_connected,
            dropped_forbidden,
            unconfirmed,
            forbidden_reported,
            received,
            received_bytes,
            lost_slow,
            replies_unmatched,
            publishes,
            publish_ns,
            aside_sent,
            aside_dropped,
        ] = std::array::from_fn(|at| self.0.counts[at].load(Ordering::Relaxed));
        LinkCounts {
            sent,
            sent_bytes,
            state_sent,
            answers_sent,
            requests_dropped,
            replaced,
            dropped_queue_full,
            dropped_oversize,
            dropped_not_connected,
            dropped_forbidden,
            unconfirmed,
            forbidden_reported,
            received,
            received_bytes,
            lost_slow,
            replies_unmatched,
            publishes,
            publish_ns,
            aside_sent,
            aside_dropped,
        }
    }
}

impl LinkSnapshot {
    /// Whether it carries everything that it is asked to.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        matches!(self.state, LinkState::Connected { .. })
    }

    /// Whether only an operator can heal it: readiness is then false.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        matches!(self.state, LinkState::Refused { .. })
    }
}

impl LinkCounts {
    /// Records that did not leave, whatever the reason.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped_queue_full
            + self.dropped_oversize
            + self.dropped_not_connected
            + self.dropped_forbidden
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_counter_shows_under_its_own_name() {
        let link = Link::new();
        link.count(Count::Sent, 1);
        link.count(Count::Replaced, 6);
        link.count(Count::Forbidden, 10);
        link.count(Count::RepliesUnmatched, 16);
        let counts = link.counts();
        assert_eq!((counts.sent, counts.replaced), (1, 6));
        assert_eq!((counts.dropped_forbidden, counts.replies_unmatched), (10, 16));
        assert_eq!(counts.dropped(), 10);
    }

    #[test]
    fn an_outage_that_goes_on_keeps_the_time_at_which_it_began() {
        let link = Link::new();
        let down = |since_ns, word: &str| LinkState::Down { since_ns, sentence: word.into() };
        link.turn(down(5, "first"));
        link.turn(down(9, "second"));
        assert_eq!(link.snapshot().state, down(5, "second"));
        link.turn(LinkState::Refused { since_ns: 11, sentence: "no".into() });
        assert!(link.snapshot().is_refused());
        link.turn(down(12, "third"));
        assert_eq!(link.snapshot().state, down(12, "third"));
    }

    #[test]
    fn each_connection_has_a_higher_generation() {
        let link = Link::new();
        assert_eq!(link.generation(), 0);
        assert_eq!(link.connected("a".into(), 1, None, None), 1);
        assert_eq!(link.connected("b".into(), 2, Some(7), None), 2);
        let snapshot = link.snapshot();
        assert!(snapshot.is_connected());
        assert_eq!((snapshot.reconnects, snapshot.round_trip_ns), (1, Some(7)));
    }
}

//! What became of everything that came in.

use crate::platform::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// What became of everything that came in: each record is taken or
        /// counted under one reason.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Counts {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        /// The live counters behind [`Counts`].
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: Counter,)*
        }

        impl Counters {
            pub(super) fn read(&self) -> Counts {
                Counts { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }

        impl Counts {
            /// Every count with its name, for an exporter.
            #[must_use]
            pub const fn named(&self) -> [(&'static str, u64); [$(stringify!($name)),*].len()] {
                [$((stringify!($name), self.$name)),*]
            }
        }
    };
}

counts! {
    /// Messages taken.
    batches,
    /// Messages that the transport lost on this side, since taking them was too
    /// slow.
    messages_lost,
    /// Messages refused: too large.
    batches_oversized,
    /// Messages refused: not a batch of a version that we read.
    batches_unknown,
    /// Messages refused: malformed or truncated.
    batches_malformed,
    /// Messages refused: from more senders than the limit.
    batches_beyond_senders,
    /// Answers whose round trip contradicts itself; their content is taken.
    trips_refused,
    /// Steps in messages taken; the sum of the eight below.
    steps,
    /// Steps that became the newest of their rank.
    steps_stored,
    /// Steps already had, or of a rank's earlier incarnation.
    steps_old,
    /// Steps that came after a later one, and had been counted as lost.
    steps_late,
    /// Steps refused: dated later than now, beyond the clock's error.
    steps_future,
    /// Steps refused: without an instance or with a producer that cannot be.
    steps_malformed,
    /// Steps refused: of more ranks than the limit.
    steps_beyond_ranks,
    /// Steps in messages that bring only names (a local agent's table has
    /// them already).
    steps_ignored,
    /// Steps that never came, by gaps in their sequence.
    steps_lost,
    /// Ranks that came back under a later incarnation.
    restarts,
    /// Ranks forgotten after long silence.
    ranks_forgotten,
    /// Readings passed over: the view reads them from a local agent's table.
    readings_ignored,
    /// Names refused: more engines, nodes, devices or details than the limit.
    names_refused,
    /// Events handed to at least one subscriber or to nobody, each once.
    events,
    /// Verdicts handed to at least one subscriber or to nobody, each revision once.
    verdicts,
    /// Events and verdicts that had come before.
    news_repeated,
    /// Events and verdicts dropped since a subscriber's queue was full.
    news_dropped,
    /// Changes dropped since a subscriber's table was full.
    changes_dropped,
    /// Connections made.
    connects,
    /// Connections lost.
    disconnects,
}

/// A number that only rises (or, for a correction, falls).
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Takes back what was counted too soon.
    pub(super) fn take_back(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }
}

//! What came through the door and what did not, by reason.

use std::sync::Arc;

use crossbeam_channel::Receiver;

use crate::platform::atomic::{AtomicU64, Ordering};

/// What the door shares with the rest of the process.
#[derive(Debug, Clone, Default)]
pub struct DoorContext {
    /// What came and what did not; anyone may look.
    pub counts: Arc<DoorCounts>,
    /// Batches of events and verdicts, already encoded, for the readers at
    /// the door. Whoever fills it bounds it.
    pub news: Option<Receiver<Arc<[u8]>>>,
}

macro_rules! counts {
    ($($(#[doc = $doc:literal])* $name:ident;)*) => {
        /// Counts of the engine door. Its thread writes, anyone may look.
        ///
        /// `slots = steps + history + overwritten + torn + foreign + malformed
        /// + future + duplicate + reordered + ranks_refused + superseded`.
        #[derive(Debug, Default)]
        pub struct DoorCounts {
            $($(#[doc = $doc])* pub $name: AtomicU64,)*
        }

        impl DoorCounts {
            /// Every count with its name.
            pub fn each(&self, mut tell: impl FnMut(&'static str, u64)) {
                $(tell(stringify!($name), self.$name.load(Ordering::Relaxed));)*
            }
        }
    };
}

counts! {
    /// Engines connected now.
    engines;
    /// Readers connected now.
    views;
    /// Engines whose door was opened.
    engines_opened;
    /// Engines that left, one way or another.
    engines_gone;
    /// Engines refused since `engines_max` are here.
    engines_refused;
    /// Doors refused: unsealed, of a wrong size, or with a lying header.
    doors_refused;
    /// Readers that were let in.
    views_opened;
    /// Readers refused since `views_max` are here or nothing is shared.
    views_refused;
    /// First messages that were no greeting, or brought the wrong descriptors.
    greetings_refused;
    /// Connections closed since they did not greet in time.
    greetings_late;
    /// Connections closed before they greeted, to make room for later ones.
    guests_evicted;
    /// Connections of users who are not allowed.
    users_refused;
    /// Connections that could not be accepted, for want of descriptors.
    accepts_failed;
    /// Messages where none is expected.
    chatter;
    /// Slots that a door's head said were finished and that were dealt with.
    slots;
    /// Steps that were put out.
    steps;
    /// Steps that were there when a door was opened and told nothing newer.
    history;
    /// Slots overwritten before they were read.
    overwritten;
    /// Slots whose checksum never fitted.
    torn;
    /// Steps of another engine or incarnation than their door's.
    foreign;
    /// Steps whose values contradict themselves.
    malformed;
    /// Steps from more than a second ahead.
    future;
    /// Steps that came again.
    duplicate;
    /// Steps that came after a later one.
    reordered;
    /// Steps of more ranks than one door may have.
    ranks_refused;
    /// Steps of a rank that another incarnation took over.
    superseded;
    /// Heads that went back.
    heads_reversed;
    /// Heartbeats heard.
    heartbeats;
    /// Heartbeats whose checksum did not fit or that came from the future.
    heartbeats_refused;
    /// Names read.
    infos;
    /// Names whose checksum never fitted or that are another engine's.
    infos_refused;
    /// Details read: what engines say beside their steps.
    details;
    /// Details whose checksum never fitted, and entries in them that lie.
    details_refused;
    /// Batches of names, events and verdicts that a reader did not take.
    news_missed;
    /// Naps that ended with a wait on descriptors.
    sleeps;
}

impl DoorCounts {
    /// The counts of slots that gave no step, by reason: with `steps` they sum
    /// up to `slots`.
    pub const NOT_STEPS: [&'static str; 10] = [
        "history",
        "overwritten",
        "torn",
        "foreign",
        "malformed",
        "future",
        "duplicate",
        "reordered",
        "ranks_refused",
        "superseded",
    ];

    /// The counts of callers and messages that were refused, by reason.
    pub const REFUSED: [&'static str; 11] = [
        "engines_refused",
        "doors_refused",
        "views_refused",
        "greetings_refused",
        "greetings_late",
        "guests_evicted",
        "users_refused",
        "accepts_failed",
        "infos_refused",
        "details_refused",
        "news_missed",
    ];
}

/// Adds to a count that only the door's thread writes.
pub(super) fn add(count: &AtomicU64, more: u64) {
    // Wraps where a liar says that it wrote 2^64 steps.
    count.store(count.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

//! Batches between threads of one process: for tests and single-process use.
//!
//! The publishing end has the shape of every other one: it never blocks, and
//! a receiver that is full loses what is newest, counted on its own link,
//! while all others go on. It refuses to thin out or to remember: who joins
//! late has missed what went before.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::Outgoing;
use super::link::{Count, Link};
use super::subject::subject_fits;
use crate::platform::clock;

/// The most receivers that one hub serves; further ones are refused.
pub const EMBEDDED_RECEIVERS_MAX: usize = 64;

/// A fan-out within this process; clones publish to the same receivers.
#[derive(Debug, Clone, Default)]
pub struct EmbeddedHub(Arc<Mutex<Vec<Seat>>>);

/// The receiving end of a hub; dropping it leaves.
#[derive(Debug)]
pub struct EmbeddedReceiver {
    messages: Receiver<EmbeddedMessage>,
    link: Link,
}

/// A batch as received.
#[derive(Debug, Clone)]
pub struct EmbeddedMessage {
    /// What was offered, by reference.
    pub batch: Outgoing,
    /// When it was offered, on the monotonic clock, in ns.
    pub offered_ns: u64,
}

#[derive(Debug)]
struct Seat {
    patterns: Vec<String>,
    messages: Sender<EmbeddedMessage>,
    link: Link,
}

impl EmbeddedHub {
    /// A hub without receivers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A receiver of the subjects that fit one of `patterns`, with room for
    /// `capacity` batches; `None` when [`EMBEDDED_RECEIVERS_MAX`] are there.
    #[must_use]
    pub fn subscribe(&self, patterns: Vec<String>, capacity: usize) -> Option<EmbeddedReceiver> {
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seats.len() >= EMBEDDED_RECEIVERS_MAX {
            return None;
        }
        let (messages, taken) = bounded(capacity);
        let link = Link::new();
        link.connected("this process".into(), clock::monotonic_ns(), None, None);
        seats.push(Seat { patterns, messages, link: link.clone() });
        Some(EmbeddedReceiver { messages: taken, link })
    }

    /// Hands a batch to every receiver that wants it and has room, without
    /// waiting for any; whether all of those who want it got it.
    pub fn offer(&self, subject: &Arc<str>, payload: Bytes, records: u32) -> bool {
        let batch = Outgoing { subject: Arc::clone(subject), payload, records };
        let message = EmbeddedMessage { batch, offered_ns: clock::monotonic_ns() };
        let mut complete = true;
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seats.retain(|seat| {
            if !seat.patterns.iter().any(|pattern| subject_fits(pattern, subject)) {
                return true;
            }
            match seat.messages.try_send(message.clone()) {
                Ok(()) => {
                    seat.link.count(Count::Received, 1);
                    seat.link.count(Count::ReceivedBytes, message.batch.payload.len() as u64);
                    true
                }
                Err(TrySendError::Full(_)) => {
                    seat.link.count(Count::LostSlow, 1);
                    complete = false;
                    true
                }
                Err(TrySendError::Disconnected(_)) => false,
            }
        });
        complete
    }
}

impl EmbeddedReceiver {
    /// The next batch, waiting up to `patience` for it.
    #[must_use]
    pub fn next(&self, patience: Duration) -> Option<EmbeddedMessage> {
        self.messages.recv_timeout(patience).ok()
    }

    /// The next batch if one is there.
    #[must_use]
    pub fn try_next(&self) -> Option<EmbeddedMessage> {
        self.messages.try_recv().ok()
    }

    /// What was received and lost here.
    #[must_use]
    pub const fn link(&self) -> &Link {
        &self.link
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(name: &str) -> Arc<str> {
        Arc::from(name)
    }

    #[test]
    fn every_receiver_gets_the_same_bytes() {
        let hub = EmbeddedHub::new();
        let all = hub.subscribe(vec![">".into()], 4).unwrap();
        let some = hub.subscribe(vec!["a.*".into()], 4).unwrap();
        let payload = Bytes::from(vec![7; 100]);
        assert!(hub.offer(&subject("a.b"), payload.clone(), 3));
        assert!(hub.offer(&subject("c"), payload.clone(), 1));
        for receiver in [&all, &some] {
            let message = receiver.try_next().unwrap();
            assert_eq!((&*message.batch.subject, message.batch.records), ("a.b", 3));
            assert_eq!(message.batch.payload.as_ptr(), payload.as_ptr());
        }
        assert_eq!(&*all.try_next().unwrap().batch.subject, "c");
        assert!(some.try_next().is_none());
    }

    #[test]
    fn a_full_receiver_loses_its_own_newest_and_nobody_elses() {
        let hub = EmbeddedHub::new();
        let slow = hub.subscribe(vec![">".into()], 1).unwrap();
        let quick = hub.subscribe(vec![">".into()], 8).unwrap();
        assert!(hub.offer(&subject("a"), Bytes::from_static(b"1"), 1));
        assert!(!hub.offer(&subject("a"), Bytes::from_static(b"2"), 1));
        assert_eq!(slow.link().counts().lost_slow, 1);
        assert_eq!(&slow.try_next().unwrap().batch.payload[..], b"1");
        assert!(slow.try_next().is_none());
        assert_eq!(quick.link().counts().received, 2);
        assert_eq!(quick.link().counts().lost_slow, 0);
    }

    #[test]
    fn a_receiver_that_left_is_forgotten() {
        let hub = EmbeddedHub::new();
        drop(hub.subscribe(vec![">".into()], 1));
        assert!(hub.offer(&subject("a"), Bytes::new(), 0));
        assert!(hub.0.lock().unwrap().is_empty());
    }

    #[test]
    fn receivers_have_a_limit() {
        let hub = EmbeddedHub::new();
        let seats: Vec<_> = (0..EMBEDDED_RECEIVERS_MAX)
            .map(|_| hub.subscribe(vec![], 1).expect("below the limit"))
            .collect();
        assert!(hub.subscribe(vec![], 1).is_none());
        drop(seats);
    }
}

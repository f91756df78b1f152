//! A view fed by a NATS subscription.

use std::time::Duration;

use bytes::Bytes;

use super::View;
use super::connect::{ConnectError, Options};
use super::remote::{self, Requester};
use crate::platform::clock::monotonic_ns;
use crate::transports::nats::{NatsSettings, NatsSubscriber, SubscriberHooks};

/// How long a view that is dropped waits for its connection to close.
const LEAVE: Duration = Duration::from_millis(100);

/// A view over these servers.
pub(super) fn connect(settings: NatsSettings, options: &Options) -> Result<View, ConnectError> {
    remote::start(options, |subjects, intake| {
        let (messages, replies) = (intake.clone(), intake.clone());
        let (connected, lost) = (intake.clone(), intake.clone());
        let hooks = SubscriberHooks {
            on_message: Box::new(move |_, bytes, receipt_ns| messages.received(&bytes, receipt_ns)),
            on_reply: Box::new(move |bytes, receipt_ns, sent_ns| {
                replies.replied(&bytes, receipt_ns, sent_ns);
            }),
            on_connected: Box::new(move |_, _| connected.connected(monotonic_ns())),
            on_disconnected: Box::new(move || intake.disconnected()),
            on_lost: Box::new(move |count, _| lost.lost(count)),
        };
        let subscriber = NatsSubscriber::start(settings, subjects.to_vec(), hooks, None)?;
        Ok(Requests(Some(subscriber)))
    })
}

struct Requests(Option<NatsSubscriber>);

impl Requester for Requests {
    fn request(&mut self, subject: &str, payload: &[u8]) {
        if let Some(subscriber) = &self.0 {
            subscriber.request(subject, Bytes::copy_from_slice(payload));
        }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        if let Some(subscriber) = self.0.take() {
            subscriber.stop(LEAVE);
        }
    }
}

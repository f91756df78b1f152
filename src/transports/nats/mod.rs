//! NATS: publishing, subscribing, and publishing with acknowledgement.
//!
//! The NATS client keeps what it could not send and sends it after an outage,
//! blocks its caller meanwhile, and reports neither a lost message nor a
//! forbidden one. For load figures that is the wrong way round: old ones are
//! worth nothing and the newest must come first. Therefore:
//!
//! - Each end owns a named thread, and each *connection* owns a runtime and a
//!   client of its own. When the connection dies, both are dropped with
//!   everything that waited in them, so nothing stale is ever sent later. We
//!   choose the next server and the delay ourselves.
//! - Nobody waits: what is offered while there is no connection, or when the
//!   short queue is full, is refused and counted by reason.
//! - A new connection, and a stream that fell behind, is answered with full
//!   state, asked for through a hook, under a generation that grows.
//! - What a server forbids turns the link to `Refused` with a sentence.
//!
//! Limits: [`NatsSettings::queue_batches`], `client_capacity` and
//! `subscription_capacity` with their behaviour; [`SERVERS_MAX`] servers;
//! `REQUESTS_WAITING_MAX` requests held for an answer, `REQUESTS_MAX`
//! requests in one go, `SUBJECTS_MAX` subjects remembered, `REFUSALS_MAX`
//! forbidden subjects told apart, and `IN_FLIGHT_MAX` unacknowledged messages
//! of the durable end.
//!
//! The room refuses WebSocket, and addresses that servers tell of each other
//! unless [`NatsSettings::servers_discovered`] says otherwise.

mod confirm;
mod durable;
mod keeping;
mod login;
mod probe;
mod publisher;
mod refusal;
mod sending;
mod servers;
mod session;
mod settings;
mod stream;
mod subscriber;
mod traffic;
mod version;

pub use durable::{DoneHook, DurableHooks, Kept, NatsDurable};
pub use probe::{JetStream, Seen, Server, Unseen, Wanted, look_at_servers};
pub use publisher::{
    Answer, Aside, AsideHook, FullStateReason, NatsPublisher, Outlet, PublisherHooks, ReplyHook,
};
pub use settings::{NatsSettings, SERVERS_MAX, Secret, SettingsError, TlsSettings};
pub use stream::StreamSettings;
pub use subscriber::{
    ConnectedHook, LostHook, MessageHook, NatsSubscriber, Requests, SubscriberHooks,
};

/// An end that could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The settings cannot be.
    #[error("cannot use the NATS settings: {}", sentences(.0))]
    Settings(Vec<SettingsError>),
    /// The system refused a thread.
    #[error("cannot start the thread for NATS: {0}")]
    Thread(#[from] std::io::Error),
}

fn sentences(faults: &[SettingsError]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

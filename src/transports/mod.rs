//! Carries named byte batches and knows nothing about what is inside.
//!
//! Every transport has a publishing end that never blocks its caller and a
//! receiving end that hands messages on from its own thread. What a link does
//! when it cannot carry is said by its [`Link`] and
//! counted, by reason.
//!
//! The room refuses: to look into a payload, to keep what it could not send
//! (the newest state is asked for again instead), and to wait for a peer on
//! anybody's thread but its own.

#[cfg(not(loom))]
pub mod embedded;
pub mod link;
#[cfg(all(feature = "client", not(loom)))]
pub mod nats;
pub mod subject;

pub use link::{Link, LinkCounts, LinkSnapshot, LinkState};

/// One batch on its way out: what every publishing end takes.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The subject that it travels under.
    pub subject: std::sync::Arc<str>,
    /// Its bytes; never copied by a transport of ours.
    pub payload: bytes::Bytes,
    /// How many records it holds, for the counts.
    pub records: u32,
}

//! How the agent is, in the words that its faces show.

use serde::{Deserialize, Serialize};

/// How the agent is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The node's name.
    pub node: String,
    /// The agent's version.
    pub version: String,
    /// How long the agent runs, ms.
    pub up_ms: u64,
    /// Whether everything that is configured works; if not, a sentence that
    /// says what does not and what to do. In JSON: `ready` and `why_not`.
    #[serde(flatten, with = "readiness")]
    pub ready: Result<(), String>,
    /// Every sampler, in the order in which they start.
    pub samplers: Vec<SamplerStatus>,
    /// The connection to NATS; none where it is not configured.
    pub nats: Option<NatsStatus>,
    /// The black box; none where it is switched off.
    #[serde(default)]
    pub recorder: Option<RecorderStatus>,
    /// Whether simulated engines or devices are among what is shown.
    pub simulated: bool,
    /// What was lost, by place and reason; only what was.
    pub losses: Vec<LossCount>,
}

/// How one sampler is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplerStatus {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: SamplerState,
    /// Why, and what to do; may be empty when all is well.
    pub sentence: String,
    /// Its period, ms.
    pub period_ms: u64,
    /// Time since its last finished tick, ms; none where it does not run.
    pub tick_age_ms: Option<u64>,
}

/// How a sampler can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplerState {
    /// It reads its source.
    Ready,
    /// Its source does not exist on this machine.
    NotHere,
    /// Its source exists and cannot be read.
    Failed,
    /// It missed two periods.
    Stalled,
    /// The configuration turns it off.
    Off,
}

/// How the connection to NATS is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatsStatus {
    /// The server's address, without secrets.
    pub url: String,
    /// Whether it carries.
    pub state: NatsState,
    /// Why, and what to do; may be empty when all is well.
    pub sentence: String,
}

/// How a connection to NATS can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NatsState {
    /// The first connection is being made.
    Connecting,
    /// It carries.
    Connected,
    /// It cannot carry and keeps trying.
    Down,
}

/// How the black box is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecorderStatus {
    /// Whether it records.
    pub state: RecorderState,
    /// Why not, and what to do; empty when all is well.
    pub sentence: String,
    /// How it writes: `io_uring` or `pwrite`.
    pub backend: String,
    /// Bytes that it keeps on disk.
    pub bytes: u64,
    /// Most bytes that it may keep.
    pub bytes_max: u64,
    /// When the oldest that it keeps began, ns since 1970; 0 while nothing is.
    pub since_wall_ns: u64,
    /// Batches written since the agent began.
    pub batches: u64,
    /// Batches lost since then: the queue was full, or the disk took nothing.
    pub lost: u64,
}

/// How the black box can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecorderState {
    /// It has not begun yet.
    Starting,
    /// It records.
    Ready,
    /// Its disk takes nothing; it tries again.
    Failed,
}

/// How much was lost at one place for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossCount {
    /// Where: a ring, a taker, a door.
    pub place: String,
    /// Why, such as `full`.
    pub reason: String,
    /// How many records or batches since the agent began.
    pub count: u64,
}

impl SamplerState {
    /// The state in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotHere => "not here",
            Self::Failed => "failed",
            Self::Stalled => "stalled",
            Self::Off => "off",
        }
    }
}

impl NatsState {
    /// The state in one lower-case word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Down => "down",
        }
    }
}

/// Readiness as `{"ready": true}` or `{"ready": false, "why_not": "…"}`.
mod readiness {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Said {
        ready: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why_not: Option<String>,
    }

    pub(super) fn serialize<S: Serializer>(
        ready: &Result<(), String>,
        into: S,
    ) -> Result<S::Ok, S::Error> {
        Said { ready: ready.is_ok(), why_not: ready.as_ref().err().cloned() }.serialize(into)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Result<(), String>, D::Error> {
        let said = Said::deserialize(from)?;
        Ok(if said.ready { Ok(()) } else { Err(said.why_not.unwrap_or_default()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_the_same_after_a_way_through_json() {
        for ready in [Ok(()), Err("NATS refuses us; check nats.user".to_owned())] {
            let status = Status {
                node: "n".to_owned(),
                version: "0.1.0".to_owned(),
                up_ms: 5,
                ready,
                samplers: vec![SamplerStatus {
                    name: "procfs".to_owned(),
                    state: SamplerState::NotHere,
                    sentence: "no /proc".to_owned(),
                    period_ms: 100,
                    tick_age_ms: None,
                }],
                nats: Some(NatsStatus {
                    url: "nats://a:4222".to_owned(),
                    state: NatsState::Down,
                    sentence: String::new(),
                }),
                recorder: Some(RecorderStatus {
                    state: RecorderState::Failed,
                    sentence: "no room".to_owned(),
                    backend: "pwrite".to_owned(),
                    bytes: 1,
                    bytes_max: 2,
                    since_wall_ns: 3,
                    batches: 4,
                    lost: 5,
                }),
                simulated: true,
                losses: vec![LossCount {
                    place: "ring procfs".to_owned(),
                    reason: "full".to_owned(),
                    count: 3,
                }],
            };
            let text = serde_json::to_string(&status).unwrap();
            assert!(text.contains(&format!("\"ready\":{}", status.ready.is_ok())), "{text}");
            assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
        }
    }
}

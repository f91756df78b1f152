//! Given facts and the time, decides: what is wrong, why, and what to do.
//!
//! A [`Stage`] judges one node. It folds facts into what is [`Known`] and asks
//! the rules whose facts changed; a rule says what it concludes on its
//! [`Bench`]; verdicts are kept in one place, whoever concludes them. Nothing
//! here reads a clock, waits, or does input or output, and everything is
//! bounded.

mod assessment;
mod at;
mod bench;
mod codec;
mod conclusion;
mod counters;
pub mod detectors;
mod fact;
mod facts;
mod known;
pub mod limits;
pub mod lines;
mod plan;
mod rule;
pub mod rules;
mod seen;
mod serving;
mod silence;
mod slots;
mod snapshot;
mod stage;
mod subject;
pub mod tables;
#[cfg(test)]
mod tests;
mod verdicts;

pub use at::At;
pub use bench::Bench;
pub use conclusion::{Conclusion, LimitSource, event_evidence, reading_evidence, told_evidence};
pub use counters::Counters;
pub use fact::Fact;
pub use facts::{DeviceFacts, EngineFacts, Held, RankFacts};
pub use known::{DEVICES_MAX, ENGINES_MAX, Known, Place};
pub use plan::{CodePlan, Mistake, Plan, RULE_FILE_BYTES_MAX, RulePlan, THRESHOLDS_MAX, Threshold};
pub use rule::{Entry, Look, Page, Reach, Relation, Rule, Setting, Wants};
pub use serving::Serving;
pub use silence::{SILENCES_MAX, Silence};
pub use snapshot::{SNAPSHOT_BYTES_MAX, SnapshotError};
pub use stage::{Stage, Tally};
pub use subject::{Subject, verdict_id};
pub use verdicts::VERDICTS_MAX;

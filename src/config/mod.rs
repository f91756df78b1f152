//! Turns text into a plan that cannot be wrong.
//!
//! Every setting stands once in a catalogue, with its default and a check:
//! [`settings`] for the agent, each sampler's entry for its own. The catalogue
//! drives the file's parser, the environment, the flags, the default file and
//! the generated page. All mistakes are reported together, each with its key;
//! an unknown key is a mistake.

mod catalogue;
mod plan;
mod resolve;

pub use catalogue::{SettingDoc, default_file, settings};
pub use plan::{LogFormat, NatsPlan, Pinning, Plan, RecorderPlan, SamplerPlan};
pub use resolve::{Layers, Mistake, Mistakes, variable_name};

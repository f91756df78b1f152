//! Maths without metrics: each detector sees numbers and times, is bounded,
//! and says nothing before it has seen enough.

pub mod burst;
pub mod drift;
pub mod forecast;
pub mod hold;
pub mod missing;
pub mod odd;
pub mod rate;
pub mod step_change;
pub mod stuck;
mod window;

pub use burst::Burst;
pub use drift::Drift;
pub use forecast::Forecast;
pub use hold::{Hold, Limit, Side};
pub use missing::Missing;
pub use odd::odd_one_out;
pub use rate::Rate;
pub use step_change::StepChange;
pub use stuck::Stuck;
pub use window::median;

//! What a device bears: its own word first, then a table of models, then a
//! cautious default.

use super::LimitSource;
use super::facts::DeviceFacts;
use crate::schema::MetricId;

/// A limit, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// The limit.
    pub limit: f64,
    /// Who says so.
    pub source: LimitSource,
}

/// What is known of a model, where it does not say so itself.
struct Model {
    /// Part of the model's name.
    name: &'static str,
    slowdown_celsius: f64,
    memory_celsius_max: f64,
}

/// As the driver prints them on such boards.
const MODELS: &[Model] = &[
    Model { name: "V100", slowdown_celsius: 87.0, memory_celsius_max: 85.0 },
    Model { name: "A100", slowdown_celsius: 89.0, memory_celsius_max: 95.0 },
    Model { name: "T4", slowdown_celsius: 93.0, memory_celsius_max: 95.0 },
];

/// Slowdown of a model that nobody knows.
const SLOWDOWN_CELSIUS: f64 = 87.0;
/// Highest temperature of memory that nobody knows.
const MEMORY_CELSIUS_MAX: f64 = 95.0;
/// Pages that boards of both vendors take out of use before they ask to be
/// replaced.
const PAGES_RETIRED_MAX: f64 = 64.0;

/// At which temperature the chip slows down by itself.
#[must_use]
pub fn slowdown_celsius(of: &DeviceFacts) -> Known {
    let said = of.value(MetricId::AcceleratorTemperatureSlowdown);
    pick(said, of, |model| model.slowdown_celsius, SLOWDOWN_CELSIUS)
}

/// How hot the device memory may be.
#[must_use]
pub fn memory_celsius_max(of: &DeviceFacts) -> Known {
    let said = of.value(MetricId::AcceleratorMemoryTemperatureMax);
    pick(said, of, |model| model.memory_celsius_max, MEMORY_CELSIUS_MAX)
}

/// How many pages may be taken out of use.
#[must_use]
pub const fn pages_retired_max() -> Known {
    Known { limit: PAGES_RETIRED_MAX, source: LimitSource::Default }
}

fn pick(
    said: Option<f64>,
    of: &DeviceFacts,
    by_model: impl Fn(&Model) -> f64,
    default: f64,
) -> Known {
    // A limit that no chip could have is none.
    if let Some(limit) = said.filter(|limit| (50.0..=130.0).contains(limit)) {
        return Known { limit, source: LimitSource::Device };
    }
    let name = of.device.accelerator.as_ref().map_or("", |of| of.device_model.as_str());
    let words = || name.split(|c: char| !c.is_ascii_alphanumeric());
    match MODELS.iter().find(|model| words().any(|word| word == model.name)) {
        Some(model) => Known { limit: by_model(model), source: LimitSource::Model },
        None => Known { limit: default, source: LimitSource::Default },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::rules::trial::{Trial, gpu};

    #[test]
    fn the_device_is_asked_first_then_its_model_then_nobody() {
        let mut trial = Trial::new();
        let mut device = gpu(0);
        for (model, read, limit, source) in [
            ("Tesla V100-SXM2-32GB", None, 87.0, LimitSource::Model),
            ("NVIDIA A100-SXM4-80GB", None, 89.0, LimitSource::Model),
            ("Something else", None, 87.0, LimitSource::Default),
            ("NVIDIA A100-SXM4-80GB", Some(0.0), 89.0, LimitSource::Model),
            ("NVIDIA A100-SXM4-80GB", Some(92.0), 92.0, LimitSource::Device),
        ] {
            device.accelerator.as_mut().expect("a GPU").device_model = model.into();
            trial.device(&device);
            if let Some(read) = read {
                trial.seconds(1);
                trial.set(0, MetricId::AcceleratorTemperatureSlowdown, read);
            }
            let (_, facts) = trial.stage.known.device_named("gpu0").expect("told");
            assert_eq!(slowdown_celsius(facts), Known { limit, source }, "{model} {read:?}");
        }
    }
}

//! A configuration file and variables of any text: every mistake is a sentence
//! with its key, none shows a secret, and what is accepted keeps its bounds.

#![no_main]

use eagle_eye::config::{Layers, Plan};
use libfuzzer_sys::fuzz_target;

/// No word of the messages, and no part of a key.
const SECRET: &str = "zqXzqX7";

fuzz_target!(|text: &str| {
    let mut layers = Layers::default();
    let (file, variables) = text.split_once('\0').unwrap_or((text, ""));
    layers.text(file, "file");
    layers.environment(variables.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        Some((format!("EAGLE_EYE_{name}"), value.to_owned()))
    }));
    layers.set("nats.password", SECRET.to_owned(), "flag");
    match Plan::new(layers) {
        Ok(plan) => {
            assert!(plan.linger_ns <= 100_000_000);
            assert!((1024..=65_536).contains(&plan.batch_bytes));
            assert!((64..=1 << 20).contains(&plan.ring_records));
            assert!((16..=1 << 16).contains(&plan.newest_ranks));
            assert!(plan.samplers.iter().all(|sampler| sampler.period_ns >= 1_000_000));
            assert!(!format!("{plan:?}").contains(SECRET));
        }
        Err(mistakes) => {
            assert!(!mistakes.0.is_empty());
            assert!(mistakes.0.iter().all(|mistake| !mistake.sentence.is_empty()));
            assert!(!mistakes.to_string().contains(SECRET));
        }
    }
});

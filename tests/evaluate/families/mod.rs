//! Kinds of trouble, and of what looks like trouble and is none, each played
//! out anew for every seed.
//!
//! A family plays a world and writes what is right into its truth. Families
//! are made from the vendors' documents and from how machines behave, not
//! from the rules.

mod agent;
mod application;
mod ascend;
mod bus;
mod driver;
mod engine;
mod healthy;
mod host;
mod link;
mod memory;
mod power;
mod thermal;

use crate::world::{Build, World};

/// One kind of scenario.
pub(crate) struct Family {
    /// Its name: group, then what happens.
    pub(crate) name: &'static str,
    /// The node that it happens on.
    pub(crate) build: Build,
    /// What happens.
    pub(crate) play: fn(&mut World<'_, '_>),
    /// How many scenarios of it are played for one of the others, in percent.
    pub(crate) weight: u64,
}

impl Family {
    const fn new(
        name: &'static str,
        models: &'static [usize],
        cards: usize,
        play: fn(&mut World<'_, '_>),
    ) -> Self {
        let build = Build { models, cards, engine: false, host: false, period_s: 0 };
        Self { name, build, play, weight: 100 }
    }

    const fn engine(mut self) -> Self {
        self.build.engine = true;
        self
    }

    const fn host(mut self) -> Self {
        self.build.host = true;
        self
    }

    const fn period(mut self, seconds: u64) -> Self {
        self.build.period_s = seconds;
        self
    }

    const fn weight(mut self, percent: u64) -> Self {
        self.weight = percent;
        self
    }
}

/// Every family, in the order of the page.
pub(crate) fn all() -> impl Iterator<Item = &'static Family> {
    [
        thermal::ALL,
        power::ALL,
        memory::ALL,
        bus::ALL,
        link::ALL,
        application::ALL,
        driver::ALL,
        ascend::ALL,
        host::ALL,
        engine::ALL,
        agent::ALL,
        healthy::ALL,
    ]
    .into_iter()
    .flatten()
}

#[test]
fn families_have_names_of_their_own() {
    let names: std::collections::BTreeSet<_> = all().map(|family| family.name).collect();
    assert_eq!(names.len(), all().count());
    assert!(names.iter().all(|name| name.contains('/')));
}

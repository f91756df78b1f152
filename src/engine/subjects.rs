//! The names under which this node's batches travel.

use std::collections::HashMap;
use std::sync::Arc;

use crate::newest::Names;
use crate::pipeline::Lane;
use crate::schema::{HotKind, subject_token};

/// Builds subjects once per lane and remembers them.
#[derive(Debug)]
pub(super) struct Subjects {
    prefix: String,
    node: String,
    names: Names,
    routing: HashMap<u64, Known>,
    health: Arc<str>,
    events: Arc<str>,
    verdicts: Arc<str>,
}

/// A subject, and which names it was built from: a model is `unknown` until
/// its engine's name came in.
#[derive(Debug)]
struct Known {
    subject: Arc<str>,
    version: u64,
    named: bool,
}

impl Subjects {
    pub(super) fn new(prefix: &str, names: Names) -> Self {
        let node = subject_token(names.node());
        Self {
            health: format!("{prefix}.health.{node}").into(),
            events: format!("{prefix}.events.{node}").into(),
            verdicts: format!("{prefix}.verdicts.{node}").into(),
            prefix: prefix.to_owned(),
            node,
            names,
            routing: HashMap::new(),
        }
    }

    /// The subject of a lane. Allocates only for a new lane, or until its
    /// model's name is known.
    pub(super) fn of(&mut self, lane: Lane) -> Arc<str> {
        match lane.kind {
            HotKind::Readings => Arc::clone(&self.health),
            HotKind::Steps => self.routing(lane.model),
        }
    }

    /// The subject of a model's steps.
    pub(super) fn routing(&mut self, model: u64) -> Arc<str> {
        let version = self.names.version();
        if let Some(known) = self.routing.get(&model)
            && (known.named || known.version == version)
        {
            return Arc::clone(&known.subject);
        }
        let name = self.names.model(model);
        let token = name.as_deref().map_or_else(|| "unknown".to_owned(), subject_token);
        let subject: Arc<str> = format!("{}.routing.{}.{token}", self.prefix, self.node).into();
        let known = Known { subject: Arc::clone(&subject), version, named: name.is_some() };
        if self.routing.len() < crate::pipeline::LANES_MAX {
            self.routing.insert(model, known);
        }
        subject
    }

    /// The subject of readings and devices.
    pub(super) fn health(&self) -> Arc<str> {
        Arc::clone(&self.health)
    }

    /// The subject of events.
    pub(super) fn events(&self) -> Arc<str> {
        Arc::clone(&self.events)
    }

    /// The subject of verdicts and assessments.
    pub(super) fn verdicts(&self) -> Arc<str> {
        Arc::clone(&self.verdicts)
    }
}

/// The subject on which every agent answers with its full state.
pub(super) fn snapshot(prefix: &str) -> String {
    format!("{prefix}.snapshot")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Engine, name_hash};

    #[test]
    fn a_model_travels_under_its_name_once_that_is_known() {
        let names = Names::new("node.one");
        let mut subjects = Subjects::new("eagle_eye.v1", names.clone());
        let lane = Lane::steps(name_hash("org/m"));
        assert_eq!(&*subjects.of(lane), "eagle_eye.v1.routing.node_one.unknown");
        names.put_engine(Engine::named("a", "org/m"));
        assert_eq!(&*subjects.of(lane), "eagle_eye.v1.routing.node_one.org_m");
        assert_eq!(&*subjects.of(Lane::readings()), "eagle_eye.v1.health.node_one");
        assert_eq!(&*subjects.events(), "eagle_eye.v1.events.node_one");
    }
}

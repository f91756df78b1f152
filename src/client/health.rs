//! How well engines and devices are, by the word of each node's judge.

use std::collections::HashMap;
use std::sync::Arc;

use super::counts::Counters;
use super::news::Told;
use crate::schema::{Assessment, Health, name_hash};

/// How well everything is that some judge spoke of. Swapped whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Healths {
    engines: HashMap<u64, (u64, Arc<Assessment>)>,
    others: HashMap<(u64, String, String), Arc<Assessment>>,
}

impl Healths {
    /// Takes what the judge of `node` says; whether anything is new. What is
    /// beyond `most` of a kind is refused and counted.
    pub(super) fn take(
        &mut self,
        node: u64,
        assessment: Assessment,
        most: usize,
        counters: &Counters,
    ) -> bool {
        if assessment.subject_kind == "engine" {
            let instance = name_hash(&assessment.subject);
            if !self.engines.contains_key(&instance) && self.engines.len() >= most {
                counters.names_refused.add(1);
                return false;
            }
            match self.engines.get(&instance) {
                Some((of, known)) if *of == node && **known == assessment => return false,
                _ => {}
            }
            self.engines.insert(instance, (node, Arc::new(assessment)));
            return true;
        }
        let key = (node, assessment.subject_kind.clone(), assessment.subject.clone());
        match self.others.get(&key) {
            Some(known) if **known == assessment => return false,
            None if self.others.len() >= most => {
                counters.names_refused.add(1);
                return false;
            }
            _ => {}
        }
        self.others.insert(key, Arc::new(assessment));
        true
    }

    /// Forgets what a node's judge said.
    pub(super) fn forget_node(&mut self, node: u64) {
        self.engines.retain(|_, (of, _)| *of != node);
        self.others.retain(|(of, ..), _| *of != node);
    }

    /// Forgets engines for which `is_known` says no.
    pub(super) fn forget_engines(&mut self, is_known: impl Fn(u64) -> bool) {
        self.engines.retain(|instance, _| is_known(*instance));
    }

    /// How well an engine is; unknown where nobody judges it.
    pub(super) fn engine(&self, instance: u64) -> Health {
        self.engines.get(&instance).map_or(Health::Unknown, |(_, said)| said.health)
    }

    /// Whether something speaks against an engine.
    pub(super) fn is_ill(&self, instance: u64) -> bool {
        // The usual case, so that it costs nothing.
        !self.engines.is_empty()
            && !matches!(self.engine(instance), Health::Healthy | Health::Unknown)
    }

    /// Everything that was said, by kind and name.
    pub(super) fn all(&self) -> Vec<Told<Arc<Assessment>>> {
        let engines = self.engines.values().map(|(node, said)| (*node, said));
        let others = self.others.iter().map(|((node, ..), said)| (*node, said));
        let told = |(node, said): (u64, &Arc<Assessment>)| Told { node, what: Arc::clone(said) };
        let mut all: Vec<_> = engines.chain(others).map(told).collect();
        all.sort_by(|a, b| {
            let place = |of: &Told<Arc<Assessment>>| {
                (of.what.subject_kind.clone(), of.what.subject.clone(), of.node)
            };
            place(a).cmp(&place(b))
        });
        all
    }

    /// What the judge of `node` says of a device or of the node.
    pub(super) fn other(&self, node: u64, kind: &str, subject: &str) -> Option<Arc<Assessment>> {
        self.others.get(&(node, kind.to_owned(), subject.to_owned())).cloned()
    }
}
